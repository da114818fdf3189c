"""What some tasks differ in: their parameters, their values, their curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from textual.content import Content

from tui_lab.client.formatting import span
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.facts import FACTS
from tui_lab.results.plain import shown
from tui_lab.results.statistics.text import apart
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.selection import Chosen
from tui_lab.tui.charts.source import TASK, read
from tui_lab.tui.comparing.model import LETTERS, Compared, Paint, Subject, curves, table, with_steps
from tui_lab.tui.tasks.detail import read_detail
from tui_lab.tui.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.widgets.table.cells import visible

_WIDEST: Final = 24
"""Cells of a value."""
_SINGLE: Final = "one value each (n = 1): the differences have no interval, and allow no test"


@dataclass(frozen=True)
class ComparedTasks(Subject):
    """Some tasks of an experiment."""

    source: TaskSource
    tasks: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of tasks."""
        return len(self.tasks)

    def compare(self, lab: Lab, metric: str | None, paint: Paint) -> Compared:
        """Compare them. metric: by default the one that leads. Blocks. Raises LabError, SpecError, OSError."""
        now, name = self.source.read(), self.source.folder.name
        found = {row["task_id"]: row for row in now.frame.filter(pl.col("task_id").is_in(self.tasks)).to_dicts()}
        rows = [found.get(task, {}) for task in self.tasks]
        drawn = read(ExperimentFolder(self.source.folder.path), "steps", Chosen(name, "", pl.Series(self.tasks))).source
        names = [f"{letter} {task}" for letter, task in zip(LETTERS, self.tasks, strict=False)]
        by_step = with_steps(drawn, drawn.frame)
        metrics = tuple(by_step) or now.metrics
        chosen = metric if metric in metrics else next(iter(metrics), "")
        # The names are those that the Chart pane gives these tasks: so they have its colours.
        said = dict(drawn.frame.select("task_id", TASK).unique().rows()) if TASK in drawn.frame.columns else {}
        colors = paint.palette.indices(name, TASK, [said.get(task, str(task)) for task in self.tasks])
        styles = tuple(map(paint.style, colors))
        chart = curves(drawn, dict(zip(self.tasks, names, strict=True)), chosen, dict(zip(names, colors, strict=True)))
        return Compared(
            metrics,
            chosen,
            _parameters(now, rows, names, styles),
            _values((*now.metrics, *by_step), _with_last(drawn.frame, rows, by_step), names, chosen),
            Content.styled(_SINGLE, MUTED),
            chart,
            tuple(read_detail(self.source, task) for task in self.tasks),
            styles,
        )


def _parameters(now: TaskTable, rows: Sequence[Row], names: Sequence[str], styles: Sequence[str]) -> Content:
    """Return a table of the parameters and facts that are not all equal, a row for each task."""
    columns = [[" ", *names]]
    for name in dict.fromkeys((*now.parameters, *(fact.name for fact in FACTS.values() if fact.compared))):
        values = [_text(row.get(name)) for row in rows]
        if len(set(values)) > 1:
            columns.append([visible(name, _WIDEST), *values])
    return table(columns, styles)


def _text(value: Any) -> str:
    return visible("null" if value is None else shown(value), _WIDEST)


def _with_last(steps: pl.DataFrame, rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Return the rows with the last values of metrics by step that have no other value."""
    if not names:
        return list(rows)
    last = steps.group_by("task_id").agg(pl.col(names).drop_nulls().last())
    found = {row["task_id"]: row for row in last.to_dicts()}
    return [{**found.get(row.get("task_id"), {}), **row} for row in rows]


def _values(metrics: Sequence[str], rows: Sequence[Row], names: Sequence[str], chosen: str) -> Content:
    """Return a table of the values, a line for each metric, with the differences from the first task."""
    wanted = dict.fromkeys(metrics)
    lines = [["", *_beside(list(names), [f"{name[0]} - {names[0][0]}" for name in names[1:]])]]
    for name in wanted:
        values = [row.get(name) for row in rows]
        numbers = [float(one) if isinstance(one, int | float) and not isinstance(one, bool) else None for one in values]
        known = [one for one in numbers if one is not None and math.isfinite(one)]
        told = iter(apart(known))
        texts = [
            next(told) if one is not None and math.isfinite(one) else "" if value is None else _text(value)
            for value, one in zip(values, numbers, strict=True)
        ]
        lines.append([visible(name, _WIDEST), *_beside(texts, _differences(numbers, texts))])
    durations = [row.get("duration") for row in rows]
    lines.append(["duration", *_beside(["" if one is None else span(one) for one in durations], [""] * len(names[1:]))])
    first, *others = zip(*lines, strict=True)
    columns = [list(first), *(_right(column) for column in others)]
    return table(columns, ["bold" if name == chosen else "" for name in (*wanted, "duration")])


def _beside(values: Sequence[str], differences: Sequence[str]) -> list[str]:
    return [values[0], *(one for pair in zip(values[1:], differences, strict=True) for one in pair)]


def _differences(numbers: Sequence[float | None], texts: Sequence[str]) -> list[str]:
    """Return the differences from the first, with the decimals of the values, or with four digits where these say
    nothing."""
    first = numbers[0]
    if first is None:
        return [""] * len(numbers[1:])
    plain = [text for text in texts if text and not set(text) & set("eE")]
    places = max((len(text.partition(".")[2]) for text in plain), default=0)
    found = []
    for one in numbers[1:]:
        difference = math.nan if one is None else one - first
        exact = len(plain) < len(texts) or (difference and not round(difference, places))
        said = f"{difference:+z.4g}" if exact else f"{difference:+z.{places}f}"
        found.append(said if math.isfinite(difference) else "")
    return found


def _right(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    return [text.rjust(width) for text in column]
