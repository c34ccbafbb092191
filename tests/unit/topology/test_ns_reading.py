"""What the NS language means."""

from __future__ import annotations

import math

import pytest
from ns_files import interface, topology

from benito.topology.model import Discipline, LanKind, Recorded, Routing, Shape, Software
from benito.topology.ns import read_source
from benito.topology.ns.writing import write

PAIR = """
set a [$ns node]
set b [$ns node]
set link0 [$ns duplex-link $a $b 10Mb 20ms DropTail]
"""
TRIO = """
set a [$ns node]
set b [$ns node]
set c [$ns node]
set lan0 [$ns make-lan "$a $b $c" 100Mb 10ms]
"""


def test_an_object_takes_the_name_of_its_variable() -> None:
    read = topology("set a [$ns node]\nset n(3) [$ns node]\nset ::b [$ns node]")

    assert [node.name for node in read.nodes] == ["a", "n-3", "b"]


def test_only_the_first_variable_names() -> None:
    read = topology("set a [$ns node]\nset b $a\ntb-set-node-os $b FC6")

    assert [(node.name, node.os) for node in read.nodes] == [("a", "FC6")]


def test_objects_without_a_global_variable_are_numbered_together() -> None:
    read = topology("""
proc pair {} {
    global ns
    set x [$ns node]
    set y [$ns node]
    $ns duplex-link $x $y 1Mb 1ms DropTail
}
pair
lappend others [$ns node]
""")

    assert [node.name for node in read.nodes] == ["tbnode-n1", "tbnode-n2", "tbnode-n4"]
    assert [lan.name for lan in read.lans] == ["tblink-l3"]


def test_a_global_variable_names_inside_a_procedure() -> None:
    read = topology("proc make {} { global ns server; set server [$ns node] }\nmake")

    assert read.nodes[0].name == "server"


def test_names_stand_for_their_objects() -> None:
    read = topology(
        f'{PAIR}\ntb-set-hardware b pc3000\n$ns make-lan "a b" 1Mb 0ms\n$ns duplex-link a b 1Mb 0ms DropTail'
    )

    assert read.node("b").hardware == "pc3000"
    assert len(read.node("a").interfaces) == 3


def test_tcl_works() -> None:
    read = topology("""
set size 3
for {set i 0} {$i < $size} {incr i} {
    set n($i) [$ns node]
    lappend all $n($i)
    append names "$n($i) "
}
foreach node $all { tb-set-node-os $node [expr {$node eq "n-1" ? "A" : "B"}] }
set lan [$ns make-lan $names 10Mb 0ms]
array set x {a 1 b 2}
if {[llength $all] == 3 && [info exists x(a)] && [string length [format %03d 7]] == 3} {
    set end [$ns node]
}
while {1} { break }
switch -- $size { 3 { set three [$ns node] } default { error never } }
if {[catch {error oops} message]} { tb-set-node-startcmd $end $message }
eval "tb-set-hardware $end pc"
if {rand() < 1.0 && [$end info class] == "Node"} { puts "made $end" }
""")

    assert [node.os for node in read.nodes] == ["B", "A", "B", None, None]
    assert read.node("end").start_command == "oops"
    assert [str(warning) for warning in read.warnings] == ["t.ns:20: the file says: made end"]


def test_the_same_file_always_reads_the_same() -> None:
    body = "set a [$ns node]\ntb-set-node-startcmd $a [expr rand()][clock seconds][clock clicks][info commands]"

    assert topology(body) == topology(body)


def test_a_link_is_half_at_each_side() -> None:
    read = topology(f"{PAIR}\ntb-set-link-loss $link0 0.19")

    half = Shape(10.0, 10_000, pytest.approx(0.1))
    assert read.lans[0].kind is LanKind.LINK
    for node in ("a", "b"):
        assert interface(read, node).outward == half
        assert interface(read, node).inward == half


