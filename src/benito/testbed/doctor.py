"""What this host can do for experiments, and what stands in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from benito.agent import cgroup
from benito.errors import BenitoError, HostError
from benito.run import PACKAGES, require
from benito.testbed import names
from benito.testbed.testbed import Testbed

LOW_DISK_MIB = 4096
OPTIONAL = {
    "mmdebstrap": "images can't be built here",
    "mke2fs": "images can't be built here",
    "rsvg-convert": "`benito graph` can't make PNG files",
    "ganesha.nfsd": "virtual machines have no shared folders",
    "bindfs": "virtual machines have no shared folders",
    "lz4": "kernels packed by lz4, as Debian's, can't be unpacked",
    "zstd": "archives and kernels packed by zstd can't be unpacked",
}
"""Programs that few experiments need, and what is missing without each."""
FOR_CONTAINERS = ("runc", "catatonit")
"""Programs that another check looks at."""


class Grade(StrEnum):
    """How a check came out."""

    GOOD = "good"
    NOTE = "note"
    """Works, but another way than one might expect."""
    BAD = "bad"
    """Experiments can't run until it's mended."""


class Check(msgspec.Struct, frozen=True):
    """One thing looked at."""

    what: str
    grade: Grade
    found: str
    hint: str = ""


def examine(bed: Testbed) -> Iterator[Check]:
    """Look at everything that experiments need; changes nothing but scratch things that vanish again."""
    checks: tuple[Callable[[], Check], ...] = (
        _root,
        _programs,
        lambda: _containers(bed),
        lambda: _accelerator(bed),
        _shaping,
        _cgroups,
        _tun,
        _forwarding,
        _packages,
        lambda: _folders(bed),
        _names,
        _ssh,
        lambda: _image(bed),
        lambda: _room(bed),
    )
    for check in checks:
        try:
            yield check()
        except BenitoError as error:
            yield Check("check", Grade.BAD, error.message, error.hint)


def _root() -> Check:
    if os.geteuid() == 0:
        return Check("root", Grade.GOOD, "yes")
    return Check("root", Grade.BAD, "no", "experiments change the host's network: run benito with sudo")


def _programs() -> Check:
    wanted = [program for program in PACKAGES if program not in FOR_CONTAINERS]
    missing = [program for program in wanted if shutil.which(program) is None]
    if not missing:
        return Check("programs", Grade.GOOD, "all there")
    packages = " ".join(sorted({PACKAGES[program] for program in missing}))
    lacks = dict.fromkeys(OPTIONAL[program] for program in missing if program in OPTIONAL)
    grade = Grade.NOTE if all(program in OPTIONAL for program in missing) else Grade.BAD
    found = f"missing: {', '.join(missing)}" + (f" ({', '.join(lacks)})" if lacks else "")
    return Check("programs", grade, found, f"apt-get install {packages}")


def _containers(bed: Testbed) -> Check:
    """Whether nodes that share the host's kernel can be made: a trial of the runtimes, whose answer is remembered."""
    from benito.machines import engine

    try:
        wanted = bed.config.container_runtime
        runtime = Path(engine.decide(bed.home.cache, wanted)).name if os.geteuid() == 0 else engine.installed(wanted)
        require("catatonit")
    except HostError as error:
        return Check("containers", Grade.NOTE, f"only virtual machines can run: {error.message}", error.hint)
    return Check("containers", Grade.GOOD, f"{runtime}, catatonit")


def _accelerator(bed: Testbed) -> Check:
    from benito.machines.accelerator import detect

    found = detect(bed.home.cache)
    if found.name == "kvm":
        return Check("accelerator", Grade.GOOD, "kvm")
    return Check("accelerator", Grade.NOTE, f"tcg: {found.reason}", "machines run in software, several times slower")


def _shaping() -> Check:
    from benito.network.shaping.choice import kernel_has_netem

    if kernel_has_netem():
        return Check("shaping", Grade.GOOD, "netem")
    return Check("shaping", Grade.NOTE, "userspace: this kernel has no sch_netem", "exact up to about 1 Gb/s a pnode")


def _cgroups() -> Check:
    if cgroup.unified():
        return Check("control groups", Grade.GOOD, "version 2")
    roots = cgroup.roots()
    if roots:
        return Check("control groups", Grade.GOOD, f"version 1: {', '.join(root.name for root in roots)}")
    return Check("control groups", Grade.BAD, f"none at {cgroup.MOUNT}", "mount cgroup2 there")


