"""Settings compared: which one is best, which are tied with it, and how all differ from a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tui_lab.results.numeric.exact import Anova, Moments, anova, blocked_anova, deviations, moments
from tui_lab.results.statistics.intervals import (
    FEWEST,
    Bootstrap,
    bootstrap_difference,
    bootstrap_interval,
    newcombe,
    t_quantile,
)
from tui_lab.results.statistics.resolution import Resolution, root_mean_square
from tui_lab.results.statistics.sample import Sample, Summary
from tui_lab.results.statistics.tests import (
    Correction,
    adjusted,
    cliffs_delta,
    fisher_exact,
    hedges_g,
    mann_whitney,
    mcnemar_exact,
    paired_delta,
    paired_g,
    paired_t,
    welch,
    wilcoxon,
)


# --- The ratio of two means, with its interval
@dataclass(frozen=True)
class Ratio:
    """`low` and `high` are None where the divisor does not differ from 0: then no ratio is impossible."""

    value: float
    low: float | None = None
    high: float | None = None


def ratio_of_means(a: Moments, b: Moments, df: float, level: float, differences: Moments | None = None) -> Ratio | None:
    """mean(a) / mean(b) with Fieller's interval (JRSS B 16, 1954): all ratios r for which a - r b may be 0.
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


Goal = Literal["min", "max"]
Verdict = Literal["better", "worse", "can't tell"]


@dataclass(frozen=True)
class Comparison:
    """One setting against the baseline. `difference` is setting minus baseline; where `pairs` is a number, it
    is the mean of that many differences within pairs, the tests are the paired ones, and `ratio` is that of the
    means of the values in pairs."""

    difference: float | None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    pairs: int | None = None
    t: float | None = None
    df: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    rank_test: Literal["mann-whitney", "wilcoxon"] | None = None
    statistic: float | None = None
    p_rank: float | None = None
    p_rank_adjusted: float | None = None
    g: float | None = None
    delta: float | None = None

    sure: bool = False
    """Nothing scatters in this metric, so the difference is what it is, without a test."""

    def verdict(self, goal: Goal | None, level: float) -> Verdict | None:
        """Return the verdict by the corrected test; None without a goal or without a test."""
        if self.difference is None or goal is None or (self.p_adjusted is None and not self.sure):
            return None
        if self.difference == 0 or (self.p_adjusted is not None and self.p_adjusted >= 1 - level):
            return "can't tell"
        return "better" if (self.difference > 0) == (goal == "max") else "worse"


@dataclass(frozen=True)
class TaskCounts:
    """The tasks of one setting: how many are planned, failed and not ended."""

    asked: int = 0
    failed: int = 0
    open: int = 0
    """Tasks that have not ended yet, or were never begun."""


@dataclass(frozen=True)
class ComparisonMethod:
    """The method of comparison."""

    level: float
    correction: Correction
    pair: bool
    """Within pairs, where there are some."""
    known: Resolution
    bootstrap: Bootstrap | None = None
    usual: float | None = None
    """Spread of differences within pairs, for those that are all equal; by default that of the settings compared."""
    offset: int = 0
    """What was subtracted from all values: differences do without, ratios don't."""


def complete(summary: Summary, asked: TaskCounts) -> bool:
    """Return whether a setting has a finite value for each planned repeat: only then may it be called the best by
    default. What diverged, failed or is missing may have been worse."""
    return 0 < summary.n >= asked.asked


def ranked(summaries: Sequence[Summary], goal: Goal | None, behind: Sequence[bool] = ()) -> list[int]:
    """Settings, best mean first (in their own order without a goal); then those that stand `behind`, then those
    without values."""

    def rank(place: int) -> tuple[bool, bool, float]:
        mean = summaries[place].mean
        sign = -1.0 if goal == "max" else 1.0
        return mean is None, bool(behind) and behind[place], 0.0 if mean is None or goal is None else sign * mean

    return sorted(range(len(summaries)), key=rank)


def best(summaries: Sequence[Summary], goal: Goal, behind: Sequence[bool] = ()) -> int | None:
    """The setting with the best mean, the first of equal ones, of those that do not stand `behind`; None where there
    is none."""
    for place in ranked(summaries, goal, behind)[:1]:
        if summaries[place].mean is not None and not (behind and behind[place]):
            return place
    return None


