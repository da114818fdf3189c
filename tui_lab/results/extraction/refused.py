"""Messages for texts that could not be read as a value."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.metric import Metric
from tui_lab.results.extraction.numbers import Notation, is_unrepresentable, number
from tui_lab.results.extraction.units import quantity
from tui_lab.results.terminal.guard import replaced


def refused(text: str, metric: Metric, wanted: ColumnType) -> str:
    """Return the message: the text, what it is not, and how to read it."""
    kind = {"float": "a number", "int": "an integer", "bool": "true or false"}.get(wanted, "a value")
    unit = f" in {metric.unit}" if metric.unit else ""
    advice = how_to_read(text, metric.unit, metric.source.search is not None and wanted in ("float", "int"))
    return f'"{cut(text)}", not {kind}{unit}{": " if advice else ""}{advice}'


def how_to_read(text: str, unit: str | None, shorthand: bool) -> str:
    """Return what to write so that a refused number is read; empty where that is unknown. shorthand: it was found by
    one, and another may read it."""
    text = text.strip()
    if number(text) is not None:
        return "@float@ reads it" if shorthand else ""
    if quantity(text) is not None:
        return "@quantity@ reads it" if shorthand and quantity(text, None, unit) is not None else ""
    if is_unrepresentable(text):
        return "no float holds it"
    for marks, written in _NOTATIONS:
        if number(text, marks) is not None or quantity(text, None, unit, marks) is not None:
            return f"write {written}"
    return ""


_NOTATIONS: Final = (
    (Notation(".", ","), 'thousands: ","'),
    (Notation(",", ""), 'decimal: ","'),
    (Notation(",", "."), 'decimal: ",", thousands: "."'),
    (Notation(".", " "), 'thousands: " "'),
    (Notation(",", " "), 'decimal: ",", thousands: " "'),
    (Notation(".", "'"), 'thousands: "\'"'),
    (Notation(".", "_"), "thousands: _"),
)


def cut(text: str, most: int = 80) -> str:
    """Return a text for a message: without control characters, and not longer than `most`."""
    text = replaced(text.strip())
    return text if len(text) <= most else text[: most - 3] + "..."
