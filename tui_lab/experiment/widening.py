"""More values for a parameter that has one: its neighbours, so that a single run becomes a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tui_lab.experiment.yaml.document import Document, Node
from tui_lab.experiment.yaml.edit import Edit
from tui_lab.experiment.yaml.parser import parse, resolve

DECADE: Final = 10
"""Between neighbours of a number such as 0.1 or 0.0003, which is chosen by its power of ten."""
_DIGITS: Final = 12  # of a neighbour: 0.1 * 3 is 0.3


@dataclass(frozen=True)
class Widening:
    """What can be written in place of a parameter's values."""

    name: str
    values: str
    """As the file has them afterwards, such as `[0.01, 0.1, 1.0]`."""
    edit: Edit
    lines: tuple[int, int]
    """The first and the last line of its entry, from 0."""
    single: bool
    """Whether the parameter has one value so far."""


def widenings(text: str, file: str) -> tuple[Widening, ...]:
    """Return what could be written for each parameter of a text whose values have neighbours, in the order of the file.

    Raises SpecError where the text can't be read.
    """
    document = parse(text, file)
    return tuple(found for key, value in _parameters(document) if (found := _widened(document, key, value)) is not None)


def first_value(text: str, file: str) -> tuple[int, int] | None:
    """Return line and column, from 0, of the first value that has neighbours; of the first value where none has."""
    document = parse(text, file)
    places = [value.items[0].start if value.items else value.start for _, value in _parameters(document)]
    known = [found.edit for found in widenings(text, file)]
    for start in places:
        if not known or known[0].start <= start < known[0].end:
            line, column = document.text.place(start)
            return line - 1, column - 1
    return None


def _parameters(document: Document) -> Iterator[tuple[Node, Node]]:
    swept = document.node(("parameters",))
    for mapping in () if swept is None else swept.items if swept.kind == "list" else (swept,):
        for key, value in mapping.entries.values():
            if value.start >= key.start:  # else it is an alias
                yield key, value


def _widened(document: Document, key: Node, value: Node) -> Widening | None:
    items = value.items if value.kind == "list" else [value]
    source = document.text.source
    plain = all(item.kind == "scalar" and item.style is None and source.startswith(item.text, item.start)
                for item in items)  # fmt: skip
    before, behind = neighbours([item.value for item in items]) if plain else ((), ())
    if not before and not behind:
        return None
    start, end = value.start, value.start + len(source[value.start : value.end].rstrip())
    if "#" in source[start:end] or (value.kind == "list" and source[start : start + 1] != "["):
        return None  # what is said of each value would be lost
    own = [item.text for item in items]
    values = f"[{', '.join([*map(_number, before), *own, *map(_number, behind)])}]"
    first, last = document.text.place(key.start)[0] - 1, document.text.place(end - 1)[0] - 1
    return Widening(key.text, values, Edit(start, end, values), (first, last), len(items) == 1)


Number = int | float


def neighbours(values: Sequence[object]) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Return numbers below and above some values, of their type; none of what has no neighbours, as words have none."""
    if not values or not all(type(one) is int or type(one) is float for one in values):
        return (), ()
    numbers: list[Number] = [one for one in values if isinstance(one, int | float)]
    if len({type(one) for one in numbers}) > 1 or not all(abs(one) < 1e100 for one in numbers):
        return (), ()
    if len(numbers) == 1:
        return _around(numbers[0])
    ratio = numbers[1] / numbers[0] if numbers[0] else 0.0
    pairs = pairwise(numbers)
    if numbers[0] <= 0 or ratio <= 1 or not all(abs(b / a / ratio - 1) < 1e-6 for a, b in pairs):
        return (), ()
    low, high = numbers[0] / ratio, numbers[-1] * ratio
    if isinstance(numbers[0], int):
        return ((round(low),) if low == round(low) else ()), ((round(high),) if high == round(high) else ())
    return (_rounded(low),), (_rounded(high),)


def _around(value: Number) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    if value < 0:
        below, above = _around(-value)
        return tuple(-one for one in reversed(above)), tuple(-one for one in reversed(below))
    if isinstance(value, int):
        if not value:
            return (), (1, 2)
        return ((value // 2,), (value * 2,)) if value % 2 == 0 else ((), (value * 2, value * 4))
    if not value:
        return (), (0.01, 0.1)
    if 0.1 < value < 1:  # a share: its neighbours are, too
        return (_rounded(value / 2),), (_rounded((1 + value) / 2),)
    if value < 0.1 or _is_power(value):
        return (_rounded(value / DECADE),), (_rounded(value * DECADE),)
    return (_rounded(value / 2),), (_rounded(value * 2),)


def _is_power(value: float) -> bool:
    return f"{value:.{_DIGITS}e}".partition("e")[0].rstrip("0") == "1."


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _number(value: Number) -> str:
    """A number as YAML reads it again, with its type."""
    text = repr(value)
    return text if type(resolve(text)) is type(value) else f"{value:.{_DIGITS}e}"
