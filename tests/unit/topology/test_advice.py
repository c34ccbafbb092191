"""What check and up tell of a file that reads well."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.topology.advice import advice, paths, programs
from benito.topology.reader import read


def told(folder: Path, *lines: str) -> list[str]:
    """Return the notices of a file with the nodes n(0) to n(4)."""
    head = ["set ns [new Simulator]", "foreach i {0 1 2 3 4} { set n($i) [$ns node] }"]
    file = folder / "file.ns"
    file.write_text("\n".join([*head, *lines, "$ns run", ""]))
    return [notice.message for notice in advice(read(file))]


def test_a_file_that_needs_nothing_old_gets_no_notice(tmp_path: Path) -> None:
    command = "ping -c 3 n-1; python3 x.py; /usr/local/etc/emulab/emulab-sync -i 4; sudo ip route; echo $HOME/share/x"
    assert told(tmp_path, f"tb-set-node-startcmd $n(0) {{{command}}}") == []


@pytest.mark.parametrize(
    ("command", "notice"),
    [
        ("sudo python /share/magi/current/magi_bootstrap.py", "starts MAGI, which no node has of itself"),
        (
            "sh /proj/P/run.sh >& /tmp/log",
            "uses /proj/P/run.sh: nodes have this host's folder of the project, empty at first",
        ),
        ("/users/alice/x.sh; /users/alice/y.sh", "uses /users/alice/x.sh: nodes have no /users of themselves"),
        (
            "/usr/local/etc/emulab/rc/rc.x",
            "uses /usr/local/etc/emulab/rc/rc.x, a tool of the old testbed that nodes don't",
        ),
        ("/usr/testbed/bin/node_list -e a,b", "uses /usr/testbed/bin/node_list, a tool of the old testbed that nodes"),
        ("cd /tmp && sudo -E python x.py", "runs `python`, which is Python 3 today"),
        ("python2.7 x.py", "runs `python2.7`, which today's systems don't have"),
        ("sudo yum -y install httpd", "runs `yum`, Benito's own images are Debian"),
        ("A=1 wget http://x", "runs `wget`, which Benito's own images lack"),
    ],
)
def test_what_a_start_command_will_miss_is_told(tmp_path: Path, command: str, notice: str) -> None:
    (said,) = told(tmp_path, f"tb-set-node-startcmd $n(0) {{{command}}}")
    assert said.startswith(f"the start command of n-0 {notice}")


def test_nodes_with_the_same_trouble_share_a_notice(tmp_path: Path) -> None:
    said = told(tmp_path, "foreach i {0 1 2 3 4} { tb-set-node-startcmd $n($i) {/share/x} }")
    assert said == ["the start command of n-0, n-1, n-2 and 2 more uses /share/x: nodes have no /share of themselves"]


def test_what_a_command_installs_it_has(tmp_path: Path) -> None:
    assert told(tmp_path, "tb-set-node-startcmd $n(0) {sudo apt-get install -y wget && wget http://x}") == []


def test_the_older_start_command_is_looked_at_too(tmp_path: Path) -> None:
    assert told(tmp_path, "tb-set-node-startup $n(0) /share/x")


def test_features_without_effect_are_told_once_each(tmp_path: Path) -> None:
    said = told(
        tmp_path,
        "set link [$ns duplex-link $n(0) $n(1) 1Mb 10ms DropTail]",
        '$ns at 5 "$link down"',
        '$ns at 9 "$link up"',
        'set p [$n(0) program-agent -command "date"]',
        '$ns at 2 "$p start"',
    )
    assert said == [
        "3 events are kept with the experiment, nothing makes them happen yet",
        "1 program is kept with the experiment, only events start programs and they don't happen yet",
    ]


def test_words_in_the_place_of_a_command_are_found() -> None:
    command = "if ! sudo -u x a -b; then B=1 nohup ./b & fi; (c | d) && echo e `f g`\nh"
    assert list(programs(command)) == ["x", "./b", "fi", "c", "d", "echo", "f", "h"]


def test_paths_are_found_where_they_begin() -> None:
    assert list(paths("cp /a/b.txt x/y >/tmp/out; . ./z; http://w/v, $HOME/q '/c d'")) == ["/a/b.txt", "/tmp/out", "/c"]
