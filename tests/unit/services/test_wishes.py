"""Options as doors take them: words and truths, every fault beside its name."""

from __future__ import annotations

from benito.services.wishes import TRUTHS, Options, read


def test_nothing_said_is_what_create_does() -> None:
    assert read({}, TRUTHS, ()) == (Options(), {})
    assert read({"memory": " ", "image": ""}, TRUTHS, ()) == (Options(), {})


def test_everything_can_be_said() -> None:
    words = {
        **{"packing": "4", "size": "2", "memory": "2G", "cpus": "3", "disk": "20480"},
        **{"addressing": "emulab", "shaping": "userspace", "accelerator": "tcg"},
        **{"image": "small-13", "default_os": "UBUNTU12-64-STD", "default_container": "Container"},
        **{"pass_pack": "0:10,1:4", "pass_size": "2:3", "pass_nodes_only": "1"},
    }
    options, faults = read(words, {**TRUTHS, "cold": True, "internet": False}, ("/srv/x:ro",))
    assert faults == {}
    assert (options.packing, options.size, options.memory, options.cpus, options.disk) == (4, 2, 2048, 3, 20480)
    assert (options.pass_pack, options.pass_size, options.pass_nodes_only) == ({0: 10, 1: 4}, {2: 3}, frozenset({1}))
    assert (options.default_container, options.cold, options.internet) == ("container", True, False)
    assert options.share == ("/srv/x:ro",)


def test_each_fault_is_told_at_its_name() -> None:
    words = {"packing": "0", "memory": "lots", "cpus": "1.5", "shaping": "magic", "default_container": "cloud"}
    _, faults = read({**words, "pass_pack": "x"}, TRUTHS, ())
    assert set(faults) == {*words, "pass_pack"}
    assert "netem" in faults["shaping"]
    assert "embedded_pnode" in faults["default_container"]
