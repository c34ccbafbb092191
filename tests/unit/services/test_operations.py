"""Long operations: processes that outlive the door which began them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from simulated import NS

from benito.errors import BusyError, InputError, StateError
from benito.services import operations
from benito.services.operations import Event, Kind, Operations, Outcome, Request
from benito.testbed.home import ExperimentId
from benito.testbed.store import Settings
from benito.testbed.testbed import Testbed

PROGRAM = """
import json, os, subprocess, sys, time
from pathlib import Path
folder, progress = Path(sys.argv[2], "serve/operations", sys.argv[4]), int(sys.argv[6])
def say(**event):
    os.write(progress, json.dumps(event).encode() + b"\\n")
(folder / "pid").write_text(str(os.getpid()))
say(time=1, step="working")
deadline = time.time() + 60
while not (folder / "go").exists() and time.time() < deadline:
    time.sleep(0.01)
say(time=2, node="a", phase="booted")
say(time=3, outcome="done")
"""


@pytest.fixture
def begun(bed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Operations:
    """Operations whose program waits for a file."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setattr(operations, "PROGRAM", [sys.executable, str(tmp_path / "program.py")])
    return Operations(bed.home)


def request(eid: str = "star", kind: Kind = Kind.SWAPIN) -> Request:
    return Request(kind=kind, pid="Demo", eid=eid, user="alice")


async def followed(operations: Operations, name: str) -> list[Event]:
    return [event async for event in operations.follow(name)]


def pid_of(operations: Operations, name: str) -> int:
    """Wait for the process to say who it is."""
    file = operations.folder / name / "pid"

    async def said() -> int:
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.01)
        return int(file.read_text())

    return asyncio.run(asyncio.wait_for(said(), 20))


def test_a_later_door_follows_from_the_beginning(begun: Operations) -> None:
    name = begun.start(request()).id
    later = Operations(begun.home)
    assert later.get(name).outcome is None
    assert later.current(ExperimentId("DEMO", "STAR")) is not None
    (begun.folder / name / "go").touch()
    events = asyncio.run(followed(later, name))
    assert [{k: v for k, v in event.items() if k != "time"} for event in events] == [
        {"step": "working"},
        {"node": "a", "phase": "booted"},
        {"outcome": "done"},
    ]
    assert later.get(name).outcome == Outcome("done")
    assert later.current(ExperimentId("Demo", "star")) is None


def test_one_at_a_time_for_each_experiment(begun: Operations) -> None:
    first = begun.start(request())
    with pytest.raises(BusyError, match="demo/star: swapin is under way, begun by alice"):
        begun.start(Request(kind=Kind.SWAPOUT, pid="demo", eid="star", user="bob"))
    second = begun.start(request("other"))
    for each in (first, second):
        (begun.folder / each.id / "go").touch()
        assert asyncio.run(begun.wait(each.id)).done


def test_those_that_ended_long_ago_are_not_looked_at_again(begun: Operations, monkeypatch: pytest.MonkeyPatch) -> None:
    name = begun.start(request()).id
    experiment = ExperimentId("demo", "star")
    (begun.folder / name / "go").touch()
    assert asyncio.run(begun.wait(name)).done
    asked: list[int] = []
    monkeypatch.setattr(operations.fcntl, "flock", lambda *words: asked.append(len(words)))
    # One that was begun just now may only not have its lock yet.
    assert begun.current(experiment) is begun.current(experiment) is None
    assert len(asked) == 2
    monkeypatch.setattr(operations, "SETTLED_S", -60.0)
    assert begun.current(experiment) is begun.current(experiment) is None
    assert len(asked) == 3


def test_one_that_is_killed_was_interrupted(begun: Operations) -> None:
    name = begun.start(request()).id
    os.kill(pid_of(begun, name), signal.SIGKILL)
    outcome = asyncio.run(asyncio.wait_for(begun.wait(name), 20))
    assert outcome.outcome == "interrupted"
    assert Operations(begun.home).get(name).outcome == outcome


def test_what_is_written_down_is_roots_alone(begun: Operations) -> None:
    name = begun.start(request()).id
    (begun.folder / name / "go").touch()
    assert asyncio.run(begun.wait(name)).done
    for place in (begun.folder.parent, begun.folder, begun.folder / name):
        assert place.stat().st_mode & 0o077 == 0
    assert (begun.folder / name / "progress.jsonl").stat().st_mode & 0o077 == 0


def test_it_stands_apart_from_its_door(begun: Operations) -> None:
    name = begun.start(request()).id
    assert os.getsid(pid_of(begun, name)) != os.getsid(0)
    (begun.folder / name / "go").touch()
    assert asyncio.run(begun.wait(name)).done


@pytest.mark.parametrize("name", ["nothing", "../../..", "", "a/b"])
def test_a_name_of_none_is_told(begun: Operations, name: str) -> None:
    with pytest.raises(StateError, match="there is no operation"):
        begun.get(name)


def test_a_file_too_large_begins_nothing(begun: Operations) -> None:
    with pytest.raises(InputError, match="at most 524288"):
        begun.start(request(kind=Kind.CREATE), b"x" * (1 << 20))
    assert begun.recent() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="experiments are made by root")
def test_an_experiment_is_created_and_its_faults_are_told(bed: Testbed) -> None:
    begun = Operations(bed.home)

    def made(eid: str, text: str) -> Outcome:
        settings = Settings(file="pair.ns", packing=3, members=("root",))
        asked = Request(kind=Kind.CREATE, pid="Demo", eid=eid, user="alice", settings=settings)
        name = begun.start(asked, text.encode()).id
        child = begun._children[name]
        outcome = asyncio.run(begun.wait(name))
        child.wait(20)
        return outcome

    assert made("pair", NS) == Outcome("done")
    assert bed.record(ExperimentId("Demo", "pair")).settings.file == "pair.ns"
    assert "exists already" in made("PAIR", NS).error
    wrong = made("wrong", NS.replace("1Mb", "1furlong").replace("10ms", "soon"))
    assert (wrong.kind, wrong.error.count("pair.ns:4")) == ("InputError", 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="experiments are made by root")
@pytest.mark.parametrize("file", ["progress.jsonl", "request.json", "log", "file"])
def test_a_file_may_have_any_name(bed: Testbed, file: str) -> None:
    begun = Operations(bed.home)
    settings = Settings(file=file, packing=3, members=("root",))
    asked = Request(kind=Kind.CREATE, pid="Demo", eid="pair", user="alice", settings=settings)
    name = begun.start(asked, NS.encode()).id
    child = begun._children[name]
    assert asyncio.run(begun.wait(name)) == Outcome("done")
    child.wait(20)
    assert begun.get(name).request.settings == settings
