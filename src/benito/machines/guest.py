"""What happens inside a node: its configuration as one archive, brought in by one call and kept there.

The archive holds plain files (`etc/hosts`, keys, ...) and, under `var/lib/benito`, two scripts and `facts`, the plan's
words for them in shell syntax. `apply` sets what isn't a file (addresses, routes, accounts, clock); `start` reports
`booted` and runs the start command. The node itself runs both again at each later boot.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from secrets import token_hex
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from benito.errors import InputError, NodeError
from benito.machines import emulab
from benito.machines.files import Archive, Files
from benito.machines.guest_agent import ExecResult, GuestAgent
from benito.machines.node_channel import NodeChannel
from benito.plan.model import GATEWAY_MAC, Account, Inside, Machine

HOME = "/var/lib/benito"
"""The folder inside a node that holds what Benito keeps there."""
LOGS = "/var/benito/log"
NOTHING = Inside()
FIRST_UID = 20001
"""User id of the first account that has none of its own; the others follow."""

_ACCOUNT_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}", re.IGNORECASE)
_ASLEEP = "/run/benito-asleep"
"""What a clone has until it is itself; a machine that has booted by itself never has it."""
_BRING_IN = (
    f"umask 022; [ -d {HOME} ] || mkdir -p {HOME}; cat > {HOME}/configuration.tar && "
    f'tar -xpf {HOME}/configuration.tar -C / && exec /bin/sh {HOME}/apply first "$1" "$2"'
)


class UnfitError(NodeError):
    """A machine of this image can't be a template, today or any other day."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A machine's ssh host key, both halves as OpenSSH writes them."""

    private: str
    public: str

    @property
    def kind(self) -> str:
        """`ed25519`, `rsa` or `ecdsa`, as in the key's file name."""
        name = self.public.split(" ", 1)[0]
        return "ecdsa" if name.startswith("ecdsa-") else name.removeprefix("ssh-")


@dataclass(frozen=True, slots=True)
class BootState:
    """What a node has reported since its present boot; None: not yet."""

    boot_id: str | None = None
    start_exit: int | None = None


def machine_uuid(experiment: str, node: str) -> UUID:
    """Return the node's UUID, the same at every swap-in: SMBIOS shows it, and the machine-id is made of it."""
    return uuid5(NAMESPACE_URL, f"benito:{experiment.lower()}/{node.lower()}")


def configuration(
    machine: Machine,
    accounts: Sequence[Account],
    hosts: str,
    host_keys: Sequence[HostKey],
    experiment: str,
    inside: Inside = NOTHING,
    *,
    programs: bool = True,
) -> bytes:
    """Return the archive that makes a fresh machine the node of the plan; the same bytes for the same arguments.

    It holds the private host keys: keep it as secret as those. A clone has the `programs` already. InputError when an
    account's name can't be one.
    """
    bad = [account.name for account in accounts if not _ACCOUNT_NAME.fullmatch(account.name)]
    if bad:
        raise InputError(f"'{bad[0]}' cannot be an account on {machine.node}", hint="letters, digits, '_', '.', '-'")
    archive = Archive()
    # The first of all, for it tells the node's own start-up that the configuration comes from outside this time.
    archive.folder("run/benito")
    add_own(archive, machine, accounts, host_keys, experiment, inside)
    add_shared(archive, accounts, hosts, experiment, inside)
    if programs:
        add_programs(archive)
    return archive.close()


def add_own(
    target: Files,
    machine: Machine,
    accounts: Sequence[Account],
    host_keys: Sequence[HostKey],
    experiment: str,
    inside: Inside = NOTHING,
) -> None:
    """Put what is this node's alone; it holds the private host keys."""
    target.file("etc/hostname", f"{machine.node}\n")
    gateway = machine.control.gateway
    target.file("etc/resolv.conf", f"nameserver {gateway}\noptions timeout:2\n" if gateway else "")
    project, _, name = experiment.partition("/")
    people = _people(accounts)
    creator = people[0].name if people else "root"
    words = {"PID": project, "EID": name, "NODE": machine.node, "CREATOR": creator}
    target.file("etc/benito/node", "".join(f"{word}={shlex.quote(value)}\n" for word, value in words.items()))
    for key in host_keys:
        path = f"etc/ssh/ssh_host_{key.kind}_key"
        target.file(path, _ending(key.private), mode=0o600)
        target.file(f"{path}.pub", _ending(key.public))
    # The start command may hold what is nobody else's business.
    target.file("var/lib/benito/facts", facts(machine, people, experiment, inside), mode=0o600)
    if shares := [f"{'ro' if share.read_only else 'rw'} {share.target}" for share in inside.shares if share.served]:
        target.file("var/lib/benito/shares", "\n".join([f"{gateway} {machine.control.address}", *shares, ""]))
    emulab.add_own(target, machine, experiment, inside, creator)


