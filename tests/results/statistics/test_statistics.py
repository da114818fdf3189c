"""Descriptive statistics and tests against NIST's certified values, scipy and statsmodels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.workbench import REPOSITORY
from tui_lab.results.numeric.exact import anova, moments
from tui_lab.results.numeric.quantile import quantile
from tui_lab.results.statistics.comparison import Ratio, ratio_of_means
from tui_lab.results.statistics.intervals import Bootstrap, bootstrap_difference, bootstrap_interval
from tui_lab.results.statistics.resolution import printed_step
from tui_lab.results.statistics.sample import Sample, describe, outliers
from tui_lab.results.statistics.tests import (
    adjusted,
    cliffs_delta,
    hedges_g,
    mann_whitney,
    paired_delta,
    paired_t,
    welch,
    wilcoxon,
)

NIST = REPOSITORY / "tests/golden/nist"

# --- NIST


def nist(name: str) -> tuple[list[list[float]], dict[str, float]]:
    """The groups of a data set, and its certified values."""
    text = (NIST / f"{name}.dat").read_text()
    groups: dict[str, list[float]] = {}
    for line in text.split("Data:")[-1].splitlines()[1:]:
        if line.strip():
            treatment, value = line.split()
            groups.setdefault(treatment, []).append(float(value))
    between = re.search(r"Between \w+ +\d+ (\S+) \S+ (\S+)", text)
    within = re.search(r"Within \w+ +\d+ (\S+)", text)
    squared = re.search(r"R-Squared (\S+)", text)
    assert between and within and squared
    certified = {"between": between[1], "f": between[2], "within": within[1], "eta": squared[1]}
    return list(groups.values()), {name: float(value) for name, value in certified.items()}


def simon_lesage(leading: int, repeats: int) -> list[list[float]]:
    """SmLs01 to 09 by their definition: nine treatments around .4, .3 and .2 or .5 with a pattern of ±0.1, on top
    of a constant with many digits. The certified F is the number of repeats."""
    small, _ = nist({1: "SmLs01", 1_000_000: "SmLs04", 1_000_000_000_000: "SmLs07"}[leading])
    # The first value of each treatment is its centre; pairs of centre - 0.1 and centre + 0.1 follow.
    return [group[:1] + group[1:3] * ((repeats - 1) // 2) for group in small]


@pytest.mark.parametrize("name", ["SiRstv", "AtmWtAg", "SmLs01", "SmLs04", "SmLs07"])
def test_anova_gives_the_certified_values(name: str) -> None:
    groups, certified = nist(name)
    found = anova(groups)
    assert found is not None
    assert found.f == pytest.approx(certified["f"], rel=1e-11)
    assert found.between == pytest.approx(certified["between"], rel=1e-11)
    assert found.within == pytest.approx(certified["within"], rel=1e-11)
    assert found.between / (found.between + found.within) == pytest.approx(certified["eta"], rel=1e-11)


@pytest.mark.parametrize("leading", [1, 1_000_000, 1_000_000_000_000])
@pytest.mark.parametrize("repeats", [21, 201, 2001])
def test_anova_of_constant_leading_digits_is_closer_than_scipy(leading: int, repeats: int) -> None:
    groups = simon_lesage(leading, repeats)
    found = anova(groups)
    assert found is not None
    error = abs(found.f - repeats)
    assert error <= 1e-9
    assert error <= abs(stats.f_oneway(*groups).statistic - repeats) + 1e-12 * repeats


def test_the_generated_sets_are_nists() -> None:
    for leading, name in ((1, "SmLs01"), (1_000_000, "SmLs04"), (1_000_000_000_000, "SmLs07")):
        assert simon_lesage(leading, 21) == nist(name)[0]


@pytest.mark.parametrize(
    ("first", "pair", "mean", "sd"),
    [
        (1.2, (1.1, 1.3), 1.2, 0.1),  # NumAcc2
        (1000000.2, (1000000.1, 1000000.3), 1000000.2, 0.1),  # NumAcc3
        (10000000.2, (10000000.1, 10000000.3), 10000000.2, 0.1),  # NumAcc4
    ],
)
def test_means_and_deviations_of_nists_constructed_sets(
    first: float, pair: tuple[float, float], mean: float, sd: float
) -> None:
    found = moments([first, *pair * 500])
    assert found.mean == mean
    assert found.sd == pytest.approx(sd, rel=1e-14)
    assert moments([10000001.0, 10000003.0, 10000002.0]).sd == 1.0  # NumAcc1


# --- One sample

floats = st.floats(-1e6, 1e6)
samples = st.lists(floats, min_size=2, max_size=40)


@given(samples)
@example([0.0, 1.0])
@example([0.0, 1e-05])
def test_a_summary_equals_numpy_and_scipy(values: list[float]) -> None:
    found = describe(Sample(tuple(values)))
    data = np.array(values)
    wide = max(1.0, float(np.abs(data).max()))
    assert found.mean == pytest.approx(data.mean(), abs=1e-9 * wide)
    assert found.sd == pytest.approx(data.std(ddof=1), rel=1e-7, abs=1e-9 * wide)
    quartiles = np.quantile(data, [0.25, 0.5, 0.75])
    assert [found.q1, found.median, found.q3] == pytest.approx(list(quartiles), abs=1e-9 * wide)
    assert (found.min, found.max) == (min(values), max(values))
    assert found.sd is not None
    if found.sd > 1e-9 * wide and not set(values) <= {0, 1}:  # shares have an interval of their own
        low, high = stats.t.interval(0.95, len(values) - 1, data.mean(), stats.sem(data))
        if found.sd > printed_step(values):
            assert [found.low, found.high] == pytest.approx([low, high], rel=1e-7, abs=1e-9 * wide)
        else:  # what rounding hides makes the interval wider
            assert found.low is not None and found.high is not None
            assert found.low <= low + 1e-9 * wide and high - 1e-9 * wide <= found.high


@pytest.mark.parametrize("scale", [1e-200, 1e-5, 1e150, 1e300])
def test_very_large_and_small_numbers(scale: float) -> None:
    found = moments([1 * scale, 2 * scale, 3 * scale])
    assert found.mean == pytest.approx(2 * scale)
    assert found.sd == pytest.approx(scale)
    assert moments([1.7e308, 1.7e308, 1.7e308]).mean == 1.7e308
    assert moments([-1.7e308, 1.7e308]).sd == math.inf


def test_few_values() -> None:
    assert describe(Sample((), n_null=2, n_nan=1)).n == 0
    one = describe(Sample((3.5,)))
    assert (one.mean, one.median, one.sd, one.half) == (3.5, 3.5, None, None)
    same = describe(Sample((0.1,) * 3))
    assert (same.mean, same.sd) == (0.1, 0)
    assert same.half is not None and same.half > 0.1, "printed with one decimal, it may be anything near"
    assert quantile([1.0, 2.0], 0.5) == 1.5


def test_outliers_are_far_beyond_the_quartiles() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 9.0]
    q1, _, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    assert outliers(values, q1, q3) == [5]
    assert outliers([1.0, 1.0, 9.0], 1.0, 1.0) == [], "three values say too little"


@pytest.mark.parametrize("method", ["BCa", "percentile"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bootstrap_intervals_are_scipys(method: Literal["BCa", "percentile"], level: float) -> None:
    values = list(np.random.default_rng(3).exponential(2.0, 12) + 100)
    how = Bootstrap(2000, method, 7)
    found = bootstrap_interval(values, float(np.mean(values)), level, how)
    again = stats.bootstrap(
        (np.array(values),),
        np.mean,
        n_resamples=2000,
        confidence_level=level,
        method=method,
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert found == pytest.approx((again.low, again.high), rel=1e-12)
    assert found == bootstrap_interval(values, float(np.mean(values)), level, how), "reproducible"


def test_bootstrap_of_equal_and_single_values() -> None:
    assert bootstrap_interval([2.0, 2.0], 2.0, 0.95, Bootstrap(100)) == (2.0, 2.0)
    assert bootstrap_interval([2.0], 2.0, 0.95, Bootstrap(100)) is None


# --- Two samples


@given(samples, samples)
def test_welch_equals_scipy(a: list[float], b: list[float]) -> None:
    of_a, of_b = moments(a), moments(b)
    found = welch(of_a, of_b, 0.95)
    assert found is not None and of_a.sd is not None and of_b.sd is not None
    if min(of_a.sd, of_b.sd) < 1e-6 * max(1, *map(abs, [*a, *b])):
        return
    theirs = stats.ttest_ind(a, b, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert found.t == pytest.approx(theirs.statistic, rel=1e-5, abs=1e-7)
    assert found.df == pytest.approx(theirs.df, rel=1e-6)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-4, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-5, abs=1e-5)


def test_tests_where_nothing_varies() -> None:
    same, other = moments([1.0, 1.0]), moments([2.0, 2.0, 2.0])
    equal, apart = welch(same, same, 0.95), welch(same, other, 0.95)
    assert equal is not None and apart is not None
    assert (equal.p, apart.p, apart.t) == (1.0, 0.0, -math.inf)
    assert welch(moments([1.0]), other, 0.95) is None
    u = mann_whitney([1.0, 1.0], [1.0])
    assert u is not None and u.p == 1.0
    w = wilcoxon([0.0, 0.0])
    assert w is not None and w.p == 1.0
    assert hedges_g(same, same) == 0
    assert hedges_g(same, other) == -math.inf


@given(samples, samples)
def test_u_and_cliffs_delta_count_the_same_pairs(a: list[float], b: list[float]) -> None:
    found = mann_whitney(a, b)
    assert found is not None
    delta = cliffs_delta(a, b)
    assert delta is not None
    counted = np.sign(np.subtract.outer(a, b)).mean()
    assert delta == pytest.approx(counted)
    assert found.statistic == pytest.approx((delta + 1) / 2 * len(a) * len(b))


def test_effect_sizes_by_hand() -> None:
    a, b = [3.0, 4.0, 5.0], [1.0, 2.0, 3.0]
    # d = 2; the correction for 4 degrees of freedom is about 1 - 3 / (4 * 4 - 1) = 0.8.
    assert hedges_g(moments(a), moments(b)) == pytest.approx(2 * 0.7978846, rel=1e-6)
    assert cliffs_delta(a, b) == pytest.approx(8 / 9)
    assert paired_delta([1.0, -1.0, 2.0, 0.0]) == 0.25


@given(st.lists(st.tuples(floats, floats), min_size=3, max_size=20))
def test_paired_t_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    differences = [a - b for a, b in pairs]
    found = paired_t(moments(differences), 0.95)
    assert found is not None
    if np.std(differences) < 1e-6 * max(1, *np.abs(differences)):
        return
    theirs = stats.ttest_rel([a for a, _ in pairs], [b for _, b in pairs])
    assert found.t == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-5, abs=1e-12)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrections_equal_statsmodels(p_values: list[float]) -> None:
    for ours, theirs in (("holm", "holm"), ("bh", "fdr_bh"), ("bonferroni", "bonferroni")):
        expected = multipletests(p_values, method=theirs)[1]
        assert adjusted(p_values, ours) == pytest.approx(list(expected))  # type: ignore[arg-type]
    assert adjusted(p_values, "none") == p_values


def test_t_interval_of_nine_values_by_the_book() -> None:
    found = describe(Sample(tuple(float(value) for value in range(1, 10))))
    # mean 5, sd 2.7386, se 0.91287, t(0.975, 8) = 2.3060
    assert (found.low, found.high) == pytest.approx((5 - 2.1051, 5 + 2.1051), abs=1e-4)
    assert found.half == pytest.approx(2.1051, abs=1e-4)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstrap_differences_are_scipys(method: Literal["BCa", "percentile"]) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.exponential(2, 14), rng.exponential(1, 9)
    how = Bootstrap(20_000, method)
    found = bootstrap_difference(a.tolist(), b.tolist(), float(a.mean() - b.mean()), 0.9, how)
    again = stats.bootstrap(
        (a, b),
        lambda x, y, axis=-1: x.mean(axis=axis) - y.mean(axis=axis),
        confidence_level=0.9,
        n_resamples=20_000,
        method=method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found == pytest.approx((again.low, again.high), abs=0.05)
    assert found == bootstrap_difference(a.tolist(), b.tolist(), float(a.mean() - b.mean()), 0.9, how), "reproducible"


def test_bootstrap_resamples_two_samples_apart() -> None:
    """Equal samples resampled alike would have a difference of 0 in every resample."""
    values = [1.0, 2.0, 3.0, 4.0, 9.0]
    low, high = bootstrap_difference(values, values, 0.0, 0.95, Bootstrap(2000)) or (0.0, 0.0)
    assert low < -1 and high > 1
    assert bootstrap_difference([2.0, 2.0], [1.0, 1.0], 1.0, 0.95, Bootstrap(100)) == (1.0, 1.0)
    assert bootstrap_difference([2.0], [1.0, 3.0], 0.0, 0.95, Bootstrap(100)) is None


# --- Ratios


def ratio(a: Sequence[float], b: Sequence[float], df: float, level: float, paired: bool) -> Ratio | None:
    differences = moments([x - y for x, y in zip(a, b, strict=True)]) if paired else None
    return ratio_of_means(moments(a), moments(b), df, level, differences)


def test_a_paired_ratio_is_the_one_that_the_t_test_allows() -> None:
    """Fieller's limits are the ratios r at which a - r b is just not told from 0."""
    rng = np.random.default_rng(2)
    b = rng.normal(5, 1, 12)
    a = 1.3 * b + rng.normal(0, 0.5, 12)
    found = ratio(a.tolist(), b.tolist(), 11, 0.95, paired=True)
    assert found is not None and found.low is not None and found.high is not None
    assert found.low < found.value < found.high
    for limit in (found.low, found.high):
        assert stats.ttest_1samp(a - limit * b, 0).pvalue == pytest.approx(0.05)


