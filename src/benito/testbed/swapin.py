"""Swap-in: give an experiment its machines and links, or bring back those that it has lost.

Whatever fails, and wherever Ctrl-C comes, everything taken so far is given back and the state says why.
"""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from benito import run
from benito.agent.cgroup import Group, Limits
from benito.agent.driver import HARD_OVERHEAD_MIB
from benito.embedding import capacity
from benito.embedding.model import Assignment
from benito.errors import StateError
from benito.machines import engine
from benito.network.host import host_routes
from benito.network.hub import Hub, HubPlan
from benito.plan import model
from benito.plan.allocations import Allocations, ControlNetwork, NodeAllocation, PnodeAllocation, number
from benito.plan.build import plan
from benito.substrate.base import PnodeRequest
from benito.substrate.local import AGENT_MEMORY_MIB, LocalSubstrate, host_facts
from benito.testbed import access, names, reservations
from benito.testbed.home import ExperimentId, Place
from benito.testbed.keeping import Request, ask_keeper, await_booted, start_keeper
from benito.testbed.progress import Progress, Silence
from benito.testbed.reservations import Lease
from benito.testbed.store import ExperimentRecord, NodeRecord, State
from benito.testbed.swapout import leftovers, release, uninterrupted
from benito.testbed.testbed import INTERRUPTED, TRANSITIONAL, Testbed, require_root
from benito.topology.model import Topology

UNDERLAY = IPv4Network("100.64.0.0/16")
"""Addresses of pnodes among themselves, in a network of each experiment's own."""
LIGHT = frozenset({"container", "physical"})
"""Kinds of nodes that share the host's kernel: they take what they use, and no more."""
OPTIONAL_ACTIONS = frozenset({"nonfatal", "ignore"})
APPLY_S = 60.0
KEEPER_MIB = 512
"""What the keeper and its kin may use."""


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


def swap_in(bed: Testbed, experiment: ExperimentId, progress: Progress | None = None) -> None:
    """Give an experiment its resources; on one that is active, bring back what it has lost.

    Raises with everything released and the experiment `swapped` again.
    """
    require_root("`benito swapin`")
    progress = progress or Silence()
    with bed.lock(experiment) as place:
        record = recover(bed, place)
        if record.state is State.ACTIVE:
            repair(bed, place, record, progress)
            return
        try:
            _activate(bed, place, record, progress)
        except BaseException as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
            progress.step("giving everything back")
            with uninterrupted():
                release(place, keep=record.kept)
                bed.store.set_nodes(record.id, [])
                bed.store.move(record.id, State.SWAPPED, reason=reason)
            raise


def recover(bed: Testbed, place: Place) -> ExperimentRecord:
    """Put right what a command that died, or a host that was restarted, left half done; needs the lock."""
    stored = bed.store.experiment(place.experiment)
    record = bed.record(place.experiment)
    stale = record.state in TRANSITIONAL or (record.state is State.SWAPPED and stored.state is not State.SWAPPED)
    if stale or (record.state is State.SWAPPED and leftovers(place)):
        release(place, keep=record.kept)
        bed.store.set_nodes(record.id, [])
        bed.store.move(record.id, State.SWAPPED, reason=record.reason or INTERRUPTED)
        return bed.record(place.experiment)
    return record


def _activate(bed: Testbed, place: Place, record: ExperimentRecord, progress: Progress) -> None:
    _terminable()
    run.require("qemu-system-x86_64", "nft", "ssh-keygen")
    incarnation = bed.store.begin_swapin(record.id, reservations.boot_id())
    if not record.kept:
        shutil.rmtree(place.nodes, ignore_errors=True)
    progress.step("reading and placing")
    prepared = prepare(bed, place, record, incarnation, progress)
    _write(place, prepared)
    bed.store.set_nodes(record.id, _node_records(prepared))
    progress.step(f"making {len(prepared.plans)} pnodes and their network")
    build(bed, place, record, prepared.plans, prepared.lease)
    progress.step(f"starting {len(prepared.topology.nodes)} machines")
    for machine_plan in prepared.plans:
        for machine in machine_plan.machines:
            progress.node(machine.node, "waiting")
    start_keeper(place, bed.home, record.settings, bed.config)
    _await(bed, place, prepared.plans, prepared.optional, progress)
    progress.step("publishing names")
    publish(bed, place, record)
    bed.store.move(record.id, State.ACTIVE, kept=False)


