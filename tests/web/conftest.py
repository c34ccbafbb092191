"""A browser, and a page to look at: one over simulated experiments, and one over real machines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from .simulated import Simulation, simulation

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)

Picture = Callable[[Page, str], None]
Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium; without one there is nothing to test with."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium on this host: `./setup.sh web` installs it where the distribution has it")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def sim() -> Iterator[Simulation]:
    """A page over simulated experiments, for all tests; each makes its own experiments."""
    with simulation() as made:
        yield made


@pytest.fixture(scope="session")
def picture() -> Picture:
    """Keep a picture of a page in the docs, when BENITO_PICTURES asks for new ones."""

    def take(page: Page, name: str) -> None:
        if os.environ.get("BENITO_PICTURES"):
            page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")

    return take


@pytest.fixture
def visit(browser: Browser, sim: Simulation) -> Iterator[Visit]:
    """Open a page as a user; a test in which a page complains (of its policy, of an error) fails."""
    complaints: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def opened(path: str, user: str = "ann", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(sim.login(user))
        page.goto(sim.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
