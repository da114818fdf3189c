"""Sums that lose nothing: means, deviations and the one-way analysis of variance.

Values that agree in their leading digits (1000000000000.3, 1000000000000.4) are where simple formulas fail,
and where a binary number is no longer the decimal one that a program printed. Here a common value is
subtracted first: between the decimals as printed where the leading digits agree, else between the numbers as
they are. What is left is summed with `math.fsum`, which rounds once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final

AGREEING: Final = 1e3
"""Values this many times larger than their range are subtracted as decimals."""
_EXTREME: Final = 1e100
"""Deviations beyond this, or below its inverse, are scaled before they are squared."""
_EXACT: Final = Context(prec=800)


@dataclass(frozen=True)
class Moments:
    """Of one sample. `sd` has n - 1 in its denominator (ddof 1); null below two values."""

    n: int
    mean: float
    sd: float | None

    @property
    def se(self) -> float | None:
        """Standard error of the mean, sd / sqrt(n)."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)


def deviations(values: Sequence[float], pivot: float) -> list[float]:
    """Each finite value minus `pivot`, which should be one of them or near."""
    low, high = min(values), max(values)
    if low == high == pivot:
        return [0.0] * len(values)
    if max(abs(low), abs(high)) <= AGREEING * (high - low):
        return [value - pivot for value in values]
    origin = Decimal(repr(pivot))
    return [float(_EXACT.subtract(Decimal(repr(value)), origin)) for value in values]


def moments(values: Sequence[float]) -> Moments:
    """Mean and standard deviation of finite values, at least one.

    The corrected two-pass algorithm (Chan, Golub and LeVeque, The American Statistician 37, 1983) on exact
    sums. A range beyond the largest float gives an infinite sd.
    """
    n = len(values)
    if n == 1:
        return Moments(1, float(values[0]), None)
    pivot = float(values[0])
    shifted = deviations(values, pivot)
    if not all(map(math.isfinite, shifted)):
        return Moments(n, math.fsum(value / n for value in values), math.inf)
    centre = _mean(shifted)
    low, high = min(values), max(values)
    mean = min(max(pivot + centre, low), high)
    if max(abs(low), abs(high)) <= AGREEING * (high - low):
        mean = min(max(_mean(values), low), high)
    total, exponent = _scaled_squares(shifted, centre)
    return Moments(n, mean, _scaled(math.sqrt(total / (n - 1)), exponent))


def sum_of_squares(values: Sequence[float], centre: float) -> float:
    """Sum of the squared differences from the mean, which is about `centre`; infinite where it overflows."""
    total, exponent = _scaled_squares(values, centre)
    return _scaled(total, 2 * exponent)


def _scaled_squares(values: Sequence[float], centre: float) -> tuple[float, int]:
    """The same, divided by 2 ** (2 * exponent), and that exponent: squares of extreme values do not overflow."""
    rest = [value - centre for value in values]
    widest = max(map(abs, rest), default=0.0)
    if widest == 0:
        return 0.0, 0
    exponent = 0 if 1 / _EXTREME < widest < _EXTREME else math.frexp(widest)[1]
    if exponent:
        rest = [_scaled(value, -exponent) for value in rest]
    total = math.fsum(value * value for value in rest) - math.fsum(rest) ** 2 / len(rest)
    return max(total, 0.0), exponent


def _scaled(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


@dataclass(frozen=True)
class Anova:
    """The one-way analysis of variance: sums of squares, degrees of freedom, F and its p-value."""

    between: float
    within: float
    df_between: int
    df_within: int
    f: float
    p: float


def anova(groups: Sequence[Sequence[float]]) -> Anova | None:
    """Whether the means of groups differ (Fisher 1925); None below two groups, or without repeats.

    Checked against the certified values of NIST's StRD data sets (Simon and Lesage 1989).
    """
    groups = [group for group in groups if group]
    n = sum(map(len, groups))
    if len(groups) < 2 or n <= len(groups):
        return None
    values = [value for group in groups for value in group]
    shifted = iter(deviations(values, values[0]))
    parts = [[next(shifted) for _ in group] for group in groups]
    means = [math.fsum(part) / len(part) for part in parts]
    grand = math.fsum(value for part in parts for value in part) / n
    between = math.fsum(len(part) * (mean - grand) ** 2 for part, mean in zip(parts, means, strict=True))
    within = math.fsum(sum_of_squares(part, mean) for part, mean in zip(parts, means, strict=True))
    df_between, df_within = len(groups) - 1, n - len(groups)
    f = _ratio(between / df_between, within / df_within)
    return Anova(between, within, df_between, df_within, f, _f_tail(f, df_between, df_within))


def _ratio(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return math.inf if above > 0 else math.nan


def _f_tail(f: float, df_between: int, df_within: int) -> float:
    from scipy import special

    return float(special.fdtrc(df_between, df_within, f)) if math.isfinite(f) else 0.0 if f > 0 else 1.0
