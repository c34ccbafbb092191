"""The kinds of nodes: what drives each, and what they need of a pnode before anything starts."""

from __future__ import annotations

import asyncio
import os

from benito.agent import shares
from benito.agent.container_driver import ContainerDriver, Shared
from benito.agent.door import Door
from benito.agent.driver import Driver, Options, Surroundings
from benito.agent.qemu_driver import QemuDriver
from benito.agent.turns import Turns
from benito.errors import NodeError
from benito.images.catalog import Image
from benito.machines import oci
from benito.network.cables import Cables
from benito.network.fabric import TAPPED
from benito.plan import model

AT_ONCE = 2 * (os.cpu_count() or 1)
"""Containers that a pnode starts at the same time."""


class Kinds:
    """Makes the driver of any machine of one pnode."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._networks = around.light / "networks"
        self._shared = Shared(around.light / "shared")
        self._doors: dict[str, Door] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._clones = Turns(around.memory / "turns")
        self._makers = {"qemu": self._qemu, "container": self._container, "physical": self._physical}

    def prepare(self, plan: model.PnodePlan) -> None:
        """Have what machines need that can't make it themselves; to be called in a thread."""
        light = [machine for machine in plan.machines if machine.kind not in TAPPED]
        if light:
            self._cables(plan.experiment).lay(light)
            self._shared.have(plan)
            shares.mount_all(self._around.light, plan.inside.shares)

    def driver(self, machine: model.Machine, experiment: str, options: Options, *, running: bool = False) -> Driver:
        """Return the driver of a machine; NodeError when its kind or its image can't be had.

        A `running` machine has its image open, whatever has become of the catalog's since.
        """
        make = self._makers.get(machine.kind)
        if make is None:
            raise NodeError(f"{machine.node}: there are no nodes of the kind {machine.kind!r}")
        catalog = self._around.catalog
        image = catalog.exactly(machine.image.name, machine.image.digest)
        if image is None and running:
            image = catalog.get(machine.image.name)
        if image is None:
            raise NodeError(
                f"{machine.node}: the image {machine.image.name} that the plan was made for is gone",
                hint="swap out and in again",
            )
        return make(machine, image, experiment, options)

    def forget(self, machine: model.Machine, experiment: str) -> None:
        """Remove a machine's interfaces; to be called in a thread, when it has ended."""
        if machine.kind not in TAPPED:
            self._cables(experiment).cut(machine)

    def _cables(self, experiment: str) -> Cables:
        return Cables(experiment, self._networks)

    def _qemu(self, machine: model.Machine, image: Image, experiment: str, options: Options) -> Driver:
        return QemuDriver(machine, image, experiment, self._around, options, self._clones)

    def _container(self, machine: model.Machine, image: Image, experiment: str, options: Options) -> Driver:
        limits = oci.Limits(machine.memory_mib, machine.cpus)
        return self._shared_kernel(machine, image, experiment, options, limits)

    def _physical(self, machine: model.Machine, image: Image, experiment: str, options: Options) -> Driver:
        # Its memory is bounded, so that what watches and joins it on its pnode has its own; all CPUs are its.
        return self._shared_kernel(machine, image, experiment, options, oci.Limits(machine.memory_mib))

    def _shared_kernel(
        self, machine: model.Machine, image: Image, experiment: str, options: Options, limits: oci.Limits
    ) -> Driver:
        network = self._cables(experiment).namespace(machine)
        # A door stays open while its node is started anew.
        door = self._doors.setdefault(machine.node, Door(network))
        return ContainerDriver(
            machine, image, network, door, self._around, options, limits=limits, turns=self._turns, shared=self._shared
        )
