"""Swap-in: give an experiment its machines and links, or bring back those that it has lost.

Whatever fails, and wherever Ctrl-C comes, everything taken so far is given back and the state says why.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Interface

from benito import run
from benito.agent.cgroup import Group, Limits
from benito.agent.driver import HARD_OVERHEAD_MIB
from benito.errors import HostError, StateError
from benito.gateway.settings import DNS_PORT, NFS_PORT, PROXY_PORT
from benito.network.hub import Hub, HubPlan
from benito.plan import model
from benito.substrate.base import PnodeRequest
from benito.substrate.local import AGENT_MEMORY_MIB, LocalSubstrate
from benito.testbed import access, gateway, names, reservations, sharing, templating
from benito.testbed.home import ExperimentId, Place
from benito.testbed.keeping import Request, ask_keeper, await_booted, start_keeper
from benito.testbed.preparing import Prepared, node_records, prepare, write, written
from benito.testbed.progress import Progress, Silence
from benito.testbed.reservations import Lease
from benito.testbed.store import ExperimentRecord, State
from benito.testbed.swapout import leftovers, release, uninterrupted
from benito.testbed.testbed import INTERRUPTED, TRANSITIONAL, Testbed, require_root

APPLY_S = 60.0
OWN_MIB = 512 + gateway.MEMORY_MIB + sharing.MEMORY_MIB
"""What the keeper and its kin, and the gateway's programs, may use."""


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
            with _interruptible():
                _activate(bed, place, record, progress)
        except BaseException as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
            with uninterrupted(progress) as told:
                told.step("giving everything back")
                try:
                    _give_back(bed, place, record, reason)
                except HostError as fault:
                    raise HostError(f"{reason}; and {fault.message}", hint=fault.hint) from error
            raise


def _give_back(bed: Testbed, place: Place, record: ExperimentRecord, reason: str) -> None:
    release(place, keep=record.kept)
    bed.store.set_nodes(record.id, [])
    bed.store.move(record.id, State.SWAPPED, reason=reason)


def recover(bed: Testbed, place: Place) -> ExperimentRecord:
    """Put right what a command that died, or a host that was restarted, left half done; needs the lock."""
    stored = bed.store.experiment(place.experiment)
    record = bed.record(place.experiment)
    stale = record.state in TRANSITIONAL or (record.state is State.SWAPPED and stored.state is not State.SWAPPED)
    if stale or (record.state is State.SWAPPED and leftovers(place)):
        _give_back(bed, place, record, record.reason or INTERRUPTED)
        return bed.record(place.experiment)
    return record


def _activate(bed: Testbed, place: Place, record: ExperimentRecord, progress: Progress) -> None:
    run.require("qemu-system-x86_64", "nft", "ssh-keygen")
    incarnation = bed.store.begin_swapin(record.id, reservations.boot_id())
    if not record.kept:
        shutil.rmtree(place.nodes, ignore_errors=True)
    progress.step("reading and placing")
    prepared = prepare(bed, place, record, incarnation, progress)
    with contextlib.ExitStack() as held:
        # A kept disk has been written to: no template's memory fits it any more.
        if not record.settings.cold and not record.kept:
            plans = templating.provide(bed, place, record.settings, prepared.plans, progress, held)
            prepared = replace(prepared, plans=plans)
        _start(bed, place, record, prepared, progress)


def _start(bed: Testbed, place: Place, record: ExperimentRecord, prepared: Prepared, progress: Progress) -> None:
    write(place, prepared)
    bed.store.set_nodes(record.id, node_records(prepared))
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


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a swap-in as Ctrl-C does, unless they are ignored (nohup)."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def build(bed: Testbed, place: Place, record: ExperimentRecord, plans: Sequence[model.PnodePlan], lease: Lease) -> None:
    """Make the hub and the pnodes; those that run already stay as they are."""
    Group(place.cgroup).create(
        Limits(memory_mib=OWN_MIB + sum(_request(p).memory_mib + AGENT_MEMORY_MIB for p in plans))
    )
    hub = Hub.create(
        HubPlan(
            name=place.hub,
            mark=str(record.id),
            gateway=IPv4Interface(f"{lease.gateway}/{lease.control.prefixlen}"),
            uplink=lease.uplink,
            internet=record.settings.internet,
            udp=(DNS_PORT,),
            tcp=(DNS_PORT, PROXY_PORT, NFS_PORT),
        )
    )
    served = sharing.served(place)
    bed.home.templates.mkdir(mode=0o755, parents=True, exist_ok=True)
    substrate = LocalSubstrate(
        runtime=place.runtime,
        folder=place.folder,
        shared={"images": bed.home.images, "templates": bed.home.templates, **sharing.by_name(served)},
        cgroup=place.cgroup,
        hub=hub,
    )
    gateway.start_gateway(place, bed.home, record.settings, bed.config, plans, lease)
    if any(machine.kind == "qemu" for pnode_plan in plans for machine in pnode_plan.machines):
        sharing.start_server(place, served)
    for pnode_plan in plans:
        substrate.acquire(_request(pnode_plan))
    hub.introduce((m.control.address, m.control.mac) for pnode_plan in plans for m in pnode_plan.machines)


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
    plans = written(place)
    build(bed, place, record, plans, lease)
    start_keeper(place, bed.home, record.settings, bed.config)
    statuses = ask_keeper(place, [Request("status")], APPLY_S)[0]
    down = sorted(node for node, (boot, _) in statuses.items() if boot != "booted")
    if down:
        progress.step(f"bringing back {', '.join(down[:5])}{' and others' if len(down) > 5 else ''}")
        ask_keeper(place, [Request("apply", {"revive": True})], APPLY_S)
        _await(bed, place, plans, (), progress)
    publish(bed, place, record)
