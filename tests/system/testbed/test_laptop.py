"""`benito ssh-config` on a computer that knows nothing of the nodes but how to log in to this host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Bed, write

pytestmark = pytest.mark.system

NAME = "TestLaptop/Way"
SSHD = """
import asyncio, sys, asyncssh

class Server(asyncssh.SSHServer):
    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        print("jump", dest_host, flush=True)
        return True

async def main():
    key, clients = sys.argv[1:]
    server = await asyncssh.create_server(
        Server, "127.0.0.1", 0, server_host_keys=[key], authorized_client_keys=clients
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()

asyncio.run(main())
"""
"""An ssh server of this host's, for its own is the host owner's business."""


@dataclass
class Laptop:
    """Another computer: an ssh client with a file of its own, whose names come from nowhere."""

    folder: Path
    port: int
    server: subprocess.Popen[str]

    def ssh(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a node; the laptop's hosts file is empty."""
        ssh = [
            "ssh",
            "-F",
            str(self.folder / "config"),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=60",
            name,
            command,
        ]
        inner = 'mount --bind "$0" /etc/hosts && exec "$@"'
        argv = ["unshare", "--mount", "sh", "-c", inner, str(self.folder / "hosts"), *ssh]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def laptop(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """One node, a server to jump through, and what `ssh-config` prints as the laptop's configuration."""
    folder = tmp_path_factory.mktemp("laptop")
    file = write(folder, "way.ns", "set inner [$ns node]\ntb-set-hardware $inner container")
    bed.ok("up", file, "-p", "TestLaptop", "-e", "Way", "--no-linktest", "--default-container", "container")
    key = bed.home / "keys" / "root" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True, timeout=30)
    argv = [sys.executable, "-c", SSHD, str(folder / "host"), str(key.with_suffix(".pub"))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            printed = bed.ok("ssh-config", NAME, "--host", f"127.0.0.1:{port}")
            known = folder / "known_hosts"
            known.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
            nodes = folder / "known_hosts.nodes"
            nodes.write_text(bed.ok("ssh-config", NAME, "--known-hosts"))
            printed = printed.replace("~/.ssh/known_hosts.way.testlaptop", str(nodes))
            assert str(nodes) in printed
            own = f"IdentityFile {key}\nUserKnownHostsFile {known}\n"
            (folder / "config").write_text(f"{printed}{own}")
            (folder / "hosts").write_text("")
            yield Laptop(folder, port, server)
        finally:
            server.kill()
            bed.run("terminate", NAME)


@pytest.mark.parametrize("name", ["inner.way.testlaptop", "Inner.Way.TestLaptop"])
def test_a_laptop_jumps_through_the_host_to_a_node(laptop: Laptop, name: str) -> None:
    done = laptop.ssh(name, "hostname; whoami")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["inner", "root"]
    assert laptop.server.stdout is not None
    assert laptop.server.stdout.readline().lower().split() == ["jump", "inner.way.testlaptop"]


def test_the_laptop_itself_does_not_know_the_node(laptop: Laptop) -> None:
    config = laptop.folder / "config"
    text = config.read_text()
    try:
        config.write_text("".join(line for line in text.splitlines(keepends=True) if "ProxyJump" not in line))
        done = laptop.ssh("inner.way.testlaptop", "hostname")
    finally:
        config.write_text(text)
    assert done.returncode == 255
    assert "Could not resolve hostname" in done.stderr
