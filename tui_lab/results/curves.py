"""Curves of any number of values, thinned out as they come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

POINTS: Final = 256
"""Points of a curve at most; a longer one is thinned out."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Values of a metric by step, thinned out: each point stands for as many values as the others, but for the last. A
    point is NaN where none of its values is a number."""

    steps: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


class CurvePoints:
    """Points of a curve, of which each stands for `every` values."""

    __slots__ = ("_count", "_every", "_known", "_step", "_steps", "_sum", "_values")

    def __init__(self) -> None:
        self._every = 1
        self._steps: list[float] = []
        self._values: list[float] = []
        self._count = self._known = 0  # values since the last point, and how many of them are numbers
        self._sum = self._step = 0.0

    def add(self, step: float, value: float) -> None:
        """Take in a value."""
        self._step = step
        self._count += 1
        if math.isfinite(value):
            self._sum += value
            self._known += 1
        if self._count == self._every:
            self._steps.append(step)
            self._values.append(self._mean())
            self._count = self._known = 0
            self._sum = 0.0
            if len(self._steps) == POINTS:
                self._thin_out()

    def _mean(self) -> float:
        return self._sum / self._known if self._known else math.nan

    def _thin_out(self) -> None:
        self._every *= 2
        self._steps = self._steps[1::2]
        self._values = [_mean_of(a, b) for a, b in self._pairs()]

    def _pairs(self) -> Iterator[tuple[float, float]]:
        return zip(self._values[::2], self._values[1::2], strict=True)

    def curve(self) -> Curve:
        """Return the curve of the values so far."""
        if not self._count:
            return Curve(tuple(self._steps), tuple(self._values))
        return Curve((*self._steps, self._step), (*self._values, self._mean()))


def _mean_of(a: float, b: float) -> float:
    return b if math.isnan(a) else a if math.isnan(b) else a / 2 + b / 2
