"""Installs a system's packages into a folder, by mmdebstrap."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benito.errors import HostError
from benito.images import recipe
from benito.images.recipe import Recipe
from benito.images.sources import KEYRING_PACKAGES, KEYRINGS, Sources, transport_options

_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_WITHOUT_THE_PACKAGE = frozenset({"buster", "bullseye", "bionic", "focal", "jammy"})
"""Releases before the package `usr-is-merged`, which mmdebstrap's own hook needs."""
_MERGE = 'for f in bin sbin lib lib64; do mkdir -p "$1/usr/$f" && ln -s "usr/$f" "$1/$f"; done'
_FAREWELL = re.compile(r"^(?:I: main\(\) received signal|E: mmdebstrap failed to run).*\n?", re.MULTILINE)
"""What mmdebstrap's first process says, after its second said what went wrong."""
_INSIDE = "usr/lib/benito-customize"
"""Where the person's script lies in the new system while it runs."""


class IncompleteError(HostError):
    """The archive's index names a package that it doesn't have: a mirror in the middle of its update, or an old
    release whose updates are being taken away."""


def install(made: Recipe, root: Path, work: Path, sources: Sources, keyring: Path | None = None) -> None:
    """Install the recipe's packages into the new folder `root`; HostError says why that fails."""
    log = work / "packages.log"
    settings = work / "apt.conf"
    settings.write_text("\n".join([*transport_options(), *_credentials(), 'Acquire::Languages "none";', ""]))
    listing = work / "sources.list"
    listing.write_text(sources.entries(private=True))
    listing.chmod(0o600)
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        "--architectures=amd64",
        "--skip=check/empty",
        f"--aptopt={settings}",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/{pattern}" for pattern in recipe.UNWANTED_FILES),
        *(f"--dpkgopt=path-include=/{pattern}" for pattern in recipe.KEPT_FILES),
        f"--include={','.join((made.kernel, *made.packages))}",
        *_merging(made.suite),
        *(f"--keyring={file}" for file in _keyrings(made.distribution, keyring)),
        *_customizing(made, work),
        made.suite,
        str(root),
        str(listing),
    ]
    # The kernel package would have a stock initrd made, which takes longer than all the rest of its installation.
    _run_contained(command, log, {"INITRD": "No", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def _keyrings(distribution: str, own: Path | None) -> Iterator[Path]:
    """Yield the files of the keys that the archive is to be signed with."""
    if own is not None:
        yield own.resolve()
        return
    known = KEYRINGS.get(distribution)
    if known is not None and not known.exists():
        package = KEYRING_PACKAGES[distribution]
        raise HostError(f"the keys of {distribution.capitalize()}'s archive are missing", hint=f"apt install {package}")
    if known is not None:
        yield known


def _merging(suite: str) -> list[str]:
    """Return the options by which /bin, /sbin and /lib become links, as every release since Debian 10 expects."""
    if suite in _WITHOUT_THE_PACKAGE:
        return [f"--setup-hook={_MERGE}"]
    return [f"--hook-dir={_HOOKS}"] if _HOOKS.is_dir() else []


def _customizing(made: Recipe, work: Path) -> list[str]:
    """Return the options that have the person's script run in the new system, after its packages are there."""
    if not made.customize:
        return []
    script = work / "customize"
    script.write_text(made.customize)
    inside = f'"$1"/{_INSIDE}'
    run = f'install -m 755 {shlex.quote(str(script))} {inside} && chroot "$1" /{_INSIDE} && rm -f {inside}'
    return [f"--customize-hook={run}"]


def _credentials() -> list[str]:
    """Return apt settings that let the build read the host's own credentials for its archives."""
    if any(Path("/etc/apt/auth.conf.d").glob("*.conf")) or Path("/etc/apt/auth.conf").exists():
        return ['Dir::Etc::netrc "/etc/apt/auth.conf";', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";']
    return []


def _run_contained(command: Sequence[str], log: Path, variables: dict[str, str]) -> None:
    """Run a command in mount and process namespaces of its own, which end with it and with this process.

    So no mount in the new root and no child outlives a failure, Ctrl-C or SIGKILL.
    """
    contained = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*contained, "--mount-proc", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=3600)
        except subprocess.TimeoutExpired as error:
            raise HostError(f"{command[0]} took more than an hour", hint="is the package archive reachable?") from error
        finally:
            process.kill()
            process.wait()
    if status != 0:
        raise _explained(command[0], log.read_text(errors="replace"))


def _explained(program: str, log: str) -> HostError:
    """Say in one sentence why the packages could not be installed."""
    hint = "does `apt-get update` work on this host?"
    if any(text in log for text in ("Could not resolve", "Could not connect", "Temporary failure resolving")):
        return HostError("the package archive can't be reached", hint="check the network and apt's proxy settings")
    if re.search(r"^Err:.*\n +404 ", log, re.MULTILINE):
        missing = re.findall(r"Failed to fetch \S*/(\S+?)_\S* ", log)
        return IncompleteError(f"the archive lacks {', '.join(missing) or 'packages'} that its index names", hint=hint)
    if "No space left on device" in log:
        return HostError("the disk is full", hint="make room under Benito's home")
    unknown = re.findall(r"^E: Unable to locate package (\S+)", log, re.MULTILINE)
    unknown += re.findall(r"^E: Package '(\S+)' has no installation candidate", log, re.MULTILINE)
    if unknown:
        return HostError(f"the archive has no package {', '.join(unknown)}", hint="see `apt-cache search` for its name")
    log = _FAREWELL.sub("", log)
    if _INSIDE in log.rpartition("I: ")[2]:
        return HostError(f"the script of --customize failed: {_last_line(log)}", hint="it runs as root in the image")
    errors = [line for line in log.splitlines() if line.startswith(("E:", "W:", "dpkg: error"))]
    errors = [line for line in errors if not line.startswith("E: setup failed")] or errors
    last = errors[-1].strip() if errors else _last_line(log)
    return HostError(f"{program} failed: {last}", hint=hint)


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("I:", "E:"))]
    return lines[-1].strip() if lines else "it said nothing"
