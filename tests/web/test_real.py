"""From a file with a mistake to nothing left, in a real browser over real machines."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Picture
from .real import HOME, Served, served

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

BOOT_MS = 240_000
MISTAKEN = """set ns [new Simulator]
source tb_compat.tcl
set alice [$ns node]
set bob [$ns node]
set link [$ns duplex-link $alice bbo 100Mb 10ms DropTail]
tb-set-node-startcmd $alice "echo hello from $HOSTNAME; exit 3"
$ns run
"""
FILE = MISTAKEN.replace("bbo", "$bob").replace("$HOSTNAME", "alice")
URL = "/experiments/WebTest/pair"


@pytest.fixture(scope="module")
def serve() -> Iterator[Served]:
    """A door over the tests' image, built on first use."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    from benito.images.build import build

    build("debian-12", HOME, print)
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, serve: Served) -> Iterator[Page]:
    """The one page of the story."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.goto(serve.login)
    yield opened
    context.close()


def upload(page: Page, text: str) -> None:
    """Choose a file and send the form."""
    page.set_input_files("input[type=file]", {"name": "pair.ns", "mimeType": "text/plain", "buffer": text.encode()})
    page.get_by_role("button", name="Create").click()


def test_a_mistake_is_shown_at_its_line(page: Page, picture: Picture) -> None:
    page.get_by_role("link", name="New experiment").click()
    page.get_by_label("Project (PID)").fill("WebTest")
    page.get_by_label("Packing").fill("1")
    upload(page, MISTAKEN)
    expect(page.locator(".source li.wrong").first).to_contain_text("set link [$ns duplex-link $alice bbo")
    expect(page.locator(".source li.wrong").first).to_contain_text("`bbo` is not a node")
    picture(page, "web-error")


def test_the_corrected_file_is_swapped_in_before_ones_eyes(page: Page, picture: Picture) -> None:
    upload(page, FILE)
    expect(page).to_have_url(re.compile(URL + "$"))
    page.evaluate("window.notReloaded = true")
    expect(page.locator("[data-work-title]")).to_have_text("Swapping in")
    expect(page.locator("[data-work-phases]")).not_to_be_empty(timeout=BOOT_MS)
    picture(page, "web-progress")
    expect(page.locator('.head .chip:text-is("Active"), .head ~ .notice.bad')).to_be_visible(timeout=BOOT_MS)
    assert page.locator(".notice.bad").all_inner_texts() == []
    expect(page.locator('[data-stat="booted"]')).to_have_text("2 of 2")
    expect(page.locator('[data-stat="failed"]')).to_have_text("1 of 1", timeout=BOOT_MS)
    assert page.evaluate("window.notReloaded")


def test_a_links_round_trip_is_measured_beside_what_was_asked(page: Page, picture: Picture) -> None:
    page.get_by_role("tab", name="Links").click()
    page.get_by_role("button", name="Measure round trips").click()
    link = page.locator('tr[data-link="link"]')
    expect(link).to_contain_text("100Mb 10ms")
    expect(link.locator("[data-rtt]")).to_have_text(re.compile(r"^\d+\.\d ms"), timeout=60_000)
    picture(page, "web-links")
    assert float(link.locator("[data-rtt]").inner_text().split()[0]) >= 20


def test_a_terminal_is_typed_into(page: Page, picture: Picture) -> None:
    page.goto(page.url.partition("#")[0] + "/nodes/alice")
    expect(page.locator('[data-output="out"]')).to_have_text("hello from alice\n", timeout=60_000)
    page.get_by_role("tab", name="Terminal").click()
    expect(page.locator("[data-terminal-state]")).to_have_text("connected")
    screen = page.locator(".xterm-accessibility")
    expect(screen).to_contain_text("root@alice", timeout=BOOT_MS)
    page.keyboard.type("echo $((6*7)) from $(hostname)\n")
    expect(screen).to_contain_text("42 from alice", timeout=60_000)
    picture(page, "web-terminal")


def test_the_serial_console_is_a_terminal_too(page: Page) -> None:
    page.get_by_label("How to connect").select_option("serial")
    expect(page.locator("[data-terminal-state]")).to_have_text("connected")
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".xterm-accessibility")).to_contain_text("root@alice", timeout=BOOT_MS)
    page.keyboard.type("echo serial $((40+2))\n")
    expect(page.locator(".xterm-accessibility")).to_contain_text("serial 42", timeout=60_000)
    page.get_by_role("tab", name="Console log").click()
    expect(page.locator("[data-console]")).to_contain_text("serial 42")


def test_a_killed_machine_is_seen_dead_and_brought_back(page: Page, serve: Served, picture: Picture) -> None:
    page.goto(serve.url + URL)
    expect(page.locator("[data-connection]")).to_have_attribute("data-state", "live")
    os.kill(serve.machine("WebTest/pair", "bob"), signal.SIGKILL)
    expect(page.locator('[data-stat="dead"]')).to_have_text("1", timeout=30_000)
    expect(page.locator("[data-map-wait]")).to_be_hidden()
    picture(page, "web-dead")
    page.get_by_role("button", name="Bring back what is down").click()
    expect(page.locator('[data-stat="booted"]')).to_have_text("2 of 2", timeout=BOOT_MS)


def test_it_is_swapped_out_and_terminated(page: Page, serve: Served) -> None:
    expect(page.locator("[data-work]")).to_be_hidden(timeout=BOOT_MS)
    page.get_by_role("button", name="Swap out").click()
    page.get_by_role("dialog").get_by_role("button", name="Swap out").click()
    expect(page.locator(".head .chip")).to_have_text("Swapped out", timeout=60_000)
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page).to_have_url(re.compile("/experiments$"))
    assert not (serve.home / "experiments" / "webtest").exists()
