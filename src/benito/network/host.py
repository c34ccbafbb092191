"""What an experiment needs of the host itself: routes, forwarding, one nftables table.

The host's own namespace is touched as little as can be. Everything follows from what is really there: the uplink
interfaces found by name and alias, of whichever Benito home, decide what the table `inet benito` says and whether
forwarding is on; the table is rebuilt as a whole under a lock, and goes with the last uplink. So a crash in between, or
two homes at work at once, leave nothing that the next call wouldn't put right.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito.errors import BenitoError, HostError
from benito.network import namespaces
from benito.network.interfaces import netlink, read_links
from benito.run import checked

RUN = Path("/run/benito")
"""Where the host's previous settings are kept: as the settings themselves, it doesn't outlive a reboot."""
TABLE = "benito"
UPLINK_POOL = ipaddress.IPv4Network("100.126.0.0/16")
"""The /30 between the host and each hub is of this (RFC 6598 space); other addresses its firewall never sees."""

_UPLINK = re.compile(r"bn[0-9a-f]{10}")
_FORWARDING = "net/ipv4/ip_forward"


@dataclass(frozen=True, slots=True)
class Uplink:
    """The host's end of the way to one experiment's hub."""

    name: str
    mark: str
    internet: bool
    hub: ipaddress.IPv4Address | None
    """The hub's address on it."""


def uplink_name(hub: str) -> str:
    """Return the name of a hub's uplink interface on the host."""
    return "bn" + hashlib.sha256(hub.encode()).hexdigest()[:10]


def uplink_alias(mark: str, internet: bool) -> str:
    """Return the alias that tells what an uplink is, and for whom."""
    return f"{mark} uplink internet" if internet else f"{mark} uplink"


def uplinks() -> list[Uplink]:
    """Return every experiment's uplink on this host."""
    found = []
    with netlink("the host's interfaces") as ip:
        links = {link.index: link for link in read_links(ip).values() if _UPLINK.fullmatch(link.name)}
        networks: dict[int, ipaddress.IPv4Interface] = {}
        if links:
            for message in ip.get_addr(family=socket.AF_INET):
                address = f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}"
                networks[message["index"]] = ipaddress.IPv4Interface(address)
        for index, link in links.items():
            mark, _, what = link.alias.partition(" ")
            if what.startswith("uplink"):
                found.append(Uplink(link.name, mark, what.endswith("internet"), _far_end(networks.get(index))))
    return sorted(found, key=lambda uplink: uplink.name)


def refresh(run: Path = RUN) -> None:
    """Make the host's table and its forwarding fit the uplinks there are; without any, leave the host as it was."""
    with _locked(run):
        present = uplinks()
        if present:
            checked(["nft", "-f", "-"], stdin=ruleset(present))
        elif shutil.which("nft"):
            with contextlib.suppress(BenitoError):
                checked(["nft", "delete", "table", "inet", TABLE])
        if any(uplink.internet for uplink in present):
            _forward(run)
        else:
            _restore(run)


def ruleset(present: list[Uplink]) -> str:
    """Return the host's table for these uplinks, as nft reads it: replaces the former one in one step."""
    names = ", ".join(f'"{uplink.name}"' for uplink in present)
    online = ", ".join(f'"{uplink.name}"' for uplink in present if uplink.internet)
    hubs = ", ".join(str(uplink.hub) for uplink in present if uplink.internet and uplink.hub)
    way_out = f"iifname {{ {online} }} accept" if online else ""
    masquerade = f"ip saddr {{ {hubs} }} oifname != {{ {names} }} masquerade" if hubs else ""
    return f"""
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname {{ {names} }} ct state established,related accept
        iifname {{ {names} }} icmp type echo-request accept
        iifname {{ {names} }} drop
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        oifname {{ {names} }} ct state established,related accept
        oifname {{ {names} }} drop
        {way_out}
        iifname {{ {names} }} drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        {masquerade}
    }}
}}
"""


def host_routes() -> list[ipaddress.IPv4Network]:
    """Return every IPv4 network that the current namespace has a route or an address in, the default route aside."""
    found: set[ipaddress.IPv4Network] = set()
    with netlink("the host's routes") as ip:
        for route in ip.get_routes(family=socket.AF_INET):
            destination = route.get_attr("RTA_DST")
            if destination and route["dst_len"]:
                found.add(ipaddress.IPv4Network(f"{destination}/{route['dst_len']}", strict=False))
        for address in ip.get_addr(family=socket.AF_INET):
            text = f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}"
            found.add(ipaddress.IPv4Interface(text).network)
    return sorted(found)


