"""Models of the values that a parameter may take."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import ClassVar, TypeAlias

from tui_lab.experiment.record import Model

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Number: TypeAlias = int | float


class Listed(Model):
    """Values written out; a scalar in the file is a list of one."""

    kind: ClassVar[str] = "list"
    drawn: ClassVar[bool] = False
    values: tuple[Value, ...]

    @property
    def size(self) -> int:
        return len(self.values)


class Range(Model):
    """Like Python's range: from `start` by `step`, `stop` excluded; decimals are meant exactly."""

    kind: ClassVar[str] = "range"
    drawn: ClassVar[bool] = False
    start: Number
    stop: Number
    step: Number = 1

    @property
    def size(self) -> int:
        start, stop, step = (Fraction(str(x)) for x in (self.start, self.stop, self.step))
        return max(0, math.ceil((stop - start) / step))


class Linspace(Model):
    """`n` values with equal distances, `start` and `stop` included."""

    kind: ClassVar[str] = "linspace"
    drawn: ClassVar[bool] = False
    start: Number
    stop: Number
    n: int

    @property
    def size(self) -> int:
        return self.n


class Geomspace(Model):
    """`n` values with equal ratios, `start` and `stop` included; both have the same sign and neither is 0."""

    kind: ClassVar[str] = "geomspace"
    drawn: ClassVar[bool] = False
    start: Number
    stop: Number
    n: int

    @property
    def size(self) -> int:
        return self.n


class Cases(Model):
    """Named bundles: the parameter takes the case's name, and each case sets further parameters."""

    kind: ClassVar[str] = "cases"
    drawn: ClassVar[bool] = False
    cases: dict[str, dict[str, Value]]

    @property
    def size(self) -> int:
        return len(self.cases)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that every case sets."""
        return tuple(next(iter(self.cases.values()), {}))


class Uniform(Model):
    """A float drawn evenly from `a` to `b`."""

    kind: ClassVar[str] = "uniform"
    drawn: ClassVar[bool] = True
    a: Number
    b: Number


class LogUniform(Model):
    """A float from `a` to `b`, both above 0, whose logarithm is drawn evenly."""

    kind: ClassVar[str] = "loguniform"
    drawn: ClassVar[bool] = True
    a: Number
    b: Number


class RandInt(Model):
    """An integer drawn evenly from `a` to `b`, both included."""

    kind: ClassVar[str] = "randint"
    drawn: ClassVar[bool] = True
    a: int
    b: int


class Choice(Model):
    """One of the values, drawn evenly."""

    kind: ClassVar[str] = "choice"
    drawn: ClassVar[bool] = True
    values: tuple[Value, ...]


Enumerable: TypeAlias = Listed | Range | Linspace | Geomspace | Cases
Drawn: TypeAlias = Uniform | LogUniform | RandInt | Choice
Domain: TypeAlias = Enumerable | Drawn
