"""What changes between two sets of plans, in words: for dry runs and for changing an experiment that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any

from benito.plan.model import Direction, Inside, Machine, PnodePlan


class Verb(StrEnum):
    """What happens to a thing."""

    ADD = "add"
    REMOVE = "remove"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `str` says it in a line."""

    verb: Verb
    what: str
    """`pnode pnode-0001`, `machine node-3`, `LAN big-lan`."""
    details: tuple[str, ...] = ()
    """`memory_mib 256 -> 512`."""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}" + (f": {', '.join(self.details)}" if self.details else "")


def differences(before: Sequence[PnodePlan], after: Sequence[PnodePlan]) -> tuple[Change, ...]:
    """Return what has to change, in the order pnodes, machines, LANs, experiment; nothing when all stays."""
    return (
        *_compare("pnode", _pnodes(before), _pnodes(after)),
        *_compare("machine", _machines(before), _machines(after)),
        *_compare("LAN", _lans(before), _lans(after)),
        *_common(before, after),
    )


Facts = Mapping[str, Mapping[str, Any]]
"""Thing -> name of a fact -> its value."""


def _compare(kind: str, before: Facts, after: Facts) -> Iterator[Change]:
    for name in before:
        if name not in after:
            yield Change(Verb.REMOVE, f"{kind} {name}")
    for name, facts in after.items():
        if name not in before:
            yield Change(Verb.ADD, f"{kind} {name}")
        elif facts != before[name]:
            yield Change(Verb.CHANGE, f"{kind} {name}", tuple(_details(before[name], facts)))


def _details(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for fact in dict.fromkeys((*before, *after)):
        old, new = before.get(fact), after.get(fact)
        if old != new:
            yield f"{fact} {_show(old)} -> {_show(new)}"


def _show(value: Any) -> str:
    """Return a value in a few words."""
    if value is None or value == "":
        return "none"
    if isinstance(value, Direction):
        return _direction(value)
    return str(value)


def _direction(direction: Direction) -> str:
    """Return what a direction does, as `5 ms 1000 kb/s 1% loss`."""
    parts = [
        f"{direction.delay_ms:g} ms" if direction.delay_ms else "",
        f"{direction.rate_kbps} kb/s" if direction.rate_kbps else "",
        f"{direction.loss:.3g} loss" if direction.loss else "",
        f"queue {direction.queue_limit}{' B' if direction.queue_in_bytes else ''}" if direction.rate_kbps else "",
        "RED" if direction.red else "",
    ]
    return " ".join(part for part in parts if part) or "unshaped"


def _pnodes(plans: Sequence[PnodePlan]) -> Facts:
    return {plan.pnode: {"underlay": plan.underlay.address, "incarnation": plan.incarnation} for plan in plans}


def _machines(plans: Sequence[PnodePlan]) -> Facts:
    return {machine.node: {"pnode": plan.pnode, **_machine(machine)} for plan in plans for machine in plan.machines}


def _machine(machine: Machine) -> Mapping[str, Any]:
    """Return a machine's facts; its interfaces one by one, its routes as a whole."""
    facts = {field.name: getattr(machine, field.name) for field in fields(machine)}
    # How it comes up makes it no other machine.
    facts.pop("template")
    facts["image"] = f"{machine.image.name}@{machine.image.digest}"
    facts["control"] = f"{machine.control.address} {machine.control.mac} by {machine.control.gateway}"
    for nic in facts.pop("nics"):
        size = "large frames" if nic.large_frames else "small frames"
        facts[f"interface {nic.port}"] = f"{nic.lan} {nic.address}/{nic.prefix} {nic.mac} {size}"
    if machine.software is not None:
        facts["software"] = machine.software.bundle[:12]
    facts["routes"] = _table(tuple((route.destination, route.via) for route in facts.pop("routes")))
    return facts


def _table(routes: tuple[tuple[str, str], ...]) -> str:
    """Return how many routes there are, with a few characters that tell tables of the same size apart."""
    return f"{len(routes)} ({sha256(repr(routes).encode()).hexdigest()[:6]})" if routes else "none"


def _lans(plans: Sequence[PnodePlan]) -> Facts:
    """Return what each LAN is made of, on whichever pnode."""
    lans: dict[str, dict[str, Any]] = {}
    for plan in plans:
        for bridge in plan.bridges:
            lans.setdefault(bridge.lan, {})[f"ports on {plan.pnode}"] = " ".join(bridge.ports)
        for wire in plan.wires:
            facts = lans.setdefault(wire.lan, {})
            facts[f"{plan.pnode} {wire.a} to {wire.b}"] = wire.forward
            facts[f"{plan.pnode} {wire.b} to {wire.a}"] = wire.backward
        for tunnel in plan.tunnels:
            ends = " ".join(remote.address for remote in tunnel.remotes)
            lans.setdefault(tunnel.lan, {})[f"tunnel on {plan.pnode}"] = f"{tunnel.vni} to {ends}"
    return dict(sorted(lans.items()))


def _common(before: Sequence[PnodePlan], after: Sequence[PnodePlan]) -> Iterator[Change]:
    """Yield what all pnodes share and has changed."""
    if not before or not after:
        return
    if before[0].hosts != after[0].hosts:
        old, new = (set(plans[0].hosts.splitlines()) for plans in (before, after))
        yield Change(Verb.CHANGE, "hosts file", (f"{len(new - old)} lines more", f"{len(old - new)} lines less"))
    if before[0].accounts != after[0].accounts:
        names = [", ".join(account.name for account in plans[0].accounts) for plans in (before, after)]
        yield Change(Verb.CHANGE, "accounts", (f"{_show(names[0])} -> {_show(names[1])}",))
    if changed := tuple(_inside(before[0].inside, after[0].inside)):
        yield Change(Verb.CHANGE, "all nodes", changed)


def _inside(before: Inside, after: Inside) -> Iterator[str]:
    """Yield what nodes find inside that is other than before; their files tell only what other changes say."""
    if before.environment != after.environment:
        yield "environment of start commands"
    if before.sync_server != after.sync_server:
        yield f"sync server {_show(before.sync_server)} -> {_show(after.sync_server)}"
