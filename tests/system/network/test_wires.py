"""A wire does what its directions say, with either backend, and passes everything Ethernet."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benito.errors import BenitoError
from benito.network import namespaces
from benito.network.interfaces import netlink, read_links
from benito.plan.model import Direction, Red, Wire

from .conftest import Link, number_of, numbered, wait_for

pytestmark = pytest.mark.system

MS = 1_000_000
LLDP = bytes.fromhex("0180c200000e020000000001 88cc")
STP = bytes.fromhex("0180c2000000020000000001 0026 424203")
LACP = bytes.fromhex("0180c2000002020000000001 8809 01")
MULTICAST = bytes.fromhex("01005e0000fb020000000001 88b5")
UNICAST = bytes.fromhex("020000000002020000000001 88b5")


def send_all(link: Link, count: int, size: int = 1000, every_ms: float = 0.0) -> dict[int, int]:
    sent = {}
    for number in range(count):
        sent[number] = link.left.send(numbered(number, size))
        if every_ms:
            time.sleep(every_ms / 1000)
    return sent


def test_frames_arrive_after_the_delay_and_never_before(link: Link) -> None:
    link.shape(Direction(delay_ms=20), Direction(delay_ms=5))
    sent = send_all(link, 50, every_ms=2)
    got = link.right.receive_all(50)
    assert len(got) == 50
    delays = sorted((got[n] - sent[n]) / MS for n in got)
    assert delays[0] >= 20
    assert delays[25] < 40


def test_each_direction_has_its_own_delay(link: Link) -> None:
    link.shape(Direction(delay_ms=1), Direction(delay_ms=30))
    before = link.right.send(numbered(1))
    back = link.left.receive_all(1)
    assert (back[1] - before) / MS >= 30
    before = link.left.send(numbered(2))
    assert (link.right.receive_all(1)[2] - before) / MS >= 1


def test_frames_keep_their_order(link: Link) -> None:
    link.shape(Direction(delay_ms=3, rate_kbps=50_000, queue_limit=1000))
    send_all(link, 300)
    got = link.right.receive_all(300)
    assert list(got) == list(range(300))


def test_loses_as_many_frames_as_asked(link: Link) -> None:
    link.shape(Direction(loss=0.2))
    count = 2000
    for _ in range(10):
        send_all(link, count // 10)
        time.sleep(0.01)
    got = link.right.receive_all(count)
    counters = link.counters().forward
    # A binomial distribution: 400 +- 18; five deviations are left out once in two million runs.
    assert 310 <= counters.lost <= 490
    # Frames of one number have come ten times; the counters know them all.
    assert counters.frames == count - counters.lost
    assert len(got) <= 200


def test_sends_at_the_rate(link: Link) -> None:
    link.shape(Direction(rate_kbps=8_000, queue_limit=1000))
    send_all(link, 301)
    got = link.right.receive_all(301)
    assert len(got) == 301
    seconds = (got[300] - got[0]) / 1e9
    assert 300 * 1000 * 8 / seconds == pytest.approx(8e6, rel=0.1)


def test_a_lone_frame_takes_its_sending_time(link: Link) -> None:
    link.shape(Direction(rate_kbps=80))
    before = link.left.send(numbered(1))
    assert (link.right.receive_all(1)[1] - before) / MS >= 99.9


@pytest.mark.parametrize(
    "direction",
    [
        Direction(rate_kbps=400, queue_limit=20),
        Direction(rate_kbps=400, queue_limit=20, delay_ms=100),
        Direction(rate_kbps=400, queue_limit=20_000, queue_in_bytes=True),
    ],
    ids=["packets", "packets and delay", "bytes"],
)
def test_drops_what_the_queue_cant_hold(link: Link, direction: Direction) -> None:
    link.shape(direction)
    sent = send_all(link, 100)
    got = link.right.receive_all(100)
    # 20 that wait and the one being sent, and those (20 ms each) that are sent while we are still handing over.
    meanwhile = (sent[99] - sent[0]) / (20 * MS)
    assert 20 <= len(got) <= 23 + meanwhile
    assert link.counters().forward.dropped == 100 - len(got)


def test_the_delay_is_no_limit_to_the_frames_on_their_way(link: Link) -> None:
    link.shape(Direction(delay_ms=300))
    send_all(link, 3000, size=100)
    assert len(link.right.receive_all(3000)) == 3000


def test_loss_comes_after_the_rate(link: Link) -> None:
    link.shape(Direction(rate_kbps=8_000, loss=0.5, queue_limit=10))
    for number in range(100):
        # Twice what the rate lets through: half is dropped by the queue, and half of the rest is lost.
        link.left.send(numbered(2 * number))
        link.left.send(numbered(2 * number + 1))
        time.sleep(0.001)
    link.right.receive_all(200)
    counters = link.counters().forward
    assert counters.frames + counters.lost + counters.dropped == 200
    assert counters.lost == pytest.approx((200 - counters.dropped) / 2, abs=40)


def test_red_drops_before_the_queue_is_full(link: Link) -> None:
    red = Red(threshold=3, max_threshold=9, weight=0.05)
    try:
        link.shape(Direction(rate_kbps=400, queue_limit=100, red=red))
    except BenitoError as error:
        if "sch_red" in str(error):
            pytest.skip(str(error))
        raise
    send_all(link, 400)
    got = link.right.receive_all(400)
    # A queue of 100 would let 101 of them through.
    assert 5 < len(got) < 90
    assert link.counters().forward.dropped == 400 - len(got)


@pytest.mark.parametrize(
    "forward",
    [Direction(delay_ms=2), Direction(rate_kbps=100_000, loss=1e-9), Direction()],
    ids=["delay", "rate", "unshaped"],
)
@pytest.mark.parametrize(
    "head", [LLDP, STP, LACP, MULTICAST, UNICAST], ids=["lldp", "stp", "lacp", "multicast", "unicast"]
)
def test_passes_every_kind_of_frame_unchanged(link: Link, forward: Direction, head: bytes) -> None:
    link.shape(forward)
    frame = head + bytes(range(200))
    link.left.send(frame)
    got = link.right.receive()
    assert got is not None
    assert got[:2] == (frame, None)


@pytest.mark.parametrize("forward", [Direction(delay_ms=2), Direction()], ids=["shaped", "unshaped"])
@pytest.mark.parametrize("size", [64, 1500], ids=["small", "full"])
def test_passes_vlan_tags(link: Link, forward: Direction, size: int) -> None:
    link.shape(forward)
    payload = struct.pack("!H", 0x88B5) + bytes(size)
    link.left.send(UNICAST[:12] + struct.pack("!HH", 0x8100, 0x6005) + payload)
    got = link.right.receive()
    assert got is not None
    assert got[:2] == (UNICAST[:12] + payload, 0x6005)


def test_carries_ip_packets_of_1500_bytes_and_large_frames(link: Link) -> None:
    link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
    done = link.lab.run(link.a, "ping", "-c", "3", "-i", "0.2", "-W", "5", "-M", "do", "-s", "1472", "10.9.0.2")
    assert "3 received" in done.stdout
    assert "1480 bytes from 10.9.0.2" in done.stdout
    # TCP with segmentation offload: unfinished checksums and frames of many packets.
    assert tcp_transfer(link, 4 << 20) == 4 << 20


def tcp_transfer(link: Link, size: int) -> int:
    import socket
    import threading

    with namespaces.entered(link.b):
        server = socket.create_server(("10.9.0.2", 7777))
    with namespaces.entered(link.a):
        client = socket.socket()
    with server, client:
        client.settimeout(30)
        server.settimeout(30)
        client.connect(("10.9.0.2", 7777))
        peer, _ = server.accept()

        def send() -> None:
            client.sendall(bytes(size))
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        total = 0
        with peer:
            peer.settimeout(30)
            while data := peer.recv(1 << 16):
                total += len(data)
        sender.join()
    return total


def test_the_pnode_itself_hears_and_answers_nothing(link: Link) -> None:
    link.lab.up(link.pnode, "lo", "10.9.0.77/32")
    link.shape(Direction(delay_ms=1), Direction())
    done = link.lab.run(link.a, "ping", "-c", "1", "-W", "1", "10.9.0.77")
    assert "0 received" in done.stdout


def test_changes_parameters_live(link: Link) -> None:
    first = Direction(delay_ms=400, rate_kbps=10_000, loss=0.0, queue_limit=30)
    link.shape(first)
    assert link.parameters() == (first, Direction())
    before = link.left.send(numbered(1))
    changed = replace(first, delay_ms=450)
    link.shape(changed)
    assert link.parameters() == (changed, Direction())
    # What was on its way is neither lost nor early.
    got = link.right.receive_all(1)
    assert (got[1] - before) / MS >= 400
    assert link.counters().forward.frames == 1


def test_unshaping_and_shaping_again(link: Link) -> None:
    for direction, least in ((Direction(delay_ms=50), 50), (Direction(), 0), (Direction(delay_ms=30), 30)):
        link.shape(direction)
        before = link.left.send(numbered(least))
        got = link.right.receive_all(1)
        assert (got[least] - before) / MS >= least
    assert link.right.receive(0.2) is None


def test_applying_again_changes_nothing(link: Link) -> None:
    wanted = (
        Direction(delay_ms=1, rate_kbps=10_000, loss=0.01),
        Direction(rate_kbps=5_000, queue_limit=3000, queue_in_bytes=True),
    )
    link.shape(*wanted)
    send_all(link, 10)
    link.right.receive_all(10, quiet=0.3)
    before = state_of(link)
    link.shape(*wanted)
    assert state_of(link) == before


def state_of(link: Link) -> list[object]:
    with namespaces.entered(link.pnode), netlink() as ip:
        queues = [(q["index"], q["handle"], q["parent"], str(q.get_attr("TCA_STATS2"))) for q in ip.get_qdiscs()]
        links = read_links(ip)
        filters = [str(f["attrs"]) for ln in links.values() for f in ip.get_filters(index=ln.index, parent=0xFFFFFFF2)]
    return [queues, links, filters, link.counters()]


def test_a_removed_wire_carries_nothing_and_leaves_nothing(link: Link) -> None:
    link.shape(Direction(delay_ms=1, rate_kbps=1000, queue_in_bytes=True, queue_limit=5000), Direction())
    link.apply()
    link.left.send(numbered(1))
    assert link.right.receive(0.2) is None
    with namespaces.entered(link.pnode), netlink() as ip:
        kinds = {qdisc.get_attr("TCA_KIND") for qdisc in ip.get_qdiscs()}
    assert not kinds & {"clsact", "netem", "tbf"}


def test_a_missing_interface_harms_no_other_wire(link: Link) -> None:
    broken = Wire("broken", "nowhere", "neither", Direction(delay_ms=1), Direction(delay_ms=1))
    link.apply(broken, Wire("wire", "a0", "b0", Direction(delay_ms=1), Direction(delay_ms=1)))
    link.left.send(numbered(1))
    assert link.right.receive_all(1).keys() == {1}


def test_an_interface_that_comes_back_is_wired_again(link: Link) -> None:
    link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
    with namespaces.entered(link.pnode), netlink() as ip:
        ip.link("del", index=ip.link_lookup(ifname="b0")[0])
    link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
    link.lab.cable((link.pnode, "b0"), (link.b, "e0"))
    link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
    again = link.lab.station(link.b, "e0")
    link.left.send(numbered(6))
    assert 6 in again.receive_all(1)


def test_an_interface_that_was_down_works_when_up_again(link: Link) -> None:
    link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
    with namespaces.entered(link.pnode), netlink() as ip:
        for name in ("a0", "b0"):
            for state in ("down", "up"):
                ip.link("set", index=ip.link_lookup(ifname=name)[0], state=state)

    def passes() -> bool:
        link.left.send(numbered(3))
        got = link.right.receive(0.1)
        return got is not None and number_of(got[0]) == 3

    wait_for(passes, "frames to pass again")


class TestEngine:
    """What only the userspace engine has to show."""

    @pytest.fixture
    def kind(self) -> str:
        return "userspace"

    def test_goes_on_by_itself_after_a_kill(self, link: Link) -> None:
        link.shape(Direction(delay_ms=10), Direction(delay_ms=10))
        assert link.engine
        link.engine.kill()
        link.engine.start()
        before = link.left.send(numbered(1))
        got = link.right.receive_all(1)
        assert (got[1] - before) / MS >= 10

    def test_finds_an_interface_that_returns_without_being_told(self, link: Link) -> None:
        link.shape(Direction(delay_ms=1), Direction(delay_ms=1))
        with namespaces.entered(link.pnode), netlink() as ip:
            ip.link("del", index=ip.link_lookup(ifname="b0")[0])
        link.lab.cable((link.pnode, "b0"), (link.b, "e0"))
        again = link.lab.station(link.b, "e0")

        def passes() -> bool:
            link.left.send(numbered(3))
            return again.receive(0.1) is not None

        wait_for(passes, "the engine to find the new interface")

    def test_refuses_an_interface_in_two_wires_and_keeps_the_old_ones(self, link: Link) -> None:
        link.shape(Direction(delay_ms=1))
        shaped = Direction(delay_ms=2)
        with pytest.raises(BenitoError, match="a0 is an end of two wires"):
            link.apply(Wire("wire", "a0", "b0", shaped), Wire("other", "a0", "b0", shaped))
        assert link.parameters()[0].delay_ms == 1

    def test_the_same_seed_loses_the_same_frames(self, link: Link) -> None:
        assert link.engine
        runs = []
        for _ in range(2):
            link.shape(Direction(loss=0.5))
            send_all(link, 100)
            runs.append(list(link.right.receive_all(100, quiet=0.3)))
            link.engine.kill()
            link.engine.start()
        assert runs[0] == runs[1]
        assert 20 < len(runs[0]) < 80

    def test_ends_at_sigterm_and_starts_fast_and_small(self, link: Link) -> None:
        assert link.engine
        told = Path(f"/proc/{link.engine.process.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in told)
        assert int(status["VmRSS"].split()[0]) < 20_000
        link.engine.process.terminate()
        assert link.engine.process.wait(5) == 0
