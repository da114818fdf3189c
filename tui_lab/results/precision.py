"""How the floats of a column are written: all with equally many decimals, as many as tell them apart."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

SIGNIFICANT: Final = 4
"""Digits of the range that a column covers; one more where these don't tell its values apart."""
MOST: Final = 16  # decimals of a float's mantissa
LONGEST: Final = 12  # characters, from which on a power of ten is taken if it is shorter
SMALL: Final = 1e-4
"""A column whose values are all smaller is written with powers of ten."""
FEW: Final = 0.05
"""The share of values that may look like zero. Where more would, the magnitudes are too different for one number of
decimals."""
NEAR: Final = 1e-9  # share of a column's range that is nothing
KEPT: Final = 256  # values by which a column is judged


@dataclass(frozen=True)
class Notation:
    """Decimals, behind a mantissa if `scientific`. What is shown differs from the value by half of the last one at
    most."""

    places: int = 0
    scientific: bool = False

    def text(self, value: float) -> str:
        """Return a value as text; zero has no sign."""
        if not math.isfinite(value):
            return str(value)
        if not self.scientific:
            return f"{value:z.{self.places}f}"
        mantissa, _, exponent = f"{value:z.{self.places}e}".partition("e")
        return f"{mantissa}e{int(exponent)}"


def notation(values: Collection[float]) -> Notation:
    """Return the notation for the values of a column."""
    finite = sorted({value + 0.0 for value in values if math.isfinite(value)})
    largest = max(map(abs, finite), default=0.0)
    if not largest:
        return Notation()
    exponent = math.floor(math.log10(largest))
    quarter = finite[-1] / 4 - finite[0] / 4  # the whole may be too much for a float
    size = math.floor(math.log10(quarter) + math.log10(4)) if quarter > 0 else exponent
    digits = exponent - size + SIGNIFICANT - 1  # behind the first one of the largest value
    fixed = _settled(finite, min(digits, MOST) - exponent, MOST - exponent, False)
    vanishing = sum(bool(value) and not float(fixed.text(value)) for value in finite)
    long = exponent + fixed.places + 2 > LONGEST
    if largest >= SMALL and vanishing <= FEW * len(finite) and not long:
        return fixed
    power = _settled(finite, min(digits, MOST), MOST, True)
    shorter = power.places + 5 < max(exponent, 0) + fixed.places + 2
    return power if largest < SMALL or vanishing > FEW * len(finite) or shorter else fixed


def telling(values: Collection[float]) -> Notation:
    """Return the notation for values that are told apart by what is read, as those of a parameter: no two are written
    alike, and none as zero."""
    apart = {0.0, *(value + 0.0 for value in values if math.isfinite(value))}
    how = notation(values)
    whole = len(f"{max(map(abs, apart)):.0f}")
    fixed = [] if how.scientific else [Notation(places) for places in range(how.places, LONGEST - whole)]
    powers = [Notation(places, True) for places in range(how.places if how.scientific else 0, MOST + 1)]
    return next(one for one in (*fixed, *powers) if len(set(map(one.text, apart))) == len(apart))


def exactly(values: Collection[float]) -> Notation | None:
    """Return the shortest notation that says all values exactly; None where it would be long."""
    finite = {value + 0.0 for value in values if math.isfinite(value)}
    whole = len(f"{max(map(abs, finite), default=0.0):.0f}")
    fixed = [Notation(places) for places in range(LONGEST - whole)]
    powers = [Notation(places, True) for places in range(LONGEST // 2)]
    every = (*fixed, *powers)
    return next((one for one in every if all(float(one.text(value)) == value for value in finite)), None)


def _settled(values: Collection[float], places: int, most: int, scientific: bool) -> Notation:
    """Return a notation with some places: one more where that tells more values apart, or says all of them exactly; and
    without zeros at all ends."""
    found, finer = (Notation(max(0, min(number, most)), scientific) for number in (places, places + 1))
    near = (max(values) / 4 - min(values) / 4) * NEAR or math.inf
    if _exact(values, finer, near) or len(set(map(found.text, values))) < len(values):
        found = finer
    while found.places and _exact(values, shorter := Notation(found.places - 1, scientific), near):
        found = shorter
    return found


def _exact(values: Collection[float], how: Notation, near: float) -> bool:
    """Return whether all values are said exactly, but for the noise of sums such as 0.1 + 0.2."""
    return all(abs(float(how.text(value)) - value) <= min(near, 1e-12 * abs(value)) for value in values)


class Digits:
    """The notation of a column that is read a page at a time: it changes only where what is seen needs it."""

    def __init__(self) -> None:
        self.notation = Notation()
        self._seen: set[float] = set()
        self._low, self._high = math.inf, -math.inf

    def begin(self, values: Iterable[float | None]) -> bool:
        """Judge by other values; return whether the notation is another one. It stays where it has one decimal too
        many: else numbers that change would move to and fro."""
        before, self.notation = self.notation, Notation()
        self._seen = set()
        self._low, self._high = math.inf, -math.inf
        self.take(values)
        now = self.notation
        if before.scientific == now.scientific and before.places - now.places == 1 and now.places:
            self.notation = before
        return self.notation != before

    def take(self, values: Iterable[float | None]) -> bool:
        """Judge by these values, too; return whether the notation is another one."""
        fresh = False
        for value in values:
            if value is None or value in self._seen or not math.isfinite(value):
                continue
            beyond = value < self._low or value > self._high
            if beyond or len(self._seen) < KEPT:
                fresh = True
                self._seen.add(value)
                self._low, self._high = min(self._low, value), max(self._high, value)
        if not fresh:
            return False
        before, self.notation = self.notation, notation(self._seen)
        return self.notation != before