def add_shared(
    target: Files, accounts: Sequence[Account], hosts: str, experiment: str, inside: Inside = NOTHING
) -> None:
    """Put what all nodes of an experiment have alike."""
    target.file("etc/hosts", _ending(hosts) if hosts else "127.0.0.1 localhost\n")
    _add_accounts(target, accounts, _people(accounts))
    emulab.add_shared(target, experiment, inside)


def add_programs(target: Files) -> None:
    """Put what every node of every experiment has alike."""
    target.folder("var/lib/benito")
    for program in ("apply", "start", "automount"):
        target.file(f"var/lib/benito/{program}", _program(program))
    target.folder("var/benito/log")
    target.link("var/containers/log", "../benito/log")
    emulab.add_programs(target)


def _program(name: str) -> str:
    return files("benito.machines").joinpath(f"inside/{name}").read_text()


def _people(accounts: Sequence[Account]) -> list[Account]:
    return [account for account in accounts if account.name != "root"]


def facts(machine: Machine, people: Sequence[Account], experiment: str, inside: Inside = NOTHING) -> str:
    """Return the plan's words for the scripts: assignments and functions in POSIX shell."""
    interfaces = [(machine.control.mac, f"{machine.control.address}/{machine.control.prefix}")]
    interfaces += [(nic.mac, f"{nic.address}/{nic.prefix}" if nic.address else "") for nic in machine.nics]
    routes = [f"route replace {route.destination} via {route.via}" for route in machine.routes]
    if machine.control.gateway:
        routes.insert(0, f"route replace default via {machine.control.gateway}")
    variables = {
        "node": machine.node,
        "experiment": experiment,
        "machine_id": machine_uuid(experiment, machine.node).hex,
        "forwarding": str(int(machine.forwarding)),
        "expected_interfaces": str(len(interfaces)),
        "routes": "".join(f"{route}\n" for route in routes),
        "user": people[0].name if people else "root",
        "start_command": machine.start_command or "",
        "startup": machine.startup or "",
        "larger_disk": "1" if machine.disk_mib else "",
        "control_mac": machine.control.mac.lower(),
        "gateway": machine.control.gateway,
        "gateway_mac": GATEWAY_MAC,
        "serves_barriers": "1" if machine.node == inside.sync_server else "",
        "software": machine.software.bundle if machine.software else "",
        "debs": " ".join(map(shlex.quote, machine.software.debs)) if machine.software else "",
    }
    project, _, name = experiment.partition("/")
    environment = {"PID": project, "EID": name, "NODE": machine.node, **inside.environment}
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += ["address_of() {", "    case $1 in"]
    lines += [f"        {mac.lower()}) address={shlex.quote(address)} ;;" for mac, address in interfaces]
    lines += ["        *) return 1 ;;", "    esac", "}", "make_accounts() {"]
    lines += [f"    account {shlex.quote(person.name)} {_uid(i, person)}" for i, person in enumerate(people)]
    lines += ["    :", "}", "set_environment() {"]
    lines += [f"    export {variable}={shlex.quote(value)}" for variable, value in environment.items()]
    lines += ["}", ""]
    return "\n".join(lines)


def _uid(number: int, person: Account) -> int:
    """Return the user id on the nodes: the person's own where it can be."""
    return person.uid or FIRST_UID + number


def _add_accounts(target: Files, accounts: Iterable[Account], people: Sequence[Account]) -> None:
    # Each key once, in the order of the accounts.
    everyone = dict.fromkeys(key for account in accounts for key in account.keys)
    target.folder("root/.ssh", mode=0o700)
    target.file("root/.ssh/authorized_keys", "".join(map(_ending, everyone)), mode=0o600)
    for number, person in enumerate(people):
        owner, home = _uid(number, person), f"home/{person.name}"
        target.folder(home, owner=owner)
        target.folder(f"{home}/.ssh", mode=0o700, owner=owner)
        target.file(f"{home}/.ssh/authorized_keys", "".join(map(_ending, person.keys)), mode=0o600, owner=owner)
    rules = "".join(f"{person.name} ALL=(ALL:ALL) NOPASSWD: ALL\n" for person in people)
    target.file("etc/sudoers.d/benito", rules, mode=0o440)


def _ending(text: str) -> str:
    return text.rstrip("\n") + "\n"


