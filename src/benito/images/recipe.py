"""What goes into a Debian 12 node image: packages, and what is switched off so that it boots in seconds.

Everything here counts in the image's digest, as do the files under `debian12/`.
"""

from __future__ import annotations

RELEASE = "bookworm"
DESCRIPTION = "Debian 12 (bookworm), tuned to boot in seconds"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
DISK_SIZE = "8G"
DEFAULT_MEMORY_MIB = 256

PACKAGES = (
    KERNEL_PACKAGE,
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
    "kmod-static-nodes.service",
    # Disks and file systems: one disk, checked and mounted by the initrd.
    "systemd-fsck-root.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    "systemd-growfs-root.service",
    "systemd-boot-system-token.service",
    "e2scrub_reap.service",
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
)
"""Arguments every machine of the image gets; Benito adds the machine's own."""
