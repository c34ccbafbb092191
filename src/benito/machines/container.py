"""A container: a node that shares the host's kernel, made by an OCI runtime from an image's root folder.

Its root is an overlay of four layers: the image's folder, what all nodes of the experiment have alike, what this node
is told, and what it has written itself. The host makes what the node is told anew before each start; the first process
applies it (the same scripts that machines run), begins the start command and becomes a reaper. No service runs inside
by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from asyncio import StreamReader
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError, NodeError
from benito.machines import guest, node_channel, oci
from benito.machines.engine import Engine
from benito.machines.files import Files, Tree
from benito.machines.guest_agent import ExecResult
from benito.machines.node_channel import Booted, NodeEvent
from benito.mounts import mount, unmount

Spawn = Callable[[list[str], Path], Awaitable[None]]
"""Starts a program that ends after writing another process's pid into the file; that one is the container."""

REAPER = "usr/lib/benito/reaper"
"""What the first process becomes, in the layer that all nodes share."""
APPLY = ("/bin/sh", f"{guest.HOME}/apply", "inside", f"/{REAPER}", "-P")
SSHD = ("/usr/sbin/sshd", "-i")
"""Serves one connection, its standard input."""
FLEETING = {"var/emulab/boot": "boot", "var/benito/interfaces": "interfaces"}
"""What is written anew at each start, and where below /run/benito it lies: writing to memory is quick."""
_RUN_FOLDERS = ("", "benito", "benito/boot", "lock", "sshd")
_LOG_FOLDER = guest.LOGS.lstrip("/")
_EXEC_OUTPUT = 16 << 20
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a container's parts lie, as the runtime sees them."""

    folder: Path
    """What lasts as long as the node; nobody but root may enter it."""
    fleeting: Path
    """What lasts as long as its pnode runs, in memory; short."""
    tree: Path
    """The image's root folder."""
    network: Path
    """The node's network namespace, mounted."""
    software: Path | None = None
    """The bundle of software that it is to unpack."""

    @property
    def own(self) -> Path:
        """The uppermost layer, which keeps all that the node writes."""
        return self.folder / "own"

    @property
    def log(self) -> Path:
        """What the runtime and the first process say."""
        return self.folder / "container.log"

    @property
    def told(self) -> Path:
        """The layer of what the node is told."""
        return self.fleeting / "told"

    @property
    def run(self) -> Path:
        """The node's /run."""
        return self.fleeting / "run"

    @property
    def root(self) -> Path:
        """Where the layers are mounted as one."""
        return self.fleeting / "root"

    @property
    def events(self) -> Path:
        """The pipe by which the node tells what happens."""
        return self.run / "benito" / "events"

    @property
    def pid_file(self) -> Path:
        return self.fleeting / "pid"


