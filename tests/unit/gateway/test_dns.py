"""The gateway's names: what it answers itself, and what it asks the host's resolvers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from benito.gateway.dns import Datagrams, Forwarder, known_hosts, parse, resolvers

from .conftest import settings

HOSTS = """\
127.0.0.1 localhost
10.0.0.9  Mirror.corp mirror  # a comment
fd00::9   mirror.corp
# BEGIN benito one.other 0123456789
192.168.5.2 victim.one.other
# END benito one.other 0123456789
nonsense here
"""
NAMES = {"a.one.test": "192.168.0.2", "b.one.test": "192.168.0.3"}


class Resolver(asyncio.DatagramProtocol):
    """Answers every question with one address, after a wrong answer to somebody else's."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text())
        for number, address in ((query.id ^ 1, "6.6.6.6"), (query.id, "203.0.113.5")):
            answer = dns.message.make_response(query)
            answer.id = number
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", address))
            self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]


def ask(tmp_path: Path, *questions: tuple[str, str], internet: bool = True) -> list[dns.message.Message]:
    """Ask a forwarder whose host has one resolver, which without a way out must hear nothing."""

    async def go() -> list[dns.message.Message]:
        loop = asyncio.get_running_loop()
        resolver, upstream = await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 0))
        port = resolver.get_extra_info("sockname")[1]
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (tmp_path / "hosts").write_text(HOSTS)
        told = settings(internet=internet, names=NAMES)
        forwarder = Forwarder(told, tmp_path / "resolv.conf", tmp_path / "hosts", port)
        door, _ = await loop.create_datagram_endpoint(lambda: Datagrams(forwarder), local_addr=("127.0.0.1", 0))
        replies = [await one(door.get_extra_info("sockname"), *question) for question in questions]
        door.close()
        resolver.close()
        if not internet:
            assert upstream.asked == []
        return replies

    async def one(door: tuple[str, int], name: str, kind: str) -> dns.message.Message:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                got.set_result(data)

        client, _ = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=door)
        client.sendto(dns.message.make_query(name, kind).to_wire())
        async with asyncio.timeout(10):
            reply = dns.message.from_wire(await got)
        client.close()
        return reply

    return asyncio.run(go())


def values(reply: dns.message.Message) -> list[str]:
    return [value.to_text() for each in reply.answer for value in each]


def test_own_nodes_the_hosts_names_and_the_world_are_answered(tmp_path: Path) -> None:
    questions = (
        ("A.One.Test", "A"),
        ("a.one.test", "AAAA"),
        ("2.0.168.192.in-addr.arpa", "PTR"),
        ("missing.one.test", "A"),
        ("mirror.corp", "A"),
        ("MIRROR.corp", "AAAA"),
        ("example.net", "A"),
    )
    replies = ask(tmp_path, *questions)
    assert [values(reply) for reply in replies] == [
        ["192.168.0.2"],
        [],
        ["a.one.test."],
        [],
        ["10.0.0.9"],
        ["fd00::9"],
        ["203.0.113.5"],
    ]
    codes = [dns.rcode.NOERROR] * 3 + [dns.rcode.NXDOMAIN] + [dns.rcode.NOERROR] * 3
    assert [reply.rcode() for reply in replies] == codes


def test_without_a_way_out_only_own_names_exist(tmp_path: Path) -> None:
    own, host, world = ask(tmp_path, ("b.one.test", "A"), ("mirror.corp", "A"), ("example.net", "A"), internet=False)
    assert values(own) == ["192.168.0.3"]
    assert host.rcode() == world.rcode() == dns.rcode.NXDOMAIN


def test_names_of_this_host_and_of_other_experiments_stay_with_it() -> None:
    assert known_hosts(HOSTS) == {"mirror.corp": ["10.0.0.9", "fd00::9"], "mirror": ["10.0.0.9"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["127.0.0.1"]),
        ("search x\nnameserver 127.0.0.53\n", ["127.0.0.53"]),
        ("nameserver 1.1.1.1\nnameserver nonsense\nnameserver ::1", ["1.1.1.1", "::1"]),
        ("nameserver 1.1.1.1\n" * 5, ["1.1.1.1"] * 3),
    ],
)
def test_resolvers_are_those_of_the_host(text: str, found: list[str]) -> None:
    assert resolvers(text) == found


@pytest.mark.parametrize(
    "wire",
    [
        lambda: b"",
        lambda: b"\xff" * 600,
        lambda: b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        lambda: dns.message.make_response(dns.message.make_query("x", "A")).to_wire(),
    ],
)
def test_what_is_no_question_gets_no_answer(wire: Callable[[], bytes]) -> None:
    assert parse(wire()) is None
