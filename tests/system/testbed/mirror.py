"""A package archive on this host's loopback that looks like Ubuntu's, made of Debian's packages."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from benito.images.recipe import DEBIAN_KERNEL, UBUNTU_KERNEL
from benito.images.sources import archives, find_sources

SUITE = "noble"
DEPENDING = f"""Package: {UBUNTU_KERNEL}
Version: 1
Architecture: amd64
Maintainer: Nobody <nobody@localhost>
Depends: {DEBIAN_KERNEL}
Description: stands for the kernel of another distribution
"""


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, argv)], check=True, text=True, capture_output=True, timeout=900, env=env)
    return done.stdout


def fetch(packages: tuple[str, ...], work: Path) -> list[Path]:
    """Return the packages, with all that they need, as files."""
    root, listing = work / "root", work / "sources.list"
    listing.write_text(find_sources("bookworm", ("main",), archives("debian")).entries(private=True))
    kept = ("--skip=essential/unlink", "--skip=cleanup/apt", "--skip=check/empty")
    hooks = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
    wanted = ",".join((DEBIAN_KERNEL, *packages))
    fast = ("--variant=apt", "--format=directory", "--dpkgopt=force-unsafe-io")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "INITRD": "No", "DEBIAN_FRONTEND": "noninteractive"}
    argv = ("mmdebstrap", "--mode=root", *fast, *kept, hooks, f"--include={wanted}", "bookworm", root, listing)
    run(*argv, env=environment)
    return sorted((root / "var/cache/apt/archives").glob("*.deb"))


def make(folder: Path, work: Path, packages: tuple[str, ...]) -> Path:
    """Make the archive in `folder` and return the file with its key."""
    pool = folder / "pool"
    pool.mkdir(parents=True)
    debs = [deb.rename(pool / deb.name) for deb in fetch(packages, work)]
    control = work / "kernel/DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(DEPENDING)
    debs.append(pool / f"{UBUNTU_KERNEL}_1_amd64.deb")
    run("dpkg-deb", "-b", work / "kernel", debs[-1])
    # Every second package is in the other component: both have to be read.
    parts = {"main": debs[::2], "universe": debs[1::2]}
    dists = folder / "dists" / SUITE
    sums = []
    for component, files in parts.items():
        index = dists / component / "binary-amd64/Packages"
        index.parent.mkdir(parents=True)
        index.write_text("\n".join(_stanza(deb, folder) for deb in files))
        data = index.read_bytes()
        sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {index.relative_to(dists)}")
    fields = f"Origin: Ubuntu\nLabel: Ubuntu\nSuite: {SUITE}\nVersion: 24.04\nCodename: {SUITE}\n"
    fields += "Date: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main universe\nSHA256:\n"
    (dists / "Release").write_text(fields + "\n".join(sums) + "\n")
    return _sign(dists, work)


def _stanza(deb: Path, folder: Path) -> str:
    data = deb.read_bytes()
    where = f"Filename: {deb.relative_to(folder)}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    return run("dpkg-deb", "-f", deb).rstrip("\n") + "\n" + where


def _sign(dists: Path, work: Path) -> Path:
    home, key = work / "gpg", work / "archive.gpg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
    run(*gpg, "--passphrase", "", "--quick-generate-key", "stand-in@localhost", "rsa2048", "sign", "never")
    run(*gpg, "--clearsign", "-o", dists / "InRelease", dists / "Release")
    run(*gpg, "--export", "-o", key)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=30)
    return key


class Silent(SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, format: str, *words: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the archive on the loopback for a while."""
    handler = partial(Silent, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