class _Told:
    """Files for a node: most go to a layer of its root, what is fleeting to its /run. Remembers what went where."""

    def __init__(self, layer: Tree, run: Tree | None) -> None:
        self._layer, self._run = layer, run
        self.paths: list[str] = []

    def file(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        for folder, name in FLEETING.items():
            if self._run and path.startswith(f"{folder}/"):
                self._run.file(f"benito/{name}/{path.removeprefix(f'{folder}/')}", text, mode=mode, owner=owner)
                return
        self.paths.append(path)
        self._layer.file(path, text, mode=mode, owner=owner)

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        self._layer.folder(path, mode=mode, owner=owner)

    def link(self, path: str, target: str) -> None:
        self._layer.link(path, target)


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """The layer that all nodes of an experiment have alike."""

    path: Path
    files: tuple[str, ...]
    """The plain files in it; a node's own version of one is taken away at each start."""

    @classmethod
    def have(cls, folder: Path, fill: Callable[[Files], None]) -> SharedLayer:
        """Make the layer, in place of one that is there; no node may use it yet."""
        shutil.rmtree(folder, ignore_errors=True)
        reaper = shutil.which("catatonit")
        if reaper is None:
            raise HostError("containers need the program catatonit", hint="apt-get install catatonit")
        with Tree(folder) as tree:
            told = _Told(tree, None)
            fill(told)
            for path, name in FLEETING.items():
                tree.link(path, f"/run/benito/{name}")
            tree.folder(str(Path(REAPER).parent))
            tree.folder("")
        shutil.copy(reaper, folder / REAPER)
        return cls(folder, tuple(told.paths))


class Container:
    """One container from its start to its end; after a restart of the program, `adopt` takes up one that runs."""

    def __init__(self, node: str, name: str, paths: Paths, engine: Engine, *, cgroup: str, limits: oci.Limits) -> None:
        self.node = node
        self.name = name
        """What the runtime calls it."""
        self.paths = paths
        self.engine = engine
        self._cgroup = cgroup
        self._limits = limits
        self._booted = asyncio.Event()
        self._events: tuple[StreamReader, asyncio.ReadTransport] | None = None

    async def start(
        self, shared: SharedLayer, fill: Callable[[Files], None], spawn: Spawn, binds: Sequence[oci.Bind] = ()
    ) -> None:
        """Put the configuration in place and start; `fill` writes the node's own files, `binds` come besides."""
        self._booted.clear()
        await asyncio.to_thread(self._prepare, shared, fill, binds)
        if self.engine.knows(self.name):
            await _finish(self.engine.delete(self.name))
        await self.adopt()
        await spawn(self.engine.run(self.name, self.paths.fleeting, self.paths.pid_file), self.paths.pid_file)

    async def adopt(self) -> None:
        """Listen to the container, which may run already."""
        await self.close()
        descriptor = os.open(self.paths.events, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        reader = StreamReader(limit=node_channel.LONGEST)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        self._events = (reader, transport)

    async def close(self) -> None:
        """Stop listening; the container runs on."""
        events, self._events = self._events, None
        if events:
            events[1].close()

    async def events(self) -> AsyncIterator[NodeEvent]:
        """Yield what the node tells."""
        if self._events is None:
            return
        async for event in node_channel.events(self._events[0]):
            if isinstance(event, Booted):
                self._booted.set()
            yield event

    async def wait_booted(self, timeout: float) -> None:
        """Wait until the node has said that it is up, now or before; somebody must read `events` meanwhile."""
        if (await asyncio.to_thread(self.state)).boot_id:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._booted.wait()
        except TimeoutError:
            raise NodeError(f"{self.node} was not up within {timeout:.0f} s", hint=f"see {self.paths.log}") from None

    def state(self) -> guest.BootState:
        """Return what the node has reported since its start."""
        with Tree(self.paths.run) as tree:
            return guest.parse_state(tree.read("benito/state"))

    async def run(self, argv: Sequence[str], timeout: float) -> ExecResult:
        """Run a program inside to its end; NodeError at the deadline, or when it writes more than 16 MiB."""
        said = f"{argv[0]} on {self.node}"
        async with _outlet() as (out, out_end), _outlet() as (err, err_end):
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.engine.enter(self.name, argv),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out_end,
                    stderr=err_end,
                )
            finally:
                os.close(out_end)
                os.close(err_end)
            try:
                async with asyncio.timeout(timeout):
                    outputs = await asyncio.gather(_read(out, said), _read(err, said))
                    await process.wait()
            except TimeoutError:
                raise NodeError(f"{said} didn't end within {timeout:g} s") from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        return ExecResult(process.returncode or 0, *outputs)

    def forget(self) -> None:
        """Remove all that was the container's own; it must have ended."""
        unmount(str(self.paths.root))
        shutil.rmtree(self.paths.folder, ignore_errors=True)
        shutil.rmtree(self.paths.fleeting, ignore_errors=True)
        shutil.rmtree(self.engine.state / self.name, ignore_errors=True)

    def _prepare(self, shared: SharedLayer, fill: Callable[[Files], None], binds: Sequence[oci.Bind]) -> None:
        paths = self.paths
        unmount(str(paths.root))
        shutil.rmtree(paths.fleeting, ignore_errors=True)
        paths.root.mkdir(parents=True)
        fresh = not paths.own.exists()
        paths.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.folder.chmod(0o700)
        with Tree(paths.told) as layer, Tree(paths.run) as run, Tree(paths.own) as own:
            for tree in (layer, own):
                tree.folder("")
            for folder in _RUN_FOLDERS:
                run.folder(folder)
            told = _Told(layer, run)
            fill(told)
            if fresh:
                # Cheaper than to have the kernel bring up those folders one by one.
                own.folder(_LOG_FOLDER)
            else:
                for path in (*told.paths, *shared.files):
                    own.remove(path)
        os.mkfifo(paths.events, 0o600)
        self._mount(shared.path)
        (paths.fleeting / "config.json").write_text(
            json.dumps(oci.configuration(self._contents(binds), oci.Kernel.here()))
        )

    def _mount(self, shared: Path) -> None:
        """Lay the layers over each other. `volatile`: a node that dies with its host is made anew anyway."""
        work = self.paths.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        layers = (
            f"lowerdir={self.paths.told}:{shared}:{self.paths.tree},upperdir={self.paths.own},workdir={work},volatile"
        )
        try:
            mount("overlay", str(self.paths.root), "overlay", 0, layers)
        except OSError as error:
            raise HostError(
                f"the root of {self.node} can't be laid over the image: {error.strerror}",
                hint="BENITO_HOME must be on a file system that overlays work on, such as ext4 or xfs",
            ) from error

    def _contents(self, binds: Sequence[oci.Bind]) -> oci.Container:
        return oci.Container(
            hostname=self.node,
            root=self.paths.root,
            argv=APPLY,
            network=self.paths.network,
            cgroup=self._cgroup,
            limits=self._limits,
            binds=(*self._binds(), *binds),
        )

    def _binds(self) -> Iterator[oci.Bind]:
        yield oci.Bind(self.paths.run, "/run")
        if self.paths.software is not None:
            yield oci.Bind(self.paths.software, f"{guest.HOME}/software.tar", read_only=True)


@contextlib.asynccontextmanager
async def _outlet() -> AsyncIterator[tuple[StreamReader, int]]:
    """A pipe: what reads it, and its end for a program, to be closed by the caller.

    Not the program's own, as asyncio has them: its end would be waited for as long as anything holds those.
    """
    ours, theirs = os.pipe()
    reader = StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        yield reader, theirs
    finally:
        transport.close()


async def _read(stream: StreamReader, what: str) -> bytes:
    """Return all that a program writes; its file in the node may be anything."""
    data = bytearray()
    while chunk := await stream.read(_CHUNK):
        data += chunk
        if len(data) > _EXEC_OUTPUT:
            raise NodeError(f"{what} wrote more than {_EXEC_OUTPUT >> 20} MiB", hint="write to a file and read that")
    return bytes(data)


async def _finish(argv: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()
