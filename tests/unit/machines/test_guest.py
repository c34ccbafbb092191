"""The configuration archive: what it holds, for whom, and how it survives the shell."""

import io
import subprocess
import tarfile

import pytest
from planned import a_machine

from benito.errors import InputError
from benito.machines import guest
from benito.plan.model import Account

ALICE = Account("alice", ("ssh-ed25519 AAAA1 alice", "ssh-ed25519 AAAA2 alice@work"))
BOB = Account("bob", ("ssh-ed25519 AAAA3 bob",))
KEY = guest.HostKey("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "ssh-ed25519 AAAAhost node-1\n")
NASTY = [
    "echo hello > /tmp/out 2>&1 &",
    'echo "it\'s" \'a "test"\' $HOME `date` $(date) \\n',
    "line one\nline two\n\n# a comment\n",
    "printf '%s\\n' é ü 漢字; exit 3",
    "cat <<'EOF' | tr a b\na $x\nEOF\n",
    "'; rm -rf /; '",
    " leading and trailing ",
    "-n",
    "\t",
]


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar.getmembers()}


def text(archive: bytes, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read().decode()


def archive(accounts: tuple[Account, ...] = (ALICE, BOB), start_command: str | None = None) -> bytes:
    machine = a_machine(start_command=start_command)
    return guest.configuration(machine, accounts, "10.0.0.1 node-1-lan0 node-1", [KEY], "Proj/exp")


def shell(facts: str, command: str) -> str:
    """Return what a command prints in a shell that has read the facts."""
    done = subprocess.run(["/bin/sh"], input=f"{facts}\n{command}\n", capture_output=True, text=True, check=True)
    return done.stdout


def test_the_same_plan_gives_the_same_archive() -> None:
    assert archive() == archive()


def test_secrets_are_for_root_alone() -> None:
    found = members(archive())
    assert found["etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert found["var/lib/benito/facts"].mode == 0o600
    assert found["etc/sudoers.d/benito"].mode == 0o440
    assert found["etc/hosts"].mode == 0o644


def test_everyone_may_log_in_as_root_and_as_oneself() -> None:
    made = archive()
    assert text(made, "root/.ssh/authorized_keys").splitlines() == [*ALICE.keys, *BOB.keys]
    assert text(made, "home/bob/.ssh/authorized_keys").splitlines() == list(BOB.keys)
    assert "alice ALL=(ALL:ALL) NOPASSWD: ALL" in text(made, "etc/sudoers.d/benito").splitlines()
    owner = members(made)["home/bob/.ssh/authorized_keys"]
    assert (owner.uid, owner.gid, owner.mode) == (guest.FIRST_UID + 1, guest.FIRST_UID + 1, 0o600)


def test_the_account_root_is_nobody_new() -> None:
    made = archive((Account("root", ("ssh-ed25519 AAAA root",)),))
    assert text(made, "root/.ssh/authorized_keys") == "ssh-ed25519 AAAA root\n"
    assert not any(name.startswith("home/") for name in members(made))
    assert shell(text(made, "var/lib/benito/facts"), 'echo "$user"') == "root\n"


@pytest.mark.parametrize("name", ["", "a:b", "../x", "a b", "-a", "x" * 40])
def test_a_name_that_no_account_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be an account on node-1"):
        archive((Account(name, ()),))


def test_names_and_the_way_out_are_there() -> None:
    made = archive()
    assert text(made, "etc/hostname") == "node-1\n"
    assert text(made, "etc/hosts") == "10.0.0.1 node-1-lan0 node-1\n"
    assert text(made, "etc/resolv.conf").startswith("nameserver 172.30.0.1\n")
    assert text(made, "etc/benito/node") == "PID=Proj\nEID=exp\nNODE=node-1\nCREATOR=alice\n"
    assert members(made)["var/containers/log"].linkname == "../benito/log"


def test_addresses_are_found_by_mac() -> None:
    facts = text(archive(), "var/lib/benito/facts")
    assert shell(facts, 'address_of 02:00:00:00:01:01 && echo "$address"') == "10.0.1.1/24\n"
    assert shell(facts, 'address_of 02:00:00:00:00:01 && echo "$address"') == "172.30.0.5/16\n"
    assert shell(facts, "address_of 00:00:00:00:00:00 || echo unknown") == "unknown\n"
    assert shell(facts, 'printf %s "$routes"') == (
        "route replace default via 172.30.0.1\nroute replace 10.9.0.0/24 via 10.0.0.2\n"
    )


@pytest.mark.parametrize("command", NASTY)
def test_a_start_command_reaches_the_shell_as_written(command: str) -> None:
    facts = text(archive(start_command=command), "var/lib/benito/facts")
    assert shell(facts, 'printf %s "$start_command"') == command


def test_bytes_that_are_no_utf8_stay_bytes() -> None:
    command = b"echo caf\xe9".decode(errors="surrogateescape")
    assert b"start_command='echo caf\xe9'" in archive(start_command=command)


def test_the_scripts_are_posix_shell() -> None:
    made = archive()
    for script in ("apply", "start", "facts"):
        subprocess.run(["/bin/sh", "-n"], input=text(made, f"var/lib/benito/{script}").encode(), check=True)


def test_a_nodes_uuid_is_its_own_and_stays() -> None:
    assert guest.machine_uuid("P/E", "a") == guest.machine_uuid("p/e", "A")
    assert guest.machine_uuid("P/E", "a") != guest.machine_uuid("P/E", "b")


def test_the_state_file_is_understood() -> None:
    assert guest.parse_state("") == guest.BootState()
    assert guest.parse_state("booted x-1\n") == guest.BootState("x-1")
    assert guest.parse_state("booted x-1\nstart-exit 7\n") == guest.BootState("x-1", 7)
    assert guest.parse_state("booted x-1\nstart-exit 7\nbooted x-2\n") == guest.BootState("x-2")
