"""What people see of a running experiment: nodes, links as asked and measured, what to do next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benito.cli.common import console, plain, print_json, say, table

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from benito.testbed.home import ExperimentId
    from benito.testbed.linktest import Measurement
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import ExperimentView, NodeView

MOMENT_S = 2.0
"""How long start commands may hold up the report: most end at once, and some never."""
BOOT_STYLES = {"booted": "green", "running": "yellow", "dead": "red"}


def report(bed: Testbed, experiment: ExperimentId, *, linktest: bool, as_json: bool) -> None:
    """Print everything about an experiment that has just come up."""
    place = bed.place(experiment)
    record = bed.record(experiment)
    measured: list[Measurement] = []
    if linktest:
        say("measuring the links")
        from benito.testbed.linktest import measure

        measured = measure(place, bed.topology(place, record.settings))
    view = _view_soon(bed, experiment)
    if as_json:
        print_json({"experiment": view, "links": [link_json(m) for m in measured]})
        return
    out = console()
    out.print(nodes_table(view))
    if measured:
        out.print(links_table(measured))
    first = view.nodes[0].name if view.nodes else ""
    out.print("Next:")
    for words, meaning in (
        (f"ssh {first}", "log in"),
        (f"benito status {view.experiment}", "how the nodes are"),
        (f"benito down {view.experiment}", "take it down"),
    ):
        out.print(f"  {words:<40} {meaning}")


def _view_soon(bed: Testbed, experiment: ExperimentId) -> ExperimentView:
    """Return the experiment when its start commands have ended, or in a moment."""
    from benito.testbed.view import experiment_view, with_plans

    deadline = time.monotonic() + MOMENT_S
    while True:
        view = with_plans(bed, experiment_view(bed, bed.record(experiment)))
        if not any(map(_runs, view.nodes)) or time.monotonic() > deadline:
            return view
        time.sleep(0.2)


def _runs(node: NodeView) -> bool:
    """Whether its start command runs still."""
    return node.commanded and node.boot == "booted" and node.code is None


def nodes_table(view: ExperimentView, *, sizes: bool = False) -> Table:
    """The node table; with their sizes where those were looked up and are asked for."""
    size = ("size",) if sizes else ()
    columns = ("node", "pnode", "image", *size, "control", "experimental", "boot", "start command")
    made = table(*columns, title=view.experiment)
    for node in view.nodes:
        own = (size_cell(node),) if sizes else ()
        addresses = " ".join(node.addresses)
        made.add_row(node.node, node.pnode, node.image, *own, node.control, addresses, *status_cells(node))
    return made


def size_cell(node: NodeView) -> str:
    """A node's size for people; a physical node has its pnode's."""
    from benito.topology.sizes import Size, text

    if not node.memory_mib or node.kind == "physical":
        return "-"
    return text(Size(node.memory_mib, node.cpus, node.disk_mib))


def status_cells(node: NodeView) -> tuple[Text, str]:
    """How a node's `[boot, code]` is shown."""
    from rich.text import Text

    boot = node.boot or "unknown"
    style = BOOT_STYLES.get(boot, "dim")
    if boot == "dead":
        code = f"machine ended with {node.code}"
    elif node.code is None:
        code = "running" if _runs(node) else "-"
    else:
        code = f"exit {node.code}"
    return Text(boot, style), code


def links_table(measured: list[Measurement]) -> Table:
    """Asked and measured, side by side."""
    from rich.text import Text

    made = table("link", "between", "bandwidth asked", "RTT asked", "RTT measured", "loss asked", "lost")
    for m in measured:
        between = f"{m.a} - {m.b}"
        asked = (rate(m.asked_kbps), f"{m.asked_rtt_ms:g} ms")
        if m.error:
            made.add_row(m.lan, between, *asked, Text(plain(m.error), "red"), percent(m.asked_loss), "-")
            continue
        rtt = (
            "none came back"
            if m.rtt_avg_ms is None
            else f"{m.rtt_min_ms:.1f} / {m.rtt_avg_ms:.1f} / {m.rtt_max_ms:.1f} ms"
        )
        made.add_row(m.lan, between, *asked, rtt, percent(m.asked_loss), f"{m.sent - m.received} of {m.sent}")
    made.columns[4].header = "RTT measured (min / avg / max)"
    made.columns[5].header = "loss asked (both ways)"
    return made


def link_json(m: Measurement) -> dict[str, Any]:
    """A measurement for programs."""
    from dataclasses import asdict

    return {**asdict(m), "loss": m.loss}


def rate(kbps: int) -> str:
    """A bandwidth for people."""
    from benito.units import bandwidth_text

    return bandwidth_text(kbps) if kbps else "unlimited"


def percent(loss: float) -> str:
    """A probability for people."""
    return f"{100 * loss:.3g} %"
