"""How the columns of the task table look."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from tui_lab.client.formatting import fact_format
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.facts import FACTS
from tui_lab.tui.base.formatting import bar, mark, span_words
from tui_lab.tui.tasks.live import LEFT, NUMBER, SHARE, TREND, TREND_WIDTH, VALUE
from tui_lab.tui.widgets.table.cells import Column, Drawing, visible

TONES: Final = {
    "done": "success",
    "failed": "error",
    "running": "primary",
    "pending": "muted",
    "stopped": "warning",
    "lost": "accent",
}
MEAN_DURATION: Final = "mean duration"
"""A column of the groups."""


_LIVE: Final = {VALUE: "live", SHARE: "progress", LEFT: "left"}
_VALUE: Final = 9  # cells
_BAR: Final = 6
_LEFT: Final = 10


def title(name: str) -> str:
    """Return the heading of a fact's or a live column; empty where it is its name."""
    return FACTS[name].title if name in FACTS else _LIVE.get(name, "")


def columns(
    names: Sequence[str],
    facts: Collection[str],
    ascii_only: bool,
    live: Collection[str] = (),
    metric: str | None = None,
) -> list[Column]:
    """Return the columns of these names. Those in `facts` are formatted as facts, those in `live` as what tasks say
    that run (`metric` is the one that they show); the others may hold anything."""

    def state(value: Any) -> str:
        return f"{mark(value, ascii_only)} {value}"

    found = []
    for name in names:
        if name in live:
            if metric or name != VALUE:  # as long as no task has said anything, there is nothing to be seen
                found.append(_live_column(name, metric or "", ascii_only))
            continue
        fact = FACTS["duration" if name == MEAN_DURATION else name] if name in facts else None
        if fact is None:
            found.append(Column(name))
            continue
        if name == "planned":  # seldom false: only that is worth a word
            found.append(Column(name, format=lambda value: "" if value else "no", style=lambda _: "muted"))
            continue
        shown = state if name == "state" else None if fact.unit is None and fact.type != "time" else fact_format(fact)
        tone = TONES.get if name == "state" else (lambda _: "error") if name == "reason" else None
        align = "right" if fact.unit is not None else None
        found.append(Column(name, title(name), align, shown, None, tone))  # type: ignore[arg-type]
    return found


def _live_column(name: str, metric: str, ascii_only: bool) -> Column:
    """Return a column that is empty in the rows of tasks that don't run."""
    if name == VALUE:
        head = visible(f"{metric} now", _VALUE + TREND_WIDTH)

        def value(row: Row, width: int) -> Drawing:
            text = row.get(NUMBER)
            if text is None:
                return ()
            text = text if len(text) <= _VALUE else f"{row[VALUE]:.1e}"
            return (f"{text:>{_VALUE}} ", ""), (row.get(TREND) or "", "primary")

        width = _VALUE + 1 + TREND_WIDTH
        return Column(name, head, "right", width=width, draw=value, head=lambda _: ((f"{head:>{_VALUE}}", ""),))
    if name == SHARE:

        def progress(row: Row, width: int) -> Drawing:
            share = row.get(SHARE)
            if share is None:
                return ()
            (full, _), *empty = [*bar(_BAR, [(share, "")], 1.0, ascii_only), ("", "")]
            rest = "".join(text for text, _ in empty)
            full, rest = (full, rest) if share else ("", full)
            return (full, "primary"), (rest, "muted"), (f" {int(100 * share):>2}%", "")

        return Column(name, _LIVE[name], "left", width=_BAR + 4, draw=progress)

    def left(row: Row, width: int) -> Drawing:
        return () if row.get(LEFT) is None else ((f"{_short_span(row[LEFT]):>{width}}", ""),)

    return Column(name, _LIVE[name], "right", width=_LEFT, draw=left)


def _short_span(seconds: float) -> str:
    """Return a length of time without the seconds of many minutes."""
    return span_words(seconds if seconds < 600 else 60 * round(seconds / 60))
