"""Places nodes by hand: those with one partition share a pnode, a physical node is one by itself."""

from __future__ import annotations

from collections.abc import Sequence

from benito.embedding.roles import Role


def by_hand(roles: Sequence[Role]) -> list[int]:
    """Return each node's part; parts are numbered in the order of the partitions, then of the physical nodes."""
    partitions = sorted({role.partition for role in roles if role.partition is not None})
    numbers = {partition: place for place, partition in enumerate(partitions)}
    parts: list[int] = []
    physical = len(partitions)
    for role in roles:
        if role.partition is not None:
            parts.append(numbers[role.partition])
        else:
            parts.append(physical)
            physical += 1
    return parts
