"""The pages in a real browser, over experiments that only look alive."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import Visit
from .simulated import STAR, FakeKeeper, Simulation

BROKEN = "set ns [new Simulator]\nset a [$ns node]\n$ns duplex-link $a nobody 10Mb 0ms DropTail\n$ns run\n"


def row(page: Page, node: str) -> str:
    """Return what the node table says of a node."""
    return page.locator(f'tr[data-node="{node}"]').inner_text()


def active(sim: Simulation, name: str) -> tuple[str, FakeKeeper]:
    """Return the address of a new active experiment and its keeper."""
    return f"/experiments/{name}", sim.activate(sim.create(name, STAR))


def test_the_list_shows_a_new_experiment_without_a_reload(sim: Simulation, visit: Visit) -> None:
    page = visit("/experiments")
    expect(page.locator("[data-connection]")).to_have_attribute("data-state", "live")
    sim.create("Demo/appears", STAR)
    expect(page.get_by_role("link", name="Demo/appears")).to_be_visible()


def test_errors_stand_at_their_lines_and_the_text_can_be_mended_in_place(sim: Simulation, visit: Visit) -> None:
    page = visit("/experiments/new")
    page.get_by_label("Project (PID)").fill("Demo")
    page.set_input_files("input[type=file]", {"name": "broken.ns", "mimeType": "text/plain", "buffer": BROKEN.encode()})
    page.get_by_role("button", name="Create").click()
    wrong = page.locator(".source li.wrong")
    expect(wrong).to_have_count(1)
    expect(wrong).to_contain_text("$ns duplex-link $a nobody")
    expect(wrong).to_contain_text("`nobody` is not a node")
    page.get_by_role("button", name="Edit here").click()
    page.get_by_label("Text of the file").fill(BROKEN.replace("$ns duplex", "#"))
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/experiments/Demo/broken$"))
    expect(page.locator(".head .chip")).to_have_text("Active")
    expect(page.locator('[data-stat="booted"]')).to_have_text("1 of 1")


@pytest.fixture
def lent() -> Iterator[Path]:
    """A folder that everybody on this host may read."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_options_are_those_of_the_command_line(sim: Simulation, visit: Visit, lent: Path) -> None:
    config = sim.home.root / "config.toml"
    config.write_text(f'[shares."{lent}"]\nprojects = ["Demo"]\nat = "/share/lent"\n')
    try:
        page = visit("/experiments/new", user="mel")
        file = {"name": "optional.ns", "mimeType": "text/plain", "buffer": STAR.encode()}
        page.set_input_files("input[type=file]", [file])
        for group in ("Machines", "Placement", "Folders and software"):
            page.locator("summary", has_text=group).click()
        page.get_by_label("Memory").fill("lots")
        page.get_by_label("Disk").fill("20G")
        page.get_by_label("Kind of nodes").select_option("container")
        page.get_by_label("Boot each machine").check()
        page.get_by_label(str(lent)).check()
        page.get_by_label("Swap in at once").uncheck()
        page.get_by_role("button", name="Create").click()
        expect(page.locator("#h-memory")).to_contain_text("is not a number with a unit")
        page.get_by_label("Memory").fill("1G")
        page.get_by_role("button", name="Create").click()
        expect(page).to_have_url(re.compile("/experiments/Demo/optional$"))
    finally:
        config.unlink()
    settings = sim.record("Demo/optional").settings
    assert (settings.memory_mib, settings.disk_mib, settings.cold) == (1024, 20480, True)
    assert settings.embedding.default_container == "container"
    assert [(share.source, share.read_only, share.by_door) for share in settings.shares] == [(str(lent), True, True)]


def test_states_and_events_come_without_a_reload(sim: Simulation, visit: Visit) -> None:
    url, keeper = active(sim, "Demo/live")
    page = visit(url)
    page.evaluate("window.notReloaded = true")
    expect(page.locator('[data-stat="booted"]')).to_have_text("5 of 5")
    sim.call(lambda: keeper.tell("n-1", "dead", -9))
    expect(page.locator('[data-stat="dead"]')).to_have_text("1")
    expect(page.get_by_role("button", name="Bring back what is down")).to_be_visible()
    page.get_by_role("tab", name="Nodes").click()
    assert "dead" in row(page, "n-1")
    assert "machine ended (-9)" in row(page, "n-1")
    page.get_by_role("tab", name="Events").click()
    expect(page.locator("[data-log] li").first).to_contain_text("dead, machine ended with -9")
    assert page.evaluate("window.notReloaded")


def test_a_pnode_that_cannot_be_reached_is_named_and_its_nodes_counted(sim: Simulation, visit: Visit) -> None:
    url, keeper = active(sim, "Demo/unreached")
    page = visit(url)
    expect(page.locator('[data-stat="booted"]')).to_have_text("5 of 5")
    sim.call(lambda: keeper.tell("n-2", "dead", -9))
    expect(page.get_by_role("button", name="Bring back what is down")).to_be_visible()
    lost = sim.call(lambda: keeper.lose("pnode-0000"))
    expect(page.locator(".notice.busy")).to_contain_text("Can't be reached: pnode-0000")
    expect(page.locator('[data-stat="dead"]')).to_have_text(f"1 {lost} unknown")
    page.get_by_role("tab", name="Nodes").click()
    expect(page.locator('tr[data-node="center"] [data-boot]')).to_have_text("unknown")


