"""The line protocol: what programs get, and what rude clients can't do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from ast import literal_eval
from collections.abc import Awaitable, Callable

import pytest
from simulated import NODES, Keeper, enter, member, opened, until

from benito.services import status_rpc
from benito.services.access import new_token
from benito.services.doors import Doors
from benito.services.status_rpc import StatusDoor
from benito.testbed.home import ExperimentId
from benito.testbed.store import State
from benito.testbed.testbed import Testbed

Ask = Callable[[str], Awaitable[str]]
STATUS = {
    "hv:qemu:pnode-0000": {"a": ["booted", 0]},
    "hv:qemu:pnode-0001": {"b": ["booted", 0]},
    "hv:container:pnode-0002": {"c": ["booted", 0]},
}


async def asked(port: int, *lines: str) -> list[str]:
    """Return the replies to lines sent over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("".join(f"{line}\n" for line in lines).encode())
    replies = [(await asyncio.wait_for(reader.readline(), 20)).decode() for _ in lines]
    writer.close()
    return replies


def run(
    bed: Testbed, scenario: Callable[[StatusDoor, int, Keeper], Awaitable[None]], *, open_to_all: bool = True
) -> None:
    """Have a scenario happen at an open door with one active experiment."""

    async def happen() -> None:
        doors = Doors.open(bed)
        keeper = await Keeper(bed, enter(bed)).begin()
        door = StatusDoor(doors, open_to_all=open_to_all)
        async with opened(door) as port:
            await scenario(door, port, keeper)
        await doors.watches.close()
        await keeper.server.close()

    asyncio.run(happen())


