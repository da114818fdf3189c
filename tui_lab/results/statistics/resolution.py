"""How finely a metric is known: the step of its printed values, and what a spread of 0 means.

Equal values are no certainty. A program that prints two decimals gives 0.97 three times where the values differ in the
third; a coin gives heads three times in a row. So a mean is never known better than its values were printed, a setting
whose values are all equal is taken to scatter as the others do, and 0/1 values have methods of their own. Only where
every repeat of every setting gives the same again does nothing scatter: then nothing is tested either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tui_lab.results.numeric.exact import moments

ENOUGH: Final = 5
"""Repeats beyond the first of each setting, in all settings together, that must be equal before a program is taken for
deterministic: a fair coin does that once in 32 times."""
DIGITS: Final = 12
"""Significant digits that count as printed; what comes behind them may be rounding of binary numbers."""
SHORT: Final = 8
"""Significant digits that a printed value has at most, for its reciprocal to be known by them."""
NOISE: Final = 4
"""Values that are at most so many neighbouring binary numbers apart may be one printed value that was computed with."""
_UNIFORM: Final = math.sqrt(12)
"""A value rounded to a step has an error of step / sqrt(12): the standard deviation of a uniform distribution."""


@dataclass(frozen=True)
class Resolution:
    """The resolution of one metric in all settings."""

    step: float = 0.0
    """Distance of neighbouring values as printed."""
    binary: bool = False
    """All values are 0 or 1."""
    deterministic: bool = False
    """Every repeat of every setting gives one value again, and there are ENOUGH of them."""
    sd: float = 0.0
    """Root of the mean variance within settings, weighted by their degrees of freedom."""

    @property
    def floor(self) -> float:
        """Standard deviation that rounding alone gives."""
        return self.step / _UNIFORM

    def spread(self, values: Sequence[float], sd: float | None) -> float | None:
        """The standard deviation that tests and intervals of a sample with this `sd` rest on; None for a single
        value."""
        return self.spread_between(len(values), min(values), max(values), sd)

    def spread_between(self, n: int, low: float, high: float, sd: float | None) -> float | None:
        """The same for `n` values, of which `low` is the least and `high` the greatest."""
        if sd is None or self.deterministic:
            return None if sd is None else 0.0
        return math.hypot(max(sd if sd > 0 else self.sd, self.floor), self._hidden(n, low, high))

    def hidden(self, values: Sequence[float]) -> float:
        """What rounding adds to the spread of values that lie within one step: they hide where in it their mean is,
        an error that does not shrink with their number. Whole numbers may be counts, which are exact."""
        return self._hidden(len(values), min(values), max(values))

    def _hidden(self, n: int, low: float, high: float) -> float:
        if not 0 < self.step < 1 or high - low > self.step * (1 + 1e-9):
            return 0.0
        return self.floor * math.sqrt(n)

    def spread_of_differences(self, sd: float | None, others: float, *values: Sequence[float]) -> float | None:
        """The same for differences within pairs, each of two printed `values`; `others` is the spread of the
        differences of other settings."""
        if sd is None or self.deterministic:
            return None if sd is None else 0.0
        return math.hypot(max(sd if sd > 0 else others, self.floor * math.sqrt(2)), *map(self.hidden, values))


def resolution(samples: Iterable[Sequence[float]], offset: int = 0) -> Resolution:
    """Return the resolution of a metric from its values by setting. `offset` was subtracted from each."""
    samples = [sample for sample in samples if sample]
    every = {value for sample in samples for value in sample}
    repeats = sum(len(sample) - 1 for sample in samples)
    flat = all(min(sample) == max(sample) for sample in samples)
    return Resolution(
        step=printed_step(every),
        binary=bool(every) and not offset and every <= {0.0, 1.0},
        deterministic=flat and repeats >= ENOUGH,
        sd=0.0 if flat else root_mean_square(samples),
    )


def root_mean_square(samples: Iterable[Sequence[float]]) -> float:
    """Root of the mean variance of samples, weighted by their degrees of freedom; 0 without repeats."""
    found = [(len(sample) - 1, moments(sample).sd or 0.0) for sample in samples if len(sample) > 1]
    largest = max((sd for _, sd in found), default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(math.fsum(df * (sd / largest) ** 2 for df, sd in found) / sum(df for df, _ in found))


def printed_step(values: Iterable[float]) -> float:
    """The distance of neighbouring values as printed: 0.01 for two decimals, 1 for whole numbers; 0 for no values. Of
    values that were printed as their reciprocals (`3.00 s/it`, read as it/s) it is that of the largest."""
    ordered = sorted(set(values))
    if not ordered:
        return 0.0
    step = _reciprocal_step(ordered) or float(f"1e{min(map(_last_digit, ordered))}")
    # At large offsets the digits that tell values apart come late: what lies closer together was printed finer.
    gaps = (after - before for before, after in pairwise(ordered) if after - before > NOISE * math.ulp(after))
    closest = min(gaps, default=math.inf)
    return closest if closest < step / 2 else step


def _reciprocal_step(values: Sequence[float]) -> float:
    """The step of values that are reciprocals of printed ones; 0 where they are not. Some may have been printed as they
    are, as programs do that write `3.00 s/it` and `1.25 it/s`."""
    inverted = [value for value in values if _digits(value) >= DIGITS - 1]
    if not inverted or any(_digits(1 / value) > SHORT for value in inverted):
        return 0.0
    last = min(_last_digit(1 / value) for value in inverted)
    step = float(f"1e{last}") * max(map(abs, inverted)) ** 2
    plain = [_last_digit(value) for value in values if value and _last_digit(1 / value) < last]
    return max(step, float(f"1e{min(0, *plain)}")) if plain else step


def _digits(value: float) -> int:
    """How many significant digits a number needs, at most DIGITS."""
    return len(f"{value:.{DIGITS}g}".partition("e")[0].replace(".", "").strip("-0"))


def _last_digit(value: float) -> int:
    """The power of ten of the last digit that a number needs, at most DIGITS of them; 0 for whole ones."""
    mantissa, _, exponent = f"{value:.{DIGITS}g}".partition("e")
    decimals = len(mantissa.partition(".")[2])
    return int(exponent or 0) - decimals if exponent else -decimals
