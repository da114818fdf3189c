"""Confidence intervals of a mean, and bootstrap intervals of a difference of two.

`scipy.stats.bootstrap` gives the same intervals for the same seed, which the tests compare. What it does by a jackknife
is a formula for means; it takes half as long again, and memory for all resamples at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tui_lab.experiment.data_types import JsonObject
from tui_lab.results.numeric.exact import Moments

Method = Literal["BCa", "percentile"]
RESAMPLES: Final = 10_000
SEED: Final = 0
FEWEST: Final = 8
"""Values that a bootstrap needs: of fewer, resamples say too little of what was not drawn."""
_AT_ONCE: Final = 4_000_000
"""Resampled values in memory at a time."""


@dataclass(frozen=True)
class Bootstrap:
    """How to resample. The same seed serves every sample, so that an interval does not depend on which other
    settings there are."""

    resamples: int = RESAMPLES
    method: Method = "BCa"
    seed: int = SEED


@lru_cache(maxsize=4096)
def t_quantile(share: float, df: float) -> float:
    """Quantile of Student's t with `df` degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(df, share))


def t_half(sample: Moments, level: float) -> float | None:
    """Half of the interval mean ± t * sd / sqrt(n), with n - 1 degrees of freedom (Student 1908); None for a single
    value."""
    if sample.se is None:
        return None
    return t_quantile((1 + level) / 2, sample.n - 1) * sample.se if sample.se else 0.0


def wilson(successes: int, n: int, level: float) -> tuple[float, float]:
    """The interval of a share: Wilson's score interval with the correction for continuity (Newcombe, Statistics in
    Medicine 17, 1998, method 4), which holds what it promises at small n, too.

    SciPy's `binomtest(...).proportion_ci(method="wilsoncc")` gives the same, and takes a thousand times as long.
    """
    from scipy import special

    z = float(special.ndtri((1 + level) / 2))
    share = successes / n
    low = high = 0.0
    for sign in (-1, 1):
        inner = z * z - 1 / n + 4 * n * share * (1 - share) - sign * (4 * share - 2)
        limit = (2 * n * share + z * z + sign * (z * math.sqrt(max(0.0, inner)) + 1)) / (2 * (n + z * z))
        low, high = (limit, high) if sign < 0 else (low, limit)
    return 0.0 if successes == 0 else max(0.0, low), 1.0 if successes == n else min(1.0, high)


def newcombe(a: tuple[int, int], b: tuple[int, int], level: float) -> tuple[float, float]:
    """The interval of a difference of two shares, each given as successes and n: the limits of `wilson` of both put
    together (Newcombe, Statistics in Medicine 17, 1998, method 11)."""
    (low_a, high_a), (low_b, high_b) = wilson(*a, level), wilson(*b, level)
    share_a, share_b = a[0] / a[1], b[0] / b[1]
    difference = share_a - share_b
    below = math.hypot(share_a - low_a, high_b - share_b)
    above = math.hypot(high_a - share_a, share_b - low_b)
    return max(-1.0, difference - below), min(1.0, difference + above)


def bootstrap_interval(
    values: Sequence[float], mean: float, level: float, how: Bootstrap
) -> tuple[float, float] | None:
    """An interval of the mean from resampled means; None for a single value.

    `percentile`: their quantiles. `BCa`: the quantiles corrected for bias and acceleration (Efron, JASA 82,
    1987); the acceleration of a mean by the jackknife is sum(d^3) / (6 sum(d^2)^1.5) with d = value - mean.
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return mean, mean
    data = np.asarray(values, dtype=np.float64) - mean
    low, high = _quantiles(_resampled(data, how, 0), [data], level, how)
    return mean + low, mean + high


def bootstrap_difference(
    a: Sequence[float], b: Sequence[float], difference: float, level: float, how: Bootstrap
) -> tuple[float, float] | None:
    """The same for the difference of two means (a - b), each sample resampled by itself; None for a single value. The
    acceleration is that of two samples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 22.5)."""
    if len(a) < 2 or len(b) < 2:
        return None
    if min(a) == max(a) and min(b) == max(b):
        return difference, difference
    of_a, of_b = (np.asarray(values, dtype=np.float64) for values in (a, b))
    of_a, of_b = of_a - of_a.mean(), of_b - of_b.mean()
    differences = _resampled(of_a, how, 0) - _resampled(of_b, how, 1)
    low, high = _quantiles(differences, [of_a, -of_b], level, how)
    return difference + low, difference + high


def _resampled(data: NDArray[np.float64], how: Bootstrap, stream: int) -> NDArray[np.float64]:
    """Means of resamples; another stream of random numbers for the other sample."""
    random = np.random.default_rng(how.seed if not stream else [how.seed, stream])
    batch = max(1, _AT_ONCE // data.size)
    parts = []
    for start in range(0, how.resamples, batch):
        size = min(batch, how.resamples - start)
        parts.append(data[random.integers(0, data.size, (size, data.size))].mean(axis=1))
    return np.concatenate(parts)


def _quantiles(
    estimates: NDArray[np.float64], samples: Sequence[NDArray[np.float64]], level: float, how: Bootstrap
) -> tuple[float, float]:
    """The interval of resampled estimates of 0: of the sum of the means of samples that each have mean 0."""
    tail = (1 - level) / 2
    shares = (tail, 1 - tail) if how.method == "percentile" else _corrected(estimates, samples, tail)
    low, high = np.quantile(np.sort(estimates), shares)
    return float(low), float(high)


def _corrected(
    estimates: NDArray[np.float64], samples: Sequence[NDArray[np.float64]], tail: float
) -> tuple[float, float]:
    from scipy import special

    # How much of the estimates lies below 0 says the bias.
    below = (np.count_nonzero(estimates < 0) + np.count_nonzero(estimates <= 0)) / (2 * estimates.size)
    bias = float(special.ndtri(below))
    if not math.isfinite(bias):
        return tail, 1 - tail
    cubes = sum(float((data**3).sum()) / data.size**3 for data in samples)
    squares = sum(float((data**2).sum()) / data.size**2 for data in samples)
    acceleration = cubes / (6 * squares**1.5)
    shares: list[float] = []
    for share in (tail, 1 - tail):
        shifted = bias + float(special.ndtri(share))
        shares.append(float(special.ndtr(bias + shifted / (1 - acceleration * shifted))))
    return shares[0], shares[1]


def interval_name(how: Bootstrap | None, binary: bool = False) -> str:
    """The method, as text."""
    if binary:
        return "Wilson's for shares"
    return "Student's t" if how is None else f"{how.method} bootstrap, {how.resamples:,} resamples, seed {how.seed}"


def as_dict(how: Bootstrap | None) -> JsonObject:
    """The method, for programs."""
    if how is None:
        return {"method": "t"}
    return {"method": how.method, "resamples": how.resamples, "seed": how.seed}
