"""The host as it is: everything that an experiment could leave behind, to be compared before and after."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

OTHERS = re.compile(r"t[0-9a-f]{6}-")
"""Namespaces of tests that may run beside these."""
SYSCTLS = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.bridge.bridge-nf-call-iptables")


def snapshot() -> dict[str, object]:
    """Return what can be seen of this host that Benito might change."""
    return {
        "processes": _processes(),
        "namespaces": sorted(path.name for path in Path("/run/netns").glob("*") if not OTHERS.match(path.name)),
        "interfaces": sorted(link["ifname"] for link in json.loads(_said("ip", "-json", "link"))),
        "addresses": _said("ip", "-brief", "address"),
        "routes": _said("ip", "route", "show", "table", "all"),
        "mounts": _mounts(),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/benito*")),
        "nft": _said("nft", "list", "ruleset"),
        "hosts": Path("/etc/hosts").read_text(),
        "ssh": sorted(path.name for path in Path("/etc/ssh/ssh_config.d").glob("*")),
        "runtime": sorted(path.name for path in Path("/run/benito").glob("*/")),
        "sysctls": {name: _sysctl(name) for name in SYSCTLS},
    }


def changes(before: dict[str, object]) -> dict[str, tuple[object, object]]:
    """Return what is other than it was: before and now."""
    now = snapshot()
    return {key: (before[key], now[key]) for key in before if before[key] != now[key]}


def _processes() -> list[str]:
    """Command lines of processes of experiments: ours, and machines, whose sockets are all under /run/benito."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        line = b" ".join(words).decode(errors="replace").strip()
        if "/run/benito/" in line or " -m benito." in line:
            found.append(f"{folder.name} {line[:120]}")
    return sorted(found)


def _mounts() -> list[str]:
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted(target for target in targets if not OTHERS.match(Path(target).name))


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text().strip() if path.exists() else None
