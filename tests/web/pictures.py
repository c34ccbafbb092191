"""Pictures of simulated experiments for docs/images: `python -m tests.web.pictures`.

Those of real machines are taken by tests/web/test_real.py when BENITO_PICTURES is set.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from .simulated import FakeKeeper, Simulation, campus, simulation

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "device_scale_factor": 2}
DRAWN_MS = 3000
"""Until traffic has been seen twice."""
LAB = """set ns [new Simulator]
source tb_compat.tcl

foreach name {core east west} { set r($name) [$ns node] }
foreach name {web db a1 a2 a3 b1 b2 b3} { set $name [$ns node] }
set east [$ns duplex-link $r(core) $r(east) 1Gb 5ms DropTail]
set west [$ns duplex-link $r(core) $r(west) 1Gb 8ms DropTail]
set servers [$ns make-lan "$r(core) $web $db" 1Gb 1ms]
foreach leaf "$a1 $a2 $a3" { $ns duplex-link $r(east) $leaf 10Mb 20ms DropTail }
foreach leaf "$b1 $b2 $b3" { $ns duplex-link $r(west) $leaf 5Mb 40ms DropTail }
foreach name {web b1 b2} { tb-set-node-startcmd [set $name] "/proj/Demo/run $name" }
$ns rtproto Static
$ns run
"""
STATES: dict[str, tuple[str | None, int | None]] = {
    "web": ("booted", 0),
    "a3": ("running", None),
    "b1": ("booted", 2),
    "b3": ("dead", -9),
}


def still() -> dict[str, int]:
    return {"frames": 0, "bytes": 0, "lost": 0, "dropped": 0}


def lab(sim: Simulation) -> FakeKeeper:
    """Return a small network in which something goes on."""
    keeper = sim.activate(sim.create("Demo/lab", LAB, packing=4, file="lab.ns"))

    async def wires() -> dict[str, Any]:
        keeper.counted += 1
        moved = {"east": (2_100_000, 78_000), "west": (1_175_000, 40_000)}
        return {
            name: {
                way: {**still(), "bytes": keeper.counted * size}
                for way, size in zip(("forward", "backward"), sizes, strict=True)
            }
            for name, sizes in moved.items()
        }

    keeper.wires = wires  # type: ignore[method-assign]
    keeper.server.handlers["wires"] = wires
    for node, (boot, code) in STATES.items():
        sim.call(lambda node=node, boot=boot, code=code: keeper.tell(node, boot, code))  # type: ignore[misc]
    return keeper


def opened(browser: Browser, sim: Simulation, path: str, user: str = "ann", **options: Any) -> Page:
    """Open a page and let it come to rest."""
    page = browser.new_context(**(options or DESK)).new_page()
    page.goto(sim.login(user))
    page.goto(sim.url + path)
    page.wait_for_timeout(DRAWN_MS)
    return page


def keep(page: Page, name: str) -> None:
    """Keep a picture."""
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")
    page.context.close()


def main() -> None:
    """Take all of them."""
    with simulation() as sim, sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        lab(sim)
        for name, scheme in (("web-map", "light"), ("web-dark", "dark")):
            page = opened(browser, sim, "/experiments/Demo/lab", **DESK, color_scheme=scheme)
            page.get_by_label("Find a node on the map").fill("r-core")
            page.keyboard.press("Enter")
            keep(page, name)
        keep(opened(browser, sim, "/experiments/Demo/lab#nodes", **PHONE), "web-phone")
        keep(opened(browser, sim, "/projects/Demo"), "web-project")
        keeper = sim.activate(sim.create("Demo/campus", campus(1000), packing=20, file="campus.ns"))
        for number in range(7):
            sim.call(lambda number=number: keeper.tell(f"n-{60 + 137 * number}", "dead", -9))  # type: ignore[misc]
        keep(opened(browser, sim, "/experiments/Demo/campus"), "web-thousand")
        browser.close()


if __name__ == "__main__":
    main()
