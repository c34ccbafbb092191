"""The gateway's program: names and packages for the nodes of one experiment.

It opens its doors in the experiment's namespace, then gives up root for good and goes on in the host's own namespace,
from where it asks the host's resolvers and archives. It may be killed at any time; whoever keeps it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import importlib
import logging
import os
import signal
import socket
from pathlib import Path

from benito.gateway import settings as files
from benito.gateway.cache import Cache
from benito.gateway.dns import Datagrams, Forwarder
from benito.gateway.proxy import Proxy
from benito.gateway.settings import DNS_PORT, PROXY_PORT, UID, Settings
from benito.gateway.targets import Policy
from benito.gateway.upstream import Upstream
from benito.network.namespaces import entered

LATE = (
    "anyio._backends._asyncio",
    "concurrent.futures.thread",
    "dns.rdtypes.ANY.PTR",
    "dns.rdtypes.ANY.SOA",
    "dns.rdtypes.IN.A",
    "dns.rdtypes.IN.AAAA",
    "encodings.idna",
    "httpcore._async.http_proxy",
)
"""Modules that others load when they first need them: too late, for nobody in particular may not read our folders."""
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def doors(settings: Settings) -> tuple[socket.socket, socket.socket, socket.socket]:
    """Open the datagram and stream sockets for names, and the one for packages, where the nodes are."""
    with entered(Path(settings.namespace)):
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        datagrams.bind((settings.address, DNS_PORT))
        streams = [socket.create_server((settings.address, port), backlog=64) for port in (DNS_PORT, PROXY_PORT)]
    return datagrams, streams[0], streams[1]


def give_up_root(cache: Path) -> None:
    """Become nobody in particular, who owns the cache and nothing else."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(cache, UID, UID)
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The memory holds the host's passwords for its archives.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def serve(settings: Settings, opened: tuple[socket.socket, socket.socket, socket.socket]) -> None:
    """Serve until told to end."""
    datagrams, names, packages = opened
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    forwarder = Forwarder(settings)
    proxy = Proxy(Policy(settings), Upstream(settings.proxies), Cache(Path(settings.cache), settings.cache_mib << 20))
    await loop.create_datagram_endpoint(lambda: Datagrams(forwarder), sock=datagrams)
    await asyncio.start_server(forwarder.serve_stream, sock=names)
    await asyncio.start_server(proxy.serve, sock=packages)
    proxy.cache.prune()
    await ended.wait()


def main() -> None:
    """Serve one experiment's nodes."""
    ask = argparse.ArgumentParser(prog="benito-gateway")
    ask.add_argument("--settings", type=Path, required=True, help="JSON file, readable by root")
    told = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    settings = files.read(told.settings)
    opened = doors(settings)
    for module in LATE:
        importlib.import_module(module)
    give_up_root(Path(settings.cache))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(settings, opened))


if __name__ == "__main__":
    main()
