"""What domains make values of: distinct ones, numbers of one type, and exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from tui_lab.experiment.domains.canonical import canonical, normal
from tui_lab.experiment.domains.model import Number, Value
from tui_lab.experiment.yaml.document import MAX_DIGITS

MAX_VALUES: Final = 10_000_000  # of one domain


def distinct(items: Iterable[Value]) -> list[Value]:
    """Each value once, in order of first appearance; values of another type are other values."""
    first: dict[object, Value] = {}
    for item in items:
        first.setdefault(identity(item), item)
    return [normal(item) for item in first.values()]


_LARGEST: Final = 10**MAX_DIGITS


def wrong_type(value: object) -> str:
    """Return why something can't be the value of a parameter; empty where it can."""
    if isinstance(value, list):
        return next((wrong for item in value if (wrong := wrong_type(item))), "")
    if isinstance(value, dict):
        return next((wrong for pair in value.items() for item in pair if (wrong := wrong_type(item))), "")
    if type(value) is int and not -_LARGEST < value < _LARGEST:
        return f"gives a number with more than {MAX_DIGITS} digits"
    plain = value is None or type(value) in (bool, int, float, str)
    return "" if plain else f"gives a value of type {type(value).__name__}"


def identity(value: Value) -> object:
    """Something hashable that is equal for equal values of the same type only."""
    if isinstance(value, (list, dict)) or value != value:  # NaN is not equal to itself
        return canonical(value)
    return (value.__class__, value)


def same_numbers(items: Iterable[Value]) -> list[Value]:
    """The values with all numbers as floats where any is a float; everything else stays as it is."""
    items = list(items)
    return as_floats(items) if any(isinstance(item, float) for item in items) else items


def as_floats(items: Sequence[Value]) -> list[Value]:
    """The values with integers as floats, as far as a float holds them exactly."""
    return [as_float(item) if type(item) is int else item for item in items]


def as_float(number: int) -> int | float:
    """The number as a float; as it is where that would be another number."""
    try:
        return float(number) if int(float(number)) == number else number
    except OverflowError:
        return number


# --- Exact arithmetic on what the file says: 0.1 is a tenth


def exact(number: Number) -> Fraction:
    """The number that the user wrote, not the nearest binary fraction."""
    return Fraction(repr(number))


def counted(start: int, step: int, count: int) -> list[Value]:
    """Return `count` integers from `start` on. Raises ValueError for too many."""
    bound(count)
    return [start + step * i for i in range(count)]


def floats(start: Fraction, step: Fraction, count: int) -> list[Value]:
    """Each value is the float nearest to the exact one: the division of two integers rounds correctly."""
    bound(count)
    below = start.denominator * step.denominator
    first, further = start.numerator * step.denominator, step.numerator * start.denominator
    return [(first + further * i) / below for i in range(count)]


def bound(count: int) -> None:
    """Raise ValueError where a parameter has too many values."""
    if count > MAX_VALUES:
        raise ValueError(f"{count:,} values are too many for one parameter (at most {MAX_VALUES:,})")
