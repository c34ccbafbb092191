"""A throwaway guest with a kernel that has netem: Debian's cloud kernel and an initramfs of this host's own Python.

Nothing is installed and no disk is made: the kernel package is fetched and unpacked once (then kept in
BENITO_TEST_CACHE, else ~/.cache/benito-tests), the initramfs is written anew when what is in it has changed. The guest
runs pytest as its only job and tells the result on its serial console.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"
MODULES = (
    *("veth", "bridge", "vxlan", "tun"),
    *("sch_netem", "sch_tbf", "sch_red", "sch_ingress", "cls_u32", "act_mirred"),
    "overlay",
)
IMPORTED = frozenset(
    ("pytest", "_pytest", "py", "pytest_timeout", "pluggy", "iniconfig", "packaging", "pygments", "pyroute2", "msgspec")
)
PROGRAMS = ("nsenter", "ping", "crun", "sh", "cat", "true", "sleep")
END = "GUEST RESULT"
REPOSITORY = Path(__file__).parents[3]
DEADLINE_S = 280.0

_INIT = '''#!{python} -I
"""Process 1 of the guest."""
import ctypes, os, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
# A container leaves its root behind (pivot_root), which the kernel's first file system can't be.
os.mkdir("/new")
libc.mount(b"/", b"/new", None, 0x1000, None)
os.chdir("/new")
libc.mount(b"/new", b"/", None, 0x2000, None)
os.chroot(".")
for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp"),
                    ("cgroup2", "/sys/fs/cgroup")):
    os.makedirs(place, exist_ok=True)
    libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None)
console = os.open("/dev/console", os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(console, number)
for name in {modules!r}:
    with open("/modules/" + name, "rb") as module:
        if libc.syscall(313, module.fileno(), b"", 0):
            print("module", name, os.strerror(ctypes.get_errno()))
os.makedirs("/dev/net", exist_ok=True)
environment = {{"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/tmp", "PYTHONPATH": "/site:/repository/src",
               "PYTHONDONTWRITEBYTECODE": "1"}}
with open("/arguments") as words:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words.read().split("\\n")]
done = subprocess.run(argv, cwd="/repository", env=environment)
print("{end}", done.returncode, flush=True)
os.sync()
libc.reboot(0x4321FEDC)
'''


class UnavailableError(Exception):
    """The guest can't be built on this host, for the reason given."""


def run_tests(*arguments: str) -> tuple[int | None, str]:
    """Run pytest with these arguments in the guest; returns its exit status (None: it never ended) and the console."""
    cache = Path(os.environ.get("BENITO_TEST_CACHE") or Path.home() / ".cache" / "benito-tests")
    cache.mkdir(parents=True, exist_ok=True)
    kernel, modules = _kernel(cache)
    initrd = cache / f"initrd-{os.getpid()}"
    try:
        with initrd.open("wb") as archive:
            archive.write(_base(cache, modules).read_bytes())
            archive.writelines(_cpio(_project(arguments)))
        return _boot(kernel, initrd)
    finally:
        initrd.unlink(missing_ok=True)


def _boot(kernel: Path, initrd: Path) -> tuple[int | None, str]:
    # TCG: slower than KVM, but the same everywhere, and /dev/kvm may be there without working.
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "768"]
    argv += ["-kernel", str(kernel), "-initrd", str(initrd), "-serial", "stdio", "-sandbox", "on"]
    argv += ["-append", "console=ttyS0 quiet panic=-1 rdinit=/init mitigations=off nokaslr tsc=reliable"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, errors="replace"
        )
        console = done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        told = expired.stdout or b""
        return None, told.decode(errors="replace") if isinstance(told, bytes) else told
    result = re.search(rf"{END} (-?\d+)", console)
    return int(result[1]) if result else None, console


def _kernel(cache: Path) -> tuple[Path, Path]:
    """Return the kernel and its modules' folder, fetched with the host's own apt."""
    for program in ("apt-get", "apt-cache", "dpkg-deb", "qemu-system-x86_64", "ldd"):
        if not shutil.which(program):
            raise UnavailableError(f"this host has no {program}")
    told = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True, timeout=60, check=False)
    depends = re.search(r"Depends: (linux-image-\S+)", told.stdout)
    if not depends:
        raise UnavailableError(f"apt knows no {PACKAGE}")
    folder = cache / depends[1]
    if not folder.is_dir():
        fresh = cache / f"{depends[1]}-{os.getpid()}"
        fresh.mkdir()
        try:
            fetched = subprocess.run(
                ["apt-get", "download", depends[1]], cwd=fresh, capture_output=True, text=True, timeout=200, check=False
            )
            packages = list(fresh.glob("*.deb"))
            if not packages:
                raise UnavailableError(f"apt can't fetch {depends[1]}: {fetched.stderr.strip()[-200:]}")
            subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(fresh)], check=True, timeout=100)
            packages[0].unlink()
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    # From trixie on, modules live below /usr.
    modules = next(path for path in (folder / "lib/modules", folder / "usr/lib/modules") if path.is_dir())
    return next(folder.glob("boot/vmlinuz-*")), next(modules.iterdir())


