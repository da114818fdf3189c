"""What waiting tasks need of an allocation, for engines that grant just that."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from tui_lab.engine.core.run import RunState

CONSIDERED: Final = 1000
"""Tasks at the head of a queue that are looked at: further ones are alike, or their turn comes later."""


def most_needed(runs: Iterable[RunState]) -> dict[str, float]:
    """Return the most that a waiting task needs: `cpus`, `memory` in bytes, `gpus`, and resources by name."""
    most: dict[str, float] = {}
    for run in runs:
        if not run.needs.matter:
            continue
        attempts = run.state.columns["attempts"]
        for task in islice(run.order, CONSIDERED):
            needs: Any = run.needs.of_node((task, attempts[task] + 1))
            for name in needs.keys() - {"exclusive", "among"}:
                most[name] = max(most.get(name, 0), needs[name])
    return {name: amount for name, amount in most.items() if amount}
