"""What a container is allowed, and what it is made of."""

from pathlib import Path
from typing import Any

import pytest

from benito.machines.oci import Bind, Container, Kernel, Limits, configuration

KERNEL = Kernel(("fs", "kernel", "net", "vm"), (1 << 41) - 1)


SOME = Limits(64, 2)


def made(limits: Limits = SOME, kernel: Kernel = KERNEL) -> dict[str, Any]:
    binds = (Bind(Path("/srv/share"), "/share", read_only=True),)
    container = Container(
        "node-1", Path("/n/root"), ["/bin/sh"], Path("/n/net"), "benito/x/pnode-0000/m-n1c", limits, binds
    )
    return configuration(container, kernel)


@pytest.mark.parametrize(
    "name", ["SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "MKNOD", "DAC_READ_SEARCH", "BPF"]
)
def test_no_capability_opens_the_host(name: str) -> None:
    for held in made()["process"]["capabilities"].values():
        assert f"CAP_{name}" not in held


def test_only_what_this_host_has_is_given() -> None:
    held = made(kernel=Kernel((), 1 << 12))["process"]["capabilities"]
    assert set(held) == {"bounding", "effective", "permitted"}
    assert all(names == ["CAP_NET_ADMIN"] for names in held.values())


def test_of_the_kernels_settings_only_those_of_the_network_can_be_changed() -> None:
    fixed = made()["linux"]["readonlyPaths"]
    assert {"/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sysrq-trigger"} <= set(fixed)
    assert "/proc/sys/net" not in fixed


def test_it_has_its_own_namespaces_and_the_network_made_for_it() -> None:
    namespaces = {each["type"]: each.get("path") for each in made()["linux"]["namespaces"]}
    assert namespaces == {"network": "/n/net", "pid": None, "mount": None, "uts": None, "ipc": None}


def test_devices_are_forbidden_but_the_tun_device() -> None:
    first, *others = made()["linux"]["resources"]["devices"]
    assert first == {"allow": False, "access": "rwm"}
    assert [(each["major"], each["minor"]) for each in others] == [(10, 200)]


def test_limits_are_set_where_there_are_any() -> None:
    limited = made()["linux"]
    assert limited["cgroupsPath"] == "/benito/x/pnode-0000/m-n1c"
    assert limited["resources"]["memory"] == {"limit": 64 << 20}
    assert limited["resources"]["cpu"] == {"quota": 200_000, "period": 100_000}
    free = made(Limits())["linux"]["resources"]
    assert "memory" not in free
    assert "cpu" not in free


def test_folders_of_the_host_are_bound_as_asked() -> None:
    bound = made()["mounts"][-1]
    assert (bound["source"], bound["destination"]) == ("/srv/share", "/share")
    assert bound["options"] == ["rbind", "rprivate", "nosuid", "nodev", "ro"]