def _base(cache: Path, modules: Path) -> Path:
    """Return the part of the initramfs that seldom changes: Python, its libraries, a few programs, kernel modules."""
    key = hashlib.sha256("\n".join((str(modules), sys.version, Path(__file__).read_text())).encode()).hexdigest()[:16]
    archive = cache / f"base-{key}.cpio"
    if not archive.exists():
        fresh = cache / f"base-{key}-{os.getpid()}"
        with fresh.open("wb") as file:
            file.writelines(_cpio(_system(modules)))
        fresh.rename(archive)
        for old in cache.glob("base-*.cpio"):
            if old != archive:
                old.unlink()
    return archive


Entry = tuple[str, int, bytes, int]
"""Path inside, mode, content, time of change."""


def _system(modules: Path) -> Iterator[Entry]:
    python = Path(os.path.realpath(sys.executable))
    needed = [*MODULES]
    order: list[tuple[str, bytes]] = []
    _load_order(modules, needed, order, set())
    for name, content in order:
        yield f"modules/{name}", stat.S_IFREG | 0o644, content, 0
    yield "bin", stat.S_IFLNK | 0o777, b"usr/bin", 0
    init = _INIT.format(python=python, modules=[name for name, _ in order], end=END)
    yield "init", stat.S_IFREG | 0o755, init.encode(), 0
    library = Path(sysconfig.get_path("stdlib"))
    skipped = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "pydoc_data"}
    skipped |= {"dist-packages", "site-packages"}
    yield from _tree(library, str(library), skipped)
    programs = [python, *(Path(found) for name in PROGRAMS if (found := shutil.which(name)))]
    extensions = [*library.glob("lib-dynload/*.so"), *_site().glob("msgspec/*.so")]
    for program in programs:
        yield _file(program, str(program))
    for shared in sorted(_libraries([*programs, *extensions])):
        yield _file(Path(shared), shared)


def _project(arguments: Iterable[str]) -> Iterator[Entry]:
    """The part that changes: Benito, its tests and what they import."""
    yield "arguments", stat.S_IFREG | 0o644, "\n".join(arguments).encode(), 0
    yield _file(REPOSITORY / "pyproject.toml", "/repository/pyproject.toml")
    yield from _tree(REPOSITORY / "src", "/repository/src", {"images", "testbed"})
    for tests in ("network", "agent"):
        yield from _tree(REPOSITORY / f"tests/system/{tests}", f"/repository/tests/system/{tests}", set())
    for path in sorted(_site().iterdir()):
        stem = re.split(r"[-.]", path.name)[0]
        if stem in IMPORTED:
            yield from (
                _tree(path, f"/site/{path.name}", set()) if path.is_dir() else [_file(path, f"/site/{path.name}")]
            )


def _site() -> Path:
    return Path(sysconfig.get_path("purelib"))


def _load_order(modules: Path, names: Iterable[str], order: list[tuple[str, bytes]], seen: set[str]) -> None:
    """Append the modules, each after those it depends on; what isn't found is built in."""
    for name in names:
        if name in seen:
            continue
        seen.add(name)
        found = next(modules.glob(f"kernel/**/{name}.ko*"), None) or next(
            modules.glob(f"kernel/**/{name.replace('_', '-')}.ko*"), None
        )
        if found is None:
            continue
        content = lzma.decompress(found.read_bytes()) if found.suffix == ".xz" else found.read_bytes()
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        if depends and depends[1]:
            _load_order(modules, depends[1].decode().split(","), order, seen)
        order.append((f"{name}.ko", content))


def _libraries(files: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, timeout=60, check=False).stdout
    for line in told.splitlines():
        match = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if match:
            found.add(match[1])
    return found


def _tree(folder: Path, inside: str, skipped: set[str]) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not skipped & set(relative.parts):
            yield _file(path, f"{inside}/{relative}")


def _file(path: Path, inside: str) -> Entry:
    status = path.stat()
    return inside.lstrip("/"), stat.S_IFREG | (status.st_mode & 0o777), path.read_bytes(), int(status.st_mtime)


def _cpio(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Write an archive as the kernel unpacks it ("newc"); folders are made as they are first needed."""
    made: set[str] = set()
    number = 0
    for path, mode, content, time in entries:
        for folder in reversed([str(parent) for parent in Path(path).parents if str(parent) != "."]):
            if folder not in made:
                made.add(folder)
                number += 1
                yield _record(number, folder, stat.S_IFDIR | 0o755, b"", 0)
        number += 1
        yield _record(number, path, mode, content, time)
    yield _record(0, "TRAILER!!!", 0, b"", 0)


def _record(number: int, name: str, mode: int, content: bytes, time: int) -> bytes:
    words = (number, mode, 0, 0, 1, time, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % word for word in words) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