async def configure(agent: GuestAgent, node: str, archive: bytes, timeout: float = 120) -> None:
    """Bring the configuration into a machine that has booted and apply it; NodeError when something in it failed."""
    # The time is read last, so that it is as old as the way into the guest is long.
    argv = ["/bin/sh", "-c", _BRING_IN, "benito", token_hex(32), f"{time.time():.3f}"]
    _check(await agent.exec(argv, input=archive, timeout=timeout), node)


async def wake(channel: NodeChannel, archive: bytes, uuid: UUID, *, more: bool = False, quiet_s: float = 0) -> None:
    """Have a clone, which sleeps still, become a machine of its own with this configuration.

    All goes through the node's port, where a process of the template's waits: the guest agent would cost the guest more
    than the work itself. The node tells by itself when it is up, or what failed. `more`: whether the machine has a disk
    that its template hadn't. `quiet_s`: how long the journal can wait.
    """
    words = [
        token_hex(64),
        f"{time.time():.3f}",
        str(uuid4()),
        str(uuid),
        str(len(archive)),
        str(int(more)),
        f"{quiet_s:.0f}",
    ]
    await channel.put(f"{' '.join(words)}\n".encode() + archive)


async def asleep(agent: GuestAgent) -> bool:
    """Whether a machine is a clone that isn't itself yet."""
    return (await agent.exec(["test", "-e", _ASLEEP])).code == 0


async def deaf(agent: GuestAgent) -> bool:
    """Whether a machine is a clone that hasn't even heard that it should wake."""
    return (await agent.exec(["/bin/sh", "-c", f"[ -e {_ASLEEP} ] && [ ! -s {_ASLEEP} ]"])).code == 0


def _check(done: ExecResult, node: str) -> None:
    if done.code != 0:
        raise NodeError(f"{node} could not be configured: {_last_line(done) or f'exit status {done.code}'}")


# Those that are bound now would be bound again by each clone, which has its own addresses and features.
_FIND_CARDS = """
bus=/sys/bus/virtio
echo 0 > $bus/drivers_autoprobe && echo 1 > /sys/bus/pci/rescan && echo 1 > $bus/drivers_autoprobe || exit
cards=0
for device in $bus/devices/*/device; do
    read -r kind < $device
    [ "$kind" != 0x0001 ] || cards=$((cards + 1))
done
[ $cards = "$1" ] || { echo "it has found $cards of $1 cards" >&2; exit 1; }
"""


async def find_cards(agent: GuestAgent, count: int, timeout: float) -> None:
    """Have the guest of a template find network cards that it didn't boot with, and leave them to its clones.

    UnfitError when there aren't `count` of them afterwards, those that it had included.
    """
    done = await agent.exec(["/bin/sh", "-c", _FIND_CARDS, "benito", str(count)], timeout=timeout)
    if done.code != 0:
        raise UnfitError(_last_line(done) or f"its cards were not found: exit status {done.code}")


def _last_line(done: ExecResult) -> str:
    """Return the last that a command complained of."""
    return done.stderr.decode(errors="replace").strip().rpartition("\n")[2]


async def prepare_template(agent: GuestAgent, timeout: float) -> None:
    """Make the booted guest ready to be a template; UnfitError, with the reason, when its image can't be one."""
    done = await agent.exec(["/bin/sh", "-c", _program("sleep")], input=_for_templates(), timeout=timeout)
    if done.code != 0:
        raise UnfitError(_last_line(done) or f"its preparation ended with exit status {done.code}")


def _for_templates() -> bytes:
    """Return the archive of what each clone finds: all that waits in the template, and the nodes' programs."""
    archive = Archive()
    for program in ("clone", "wake", "journal"):
        archive.file(f"run/benito-{program}", _program(program))
    add_programs(archive)
    return archive.close()


def template_digest() -> str:
    """Return what tells templates apart that were made by different versions of the programs in them."""
    return sha256((_program("sleep") + _FIND_CARDS).encode() + _for_templates()).hexdigest()


async def read_state(agent: GuestAgent) -> BootState:
    """Return what the node has reported since its boot, for a host that may have missed it."""
    return parse_state((await agent.read_file(f"{HOME}/state")).decode(errors="replace"))


def parse_state(text: str) -> BootState:
    """Return the meaning of the node's `state` file; later lines win."""
    boot_id: str | None = None
    start_exit: int | None = None
    for line in text.splitlines():
        word, _, value = line.partition(" ")
        if word == "booted":
            boot_id, start_exit = value, None
        elif word == "start-exit" and value.isdigit():
            start_exit = int(value)
    return BootState(boot_id, start_exit)
