"""What docs/statistics.md promises, by simulated experiments and by cases that go wrong where equal values count as
certainty."""

from __future__ import annotations

import importlib.util
import itertools
import math
import random
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.workbench import REPOSITORY
from tui_lab.results.numeric.exact import anova, blocked_anova
from tui_lab.results.statistics.comparison import TaskCounts
from tui_lab.results.statistics.intervals import newcombe, wilson
from tui_lab.results.statistics.report import MetricReport, judge
from tui_lab.results.statistics.resolution import printed_step, resolution
from tui_lab.results.statistics.sample import Sample, describe
from tui_lab.results.statistics.tests import fisher_exact, mcnemar_exact


def coverage() -> Any:
    """benchmarks/coverage.py as a module."""
    path = REPOSITORY / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def judged(*values: list[float], goal: str = "max", pair: bool = False, **more: Any) -> MetricReport:
    samples = [Sample(tuple(one), tuple(range(len(one))), tuple(range(len(one)))) for one in values]
    return judge("m", samples, goal, pair=pair, **more)  # type: ignore[arg-type]


def standings(report: MetricReport) -> list[str | None]:
    return [report.standing(place) for place in range(len(report.samples))]


# --- Simulated


KINDS = ("normal", "heteroscedastic", "log-normal", "0/1", "two decimals", "two decimals, heteroscedastic")


@pytest.mark.parametrize("kind", KINDS)
def test_the_truly_best_setting_is_among_the_best_and_the_tied(kind: str) -> None:
    simulate = coverage().simulate
    for paired in (False, True):
        found = tried = 0
        for count, n, trials in ((2, 2, 40), (2, 3, 40), (5, 5, 40), (20, 2, 10), (20, 10, 6)):
            tally = simulate(kind, count, n, paired, trials, seed=7)
            found, tried = found + tally.found["best"], tried + tally.tried["best"]
        # A true 94 % is below this once in a thousand times.
        assert found / tried >= 0.94 - 3.1 * math.sqrt(0.94 * 0.06 / tried), (kind, paired, found, tried)


def test_settings_that_are_equal_are_rarely_said_to_differ() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(200):
        values = [rng.normal(0, sd, n).tolist() for sd, n in ((5, 3), (1, 20), (1, 20), (1, 20))]
        report = judged(*values)
        assert report.anova is not None
        alarms += report.anova.p < 0.05
        if report.anova.p >= 0.05:
            assert "worse" not in standings(report), "the two answers agree"
    assert alarms / 200 < 0.17, "Fisher's F says so in half of them"


# --- Equal values are no certainty


def test_three_flips_of_twenty_fair_coins_tell_nothing() -> None:
    rng = random.Random(3)
    for _ in range(20):
        report = judged(*([float(rng.random() < 0.5) for _ in range(3)] for _ in range(20)))
        assert "worse" not in standings(report)
        assert all(p is not None and p > 0.05 for p in report.p_best)
    sure = judged([1.0] * 3, [0.0] * 3, [1.0, 0.0, 1.0])
    assert sure.summaries[0].low is not None and sure.summaries[0].low < 0.5, "three of three is not always"


def test_equal_values_in_some_settings_are_taken_to_scatter_as_others_do() -> None:
    report = judged([0.90, 0.90], [0.91, 0.91], [0.89, 0.92], [0.88, 0.92])
    assert "worse" not in standings(report)
    assert all(one.half is not None and one.half > 0.005 for one in report.summaries)
    full = judged([0.123456789] * 3, [0.123456790] * 3, [0.1, 0.2, 0.15])
    assert standings(full)[:2] != ["worse", "worse"] and "worse" not in standings(full)
    # What is far apart is told apart, equal or not.
    far = judged([0.90] * 5, [0.50] * 5, [0.89, 0.90, 0.91, 0.90, 0.90])
    assert standings(far)[1] == "worse" and standings(far)[2] == "tied"


def test_a_deterministic_program_is_said_to_be_one_and_nothing_is_tested() -> None:
    report = judged(*([0.7 + place / 100] * 3 for place in range(12)))
    assert report.known.deterministic and report.anova is None
    assert standings(report) == ["worse"] * 11 + ["best"]
    assert report.p_best[:11] == [None] * 11
    assert all(one.low is None and one.half is None for one in report.summaries), "no 0.77 ± 0"
    equal = judged([0.5] * 4, [0.5] * 4, [0.4] * 4, baseline=0)
    assert standings(equal) == ["best", "tied", "worse"]
    assert [one.verdict("max", 0.95) for one in equal.comparisons if one] == ["can't tell", "worse"]
    # Two repeats of two settings are too few to know.
    assert not judged([0.9] * 2, [0.8] * 2).known.deterministic


