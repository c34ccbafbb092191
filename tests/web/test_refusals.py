"""What the page refuses: each line of the threat model that a test can stand for (docs/security.md)."""

from __future__ import annotations

import contextlib
import http.client
import socket

import pytest
from playwright.sync_api import expect

from benito.services.web.guard import POLICY

from .conftest import Visit
from .simulated import STAR, Simulation


class Answer:
    """What came back."""

    def __init__(self, status: int, text: str, headers: http.client.HTTPMessage | None = None) -> None:
        self.status, self.text, self.headers = status, text, headers


def ask(sim: Simulation, path: str, *, method: str = "GET", data: bytes | None = None, **headers: str) -> Answer:
    """Ask as a program does; redirects are not followed."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(errors="replace"), answer.headers)


def bearer(sim: Simulation, user: str) -> dict[str, str]:
    """Return the header that shows a user's token."""
    return {"Authorization": f"Bearer {sim.tokens[user]}"}


def cookie(sim: Simulation, user: str) -> dict[str, str]:
    """Return the header that a user's browser sends."""
    return {"Cookie": f"benito-{sim.port}={sim.tokens[user]}"}


@pytest.fixture(scope="module")
def star(sim: Simulation) -> str:
    """An active experiment's address."""
    sim.activate(sim.create("Demo/guarded", STAR))
    return "/experiments/Demo/guarded"


@pytest.mark.parametrize("path", ["", "/map.json", "/stream", "/file", "/nodes/center", "/nodes/center/output"])
def test_without_a_token_and_with_a_wrong_one_nothing_is_told(sim: Simulation, star: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"benito-{sim.port}=wrong"}):
        answer = ask(sim, star + path, **headers)
        assert answer.status == 401
        assert "guarded" not in answer.text


def test_another_projects_user_does_not_learn_that_it_exists(sim: Simulation, star: str) -> None:
    hers = ask(sim, star, **bearer(sim, "otto"))
    none = ask(sim, "/experiments/Demo/nothing-here", **bearer(sim, "otto"))
    assert (hers.status, none.status) == (404, 404)
    assert hers.text.replace("guarded", "") == none.text.replace("nothing-here", "")
    assert "guarded" not in ask(sim, "/experiments", **bearer(sim, "otto")).text


@pytest.mark.parametrize("what", ["swapin", "swapout", "terminate", "measure", "nodes/center/stop"])
def test_a_viewer_looks_and_changes_nothing(sim: Simulation, star: str, what: str) -> None:
    assert ask(sim, star, **bearer(sim, "vic")).status == 200
    assert ask(sim, f"{star}/{what}", method="POST", data=b"", **bearer(sim, "vic")).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
def test_another_sites_page_cannot_use_the_browsers_cookie(sim: Simulation, star: str, headers: dict[str, str]) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", **cookie(sim, "ann"), **headers}
    assert ask(sim, f"{star}/terminate", method="POST", data=b"", **form).status == 403


ELSEWHERE = "http://elsewhere.example/"


@pytest.mark.parametrize("path", ["/experiments/Demo/guarded?x=1", "/?token={token}"])
def test_links_on_another_sites_page_open_ours_though_the_cookie_is_strict(
    sim: Simulation, star: str, visit: Visit, path: str
) -> None:
    page = visit("/experiments", user="ann")
    [ours] = [each for each in page.context.cookies() if each["name"].startswith("benito-")]
    assert ours["sameSite"] == "Strict"
    if "token" in path:
        page.context.clear_cookies()
    target = sim.url + path.replace("{token}", sim.tokens["ann"])
    page.route(ELSEWHERE, lambda route: route.fulfill(body=f'<a href="{target}">go</a>', content_type="text/html"))
    page.goto(ELSEWHERE)
    page.get_by_role("link", name="go").click()
    if "token" in path:
        expect(page).to_have_url(sim.url + "/experiments")
    else:
        expect(page).to_have_url(target)
        expect(page.get_by_role("heading", name="Demo/guarded")).to_be_visible()


def test_who_has_no_token_is_asked_for_it_wherever_the_link_was(sim: Simulation, visit: Visit) -> None:
    page = visit("/experiments", user="ann")
    page.context.clear_cookies()
    page.route(ELSEWHERE, lambda route: route.fulfill(body=f'<a href="{sim.url}">go</a>', content_type="text/html"))
    page.goto(ELSEWHERE)
    page.get_by_role("link", name="go").click()
    page.get_by_label("Token").fill(sim.tokens["vic"])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(sim.url + "/experiments")


def test_a_form_without_its_own_token_is_refused_even_from_our_own_origin(sim: Simulation, star: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": sim.url, **cookie(sim, "ann")}
    for data in (b"", b"csrf=wrong", b"csrf=%ff"):
        answer = ask(sim, f"{star}/swapout", method="POST", data=data, **form)
        assert answer.status == 403
        assert "Load the page again" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/experiments/..%2f..%2fetc/passwd",
        "/experiments/Demo/..%2f..%2fbenito.db",
        "/experiments/Demo/%00",
        "/experiments/Demo/guarded/nodes/..%2f..%2f..%2fbenito.db/console.log",
        "/experiments/Demo/guarded/nodes/../console.log",
        "/static/../room.py",
        "/static/%2e%2e/room.py",
    ],
)
def test_names_in_addresses_lead_nowhere_else(sim: Simulation, star: str, path: str) -> None:
    assert ask(sim, path, **bearer(sim, "ann")).status == 404


