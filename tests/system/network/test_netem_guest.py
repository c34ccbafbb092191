"""What this host's kernel may lack: netem, and control groups of version 2 with what uses them, tested in a guest."""

from __future__ import annotations

import pytest

from benito.agent.cgroup import unified
from benito.network.shaping.choice import kernel_has_netem

from . import guest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_netem_and_unified_cgroups_in_a_guest() -> None:
    if kernel_has_netem() and unified():
        pytest.skip("this kernel has both itself: the tests have run with them")
    try:
        tests = (
            "tests/system/network/test_wires.py",
            "tests/system/agent/test_cgroup.py",
            "tests/system/agent/test_runtimes.py",
        )
        status, console = guest.run_tests("-q", "-x", "-k", "netem or cgroup or crun", *tests)
    except guest.UnavailableError as reason:
        pytest.skip(str(reason))
    print(console[-8000:])
    assert status == 0, console[-4000:]
    assert "passed" in console