def overall(samples: Sequence[Sample], summaries: Sequence[Summary], how: ComparisonMethod) -> Anova | None:
    """Test whether the settings differ at all: within blocks where values pair, else without assuming equal variances.
    None where that can't be tested, as for a deterministic program."""
    if how.known.deterministic:
        return None
    repeated = [sample for sample in samples if sample.n > 1]
    if how.pair and len(repeated) > 1:
        shared = set.intersection(*(set(sample.pairs) for sample in repeated))
        if len(shared) > 1:
            tables = [dict(zip(sample.pairs, sample.values, strict=True)) for sample in repeated]
            blocks = [[table[pair] for table in tables] for pair in sorted(shared)]
            return blocked_anova(blocks, how.known.floor, [how.known.hidden(sample.values) for sample in repeated])
    return anova([sample.values for sample in samples], [summary.spread for summary in summaries])


def against_best(
    samples: Sequence[Sample],
    summaries: Sequence[Summary],
    best: int,
    how: ComparisonMethod,
    together: Anova | None,
) -> list[float | None]:
    """The corrected p-value of each setting's difference from the best (1 for the best itself, None where
    there is no test).

    Those with 1 - level or more are tied with the best. With Bonferroni's correction the setting that is
    best in truth is among them with at least the confidence of the level, whichever it is: it is left out
    only if one of the others beats it in a test at (1 - level) / (number of others) (subset selection, Gupta,
    Technometrics 7, 1965). Holm's is uniformly more powerful. No p-value is below that of the question whether the
    settings differ at all (`together`, by `overall`), so that the two answers agree. Where repeats are missing, the
    pairs that there are may say that a setting is better whose mean is not: that is no sign of its being worse.
    """
    tests = _tests(samples, summaries, best, how)
    p_values = [
        None if one is None else 1.0 if _turned(one, summaries[place], summaries[best]) else one.p
        for place, one in enumerate(tests)
    ]
    corrected = _adjusted(p_values, how.correction)
    if together is not None and not math.isnan(together.f):
        corrected = [None if p is None else max(p, together.p) for p in corrected]
    corrected[best] = 1.0
    return corrected


def _turned(test: _Test, setting: Summary, best: Summary) -> bool:
    """Return whether the tested difference from the best has another sign than that of the means."""
    return setting.mean is not None and best.mean is not None and test.difference * (setting.mean - best.mean) < 0


def against(
    samples: Sequence[Sample], summaries: Sequence[Summary], baseline: int, how: ComparisonMethod
) -> list[Comparison | None]:
    """Each setting against the baseline; None for the baseline itself and for settings without values. With a
    bootstrap, that gives the interval of the difference; tests and the ratio are the same."""
    tests = _tests(samples, summaries, baseline, how)
    found = [
        None
        if place == baseline
        else _compared(samples[place], samples[baseline], summaries[place], summaries[baseline], tests[place], how)
        for place in range(len(samples))
    ]
    p = _adjusted([None if one is None else one.p for one in found], how.correction)
    p_rank = _adjusted([None if one is None else one.p_rank for one in found], how.correction)
    return [
        None if one is None else replace(one, p_adjusted=p[place], p_rank_adjusted=p_rank[place])
        for place, one in enumerate(found)
    ]


def pairs(a: Sample, b: Sample) -> list[tuple[float, float]]:
    """The values of the pairs that both samples have, in the order of `a`."""
    partners = dict(zip(b.pairs, b.values, strict=True))
    return [(value, partners[pair]) for pair, value in zip(a.pairs, a.values, strict=True) if pair in partners]


def within_pairs(a: Sample, b: Sample) -> list[float]:
    """Differences a - b within the pairs that both samples have, in the order of `a`."""
    return [deviations((first, second), second)[0] for first, second in pairs(a, b)]


@dataclass(frozen=True)
class _Test:
    """One setting against another: `t` and `df` are those of a t test, which values of 0 and 1 do without."""

    p: float
    difference: float
    low: float
    high: float
    t: float | None = None
    df: float | None = None
    differences: tuple[float, ...] | None = None
    """Within pairs, where the test is one of pairs."""
    spread: float | None = None
    """Of the differences."""


def _tests(
    samples: Sequence[Sample], summaries: Sequence[Summary], reference: int, how: ComparisonMethod
) -> list[_Test | None]:
    """Each setting against one of them; None for itself, and where a single value allows no test."""
    if how.known.deterministic:
        return [None] * len(samples)
    other = samples[reference]
    differences = [
        within_pairs(sample, other) if how.pair and place != reference else [] for place, sample in enumerate(samples)
    ]
    usual = root_mean_square(differences) if how.usual is None else how.usual
    return [
        None
        if place == reference
        else _test(sample, other, summaries[place], summaries[reference], differences[place], usual, how)
        for place, sample in enumerate(samples)
    ]


