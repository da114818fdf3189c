"""Which columns a chart shows: those asked for, and the natural ones of an experiment for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.charts.model import USED, ChartError, Kind, Request, Role, Source
from tui_lab.results.facts import is_fact


def choose(request: Request, source: Source) -> dict[Role, str]:
    """The column of each role: those asked for, and the natural ones for the rest. Raises ChartError."""
    kind = request.kind
    for role in request.columns:
        if role not in USED[kind]:
            used = ", ".join(f"--{name}-column" for name in USED[kind])
            raise ChartError(f"{kind} has no {role} column; it takes {used}")
    chosen = {role: find(name, source.frame.columns) for role, name in request.columns.items()}
    parameters, metrics = _known(source)
    needed: tuple[Role, ...] = tuple(r for r in USED[kind] if r not in ("hue", "style"))
    for role in needed:
        if role not in chosen:
            name = _DEFAULTS[kind](role, chosen, source.frame, parameters, metrics)
            if name is not None:
                chosen[role] = name
            elif not (kind == "box" and role == "x"):
                if kind == "steps" and role == "y":
                    raise ChartError("there are no values by step: a metric with `take: all` makes them, and so do "
                        "lines such as {\"step\": 3, \"loss\": 0.2} in $TUI_LAB_METRICS")  # fmt: skip
                have = ", ".join(source.frame.columns[:12]) or "none"
                raise ChartError(f"{kind} needs --{role}-column; the columns are {have}")
    if kind in ("lines", "steps", "categories", "box") and not {"x", "hue", "style"} & request.columns.keys():
        hue = _fewest(source.frame, [p for p in parameters if p not in chosen.values()], _is_category)
        if hue is None and kind == "steps":
            hue = _fewest(source.frame, [p for p in parameters if p not in chosen.values()])
        if hue is not None:
            chosen["hue"] = hue
    return chosen


def find(name: str, columns: Sequence[str]) -> str:
    """The column that is meant; `in_NAME` and `out_NAME` also find NAME. Raises ChartError."""
    if name in columns:
        return name
    lower = {column.lower(): column for column in columns}
    for candidate in (name, name.removeprefix("in_"), name.removeprefix("out_"), f"in_{name}", f"out_{name}"):
        if candidate.lower() in lower:
            return lower[candidate.lower()]
    hint = suggest(name, columns) or f"there are {', '.join(columns[:12])}" + (", ..." if len(columns) > 12 else "")
    raise ChartError(f'there is no column "{name}"; {hint}')


def _known(source: Source) -> tuple[list[str], list[str]]:
    """Parameters and metrics; of foreign rows `in_` and `out_` tell, or else the last number is the
    metric."""
    frame = source.frame
    if source.parameters or source.metrics:
        return list(source.parameters), [m for m in source.metrics if is_number(frame[m])]
    columns = [name for name in frame.columns if not is_fact(name)]
    if len(columns) < 2 or not any(is_number(frame[name]) for name in columns):
        columns = list(frame.columns)
    metrics = [name for name in columns if name.startswith("out_") and is_number(frame[name])]
    if metrics:
        return [name for name in columns if name.startswith("in_")], metrics
    numbers = [name for name in columns if is_number(frame[name])]
    metrics = numbers[:0:-1] or numbers
    return [name for name in columns if name not in metrics[:1]], metrics


def is_number(series: pl.Series) -> bool:
    """Return whether a column can be an axis of numbers."""
    return series.dtype.is_numeric() or series.dtype == pl.Duration


def _is_axis(series: pl.Series) -> bool:
    """Values with distances between them."""
    return is_number(series) or series.dtype.is_temporal()


def _is_category(series: pl.Series) -> bool:
    return not _is_axis(series)


def _fewest(
    frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool] = lambda _: True
) -> str | None:
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    counts = {name: count for name, count in counts.items() if count > 1}
    return min(counts, key=lambda name: counts[name]) if counts else None


def _most(frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool]) -> str | None:
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    return max(counts, key=lambda name: counts[name]) if counts else None


Default = Callable[[Role, dict[Role, str], pl.DataFrame, list[str], list[str]], str | None]


def _first_free(names: Sequence[str], chosen: dict[Role, str]) -> str | None:
    return next((name for name in names if name not in chosen.values()), None)


def _of_lines(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "y":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return _most(frame, free, _is_axis) or _most(frame, free, lambda _: True)


def _of_steps(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "x" and "step" in frame.columns:
        return "step"
    return _of_lines(role, chosen, frame, parameters, metrics)


def _of_categories(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "y":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return _most(frame, free, _is_category) or _fewest(frame, free) or _most(frame, free, lambda _: True)


def _of_heatmap(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    if role == "z":
        return _first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    if role == "x":
        return _most(frame, free, _is_axis) or _most(frame, free, lambda _: True)
    return _most(frame, free, _is_category) or _most(frame, free, lambda _: True)


def _of_metrics(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    return _first_free(metrics, chosen)


_DEFAULTS: Final[dict[Kind, Default]] = {
    "lines": _of_lines,
    "scatter": _of_lines,
    "steps": _of_steps,
    "categories": _of_categories,
    "box": _of_categories,
    "heatmap": _of_heatmap,
    "hist": _of_metrics,
    "pareto": _of_metrics,
}
