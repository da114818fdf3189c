"""Settings compared: which one is best, which can't be told from it, and how all differ from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tui_lab.results.statistics import Sample, Summary
from tui_lab.results.statistics_exact import deviations, moments
from tui_lab.results.statistics_intervals import Bootstrap, bootstrap_difference, bootstrap_interval
from tui_lab.results.statistics_ratio import ratio_of_means
from tui_lab.results.statistics_tests import (
    Correction,
    TTest,
    adjusted,
    cliffs_delta,
    hedges_g,
    mann_whitney,
    paired_delta,
    paired_g,
    paired_t,
    welch,
    wilcoxon,
)

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

    def verdict(self, goal: Goal | None, level: float) -> Verdict | None:
        """By the corrected t test; None without a goal or without a test."""
        if self.p_adjusted is None or self.difference is None or goal is None:
            return None
        if self.p_adjusted >= 1 - level:
            return "can't tell"
        return "better" if (self.difference > 0) == (goal == "max") else "worse"


def best(summaries: Sequence[Summary], goal: Goal) -> int | None:
    """The setting with the best mean, the first of equal ones; None where no setting has a value."""
    chosen: tuple[float, int] | None = None
    for place, summary in enumerate(summaries):
        if summary.mean is not None:
            value = -summary.mean if goal == "max" else summary.mean
            if chosen is None or value < chosen[0]:
                chosen = (value, place)
    return None if chosen is None else chosen[1]


def against_best(
    samples: Sequence[Sample],
    summaries: Sequence[Summary],
    best: int,
    level: float,
    correction: Correction,
    pair: bool,
) -> list[float | None]:
    """The corrected p-value of each setting's difference from the best (1 for the best itself, None where
    there is no test).

    Those with 1 - level or more can't be told from the best. With Bonferroni's correction the setting that is
    best in truth is among them with at least the confidence of the level, whichever it is: it is left out
    only if one of the others beats it in a test at (1 - level) / (number of others) (subset selection, Gupta,
    Technometrics 7, 1965). Holm's is uniformly more powerful.
    """
    tests: list[float | None] = []
    for place, sample in enumerate(samples):
        found = (
            None if place == best else _t_test(sample, samples[best], summaries[place], summaries[best], level, pair)
        )
        tests.append(None if found is None else found[0].p)
    corrected = _adjusted(tests, correction)
    corrected[best] = 1.0
    return corrected


def against(
    samples: Sequence[Sample],
    summaries: Sequence[Summary],
    baseline: int,
    level: float,
    correction: Correction,
    pair: bool,
    bootstrap: Bootstrap | None = None,
) -> list[Comparison | None]:
    """Each setting against the baseline; None for the baseline itself and for settings without values. With a
    bootstrap, that gives the interval of the difference; tests and the ratio are the same."""
    found = [
        None
        if place == baseline
        else _compared(sample, samples[baseline], summaries[place], summaries[baseline], level, pair, bootstrap)
        for place, sample in enumerate(samples)
    ]
    p = _adjusted([None if one is None else one.p for one in found], correction)
    p_rank = _adjusted([None if one is None else one.p_rank for one in found], correction)
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


def _t_test(
    a: Sample, b: Sample, of_a: Summary, of_b: Summary, level: float, pair: bool
) -> tuple[TTest, list[float] | None] | None:
    differences = within_pairs(a, b) if pair else []
    if len(differences) > 1:
        test = paired_t(moments(differences), level)
        return None if test is None else (test, differences)
    if of_a.moments is None or of_b.moments is None:
        return None
    test = welch(of_a.moments, of_b.moments, level)
    return None if test is None else (test, None)


def _compared(
    a: Sample, b: Sample, of_a: Summary, of_b: Summary, level: float, pair: bool, bootstrap: Bootstrap | None
) -> Comparison | None:
    if of_a.mean is None or of_b.mean is None or of_a.moments is None or of_b.moments is None:
        return None
    found = _t_test(a, b, of_a, of_b, level, pair)
    if found is None:
        return Comparison(of_a.mean - of_b.mean, ratio=of_a.mean / of_b.mean if of_b.mean != 0 else None)
    test, differences = found
    if differences is None:
        first, second = a.values, b.values
        rank = mann_whitney(first, second)
    else:
        first, second = zip(*pairs(a, b), strict=True)
        rank = wilcoxon(differences)
    ratio = ratio_of_means(first, second, test.df, level, paired=differences is not None)
    interval: tuple[float, float] | None = (test.low, test.high)
    if bootstrap is not None and differences is None:
        interval = bootstrap_difference(a.values, b.values, test.difference, level, bootstrap)
    elif bootstrap is not None and differences is not None:
        interval = bootstrap_interval(differences, test.difference, level, bootstrap)
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
        g=hedges_g(of_a.moments, of_b.moments) if differences is None else paired_g(moments(differences)),
        delta=cliffs_delta(a.values, b.values) if differences is None else paired_delta(differences),
    )


def _adjusted(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Corrected for the number of tests that there are."""
    corrected = iter(adjusted([p for p in p_values if p is not None], correction))
    return [None if p is None else next(corrected) for p in p_values]
