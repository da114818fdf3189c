"""How many repeats would tell two settings apart, going by what was found so far.

A guess for planning and no test: it takes the difference and the spread that were found for the true ones. Who adds
repeats because of what was found, and tests again, finds a difference more often than the level says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tui_lab.results.numeric.exact import moments
from tui_lab.results.statistics.comparison import within_pairs
from tui_lab.results.statistics.intervals import t_quantile
from tui_lab.results.statistics.report import MetricReport

POWER: Final = 0.8
"""The probability with which the difference would be found."""
MOST: Final = 200
"""Repeats of a setting, beyond which only their being more is said."""
FEWEST_OF_A_KIND: Final = 5
"""Ones and zeros that each sample of such values needs."""


@dataclass(frozen=True)
class Needed:
    """The values that each of two settings needs, and how many each has. `total` is None above `MOST`."""

    places: tuple[int, int]
    have: tuple[int, int]
    total: int | None

    @property
    def more(self) -> tuple[int, int]:
        """Further values of each; none where `total` is not known."""
        total = self.total or 0
        return max(0, total - self.have[0]), max(0, total - self.have[1])


def needed(metric: MetricReport, first: int, second: int, paired: bool, tests: int | None = None) -> Needed | None:
    """Return how many values of two settings would separate them; None where nothing can be said: for a single value,
    where nothing scatters, and where they differ already. tests: for how many the level is corrected; by default for
    those of all settings against the best."""
    a, b = metric.samples[first], metric.samples[second]
    of_a, of_b = metric.exact[first], metric.exact[second]
    if min(a.n, b.n) < 2 or of_a.mean is None or of_b.mean is None or metric.known.deterministic:
        return None
    if metric.known.binary and min(math.fsum(one.values) for one in (a, b)) < FEWEST_OF_A_KIND:
        return None
    if metric.known.binary and min(one.n - math.fsum(one.values) for one in (a, b)) < FEWEST_OF_A_KIND:
        return None
    differences = within_pairs(a, b) if paired else []
    if len(differences) > 1:
        found = moments(differences)
        difference, spread = found.mean, found.sd
    else:
        difference, spread = of_a.mean - of_b.mean, math.hypot(of_a.spread or 0.0, of_b.spread or 0.0) / math.sqrt(2)
    if not spread or not math.isfinite(spread):
        return None
    if tests is None:
        tests = sum(p is not None for p in metric.p_best) - 1
    total = repeats(abs(difference) / spread, (1 - metric.level) / max(1, tests), len(differences) > 1)
    if total is not None and total <= min(a.n, b.n):
        total = max(a.n, b.n) + 1  # the corrected test asks for more than this guess
    return Needed((first, second), (a.n, b.n), total)


def repeats(effect: float, alpha: float, paired: bool) -> int | None:
    """Return how many values of each of two samples, or how many pairs, a two-sided t test at `alpha` needs to find a
    difference of `effect` standard deviations; None above `MOST`."""
    if not _found(effect, MOST, alpha, paired) >= POWER:
        return None
    low, high = 1, MOST  # the power grows with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _found(effect, middle, alpha, paired) >= POWER else (middle, high)
    return high


def _found(effect: float, n: int, alpha: float, paired: bool) -> float:
    """The power of the test, by the noncentral t distribution."""
    from scipy import special

    df = n - 1 if paired else 2 * n - 2
    if df < 1:
        return 0.0
    shift = effect * math.sqrt(n if paired else n / 2)
    limit = t_quantile(1 - alpha / 2, df)
    if shift > limit + 8:
        return 1.0  # beyond what SciPy's function can do
    above, below = 1 - special.nctdtr(df, shift, limit), special.nctdtr(df, shift, -limit)
    return float(above + (below if math.isfinite(below) else 0.0))  # it is next to 0 where that is not known
