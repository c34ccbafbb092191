"""Round trips over links, measured when somebody asks and told to all who look at the experiment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benito.errors import BenitoError, InputError
from benito.services.web.results import Results
from benito.services.web.room import Room
from benito.testbed.home import Place
from benito.testbed.linktest import Measurement, measure
from benito.testbed.store import ExperimentRecord
from benito.topology.model import Topology

MOST = 64
"""Links in one go; each takes about two seconds."""
PINGS = 5


def measure_links(room: Room, record: ExperimentRecord, topology: Topology, names: Sequence[str]) -> None:
    """Begin; InputError when that is too many at once or one is under way."""
    results, key = room.results, record.id.key
    if key in results.at_work:
        raise InputError("a measurement is under way", hint="its results appear as they come")
    if not names or len(names) > MOST:
        raise InputError(
            f"{len(names)} links are not measured in one go", hint=f"choose single links on the map, or at most {MOST}"
        )
    place = room.doors.bed.home.place(record.id)
    task = asyncio.create_task(_measure(results, key, place, topology, names))
    results.at_work[key] = task
    task.add_done_callback(lambda _: results.at_work.pop(key, None))


async def _measure(results: Results, key: str, place: Place, topology: Topology, names: Sequence[str]) -> None:
    for name in names:
        results.tell(key, [{"lan": name, "text": "measuring…", "bad": False}])
        try:
            measured = await asyncio.to_thread(measure, place, topology, count=PINGS, lans=frozenset({name}))
        except BenitoError as error:
            results.tell(key, [{"lan": name, "text": error.message, "bad": True}])
            continue
        results.tell(key, [{"lan": name, **_told(measured)}])


def _told(measured: Sequence[Measurement]) -> dict[str, object]:
    """Say what came of a link's pairs: the worst of several."""
    faults = [each.error for each in measured if each.error]
    if faults:
        return {"text": faults[0], "bad": True}
    times = [each.rtt_avg_ms for each in measured if each.rtt_avg_ms is not None]
    lost = sum(each.sent - each.received for each in measured)
    sent = sum(each.sent for each in measured)
    if not times:
        return {"text": "none came back", "bad": True}
    text = f"{min(times):.1f} ms" if len(times) == 1 else f"{min(times):.1f} to {max(times):.1f} ms"
    return {"text": text + (f", {lost} of {sent} lost" if lost else ""), "bad": False}
