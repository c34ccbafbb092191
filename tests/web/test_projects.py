"""A project's page: its owners say who belongs to it, nobody else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from benito.services.access import Access
from benito.testbed.people import Role
from benito.testbed.testbed import Testbed

from .conftest import Visit
from .simulated import STAR, Simulation
from .test_refusals import ask, bearer


@pytest.fixture
def lab(sim: Simulation) -> Iterator[Access]:
    """A project that mel owns and vic looks at."""
    bed = Testbed(sim.home)
    access = Access(bed)
    for name, role in (("mel", Role.OWNER), ("vic", Role.VIEWER)):
        access.people.set_role(access.people.user(name), "Lab", role)
    yield access
    for name in ("mel", "vic", "otto"):
        access.people.set_role(access.people.user(name), "Lab", None)
    bed.store.close()


def test_an_owner_adds_changes_and_removes_members(sim: Simulation, visit: Visit, lab: Access) -> None:
    sim.create("Lab/one", STAR)
    page = visit("/projects", user="mel")
    page.get_by_role("link", name="Lab").click()
    page.get_by_label("User").fill("otto")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Role of otto")).to_have_value("member")
    page.get_by_label("Role of otto").select_option("viewer")
    page.locator("li", has_text="otto").get_by_role("button", name="Change").click()
    expect(page.get_by_label("Role of otto")).to_have_value("viewer")
    assert lab.members("lab") == {"mel": Role.OWNER, "otto": Role.VIEWER, "vic": Role.VIEWER}
    page.get_by_label("User").fill("nobody-yet")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("there is no user 'nobody-yet'")
    page.get_by_role("button", name="Remove mel").click()
    expect(page.get_by_role("alert")).to_contain_text("mel is the last owner of Lab")


def test_who_is_removed_sees_it_at_once(sim: Simulation, visit: Visit, lab: Access) -> None:
    sim.activate(sim.create("Lab/watched", STAR))
    watching = visit("/experiments/Lab/watched", user="vic")
    expect(watching.locator("[data-connection]")).to_have_attribute("data-state", "live")
    page = visit("/projects/Lab", user="mel")
    page.get_by_role("button", name="Remove vic").click()
    expect(page.get_by_label("Role of vic")).to_have_count(0)
    expect(watching.get_by_role("heading", name="Experiments", exact=True)).to_be_visible()
    expect(watching.get_by_role("link", name="Lab/watched")).to_have_count(0)


@pytest.mark.parametrize("user", ["vic", "otto"])
def test_who_is_no_owner_appoints_nobody(sim: Simulation, visit: Visit, lab: Access, user: str) -> None:
    before = lab.members("Lab")
    for data in (f"user={user}&role=owner", "user=mel&remove=1", "user=ann&role=viewer"):
        form = {"Content-Type": "application/x-www-form-urlencoded", **bearer(sim, user)}
        answer = ask(sim, "/projects/Lab/members", method="POST", data=data.encode(), **form)
        assert answer.status == (403 if user == "vic" else 404)
    assert lab.members("Lab") == before
    assert ask(sim, "/projects/Lab", **bearer(sim, user)).status == (200 if user == "vic" else 404)
    assert ("Lab" in ask(sim, "/projects", **bearer(sim, user)).text) == (user == "vic")
    if user == "vic":
        expect(visit("/projects/Lab", user="vic").get_by_role("button", name="Add")).to_have_count(0)
