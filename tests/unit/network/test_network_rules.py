"""What the host's and a hub's rules say, and what stands in the way of forwarding."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from benito.network import host, hub
from benito.network.host import Uplink, uplink_name

IPv4 = ipaddress.IPv4Address


def test_an_uplinks_name_fits_the_kernel_and_tells_hubs_apart() -> None:
    names = {uplink_name(f"benito-{i}") for i in range(1000)}
    assert len(names) == 1000
    assert all(len(name) <= 15 and name.startswith("bn") for name in names)


def test_only_hubs_with_internet_are_let_out_and_masqueraded() -> None:
    text = host.ruleset([Uplink("bn1", "P/E", True, IPv4("10.0.0.2")), Uplink("bn2", "P/F", False, IPv4("10.0.0.6"))])
    assert 'iifname { "bn1" } accept' in text
    assert 'ip saddr { 10.0.0.2 } oifname != { "bn1", "bn2" } masquerade' in text
    assert "10.0.0.6" not in text


def test_without_internet_nothing_is_masqueraded() -> None:
    text = host.ruleset([Uplink("bn1", "P/E", False, IPv4("10.0.0.2"))])
    assert "masquerade" not in text
    assert "accept\n        iifname" not in text.split("chain forward")[1]


@pytest.mark.parametrize("internet", [True, False])
def test_a_hub_lets_only_the_host_begin(internet: bool) -> None:
    plan = hub.HubPlan(
        "benito-x",
        "P/E",
        ipaddress.IPv4Interface("10.1.0.1/24"),
        ipaddress.IPv4Network("10.2.0.0/30"),
        internet,
    )
    text = hub.ruleset(plan)
    assert 'iifname "uplink" oifname "control" ip saddr 10.2.0.1 accept' in text
    assert ('iifname "control" oifname "uplink" accept' in text) is internet


def chain(policy: str, **words: str) -> dict[str, dict[str, str]]:
    return {
        "chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": policy, **words}
    }


def rule(*expressions: dict[str, object]) -> dict[str, dict[str, object]]:
    return {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": list(expressions)}}


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([], None),
        ([chain("accept")], None),
        ([chain("drop")], "the nftables chain ip filter FORWARD has the policy drop"),
        ([chain("drop", hook="input")], None),
        ([chain("drop", table="benito")], None),
        ([chain("accept"), rule({"counter": None}, {"reject": None})], "ip filter FORWARD ends with a rule that drops"),
        ([chain("accept"), rule({"match": {}}, {"drop": None})], None),
    ],
)
def test_what_drops_forwarded_packets_is_named(items: list[dict[str, object]], found: str | None) -> None:
    obstacle = host.obstacle_in(items)
    assert (obstacle is None) if found is None else (obstacle is not None and found in obstacle)


@pytest.mark.parametrize(
    ("rules", "stays"),
    [
        ({}, False),
        ({"nft": "table ip nat { chain postrouting { oifname eth0 masquerade } }"}, True),
        ({"iptables-legacy-save": "*nat\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"}, True),
        ({"iptables-legacy-save": "*filter\n:FORWARD ACCEPT [0:0]\n"}, False),
    ],
)
def test_forwarding_stays_where_others_have_come_to_rely_on_it(
    rules: dict[str, str], stays: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[tuple[str, object]] = []
    monkeypatch.setattr(host, "checked", lambda argv, **_: rules.get(argv[0], ""))
    monkeypatch.setattr(host.shutil, "which", lambda program: program)
    monkeypatch.setattr(host.namespaces, "write_sysctl", lambda *words: written.append(words) or True)
    (tmp_path / "ip_forward").write_text("0\n")
    host._restore(tmp_path)
    assert written == ([] if stays else [("net/ipv4/ip_forward", "0")])
    assert not (tmp_path / "ip_forward").exists()
