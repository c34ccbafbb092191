"""All doors in one process: opened, addressed and closed."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benito.cli.serve import command, tell
from benito.errors import BusyError, HostError
from benito.services import unit
from benito.services.access import folder, token_file
from benito.services.address import experiment_url
from benito.services.certificates import own_names
from benito.services.serve import Listening, Options, alone, serve
from benito.testbed.testbed import Testbed

FREE = Options(web_port=0, xmlrpc_port=0, status_port=0)


def run(bed: Testbed, scenario: Callable[[Listening], Awaitable[None]], options: Options = FREE) -> None:
    """Open the doors, have the scenario happen, end them as a supervisor does."""

    async def happen() -> None:
        told: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(bed, options, told.set_result))
        await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            await serving
        try:
            await scenario(await told)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(serving, 30)

    asyncio.run(happen())


async def got(address: str, request: str) -> str:
    """Return what a port answers."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    try:
        return (await asyncio.wait_for(reader.read(), 20)).decode()
    finally:
        writer.close()


def test_every_door_is_open_and_all_close(bed: Testbed) -> None:
    ports: list[int] = []

    async def scenario(listening: Listening) -> None:
        web = listening.web
        ports.extend([int(web.rpartition(":")[2]), listening.status[1]])
        ask = f"GET /experiments HTTP/1.1\r\nHost: {web.rpartition('/')[2]}\r\nConnection: close\r\n"
        assert (await got(web, f"{ask}\r\n")).startswith("HTTP/1.1 401")
        token = token_file(bed.home, listening.user).read_text().strip()
        answered = await got(web, f"{ask}Authorization: Bearer {token}\r\n\r\n")
        assert answered.startswith("HTTP/1.1 200")
        assert await got(f"127.0.0.1:{listening.status[1]}", "list_request\nquit\n") == "list_reply {}\n"
        assert experiment_url(bed.home, "P", "E") == f"{web}/experiments/P/E"
        assert listening.xmlrpc.endswith("/usr/testbed")
        # Clients that stay and say nothing don't keep the doors open.
        for port in ports:
            await asyncio.open_connection("127.0.0.1", port)

    run(bed, scenario)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(asyncio.open_connection("127.0.0.1", port))  # type: ignore[arg-type]


def test_a_port_that_is_taken_is_named(bed: Testbed) -> None:
    async def scenario(listening: Listening) -> None:
        taken = listening.status[1]
        with pytest.raises(HostError, match=rf"port {taken} of 127\.0\.0\.1 is taken: the status door can't listen"):
            await serve(bed, Options(web_port=0, xmlrpc_port=0, status_port=taken), lambda _: None)

    run(bed, scenario)


def test_an_address_that_is_not_ours_is_an_error(bed: Testbed) -> None:
    with pytest.raises(HostError, match=r"the web page can't listen on 192\.0\.2\.1"):
        run(bed, lambda _: asyncio.sleep(0), Options(listen="192.0.2.1", web_port=0, xmlrpc_port=0, status_port=0))


def test_one_serve_a_home(bed: Testbed) -> None:
    with alone(bed), pytest.raises(BusyError, match="is running already"), alone(bed):
        pass
    with alone(bed):
        pass


@pytest.mark.parametrize(
    ("listen", "exposed"), [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)]
)
def test_what_a_network_reaches_is_known(listen: str, exposed: bool) -> None:
    assert Options(listen=listen).exposed is exposed


def test_on_a_network_the_page_is_encrypted_and_states_need_a_token(bed: Testbed) -> None:
    async def scenario(listening: Listening) -> None:
        assert listening.web.startswith("https://")
        context = ssl.create_default_context(cafile=folder(bed.home) / "ca.pem")
        port = int(listening.web.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(f"GET /experiments HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 20)) == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()
        said = await got(f"127.0.0.1:{listening.status[1]}", "list_request\nquit\n")
        assert said == "error_reply 'say who you are first: token TOKEN'\n"

    run(bed, scenario, Options(listen="0.0.0.0", web_port=0, xmlrpc_port=0, status_port=0))


def test_secrets_are_in_no_log_and_on_no_pipe(
    bed: Testbed, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario(listening: Listening) -> None:
        tell(bed, listening)
        token = token_file(bed.home, listening.user).read_text().strip()
        host = listening.web.rpartition("/")[2]
        opened = await got(listening.web, f"GET /?token={token} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert opened.startswith("HTTP/1.1 303")
        await got(f"127.0.0.1:{listening.status[1]}", f"token {token}\nquit\n")

    run(bed, scenario)
    [file] = (folder(bed.home) / "tokens").iterdir()
    assert file.read_text().strip() not in caplog.text + "".join(capsys.readouterr())


def test_a_restart_keeps_every_key(bed: Testbed) -> None:
    async def scenario(listening: Listening) -> None:
        await asyncio.sleep(0)

    def keys() -> dict[str, bytes]:
        files = [file for file in folder(bed.home).rglob("*") if file.is_file() and file.name != "address"]
        return {str(file): file.read_bytes() for file in files}

    run(bed, scenario)
    before = keys()
    run(bed, scenario)
    assert keys() == before


def test_the_unit_is_one_that_systemd_takes(bed: Testbed, tmp_path: Path) -> None:
    path = unit.install(bed.home, ["--port", "8081", "--listen", "10.0.0.1"], tmp_path / "benito-serve.service")
    text = path.read_text()
    assert f"Environment=BENITO_HOME={bed.home.root}\n" in text
    assert "/benito serve --port 8081 --listen 10.0.0.1\n" in text
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60, check=False
        )
        assert "benito-serve.service:" not in done.stderr


def test_the_unit_has_the_options_that_were_given(
    bed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(unit, "PATH", tmp_path / "benito-serve.service")
    monkeypatch.setattr(unit.install, "__defaults__", (tmp_path / "benito-serve.service",))
    words = ["--status-port", "4000", "--status-needs-token", "--name", "a.example", "--name", "b.example"]
    command.main(["--install-unit", *words], standalone_mode=False)
    assert f"/benito serve {' '.join(words)}\n" in (tmp_path / "benito-serve.service").read_text()


def test_systemd_hears_when_the_doors_are_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        unit.ready()
        assert manager.recv(100) == b"READY=1"


def test_on_all_addresses_each_is_a_name() -> None:
    assert {"127.0.0.1", "localhost"} < set(own_names("0.0.0.0"))
    assert {"192.0.2.9", "lab.example"} < set(own_names("192.0.2.9", ["Lab.example"]))
