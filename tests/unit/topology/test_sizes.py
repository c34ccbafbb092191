"""How large a node is: what is said where, and which word goes first."""

import pytest

from benito.errors import InputError
from benito.topology.model import Node, Topology
from benito.topology.sizes import Size, sizes, text


def one(hardware: str | None = None, **attributes: str) -> Topology:
    renamed = {name.replace("__", ":"): value for name, value in attributes.items()}
    return Topology((Node("n", attributes=renamed, hardware=hardware),), ())


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({"benito__memory": "512"}, Size(512)),
        ({"containers__memory": "2G"}, Size(2048)),
        ({"benito__memory": "1.5GiB"}, Size(1536)),
        ({"MEMORY_SIZE": "384"}, Size(384)),
        ({"MEMORY_SIZE": "384", "benito__memory": "512"}, Size(512)),
        ({"benito__cpus": "4"}, Size(cpus=4)),
        ({"benito__disk": "20G"}, Size(disk_mib=20480)),
        ({}, Size()),
    ],
)
def test_the_file_says_a_size(attributes: dict[str, str], size: Size) -> None:
    assert sizes(one(**attributes), {})["n"] == size


def test_the_file_goes_before_the_hardware_and_that_before_the_options() -> None:
    hardware = {"pc3000": Size(2048, 2, 10240)}
    told = Size(256, 1, 9000)
    assert sizes(one("PC3000", benito__memory="512"), hardware, told)["n"] == Size(512, 2, 10240)
    assert sizes(one("other"), hardware, told)["n"] == told
    assert sizes(one(), hardware, Size(cpus=3))["n"] == Size(cpus=3)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"benito__memory": "much"}, "`n` has the memory `much`"),
        ({"benito__memory": "8"}, "not between 64 and"),
        ({"benito__cpus": "0"}, "not between 1 and 255"),
        ({"benito__cpus": "two"}, "not a whole number"),
        ({"benito__disk": "-1G"}, "`n` has the disk `-1G`"),
    ],
)
def test_what_makes_no_sense_is_said(attributes: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sizes(one(**attributes), {})


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        sizes(one(benito__memory="x", benito__cpus="y"), {})
    assert len(caught.value.faults) == 2


def test_a_size_in_words() -> None:
    assert text(Size(512, 2, 20480)) == "512 MiB, 2 CPUs, 20 GiB disk"
    assert text(Size(256, 1, 0)) == "256 MiB, 1 CPU"
