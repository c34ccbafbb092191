"""How the page bears a thousand nodes, in Chromium: `python -m bench.web [NODES]`.

The nodes are simulated (their keeper tells what it is told); page, server and browser are the real ones.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.web.simulated import FakeKeeper, Simulation, campus, simulation

RUNS = 5
NAME = "Demo/campus"
WAIT_MS = 60_000
WATCH = """wanted => {
    window.seen = new Promise(done => {
        const look = () => {
            const shown = parseInt(document.querySelector('[data-stat="dead"]').textContent);
            requestAnimationFrame(shown === wanted ? () => done(Date.now()) : look);
        };
        look();
    });
}"""

WORK = "performance.getEntriesByName('states').reduce((all, each) => all + each.duration, 0)"


def main() -> None:
    """Measure and print."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with simulation() as sim, sync_playwright() as playwright:
        keeper = sim.activate(sim.create(NAME, campus(nodes), packing=20, file="campus.ns"))
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        print(f"{nodes:,} nodes, {nodes:,} links; Chromium {browser.version}, painted in software; 1280 x 800 pixels")
        _loads(sim, browser)
        page = _opened(sim, browser)
        _changes(page, keeper, sim, 1, "one node dies")
        _changes(page, keeper, sim, nodes, "all nodes die at once")
        _moves(page)
        browser.close()


def _opened(sim: Simulation, browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(sim.login())
    page.goto(f"{sim.url}/experiments/{NAME}")
    page.wait_for_selector("[data-map-wait]", state="hidden", timeout=WAIT_MS)
    return page


def _loads(sim: Simulation, browser: Browser) -> None:
    """From asking for the page to its first paint and to the map; first when nobody has looked, then again."""
    paints, maps = [], []
    for turn in range(RUNS + 1):
        page = _opened(sim, browser)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        drawn = page.evaluate("performance.getEntriesByName('map-drawn')[0].startTime") / 1000
        if turn == 0:
            print(f"  at the very first look: first paint {paint:.2f} s, map {drawn:.2f} s")
        else:
            paints.append(paint)
            maps.append(drawn)
        page.context.close()
    print(f"  later, an empty browser cache: first paint {_said(paints)}, map {_said(maps)}")


def _changes(page: Page, keeper: FakeKeeper, sim: Simulation, count: int, what: str) -> None:
    """From the keeper's word to the painted frame, and the part of it that is the page's own work."""
    names = list(keeper.statuses)[:count]
    wholes, works = [], []
    for turn in range(2 * RUNS):
        dead = turn % 2 == 0
        page.evaluate(WATCH, count if dead else 0)
        page.evaluate("performance.clearMeasures()")
        state = ("dead", -9) if dead else ("booted", None)
        began = time.time()
        sim.call(lambda state=state: [keeper.tell(name, *state) for name in names])
        wholes.append(page.evaluate("window.seen") / 1000 - began)
        works.append(page.evaluate(WORK))
    milliseconds = [1000 * whole for whole in wholes]
    print(
        f"  {what}: the page's work median {statistics.median(works):.0f}, worst {max(works):.0f} ms; "
        f"from the keeper's word to the painted frame median {statistics.median(milliseconds):.0f}, "
        f"worst {max(milliseconds):.0f} ms"
    )


def _moves(page: Page) -> None:
    """How long a frame takes while the map is zoomed."""
    frames = page.evaluate(
        """async () => {
            const map = document.querySelector('[data-map]');
            map.focus();
            const times = [];
            for (let turn = 0; turn < 40; turn++) {
                const began = performance.now();
                map.dispatchEvent(new KeyboardEvent('keydown', {key: turn % 8 < 4 ? '+' : '-', bubbles: true}));
                await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
                times.push(performance.now() - began);
            }
            return times;
        }"""
    )
    print(f"  a step of zooming, two frames: median {statistics.median(frames):.0f}, worst {max(frames):.0f} ms")


def _said(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f}, worst {max(seconds):.2f} s"


if __name__ == "__main__":
    main()
