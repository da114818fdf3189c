"""Names of table columns: no parameter, metric or fact has the name of another. Case counts for nothing, as in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

SEED: Final = "seed"
"""A parameter of this name takes the place of the fact, and keeps its name."""


def free(name: str, taken: set[str]) -> str:
    """The name, with `_` behind it as often as it takes to be none of those that are taken (in lower case). It is
    taken then."""
    while name.lower() in taken:
        name += "_"
    taken.add(name.lower())
    return name


def parameter_columns(names: Sequence[str], facts: Iterable[str]) -> dict[str, str]:
    """Parameter -> its column: `in_NAME` where a fact has the name, or a parameter before it."""
    known = {name.lower() for name in facts}
    taken = known | {name.lower() for name in names}
    seen: set[str] = set()
    found = {}
    for name in names:
        lower = name.lower()
        clashes = (lower in known and name != SEED) or lower in seen
        found[name] = free(f"in_{name}", taken) if clashes else name
        seen.add(lower)
    return found


def column_names(
    parameters: Sequence[str], metrics: Sequence[str], facts: Iterable[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of those parameters that are called otherwise beside these metrics, and of all metrics: the parameter
    gets `in_`, the metric `out_`. parameters: columns of `parameter_columns`."""
    parameters_, metrics_ = {n.lower() for n in parameters}, {n.lower() for n in metrics}
    facts_ = {name.lower() for name in facts}
    shared = (parameters_ & metrics_) - {SEED}
    taken = facts_ | ((parameters_ | metrics_) - shared)
    renamed = {name: free(f"in_{name}", taken) for name in parameters if name.lower() in shared}
    seen: set[str] = set()
    found = {}
    for name in metrics:
        clashes = name.lower() in parameters_ | facts_ | seen
        found[name] = free(f"out_{name}", taken) if clashes else name
        seen.add(name.lower())
    return renamed, found
