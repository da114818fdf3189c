"""The ratio of two means, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_lab.results.statistics_exact import Moments
from tui_lab.results.statistics_intervals import t_quantile


@dataclass(frozen=True)
class Ratio:
    """`low` and `high` are None where the divisor can't be told from 0: then no ratio is impossible."""

    value: float
    low: float | None = None
    high: float | None = None


def ratio_of_means(a: Moments, b: Moments, df: float, level: float, differences: Moments | None = None) -> Ratio | None:
    """mean(a) / mean(b) with Fieller's interval (JRSS B 16, 1954): all ratios r for which a - r b can't be told from 0.
    None where mean(b) is 0.

    `df` are the degrees of freedom of the t test of the difference. With the same ones here the interval holds 1
    exactly where that of the difference holds 0. `differences` are those within pairs: how a and b go together.
    """
    if b.mean == 0:
        return None
    ratio = a.mean / b.mean
    if a.se is None or b.se is None:
        return Ratio(ratio)
    # In units of mean(b), so that nothing overflows.
    var_a, var_b = (a.se / b.mean) ** 2, (b.se / b.mean) ** 2
    if not math.isfinite(var_a + var_b) or not math.isfinite(ratio):
        return Ratio(ratio)
    together = 0.0
    if differences is not None and differences.se is not None:
        together = (var_a + var_b - (differences.se / b.mean) ** 2) / 2
    t2 = t_quantile((1 + level) / 2, df) ** 2 if var_a or var_b else 0.0
    rest = 1 - t2 * var_b
    if rest <= 0:
        return Ratio(ratio)
    middle = ratio - t2 * together
    root = math.sqrt(max(0.0, middle**2 - rest * (ratio**2 - t2 * var_a)))
    return Ratio(ratio, (middle - root) / rest, (middle + root) / rest)
