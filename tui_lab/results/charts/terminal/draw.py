"""A chart as lines of text: a field drawn on a canvas, with axes, labels and a legend in words around it.

Everything fits the width that is given, by the cells that a terminal needs for each character. Without
colour, and with ASCII alone, the series differ by their marks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Final

from rich.cells import cell_len, set_cell_size

from tui_lab.results.charts.model import Axis, Chart, named
from tui_lab.results.charts.terminal import marks
from tui_lab.results.charts.terminal.canvas import Canvas, Run
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.charts.ticks import Scale, texts, ticks, unsaid
from tui_lab.results.terminal.guard import neutral

LEAST: Final = (20, 5)
"""Columns and lines below which nothing is drawn."""
MOST_LABELS: Final = 24
"""Columns for the texts of the y axis."""
LEGEND_LINES: Final = 3
ROOMY: Final = 16
"""Lines of a chart that has room for a second line of its caption."""


@dataclass(frozen=True)
class Drawn:
    """A chart in cells, and where its field is in them."""

    lines: list[list[Run]]
    plan: marks.Plan
    left: int
    top: int
    width: int
    height: int


def draw(chart: Chart, width: int, height: int, look: Look) -> str:
    """The lines of a chart, at most `width` cells wide and `height` lines high, without a newline at the
    end."""
    lines = drawn(chart, width, height, look).lines
    return "\n".join("".join(run.escaped() for run in _trimmed(line)) for line in lines)


def _trimmed(line: list[Run]) -> list[Run]:
    """Without blanks at the end."""
    if line and line[-1].ground is None:
        line = [*line[:-1], replace(line[-1], text=line[-1].text.rstrip())]
    return [run for run in line if run.text]


def drawn(chart: Chart, width: int, height: int, look: Look, bare: bool = False) -> Drawn:
    """A chart, at most `width` cells wide and `height` lines high. bare: without names and legend."""
    width, height = max(width, LEAST[0]), max(height, LEAST[1])
    below = [] if bare else _below(chart, width, look, height)
    above = [] if bare else _above(chart, width, height)
    field_height = max(2, height - len(above) - len(below) - 2)
    plan = marks.plan(chart, field_height)
    y_marks = _y_marks(chart.y, plan, field_height)
    whole = chart.y.kind != "category" or chart.y.numbers  # of a number no part may be missing
    room = width - 8 if whole else min(MOST_LABELS, width // 3)
    gutter = min(max((cell_len(text) for _, text in y_marks), default=0), room)
    field_width = max(4, width - gutter - 2)
    canvas = Canvas(field_width, field_height, look.ascii, look.ground)
    chart.kind.draw(marks.Field(chart, canvas, plan, look))
    labels = {round(row): text for row, text in y_marks}
    lines = [[Run(line)] for line in above]
    for number_, row in enumerate(canvas.rows()):
        label = labels.get(field_height - 1 - number_)
        edge = look("│", "|") if label is None else look("┤", "+")
        if number_ == field_height - 1 and marks.is_broken(chart, plan):
            edge = look("≈", "~")
        lines.append([Run(f"{_right(label or '', gutter, look)}{edge}"), *row])
    if chart.annotate and not marks.numbers_fit(chart, field_width, field_height) and below and height >= 10:
        words = [chart.caption, "no room for the numbers here; --table prints them"]
        below[-1] = [Run(_cut("; ".join(filter(None, words)), width, look))]
    lines += [[Run(" " * gutter + line)] for line in _x_axis(chart.x, plan, field_width, look)]
    return Drawn([*lines, *below], plan, gutter + 1, len(above), field_width, field_height)


# --- Axes


def _y_marks(axis: Axis, plan: marks.Plan, height: int) -> list[tuple[float, str]]:
    """Rows (0 is the lowest) with a text, each row once."""
    found: dict[int, str] = {}
    for value, text in ticks(axis, plan.y, max(2, height // 3)):
        place = plan.y_place(value) * height
        row = min(int(place), height - 1)
        if -1e-6 <= place <= height + 1e-6 and row not in found:
            found[row] = _visible(text)
    return [(float(row), text) for row, text in found.items()]


def _x_axis(axis: Axis, plan: marks.Plan, width: int, look: Look) -> list[str]:
    """The line of the axis with its marks, their texts, and below them what the axis shows."""
    placed: list[tuple[int, int, str]] = []
    free = -1
    slot = width / max(1, len(axis.categories))
    for value, text in ticks(axis, plan.x, max(2, width // 10)):
        place = plan.x_place(value) * width
        if not -1e-6 <= place <= width + 1e-6:
            continue
        column = min(int(place), width - 1)
        text = _visible(text)
        if axis.kind == "category" and not axis.numbers and slot >= 5:
            text = _cut(text, int(slot) - 1, look)
        wide = cell_len(text)
        start = max(0, min(column - (wide - 1) // 2, width + 1 - wide))
        if start > free:
            placed.append((column, start, text))
            free = start + wide
    edge = [look("─", "-")] * width
    texts = ""
    for column, start, text in placed:
        edge[column] = look("┬", "+")
        texts += " " * (start - cell_len(texts)) + text
    lines = [look("└", "+") + "".join(edge), " " + texts]
    return [line.rstrip() for line in lines]


# --- Words


def _above(chart: Chart, width: int, height: int) -> list[str]:
    lines = []
    if chart.title:
        title = _cut(_visible(chart.title), width, None)
        lines.append((" " * ((width - cell_len(title)) // 2) + title).rstrip())
    if chart.y.label and height >= 8:
        lines.append(_cut(_visible(chart.y.label) + _aside(chart.y, marks.plan(chart, height).y, height), width, None))
    return lines


def _aside(axis: Axis, on: Scale, cells: int) -> str:
    """Return what belongs to the label of an axis, because its marks leave it out."""
    said = [*(["log"] if axis.log else []), unsaid(axis, on, max(2, cells // 10))]
    return f" ({', '.join(filter(None, said))})" if any(said) else ""


def _below(chart: Chart, width: int, look: Look, height: int) -> list[list[Run]]:
    lines = []
    if chart.x.label:
        label = _cut(_visible(chart.x.label) + _aside(chart.x, marks.plan(chart, 10).x, width), width, look)
        lines.append([Run((" " * ((width - cell_len(label)) // 2) + label).rstrip())])
    if height >= 10:
        if chart.z is not None:
            lines.append(_z_scale(chart, width, look))
        if len(named(chart)) > 1 or chart.legend:
            lines += _legend(chart, width, look)
        if chart.caption or chart.annotate:
            caption = _visible(chart.caption.replace("²", "^2") if look.ascii else chart.caption)
            first, *rest = [caption] if chart.annotate or height < ROOMY else wrap(caption, width) or [caption]
            parts = [first, " ".join(rest)] if rest else [first]
            lines += [[Run(_cut(part, width, look))] for part in parts]
    return lines


def _legend(chart: Chart, width: int, look: Look) -> list[list[Run]]:
    """The names of the series after their marks, wrapped."""
    words = [[Run(f"{_visible(chart.legend)}:")]] if chart.legend else []
    for series in named(chart):
        name = _cut(_visible(series.name), width - 3, look)
        mark = Run(marks.legend_mark(chart, series, look), marks.legend_tint(chart, series, look))
        words.append([mark, Run(" "), Run(name, series=series.name)])
    lines: list[list[Run]] = []
    line, used, left = list[Run](), 0, len(words)
    for runs in words:
        wide = sum(cell_len(run.text) for run in runs) + (2 if used else 0)
        if used + wide > width:
            if len(lines) == LEGEND_LINES - 1:
                break
            lines.append(line)
            line, used, wide = [], 0, wide - 2
        line = [*line, *([Run("  ")] if used else []), *runs]
        used += wide
        left -= 1
    lines.append(line)
    if left:
        lines.append([Run(f"and {left} more")])
    return lines


def _z_scale(chart: Chart, width: int, look: Look) -> list[Run]:
    """Return what the shades of the cells mean."""
    assert chart.z is not None and chart.z.range is not None
    ramp = look.ramp()
    if chart.fitted is not None and isinstance(ramp[0], str):  # its cells have no shades then
        ends = " to ".join(texts(chart.z, chart.z.range))
        return [Run(_cut(f"{_visible(chart.z.label)} from {ends}, lines of equal values", width, look))]
    cells = [Run(" ", None, shade) if isinstance(shade, int) else Run(shade) for shade in ramp]
    low, high = texts(chart.z, chart.z.range)
    room = width - len(ramp) - len(low) - len(high) - 3
    return [Run(f"{_cut(_visible(chart.z.label), max(room, 1), look)} {low} "), *cells, Run(f" {high}")]


def _visible(text: str) -> str:
    """Return one line without control characters."""
    return neutral(text).replace("\n", "\\n").replace("\t", "\\t")


def _cut(text: str, width: int, look: Look | None) -> str:
    if cell_len(text) <= width:
        return text
    mark = "~" if look is not None and look.ascii else "…"
    return set_cell_size(text, max(width - 1, 0)).rstrip() + mark


def _right(text: str, width: int, look: Look) -> str:
    text = _cut(text, width, look)
    return " " * (width - cell_len(text)) + text
