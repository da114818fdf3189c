"""The columns of a chart: the requested ones, and default ones of an experiment for the rest."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final, Literal

from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.charts.model import ChartError, ChartKind, Request, Role, Source
from tui_lab.results.charts.natural import fewest, is_category, is_geometric, is_number, telling
from tui_lab.results.charts.registry import kind_of
from tui_lab.results.facts import is_fact, of_steps

SPREAD: Final = 50
"""Times by which the greatest value of a parameter exceeds the least where its axis is logarithmic by itself."""


def choose(request: Request, source: Source) -> dict[Role, str]:
    """Return the column of each role: the requested ones, and default ones for the rest. Raises ChartError."""
    kind = kind_of(request.kind)
    for role in request.columns:
        if role not in kind.roles:
            used = ", ".join(f"--{name}-column" for name in kind.roles)
            raise ChartError(f"{kind.name} has no {role} column; it takes {used}")
    chosen = {role: find(name, source.frame.columns) for role, name in request.columns.items()}
    parameters, metrics = _known(source)
    if kind.of_goals:
        metrics.sort(key=lambda name: name not in request.goals)
    for role in kind.roles:
        if role in chosen or role in ("hue", "style"):
            continue
        name = kind.column(role, chosen, source.frame, parameters, metrics)
        if name is not None:
            chosen[role] = name
        elif role not in kind.optional:
            if role in kind.missing:
                raise ChartError(kind.missing[role])
            have = ", ".join(source.frame.columns[:12]) or "none"
            raise ChartError(f"{kind.name} needs --{role}-column; the columns are {have}")
    if kind.hues != "none" and not {"x", "hue", "style"} & request.columns.keys():
        free = [name for name in parameters if name not in chosen.values()]
        texts = [name for name in free if is_category(source.frame[name])]
        hue = telling(source.frame, free if kind.hues == "any" else texts, chosen.get("y"))
        hue = hue or fewest(source.frame, texts)
        if hue is None and kind.hues == "any":
            hue = fewest(source.frame, free)
        if hue is not None:
            chosen["hue"] = hue
    return chosen


def natural_log(
    kind: ChartKind, columns: Mapping[Role, str], changed: Container[Role], source: Source
) -> frozenset[Literal["x", "y"]]:
    """Return the axes with a parameter that is geometric: by its domain, or because its values span so many sizes that
    most would crowd at one end."""
    axes: tuple[Literal["x", "y"], ...] = ("x", "y")
    found = [axis for axis in axes if axis in kind.log and axis in columns and axis not in changed]
    return frozenset(
        axis
        for axis in found
        if columns[axis] in source.parameters
        and is_geometric(source.frame[columns[axis]], 1 if columns[axis] in source.geometric else SPREAD)
    )


def find(name: str, columns: Sequence[str]) -> str:
    """Return a column by name; `in_NAME` and `out_NAME` also find NAME. Raises ChartError."""
    if name in columns:
        return name
    lower = {column.lower(): column for column in columns}
    for candidate in (name, name.removeprefix("in_"), name.removeprefix("out_"), f"in_{name}", f"out_{name}"):
        if candidate.lower() in lower:
            return lower[candidate.lower()]
    hint = suggest(name, columns) or f"there are {', '.join(columns[:12])}" + (", ..." if len(columns) > 12 else "")
    raise ChartError(f'there is no column "{name}"; {hint}')


def _known(source: Source) -> tuple[list[str], list[str]]:
    """Return parameters and metrics. In rows from elsewhere `in_` and `out_` tell them apart, or else the last number
    is the metric."""
    frame = source.frame
    if source.parameters or source.metrics:
        return list(source.parameters), [m for m in source.metrics if is_number(frame[m])]
    steps = of_steps(frame.columns)
    columns = [name for name in frame.columns if not is_fact(name) and name not in steps]
    if len(columns) < 2 or not any(is_number(frame[name]) for name in columns):
        columns = list(frame.columns)
    metrics = [name for name in columns if name.startswith("out_") and is_number(frame[name])]
    if metrics:
        return [name for name in columns if name.startswith("in_")], metrics
    numbers = [name for name in columns if is_number(frame[name])]
    metrics = numbers[:0:-1] or numbers
    return [name for name in columns if name not in metrics[:1]], metrics