def test_a_link_can_be_named_by_its_ends() -> None:
    read = topology(f"{PAIR}\nset link1 [$ns duplex-link $b $a 10Mb 0ms DropTail]\ntb-set-link-loss $a $b 0.5")

    assert interface(read, "a", 0).outward.loss == 0
    assert math.isclose(interface(read, "a", 1).outward.loss, 1 - math.sqrt(0.5))


def test_members_of_a_lan_are_set_raw() -> None:
    read = topology(f"""{TRIO}
tb-set-lan-loss $lan0 0.19
tb-set-node-lan-delay $a $lan0 30ms
tb-set-node-lan-bandwidth $a $lan0 1Mb
tb-set-node-lan-loss $a $lan0 0.5
tb-set-node-lan-params $b $lan0 7ms 2Mb 0.25
tb-set-lan-simplex-params $lan0 $c 1ms 3Mb 0.1 2ms 4Mb 0.2
""")

    assert interface(read, "a").outward == interface(read, "a").inward == Shape(30.0, 1000, 0.5)
    assert interface(read, "b").outward == interface(read, "b").inward == Shape(7.0, 2000, 0.25)
    assert interface(read, "c").outward == Shape(1.0, 3000, 0.1)
    assert interface(read, "c").inward == Shape(2.0, 4000, 0.2)


def test_one_direction_of_a_link() -> None:
    read = topology(f"{PAIR}\ntb-set-link-simplex-params $link0 $a 300ms 2Mb 0.75")

    assert interface(read, "a").outward == interface(read, "b").inward == Shape(150.0, 2000, 0.5)
    assert interface(read, "a").inward == interface(read, "b").outward == Shape(10.0, 10_000, 0.0)


def test_queues() -> None:
    read = topology(f"""{TRIO}
set red [$ns duplex-link $a $b 10Mb 0ms RED]
set gred [$ns duplex-link $a $b 10Mb 0ms GRED]
set odd [$ns duplex-link $a $b 10Mb 0ms SFQ]
set q [[$ns link $b $a] queue]
$q set limit_ 20
[[$ns lanlink $lan0 $c] queue] set queue-in-bytes_ true
[$red set fromqueue] set thresh_ 7
[$gred set toqueue] set red_ 0
""")

    assert interface(read, "b", 3).queue.limit == 20
    assert interface(read, "a", 3).queue.limit == 50
    assert interface(read, "c", 0).queue.in_bytes
    assert interface(read, "a", 1).queue.discipline is Discipline.RED
    assert (interface(read, "b", 1).queue.threshold, interface(read, "a", 1).queue.threshold) == (7, 5)
    assert interface(read, "a", 2).queue.discipline is Discipline.DROPTAIL
    assert interface(read, "b", 2).queue.discipline is Discipline.GRED
    assert interface(read, "a", 3).queue.discipline is Discipline.DROPTAIL
    assert "no queue type `SFQ`" in str(read.warnings[0])


def test_addresses_and_netmasks() -> None:
    read = topology(f"""{TRIO}
set link0 [$ns duplex-link $a $b 10Mb 0ms DropTail]
set d [$ns node]
$ns duplex-link $d $a 10Mb 0ms DropTail
tb-set-ip-lan $a $lan0 10.1.2.3
tb-set-ip-link $b $link0 10.01.3.4
tb-set-ip-interface $a $d 10.1.4.1
tb-set-ip $d 10.1.4.2
tb-set-netmask $lan0 255.255.252.0
""")

    assert [each.address for each in read.node("a").interfaces] == ["10.1.2.3", None, "10.1.4.1"]
    assert interface(read, "b", 1).address == "10.1.3.4"
    assert interface(read, "d").address == "10.1.4.2"
    assert read.lans[0].netmask == "255.255.252.0"