def _terminable() -> None:
    """Make SIGTERM and SIGHUP end a swap-in as Ctrl-C does, with everything given back."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for received in (signal.SIGTERM, signal.SIGHUP):
        try:
            signal.signal(received, interrupt)
        except ValueError:
            return


def prepare(bed: Testbed, place: Place, record: ExperimentRecord, incarnation: int, progress: Progress) -> Prepared:
    """Read, embed, reserve and plan; CapacityError with the sums when the host can't hold it."""
    settings = record.settings
    topology, assignment = bed.placed(place, settings)
    names.refuse_taken(record.id, [node.name for node in topology.nodes])
    if any(node.kind in LIGHT for node in topology.nodes):
        engine.decide(bed.home.cache)
        run.require("catatonit")
    images = _images(bed, topology, record, progress)
    software = _software(bed, place, topology, record, progress)
    # Ghosts take room though nothing of them is started.
    held = Counter([*assignment.places.values(), *assignment.ghosts.values()])
    light = Counter(assignment.places[node.name] for node in topology.nodes if node.kind in LIGHT)
    each = (settings.memory_mib, settings.cpus)
    demands = [
        capacity.Demand(pnode=pnode, machines=(each,) * (count - light[pnode]), light=light[pnode])
        for pnode, count in held.items()
    ]

    def need(others: list[Lease]) -> tuple[int, int, int]:
        return _need(bed, demands, others)

    avoid = [*host_routes(), *_networks(topology), UNDERLAY]
    lease = reservations.reserve(place, bed.home.root, len(topology.nodes), avoid, bed.config.pools, need)
    access.host_keys(place, [node.name for node in topology.nodes])
    allocations = _allocations(bed, record, topology, assignment, images, software, lease, incarnation)
    return Prepared(topology, assignment, plan(topology, assignment, allocations), lease)


def _images(bed: Testbed, topology: Topology, record: ExperimentRecord, progress: Progress) -> dict[str, model.Image]:
    """Return each node's image, built when it is one that Benito builds and isn't there yet."""
    from benito.images.build import build as build_image
    from benito.images.tree import ensure_tree

    resolutions = bed.images(topology, record.settings)
    for notice in dict.fromkeys(resolution.notice for resolution in resolutions.values()):
        if notice:
            progress.notice(notice)
    images = {}
    for name in dict.fromkeys(resolution.name for resolution in resolutions.values()):
        if not bed.catalog.has(name):
            progress.step(f"building the image {name}")
            build_image(name, bed.home.root, progress.step)
        images[name] = model.Image(name, bed.catalog.get(name).info.digest)
    for name in dict.fromkeys(resolutions[node.name].name for node in topology.nodes if node.kind in LIGHT):
        ensure_tree(bed.catalog.get(name), progress.step)
    return {node: images[resolution.name] for node, resolution in resolutions.items()}


def _software(
    bed: Testbed, place: Place, topology: Topology, record: ExperimentRecord, progress: Progress
) -> dict[str, model.Software]:
    """Return what each node gets besides its image; kept machines have it already."""
    if record.kept or not any(node.software for node in topology.nodes):
        return {}
    from benito.testbed.software import gather

    settings = record.settings
    progress.step("gathering software")
    return gather(
        topology,
        place,
        bed.home.cache / "downloads",
        settings.members[0] if settings.members else "root",
        Path(settings.file).parent,
        ignore=settings.ignore_missing_software,
        progress=progress,
    )


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
                memory_mib=settings.memory_mib,
                cpus=settings.cpus,
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


