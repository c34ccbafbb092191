"""What has been measured of links since this server began."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Results:
    """What has been measured of each experiment, and who waits for more."""

    texts: defaultdict[str, dict[str, dict[str, object]]] = field(default_factory=lambda: defaultdict(dict))
    at_work: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    news: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    def tell(self, key: str, results: Sequence[dict[str, object]]) -> None:
        """Keep results and wake those who wait."""
        for result in results:
            self.texts[key][str(result["lan"])] = result
        self.news.pop(key, asyncio.Event()).set()