def test_a_single_value_is_not_tested() -> None:
    assert standings(judged([1.0], [2.0], [3.0])) == ["untested", "untested", "best"]
    assert standings(judged([1.0], [3.0, 3.1, 2.9], [0.1, 0.0, 0.2])) == ["untested", "best", "worse"]


def test_differences_within_pairs_that_are_all_equal() -> None:
    shared = [0.81, 0.77, 0.85]
    report = judged([one + 0.01 for one in shared], shared, pair=True)
    assert report.standing(1) == "tied", "a step of the last digit is no difference"
    apart = judged([one + 0.2 for one in shared], shared, pair=True)
    assert apart.standing(1) == "worse"


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.5, 0.25], 0.01),
        ([3.0, 10.0], 1.0),
        ([1e160, 2.5e160], 1e159),
        ([1.1 * 1000], 1.0),
        ([], 0.0),
        ([1e9, 1e9 + 1e-6], 1e-6),
        ([0.1 + 0.2, 0.3], 0.1),
        ([1 / 3.0, 1 / 3.01], 0.01 / 9),  # printed as their reciprocals
        ([0.0, 1 / 3.01, 1 / 4.0], 0.01 / 9),
        ([1 / 3.01, 1.37], 0.01),
        ([1 / 3.0, 20.0], 1.0),
        ([0.123456789012, 0.2], 1e-12),
    ],
)
def test_the_step_of_printed_values(values: list[float], step: float) -> None:
    assert printed_step(values) == pytest.approx(step, rel=0.1)


def test_equal_reciprocals_are_no_certainty() -> None:
    report = judged([1 / 3.0] * 2, [1 / 3.01] * 2, [1 / 9.5] * 2, goal="max")
    assert [report.standing(place) for place in range(3)] == ["best", "tied", "worse"]


def test_differences_far_below_an_offset_are_seen() -> None:
    report = judged(*([1e9 + middle + 1e-6 * k for k in range(6)] for middle in (0.0, 1e-4)), goal="min")
    assert standings(report) == ["best", "worse"]


def test_values_near_the_ends_of_floats_give_no_test_that_is_none() -> None:
    report = judged([1.7e308, -1.7e308, 1.6e308], [-1.7e308, 1.7e308, -1.6e308], pair=True, baseline=0)
    assert all(one is None or one.p is None or not math.isnan(one.p) for one in report.comparisons)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e160, 1e300])
def test_verdicts_do_not_depend_on_the_scale(scale: float) -> None:
    values = [[1.0, 1.1, 0.9, 1.05], [2.0, 2.1, 1.9, 2.05], [1.0, 1.0, 1.0, 1.0]]
    report = judged(*([value * scale for value in one] for one in values), goal="min", baseline=1)
    assert report.standing(1) == "worse"
    assert report.anova is not None and report.anova.p < 0.001
    assert describe(Sample((scale, 2 * scale, 3 * scale))).half == pytest.approx(2.4841377 * scale)


# --- Values of 0 and 1


def test_the_interval_of_a_share_holds_what_it_promises() -> None:
    for n, p in itertools.product((2, 3, 5, 10, 30), (0.05, 0.2, 0.5, 0.8, 0.95)):
        inside = 0.0
        for k in range(n + 1):
            low, high = wilson(k, n, 0.95)
            inside += stats.binom.pmf(k, n, p) * (low <= p <= high)
        assert inside >= 0.94, (n, p)
    # Newcombe 1998, table I, method 4: 81 of 263, and 0 of 20.
    assert wilson(81, 263, 0.95) == pytest.approx((0.2535, 0.3682), abs=5e-5)
    assert wilson(0, 20, 0.95) == pytest.approx((0, 0.2005), abs=5e-5)
    # Newcombe 1998, table II, method 11: 56/70 - 48/80.
    assert newcombe((56, 70), (48, 80), 0.95) == pytest.approx((0.0428, 0.3422), abs=5e-5)