def test_nodes() -> None:
    read = topology("""
set a [$ns node]
tb-set-node-os $a UBUNTU22-64-STD HOST-OS
tb-set-hardware $a anything-at-all
tb-set-node-startcmd $a "sudo run.sh > /tmp/log 2>&1"
tb-set-node-startup $a /old
tb-set-node-failure-action $a nonfatal
tb-set-node-rpms $a "/one.rpm /two.rpm"
tb-set-node-tarfiles $a /opt /proj/x/a.tar.gz /srv b.tgz
tb-add-node-attribute $a containers:node_type openvz
tb-add-node-attribute $a containers:node_type qemu
tb-add-node-attribute $a containers:partition 7
$a add-attribute colour red
$a add-attribute colour blue
tb-set-sync-server $a
tb-set-node-memory-size $a 512
""")

    node = read.node("a")
    assert (node.os, node.hardware, node.failure_action) == ("UBUNTU22-64-STD", "anything-at-all", "nonfatal")
    assert (node.start_command, node.startup) == ("sudo run.sh > /tmp/log 2>&1", "/old")
    assert (node.kind, node.partition) == ("container", 7)
    assert node.attributes["containers:node_type"] == "openvz"
    assert node.attributes["colour"] == "blue"
    assert node.attributes["MEMORY_SIZE"] == "512"
    assert node.attributes["parent_osid"] == "HOST-OS"
    assert node.software == (
        Software("/one.rpm"),
        Software("/two.rpm"),
        Software("/proj/x/a.tar.gz", "/opt"),
        Software("b.tgz", "/srv"),
    )
    assert read.attributes["sync_server"] == "a"


@pytest.mark.parametrize(
    ("statement", "routing"),
    [
        ("$ns rtproto Static", Routing.STATIC),
        ("$ns rtproto Session", Routing.SESSION),
        ("$ns rtproto Manual", Routing.MANUAL),
        ("tb-set-ip-routing ospf", Routing.SESSION),
        ("$ns rtproto @RTPROTO@", Routing.NONE),
        ("", Routing.NONE),
    ],
)
def test_routing(statement: str, routing: Routing) -> None:
    assert topology(f"set a [$ns node]\n{statement}").routing is routing


def test_routes_and_costs() -> None:
    read = topology(f"""{TRIO}
set d [$ns node]
set cd0 [$ns duplex-link $c $d 10Mb 0ms DropTail]
$a add-route $d $c
$a add-route $cd0 $c
$b add-route [$ns link $c $d] $c
$d add-route $lan0 $c
$ns cost $c $d 5
$lan0 cost 2
""")

    routes = [(route.node, route.destination, route.next_hop) for route in read.routes]
    assert routes == [("a", "d", "c"), ("a", "cd0", "c"), ("b", "cd0", "c"), ("d", "lan0", "c")]
    assert read.costs[("cd0", "c")] == 5
    assert ("cd0", "d") not in read.costs
    assert read.costs[("lan0", "b")] == 2


def test_events() -> None:
    read = topology(f"""{PAIR}
set prog [$a program-agent -command "iperf -s" -timeout 1m -dir /tmp]
set group [$ns event-group "$prog"]
$ns at 10 "$link0 down"
$ns at 1h20m3s "$link0 up; $link0 bandwidth 5Mb duplex"
$ns at 0.00001 "$link0 delay 10ms"
$ns at 30 "$prog start -command {{ls -l}}"
$ns at 31 "$group stop"
$ns at 32 "$a reboot"
$ns at swapout "$prog run"
set q [[$ns link $a $b] queue]
$ns at 33 "$q set limit_ 70"
set tl [$ns event-timeline]
$tl at 5 "$link0 plr 0.05"
set seq [$ns event-sequence {{
    $link0 down
    $link0 up
}}]
$seq append "$ns log {{all done}}"
$ns at 40 "$seq start"
""")

    found = [(each.time_s, each.target, each.action, each.arguments, each.parent) for each in read.events]
    assert found == [
        (10.0, "link0", "down", (), ""),
        (4803.0, "link0", "up", (), ""),
        (4803.0, "link0", "modify", ("BANDWIDTH=5000",), ""),
        (0.00001, "link0", "modify", ("DELAY=10",), ""),
        (30.0, "prog", "start", ("COMMAND=ls -l",), ""),
        (31.0, "group", "stop", (), ""),
        (32.0, "a", "reboot", (), ""),
        (0.0, "prog", "run", (), ""),
        (33.0, "link0-a", "modify", ("LIMIT=70",), ""),
        (5.0, "link0", "modify", ("PLR=0.05",), "tl"),
        (0.0, "link0", "down", (), "seq"),
        (0.0, "link0", "up", (), "seq"),
        (0.0, "ns", "log", ("all done",), "seq"),
        (40.0, "seq", "start", (), ""),
    ]
    assert [event.trigger for event in read.events].count("swapout") == 1
    assert read.programs[0].command == "iperf -s"
    assert dict(read.programs[0].attributes) == {"TIMEOUT": "60", "DIR": "/tmp"}
    assert dict(read.groups) == {"group": ("prog",)}


