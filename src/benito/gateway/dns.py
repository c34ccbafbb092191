"""The gateway's names: a DNS forwarder for the nodes of one experiment.

It answers for the experiment's own nodes, then from the host's hosts file, and passes everything else on to the host's
resolvers as it is. It listens in the experiment's namespace and speaks to them from the host's own: they may be at
127.0.0.53. Without a way out, only the experiment's own names exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

from benito.gateway.settings import Settings

log = logging.getLogger("gateway")
RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")
OUTSTANDING = 512
"""Most questions under way at a time; more are dropped, and their askers ask again."""
STREAMS = 64
TTL_S = 30
_ANSWER_S = 3.0
"""How long one resolver may take before the next is asked."""
_STREAM_S = 10.0
_MINE = re.compile(r"^# BEGIN benito .*?^# END benito[^\n]*$", re.MULTILINE | re.DOTALL)


T = TypeVar("T")


class Watched(Generic[T]):
    """What a file says, read again when it has changed: every question asks for it."""

    def __init__(self, path: Path, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._stamp: tuple[int, int] | None = None
        self._said = read("")

    def said(self) -> T:
        """Return it; what an empty file says when there is none."""
        try:
            facts = self._path.stat()
            stamp = (facts.st_mtime_ns, facts.st_ino)
            if stamp != self._stamp:
                self._said, self._stamp = self._read(self._path.read_text(errors="replace")), stamp
        except OSError:
            self._said, self._stamp = self._read(""), None
        return self._said


def resolvers(text: str) -> list[str]:
    """Return the name servers of a resolv.conf; this host itself when it names none (resolv.conf(5))."""
    lines = (line.split() for line in text.splitlines())
    named = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return [address for address in named if _is_address(address)][:3] or ["127.0.0.1"]


def known_hosts(text: str) -> dict[str, list[str]]:
    """Return the addresses of a hosts file that mean something to others than this host, by names in lower case.

    The names of experiments' nodes in it are those experiments' business.
    """
    found: dict[str, list[str]] = {}
    for line in _MINE.sub("", text).splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if not names or not _is_address(address) or ipaddress.ip_address(address).is_loopback:
            continue
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return found


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text.partition("%")[0])
        return True
    return False


class Names:
    """What is answered here, without asking anybody."""

    def __init__(self, settings: Settings, hosts: Watched[dict[str, list[str]]]) -> None:
        self._own = {name: [address] for name, address in settings.names.items()}
        self._domain = f".{settings.domain}"
        self._reverse = {dns.reversename.from_address(address): name for name, address in settings.names.items()}
        self._internet = settings.internet
        self._hosts = hosts

    def answer(self, query: dns.message.Message) -> bytes | None:
        """Return the answer to a question, or None when it is to be passed on."""
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        response = dns.message.make_response(query, recursion_available=True)
        if question.name in self._reverse and question.rdtype == dns.rdatatype.PTR:
            told = dns.rrset.from_text(question.name, TTL_S, "IN", "PTR", f"{self._reverse[question.name]}.")
            response.answer.append(told)
            return response.to_wire()
        addresses = self._own.get(name) or (self._hosts.said().get(name) if self._internet else None)
        if addresses is None:
            if self._internet and not name.endswith(self._domain):
                return None
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        kinds = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}
        if question.rdtype in kinds:
            version = kinds[question.rdtype]
            fitting = [each for each in addresses if ipaddress.ip_address(each).version == version]
            if fitting:
                response.answer.append(dns.rrset.from_text_list(question.name, TTL_S, "IN", question.rdtype, fitting))
        return response.to_wire()


class Forwarder:
    """Serves the nodes of one experiment by datagrams and streams."""

    def __init__(
        self, settings: Settings, resolv_conf: Path = RESOLV_CONF, hosts: Path = HOSTS, port: int = 53
    ) -> None:
        self._names = Names(settings, Watched(hosts, known_hosts))
        self._resolvers = Watched(resolv_conf, resolvers)
        self._port = port
        self._outstanding: set[asyncio.Task[None]] = set()
        self._streams = 0

    def received(self, wire: bytes, address: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        """Take a node's datagram."""
        if len(self._outstanding) >= OUTSTANDING:
            return
        task = asyncio.create_task(self._answer_datagram(wire, address, transport))
        self._outstanding.add(task)
        task.add_done_callback(self._outstanding.discard)

    async def _answer_datagram(
        self, wire: bytes, address: tuple[str, int], transport: asyncio.DatagramTransport
    ) -> None:
        query = parse(wire)
        if query is None:
            return
        reply = self._names.answer(query) or await self._ask(wire, query)
        transport.sendto(reply or failure(query), address)

    async def _ask(self, wire: bytes, query: dns.message.Message) -> bytes | None:
        """Return what the first resolver that answers says."""
        for server in self._resolvers.said():
            with contextlib.suppress(OSError, TimeoutError):
                return await _exchange(wire, query, server, self._port)
        return None

    async def serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a node's connection."""
        if self._streams >= STREAMS:
            writer.close()
            return
        self._streams += 1
        try:
            async with asyncio.timeout(_STREAM_S * 4):
                while True:
                    await self._answer_stream(reader, writer)
        except (OSError, TimeoutError, EOFError, ValueError):
            pass
        finally:
            self._streams -= 1
            writer.close()

    async def _answer_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_STREAM_S):
            wire = await _read_message(reader)
        query = parse(wire)
        if query is None:
            raise ValueError("no question")
        reply = self._names.answer(query) or await self._ask_stream(wire) or failure(query)
        writer.write(len(reply).to_bytes(2, "big") + reply)
        await writer.drain()

    async def _ask_stream(self, wire: bytes) -> bytes | None:
        for server in self._resolvers.said():
            with contextlib.suppress(OSError, TimeoutError, EOFError):
                async with asyncio.timeout(_STREAM_S):
                    reader, writer = await asyncio.open_connection(server, self._port)
                    try:
                        writer.write(len(wire).to_bytes(2, "big") + wire)
                        return await _read_message(reader)
                    finally:
                        writer.close()
        return None


def parse(wire: bytes) -> dns.message.Message | None:
    """Return a query of one question; None for anything else, which deserves no answer."""
    try:
        query = dns.message.from_wire(wire, question_only=True)
    except (dns.exception.DNSException, ValueError):
        return None
    asked = not query.flags & dns.flags.QR and query.opcode() == 0 and len(query.question) == 1
    return query if asked else None


def failure(query: dns.message.Message) -> bytes:
    """Return the answer that says that no resolver answers."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def _exchange(wire: bytes, query: dns.message.Message, server: str, port: int) -> bytes:
    """Ask one resolver, from a port of this question's own; OSError or TimeoutError when it doesn't answer."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asked:
        await loop.sock_connect(asked, (server, port))
        await loop.sock_sendall(asked, wire)
        async with asyncio.timeout(_ANSWER_S):
            while True:
                reply = await loop.sock_recv(asked, 65535)
                if _answers(reply, query):
                    return reply


def _answers(reply: bytes, query: dns.message.Message) -> bool:
    """Whether the datagram is an answer to just this question."""
    try:
        told = dns.message.from_wire(reply, question_only=True)
    except (dns.exception.DNSException, ValueError):
        return False
    return bool(told.id == query.id and told.flags & dns.flags.QR and told.question == query.question)


class Datagrams(asyncio.DatagramProtocol):
    """Hands datagrams to the forwarder."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport doesn't say that it is one.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._forwarder.received(data, addr, self._transport)