def test_shares_are_compared_exactly() -> None:
    assert fisher_exact((8, 10), (1, 10)) == pytest.approx(stats.fisher_exact(np.array([[8, 2], [1, 9]])).pvalue)
    assert mcnemar_exact(9, 1) == pytest.approx(2 * 11 / 1024) and mcnemar_exact(0, 0) == 1
    report = judged([1.0] * 10, [1.0] * 9 + [0.0], [0.0] * 9 + [1.0])
    assert standings(report) == ["best", "tied", "worse"]
    paired = judged([1.0] * 12, [0.0] * 10 + [1.0] * 2, pair=True, baseline=0)
    assert standings(paired) == ["best", "worse"]
    assert paired.comparisons[1] is not None and paired.comparisons[1].p == pytest.approx(2 / 1024)


# --- The question whether anything differs


def test_blocks_see_what_scatter_hides() -> None:
    rng = np.random.default_rng(8)
    shared = rng.normal(0, 10, 6)
    table = np.array([[base + shift + rng.normal(0, 0.1) for shift in (0, 1, 2)] for base in shared])
    blocks = blocked_anova(table.tolist())
    assert blocks is not None and blocks.p < 0.001
    plain = anova(table.T.tolist())
    assert plain is not None and plain.p > 0.5
    report = judged(*table.T.tolist(), pair=True)
    assert report.anova is not None and report.anova.method == "blocks"
    assert standings(report) == ["worse", "worse", "best"]
    # F is that of the block design.
    centred = table - table.mean(axis=1, keepdims=True)
    between = 6 * (centred.mean(axis=0) ** 2).sum() / 2
    within = ((centred - centred.mean(axis=0)) ** 2).sum() / 10
    assert blocks.f == pytest.approx(between / within)


# --- What diverged, failed or is missing


def test_a_setting_that_lacks_values_is_not_the_best_unasked() -> None:
    samples = [Sample((0.01,), (0,), (0,), n_nan=5), Sample((0.5, 0.6, 0.55), (0, 1, 2), (1, 2, 3))]
    asked = [TaskCounts(6), TaskCounts(3)]
    report = judge("loss", samples, "min", asked=asked)
    assert (report.best, report.order, standings(report)) == (1, [1, 0], ["incomplete", "best"])
    assert report.incomplete_leaders() == [0]
    allowed = judge("loss", samples, "min", asked=asked, allow_incomplete=True)
    assert (allowed.best, allowed.order, allowed.incomplete_leaders()) == (0, [0, 1], [])
    crashed = judge("loss", [Sample((0.01,)), Sample((0.5, 0.6, 0.55))], "min", asked=[TaskCounts(3, 2), TaskCounts(3)])
    assert crashed.best == 1
    none = judge("loss", samples[:1], "min", asked=asked[:1])
    assert none.best is None and none.incomplete_leaders() == [0]
    far = Sample((9.1, 9.2), (0, 1), (4, 5))
    worse = judge("loss", [*samples, far], "min", asked=[*asked, TaskCounts(3, 1)])
    assert standings(worse) == ["incomplete", "best", "worse"]
    assert [worse.incomplete(place) for place in range(3)] == [True, False, True]


def test_resolution_of_no_values() -> None:
    assert resolution([]).step == 0 and not resolution([[]]).binary


@pytest.mark.parametrize("missing", [1, 3])
def test_a_setting_that_is_better_in_each_pair_is_never_said_to_be_worse(missing: int) -> None:
    """Its mean is the lower one, for the good repeats are missing."""
    blocks = [-9.0, -5.0, -1.0, 0.0, 2.0, 4.0, 7.0, 10.0]
    first = Sample(tuple(blocks), tuple(range(8)), tuple(range(8)))
    kept = 8 - missing
    second = Sample(
        tuple(one + 1 + place / 100 for place, one in enumerate(blocks[:kept])), tuple(range(kept)), tuple(range(kept))
    )
    for lacking, expected in ((True, "incomplete"), (False, "tied")):
        asked = [TaskCounts(8), TaskCounts(8 if lacking else kept)]
        report = judge("m", [first, second], "max", pair=True, asked=asked, baseline=0)
        assert report.best == 0
        assert standings(report) == ["best", expected]
        (_, compared) = report.comparisons
        assert compared is not None and compared.verdict("max", 0.95) == "better"