def _write(place: Place, prepared: Prepared) -> None:
    """Keep what was decided in the experiment's folder: plans, assignment, hosts file."""
    shutil.rmtree(place.plans, ignore_errors=True)
    place.plans.mkdir(parents=True)
    for pnode_plan in prepared.plans:
        (place.plans / f"{pnode_plan.pnode}.json").write_bytes(model.encode(pnode_plan))
    places = prepared.assignment.places.items()
    (place.folder / "assignment").write_text("".join(f"{node} {pnode}\n" for node, pnode in places))
    (place.folder / "hosts").write_text(prepared.plans[0].hosts if prepared.plans else "")
    place.nodes.mkdir(exist_ok=True)
    place.events.touch()


def _node_records(prepared: Prepared) -> list[NodeRecord]:
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


def build(bed: Testbed, place: Place, record: ExperimentRecord, plans: Sequence[model.PnodePlan], lease: Lease) -> None:
    """Make the hub and the pnodes; those that run already stay as they are."""

    Group(place.cgroup).create(
        Limits(memory_mib=KEEPER_MIB + sum(_request(p).memory_mib + AGENT_MEMORY_MIB for p in plans))
    )
    hub = Hub.create(
        HubPlan(
            name=place.hub,
            mark=str(record.id),
            gateway=IPv4Interface(f"{lease.gateway}/{lease.control.prefixlen}"),
            uplink=lease.uplink,
            internet=record.settings.internet,
        )
    )
    substrate = LocalSubstrate(
        runtime=place.runtime, folder=place.folder, images=bed.home.images, cgroup=place.cgroup, hub=hub
    )
    for pnode_plan in plans:
        substrate.acquire(_request(pnode_plan))


def _request(pnode_plan: model.PnodePlan) -> PnodeRequest:
    underlay = pnode_plan.underlay
    memory = sum(machine.memory_mib + HARD_OVERHEAD_MIB.get(machine.kind, 0) for machine in pnode_plan.machines)
    return PnodeRequest(pnode_plan.pnode, memory, f"{underlay.address}/{underlay.prefix}")


def _await(
    bed: Testbed, place: Place, plans: Sequence[model.PnodePlan], optional: Sequence[str], progress: Progress
) -> None:
    nodes = [machine.node for pnode_plan in plans for machine in pnode_plan.machines]
    await_booted(place, nodes, optional, progress, bed.config.boot_deadline_s)


def publish(bed: Testbed, place: Place, record: ExperimentRecord) -> None:
    """Make the nodes' names work on this host."""
    logins = [access.login(bed.home, user) for user in record.settings.members]
    names.publish(place, {node.node: node.control for node in bed.store.nodes(record.id)}, logins)


def repair(bed: Testbed, place: Place, record: ExperimentRecord, progress: Progress) -> None:
    """Bring an active experiment back to its plans: lost pnodes, dead machines, a missing keeper, missing names."""
    lease = reservations.held(place)
    if lease is None:
        raise StateError(f"{record.id} has lost what it held of this host", hint=f"`benito swapout {record.id}` first")
    plans = [model.decode(file.read_bytes()) for file in sorted(place.plans.glob("pnode-*.json"))]
    build(bed, place, record, plans, lease)
    start_keeper(place, bed.home, record.settings, bed.config)
    statuses = ask_keeper(place, [Request("status")], APPLY_S)[0]
    down = sorted(node for node, (boot, _) in statuses.items() if boot != "booted")
    if down:
        progress.step(f"bringing back {', '.join(down[:5])}{' and others' if len(down) > 5 else ''}")
        ask_keeper(place, [Request("apply", {"revive": True})], APPLY_S)
        _await(bed, place, plans, (), progress)
    publish(bed, place, record)
