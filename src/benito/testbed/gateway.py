"""An experiment's gateway: what its nodes are told of it, and the program that serves them there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from benito.agent.cgroup import Limits
from benito.gateway import settings as files
from benito.gateway.archives import host_apt
from benito.gateway.settings import PROXY_PORT
from benito.images.sources import MIRROR_VARIABLES
from benito.plan import model
from benito.testbed.config import Config
from benito.testbed.home import Home, Place
from benito.testbed.keeping import HUB, begin_hub, keep_in_hub
from benito.testbed.reservations import Lease
from benito.testbed.store import Settings

JOB = "gateway"
MEMORY_MIB = 192
"""What the gateway's program may use."""
APT_CONF = "etc/apt/apt.conf.d/95benito-gateway"


def start_gateway(
    place: Place, home: Home, settings: Settings, config: Config, plans: Iterable[model.PnodePlan], lease: Lease
) -> None:
    """Have the gateway's program run with the settings of today; the hub must exist, machines needn't."""
    begin_hub(place)
    apt = host_apt(_extra(config))
    domain = place.experiment.domain
    addresses = {machine.node: machine.control.address for plan in plans for machine in plan.machines}
    told = files.Settings(
        namespace=f"/run/netns/{place.hub}",
        address=lease.gateway,
        domain=domain,
        names={f"{node}.{domain}".lower(): address for node, address in addresses.items()},
        internet=settings.internet,
        cache=str(home.cache / "packages"),
        cache_mib=config.packages_mib,
        archives=apt.archives,
        proxies=apt.proxies,
    )
    home.cache.mkdir(mode=0o711, parents=True, exist_ok=True)
    # The program keeps packages there as nobody in particular: it must pass.
    home.cache.chmod(home.cache.stat().st_mode | 0o011)
    file = place.runtime / HUB / "gateway.json"
    changed = files.write(file, told)
    program = ["benito.gateway.daemon", "--settings", str(file)]
    keep_in_hub(place, JOB, program, limits=Limits(memory_mib=MEMORY_MIB, processes=64), anew=changed)


def node_files(gateway: str, config: Config) -> Mapping[str, str]:
    """Return what nodes are told so that they use their gateway: texts by paths."""
    proxy = f"http://{gateway}:{PROXY_PORT}"
    lines = [f'Acquire::{kind}::Proxy "{proxy}";' for kind in ("http", "https")]
    return {APT_CONF: "".join(f"{line}\n" for line in (*lines, *host_apt(_extra(config)).carried))}


def _extra(config: Config) -> list[str]:
    named = (os.environ.get(variable, "") for variable in MIRROR_VARIABLES.values())
    return [*config.archives, *filter(None, named)]
