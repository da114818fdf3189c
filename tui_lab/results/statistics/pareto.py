"""The Pareto front of two metrics: settings that no other beats in one metric without losing in the other."""

from __future__ import annotations

from collections.abc import Sequence

from tui_lab.results.statistics.comparison import Goal


def front(points: Sequence[tuple[float | None, float | None]], goals: tuple[Goal, Goal]) -> list[bool]:
    """Whether each point is on the front: none is at least as good in both and better in one (Pareto 1906).
    Equal points stand or fall together; a point without a value is not on it. Sorted once, then one sweep
    (Kung, Luccio and Preparata, JACM 22, 1975)."""
    costs = [
        (first if goals[0] == "min" else -first, second if goals[1] == "min" else -second, place)
        for place, (first, second) in enumerate(points)
        if first is not None and second is not None
    ]
    on = [False] * len(points)
    lowest: tuple[float, float] | None = None  # the point of the front with the lowest second cost so far
    for first, second, place in sorted(costs):
        if lowest is None or second < lowest[1]:
            lowest = (first, second)
        elif (first, second) != lowest:
            continue
        on[place] = True
    return on
