"""The experiments of one BENITO_HOME: create, look up, lock, terminate."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from benito.embedding.model import Assignment
from benito.errors import BusyError, HostError, InputError, StateError
from benito.images.catalog import Catalog
from benito.images.osids import Resolution, by_address, resolve
from benito.images.recipe import RECIPES
from benito.testbed import flock, names, reservations
from benito.testbed.config import Config, load
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.store import ExperimentRecord, Settings, State, Store
from benito.topology.model import Topology
from benito.topology.placement import image_url
from benito.topology.sizes import sizes

TRANSITIONAL = frozenset({State.ACTIVATING, State.MODIFYING, State.SWAPPING, State.TERMINATING})
REBOOTED = "the host was restarted"
INTERRUPTED = "the command that was at work ended in the middle"


def require_root(what: str, changed: str = "network") -> None:
    """HostError unless this process may change the host."""
    if os.geteuid() != 0:
        raise HostError(f"{what} changes this host's {changed} and needs root", hint="run it with sudo")


class Testbed:
    """Experiments of one home. Reading needs no root, changing does."""

    __test__ = False

    def __init__(self, home: Home | None = None) -> None:
        self.home = home or Home.default()
        self.store = Store(self.home.database)
        self.catalog = Catalog(self.home.root)

    @cached_property
    def config(self) -> Config:
        """The host owner's settings, read when first needed: a mistake there mustn't block taking down."""
        return load(self.home.root)

    def again(self) -> Testbed:
        """Return another view of the same home, for another thread."""
        return Testbed(self.home)

    def same(self, experiment: ExperimentId, file: Path) -> bool:
        """Whether that experiment exists with just this file; StateError when it exists with another."""
        try:
            record = self.store.experiment(experiment)
        except StateError:
            return False
        try:
            alike = submitted(self.home.place(record.id), record.settings).read_bytes() == file.read_bytes()
        except OSError:
            alike = False
        if not alike:
            raise StateError(
                f"{record.id} exists already, made from another file ({record.settings.file})",
                hint=f"choose another EID, or `benito terminate {record.id}` first",
            )
        return True

    def place(self, experiment: ExperimentId) -> Place:
        """Return where the experiment lives, spelled as when it was created."""
        return self.home.place(self.store.experiment(experiment).id)

    def record(self, experiment: ExperimentId) -> ExperimentRecord:
        """Return what is known of an experiment; one from before a restart of the host counts as swapped out."""
        return _since_boot(self.store.experiment(experiment))

    def records(self) -> list[ExperimentRecord]:
        """Return all experiments, by name."""
        if not self.home.database.exists():
            return []
        return [_since_boot(record) for record in self.store.experiments()]

    @contextmanager
    def lock(self, experiment: ExperimentId) -> Iterator[Place]:
        """Be the one writer of an experiment; BusyError when somebody else is. The lock dies with its holder."""
        place = self.place(experiment)
        place.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(flock.held(place.lock, wait=False))
            except BusyError as busy:
                raise BusyError(f"{place.experiment} is being changed: {busy.message}", hint=busy.hint) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
            try:
                yield place
            finally:
                os.ftruncate(descriptor, 0)

    def topology(self, place: Place, settings: Settings) -> Topology:
        """Read the experiment's file, with every address filled in, as it is made: without ghosts."""
        return self.placed(place, settings)[0]

    def placed(self, place: Place, settings: Settings) -> tuple[Topology, Assignment]:
        """Read the experiment's file and say where each node goes."""
        return _placed(place.experiment, submitted(place, settings), settings)

    def create(self, experiment: ExperimentId, file: Path, settings: Settings, *, sent: bool = False) -> Topology:
        """Enter a new experiment, swapped out, and return what was read.

        A file that was `sent` here is remembered by the name in the settings, not by where it lies now. Raises, and
        changes nothing, when file, name or settings won't do.
        """
        require_root("`benito create`")
        topology = self.examine(experiment, file, settings)
        names.refuse_taken(self.home.place(experiment), [node.name for node in topology.nodes])
        place = self.home.place(experiment)
        self.store.create(experiment, settings if sent else replace_file(settings, file))
        try:
            if place.folder.exists():
                shutil.rmtree(place.folder)
            # Machines run as a user of their own, who must pass but not look.
            place.folder.mkdir(mode=0o711, parents=True)
            target = submitted(place, settings)
            target.write_bytes(file.read_bytes())
            target.chmod(0o600)
        except BaseException as error:
            self.store.forget(experiment)
            shutil.rmtree(place.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise HostError(f"can't keep {file} in {place.folder}: {error.strerror}") from error
            raise
        return topology

    def examine(self, experiment: ExperimentId, file: Path, settings: Settings) -> Topology:
        """Read a file as `create` would; InputError when the experiment can't be made from it."""
        from benito.testbed.sharing import refuse_clashes

        refuse_domain(experiment)
        refuse_clashes(settings.shares, experiment.pid)
        topology, _ = _placed(experiment, file, settings)
        for node in topology.nodes:
            if len(node.name) > 63:
                raise InputError(
                    f"the node name {node.name!r} has {len(node.name)} characters",
                    hint="a host name has at most 63",
                    where=node.where,
                )
        self.images(topology, settings)
        sizes(topology, self.config.sizes)
        if not settings.ignore_missing_software:
            _refuse_missing_software(topology, file)
        return topology

    def ignore_missing_software(self, experiment: ExperimentId) -> None:
        """Have the experiment's next swap-ins go on without software that can't be had."""
        import msgspec

        settings = self.store.experiment(experiment).settings
        self.store.change_settings(experiment, msgspec.structs.replace(settings, ignore_missing_software=True))

    def boot_cold(self, experiment: ExperimentId, cold: bool) -> None:
        """Have the experiment's next swap-ins boot each machine, or clone it."""
        import msgspec

        settings = self.store.experiment(experiment).settings
        self.store.change_settings(experiment, msgspec.structs.replace(settings, cold=cold))

    def images(self, topology: Topology, settings: Settings) -> dict[str, Resolution]:
        """Return which image each node gets; InputError for an image that isn't there and can't be built.

        An image named by an option is taken literally; what the file names may be an OS id of an old testbed. The
        address of a disk (containers:qemu_url) stands for the image that was imported from it.
        """
        default = resolve(self.catalog, settings.default_os, strict=settings.strict_os)
        if settings.image:
            if not self.catalog.has(settings.image) and settings.image not in RECIPES:
                raise InputError(f"there is no image {settings.image!r}", hint="`benito image list` lists them")
            return {node.name: Resolution(settings.image) for node in topology.nodes}
        resolved = {
            name: resolve(self.catalog, name, strict=settings.strict_os, default=default.name) if name else default
            for name in dict.fromkeys(node.os for node in topology.nodes)
        }
        addresses = {node.name: image_url(node.attributes) for node in topology.nodes}
        return {node.name: by_address(self.catalog, addresses[node.name], resolved[node.os]) for node in topology.nodes}

    def remove(self, place: Place) -> None:
        """Remove an experiment's folder and entry; nothing of it may run any more."""
        shutil.rmtree(place.folder, ignore_errors=True)
        place.known_hosts.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.folder.parent.rmdir()
        self.store.forget(place.experiment)


def _placed(experiment: ExperimentId, file: Path, settings: Settings) -> tuple[Topology, Assignment]:
    """Read, give addresses, place; the file's variables say which experiment it is."""
    from benito.embedding.embed import embed
    from benito.topology.addressing import assign
    from benito.topology.reader import read

    asked = read(file, pid=experiment.pid, eid=experiment.eid)
    return embed(assign(asked, "emulab" if settings.addressing == "emulab" else "benito"), settings.placing)


def _refuse_missing_software(topology: Topology, file: Path) -> None:
    """InputError with all of the nodes' software that this host hasn't."""
    from benito.testbed.software import missing

    if faults := missing(topology, file.resolve().parent):
        raise InputError(faults[0].message, faults=faults)


def submitted(place: Place, settings: Settings) -> Path:
    """Return where the file is kept as it was submitted."""
    return place.folder / f"submitted{Path(settings.file).suffix}"


def replace_file(settings: Settings, file: Path) -> Settings:
    """Return the settings with the file's full path."""
    import msgspec

    return msgspec.structs.replace(settings, file=str(file.resolve()))


def refuse_domain(experiment: ExperimentId) -> None:
    """InputError when `node.eid.pid` would be a name of the public DNS."""
    from publicsuffixlist import PublicSuffixList

    pid = experiment.pid.lower()
    taken = pid in {"localhost", "local", "invalid", "onion"}
    if taken or PublicSuffixList(accept_unknown=False).publicsuffix(f"x.{pid}") is not None:
        raise InputError(
            f"the PID {experiment.pid!r} is a top-level domain: node.{experiment.domain} is a name of the internet",
            hint="choose another PID",
        )


def _since_boot(record: ExperimentRecord) -> ExperimentRecord:
    if record.state is State.SWAPPED or record.boot_id == reservations.boot_id():
        return record
    return replace(record, state=State.SWAPPED, reason=REBOOTED)


def require_state(record: ExperimentRecord, *states: State) -> None:
    """StateError unless the experiment is in one of the states."""
    if record.state not in states:
        allowed = " or ".join(states)
        raise StateError(
            f"{record.id} is {record.state}, not {allowed}", hint=f"`benito status {record.id}` tells more"
        )
