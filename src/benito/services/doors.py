"""What every door works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benito.services.access import Access
from benito.services.operations import Operations
from benito.services.watches import Watches
from benito.testbed.testbed import Testbed


@dataclass(frozen=True, slots=True)
class Doors:
    """One home's experiments, as its doors see them; belongs to the event loop's thread.

    `bed` is for reading: what changes an experiment is an operation. Work that takes more than a moment goes into
    `asyncio.to_thread`, with a `bed.again()` of the thread's own.
    """

    bed: Testbed
    access: Access
    operations: Operations
    watches: Watches

    @classmethod
    def open(cls, bed: Testbed) -> Doors:
        """Make the doors' common room for a home."""
        access = Access(bed)
        access.people.prepare()
        return cls(bed, access, Operations(bed.home), Watches(bed))

    async def keep(self) -> None:
        """Keep things tidy until cancelled; then let go of all."""
        try:
            await self.watches.tidy()
        finally:
            await asyncio.shield(self.watches.close())