def test_a_ratio_of_two_samples_solves_its_equation() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(8, 2, 10), rng.normal(4, 0.5, 7)
    df = stats.ttest_ind(a, b, equal_var=False).df
    found = ratio(a.tolist(), b.tolist(), df, 0.99, paired=False)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(a.mean() / b.mean())
    for limit in (found.low, found.high):
        se = math.sqrt(a.var(ddof=1) / 10 + limit**2 * b.var(ddof=1) / 7)
        assert abs(a.mean() - limit * b.mean()) == pytest.approx(stats.t.ppf(0.995, df) * se)


@pytest.mark.parametrize("shift", [0.5, 0.9, 1.1, 2.0, 4.0])
def test_a_ratio_holds_1_where_the_difference_holds_0(shift: float) -> None:
    rng = np.random.default_rng(int(shift * 10))
    for _ in range(50):
        a, b = rng.normal(5 + shift, 1, 6), rng.normal(5, 2, 9)
        test = stats.ttest_ind(a, b, equal_var=False)
        found = ratio(a.tolist(), b.tolist(), test.df, 0.95, paired=False)
        if found is not None and found.low is not None and found.high is not None:
            assert (found.low <= 1 <= found.high) == (test.pvalue >= 0.05)


def test_ratios_without_an_interval() -> None:
    assert ratio([1.0, 2.0], [0.0, 0.0], 2, 0.95, False) is None
    noisy = ratio([1.0, 2.0], [-1.0, 2.0], 2, 0.95, False)
    assert noisy is not None and (noisy.value, noisy.low, noisy.high) == (3.0, None, None), "b may be 0"
    single = ratio([3.0], [2.0, 2.5], 1, 0.95, False)
    assert single is not None and single.low is None
    same = ratio([3.0, 3.0], [2.0, 2.0], 2, 0.95, False)
    assert same is not None and (same.low, same.high) == (1.5, 1.5)
    huge = ratio([1e300, 3e300], [1e300, 1.1e300], 1.1, 0.5, False)
    assert huge is not None and huge.low is not None and 0 < huge.low < huge.value
