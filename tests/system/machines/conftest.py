"""One real image and one real machine for all tests of this folder."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from benito.images.build import build
from benito.images.catalog import Image

from .node import Node, plan_of_node

T = TypeVar("T")


class Loop:
    """An event loop that outlives single tests, because the machine does."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def __call__(self, step: Awaitable[T], timeout: float = 200) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(step, timeout)

        return self._runner.run(bounded())


@pytest.fixture(scope="session")
def image() -> Image:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
    return build("debian-12", home, print)


@pytest.fixture(scope="session")
def wait() -> Iterator[Loop]:
    with asyncio.Runner() as runner:
        yield Loop(runner)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short folder, because sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="benito-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def node(image: Image, folder: Path, wait: Loop) -> Iterator[Node]:
    """A machine with 61 interfaces and a start command, up and configured."""
    made = Node(plan_of_node(61), image, folder / "node")
    try:
        wait(made.up())
        yield made
    finally:
        with contextlib.suppress(Exception):
            wait(made.kill())
