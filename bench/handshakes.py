"""What a flood of TLS connections costs the encrypted doors: `python -m bench.handshakes`.

Doors in a process of their own; more connections come than there is room for, with half a handshake and with a whole
one. Told is the process's resident memory at rest, with a door full, and after.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
import sys
import tempfile
import time
from pathlib import Path

from benito.services import web_door
from benito.services.access import folder, new_token
from benito.services.certificates import Authority, own_names
from benito.services.doors import Doors
from benito.services.listening import bound, many_files, small_buffers
from benito.services.people_keys import give_certificate
from benito.services.web_door import WebDoor
from benito.services.xmlrpc import door
from benito.services.xmlrpc.door import XmlRpcDoor
from benito.testbed.home import Home
from benito.testbed.testbed import Testbed

COMING = 2000
HELLO = b"\x16\x03\x01\x02\x00\x01"
"""The first bytes of a handshake that never goes on."""
SETTLE_S = 1.0
USER = "bench"


async def serve(home: Home) -> None:
    """Open both encrypted doors and say their ports."""
    many_files()
    small_buffers()
    bed = Testbed(home)
    doors = Doors.open(bed)
    authority = Authority(folder(home))
    authority.ensure(own_names("127.0.0.1"))
    user = doors.access.people.add(USER, admin=True)
    new_token(home, doors.access.people, user)
    give_certificate(doors.access.people, authority, user)
    with bound("127.0.0.1", 0, "the benchmark") as web, bound("127.0.0.1", 0, "the benchmark") as calls:
        print(web.getsockname()[1], calls.getsockname()[1], flush=True)
        pages = WebDoor(doors, ["127.0.0.1"], web.getsockname()[1], authority)
        await asyncio.gather(pages.serve(web), XmlRpcDoor(doors, authority.context).serve(calls))


def resident_mib(pid: int) -> float:
    """Return a process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def flood(port: int, context: ssl.SSLContext | None) -> list[asyncio.StreamWriter]:
    """Open connections: with a context whole ones, else with half a handshake."""
    opened = []
    for _ in range(COMING):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            if context is None:
                writer.write(HELLO)
            opened.append(writer)
    return opened


async def measure(what: str, port: int, pid: int, context: ssl.SSLContext | None) -> None:
    """Flood one door and tell."""
    before = resident_mib(pid)
    began = time.perf_counter()
    opened = await flood(port, context)
    took = time.perf_counter() - began
    await asyncio.sleep(SETTLE_S)
    full = resident_mib(pid)
    for writer in opened:
        writer.transport.abort()
    await asyncio.sleep(SETTLE_S)
    print(
        f"{what:<48} {len(opened):,} came in {took:.1f} s: {before:.0f} MiB before, {full:.0f} full, "
        f"{resident_mib(pid):.0f} after"
    )


async def main() -> None:
    """Measure, in a home of its own."""
    many_files()
    root = Path(tempfile.mkdtemp(prefix="benito-", dir="/tmp"))
    argv = [sys.executable, "-m", "bench.handshakes", "--serve", str(root / "home")]
    server = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        web, calls = map(int, (await server.stdout.readline()).split())
        authority = Authority(folder(Home(root / "home")))
        context = ssl.create_default_context(cafile=authority.certificate)
        context.load_cert_chain(authority.user(USER))
        print(f"room for {web_door.MOST_ENCRYPTED} on the web page, {door.MAX_CONNECTIONS} on XML-RPC")
        for what, port in (("the web page", web), ("XML-RPC", calls)):
            await measure(f"{what}, handshakes that don't go on", port, server.pid, None)
            await measure(f"{what}, handshakes that are done", port, server.pid, context)
    finally:
        server.kill()
        await server.wait()
        shutil.rmtree(root)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(Home(Path(sys.argv[2]))))
    else:
        asyncio.run(main())
