"""Images for containers, from a system in an archive: a root file system, or what container tools save."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from benito import run
from benito.errors import InputError
from benito.images import foreign
from benito.images.catalog import ARCHIVE

_DEADLINE_S = 1800
_TAG = "benito"
_NEEDED = {"ip": ("iproute2", "usr/sbin/ip", "usr/bin/ip", "sbin/ip", "bin/ip")}
_WANTED = {"sshd": ("openssh-server", "usr/sbin/sshd", "usr/bin/sshd", "usr/local/sbin/sshd")}


def is_archive(file: Path) -> bool:
    """Whether it is a tar archive, not compressed."""
    return tarfile.is_tarfile(file)


def make(source: Path, work: Path, image: Path, progress: Callable[[str], None]) -> dict[str, str]:
    """Make the image's archive from a tar archive, or from a folder in OCI layout; returns the system's os-release.

    InputError when no container can be a node with it.
    """
    root = work / "root"
    if source.is_dir():
        _unpack_oci(source, _only_tag(source), root)
    elif (kind := _kind(source)) == "rootfs":
        progress("unpacking the system")
        root.mkdir()
        _tar("-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", str(source))
    else:
        progress("putting the image's layers together")
        run.require("skopeo", "umoci")
        layout = work / "oci"
        argv = ["skopeo", "copy", "--quiet", "--insecure-policy", f"{kind}:{source}", f"oci:{layout}:{_TAG}"]
        run.checked(argv, deadline_s=_DEADLINE_S)
        _unpack_oci(layout, _TAG, root)
    facts = _examine(root, progress)
    pack(root, image)
    return facts


def pack(root: Path, image: Path) -> None:
    """Make the archive of an image that has no disk."""
    options = ("-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name")
    _tar(*options, "-cf", str(image / ARCHIVE), ".")


def unpack(archive: Path, root: Path) -> None:
    """Unpack an image's archive into a new folder."""
    root.mkdir(mode=0o755)
    _tar("-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", str(archive))


def _tar(*options: str) -> None:
    run.checked(["tar", *options], deadline_s=_DEADLINE_S)


def _kind(source: Path) -> str:
    """Return what an archive holds: `rootfs`, or what skopeo calls the others."""
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name == "oci-layout":
                return "oci-archive"
            if name in ("manifest.json", "repositories"):
                return "docker-archive"
            if name.partition("/")[0] in ("bin", "etc", "usr", "sbin"):
                return "rootfs"
    raise InputError(f"{source.name} holds neither a root file system nor a container image")


def _only_tag(layout: Path) -> str:
    import json

    manifests = json.loads((layout / "index.json").read_text()).get("manifests", [])
    tags = [each.get("annotations", {}).get("org.opencontainers.image.ref.name") for each in manifests]
    if len(tags) != 1 or not tags[0]:
        raise InputError(f"{layout} holds {len(tags)} images, or one without a name", hint="copy one with skopeo")
    return str(tags[0])


def _unpack_oci(layout: Path, tag: str, root: Path) -> None:
    run.require("umoci")
    run.checked(["umoci", "raw", "unpack", "--image", f"{layout}:{tag}", root], deadline_s=_DEADLINE_S)


def _examine(root: Path, progress: Callable[[str], None]) -> dict[str, str]:
    """Clear what two nodes must not share and return the os-release; InputError when something needed is missing."""
    if not _there(root, "bin/sh", "usr/bin/sh"):
        raise InputError("the system has no /bin/sh", hint="a node's configuration is applied by a shell script")
    for program, (package, *places) in _NEEDED.items():
        if not _there(root, *places):
            raise InputError(f"the system lacks the program {program}", hint=f"install {package} in it first")
    for program, (package, *places) in _WANTED.items():
        if not _there(root, *places):
            progress(f"the system has no {program}: nodes can't be reached by ssh until {package} is in it")
    for folder, pattern in (("etc/ssh", "ssh_host_*"), ("run", "*"), ("tmp", "*")):
        foreign.empty(root, folder, pattern)
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "var"):
        if not os.path.lexists(root / name):
            (root / name).mkdir()
    if (tmp := foreign.inside(root, "tmp")) is not None:
        tmp.chmod(0o1777)
    return os_release(_read(root, "etc/os-release") or _read(root, "usr/lib/os-release"))


def os_release(text: str) -> dict[str, str]:
    """Return what a file os-release(5) says."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _there(root: Path, *places: str) -> bool:
    """Whether one of the files is there; links count, wherever they lead."""
    return any(os.path.lexists(root / place) for place in places)


def _read(root: Path, name: str) -> str:
    path = foreign.inside(root, name)
    return path.read_text(errors="replace") if path is not None and path.is_file() else ""
