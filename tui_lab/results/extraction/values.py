"""From texts to typed values, and from many values to the one of a metric.

Types of a metric's column. `count` is an integer; `mean`, `median` and `sd` are floats; else a `type` in the
file decides; `@float@` and `@quantity@` are floats, `@int@` an integer; any other pattern is text, but a float
under `sum`, `min` and `max`. JSON and CSV columns without a `type` take theirs from all their values: see
`tui_lab.results.extraction.columns`.

How values are taken. `count` counts matches and is 0 without any; every other is null without any. `all` is
the last here, and every value is in the table of steps. `min` and `max` leave NaN out unless there is nothing
else; `mean`, `median`, `sd` and `sum` are NaN where a value is, so that a run that diverged shows. Sums are exact and
rounded once; `sd` divides by n - 1, and is null of a single value. What cannot be read as the type is null, and so are
all but `last`, `first`, `count` and `all` where one of their values is: they can't be known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import orjson

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.metric import Take
from tui_lab.experiment.patterns.shorthands import Kind
from tui_lab.results.extraction.numbers import (
    USUAL,
    Notation,
    Unrepresentable,
    as_float,
    digits_to_int,
    int_to_float,
    to_float,
    to_int,
)
from tui_lab.results.extraction.units import quantity
from tui_lab.results.numeric.exact import moments
from tui_lab.results.numeric.quantile import quantile

Scalar: TypeAlias = float | int | str | bool
Convert: TypeAlias = Callable[[str], Scalar | None]

TRUE: Final = frozenset(("true", "yes", "on", "1", "t", "y"))
FALSE: Final = frozenset(("false", "no", "off", "0", "f", "n"))


# --- One text


def to_bool(text: str) -> bool | None:
    """Return a word as true or false, None where it means neither."""
    word = text.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def unquoted(text: str) -> str:
    """Without the quotes around it, if both are there."""
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text


def converter(wanted: ColumnType, kind: Kind = "text", unit: str | None = None, notation: Notation = USUAL) -> Convert:
    """The function that reads a text of `kind` as the wanted type; it returns None for what it can't read."""
    if kind == "quantity" and wanted in ("float", "int"):
        if wanted == "float":
            return lambda text: quantity(text, None, unit, notation)
        return lambda text: _whole(quantity(text, None, unit, notation))
    if wanted == "float":
        return to_float if notation is USUAL else lambda text: to_float(text, notation)
    if wanted == "int":
        read = digits_to_int if kind == "int" else to_int
        return read if notation is USUAL else lambda text: read(text, notation)
    if wanted == "bool":
        return to_bool
    return unquoted if kind == "str" else str


def _whole(found: float | None) -> int | None:
    return int(found) if found is not None and found.is_integer() else None


def from_json(value: Value, wanted: ColumnType, unit: str | None = None, notation: Notation = USUAL) -> Scalar | None:
    """A value found in JSON as the wanted type; with `json` as it is, and as JSON text where it is nested."""
    if value is None:
        return None
    if isinstance(value, Unrepresentable):
        return str(value) if wanted == "str" else None
    if isinstance(value, str):
        if wanted == "float" and unit:
            return quantity(value, None, unit, notation)
        return value if wanted in ("json", "str") else converter(wanted, notation=notation)(value)
    if isinstance(value, (dict, list)):
        return Nested(json_text(value)) if wanted in ("json", "str") else None
    if wanted == "json":
        return value
    if wanted == "str":
        return json_text(value)
    if wanted == "bool":
        return value if isinstance(value, bool) else to_bool(json_text(value))
    if wanted == "float":
        return int_to_float(value) if isinstance(value, int) else value
    return int(value) if isinstance(value, int) or value.is_integer() else None


class Nested(str):
    """JSON text of an object or array, as opposed to text that only looks like it."""


def json_text(value: Value) -> str:
    """Compact JSON; NaN and infinities as Python's `json` writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- Many values


def reduce(take: Take, values: Sequence[Scalar | None]) -> Scalar | None:
    """The one value of a metric from all its matches, in order. See the module's text for NaN and null."""
    if take == "count":
        return len(values)
    if not values:
        return None
    if take in ("last", "all"):
        return values[-1]
    if take == "first":
        return values[0]
    numbers = [value for value in values if value is not None and not isinstance(value, str)]
    if len(numbers) < len(values):
        texts = [value for value in values if isinstance(value, str)]
        whole = len(texts) == len(values) and take in ("min", "max")
        return (min if take == "min" else max)(texts) if whole else None
    if take == "min" or take == "max":
        # A comparison with NaN is false, so that NaN would win or lose by its place.
        ordered = [value for value in numbers if value == value] or numbers
        return (min if take == "min" else max)(ordered)
    total = exact_sum(numbers)
    if take == "sum":
        return total
    if take == "mean":
        return mean_of(total, len(numbers))
    floats = [one for value in numbers if (one := int_to_float(value) if isinstance(value, int) else value) is not None]
    if len(floats) < len(numbers):
        return None
    if take == "sd" and len(floats) < 2:
        return None
    if any(math.isnan(value) for value in floats):
        return math.nan
    if take == "median":
        return quantile(sorted(floats), 0.5)
    return moments(floats).sd if all(map(math.isfinite, floats)) else math.nan


def mean_of(total: float | int, count: int) -> float | None:
    """The mean of so many numbers with a sum; None beyond the largest float."""
    try:
        return total / count
    except OverflowError:
        return None


def exact_sum(numbers: Iterable[float]) -> float | int:
    """Without rounding errors but the last; an integer if all are."""
    numbers = list(numbers)
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    floats = [as_float(number) if isinstance(number, int) else number for number in numbers]
    try:
        return math.fsum(floats)
    except (OverflowError, ValueError):  # beyond the largest float, or infinities of both signs
        return sum(floats)