def _test(
    a: Sample, b: Sample, of_a: Summary, of_b: Summary, differences: list[float], usual: float, how: ComparisonMethod
) -> _Test | None:
    if of_a.moments is None or of_b.moments is None or (min(a.n, b.n) < 2 and len(differences) < 2):
        return None
    if how.known.binary:
        return _binary_test(a, b, differences, how)
    if len(differences) > 1:
        found = moments(differences)
        spread = how.known.spread_of_differences(found.sd, usual, a.values, b.values)
        test = paired_t(Moments(found.n, found.mean, spread), how.level)
    else:
        test, spread = welch(of_a.moments, of_b.moments, how.level), None
    if test is None:
        return None
    return _Test(
        test.p,
        test.difference,
        test.low,
        test.high,
        test.t,
        test.df,
        tuple(differences) if len(differences) > 1 else None,
        spread,
    )


def _binary_test(a: Sample, b: Sample, differences: list[float], how: ComparisonMethod) -> _Test:
    """Of shares. The interval of the difference takes no notice of pairs: it is wider than it need be."""
    of_a, of_b = ((round(math.fsum(sample.values)), sample.n) for sample in (a, b))
    low, high = newcombe(of_a, of_b, how.level)
    if len(differences) > 1:
        p = mcnemar_exact(differences.count(1.0), differences.count(-1.0))
        return _Test(p, moments(differences).mean, low, high, differences=tuple(differences))
    return _Test(fisher_exact(of_a, of_b), of_a[0] / a.n - of_b[0] / b.n, low, high)


def _compared(
    a: Sample, b: Sample, of_a: Summary, of_b: Summary, test: _Test | None, how: ComparisonMethod
) -> Comparison | None:
    if of_a.mean is None or of_b.mean is None or of_a.moments is None or of_b.moments is None:
        return None
    if test is None:
        above, below = of_a.mean + how.offset, of_b.mean + how.offset
        quotient = above / below if below != 0 else None
        return Comparison(of_a.mean - of_b.mean, ratio=quotient, sure=how.known.deterministic)
    differences = test.differences
    first, second, apart = of_a.moments, of_b.moments, None
    if differences is None:
        rank = mann_whitney(a.values, b.values)
    else:
        rank = wilcoxon(differences)
        found = moments(differences)
        apart = Moments(found.n, found.mean, test.spread)
        both = list(zip(*pairs(a, b), strict=True))
        first, second = (replace(moments(values), sd=how.known.spread(values, moments(values).sd)) for values in both)
    first, second = (replace(one, mean=one.mean + how.offset) for one in (first, second))
    ratio = None
    if test.df is not None:
        ratio = ratio_of_means(first, second, test.df, how.level, apart)
    elif second.mean:
        ratio = Ratio(first.mean / second.mean)
    interval: tuple[float, float] | None = (test.low, test.high)
    if how.bootstrap is not None and not how.known.binary:
        if min(a.n, b.n) < FEWEST or (differences is not None and len(differences) < FEWEST):
            interval = None
        elif differences is None:
            interval = bootstrap_difference(a.values, b.values, test.difference, how.level, how.bootstrap)
        else:
            interval = bootstrap_interval(differences, test.difference, how.level, how.bootstrap)
    return Comparison(
        difference=test.difference,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        ratio=None if ratio is None else ratio.value,
        ratio_low=None if ratio is None else ratio.low,
        ratio_high=None if ratio is None else ratio.high,
        pairs=None if differences is None else len(differences),
        t=test.t,
        df=test.df,
        p=test.p,
        rank_test="mann-whitney" if differences is None else "wilcoxon",
        statistic=None if rank is None else rank.statistic,
        p_rank=None if rank is None else rank.p,
        g=hedges_g(of_a.moments, of_b.moments) if apart is None else paired_g(apart),
        delta=cliffs_delta(a.values, b.values) if differences is None else paired_delta(differences),
    )


def _adjusted(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Corrected for the number of tests that there are."""
    corrected = iter(adjusted([p for p in p_values if p is not None], correction))
    return [None if p is None else next(corrected) for p in p_values]
