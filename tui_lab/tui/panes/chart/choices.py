"""The choices of the Chart pane, and the line that shows them."""

from __future__ import annotations

import math
from typing import Final, Literal

import polars as pl
from textual.content import Content

from tui_lab.client.formatting import plural
from tui_lab.results.charts.model import Aggregate, Chart, Error, Request, Role, Source
from tui_lab.results.charts.natural import is_number
from tui_lab.results.charts.registry import kind_of
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.verdict import Verdict
from tui_lab.tui.charts.source import TASK
from tui_lab.tui.widgets.choice import Item

AGGREGATES: Final[dict[Aggregate, str]] = {
    "mean": "average",
    "median": "middle value",
    "min": "least",
    "max": "greatest",
    "sum": "sum",
    "std": "standard deviation",
    "count": "how many",
    "product": "product",
}
ERRORS: Final[dict[Error, str]] = {
    "ci": "95 % confidence interval",
    "sd": "standard deviation",
    "se": "standard error",
    "pi": "range of 95 % of the values",
    "none": "none",
}
LOGS: Final[dict[str, tuple[str, frozenset[Literal["x", "y"]] | None]]] = {
    "auto": ("automatic: where a parameter is geometric", None),
    "": ("none", frozenset()),
    "x": ("x", frozenset(("x",))),
    "y": ("y", frozenset(("y",))),
    "xy": ("x and y", frozenset(("x", "y"))),
}
SMOOTHING: Final = (0.5, 0.8, 0.9, 0.95)
NONE: Final = "\0none"
"""The item that stands for no column."""
COLUMN_ERROR: Final = "\0column "
"""Before the name of a column that holds half the width of each interval."""

WIDEST: Final = 18
"""Cells of a column's name in the line."""
_ROLES: Final[dict[Role, str]] = {"x": "", "y": "", "z": "", "hue": "hue"}


def log_words(request: Request, chart: Chart | None) -> str:
    """Return which axes are logarithmic."""
    axes = request.log or frozenset()
    if request.log is None and chart is not None:
        axes = frozenset(axis for axis in ("x", "y") if getattr(chart, axis).log)
    return " ".join(sorted(axes)) or "-"


def choices_line(request: Request, log: str, errors: str | None, ascii: bool, width: int = 0) -> Content:
    """Return what is drawn, each choice behind its key. log: the logarithmic axes. width: of a line; 0 for one."""
    found: list[tuple[str, str, str]] = [("k", "", request.kind)]
    kind = kind_of(request.kind)
    for role, name in _ROLES.items():
        if role in kind.roles:
            found.append((role[0], name, request.columns.get(role, "-")))
    if kind.aggregated:
        found.append(("m", "", request.aggregate))
    if kind.errors:
        found.append(("e", "error", errors or request.error))
    found.append(("l", "log", log))
    if kind.cut:
        found.append(("b", "from", "fit" if request.fit else "0"))
    if kind.of_steps:
        found.append(("s", "smooth", f"{request.smooth:g}" if request.smooth else "-"))
    lines: list[list[Content]] = [[]]
    for key, name, value in found:
        cut = value if len(value) <= WIDEST else value[: WIDEST - 1] + ("~" if ascii else "…")
        one = Content.assemble((key, "bold $text-accent"), (f" {name} " if name else " ", MUTED), (cut, "bold"))
        if width and sum(part.cell_length + 2 for part in lines[-1]) + one.cell_length > width:
            lines.append([])
        lines[-1].append(one)
    return Content("\n").join(Content("  ").join(line) for line in lines)


def range_of(text: str) -> tuple[float, float] | None:
    """Return two numbers; None for all values. Raises ValueError."""
    words = text.replace(",", " ").split()
    if not words:
        return None
    low, high = (float(word) for word in words)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(text)
    return low, high


def range_verdict(text: str) -> Verdict:
    """Return what a range will do."""
    try:
        return Verdict(True, "all values" if range_of(text) is None else "")
    except ValueError:
        return Verdict(False, "two numbers, the lower one first; empty: all values")


def column_items(source: Source, role: Role) -> list[Item]:
    """Return the columns as choices; for the hue, none is a choice, too."""
    items = [Item(NONE, "(none)", "one series")] if role == "hue" else []
    names = sorted(source.frame.columns, key=lambda name: role == "hue" and name != TASK)
    return [*items, *(Item(name, name, _about(source, name)) for name in names)]


def source_items(current: str | None, answer: str | None) -> list[Item]:
    """Return what can be drawn: of the current experiment, and the answer of a query by its title."""
    items = []
    if current is not None:
        items.append(Item("steps", f"steps of {current}", "values by step, also during a run"))
        items.append(Item("results", f"results of {current}", "its done tasks"))
    return [*items, *([Item("given", "answer of a query", answer)] if answer is not None else [])]


def error_items(column: str | None) -> list[Item]:
    """Return the choices of errors. column: one that holds the errors, which is a choice as well."""
    items = [Item(name, name, about) for name, about in ERRORS.items()]
    if column is not None:
        items.insert(0, Item(COLUMN_ERROR + column, column, "the column, on both sides"))
    return items


def _about(source: Source, name: str) -> str:
    series = source.frame[name]
    if name == TASK:
        return "a curve for each task"
    if series.dtype.is_nested() or series.dtype == pl.Object:
        return "list"
    kind = "number" if is_number(series) else "time" if series.dtype.is_temporal() else "text"
    kind = "yes or no" if series.dtype == pl.Boolean else kind
    what = "parameter" if name in source.parameters else "metric" if name in source.metrics else ""
    return f"{what} {kind}, {plural(series.n_unique(), 'value')}".strip()
