"""Nodes go where the file puts them; without a word in the file they are packed, pass by pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import chain, network, single_lan, star

from benito.cli.plan import command
from benito.embedding.embed import embed
from benito.embedding.model import Assignment, cut
from benito.embedding.options import EmbeddingOptions, read_pass_list, read_passes
from benito.embedding.packing import pack
from benito.errors import InputError, Where
from benito.plan.allocations import example
from benito.plan.build import plan
from benito.topology import placement, topdl
from benito.topology.addressing import assign
from benito.topology.model import Event, LanKind, ManualRoute, Program, Topology
from benito.topology.ns import read_source


def told(topology: Topology, attributes: Mapping[str, Mapping[str, str]]) -> Topology:
    """Return the topology as a reader makes it from a file with these attributes."""
    nodes = []
    for line, node in enumerate(topology.nodes, 1):
        given = attributes.get(node.name, {})
        kind = placement.kind(given) or node.kind
        partition = placement.partition(given)
        nodes.append(replace(node, kind=kind, partition=partition, attributes=given, where=Where("f.xml", line)))
    return replace(topology, nodes=tuple(nodes))


def at(*partitions: str | None) -> dict[str, dict[str, str]]:
    return {f"n{i}": {"partition": text} for i, text in enumerate(partitions) if text is not None}


def kinds(topology: Topology) -> list[str]:
    return [node.kind for node in topology.nodes]


def texts(topology: Topology) -> list[str]:
    return [str(warning) for warning in topology.warnings]


def refusal(topology: Topology, options: EmbeddingOptions) -> list[str]:
    with pytest.raises(InputError) as raised:
        embed(topology, options)
    return str(raised.value).splitlines()


def test_without_partitions_all_is_packed() -> None:
    topology = network(12, [(0, 1, 2, 3), (4, 5)], kinds={"n3": "physical"})
    made, found = embed(topology, EmbeddingOptions(packing=4))
    assert made == topology
    assert found == pack(topology, 4)


def test_nodes_of_one_partition_share_a_pnode_and_the_others_are_physical() -> None:
    made, found = embed(told(chain(5), at("7", None, "2", "7", None)))
    assert kinds(made) == ["qemu", "physical", "qemu", "qemu", "physical"]
    assert found.nodes == {
        "pnode-0000": ("n2",),
        "pnode-0001": ("n0", "n3"),
        "pnode-0002": ("n1",),
        "pnode-0003": ("n4",),
    }
    assert list(found.places) == ["n0", "n1", "n2", "n3", "n4"]
    assert not made.warnings


def test_any_whole_number_is_a_partition() -> None:
    huge = "9" * 40
    made, found = embed(told(chain(5), at(huge, "-3", " +8 ", "008", "0")))
    assert found.places == {
        "n0": "pnode-0003",
        "n1": "pnode-0000",
        "n2": "pnode-0002",
        "n3": "pnode-0002",
        "n4": "pnode-0001",
    }
    assert made.nodes[0].partition == int(huge)


@pytest.mark.parametrize("prefix", ["containers:", "container:", "benito:", ""])
def test_attributes_alone_are_enough(prefix: str) -> None:
    topology = chain(2)
    nodes = (replace(topology.nodes[0], attributes={f"{prefix}partition": "4"}), topology.nodes[1])
    made, found = embed(replace(topology, nodes=nodes))
    assert kinds(made) == ["qemu", "physical"]
    assert found.pnodes == ("pnode-0000", "pnode-0001")


def test_a_physical_node_is_a_pnode_whatever_its_partition() -> None:
    attributes = {name: {"containers:node_type": "embedded_pnode", **said} for name, said in at("0", "0").items()}
    made, found = embed(told(chain(4), {**attributes, "n2": {"partition": "0"}, "n3": {"partition": "0"}}))
    assert kinds(made) == ["physical", "physical", "qemu", "qemu"]
    assert found.nodes == {"pnode-0000": ("n2", "n3"), "pnode-0001": ("n0",), "pnode-0002": ("n1",)}
    assert texts(made) == [
        "f.xml:1: the partition of `n0` means nothing, it is a physical node",
        "f.xml:2: the partition of `n1` means nothing, it is a physical node",
    ]


def test_a_virtual_node_without_partition_becomes_physical_and_that_is_said() -> None:
    made, _ = embed(told(chain(3), {**at("1"), "n1": {"containers:node_type": "openvz"}}))
    assert kinds(made) == ["qemu", "physical", "physical"]
    assert texts(made) == [
        "f.xml:2: `n1` is made a physical node, not container: other nodes have a partition and it has none "
        "(give it a partition, or pack all nodes with `--force-partition`)"
    ]


def test_force_partition_packs_what_is_placed_by_hand() -> None:
    topology = told(chain(6), {**at("1", "2", "3"), "n4": {"node_type": "embedded_pnode", "partition": "1"}})
    made, found = embed(topology, EmbeddingOptions(packing=3, force_partition=True))
    assert kinds(made) == ["qemu"] * 4 + ["physical", "qemu"]
    assert len(found.pnodes) == 3
    assert not made.warnings


def test_options_for_packing_mean_nothing_by_hand() -> None:
    made, _ = embed(told(chain(2), at("1", "1")), EmbeddingOptions(size=1))
    assert texts(made) == [
        "the file places its nodes by hand, so sizes, passes and `--nodes-only` mean nothing "
        "(`--force-partition` packs them instead)"
    ]


def test_the_default_container_is_for_nodes_whose_kind_is_not_said() -> None:
    topology = told(chain(3), {"n1": {"containers:node_type": "qemu"}, "n2": {"containers:node_type": "openvz"}})
    assert kinds(embed(topology, EmbeddingOptions(default_container="OpenVZ"))[0]) == ["container", "qemu", "container"]
    assert kinds(embed(topology, EmbeddingOptions(default_container="embedded_pnode"))[0])[0] == "physical"
    assert kinds(embed(topology)[0]) == ["qemu", "qemu", "container"]


@pytest.mark.parametrize("nodes_only", [False, True])
@pytest.mark.parametrize(("nodes", "size"), [(10, 1), (10, 3), (10, 6), (10, 10), (10, 40), (100, 60), (0, 3)])
def test_size_is_the_number_of_pnodes(nodes: int, size: int, nodes_only: bool) -> None:
    _, found = embed(single_lan(nodes), EmbeddingOptions(packing=2, size=size, nodes_only=nodes_only))
    held = Counter(found.places.values())
    assert len(held) == min(nodes, size)
    assert all(count <= -(-nodes // size) for count in held.values())


def test_nodes_only_packs_in_the_order_of_the_file() -> None:
    _, found = embed(network(5, [(0, 4), (1, 3)]), EmbeddingOptions(packing=2, nodes_only=True))
    assert [len(nodes) for nodes in found.nodes.values()] == [2, 2, 1]
    assert list(found.places.values()) == sorted(found.places.values())


def test_each_pass_has_pnodes_and_settings_of_its_own() -> None:
    passes = {f"n{i}": {"containers:PartitionPass": str(i % 3)} for i in range(30)}
    topology = told(star(30), {**passes, "n1": {"containers:PackingPass": "1"}})
    options = EmbeddingOptions(packing=5, size=4, pass_packing={0: 3}, pass_size={1: 1})
    _, found = embed(topology, options)
    shares = {pnode: {int(node[1:]) % 3 for node in nodes} for pnode, nodes in found.nodes.items()}
    assert all(len(numbers) == 1 for numbers in shares.values())
    assert Counter(min(numbers) for numbers in shares.values()) == {0: 4, 1: 1, 2: 4}


def test_containers_and_machines_do_not_share_a_pnode() -> None:
    topology = told(chain(6), {f"n{i}": {"node_type": "openvz"} for i in (0, 2, 4)})
    _, found = embed(topology)
    assert found.nodes == {"pnode-0000": ("n0", "n2", "n4"), "pnode-0001": ("n1", "n3", "n5")}


def test_options_of_a_pass_without_nodes_are_told() -> None:
    made, _ = embed(chain(2), EmbeddingOptions(pass_nodes_only=frozenset({0, 1})))
    assert texts(made) == ["no node is packed in pass 0, its options mean nothing (passes here are 1)"]


def test_a_ghost_takes_room_and_is_not_there() -> None:
    topology = network(5, [(0, 1, 2), (2, 3), (1, 2)])
    topology = told(topology, {"n1": {"containers:ghost": "True"}, "n3": {"containers:ghost": "1"}})
    made, found = embed(topology, EmbeddingOptions(packing=2, nodes_only=True))
    assert [node.name for node in made.nodes] == ["n0", "n2", "n4"]
    assert [[member.node for member in lan.members] for lan in made.lans] == [["n0", "n2"], ["n2"], ["n2"]]
    assert made.node("n2") == topology.node("n2")
    assert set(found.places) == {"n0", "n2", "n4"}
    assert set(found.ghosts) == {"n1", "n3"}
    room = Counter([*found.places.values(), *found.ghosts.values()])
    assert sorted(room.values()) == [1, 2, 2]
    assert found.cut == cut(made, found.places)
    assert plan(made, found, example(made, found))


def test_what_belongs_to_a_ghost_goes_with_it() -> None:
    topology = told(network(4, [(0, 1), (1, 2), (2, 3)]), {"n1": {"ghost": "yes"}})
    topology = replace(
        topology,
        routes=(ManualRoute("n0", "n3", "n1", Where("f.xml", 9)), ManualRoute("n2", "n3", "n3")),
        costs={("l0", "n1"): 2.0, ("l0", "n0"): 3.0},
        programs=(Program("p", "n1", "true"), Program("q", "n2", "true")),
        events=(Event(1, "n1", "reboot"), Event(1, "p", "start"), Event(2, "q", "start"), Event(3, "l0", "down")),
        groups={"all": ("p", "q")},
    )
    made, _ = embed(topology)
    assert made.routes == topology.routes[1:]
    assert dict(made.costs) == {("l0", "n0"): 3.0}
    assert [program.name for program in made.programs] == ["q"]
    assert [event.target for event in made.events] == ["q", "l0"]
    assert made.groups == {"all": ("q",)}
    assert texts(made) == ["f.xml:9: the route of `n0` to `n3` is left out, a ghost is in its way"]


def test_pnodes_with_nothing_but_ghosts_come_last() -> None:
    attributes = at("1", "2", "3")
    made, found = embed(told(chain(3), {**attributes, "n0": {"partition": "1", "ghost": "true"}}))
    assert found.places == {"n1": "pnode-0000", "n2": "pnode-0001"}
    assert found.ghosts == {"n0": "pnode-0002"}
    assert found.pnodes == ("pnode-0000", "pnode-0001")
    assert [lan.name for lan in made.lans] == ["l0", "l1"]


def test_an_experiment_of_ghosts_is_empty() -> None:
    made, found = embed(told(chain(2), {"n0": {"ghost": "on"}, "n1": {"ghost": "on"}}))
    assert (made.nodes, made.lans, found.places) == ((), (), {})


def test_every_fault_is_told() -> None:
    topology = chain(5)
    wrong = [
        {"containers:partition": "left"},
        {"partition": "1.5"},
        {"containers:node_type": "zone", "containers:ghost": "maybe"},
        {"containers:PartitionPass": "first"},
        {"partition": "1" * 101},
    ]
    nodes = tuple(
        replace(node, attributes=attributes, where=Where("f.xml", line))
        for line, (node, attributes) in enumerate(zip(topology.nodes, wrong, strict=True), 1)
    )
    nodes = (*nodes[:3], replace(nodes[3], kind="unikernel"), nodes[4])
    options = EmbeddingOptions(packing=0, size=-1, pass_packing={1: 0}, default_container="zone")
    types = ", ".join(placement.KINDS)
    assert refusal(replace(topology, nodes=nodes), options) == [
        "the packing must be at least 1, not 0 (it is the most virtual nodes that one pnode holds)",
        "the packing must be at least 1, not 0 (it is the most virtual nodes that one pnode holds)",
        "the size must be at least 1, not -1 (it is the number of pnodes that hold the virtual nodes)",
        f"there is no kind of node `zone` (known types are {types})",
        "f.xml:1: `n0` has the partition `left` (write a whole number)",
        "f.xml:2: `n1` has the partition `1.5` (write a whole number)",
        f"f.xml:3: `n2` has the unknown node type `zone` (known types are {types})",
        "f.xml:3: `n2` has the ghost attribute `maybe` (write true or false)",
        "f.xml:4: `n3` has the unknown kind `unikernel` (known kinds are container, physical, qemu)",
        "f.xml:4: `n3` has the packing pass `first` (write a whole number)",
        f"f.xml:5: `n4` has the partition `{'1' * 60}` (write a whole number)",
    ]


def test_options_of_passes_are_read() -> None:
    assert read_passes("--pass-pack", ["0:10,1:4", " 2:7"]) == {0: 10, 1: 4, 2: 7}
    assert read_passes("--pass-pack", []) == {}
    assert read_pass_list("--pass-nodes-only", ["0,2", "3"]) == {0, 2, 3}


def test_faults_in_options_of_passes_are_told() -> None:
    with pytest.raises(InputError) as raised:
        read_passes("--pass-pack", ["0:10,x:4,1", "0:3"])
    assert str(raised.value).splitlines() == [
        "`x:4` in --pass-pack is not PASS:NUMBER (write --pass-pack 0:10,1:4)",
        "`1` in --pass-pack is not PASS:NUMBER (write --pass-pack 0:10,1:4)",
        "--pass-pack gives pass 0 twice (give each pass once)",
    ]
    with pytest.raises(InputError) as raised:
        read_pass_list("--pass-nodes-only", ["0,all"])
    assert str(raised.value) == "`all` in --pass-nodes-only is not the number of a pass (write --pass-nodes-only 0,1)"


def test_options_survive_as_json() -> None:
    options = EmbeddingOptions(size=3, pass_packing={0: 4}, pass_nodes_only=frozenset({1}))
    assert msgspec.json.decode(msgspec.json.encode(options), type=EmbeddingOptions) == options


@st.composite
def any_file(draw: st.DrawFn) -> Topology:
    count = draw(st.integers(0, 14))
    members = st.lists(st.integers(0, max(0, count - 1)), min_size=1, max_size=5, unique=True)
    topology = network(count, draw(st.lists(members, max_size=12)) if count else [])
    values = {
        "partition": ["0", "1", "-7", "123456789012345678901"],
        "node_type": ["qemu", "openvz", "embedded_pnode"],
        "PartitionPass": ["0", "1", "2"],
        "ghost": ["true", "false"],
    }
    attribute = st.fixed_dictionaries({}, optional={key: st.sampled_from(some) for key, some in values.items()})
    return told(topology, {f"n{i}": draw(attribute) for i in range(count)})


any_options = st.builds(
    EmbeddingOptions,
    packing=st.integers(1, 6),
    size=st.none() | st.integers(1, 6),
    nodes_only=st.booleans(),
    force_partition=st.booleans(),
    default_container=st.sampled_from([None, "openvz", "qemu", "physical"]),
    pass_packing=st.dictionaries(st.integers(0, 2), st.integers(1, 4), max_size=2),
    pass_size=st.dictionaries(st.integers(0, 2), st.integers(1, 4), max_size=2),
)


@given(any_file(), any_options)
@settings(max_examples=80)
def test_whatever_the_file_says_every_node_has_one_place(topology: Topology, options: EmbeddingOptions) -> None:
    made, found = embed(topology, options)
    assert (made, found) == embed(topology, options)
    living = [node.name for node in made.nodes]
    assert list(found.places) == living
    assert sorted([*living, *found.ghosts]) == sorted(node.name for node in topology.nodes)
    everywhere = [*found.places.values(), *found.ghosts.values()]
    assert found.pnodes == tuple(f"pnode-{i:04d}" for i in range(len(found.pnodes)))
    for node in made.nodes:
        assert node.kind in ("qemu", "container", "physical")
        if node.kind == "physical":
            assert everywhere.count(found.places[node.name]) == 1
    check_partitions(topology, made, found, options)
    for lan in made.lans:
        assert lan.members
        assert lan.kind is LanKind.LAN
        assert all(made.node(member.node).interfaces[member.port].lan == lan.name for member in lan.members)


def check_partitions(topology: Topology, made: Topology, found: Assignment, options: EmbeddingOptions) -> None:
    """Nodes placed by hand share a pnode exactly when they share a partition; packed pnodes hold no more than told."""
    virtual = [node for node in made.nodes if node.kind != "physical"]
    if not options.force_partition and any(node.partition is not None for node in topology.nodes):
        assert len({(node.partition, found.places[node.name]) for node in virtual}) == len(
            {node.partition for node in virtual}
        )
        assert all(node.partition is not None for node in virtual)
    elif options.size is None and not options.pass_size:
        most = max(options.packing, *options.pass_packing.values(), 1)
        held = Counter(found.places[node.name] for node in virtual)
        assert all(count <= most for count in held.values())


@given(st.integers(0, 40), st.integers(1, 12))
@settings(max_examples=30)
def test_a_size_is_kept_whatever_the_links(nodes: int, size: int) -> None:
    for topology in (chain(nodes), single_lan(nodes)):
        _, found = embed(topology, EmbeddingOptions(size=size))
        assert len(found.pnodes) == min(nodes, size)


FILE = """
set ns [new Simulator]
foreach name {gw web db} {
    set $name [$ns node]
}
set lan0 [$ns make-lan "$gw $web $db" 100Mb 0ms]
tb-add-node-attribute $web containers:partition 3
tb-add-node-attribute $db containers:ghost true
tb-add-node-attribute $db containers:partition 3
tb-add-node-attribute $gw containers:node_type qemu
$ns run
"""


def test_plan_shows_what_was_decided(tmp_path: Path) -> None:
    file = tmp_path / "mixed.ns"
    file.write_text(FILE)
    result = CliRunner().invoke(command, [str(file)])
    assert result.stdout.splitlines() == [
        "pnode-0000: 1 node",
        "  nodes:          web",
        "  room for:       db",
        "  links crossing: lan0",
        "pnode-0001: 1 node",
        "  physical node:  gw",
        "  links crossing: lan0",
        "2 nodes on 2 pnodes; 1 link or LAN crosses between pnodes (100 Mb/s asked for)",
    ]
    assert result.stderr == (
        f"warning: {file}:4: `gw` is made a physical node, not qemu: other nodes have a partition and it has none "
        "(give it a partition, or pack all nodes with `--force-partition`)\n"
    )
    packed = CliRunner().invoke(command, [str(file), "--force-partition", "--pass-size", "1:2", "--nodes-only"])
    assert packed.stdout.startswith("pnode-0000: 2 nodes\n  nodes:          gw web\n")


@pytest.mark.parametrize("language", ["ns", "topdl"])
def test_a_silent_node_is_physical_beside_placed_ones_and_packed_when_all_are(language: str) -> None:
    topology = read_source(FILE.replace("tb-add-node-attribute $gw containers:node_type qemu", ""), "mixed.ns")
    if language == "topdl":
        topology = topdl.read_source(topdl.write(topology), "mixed.xml")
    assert [node.kind for node in topology.nodes] == ["physical", "qemu", "qemu"]

    made, _ = embed(assign(topology))
    assert [(node.name, node.kind) for node in made.nodes] == [("gw", "physical"), ("web", "qemu")]
    assert made.warnings == topology.warnings

    packed, _ = embed(assign(topology), EmbeddingOptions(force_partition=True, default_container="openvz"))
    assert [node.kind for node in packed.nodes] == ["container", "container"]
