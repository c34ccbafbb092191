"""What nodes get through the package proxy, and how often the world is asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from benito.gateway.cache import Cache
from benito.gateway.proxy import _join
from benito.gateway.settings import Proxies

from .conftest import Mirror, Node, proxy, settings

DEB = "/debian/pool/main/a/a/a_1_all.deb"
INDEX = "/debian/dists/x/InRelease"


def test_what_one_node_has_fetched_the_next_gets_without_a_question(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({DEB: b"package" * 50000}).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                first, second = await node.get(base + DEB), await node.get(base + DEB)
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                third = await node.get(base + DEB)
            assert first.body == second.body == third.body == mirror.files[DEB]
            assert len(mirror.asked) == 1

    asyncio.run(go())


def test_of_an_index_only_its_change_is_fetched(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({INDEX: b"old"}).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                assert (await node.get(base + INDEX)).body == b"old"
                assert (await node.get(base + INDEX)).body == b"old"
                unchanged = await node.get(base + INDEX, if_none_match='"one"')
                assert (unchanged.status, unchanged.body) == (304, b"")
                mirror.files[INDEX], mirror.tag = b"new", '"two"'
                assert (await node.get(base + INDEX)).body == b"new"
            assert [headers.get("if-none-match") for _, headers in mirror.asked] == [None, *['"one"'] * 3]

    asyncio.run(go())


def test_nodes_that_ask_at_once_share_one_download(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({DEB: b"x" * 300000}, hold=asyncio.Event()).serving() as mirror:
            assert mirror.hold
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                asking = [asyncio.create_task(node.get(base + DEB)) for _ in range(10)]
                while not mirror.asked:
                    await asyncio.sleep(0.01)
                mirror.hold.set()
                replies = await asyncio.gather(*asking)
            assert {reply.body for reply in replies} == {mirror.files[DEB]}
            assert len(mirror.asked) == 1

    asyncio.run(go())


def test_what_broke_off_is_not_kept(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({DEB: b"x" * 1000}, cut=True).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                assert len((await node.get(base + DEB)).body) < 1000
                mirror.cut = False
                assert (await node.get(base + DEB)).body == mirror.files[DEB]

    asyncio.run(go())


def test_unfinished_downloads_together_keep_the_bound(tmp_path: Path) -> None:
    async def go() -> None:
        half = 24 << 20
        files = {f"/debian/pool/{number}.deb": b"x" * half for number in range(2)}
        async with Mirror(files, hold=asyncio.Event()).serving() as mirror:
            assert mirror.hold
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                asking = [asyncio.create_task(node.get(base + path)) for path in files]
                while len(mirror.asked) < 2:
                    await asyncio.sleep(0.01)
                mirror.hold.set()
                whole = sorted(len(reply.body) == half for reply in await asyncio.gather(*asking))
                assert whole == [False, True]
                assert len((await node.get(base + next(iter(files)))).body) == half

    asyncio.run(go())


def test_a_resumed_download_gets_the_rest(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({DEB: b"0123456789"}).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                await node.get(base + DEB)
                rest = await node.get(base + DEB, range="bytes=6-")
                assert (rest.status, rest.body, rest.headers["content-range"]) == (206, b"6789", "bytes 6-9/10")
                other = await node.get(base + DEB, range="bytes=6-", if_range='"other"')
                assert (other.status, other.body) == (200, b"0123456789")
                assert (await node.get(base + DEB, range="bytes=10-")).status == 416

    asyncio.run(go())


def test_a_resumed_download_of_what_is_not_kept_says_what_it_is_the_rest_of(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({"/debian/notes.txt": b"0123456789"}).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                rest = await node.get(f"{base}/debian/notes.txt", range="bytes=6-")
            assert (rest.status, rest.body, rest.headers["content-range"]) == (206, b"6789", "bytes 6-9/10")

    asyncio.run(go())


def test_a_tunnel_lasts_while_either_side_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benito.gateway.proxy.TUNNEL_IDLE_S", 0.3)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(10):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        # From here on nobody says anything.

    async def go() -> bytes:
        joined = asyncio.Event()

        async def join(*near: Any) -> None:
            far = await asyncio.open_connection("127.0.0.1", talking.sockets[0].getsockname()[1])
            await _join((near[0], near[1]), far)
            for _, writer in (near, far):
                writer.close()
            joined.set()

        talking = await asyncio.start_server(talk, "127.0.0.1", 0)
        joining = await asyncio.start_server(join, "127.0.0.1", 0)
        async with talking, joining:
            reader, writer = await asyncio.open_connection("127.0.0.1", joining.sockets[0].getsockname()[1])
            said = await reader.read()
            await joined.wait()
            writer.close()
        return said

    assert asyncio.run(asyncio.wait_for(go(), 20)) == b"x" * 10


def test_the_host_adds_the_password_and_nodes_never_see_it(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({DEB: b"x"}, password="Basic dTpwIHc=").serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"http://u:p%20w@127.0.0.1:{mirror.port}/debian"), tmp_path) as node:
                reply = await node.get(base + DEB)
            assert (reply.status, reply.body) == (200, b"x")
            assert "dTpwIHc=" not in str(reply.headers)

    asyncio.run(go())


def test_refusals_and_failures_say_why_in_the_reason_that_apt_shows(tmp_path: Path) -> None:
    async def go() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        async with proxy(settings(f"http://127.0.0.1:{port}/debian"), tmp_path) as node:
            private = await node.get("http://127.0.0.1/server-status")
            assert (private.status, "no public address" in private.reason) == (403, True)
            tunnel = await node.get("127.0.0.1:443", "CONNECT")
            assert (tunnel.status, "no public address" in tunnel.reason) == (403, True)
            assert (await node.get(f"http://127.0.0.1:{port}{DEB}")).status == 502
            assert (await node.get("http://127.0.0.1/", "POST")).status == 403

    asyncio.run(go())


def test_the_hosts_own_proxy_is_gone_through(tmp_path: Path) -> None:
    async def go() -> None:
        async with Mirror({f"http://packages.invalid{DEB}": b"x"}).serving() as upstream:
            through = Proxies(http=f"http://u:p@127.0.0.1:{upstream.port}")
            told = settings("http://packages.invalid/debian", proxies=through)
            async with proxy(told, tmp_path) as node:
                assert (await node.get(f"http://packages.invalid{DEB}")).body == b"x"
            assert upstream.asked[0][1]["proxy-authorization"] == "Basic dTpw"

    asyncio.run(go())


def test_a_node_that_talks_nonsense_harms_nobody(tmp_path: Path) -> None:
    async def go(node: Node, words: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(words)
        writer.write_eof()
        said = b""
        with contextlib.suppress(ConnectionResetError):
            said = await reader.read()
        writer.close()
        return said

    async def all_of_it() -> None:
        async with Mirror({INDEX: b"x"}).serving() as mirror:
            base = f"http://127.0.0.1:{mirror.port}"
            async with proxy(settings(f"{base}/debian"), tmp_path) as node:
                for words in (b"\0" * 100, b"GET " + b"x" * 100000, b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n"):
                    assert b"200" not in await go(node, words)
                assert (await node.get(base + INDEX)).body == b"x"

    asyncio.run(all_of_it())


def test_the_cache_keeps_its_bound_and_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    import os

    cache = Cache(tmp_path, 40_000)
    for number in range(10):
        part = cache.begin(f"http://x/{number}", {})
        part.append(b"x" * 8000)
        part.keep()
        os.utime(part.final, (number, number))
    cache.prune()
    kept = []
    for number in range(10):
        with cache.open(f"http://x/{number}") as entry:
            kept += [number] if entry else []
    assert kept
    assert kept == list(range(10 - len(kept), 10))
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 40_000


@pytest.mark.parametrize("text", [b"", b"no json\n", b'{"url": "http://other/"}\n', b"[]\n"])
def test_a_damaged_file_in_the_cache_is_as_good_as_none(tmp_path: Path, text: bytes) -> None:
    cache = Cache(tmp_path, 1 << 20)
    part = cache.begin("http://x/a", {})
    part.keep()
    part.final.write_bytes(text)
    with cache.open("http://x/a") as entry:
        assert entry is None
