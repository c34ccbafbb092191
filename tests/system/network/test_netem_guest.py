"""The netem backend passes the tests of wires on a kernel that has netem, in a guest made for it."""

from __future__ import annotations

import pytest

from benito.network.shaping.choice import kernel_has_netem

from . import guest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_wires_with_netem_in_a_guest() -> None:
    if kernel_has_netem():
        pytest.skip("this kernel has netem itself: test_wires.py has run with it")
    try:
        status, console = guest.run_tests("-q", "-x", "-k", "netem", "tests/system/network/test_wires.py")
    except guest.UnavailableError as reason:
        pytest.skip(str(reason))
    print(console[-8000:])
    assert status == 0, console[-4000:]
    assert "passed" in console
