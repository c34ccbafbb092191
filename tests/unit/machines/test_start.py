"""The script that runs the start command, in a shell of this host."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benito.machines.guest import BootState, parse_state

SCRIPT = Path(__file__).parents[3] / "src/benito/machines/inside/start"
Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(command: str) -> subprocess.CompletedProcess[str]:
        setting = "set_environment() {\n    export COLOUR='light blue'\n}\n"
        (tmp_path / "facts").write_text(f"user=root\nstart_command={shlex.quote(command)}\n{setting}")
        environment = {
            **os.environ,
            "BENITO_INSIDE": str(tmp_path),
            "BENITO_LOG": str(tmp_path / "log"),
            "BENITO_PORTS": str(tmp_path / "no ports"),
            "BENITO_SSHD": "/nonexistent",
            "OUT": str(tmp_path / "by hand"),
        }
        return subprocess.run(
            ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=20, check=True
        )

    return run


def log(folder: Path, kind: str) -> str:
    return (folder / f"log/start_command.{kind}").read_text()


def state(folder: Path) -> BootState:
    return parse_state((folder / "state").read_text())


def test_output_and_exit_status_are_kept(run: Run, tmp_path: Path) -> None:
    done = run("echo out; echo err >&2; exit 3")
    assert (log(tmp_path, "out"), log(tmp_path, "err")) == ("out\n", "err\n")
    assert log(tmp_path, "log").endswith("exit status: 3\n")
    assert state(tmp_path).start_exit == 3
    boot_id = state(tmp_path).boot_id
    assert done.stdout == f"booted {boot_id}\nstart-exit 3\n"


def test_the_experiments_variables_are_set(run: Run, tmp_path: Path) -> None:
    run('echo "$COLOUR"')
    assert log(tmp_path, "out") == "light blue\n"


def test_redirections_are_the_commands_own(run: Run, tmp_path: Path) -> None:
    run('echo "it\'s" > "$OUT" 2>&1')
    assert (tmp_path / "by hand").read_text() == "it's\n"
    assert log(tmp_path, "out") == ""


def test_lines_quotes_and_dollars_are_as_in_a_shell(run: Run, tmp_path: Path) -> None:
    run("x='a  b'\nfor y in 1 2; do\n  echo \"$x $y\" é\ndone\ncat <<'END'\n$x `no` \\n\nEND\n")
    assert log(tmp_path, "out") == "a  b 1 é\na  b 2 é\n$x `no` \\n\n"


def test_children_in_the_background_hold_nothing_up(run: Run, tmp_path: Path) -> None:
    run('sleep 60 & echo $! > "$OUT"')
    os.kill(int((tmp_path / "by hand").read_text()), 9)
    assert state(tmp_path).start_exit == 0


def test_a_killed_command_has_its_signals_code(run: Run, tmp_path: Path) -> None:
    run("kill -9 $$")
    assert state(tmp_path).start_exit == 137


def test_a_missing_program_is_the_shells_business(run: Run, tmp_path: Path) -> None:
    run("/share/no/such/program --now")
    assert state(tmp_path).start_exit == 127
    assert "no/such/program" in log(tmp_path, "err")


def test_without_a_command_only_the_boot_is_reported(run: Run, tmp_path: Path) -> None:
    done = run("")
    assert done.stdout.startswith("booted ")
    assert state(tmp_path).start_exit is None
    assert not (tmp_path / "log/start_command.log").exists()


def test_the_command_reads_nothing_and_every_boot_starts_anew(run: Run, tmp_path: Path) -> None:
    run("cat; echo one")
    run("echo two")
    assert log(tmp_path, "out") == "two\n"
    assert (tmp_path / "state").read_text().count("booted") == 1


def test_logs_can_be_read_by_all(run: Run, tmp_path: Path) -> None:
    run("umask 077; echo x")
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "log").iterdir())


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of a system that can't mount at the first use; `mount` writes down what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    program(folder / "mount", f'echo "$@" >> {tmp_path}/mounted')
    program(folder / "modprobe", "exit 0")
    program(folder / "perl", "exit 1")
    return folder


def program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_shared_folders_are_mounted_before_the_command_runs(tmp_path: Path, programs: Path) -> None:
    told = start_sharing(tmp_path, "one", "two")
    assert [line.split()[-2:] for line in told.splitlines()] == [
        [f"10.0.0.1:{tmp_path}/{name}", f"{tmp_path}/{name}"] for name in ("one", "two")
    ]
    assert "addr=10.0.0.1,clientaddr=10.0.0.2" in told
    assert (tmp_path / "one").is_dir()


def test_a_system_that_mounts_at_the_first_use_mounts_nothing_before(tmp_path: Path, programs: Path) -> None:
    program(programs / "perl", f'echo "$@" > {tmp_path}/mounted')
    assert start_sharing(tmp_path, "one") == f"{tmp_path}/automount\n"


def test_a_system_without_nfs_waits_for_nothing_and_says_it(tmp_path: Path, programs: Path) -> None:
    program(programs / "modprobe", "exit 1")
    program(programs / "mount", "echo unknown file system >&2; exit 32")
    program(programs / "sleep", f"touch {tmp_path}/slept")
    start_sharing(tmp_path, "one")
    assert (tmp_path / "log/shares.err").read_text() == "unknown file system\n"
    assert not (tmp_path / "slept").exists()


def test_a_server_that_is_not_there_yet_is_tried_again(tmp_path: Path, programs: Path) -> None:
    program(programs / "mount", f'[ -e {tmp_path}/slept ] && echo "$@" >> {tmp_path}/mounted')
    program(programs / "sleep", f"touch {tmp_path}/slept")
    assert start_sharing(tmp_path, "one")
    assert not (tmp_path / "log/shares.err").exists()


def start_sharing(tmp_path: Path, *folders: str) -> str:
    """Run the script with these shared folders and return what the start command saw mounted."""
    facts = {"user": "root", "start_command": f"cat {tmp_path}/mounted"}
    (tmp_path / "shares").write_text(
        "\n".join(["10.0.0.1 10.0.0.2", *(f"rw {tmp_path}/{name}" for name in folders), ""])
    )
    words = "".join(f"{name}={shlex.quote(value)}\n" for name, value in facts.items())
    (tmp_path / "facts").write_text(f"{words}set_environment() {{ :; }}\n")
    own = {
        "BENITO_INSIDE": tmp_path,
        "BENITO_LOG": tmp_path / "log",
        "BENITO_PORTS": tmp_path / "none",
        "BENITO_SSHD": "/none",
    }
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}, "BENITO_PIPE": "/nonexistent"}
    subprocess.run(["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, timeout=20, check=True)
    return log(tmp_path, "out")


def test_the_node_is_booted_when_somebody_can_log_in(tmp_path: Path) -> None:
    (tmp_path / "facts").write_text("user=root\nstart_command=\n")
    own = {
        "BENITO_INSIDE": tmp_path,
        "BENITO_LOG": tmp_path / "log",
        "BENITO_PORTS": tmp_path / "none",
        "BENITO_SSHD": "/bin/sh",
        "BENITO_LISTENERS": tmp_path,
    }
    head = "  sl  local_address rem_address   st tx_queue\n"
    (tmp_path / "tcp").write_text(head + "   0: 0100007F:0016 0200007F:9C40 01 00000000\n")
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
    with subprocess.Popen(["/bin/sh", str(SCRIPT)], env=environment, stdout=subprocess.PIPE, text=True) as script:
        with pytest.raises(subprocess.TimeoutExpired):
            script.wait(1)
        assert (tmp_path / "state").read_text() == ""
        (tmp_path / "tcp6").write_text(head + "   0: 00000000000000000000000000000000:0016 0:0 0A 00000000\n")
        assert script.wait(20) == 0
        assert script.stdout is not None
        assert script.stdout.read().startswith("booted ")
