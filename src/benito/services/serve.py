"""`benito serve`: every door in one process, over the same experiments that the commands work on.

It keeps nothing that a restart would lose: operations are processes of their own, node states are the keepers'.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benito.errors import BusyError
from benito.services import status_rpc
from benito.services.access import Access, folder, new_token, token_file
from benito.services.address import HOST, PORT, remember
from benito.services.certificates import Authority, own_names
from benito.services.doors import Doors
from benito.services.listening import bound, many_files, small_buffers
from benito.services.people_keys import first_user, give_certificate
from benito.services.status_rpc import StatusDoor
from benito.services.web_door import WebDoor
from benito.services.xmlrpc import door
from benito.services.xmlrpc.door import XmlRpcDoor
from benito.testbed import flock
from benito.testbed.people import User
from benito.testbed.testbed import Testbed

log = logging.getLogger("serve")


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen; port 0 takes any that is free."""

    listen: str = HOST
    web_port: int = PORT
    xmlrpc_port: int = door.PORT
    status_port: int = status_rpc.PORT
    status_needs_token: bool = False
    names: tuple[str, ...] = ()
    """What else the server is called: by a proxy before it, by the DNS."""

    @property
    def exposed(self) -> bool:
        """Whether others than this host's own users can connect."""
        try:
            return not ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return self.listen != "localhost"


@dataclass(frozen=True, slots=True)
class Listening:
    """What is told when the doors are open."""

    web: str
    """Address of the pages, without token."""
    xmlrpc: str
    """Address of the calls."""
    status: tuple[str, int]
    user: User
    """The first administrator."""


def prepare(bed: Testbed, names: Iterable[str]) -> tuple[Authority, User]:
    """Make what is missing: authority, server's certificate, a first administrator with token and certificate."""
    authority = Authority(folder(bed.home))
    authority.ensure(names)
    access = Access(bed)
    access.people.prepare()
    user = first_user(access.people)
    if not token_file(bed.home, user).exists():
        new_token(bed.home, access.people, user)
    if not authority.user(user.name).exists():
        give_certificate(access.people, authority, user)
    return authority, user


@contextlib.contextmanager
def alone(bed: Testbed) -> Iterator[None]:
    """BusyError when another `serve` has this home."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(flock.held(folder(bed.home) / "lock", wait=False))
        except BusyError:
            raise BusyError(
                f"a `benito serve` of {bed.home.root} is running already", hint="end it, or choose another BENITO_HOME"
            ) from None
        yield


async def serve(bed: Testbed, options: Options, tell: Callable[[Listening], None]) -> None:
    """Open the doors, tell where, and keep them open until SIGTERM or SIGINT."""
    many_files()
    small_buffers()
    # A netlink socket of its own loop: not in this thread.
    names = await asyncio.to_thread(own_names, options.listen, options.names)
    authority, user = prepare(bed, names)
    doors = Doors.open(bed)
    with contextlib.ExitStack() as stack:
        web_socket = stack.enter_context(bound(options.listen, options.web_port, "the web page"))
        status_socket = stack.enter_context(bound(options.listen, options.status_port, "the status door"))
        xmlrpc_socket = stack.enter_context(bound(options.listen, options.xmlrpc_port, "the XML-RPC"))
        xmlrpc = XmlRpcDoor(doors, authority.context)
        web = WebDoor(doors, names, _port(web_socket), authority if options.exposed else None)
        status = StatusDoor(doors, open_to_all=not options.exposed and not options.status_needs_token)
        scheme = "https" if options.exposed else "http"
        host = _bracketed(options.listen)
        pages = f"{scheme}://{host}:{_port(web_socket)}"
        remember(bed.home, pages)
        tell(
            Listening(
                pages,
                f"https://{host}:{_port(xmlrpc_socket)}{door.PATH}",
                (options.listen, _port(status_socket)),
                user,
            )
        )
        opened = [
            web.serve(web_socket),
            xmlrpc.serve(xmlrpc_socket),
            status.serve(status_socket),
            doors.keep(),
        ]
        await _until_told(web, opened)


async def _until_told(web: WebDoor, doors: list[Coroutine[Any, Any, None]]) -> None:
    """Run all doors; a signal, or a door that fails, closes them in order."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    tasks = [asyncio.ensure_future(door) for door in doors]
    waiting = asyncio.ensure_future(told.wait())
    await asyncio.wait({*tasks, waiting}, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done()]
    web.end()
    for task in tasks[1:]:
        task.cancel()
    waiting.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