def test_a_swap_in_is_watched_to_its_end_and_a_swap_out_after_it(sim: Simulation, visit: Visit) -> None:
    sim.create("Demo/swapped", STAR)
    page = visit("/experiments/Demo/swapped")
    page.get_by_role("button", name="Swap in").click()
    expect(page.locator("[data-work]")).to_contain_text("starting 5 machines")
    expect(page.locator(".head .chip")).to_have_text("Active")
    expect(page.locator("[data-work]")).to_be_hidden()
    page.get_by_role("button", name="Swap out").click()
    dialog = page.get_by_role("dialog", name="Swap out Demo/swapped?")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Swap out").click()
    dialog.get_by_role("button", name="Swap out").click()
    expect(page.locator(".head .chip")).to_have_text("Swapped out")


def test_why_a_swap_in_failed_is_told(sim: Simulation, visit: Visit) -> None:
    sim.create("Demo/fails", STAR)
    page = visit("/experiments/Demo/fails")
    sim.operations.failure = "n-2: its machine ended with exit code 1"
    try:
        page.get_by_role("button", name="Swap in").click()
        expect(page.locator("[data-work]")).to_contain_text("Swapping in failed")
        expect(page.get_by_role("alert")).to_contain_text("n-2: its machine ended with exit code 1")
    finally:
        sim.operations.failure = ""


def test_terminate_leads_back_to_the_list(sim: Simulation, visit: Visit) -> None:
    sim.create("Demo/ends", STAR)
    page = visit("/experiments/Demo/ends")
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page).to_have_url(re.compile("/experiments$"))
    expect(page.get_by_role("link", name="Demo/ends")).to_have_count(0)


def test_everything_of_the_map_can_be_done_by_keyboard(sim: Simulation, visit: Visit) -> None:
    url, _ = active(sim, "Demo/keys")
    page = visit(url)
    expect(page.locator("[data-map-wait]")).to_be_hidden()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Map").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Nodes")).to_be_focused()
    page.keyboard.press("Home")
    page.locator("[data-map]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-chosen] h2")).to_have_text("center")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-chosen] h2")).not_to_have_text("center")
    page.keyboard.press("/")
    page.keyboard.type("n-3")
    page.keyboard.press("Enter")
    expect(page.locator("[data-chosen] h2")).to_have_text("n-3")
    page.locator("[data-map]").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/nodes/n-3$"))


def test_links_show_what_was_asked_what_goes_over_them_and_what_is_measured(sim: Simulation, visit: Visit) -> None:
    url, _ = active(sim, "Demo/links")
    page = visit(url + "#links")
    link = page.locator('tr[data-link="link0"]')
    expect(link).to_contain_text("100Mb 5ms")
    expect(link.locator("[data-rate]")).to_contain_text("kb/s")
    expect(link.locator("[data-lost]")).to_have_text("2 / 1")
    page.get_by_role("button", name="Measure round trips").click()
    expect(link.locator("[data-rtt]")).to_have_text("10.4 ms")


def test_the_node_table_is_filtered_and_sorted(sim: Simulation, visit: Visit) -> None:
    url, keeper = active(sim, "Demo/table")
    page = visit(url + "#nodes")
    sim.call(lambda: keeper.tell("n-2", "running", None))
    page.get_by_label("Only those with trouble").check()
    expect(page.locator("tr[data-node]:visible")).to_have_count(1)
    page.get_by_label("Only those with trouble").uncheck()
    page.get_by_label("Filter nodes").fill("10.0.2.")
    expect(page.locator("tr[data-node]:visible")).to_have_count(2)
    page.get_by_label("Filter nodes").fill("")
    page.get_by_role("button", name="Node", exact=True).click(click_count=1)
    page.get_by_role("button", name="Node", exact=True).click()
    expect(page.locator("tr[data-node]:visible").first).to_contain_text("n-3")


def test_a_nodes_page_has_output_console_and_buttons(sim: Simulation, visit: Visit) -> None:
    url, keeper = active(sim, "Demo/node")
    folder = keeper.place.nodes / "center"
    folder.mkdir(parents=True)
    (folder / "console.log").write_bytes(b"\x1b[1mLinux\x1b[0m boots\r\n")
    page = visit(url + "/nodes/center")
    expect(page.locator('[data-output="out"]')).to_have_text("hello\n")
    page.get_by_role("tab", name="Console log").click()
    expect(page.locator("[data-console]")).to_have_text("Linux boots\n")
    with (folder / "console.log").open("ab") as log:
        log.write(b"more\r\n")
    expect(page.locator("[data-console]")).to_have_text("Linux boots\nmore\n")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-boot]")).to_have_text("dead")
    assert keeper.controls == [("center", "stop")]
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_dark_and_light_follow_the_system_and_the_button(sim: Simulation, visit: Visit) -> None:
    page = visit("/experiments", color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("[data-theme-toggle]").click()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_nothing_is_wider_than_a_phone(sim: Simulation, visit: Visit) -> None:
    url, _ = active(sim, "Demo/phone")
    for path in ("/experiments", "/experiments/new", url, url + "#nodes", url + "#file", url + "/nodes/center"):
        page = visit(path, viewport={"width": 375, "height": 700}, is_mobile=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