def test_a_reply_is_read_by_the_pages_own_lines(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        [line] = await asked(port, "status_request Demo/star")
        type, body = line.split(" ", 1)
        message = literal_eval(body)
        assert type == "status_reply"
        assert message == STATUS

    run(bed, scenario)


def test_a_name_is_found_in_any_spelling_and_line_ends_may_be_of_windows(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        [line] = await asked(port, "status_request dEMO/STAR\r")
        assert literal_eval(line.split(" ", 1)[1]) == STATUS

    run(bed, scenario)


def test_what_happens_shows_without_asking_the_nodes(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def status() -> dict[str, dict[str, list[object]]]:
            writer.write(b"status_request Demo/star\n")
            found: dict[str, dict[str, list[object]]] = literal_eval(
                (await reader.readline()).decode().split(" ", 1)[1]
            )
            return found

        async def becomes(node: str, pnode: str, expected: list[object]) -> None:
            async with asyncio.timeout(20):
                while (await status())[pnode][node] != expected:
                    await asyncio.sleep(0.01)

        await becomes("a", "hv:qemu:pnode-0000", ["booted", 0])
        keeper.move("a", "dead", -9)
        await becomes("a", "hv:qemu:pnode-0000", ["dead", -9])
        keeper.lose("pnode-0001", ["b"])
        await becomes("b", "hv:qemu:pnode-0001", [None, None])
        # The keeper itself ends: nothing can be reached any more.
        await keeper.server.close()
        await becomes("c", "hv:container:pnode-0002", [None, None])
        # And is there again.
        await keeper.server.listen(keeper.socket)
        await becomes("c", "hv:container:pnode-0002", ["booted", 0])
        writer.close()

    run(bed, scenario)


def test_what_cannot_be_answered_is_an_error_reply_and_the_talk_goes_on(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        said = await asked(
            port,
            "status_request Demo/nova",
            "status_request ../../etc/passwd",
            "status_request",
            "frobnicate now",
            "state_request Demo/star",
        )
        assert said == [
            "error_reply 'there is no experiment Demo/nova'\n",
            "error_reply \"'..' can't be PID\"\n",
            "error_reply 'one experiment is expected: PID/EID'\n",
            "error_reply \"unknown command 'frobnicate'; help lists them\"\n",
            "state_reply 'active'\n",
        ]

    run(bed, scenario)


def test_an_experiment_without_machines_has_no_hypervisors(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        enter(bed, "Demo/idle", State.SWAPPED)
        assert await asked(port, "status_request Demo/idle", "list_request", "pnodes_request Demo/star") == [
            "status_reply {}\n",
            "list_reply {'Demo/idle': 'swapped', 'Demo/star': 'active'}\n",
            f"pnodes_reply { {node.pnode: 'up' for node in NODES} }\n",
        ]

    run(bed, scenario)


def test_help_names_every_command(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        [line] = await asked(port, "help")
        assert {name.split()[0] for name in literal_eval(line.split(" ", 1)[1])} == {*door._commands, "quit"}

    run(bed, scenario)


def test_on_a_network_states_are_told_to_members_only(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        alice = member(door.doors, "alice", "demo")
        bob = member(door.doors, "bob", "Other")
        tokens = [new_token(bed.home, door.doors.access.people, user) for user in (alice, bob)]
        refused = "error_reply 'say who you are first: token TOKEN'\n"
        assert await asked(port, "status_request Demo/star", "list_request") == [refused, refused]
        assert await asked(port, "token wrong") == ['error_reply "this token is nobody\'s"\n']
        hers = await asked(port, f"token {tokens[0]}", "state_request Demo/star")
        assert hers == ["token_reply 'alice'\n", "state_reply 'active'\n"]
        his = await asked(port, f"token {tokens[1]}", "state_request Demo/star", "list_request")
        assert his[1:] == ["error_reply 'there is no experiment Demo/star'\n", "list_reply {}\n"]

    run(bed, scenario, open_to_all=False)


def test_a_line_without_end_is_cut_off(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 2000)
        assert await asyncio.wait_for(reader.read(), 20) == b"error_reply 'a line has at most 1024 bytes'\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 1_000_000)
        # With so much unread, the end may come as a reset.
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 20)
        assert await asked(port, "state_request Demo/star") == ["state_reply 'active'\n"]

    run(bed, scenario)


def test_who_keeps_silent_is_let_go(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_rpc, "SILENT_S", 0.2)
    monkeypatch.setattr("benito.services.crowd.SWEEP_S", 0.05)

    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"status_req")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()

    run(bed, scenario)


def test_a_crowd_of_silent_clients_keeps_nobody_out(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_rpc, "MAX_CONNECTIONS", 50)

    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        silent = []
        for _ in range(300):
            silent.append(socket.create_connection(("127.0.0.1", port)))
            await asyncio.sleep(0)
        await until(lambda: len(door.crowd) == 50, "the crowd is full")
        assert await asked(port, "state_request Demo/star") == ["state_reply 'active'\n"]
        for each in silent[::2]:
            # Reset instead of an orderly end.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for each in silent:
            each.close()
        await until(lambda: len(door.crowd) == 0, "all are gone")
        assert await asked(port, "state_request Demo/star") == ["state_reply 'active'\n"]

    run(bed, scenario)


def test_many_clients_at_once_are_answered(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        answers = await asyncio.gather(*(asked(port, *["status_request Demo/star"] * 3) for _ in range(100)))
        assert {line for lines in answers for line in lines} == {f"status_reply {STATUS!r}\n"}

    run(bed, scenario)


def test_a_swap_out_shows_at_once(bed: Testbed) -> None:
    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        assert (await asked(port, "status_request Demo/star"))[0] != "status_reply {}\n"
        name = ExperimentId("Demo", "star")
        bed.again().store.set_nodes(name, [])
        bed.again().store.move(name, State.SWAPPED)
        assert await asked(port, "status_request Demo/star") == ["status_reply {}\n"]

    run(bed, scenario)


def test_who_never_reads_is_let_go(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_rpc, "WRITE_S", 0.2)

    async def scenario(door: StatusDoor, port: int, keeper: Keeper) -> None:
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            deaf.setblocking(False)
            # As much as it takes: the buffers between are the system's affair.
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(60):
                    while True:
                        with contextlib.suppress(BlockingIOError):
                            deaf.send(b"help\n" * 1000)
                        await asyncio.sleep(0.001)
        assert await asked(port, "state_request Demo/star") == ["state_reply 'active'\n"]

    run(bed, scenario)
