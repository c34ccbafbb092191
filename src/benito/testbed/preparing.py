"""What a swap-in decides before it touches the host: placement, images, software, reservations, plans.

All of it can be refused here, with nothing started.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from benito import drawing, run
from benito.embedding import capacity
from benito.embedding.model import Assignment
from benito.machines import engine
from benito.network.host import forward_obstacle, host_routes
from benito.plan import files as plan_files
from benito.plan import model
from benito.plan.allocations import Allocations, ControlNetwork, NodeAllocation, PnodeAllocation, number
from benito.plan.build import plan
from benito.substrate.local import host_facts
from benito.testbed import access, gateway, names, reservations, sharing
from benito.testbed.home import Place
from benito.testbed.imaging import LIGHT, have_images, node_sizes, told_size, usual_size
from benito.testbed.progress import Progress
from benito.testbed.reservations import Lease
from benito.testbed.store import ExperimentRecord, NodeRecord
from benito.testbed.testbed import Testbed
from benito.topology import topdl
from benito.topology.model import Topology
from benito.topology.sizes import Size

UNDERLAY = IPv4Network("100.64.0.0/16")
"""Addresses of pnodes among themselves, in a network of each experiment's own."""
PICTURED_NODES = 60
"""An experiment of more nodes is drawn when somebody asks for it (`benito graph`): it takes seconds."""
OPTIONAL_ACTIONS = frozenset({"nonfatal", "ignore"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a swap-in is about to make real."""

    topology: Topology
    assignment: Assignment
    plans: tuple[model.PnodePlan, ...]
    lease: Lease

    @property
    def optional(self) -> tuple[str, ...]:
        """Nodes whose failure doesn't end the swap-in."""
        return tuple(node.name for node in self.topology.nodes if node.failure_action in OPTIONAL_ACTIONS)


def prepare(bed: Testbed, place: Place, record: ExperimentRecord, incarnation: int, progress: Progress) -> Prepared:
    """Read, embed, reserve and plan; CapacityError with the sums when the host can't hold it."""
    settings = record.settings
    topology, assignment = bed.placed(place, settings)
    names.require_writable()
    names.refuse_taken(place, [node.name for node in topology.nodes])
    if any(node.kind in LIGHT for node in topology.nodes):
        engine.decide(bed.home.cache, bed.config.container_runtime)
        run.require("catatonit")
    if settings.internet and (obstacle := forward_obstacle()):
        progress.notice(f"{obstacle}: nodes get names and packages, but may not reach the internet (`benito doctor`)")
    kept = kept_images(place) if record.kept else {}
    images = have_images(bed, topology, place, record, kept, progress)
    given = node_sizes(bed, topology, settings, images)
    software = _software(bed, place, topology, record, progress)
    unpacked = _unpacked(place, assignment, software)
    demands = _demands(bed, record, topology, assignment, given, unpacked)

    def need(others: list[Lease]) -> tuple[int, int, int]:
        return _need(bed, demands, others)

    avoid = [*host_routes(), *_networks(topology), UNDERLAY]
    lease = reservations.reserve(place, bed.home.root, len(topology.nodes), avoid, bed.config.pools, need)
    access.host_keys(place, [node.name for node in topology.nodes])
    allocations = _allocations(bed, record, topology, assignment, images, given, software, lease, incarnation)
    machines = any(node.kind not in LIGHT for node in topology.nodes)
    shares = sharing.prepare(bed.home, bed.config, place, settings, progress, machines=machines)
    allocations = replace(allocations, files=gateway.node_files(lease.gateway, bed.config), shares=shares)
    return Prepared(topology, assignment, plan(topology, assignment, allocations), lease)


def _software(
    bed: Testbed, place: Place, topology: Topology, record: ExperimentRecord, progress: Progress
) -> dict[str, model.Software]:
    """Return what each node gets besides its image; kept machines have it already."""
    if record.kept or not any(node.software for node in topology.nodes):
        return {}
    from benito.testbed.software import Downloads, gather

    settings = record.settings
    progress.step("gathering software")
    return gather(
        topology,
        place,
        Downloads(bed.home.cache / "downloads", bed.config.downloads_mib),
        settings.members[0] if settings.members else "root",
        Path(settings.file).parent,
        ignore=settings.ignore_missing_software,
        progress=progress,
    )


def _unpacked(place: Place, assignment: Assignment, software: dict[str, model.Software]) -> Counter[str]:
    """Return how much disk (MiB) the software of each pnode's nodes takes once it is unpacked."""
    sizes = Counter[str]()
    for node, given in software.items():
        bundle = place.software / f"{given.bundle}.tar"
        sizes[assignment.places[node]] += -(-bundle.stat().st_size >> 20)
    return sizes


def _demands(
    bed: Testbed,
    record: ExperimentRecord,
    topology: Topology,
    assignment: Assignment,
    given: Mapping[str, Size],
    unpacked: Counter[str],
) -> list[capacity.Demand]:
    """Return what each pnode's nodes need. Ghosts take room though nothing of them is started."""
    default = told_size(record.settings).over(usual_size(bed))
    expected = bed.config.limits.disk_per_node_mib
    machines: dict[str, list[tuple[int, int]]] = {}
    asked, light = Counter[str](), Counter[str]()
    for node in topology.nodes:
        pnode, size = assignment.places[node.name], given[node.name]
        here = machines.setdefault(pnode, [])
        if node.kind in LIGHT:
            light[pnode] += 1
            continue
        here.append((size.memory_mib or 0, size.cpus or 1))
        asked[pnode] += max((size.disk_mib or 0) - expected, 0)
    for ghost, pnode in assignment.ghosts.items():
        size = given.get(ghost, default)
        machines.setdefault(pnode, []).append((size.memory_mib or 0, size.cpus or 1))
    return [
        capacity.Demand(pnode, tuple(sizes), light[pnode], unpacked[pnode], asked[pnode])
        for pnode, sizes in machines.items()
    ]


def kept_images(place: Place) -> dict[str, model.Image]:
    """Return the images that kept disks were made from, by node."""
    machines = (machine for pnode_plan in written(place) for machine in pnode_plan.machines)
    return {machine.node: machine.image for machine in machines}


def _need(bed: Testbed, demands: Sequence[capacity.Demand], others: list[Lease]) -> tuple[int, int, int]:
    """What the experiment needs of this host beside the others; CapacityError when that is too much."""
    policy = bed.config.limits
    # The others' disks have grown already, or will: what is free now is promised to them first.
    reserved = capacity.Need(
        sum(lease.memory_mib for lease in others),
        sum(lease.vcpus for lease in others),
        sum(lease.disk_mib for lease in others),
    )
    capacity.check(demands, [replace(host_facts(bed.home.root), reserved=reserved)], policy)
    total = capacity.need(demands, policy)
    return total.memory_mib, total.vcpus, total.disk_mib


def _networks(topology: Topology) -> list[IPv4Network]:
    """The experiment's own subnets."""
    found: dict[IPv4Network, None] = {}
    nodes = {node.name: node for node in topology.nodes}
    for lan in topology.lans:
        for member in lan.members:
            address = nodes[member.node].interfaces[member.port].address
            found[IPv4Interface(f"{address}/{lan.netmask}").network] = None
    return list(found)


def _allocations(
    bed: Testbed,
    record: ExperimentRecord,
    topology: Topology,
    assignment: Assignment,
    images: dict[str, model.Image],
    given: Mapping[str, Size],
    software: dict[str, model.Software],
    lease: Lease,
    incarnation: int,
) -> Allocations:
    settings = record.settings
    first = lease.control[2]
    return Allocations(
        experiment=str(record.id),
        control=ControlNetwork(lease.subnet, lease.gateway),
        nodes={
            node.name: NodeAllocation(
                number=place,
                control_address=str(first + place),
                image=images[node.name],
                memory_mib=given[node.name].memory_mib or 0,
                cpus=given[node.name].cpus or 1,
                disk_mib=given[node.name].disk_mib or 0,
                software=software.get(node.name),
            )
            for place, node in enumerate(topology.nodes)
        },
        lans=number(lan.name for lan in topology.lans),
        pnodes={
            pnode: PnodeAllocation(str(UNDERLAY[place + 1]), incarnation)
            for place, pnode in enumerate(assignment.pnodes)
        },
        # Sixteen bits of LANs each; experiments have underlays of their own, so a repeated base does no harm here.
        vni_base=(lease.number % 255 + 1) << 16,
        mac_prefix=lease.number,
        underlay_prefix=UNDERLAY.prefixlen,
        accounts=access.accounts(bed.home, settings.members),
    )


def written(place: Place) -> list[model.PnodePlan]:
    """Return the plans of the last swap-in."""
    return [*plan_files.read(place.plans)]


def write(place: Place, prepared: Prepared) -> None:
    """Keep what was decided in the experiment's folder: plans, topology, assignment, hosts file, picture."""
    shutil.rmtree(place.plans, ignore_errors=True)
    place.plans.mkdir(mode=0o700, parents=True)
    plan_files.write(place.plans, prepared.plans)
    places = prepared.assignment.places.items()
    kept = {
        "assignment": "".join(f"{node} {pnode}\n" for node, pnode in places),
        "hosts": prepared.plans[0].hosts if prepared.plans else "",
        "topology.xml": topdl.write(prepared.topology, instead="\ufffd"),
    }
    picture = place.folder / "visualization.svg"
    picture.unlink(missing_ok=True)
    if len(prepared.topology.nodes) <= PICTURED_NODES:
        kept[picture.name] = drawing.svg(prepared.topology, prepared.assignment, title=str(place.experiment))
    for name, text in kept.items():
        (place.folder / name).write_text(text, errors="surrogateescape")
        (place.folder / name).chmod(0o600)
    place.nodes.mkdir(mode=0o711, exist_ok=True)
    place.logs.mkdir(mode=0o700, exist_ok=True)
    place.events.touch(mode=0o600)


def node_records(prepared: Prepared) -> list[NodeRecord]:
    """The node list in the order of the file."""
    machines = {machine.node: (p.pnode, machine) for p in prepared.plans for machine in p.machines}
    records = []
    for node in prepared.topology.nodes:
        pnode, machine = machines[node.name]
        addresses = tuple(nic.address or "" for nic in machine.nics)
        records.append(
            NodeRecord(node.name, pnode, machine.kind, machine.image.name, machine.control.address, addresses)
        )
    return records
