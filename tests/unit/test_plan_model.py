"""The plan survives its journey as JSON."""

import pytest

from benito.plan import model


def test_a_plan_comes_back_as_it_went() -> None:
    machine = model.Machine(
        node="a",
        kind="qemu",
        image=model.Image("debian-12", "sha256:0"),
        memory_mib=256,
        cpus=1,
        control=model.ControlNic("c0", "02:00:00:00:00:01", "192.168.1.2", 24, "192.168.1.1"),
        nics=(model.Nic("n0p0", "link0", 0, "02:00:00:00:01:01", "10.0.0.1", 24),),
    )
    plan = model.PnodePlan("Demo/star", "pnode-0000", 1, model.Underlay("100.64.0.1", 16), (machine,))
    assert model.decode(model.encode(plan)) == plan


def test_a_plan_of_another_version_is_refused() -> None:
    plan = model.PnodePlan("Demo/star", "pnode-0000", 1, model.Underlay("100.64.0.1", 16), (), version=99)
    with pytest.raises(ValueError, match="version 99"):
        model.decode(model.encode(plan))
