"""What goes into the node images that Benito builds, and what is switched off so that they boot in seconds.

A recipe's fields count in its digest, as do the files under `node/` and the modules that act on them (`digest`).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files

from benito.errors import InputError

DEBIAN_KERNEL = "linux-image-cloud-amd64"
UBUNTU_KERNEL = "linux-image-virtual"
DEFAULT_MEMORY_MIB = 256
DEFAULT_SIZE_MIB = 8192
LEAST_SIZE_MIB = 1024
"""Room for the packages below and little more."""
_ACTING = ("recipe.py", "tailor.py", "initrd.py", "kernel.py")
"""Modules whose code decides what an image contains."""

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "busybox-static",
    "kmod",
    "e2fsprogs",
    "procps",
    "qemu-guest-agent",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "netbase",
    "nfs-common",
    "iproute2",
    "iputils-ping",
    "traceroute",
    "tcpdump",
    "iperf3",
    "python3",
    "python-is-python3",
    "less",
    "nano",
)

UNWANTED_FILES = ("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*")
KEPT_FILES = ("usr/share/doc/*/copyright",)

MASKED_UNITS = (
    # Devices: there are none that the initrd hasn't set up; hot-plugged ones wake udev through its socket.
    "systemd-udev-trigger.service",
    "systemd-hwdb-update.service",
    "systemd-pstore.service",
    "systemd-rfkill.socket",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-udev-load-credentials.service",
    "kmod-static-nodes.service",
    # Disks and file systems: one disk, checked and mounted by the initrd.
    "systemd-fsck-root.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    "systemd-growfs-root.service",
    "systemd-boot-system-token.service",
    "e2scrub_reap.service",
    "tmp.mount",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    # First boots and updates: the image is as it should be.
    "systemd-firstboot.service",
    "systemd-sysusers.service",
    "systemd-machine-id-commit.service",
    "systemd-update-done.service",
    "systemd-journal-catalog-update.service",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrextend.socket",
    "systemd-pcrlock.socket",
    "systemd-hibernate-clear.service",
    "systemd-battery-check.service",
    "ldconfig.service",
    # Bookkeeping that a node of an experiment has no use for.
    "systemd-random-seed.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-journal-flush.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-user-sessions.service",
    "systemd-initctl.socket",
    "systemd-journald-audit.socket",
    "getty@tty1.service",
    "getty-static.service",
    # Timers would wake and load every node of an experiment at once.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "systemd-tmpfiles-clean.timer",
)

UNSTARTED_UNITS = (
    # The client of NFS version 4 needs none of them; a mount of an older version starts what it needs.
    "nfs-client.target",
    "nfs-blkmap.service",
    "rpcbind.service",
    "rpcbind.socket",
)
"""Units that wait until somebody starts them."""

MASKED_GENERATORS = (
    # These three are started by a generator of ours, if there is something for them to do.
    "systemd-fstab-generator",
    "systemd-rc-local-generator",
    "systemd-sysv-generator",
    # These have nothing to do in a node.
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-veritysetup-generator",
    "systemd-bless-boot-generator",
    "systemd-factory-reset-generator",
    "systemd-import-generator",
    "systemd-ssh-generator",
    "systemd-tpm2-generator",
    "nfs-server-generator",
    "rpc-pipefs-generator",
)

DROPPED_WANTS = (
    # Started when something asks for them, through a socket or the bus (`shutdown` asks for logind).
    "sysinit.target.wants/systemd-udevd.service",
    "multi-user.target.wants/dbus.service",
    "multi-user.target.wants/systemd-logind.service",
)

MASKED_TMPFILES = ("systemd-nologin.conf", "x11.conf", "provision.conf", "systemd-pstore.conf")

ENABLED_UNITS = {
    "qemu-guest-agent.service": "sysinit.target.wants",
    "benito.service": "sysinit.target.wants",
    "benito-start.path": "multi-user.target.wants",
    "serial-getty@ttyS0.service": "multi-user.target.wants",
    "ssh.socket": "sockets.target.wants",
}
DISABLED_UNITS = ("multi-user.target.wants/ssh.service", "sysinit.target.wants/systemd-pstore.service")

KERNEL_COMMAND_LINE = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 mitigations=off cryptomgr.notests net.ifnames=0 nomodeset panic=-1"
    " tsc=nowatchdog"
)
"""Arguments every machine of the image gets; Benito adds the machine's own. A kernel that compares its clock with
another twice a second wakes an idle machine as often."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one image is built."""

    name: str
    title: str
    """The system in a person's words."""
    distribution: str
    """`debian` or `ubuntu`."""
    release: str
    suite: str
    components: tuple[str, ...] = ("main",)
    kernel: str = DEBIAN_KERNEL
    packages: tuple[str, ...] = PACKAGES
    size_mib: int = DEFAULT_SIZE_MIB
    """Of the disk."""
    memory_mib: int = DEFAULT_MEMORY_MIB
    """Of a machine whose experiment doesn't say."""
    customize: str = ""
    """A script run in the new system after its packages are there; empty for none."""

    @property
    def description(self) -> str:
        return f"{self.title}, tuned to boot in seconds"

    @property
    def digest(self) -> str:
        """SHA-256 over all that decides what the image contains, but for the packages' own versions."""
        total = hashlib.sha256(repr(sorted(asdict(self).items())).encode())
        for module in _ACTING:
            total.update(files("benito.images").joinpath(module).read_bytes())
        with as_file(files("benito.images").joinpath("node")) as folder:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
        return total.hexdigest()


def _debian(name: str, release: str, suite: str, title: str) -> Recipe:
    return Recipe(name, title, "debian", release, suite)


def _ubuntu(release: str, suite: str) -> Recipe:
    title = f"Ubuntu {release} ({suite})"
    components = ("main", "universe")
    return Recipe(f"ubuntu-{release}", title, "ubuntu", release, suite, components, UBUNTU_KERNEL)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _debian("debian-11", "11", "bullseye", "Debian 11 (bullseye)"),
        _debian("debian-12", "12", "bookworm", "Debian 12 (bookworm)"),
        _debian("debian-13", "13", "trixie", "Debian 13 (trixie)"),
        _debian("debian-14", "14", "forky", "Debian 14 (forky), not released yet"),
        _debian("debian-sid", "sid", "sid", "Debian unstable (sid)"),
        _ubuntu("22.04", "jammy"),
        _ubuntu("24.04", "noble"),
    )
}
"""By name."""


def named(name: str) -> Recipe:
    """Return the recipe of this name; InputError when there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        raise InputError(
            f"there is no recipe for an image {name}",
            hint=f"there are {', '.join(RECIPES)}; `--suite` makes one of your own",
        ) from None


def of_suite(name: str, suite: str, distribution: str, version: str) -> Recipe:
    """Return a recipe for any suite of a distribution, as its archive names both."""
    known = next((recipe for recipe in RECIPES.values() if suite in (recipe.suite, recipe.release)), None)
    if known is not None and known.distribution == distribution:
        return replace(known, name=name)
    title = f"{distribution.capitalize()} {version} ({suite})" if version else f"{distribution.capitalize()} {suite}"
    if distribution == "ubuntu":
        return Recipe(name, title, distribution, version or suite, suite, ("main", "universe"), UBUNTU_KERNEL)
    return Recipe(name, title, distribution, version or suite, suite)