def _tun() -> Check:
    if Path("/dev/net/tun").exists():
        return Check("taps", Grade.GOOD, "/dev/net/tun")
    return Check("taps", Grade.BAD, "/dev/net/tun is missing", "modprobe tun")


def _forwarding() -> Check:
    from benito.network.host import UPLINK_POOL, forward_obstacle

    obstacle = forward_obstacle() if shutil.which("nft") else None
    if obstacle is None:
        return Check("way out", Grade.GOOD, "nothing forbids forwarding")
    return Check(
        "way out",
        Grade.NOTE,
        obstacle,
        f"nodes have names and packages, but no other way out, until that firewall lets {UPLINK_POOL} through: "
        "docs/software-in-nodes.md says how",
    )


def _packages() -> Check:
    """Where nodes get their packages."""
    from benito.gateway.archives import host_apt

    apt = host_apt()
    if not apt.archives:
        return Check(
            "packages",
            Grade.NOTE,
            "this host's apt has no archives: nodes reach public ones alone",
            "name others by `archives` in config.toml",
        )
    hosts = ", ".join(dict.fromkeys(archive.host for archive in apt.archives))
    return Check("packages", Grade.GOOD, f"nodes get theirs from {hosts}")


def _folders(bed: Testbed) -> Check:
    """Whether nodes can have folders of this host."""
    from benito.idmap import require_idmap

    what = "shared folders"
    if not Path("/dev/fuse").exists():
        return Check(what, Grade.NOTE, "/dev/fuse is missing: virtual machines have no shared folders", "modprobe fuse")
    if os.geteuid() == 0 and bed.home.root.exists():
        try:
            require_idmap(bed.home.root)
        except HostError as error:
            return Check(what, Grade.NOTE, error.message, error.hint)
    return Check(what, Grade.GOOD, "nodes can have this host's folders")


def _names() -> Check:
    if os.access(names.HOSTS, os.W_OK):
        return Check("names", Grade.GOOD, str(names.HOSTS))
    return Check("names", Grade.BAD, f"{names.HOSTS} can't be written", "names of nodes go there")


def _ssh() -> Check:
    """Whether ssh reads the drop-ins, and no setting of the person's own comes before them."""
    probe = "node.probe.benito"
    try:
        said = subprocess.run(["ssh", "-G", probe], capture_output=True, text=True, timeout=10, check=False).stdout
    except OSError:
        return Check("ssh", Grade.BAD, "no ssh client", "apt-get install openssh-client")
    except subprocess.TimeoutExpired:
        return Check("ssh", Grade.NOTE, "the ssh client doesn't say its settings", "does `ssh -G localhost` end?")
    config = Path("/etc/ssh/ssh_config")
    if not config.exists() or str(names.SSH_DROPINS) not in config.read_text():
        return Check(
            "ssh",
            Grade.NOTE,
            f"{config} doesn't include {names.SSH_DROPINS}",
            f"add: Include {names.SSH_DROPINS}/*.conf",
        )
    words = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    if "HOME" in os.environ and words.get("userknownhostsfile", "").split()[:1] != [
        str(Path("~/.ssh/known_hosts").expanduser())
    ]:
        return Check(
            "ssh",
            Grade.NOTE,
            f"your own ssh configuration sets UserKnownHostsFile {words.get('userknownhostsfile')} for every host",
            "plain ssh may ask about host keys; `benito ssh` doesn't",
        )
    return Check("ssh", Grade.GOOD, f"{names.SSH_DROPINS} is read")


def _image(bed: Testbed) -> Check:
    images = bed.catalog.images()
    if images:
        return Check("images", Grade.GOOD, ", ".join(image.name for image in images))
    return Check("images", Grade.NOTE, "none yet", "the first swap-in builds one, or `benito image build` does")


def _room(bed: Testbed) -> Check:
    from benito.substrate.local import host_facts

    host = host_facts(bed.home.root)
    found = f"{host.cores} cores, {host.memory_mib / 1024:.1f} GiB of memory, {host.disk_mib / 1024:.1f} GiB of disk"
    if host.disk_mib < LOW_DISK_MIB:
        return Check("room", Grade.BAD, found, f"free some disk at {bed.home.root}, or set BENITO_HOME")
    return Check("room", Grade.GOOD, found)
