"""Tests of a difference between two samples, effect sizes, and the correction for many comparisons.

Differences are `a - b`. p-values are two-sided.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from tui_lab.results.numeric.exact import Moments
from tui_lab.results.statistics.intervals import t_quantile

Correction = Literal["holm", "bh", "bonferroni", "none"]


@dataclass(frozen=True)
class TTest:
    """A difference of means with its interval. Where nothing varies, `t` is 0 or infinite and p is 1 or 0."""

    difference: float
    low: float
    high: float
    t: float
    df: float
    p: float


def welch(a: Moments, b: Moments, level: float) -> TTest | None:
    """Welch's t test with the degrees of freedom of Welch and Satterthwaite (Biometrika 34, 1947); None where
    a sample has a single value.

    SciPy's `ttest_ind_from_stats` has no interval and no degrees of freedom, and its squares overflow: it calls 1e300
    and 2e300, each with a deviation of 1e299, equal.
    """
    if a.sd is None or b.sd is None:
        return None
    error_a, error_b = a.sd / math.sqrt(a.n), b.sd / math.sqrt(b.n)
    largest = max(error_a, error_b)
    df = float(a.n + b.n - 2)
    if largest > 0 and math.isfinite(largest):
        ra, rb = (error_a / largest) ** 2, (error_b / largest) ** 2  # squares of the errors themselves may overflow
        df = (ra + rb) ** 2 / (ra**2 / (a.n - 1) + rb**2 / (b.n - 1))
    return t_test(a.mean - b.mean, math.hypot(error_a, error_b), df, level)


def paired_t(differences: Moments, level: float) -> TTest | None:
    """Student's t test of the differences within pairs; None for a single pair, and where floats can't hold them."""
    if differences.se is None or not math.isfinite(differences.mean) or not math.isfinite(differences.se):
        return None
    return t_test(differences.mean, differences.se, differences.n - 1, level)


def t_test(difference: float, se: float, df: float, level: float) -> TTest:
    """Student's t test of a difference with a standard error."""
    from scipy import special

    if se == 0:
        t = 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return TTest(difference, difference, difference, t, df, 1.0 if difference == 0 else 0.0)
    t = difference / se
    half = t_quantile((1 + level) / 2, df) * se
    return TTest(difference, difference - half, difference + half, t, df, float(2 * special.stdtr(df, -abs(t))))


@lru_cache(maxsize=65536)
def fisher_exact(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Fisher's exact test (1922) of two shares, each given as successes and n: the p-value."""
    from scipy import stats

    table = np.array([[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]])
    return min(1.0, float(stats.fisher_exact(table).pvalue))


def mcnemar_exact(more: int, less: int) -> float:
    """McNemar's test (1947) in its exact form: of the pairs that differ, in `more` the first is 1, in `less` the
    second. The p-value."""
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(min(more, less), more + less, 0.5))) if more + less else 1.0


@dataclass(frozen=True)
class RankTest:
    """The result of a rank test: its statistic, and p (two-sided)."""

    statistic: float
    p: float


def mann_whitney(a: Sequence[float], b: Sequence[float]) -> RankTest | None:
    """The U test of Mann and Whitney (1947): U counts the pairs in which a is larger, ties as half. Exact for
    small samples without ties, else normal with the corrections for ties and continuity."""
    if not a or not b:
        return None
    if min(*a, *b) == max(*a, *b):
        return RankTest(len(a) * len(b) / 2, 1.0)
    from scipy import stats

    found = stats.mannwhitneyu(a, b, alternative="two-sided")
    return RankTest(float(found.statistic), float(found.pvalue))


def wilcoxon(differences: Sequence[float]) -> RankTest | None:
    """Wilcoxon's signed-rank test (1945) of differences within pairs; differences of 0 are left out."""
    if not differences:
        return None
    if not any(differences):
        return RankTest(0.0, 1.0)
    from scipy import stats

    found = stats.wilcoxon(differences)
    return RankTest(float(found.statistic), float(found.pvalue))


def hedges_g(a: Moments, b: Moments) -> float | None:
    """The difference in units of the pooled standard deviation, without the bias of small samples (Hedges,
    Journal of Educational Statistics 6, 1981)."""
    if a.sd is None or b.sd is None:
        return None
    df = a.n + b.n - 2
    pooled = math.hypot(math.sqrt((a.n - 1) / df) * a.sd, math.sqrt((b.n - 1) / df) * b.sd)
    return _standardized(a.mean - b.mean, pooled, df)


def paired_g(differences: Moments) -> float | None:
    """The mean difference in units of the standard deviation of the differences, with the same correction;
    None below three pairs."""
    if differences.sd is None:
        return None
    return _standardized(differences.mean, differences.sd, differences.n - 1)


def _standardized(difference: float, sd: float, df: int) -> float | None:
    if sd == 0:
        return 0.0 if difference == 0 else math.copysign(math.inf, difference)
    if df < 2:
        return None  # the correction for a single degree of freedom is 0
    factor = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return factor * difference / sd


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float | None:
    """P(a > b) - P(a < b) over all pairs, in -1 to 1 (Cliff, Psychological Bulletin 114, 1993)."""
    if not a or not b:
        return None
    ordered = sorted(b)
    balance = sum(bisect_left(ordered, value) + bisect_right(ordered, value) - len(b) for value in a)
    return balance / (len(a) * len(b))


def paired_delta(differences: Sequence[float]) -> float | None:
    """The same within pairs: the share of pairs with a larger minus those with b larger (Cliff's d_w)."""
    if not differences:
        return None
    return sum((value > 0) - (value < 0) for value in differences) / len(differences)


def adjusted(p_values: Sequence[float], correction: Correction) -> list[float]:
    """p-values corrected for their number, in the same order.

    `holm` (Holm, Scandinavian Journal of Statistics 6, 1979) and `bonferroni` bound the chance of any false
    finding; `bh` (Benjamini and Hochberg, JRSS B 57, 1995) the share of false ones among the findings. Of them SciPy
    has `bh` only.
    """
    count = len(p_values)
    if correction == "none":
        return list(p_values)
    if correction == "bonferroni":
        return [min(1.0, p * count) for p in p_values]
    order = sorted(range(count), key=lambda place: p_values[place])
    result = [0.0] * count
    if correction == "holm":
        largest = 0.0
        for rank, place in enumerate(order):
            largest = max(largest, min(1.0, p_values[place] * (count - rank)))
            result[place] = largest
        return result
    smallest = 1.0
    for rank in range(count, 0, -1):
        place = order[rank - 1]
        smallest = min(smallest, p_values[place] * count / rank)
        result[place] = smallest
    return result
