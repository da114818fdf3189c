"""How many repeats would tell two settings apart."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from tui_lab.results.statistics.power import MOST, needed, repeats
from tui_lab.results.statistics.report import MetricReport, judge
from tui_lab.results.statistics.sample import Sample


def judged(*values: list[float]) -> MetricReport:
    return judge("x", [Sample(tuple(one), tuple(range(len(one)))) for one in values], "max")


@pytest.mark.parametrize(
    ("effect", "alpha", "paired", "n"),
    [  # of statsmodels 0.14: TTestIndPower and TTestPower, rounded up
        (0.5, 0.05, False, 64),
        (0.8, 0.05, False, 26),
        (1.2, 0.01, False, 18),
        (3.0, 0.05, False, 4),
        (0.5, 0.05, True, 34),
        (1.0, 0.05, True, 10),
        (0.25, 0.05, False, None),
        (0.0, 0.05, False, None),
        (1e9, 0.05, False, 2),
    ],
)
def test_the_number_of_repeats(effect: float, alpha: float, paired: bool, n: int | None) -> None:
    assert repeats(effect, alpha, paired) == n


def test_that_many_find_the_difference_four_times_in_five() -> None:
    n = repeats(1.0, 0.05, False)
    assert n is not None
    draw = np.random.default_rng(1)
    a, b = draw.normal(0, 1, (4000, n)), draw.normal(1, 1, (4000, n))
    found = float(np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05))
    assert 0.78 < found < 0.83


def test_of_two_settings() -> None:
    draw = random.Random(3)
    close = judged([1.0, 1.2, 1.1], [1.08, 1.3, 1.15])
    one = needed(close, 0, 1, paired=False)
    assert one is not None and one.have == (3, 3) and one.total is not None and 3 < one.total < MOST
    assert one.more == (one.total - 3, one.total - 3)
    in_pairs = needed(close, 0, 1, paired=True)
    assert in_pairs is not None and in_pairs.total is not None and in_pairs.total < one.total
    equal = needed(judged([1.0, 2.0], [1.0, 2.0]), 0, 1, paired=False)
    assert equal is not None and equal.total is None and equal.more == (0, 0)
    many = judged([1.0, 1.2, 1.1], [1.08, 1.3, 1.15], *([draw.gauss(0, 0.1) for _ in range(3)] for _ in range(20)))
    corrected = needed(many, 0, 1, paired=False)
    assert corrected is not None and corrected.total is not None and corrected.total > one.total


def test_nothing_is_said_where_nothing_can_be() -> None:
    assert needed(judged([1.0], [2.0]), 0, 1, paired=False) is None
    assert needed(judged([1.0] * 9, [2.0] * 9), 0, 1, paired=False) is None
    assert needed(judged([], [1.0, 2.0]), 0, 1, paired=False) is None
    coins = [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    assert needed(judged(*coins), 0, 1, paired=False) is None
    assert needed(judged(*(one * 6 for one in coins)), 0, 1, paired=False) is not None
