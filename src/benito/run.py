"""Programs that Benito runs to their end: argv lists, no shell, always a deadline."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benito.errors import HostError

DEADLINE_S = 60.0
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "nft": "nftables",
    "ssh-keygen": "openssh-client",
    "ssh": "openssh-client",
    "tclsh": "tcl",
    "ip": "iproute2",
    "runc": "runc",
    "catatonit": "catatonit",
    "debugfs": "e2fsprogs",
    "ganesha.nfsd": "nfs-ganesha-vfs",
    "bindfs": "bindfs",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "rsvg-convert": "librsvg2-bin",
    "lz4": "lz4",
    "zstd": "zstd",
}
"""Which Debian package brings a program."""
FOR_IMPORTS = {"xorrisofs": "xorriso", "skopeo": "skopeo", "umoci": "umoci"}
"""The same for programs that only the import of some images needs."""


def require(*programs: str) -> None:
    """HostError, with the packages that bring them, unless all these programs are installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = " ".join(sorted({{**PACKAGES, **FOR_IMPORTS}.get(program, program) for program in missing}))
        raise HostError(f"not installed: {', '.join(missing)}", hint=f"apt-get install {packages}")


def checked(argv: Sequence[str | os.PathLike[str]], *, stdin: str | None = None, deadline_s: float = DEADLINE_S) -> str:
    """Run a program and return its standard output.

    HostError when it is missing, fails (with what it said) or outlives the deadline.
    """
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except FileNotFoundError:
        package = PACKAGES.get(Path(words[0]).name)
        hint = f"apt-get install {package}" if package else "install it, or see `benito doctor`"
        raise HostError(f"the program {words[0]} is not installed", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{' '.join(words)} didn't end within {deadline_s:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise HostError(f"{' '.join(words)} failed: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout
