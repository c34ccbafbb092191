"""Emulab's XML-RPC as its clients know it: the standard library's client, over TLS, with a certificate."""

from __future__ import annotations

import asyncio
import ssl
import sys
import xmlrpc.client
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from simulated import NS, Keeper, enter, member, opened, until

from benito.services import operations
from benito.services.access import folder
from benito.services.certificates import Authority, own_names
from benito.services.doors import Doors
from benito.services.people_keys import give_certificate, take_back
from benito.services.xmlrpc import door as door_module
from benito.services.xmlrpc import steering
from benito.services.xmlrpc.door import PATH, XmlRpcDoor
from benito.testbed.home import ExperimentId
from benito.testbed.people import Role, User
from benito.testbed.store import SharedFolder, State
from benito.testbed.testbed import Testbed

WRONG = NS.replace("1Mb", "1furlong")
STAR = {"proj": "Demo", "exp": "star"}


class Client:
    """A person elsewhere: their certificate, and what they trust."""

    def __init__(self, authority: Authority, port: int, certificate: Path | None) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=authority.certificate)
        if certificate:
            self.context.load_cert_chain(certificate)

    def _call(self, name: str, values: tuple[Any, ...]) -> Any:
        address = f"https://127.0.0.1:{self.port}{PATH}"
        with xmlrpc.client.ServerProxy(address, context=self.context) as proxy:
            return getattr(proxy, name)(*values)

    async def call(self, name: str, *values: Any) -> Any:
        """Call and return the struct."""
        return await asyncio.to_thread(self._call, name, values)

    async def raw(self, data: bytes) -> bytes:
        """Send bytes and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


class Scene:
    """An open door, one active experiment, an administrator and whoever else is entered."""

    def __init__(self, doors: Doors, door: XmlRpcDoor, authority: Authority, port: int, keeper: Keeper) -> None:
        self.doors, self.door, self.authority, self.port, self.keeper = doors, door, authority, port, keeper
        self.root = self.client(doors.access.people.add("root", admin=True))

    def client(self, user: User) -> Client:
        """Give a user a certificate and return their client."""
        return Client(self.authority, self.port, give_certificate(self.doors.access.people, self.authority, user))


def run(bed: Testbed, scenario: Callable[[Scene], Awaitable[None]]) -> None:
    """Have a scenario happen at an open door."""

    async def happen() -> None:
        doors = Doors.open(bed)
        keeper = await Keeper(bed, enter(bed)).begin()
        authority = Authority(folder(bed.home))
        authority.ensure(own_names("127.0.0.1"))
        door = XmlRpcDoor(doors, authority.context)
        async with opened(door) as port:
            await scenario(Scene(doors, door, authority, port, keeper))
        await doors.watches.close()
        await keeper.server.close()

    asyncio.run(happen())


def test_extra_nodes_by_plain_arguments_and_by_emulabs(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        plain = await scene.root.call("experiment.extra_nodes", "Demo", "star")
        assert (plain["code"], plain["value"]) == (0, ["a", "b", "c"])
        assert await scene.root.call("experiment.extra_nodes", 0.1, STAR) == plain
        assert await scene.root.call("experiment.extra_nodes", 0.1, {"pid": "demo", "eid": "STAR"}) == plain

    run(bed, scenario)


def test_what_emulab_answers_to_mistakes(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        for given, code, output in (
            ((0.1, {"proj": "Demo"}), 1, "Must supply 'exp'"),
            ((0.2, STAR), 4, "Client version mismatch!"),
            ((0.1, {"proj": "Demo", "exp": "nova"}), 2, "there is no experiment Demo/nova"),
            ((0.1, {"proj": "..", "exp": "../../etc"}), 1, "'..' can't be PID"),
            (("Demo", "star", "more"), 1, "at most 2 arguments are expected: proj, exp"),
        ):
            said = await scene.root.call("experiment.state", *given)
            assert said["code"] == code
            assert said["output"].startswith(output)
        with pytest.raises(xmlrpc.client.Fault, match=r"unknown method 'experiment\.frobnicate'"):
            await scene.root.call("experiment.frobnicate", 0.1, {})

    run(bed, scenario)


def test_state_and_lists(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        enter(bed, "Demo/idle", State.SWAPPED)
        assert await scene.root.call("experiment.state", 0.1, STAR) == {
            "code": 0,
            "value": "active",
            "output": "active",
        }
        brief = await scene.root.call("experiment.getlist", 0.1, {})
        assert brief["value"] == {"Demo": {"Demo": ["idle", "star"]}}
        full = await scene.root.call("experiment.getlist", 0.1, {"format": "full"})
        assert [(each["eid"], each["state"]) for each in full["value"]["Demo"]["Demo"]] == [
            ("idle", "swapped"),
            ("star", "active"),
        ]

    run(bed, scenario)


def test_info_and_nodes_follow_what_happens(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        asked = {**STAR, "aspect": "mapping"}
        mapping = (await scene.root.call("experiment.info", 0.1, asked))["value"]
        assert mapping["a"]["node"] == "a.star.demo"
        assert {name: each["status"] for name, each in mapping.items()} == dict.fromkeys("abcp", "up")
        scene.keeper.move("a", "dead", 1)
        async with asyncio.timeout(20):
            while (await scene.root.call("experiment.info", 0.1, asked))["value"]["a"]["status"] != "down":
                pass
        nodes = (await scene.root.call("node.getlist", 0.1, {}))["value"]
        assert nodes["a.star.demo"]["boot"] == "dead"
        enter(bed, "Demo/idle", State.SWAPPED)
        idle = await scene.root.call("experiment.info", 0.1, {**asked, "exp": "idle"})
        assert (idle["code"], idle["output"]) == (2, "Experiment is not active!")

    run(bed, scenario)


def test_topology_in_every_form(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        links = (await scene.root.call("experiment.info", 0.1, {**STAR, "aspect": "links"}))["value"]
        assert links["b:0"]["ipaddr"] == "10.0.0.2"
        assert (links["b:0"]["delay"], links["b:0"]["bandwidth"], links["b:0"]["plr"]) == (5.0, 1000, 0.0)
        xml = (await scene.root.call("experiment.virtual_topology_xml", 0.1, STAR))["value"]
        assert "<name>b</name>" in xml
        assert (await scene.root.call("experiment.nsfile", 0.1, STAR))["value"] == NS
        assert set((await scene.root.call("experiment.getviz", 0.1, STAR))["value"]) == {"a", "b"}
        info = (await scene.root.call("experiment.expinfo", 0.1, {**STAR, "show": "mapping,linkinfo"}))["output"]
        assert "State: active" in info
        assert "l   b:0     10.0.0.2/255.255.255.0  5.00   1000" in info

    run(bed, scenario)


def test_nodes_are_reset_and_waited_for(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        said = await scene.root.call("node.reboot", 0.1, {"nodes": "a.star.demo,B.star.demo", "wait": "yes"})
        assert said["code"] == 0
        assert sorted(scene.keeper.told) == [("a", "restart"), ("b", "restart")]
        scene.keeper.told.clear()
        await scene.root.call("experiment.reboot", 0.1, {**STAR, "power": True})
        assert scene.keeper.told.count(("c", "kill")) == 1
        assert len(scene.keeper.told) == 8
        for nodes, code in (("a", 1), ("z.star.demo", 1), ("a.nova.demo", 2)):
            assert (await scene.root.call("node.reboot", 0.1, {"nodes": nodes}))["code"] == code

    run(bed, scenario)


def test_waiting_for_a_state_ends_with_it_or_in_time(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        enter(bed, "Demo/late", State.ACTIVATING)
        late = {"proj": "Demo", "exp": "late"}
        said = await scene.root.call("experiment.statewait", 0.1, {**late, "state": ["swapped"], "timeout": 1})
        assert said["code"] == 8
        waiting = asyncio.create_task(scene.root.call("experiment.waitforactive", 0.1, late))
        await until(lambda: scene.door.crowd._busy, "the call is taken")
        bed.store.move(ExperimentId("Demo", "late"), State.ACTIVE)
        assert (await waiting)["value"] == "active"

    run(bed, scenario)


def test_one_users_waiting_takes_not_all_the_room(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "MAX_CALLS", 2)

    async def scenario(scene: Scene) -> None:
        other = scene.client(member(scene.doors, "otto", "demo"))
        asked = {**STAR, "state": "swapped", "timeout": 2}
        waiting = [asyncio.create_task(scene.root.call("experiment.statewait", 0.1, asked)) for _ in range(2)]
        await until(lambda: scene.door._calls["root"] == 2, "both wait")
        assert (await scene.root.call("experiment.state", 0.1, STAR))["code"] == 7
        assert (await other.call("experiment.state", 0.1, STAR))["code"] == 0
        assert [reply["code"] for reply in await asyncio.gather(*waiting)] == [8, 8]
        assert (await scene.root.call("experiment.state", 0.1, STAR))["code"] == 0

    run(bed, scenario)


def test_who_may_see_may_not_steer_and_others_see_nothing(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        viewer = scene.client(member(scene.doors, "vera", "demo", Role.VIEWER))
        other = scene.client(member(scene.doors, "otto", "Other"))
        assert (await viewer.call("experiment.state", 0.1, STAR))["code"] == 0
        steering_calls: list[tuple[str, dict[str, Any]]] = [
            ("experiment.swapexp", {**STAR, "direction": "out"}),
            ("experiment.endexp", STAR),
            ("experiment.modify", STAR),
            ("experiment.reboot", STAR),
            ("node.reboot", {"nodes": "a.star.demo"}),
            ("experiment.startexp", {"proj": "Demo", "exp": "new", "nsfilestr": NS}),
        ]
        for name, given in steering_calls:
            assert (await viewer.call(name, 0.1, given))["code"] == 3, name
        for name, given in steering_calls[:-1]:
            said = await other.call(name, 0.1, given)
            assert said["code"] == 2, name
            assert said["output"].lower().startswith("there is no experiment demo/star"), name
        assert (await other.call("experiment.startexp", 0.1, steering_calls[-1][1]))["code"] == 3
        for name in (
            "state",
            "info",
            "expinfo",
            "nsfile",
            "extra_nodes",
            "virtual_topology_xml",
            "getviz",
            "statewait",
        ):
            given = {**STAR, "aspect": "mapping", "state": "active"}
            assert (await other.call(f"experiment.{name}", 0.1, given))["code"] == 2, name
        assert (await other.call("experiment.getlist", 0.1, {}))["value"] == {}
        assert (await other.call("node.getlist", 0.1, {}))["value"] == {}
        assert bed.record(ExperimentId("Demo", "star")).state is State.ACTIVE

    run(bed, scenario)


def test_no_certificate_no_talk_and_one_taken_back_ends_at_once(bed: Testbed, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(OSError):  # noqa: PT011 - TLS alerts come as several kinds
            await Client(scene.authority, scene.port, None).call("experiment.getlist", 0.1, {})
        elsewhere = Authority(tmp_path / "elsewhere")
        elsewhere.ensure(["localhost"])
        elsewhere.issue("root")
        with pytest.raises(OSError):  # noqa: PT011
            await Client(scene.authority, scene.port, elsewhere.user("root")).call("experiment.getlist", 0.1, {})
        alice = member(scene.doors, "alice", "demo")
        hers = scene.client(alice)
        assert (await hers.call("experiment.state", 0.1, STAR))["code"] == 0
        newer = scene.client(alice)
        with pytest.raises(xmlrpc.client.ProtocolError, match="403"):
            await hers.call("experiment.state", 0.1, STAR)
        assert (await newer.call("experiment.state", 0.1, STAR))["code"] == 0
        take_back(bed.home, scene.doors.access.people, scene.authority, alice)
        with pytest.raises(xmlrpc.client.ProtocolError, match="403"):
            await newer.call("experiment.state", 0.1, STAR)

    run(bed, scenario)


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodCall><methodName>experiment.state</methodName><params><param><value>&b;</value></param></params></methodCall>"""
DEEP = (
    b"<methodCall><methodName>experiment.state</methodName><params><param><value>"
    + b"<array><data><value>" * 5000
    + b"</value></data></array>" * 5000
    + b"</value></param></params></methodCall>"
)
FILE = (
    b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/shadow">]><methodCall><methodName>&a;</methodName></methodCall>"""
)


