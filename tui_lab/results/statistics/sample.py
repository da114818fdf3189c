"""Descriptive statistics of one sample: of one metric, over the repeats of one setting."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tui_lab.results.numeric.exact import Moments, moments
from tui_lab.results.numeric.quantile import quantile
from tui_lab.results.numeric.whole_numbers import LARGEST
from tui_lab.results.statistics.intervals import FEWEST, Bootstrap, bootstrap_interval, t_half, wilson
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.statistics.text import Ends

CONFIDENCE: Final = 0.95
FENCE: Final = 3.0
"""A value further than this many interquartile ranges from the nearer quartile is an outlier."""
FEWEST_FOR_OUTLIERS: Final = 5
_PLACES: Final = ("mean", "low", "high", "median", "q1", "q3", "min", "max")


@dataclass(frozen=True)
class Sample:
    """The values of a metric in one setting.

    `values` are finite. `pairs` tell, for each of them, with which values of other settings it belongs
    together (equal numbers do). `n_null` tasks had no value, `n_nan` a NaN or an infinite one; `n_infinite` of these
    were infinite.
    """

    values: tuple[float, ...]
    pairs: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    n_null: int = 0
    n_nan: int = 0
    offset: int = 0
    """What was subtracted from each value: large whole numbers that floats don't tell apart have exact differences."""
    n_infinite: int = 0

    @property
    def n(self) -> int:
        """The number of values."""
        return len(self.values)


@dataclass(frozen=True)
class Summary:
    """The summary of a sample. Everything but the counts is None without values, `sd`, `se`, `spread`, `low` and `high`
    (the confidence interval of the mean) also for a single one. In a deterministic program nothing scatters: then there
    is no interval either."""

    n: int
    n_null: int = 0
    n_nan: int = 0
    n_infinite: int = 0
    mean: float | None = None
    sd: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    median: float | None = None
    q1: float | None = None
    q3: float | None = None
    min: float | None = None
    max: float | None = None
    outliers: int = 0
    spread: float | None = None
    """The standard deviation that tests rest on: `sd`, but never less than the printed digits allow."""
    width: float | None = None
    """Of the interval."""

    @property
    def not_finite(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """How many values are no numbers to compute with, with their names."""
        return (self.n_nan - self.n_infinite, "NaN"), (self.n_infinite, "infinite")

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.width is None else self.width / 2

    def moved(self, offset: int) -> Summary:
        """Of values that are larger by `offset`: in whole numbers where these are all that floats could hold."""
        if not offset:
            return self
        values = {name: getattr(self, name) for name in _PLACES}
        known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        whole = abs(offset) > LARGEST
        return replace(self, **{name: offset + (round(value) if whole else value) for name, value in known.items()})

    @property
    def ends(self) -> Ends:
        """The mean, the ends of its interval, and half its width."""
        return self.mean, self.low, self.high, self.half

    @property
    def moments(self) -> Moments | None:
        """Mean and spread, for tests."""
        return None if self.mean is None else Moments(self.n, self.mean, self.spread)


def describe(
    sample: Sample, level: float = CONFIDENCE, bootstrap: Bootstrap | None = None, known: Resolution | None = None
) -> Summary:
    """The summary of a sample. `known` is what all settings together tell of the metric.

    The interval is Student's t, Wilson's for values of 0 and 1, or the bootstrap's where one is given (none below
    FEWEST values).
    """
    if not sample.values:
        return Summary(0, sample.n_null, sample.n_nan, sample.n_infinite)
    known = known or resolution([sample.values], sample.offset)
    found = moments(sample.values)
    spread = known.spread(sample.values, found.sd)
    ordered = sorted(sample.values)
    q1, median, q3 = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    interval = None
    if spread is not None and not known.deterministic:
        interval = _interval(sample, Moments(found.n, found.mean, spread), level, bootstrap, known)
    low, high, width = interval if interval is not None else (None, None, None)
    return Summary(
        n=sample.n,
        n_null=sample.n_null,
        n_nan=sample.n_nan,
        n_infinite=sample.n_infinite,
        mean=found.mean,
        sd=found.sd,
        se=found.se,
        low=low,
        high=high,
        median=median,
        q1=q1,
        q3=q3,
        min=ordered[0],
        max=ordered[-1],
        outliers=len(outliers(sample.values, q1, q3)),
        spread=spread,
        width=width,
    )


def _interval(
    sample: Sample, found: Moments, level: float, bootstrap: Bootstrap | None, known: Resolution
) -> tuple[float, float, float] | None:
    """Its ends and its width, which far from 0 is known better than they are."""
    if known.binary:
        low, high = wilson(round(math.fsum(sample.values)), sample.n, level)
        return low, high, high - low
    if bootstrap is None:
        half = t_half(found, level)
        return None if half is None else (found.mean - half, found.mean + half, 2 * half)
    if sample.n < FEWEST or min(sample.values) == max(sample.values):
        return None
    ends = bootstrap_interval(sample.values, found.mean, level, bootstrap)
    return None if ends is None else (*ends, ends[1] - ends[0])


def outliers(values: Iterable[float], q1: float, q3: float) -> list[int]:
    """Places of the values beyond FENCE interquartile ranges: "far out" in Tukey's Exploratory Data Analysis
    (1977). None among fewer than FEWEST_FOR_OUTLIERS values, whose quartiles say too little."""
    values = list(values)
    if len(values) < FEWEST_FOR_OUTLIERS:
        return []
    reach = FENCE * (q3 - q1)
    return [place for place, value in enumerate(values) if value < q1 - reach or value > q3 + reach]
