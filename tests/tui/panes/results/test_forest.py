"""The forest plot: where means, intervals and values stand, and what is left out of the axis."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.statistics.comparison import TaskCounts
from tui_lab.results.statistics.report import MetricReport, Report, judge
from tui_lab.results.statistics.sample import Sample
from tui_lab.results.terminal.glyphs import plain
from tui_lab.tui.panes.results.forest import Forest, forest
from tui_lab.tui.panes.results.rows import counts, marks
from tui_lab.tui.widgets.table.cells import Drawing


def judged(values: Sequence[Sequence[float]], **more: object) -> MetricReport:
    return judge("loss", [Sample(tuple(one), tuple(range(len(one)))) for one in values], "min", **more)  # type: ignore[arg-type]


def plot(metric: MetricReport, baseline: int | None = None) -> Forest:
    found = forest(metric, range(len(metric.samples)), baseline)
    assert found is not None
    return found


def text(drawing: Drawing) -> str:
    return "".join(part for part, _ in drawing)


def test_means_intervals_and_values_over_one_axis() -> None:
    metric = judged([[1.0, 1.1, 1.2], [3.0, 3.1, 3.2], [5.0]])
    drawn = plot(metric, 1)
    lines = [text(drawn.row(place, 44)) for place in range(3)]
    assert [line.strip().replace(" ", "") for line in lines] == ["├─·●·┤│", "├·●·─┤", "│●"]
    assert lines[1].index("●") == lines[0].index("│") == lines[2].index("│")
    head = text(drawn.head(44))
    assert head.split() == ["1", "2", "3", "4", "5"]
    assert abs(head.index("3") - (lines[1].index("●") - 1)) <= 1
    assert ("●", "success") in drawn.row(0, 44)  # the best
    assert plain("".join(lines)).isascii()


def test_one_value_one_setting_and_no_value() -> None:
    one = plot(judged([[2.0]]))
    assert text(one.row(0, 9)) == "    ●    "
    none = judged([[], []])
    assert forest(none, [0, 1], None) is None


def test_shares_are_within_their_values() -> None:
    coins = plot(judged([[0.0, 1.0, 1.0, 1.0] * 3, [0.0, 0.0, 0.0, 1.0] * 3]))
    lines = [text(coins.row(place, 40)) for place in range(2)]
    assert all(line.startswith("·") and line.endswith("·") and "├" in line and "┤" in line for line in lines)


def test_what_is_far_away_hides_nothing() -> None:
    settings = [[1.0 + i / 10, 1.05 + i / 10] for i in range(6)]
    drawn = plot(judged([*settings, [1e9, 2e9], [-7e9]]))
    lines = [text(drawn.row(place, 40)) for place in range(8)]
    assert lines[6].endswith("▸") and lines[7] == "◂".ljust(40)
    assert len({line.index("●") for line in lines[:6]}) == 6
    wide = plot(judged([[1.0, 2.0], [1.2, 1.3]]))  # an interval of n = 2 is ±6.4
    assert text(wide.row(0, 40)).startswith("◂") and text(wide.row(0, 40)).endswith("▸")


def test_large_whole_numbers_are_labelled_as_they_are() -> None:
    base = 10**17
    samples = [Sample((float(i), float(i + 1)), (0, 1), offset=base) for i in (0, 10)]
    drawn = plot(judge("bytes", samples, "min"))
    assert str(base + 5) in text(drawn.head(60)).split()


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-10, 10)


@given(st.lists(st.lists(NUMBERS, max_size=4), min_size=1, max_size=7), st.integers(1, 60))
def test_a_row_is_as_wide_as_its_column(values: list[list[float]], width: int) -> None:
    metric = judged(values)
    found = forest(metric, range(len(values)), 0)
    if found is not None:
        for place in range(len(values)):
            assert len(text(found.row(place, width))) == width
        assert len(text(found.head(width))) == width


def standings(metric: MetricReport) -> list[str]:
    report = cast(Report, SimpleNamespace(baseline=None))
    return marks(report, metric, metric.order)


def test_each_setting_has_a_word_in_the_order_of_means() -> None:
    one, two, three = ([mean - 0.01, mean, mean + 0.01] * 4 for mean in (1.0, 1.08, 5.0))
    few = [0.8, 1.5]
    assert standings(judged([one, three, few, two])) == ["★ best", "  worse", "≈ tied", "  worse"]
    assert standings(judged([one, one, one, three])) == ["★ best", "≈ tied (2)", "≈", "  worse"]
    assert standings(judged([[1.0], [2.0], [1.0], [1.0]])) == ["★ best (1 of 3)", "= best", "= best", "?"]
    assert standings(judged([[1.0], [2.0]])) == ["★ best", "?"]


def test_counts_say_what_is_missing() -> None:
    draw = random.Random(1)
    values = [[draw.gauss(mean, 0.05) for _ in range(n)] for mean, n in [(1.0, 8), (9.0, 8), (1.01, 2), (1.005, 8)]]
    asked = [TaskCounts(8), TaskCounts(8), TaskCounts(6, failed=1, open=3), TaskCounts(8)]
    metric = judged(values, asked=asked)
    assert metric.best is not None
    assert counts(metric, range(4)) == ["8/8", "8/8", "2/6 ✗1 ·3", "8/8"]
    assert counts(judged([[1.0] * 10, [2.0]]), [0, 1]) == ["10", " 1"]
    samples = [Sample((1.0,), n_nan=3, n_infinite=1)]
    assert counts(judge("loss", samples, "min"), [0]) == ["1/4 2 NaN 1 infinite"]
