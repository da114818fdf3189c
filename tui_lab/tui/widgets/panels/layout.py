"""Where the panels of a pane stand: which columns there are, for a width, and how wide each is. Without a screen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

Arrangement = tuple[tuple[str, ...], ...]
"""Columns from left to right, each with the names of its panels from top to bottom."""


class Room(NamedTuple):
    """What a panel needs of a pane's width. least: cells, border included; weight: its share of what is left."""

    least: int
    weight: int = 1


def name_of(arrangement: Arrangement) -> str:
    """Return a name to remember an arrangement by: `tasks/log|curve`."""
    return "|".join("/".join(column) for column in arrangement)


def present(arrangement: Arrangement, absent: Collection[str]) -> Arrangement:
    """Return an arrangement without some panels, and without the columns that they leave empty."""
    columns = (tuple(name for name in column if name not in absent) for column in arrangement)
    return tuple(column for column in columns if column)


def fitting(
    arrangements: Sequence[Arrangement], rooms: Mapping[str, Room], absent: Collection[str], width: int
) -> list[Arrangement]:
    """Return the arrangements that fit into a width, each once, in their order; the first fits always."""
    found: list[Arrangement] = []
    for one in arrangements:
        left = present(one, absent)
        if left and left not in found and (not found or sum(_least(column, rooms) for column in left) <= width):
            found.append(left)
    return found


def widths(arrangement: Arrangement, rooms: Mapping[str, Room], width: int, grown: str = "") -> list[int]:
    """Return the widths of columns, in cells; their sum is `width`. grown: a panel whose column has three times its
    weight. Each column has its least width, where there is room for all of them."""
    least = [_least(column, rooms) for column in arrangement]
    weights = [
        max(rooms[name].weight for name in column) * (3 if grown in column else 1) for column in arrangement
    ]  # fmt: skip
    fixed: dict[int, int] = {}
    while True:  # a column whose share is too small gets its least width, and the others share the rest
        rest = width - sum(fixed.values())
        total = sum(weight for place, weight in enumerate(weights) if place not in fixed)
        small = {
            place: least[place]
            for place, weight in enumerate(weights)
            if place not in fixed and rest * weight < least[place] * total
        }
        if not small or len(fixed) + len(small) == len(least):
            break
        fixed |= small
    found, shared = [], 0
    for place, weight in enumerate(weights):
        if place in fixed:
            found.append(fixed[place])
        else:
            start, shared = shared, shared + weight
            found.append(rest * shared // total - rest * start // total)
    return found


def _least(column: Sequence[str], rooms: Mapping[str, Room]) -> int:
    return max(rooms[name].least for name in column)
