"""What all unit tests share: helper modules beside this file, and hypothesis without a clock."""

from hypothesis import HealthCheck, settings

# The machine is shared: a slow moment is no fault of the code under test.
settings.register_profile("benito", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("benito")