@pytest.mark.parametrize("body", [LAUGHS, DEEP, FILE, b"", b"not xml", b"<a/>", b"\xff\xfe\x00", b"<methodCall/>"])
def test_hostile_xml_is_a_fault_and_no_more(bed: Testbed, body: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        said = await door_module.answer(scene.doors, User("root", True), body)
        with pytest.raises(xmlrpc.client.Fault) as fault:
            xmlrpc.client.loads(said)
        assert fault.value.faultCode == -32700
        assert b"root:" not in said

    run(bed, scenario)


def test_requests_are_bounded(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
        gigabyte = await scene.root.raw(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode())
        assert gigabyte.startswith(b"HTTP/1.1 413")
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
        try:
            chunked = await scene.root.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 3)
            assert chunked.startswith(b"HTTP/1.1 413")
        except ConnectionError:
            # The rest was not read, which may reset the connection.
            pass
        assert (await scene.root.raw(head.encode() + b"X: " + b"x" * 100_000)).startswith(b"HTTP/1.1 431")
        assert (await scene.root.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert (await scene.root.raw(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).startswith(b"HTTP/1.1 405")
        assert (await scene.root.raw(b"\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400")
        large = await scene.root.call("experiment.nscheck", 0.1, {"nsfilestr": "#" * (600 << 10)})
        assert large["code"] == 6

    run(bed, scenario)


def test_a_crowd_without_handshake_keeps_nobody_out(
    bed: Testbed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door_module, "MAX_CONNECTIONS", 20)

    async def scenario(scene: Scene) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", scene.port) for _ in range(100)]
        for _, writer in silent:
            writer.write(b"\x16\x03\x01\x02\x00")
        await until(lambda: len(scene.door.crowd) == 20, "the crowd is full")
        assert (await scene.root.call("experiment.state", 0.1, STAR))["code"] == 0
        for _, writer in silent:
            writer.close()
        await until(lambda: len(scene.door.crowd) <= 1, "the others are gone")

    run(bed, scenario)
    # Nor do they fill the log.
    assert not [record for record in caplog.records if record.name.startswith("benito")][1:]


def test_a_file_of_this_host_is_read_as_its_local_user(bed: Testbed, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        stranger = scene.client(member(scene.doors, "stranger-from-afar", "demo"))
        given = {"proj": "Demo", "exp": "new", "nsfilepath": "/etc/shadow"}
        said = await stranger.call("experiment.startexp", 0.1, given)
        assert (said["code"], "send the file itself" in said["output"]) == (3, True)
        file = tmp_path / "wrong.ns"
        file.write_text(WRONG)
        said = await scene.root.call("experiment.nscheck", 0.1, {"nsfilepath": str(file)})
        assert said["code"] == 1
        assert "wrong.ns:4" in said["output"]

    run(bed, scenario)


def test_control_characters_and_tags_in_output_stay_text(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        name = enter(bed, "Demo/odd", State.SWAPPED)
        bed.store.move(name, State.SWAPPED, reason="\x1b]0;owned\x07 <script>alert(1)</script> \ufffe")
        full = await scene.root.call("experiment.getlist", 0.1, {"format": "full"})
        [odd] = [each for each in full["value"]["Demo"]["Demo"] if each["eid"] == "odd"]
        assert odd["reason"] == "\ufffd]0;owned\ufffd <script>alert(1)</script> \ufffd"

    run(bed, scenario)


FAKE = """
import json, os, sys, time
from pathlib import Path
home, operation, progress = sys.argv[2], sys.argv[4], int(sys.argv[6])
folder = Path(home, "serve/operations", operation)
def say(**event):
    os.write(progress, json.dumps({"time": time.time(), **event}).encode() + b"\\n")
say(step="working")
deadline = time.time() + 60
while not (folder / "go").exists() and time.time() < deadline:
    time.sleep(0.01)
say(**json.loads((folder / "go").read_text()))
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Operations that do nothing until they are told how to end."""
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(operations, "PROGRAM", [sys.executable, str(tmp_path / "fake.py")])


@pytest.mark.usefixtures("fake")
def test_long_calls_return_at_once_or_wait(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        out = {**STAR, "direction": "out"}
        begun = await scene.root.call("experiment.swapexp", 0.1, out)
        assert begun == {"code": 0, "value": 0, "output": "Demo/star is being swapped out"}
        busy = await scene.root.call("experiment.swapexp", 0.1, out)
        assert (busy["code"], busy["output"]) == (7, "Demo/star: swapout is under way, begun by root")
        operation = scene.doors.operations.current(ExperimentId("demo", "star"))
        assert operation is not None
        go = scene.doors.operations.folder / operation.id / "go"
        go.write_text('{"outcome": "done"}')
        assert (await scene.doors.operations.wait(operation.id)).done
        waiting = asyncio.create_task(scene.root.call("experiment.endexp", 0.1, {**STAR, "wait": "yes"}))
        await until(lambda: scene.doors.operations.current(ExperimentId("Demo", "star")), "it has begun")
        later = scene.doors.operations.current(ExperimentId("Demo", "star"))
        assert later is not None
        assert not waiting.done()
        (scene.doors.operations.folder / later.id / "go").write_text(
            '{"outcome": "failed", "error": "no room", "kind": "CapacityError"}'
        )
        assert await waiting == {"code": 2, "value": 3, "output": "no room"}

    run(bed, scenario)


@pytest.mark.usefixtures("fake")
def test_an_experiment_is_started_with_what_benito_up_offers(bed: Testbed, tmp_path: Path) -> None:
    shared = tmp_path / "datasets"
    shared.mkdir()
    bed.home.root.mkdir(exist_ok=True)
    (bed.home.root / "config.toml").write_text(f'[shares."{shared}"]\nprojects = ["Demo"]\n')
    asked = {"packing": 4, "memory": "2G", "cpus": 2, "disk": 4096, "cold": "yes", "accelerator": "tcg"}
    emulabs = {"description": "mine", "idleswap": 0, "max_duration": 10, "batch": False, "noemail": True}

    async def scenario(scene: Scene) -> None:
        new = {"proj": "Demo", "exp": "new", "nsfilestr": NS, **asked, **emulabs, "share": [f"{shared}:/share/d:ro"]}
        assert (await scene.root.call("experiment.startexp", 0.1, new))["code"] == 0
        operation = scene.doors.operations.current(ExperimentId("Demo", "new"))
        assert operation is not None
        settings = operation.request.settings
        assert settings is not None
        assert (settings.packing, settings.memory_mib, settings.cpus, settings.disk_mib) == (4, 2048, 2, 4096)
        assert (settings.cold, settings.accelerator, settings.default_os) == (True, "tcg", None)
        assert settings.shares == (SharedFolder(source=str(shared), target="/share/d", read_only=True, by_door=True),)
        (scene.doors.operations.folder / operation.id / "go").write_text('{"outcome": "done"}')
        assert (await scene.doors.operations.wait(operation.id)).done

    run(bed, scenario)


def test_what_may_not_be_chosen_is_refused_by_its_name(bed: Testbed, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        new = {"proj": "Demo", "exp": "new", "nsfilestr": NS}
        for given, code, said in (
            ({"pakcing": 4}, 1, "Unknown argument 'pakcing'; known are"),
            ({"memory": "lots"}, 1, "'memory': "),
            ({"default_container": "cloud"}, 1, "'default_container': there is no default_container `cloud`"),
            ({"cold": "perhaps"}, 1, "'cold' must be yes or no"),
            ({"share": [str(tmp_path)]}, 3, "Demo may not have this folder"),
            ({"share": ["/nowhere/at/all:ro"]}, 3, "Demo may not have this folder"),
        ):
            refused = await scene.root.call("experiment.startexp", 0.1, {**new, **given})
            assert (refused["code"], said in refused["output"]) == (code, True), refused
        for name, wrong in (("swapexp", {"direction": "out", "kepe": True}), ("endexp", {"wiat": True})):
            refused = await scene.root.call(f"experiment.{name}", 0.1, {**STAR, **wrong})
            assert (refused["code"], "Unknown argument" in refused["output"]) == (1, True)
        assert bed.record(ExperimentId("Demo", "star")).state is State.ACTIVE

    run(bed, scenario)


def test_a_file_with_mistakes_is_refused_with_all_of_them(bed: Testbed) -> None:
    async def scenario(scene: Scene) -> None:
        said = await scene.root.call("experiment.startexp", 0.1, {"proj": "Demo", "exp": "new", "nsfilestr": WRONG})
        assert said["code"] == 1
        assert "experiment.ns:4" in said["output"]
        assert (await scene.root.call("experiment.state", 0.1, {"proj": "Demo", "exp": "new"}))["code"] == 2
        refused = await scene.root.call("experiment.modify", 0.1, {**STAR, "nsfilestr": NS})
        assert (refused["code"], refused["output"]) == (7, steering.NO_MODIFY)

    run(bed, scenario)
