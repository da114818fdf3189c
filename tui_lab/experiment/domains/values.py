"""The values of a domain: written out, counted through exactly, or drawn by number."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from tui_lab.experiment.domains.canonical import canonical, normal
from tui_lab.experiment.domains.model import (
    Cases,
    Choice,
    Domain,
    Geomspace,
    Linspace,
    Listed,
    Number,
    RandInt,
    Range,
    Value,
)

MAX_VALUES: Final = 10_000_000  # of one domain


def values(domain: Domain) -> list[Value]:
    """The distinct values of a domain in order. Drawn domains from a continuum have none: ValueError.

    `true`, `1`, `1.0` and `"1"` are four values. The values of `cases` are their names.
    """
    return distinct(listing(domain))


def listing(domain: Domain) -> list[Value]:
    """The values of a domain as they stand in the file: a value that is written twice comes twice."""
    match domain:
        case Listed() | Choice():
            return same_numbers(domain.values)
        case Range():
            return _range(domain)
        case Linspace():
            return _linspace(domain)
        case Geomspace():
            return _geomspace(domain)
        case Cases():
            return list(domain.cases)
        case RandInt():
            return _counted(domain.a, 1, domain.b - domain.a + 1)
        case _:
            raise ValueError(f"{domain.kind} can't be listed: it is drawn from a continuum")


def distinct(items: Iterable[Value]) -> list[Value]:
    """Each value once, in order of first appearance; values of another type are other values."""
    first: dict[object, Value] = {}
    for item in items:
        first.setdefault(identity(item), item)
    return [normal(item) for item in first.values()]


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


# ---- exact arithmetic on what the file says: 0.1 is a tenth


def exact(number: Number) -> Fraction:
    """The number that a person wrote, not the nearest binary fraction."""
    return Fraction(repr(number))


def _range(domain: Range) -> list[Value]:
    start, stop, step = exact(domain.start), exact(domain.stop), exact(domain.step)
    if not step:
        raise ValueError("the step of a range must not be 0")
    count = max(0, math.ceil((stop - start) / step))
    if all(isinstance(number, int) for number in (domain.start, domain.stop, domain.step)):
        return _counted(int(start), int(step), count)
    return _floats(start, step, count)


def _linspace(domain: Linspace) -> list[Value]:
    start, stop = exact(domain.start), exact(domain.stop)
    step = (stop - start) / (domain.n - 1) if domain.n > 1 else Fraction(0)
    whole = isinstance(domain.start, int) and (isinstance(domain.stop, int) or domain.n == 1)
    if whole and step.denominator == 1:
        return _counted(int(start), int(step), domain.n)
    return _floats(start, step, domain.n)


def _counted(start: int, step: int, count: int) -> list[Value]:
    _bound(count)
    return [start + step * i for i in range(count)]


def _floats(start: Fraction, step: Fraction, count: int) -> list[Value]:
    """Each value is the float nearest to the exact one: the division of two integers rounds correctly."""
    _bound(count)
    below = start.denominator * step.denominator
    first, further = start.numerator * step.denominator, step.numerator * start.denominator
    return [(first + further * i) / below for i in range(count)]


def _geomspace(domain: Geomspace) -> list[Value]:
    """Fifty digits, of which a float keeps seventeen; integers where both ends and all between are."""
    _bound(domain.n)
    start, stop = exact(domain.start), exact(domain.stop)
    if not start or not stop or (start < 0) != (stop < 0):
        raise ValueError("the ends of a geomspace must have the same sign, and neither may be 0")
    sign = -1 if start < 0 else 1
    with decimal.localcontext() as context:
        context.prec = 50
        low, high = (decimal.Decimal(abs(x).numerator) / abs(x).denominator for x in (start, stop))
        steps = max(1, domain.n - 1)
        ratio = (high / low).ln() / steps
        between = [low * (ratio * i).exp() for i in range(domain.n)]
        if domain.n > 1:
            between[-1] = high
        near = [number.to_integral_value() for number in between]
        given = (domain.start, domain.stop)[: max(1, min(2, domain.n))]
        whole = all(isinstance(number, int) for number in given) and all(
            abs(number - integer) <= integer * decimal.Decimal("1e-40")
            for number, integer in zip(between, near, strict=True)
        )
    return [sign * (int(i) if whole else float(x)) for x, i in zip(between, near, strict=True)]


def _bound(count: int) -> None:
    if count > MAX_VALUES:
        raise ValueError(f"{count:,} values are too many for one parameter (at most {MAX_VALUES:,})")
