"""Sums without rounding errors: means, deviations and analyses of variance.

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
from typing import Final, Literal

import numpy as np

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
    sums. A range beyond the largest float gives an infinite sd; differences that are beyond it themselves, no mean.
    """
    n = len(values)
    if n == 1:
        return Moments(1, float(values[0]), None)
    pivot = float(values[0])
    shifted = deviations(values, pivot)
    if not all(map(math.isfinite, shifted)):
        known = all(map(math.isfinite, values))
        return Moments(n, math.fsum(value / n for value in values) if known else math.nan, math.inf)
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
    exponent = _exponent(rest)
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
    """An analysis of variance: sums of squares, degrees of freedom, F and its p-value."""

    method: Literal["Brown-Forsythe", "blocks"]
    between: float
    within: float
    df_between: float
    df_within: float
    f: float
    p: float


def anova(groups: Sequence[Sequence[float]], spreads: Sequence[float | None] | None = None) -> Anova | None:
    """Whether the means of groups differ, whatever the spread of each; None below two groups with repeats.

    F* of Brown and Forsythe (Technometrics 16, 1974) with the first degrees of freedom of Mehrotra (Communications in
    Statistics 26, 1997). Fisher's F calls means different that are not where spreads differ, and Welch's does where
    many groups have few values; groups of equal size give F* = F. `spreads` stand for the standard deviations where
    those are not to be believed. Sums of squares are checked against the certified values of NIST's StRD data sets
    (Simon and Lesage 1989).
    """
    given = spreads if spreads is not None else [None] * len(groups)
    kept = [(group, spread) for group, spread in zip(groups, given, strict=True) if len(group) > 1]
    if len(kept) < 2:
        return None
    groups = [group for group, _ in kept]
    values = [value for group in groups for value in group]
    n = len(values)
    shifted = deviations(values, values[0])
    if not all(map(math.isfinite, shifted)):
        return None
    scale = _exponent(shifted)
    rest = iter([_scaled(value, -scale) for value in shifted])
    parts = [[next(rest) for _ in group] for group in groups]
    means = [math.fsum(part) / len(part) for part in parts]
    grand = math.fsum(value for part in parts for value in part) / n
    between = math.fsum(len(part) * (mean - grand) ** 2 for part, mean in zip(parts, means, strict=True))
    squares = [sum_of_squares(part, mean) for part, mean in zip(parts, means, strict=True)]
    variances = [
        square / (len(part) - 1) if spread is None else _scaled(spread, -scale) ** 2
        for square, part, (_, spread) in zip(squares, parts, kept, strict=True)
    ]
    sizes = [len(part) for part in parts]
    below = math.fsum((1 - size / n) * one for size, one in zip(sizes, variances, strict=True))
    f = _ratio(between, below)
    df_between, df_within = float(len(groups) - 1), float(n - len(groups))
    if below > 0:
        shares = [one / below for one in variances]
        weighted = math.fsum(size * share for size, share in zip(sizes, shares, strict=True)) / n
        twice = math.fsum(size * share**2 for size, share in zip(sizes, shares, strict=True)) / n
        df_between = 1 / (math.fsum(share**2 for share in shares) + weighted**2 - 2 * twice)
        df_within = 1 / math.fsum(
            ((1 - size / n) * share) ** 2 / (size - 1) for size, share in zip(sizes, shares, strict=True)
        )
    return Anova(
        "Brown-Forsythe",
        _scaled(between, 2 * scale),
        _scaled(math.fsum(squares), 2 * scale),
        df_between,
        df_within,
        f,
        _f_tail(f, df_between, df_within),
    )


def blocked_anova(blocks: Sequence[Sequence[float]], floor: float = 0.0, hidden: Sequence[float] = ()) -> Anova | None:
    """Whether the columns of a table differ whose rows are blocks: values that belong together, one for each setting.
    None below two blocks or two settings.

    The analysis of variance of a randomized block design. The degrees of freedom are those of Greenhouse and Geisser
    (Psychometrika 24, 1959), so that the spread may differ between settings. The error is at least `floor` in each
    value; `hidden` is what else the spread of each setting does not show.
    """
    height, width = len(blocks), len(blocks[0]) if blocks else 0
    if height < 2 or width < 2:
        return None
    values = [value for block in blocks for value in block]
    shifted = deviations(values, values[0])
    if not all(map(math.isfinite, shifted)):
        return None
    scale = _exponent(shifted)
    table = np.array([_scaled(value, -scale) for value in shifted]).reshape(height, width)
    table -= table.mean(axis=1, keepdims=True)
    means = table.mean(axis=0)
    table -= means
    between = height * float((means**2).sum())
    df_between, df_within = width - 1.0, (width - 1.0) * (height - 1.0)
    within = max(float((table**2).sum()), df_within * _scaled(floor, -scale) ** 2)
    within += df_within * math.fsum(_scaled(one, -scale) ** 2 for one in hidden) / width
    f = _ratio(between / df_between, within / df_within)
    gram = table @ table.T
    squared = float((gram**2).sum())
    share = float(np.trace(gram)) ** 2 / (df_between * squared) if squared > 0 else 1.0
    share = min(1.0, max(1 / df_between, share))
    return Anova(
        "blocks",
        _scaled(between, 2 * scale),
        _scaled(within, 2 * scale),
        share * df_between,
        share * df_within,
        f,
        _f_tail(f, share * df_between, share * df_within),
    )


def _exponent(values: Sequence[float]) -> int:
    """The power of two that brings the largest value to about 1, where its square would be no good number; else 0."""
    widest = max(map(abs, values), default=0.0)
    return 0 if widest == 0 or 1 / _EXTREME < widest < _EXTREME else math.frexp(widest)[1]


def _ratio(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return math.inf if above > 0 else math.nan


def _f_tail(f: float, df_between: float, df_within: float) -> float:
    from scipy import special

    return float(special.fdtrc(df_between, df_within, f)) if math.isfinite(f) else 0.0 if f > 0 else 1.0
