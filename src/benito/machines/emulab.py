"""The files and tools by which programs made for Emulab and DETER know the node that they run on.

What depends on names of interfaces (`/var/emulab/boot/{controlif,ifmap}`) is written by the node itself at each boot.
"""

from __future__ import annotations

from importlib.resources import files
from ipaddress import IPv4Network

from benito.machines.files import Files
from benito.plan.model import Inside, Machine

BOOT = "var/emulab/boot"
TOOLS = "usr/local/etc/emulab"
PROGRAMS = ("emulab-sync", "emulab-syncd", "findif", "startcmddone", "tmcc")
PATHS = "etc/emulab/paths.sh"
FOLDERS = ("local/logs", "var/emulab/logs", "var/emulab/lock", "var/emulab/db")
"""Where everybody may write."""
LINKS = {
    "usr/local/bin/emulab-sync": "../etc/emulab/emulab-sync",
    "usr/testbed/bin/emulab-sync": "../../local/etc/emulab/emulab-sync",
    "var/containers/config/hosts": "../../../etc/hosts",
}


def nickname(node: str, experiment: str) -> str:
    """Return the name by which the testbed's tools call a node: `node.eid.pid`."""
    pid, _, eid = experiment.partition("/")
    return f"{node}.{eid}.{pid}"


def add_own(target: Files, machine: Machine, experiment: str, inside: Inside, creator: str) -> None:
    """Put what tells of this node alone; `creator` is the account whose experiment it is."""
    control = machine.control
    name = nickname(machine.node, experiment)
    network = IPv4Network((control.address, control.prefix), strict=False)
    target.file(f"{BOOT}/nickname", f"{name}\n")
    target.file(f"{BOOT}/realname", f"{name}\n")
    target.file(f"{BOOT}/nodeid", f"{machine.node}\n")
    target.file(f"{BOOT}/myip", f"{control.address}\n")
    target.file(f"{BOOT}/mynetmask", f"{network.netmask}\n")
    for role in ("creator", "swapper"):
        target.file(f"{BOOT}/{role}", f"{creator}\n")
    if control.gateway:
        target.file(f"{BOOT}/routerip", f"{control.gateway}\n")
    if inside.sync_server:
        target.file(f"{BOOT}/syncserver", f"{nickname(inside.sync_server, experiment)}\n")
    # Such folders may lie in the node's memory, where nothing shared can be.
    for path, text in inside.files.items():
        if path.startswith(BOOT):
            target.file(path, text)


def add_shared(target: Files, experiment: str, inside: Inside) -> None:
    """Put what all nodes of an experiment have alike."""
    pid, _, eid = experiment.partition("/")
    target.file("var/containers/config/pid_eid", f"{pid}\n{eid}\n")
    target.file("var/containers/pid", f"{pid}\n")
    target.file("var/containers/eid", f"{eid}\n")
    for path, text in inside.files.items():
        if not path.startswith(BOOT):
            target.file(path, text)


def add_programs(target: Files) -> None:
    """Put what the nodes of all experiments have alike."""
    for path, link in LINKS.items():
        target.link(path, link)
    for path in FOLDERS:
        target.folder(path, mode=0o1777)
    folder = files("benito.machines").joinpath("inside/emulab")
    target.file(PATHS, folder.joinpath("paths.sh").read_text())
    for program in PROGRAMS:
        target.file(f"{TOOLS}/{program}", folder.joinpath(program).read_text(), mode=0o755)