def host_addresses() -> list[str]:
    """Return the addresses that this host has."""
    with netlink() as link:
        return [str(message.get_attr("IFA_ADDRESS")) for message in link.get_addr()]


def forward_obstacle() -> str | None:
    """Name what on this host drops forwarded packets and so cuts experiments off from the internet, if anything does.

    An accept of ours can't override it: every chain at the hook has its say. Where its owner has made a rule for
    `UPLINK_POOL`, it is none.
    """
    with contextlib.suppress(BenitoError, ValueError):
        obstacle = obstacle_in(json.loads(checked(["nft", "-j", "list", "ruleset"]))["nftables"])
        if obstacle:
            return obstacle
    for program, rules in _iptables():
        if re.search(r"^:FORWARD (DROP|REJECT)", rules, re.MULTILINE) and not _lets_us_through(rules):
            return f"iptables' chain FORWARD has the policy DROP ({program})"
    return None


def _iptables() -> Iterator[tuple[str, str]]:
    """Yield the rules of iptables, of either kind that is installed; nft doesn't show those of the old one."""
    for program in ("iptables-legacy-save", "iptables-save"):
        if shutil.which(program):
            with contextlib.suppress(BenitoError):
                # Without naming a table, for that would load it into the kernel.
                yield program, checked([program])


def obstacle_in(items: list[dict[str, Any]]) -> str | None:
    """Name what drops forwarded packets among the objects of `nft -j list ruleset`, if anything does."""
    chains = [item["chain"] for item in items if "chain" in item]
    rules = [item["rule"] for item in items if "rule" in item]
    for chain in chains:
        if chain.get("hook") != "forward" or chain["family"] not in ("ip", "inet") or chain["table"] == TABLE:
            continue
        if _lets_us_through(json.dumps([r for r in rules if all(r[k] == chain[k] for k in ("family", "table"))])):
            continue
        name = f"{chain['family']} {chain['table']} {chain['name']}"
        if chain.get("policy") == "drop":
            return f"the nftables chain {name} has the policy drop"
        own = [r for r in rules if all(r[k] == chain[v] for k, v in _SAME_CHAIN)]
        if own and _always_drops(own[-1]):
            return f"the nftables chain {name} ends with a rule that drops everything"
    return None


def _lets_us_through(rules: str) -> bool:
    """Whether rules, as any program prints them, speak of our network."""
    return str(UPLINK_POOL.network_address).removesuffix("0.0") in rules


_SAME_CHAIN = (("family", "family"), ("table", "table"), ("chain", "name"))


def _always_drops(rule: dict[str, Any]) -> bool:
    verdicts = [key for part in rule.get("expr", []) for key in part if key not in ("counter", "log")]
    return verdicts in (["drop"], ["reject"])


def _far_end(near: ipaddress.IPv4Interface | None) -> ipaddress.IPv4Address | None:
    if near is None:
        return None
    return next((address for address in near.network.hosts() if address != near.ip), None)


def _forward(run: Path) -> None:
    current = (Path("/proc/sys") / _FORWARDING).read_text().strip()
    kept = run / "ip_forward"
    if current == "0":
        # Written first: if we are killed in between, the next refresh puts back what is so already.
        kept.write_text(f"{current}\n")
        if not namespaces.write_sysctl(_FORWARDING, 1):
            raise HostError(
                "this host doesn't forward, and its net.ipv4.ip_forward can't be changed from here",
                hint="set it to 1, or swap in with --no-internet",
            )


def _restore(run: Path) -> None:
    kept = run / "ip_forward"
    with contextlib.suppress(FileNotFoundError):
        before = kept.read_text().strip()
        if before == "0" and not _others_forward():
            namespaces.write_sysctl(_FORWARDING, before)
        kept.unlink()


def _others_forward() -> bool:
    """Whether somebody else has come to rely on forwarding since (a container engine: it switches it on, too)."""
    rules = [rules for _, rules in _iptables()]
    with contextlib.suppress(BenitoError):
        rules.append(checked(["nft", "list", "ruleset"]))
    return any("masquerade" in text.casefold() for text in rules)


@contextlib.contextmanager
def _locked(run: Path) -> Iterator[None]:
    run.mkdir(parents=True, exist_ok=True)
    with (run / "host.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