def test_a_console_log_that_is_a_link_to_something_else_is_not_read(sim: Simulation, star: str) -> None:
    folder = sim.home.root / "experiments" / "demo" / "guarded" / "nodes" / "n-1"
    folder.mkdir(parents=True)
    (folder / "console.log").symlink_to("/etc/passwd")
    answer = ask(sim, f"{star}/nodes/n-1/console.log", **bearer(sim, "ann"))
    assert answer.status == 404
    assert "root:" not in answer.text


@pytest.mark.parametrize("eid", ["../../etc", "a/b", ".hidden", "x" * 64, "-a", "a\nb", "<b>"])
def test_an_eid_that_is_a_path_or_markup_is_refused_at_its_field(sim: Simulation, eid: str) -> None:
    body, kind = multipart({"pid": "Demo", "eid": eid, "packing": "10"}, "star.ns", STAR.encode())
    answer = ask(sim, "/experiments", method="POST", data=body, Content_Type=kind, **bearer(sim, "ann"))
    assert answer.status == 422
    assert "be EID" in answer.text


def test_members_make_experiments_in_their_own_projects_only(sim: Simulation) -> None:
    body, kind = multipart({"pid": "Other", "eid": "mine", "packing": "10"}, "star.ns", STAR.encode())
    assert ask(sim, "/experiments", method="POST", data=body, Content_Type=kind, **bearer(sim, "mel")).status == 403
    assert ask(sim, "/experiments/new", **bearer(sim, "vic")).status == 403


@pytest.mark.parametrize("share", ["/root", "/etc:ro", "/nowhere:ro"])
def test_a_folder_that_is_not_listed_is_shared_with_nobody(sim: Simulation, share: str) -> None:
    body, kind = multipart({"pid": "Demo", "eid": "greedy", "share": share}, "star.ns", STAR.encode())
    for user in ("ann", "mel"):
        answer = ask(sim, "/experiments", method="POST", data=body, Content_Type=kind, **bearer(sim, user))
        assert (answer.status, "Demo may not have this folder" in answer.text) == (422, True)


def multipart(fields: dict[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    """Return a form's body and its type."""
    edge = "edge1234567890"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    return body, f"multipart/form-data; boundary={edge}"


def test_a_file_that_is_too_large_is_refused_with_its_limit(sim: Simulation) -> None:
    body, kind = multipart({"pid": "Demo", "eid": "large", "packing": "10"}, "star.ns", b"#" * (600 << 10))
    answer = ask(sim, "/experiments", method="POST", data=body, Content_Type=kind, **bearer(sim, "ann"))
    assert answer.status == 422
    assert "at most 512 KiB" in answer.text


@pytest.mark.parametrize("announced", [True, False])
def test_a_gigabyte_is_cut_off_early(sim: Simulation, announced: bool) -> None:
    size = f"Content-Length: {1 << 30}" if announced else "Transfer-Encoding: chunked"
    head = (
        f"POST /experiments HTTP/1.1\r\nHost: 127.0.0.1:{sim.port}\r\nAuthorization: Bearer {sim.tokens['ann']}\r\n"
        f"Content-Type: multipart/form-data; boundary=edge\r\n{size}\r\n\r\n"
    )
    block = b"#" * 65536
    piece = block if announced else b"10000\r\n" + block + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", sim.port), timeout=20) as connection:
        connection.sendall(head.encode())
        with contextlib.suppress(OSError):
            while sent < 1 << 30:
                connection.sendall(piece)
                sent += len(block)
    assert sent < 32 << 20


def test_every_answer_forbids_scripts_that_are_not_ours(sim: Simulation, star: str) -> None:
    for path in ("/experiments", star, star + "/map.json", "/nowhere"):
        headers = ask(sim, path, **bearer(sim, "ann")).headers
        assert headers is not None
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY


def test_a_terminal_is_for_our_own_page_and_for_those_who_steer(sim: Simulation, star: str, visit: Visit) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    path = f"{star}/nodes/center/terminal"
    assert ask(sim, path, **upgrade, **cookie(sim, "ann"), Origin="http://evil.example").status == 403
    assert ask(sim, path, **upgrade, Origin=sim.url).status == 403
    page = visit(star, user="vic")
    closed = page.evaluate(
        """path => new Promise(done => {
            const socket = new WebSocket(`ws://${location.host}${path}`);
            socket.onclose = ({code, reason}) => done([code, reason]);
        })""",
        path,
    )
    assert closed == [1011, "vic may not steer experiments of Demo"]
    expect(page.get_by_role("button", name="Swap out")).to_have_count(0)


EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


def test_what_nodes_and_files_say_is_only_ever_text(sim: Simulation, visit: Visit) -> None:
    text = STAR.replace("echo hello", EVIL.replace('"', "'").replace("[", "").replace("$", ""))
    experiment = sim.create("Demo/hostile", text)
    keeper = sim.activate(experiment)
    keeper.output = EVIL + "\x1b]0;title\x07"
    folder = keeper.place.nodes / "center"
    folder.mkdir(parents=True)
    (folder / "console.log").write_text(EVIL + "\x1b[31m\n")
    url = "/experiments/Demo/hostile"
    page = visit(url)
    expect(page.locator("[data-connection]")).to_have_attribute("data-state", "live")
    sim.call(lambda: keeper.server.publish({"time": 1.0, "node": EVIL, "error": EVIL}))
    page.get_by_role("tab", name="Events").click()
    expect(page.locator("[data-log] li").first).to_contain_text("<img src=x")
    page.get_by_role("tab", name="File").click()
    page.goto(sim.url + url + "/nodes/center")
    expect(page.locator('[data-output="out"]')).to_have_text(EVIL)
    page.get_by_role("tab", name="Console log").click()
    expect(page.locator("[data-console]")).to_have_text(EVIL + "\n")
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0