def test_traffic_is_recorded() -> None:
    read = topology(f"""{PAIR}
set udp0 [new Agent/UDP]
$ns attach-agent $a $udp0
set cbr0 [new Application/Traffic/CBR]
$cbr0 set packetSize_ 500
$cbr0 set rate_ 1Mb
$cbr0 attach-agent $udp0
set null0 [new Agent/Null]
$ns attach-agent $b $null0
$ns connect $udp0 $null0
$ns at 1.0 "$cbr0 start"
""")

    features = {each.feature: each.arguments for each in read.recorded}
    assert features["traffic"] == ("null0", "sink", "udp", "b", "5001", "a", "5001")
    assert read.events[0].target == "cbr0"


def test_the_array_opt_is_the_environment() -> None:
    read = topology("set opt(A) 1\nset opt(B) two\nset opt(A) 3\nset a [$ns node]")

    assert dict(read.environment) == {"A": "3", "B": "two"}


def test_what_is_not_acted_on_is_kept_and_said_once() -> None:
    read = topology(f"{PAIR}\ntb-fix-node $a pc1\ntb-fix-node $b pc2\n$link0 trace header")

    assert [each for each in read.recorded if each.feature == "tb-fix-node"] == [
        Recorded("tb-fix-node", ("a", "pc1"), read.recorded[0].where),
        Recorded("tb-fix-node", ("b", "pc2"), read.recorded[1].where),
    ]
    assert [str(each) for each in read.warnings] == [
        "t.ns:8: tb-fix-node is recorded but not acted on yet",
        "t.ns:10: trace is recorded but not acted on yet",
    ]


def test_what_is_unknown_is_ignored_with_a_warning() -> None:
    read = topology("""
set a [$ns node]
$ns color 1 Blue
$a shine brightly
tb-frobnicate $a
set x [new Agent/Carrier/Pigeon]
""")

    assert [each.where.line for each in read.warnings if each.where] == [5, 6, 7, 8]


def test_statements_after_run_have_no_effect() -> None:
    read = read_source("set ns [new Simulator]\nset a [$ns node]\n$ns run\nset b [$ns node]\n", "t.ns")

    assert [node.name for node in read.nodes] == ["a"]
    assert [str(each) for each in read.warnings] == ["t.ns:4: statements after $ns run have no effect"]


def test_a_lan_without_members_is_left_out_but_counts() -> None:
    read = topology('set a [$ns node]\nset none [$ns make-lan "" 10Mb 0ms]\nset some [$ns make-lan "$a" 10Mb 0ms]')

    assert [lan.name for lan in read.lans] == ["some"]
    assert set(read.numbering) == {"none", "some"}


def test_a_link_whose_bandwidth_is_not_enforced() -> None:
    read = topology(f"{PAIR}tb-set-noshaping $link0 1")

    assert not read.lans[0].enforced
    assert interface(read, "a").outward == Shape(delay_ms=10, bandwidth_kbps=10_000)
    assert (read.recorded, read.warnings) == ((), ())
    assert "tb-set-noshaping $link0 1" in write(read).text
    assert topology(f"{PAIR}tb-set-noshaping link0 0").lans[0].enforced
