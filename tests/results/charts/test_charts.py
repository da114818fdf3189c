"""Charts as data: what they show, held against seaborn, matplotlib and scipy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import boxplot_stats
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import stats

from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.kinds.pareto import in_front
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import AGGREGATES, Chart, ChartError, NothingToDraw, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.charts.terminal.marks import thin_line
from tui_lab.results.statistics.text import apart, chosen

RNG = np.random.default_rng(7)
GRID = pl.DataFrame(
    {
        "neurons": np.repeat([1, 2, 5], 16),
        "activation": ["relu", "tanh"] * 24,
        "early": [True, True, False, False] * 12,
        "acc": RNG.normal(0.8, 0.1, 48),
        "loss": RNG.exponential(2.0, 48),
    }
)
SOURCE = Source(GRID, ("neurons", "activation", "early"), ("acc", "loss"), "grid")


def chart(kind: Any, source: Source | pl.DataFrame = SOURCE, **asked: Any) -> Chart:
    if kind == "surface" and source is SOURCE:  # which has one parameter that is a number
        asked.setdefault("columns", {"x": "neurons", "y": "loss", "z": "acc"})
    return make(Request(kind, **asked), source if isinstance(source, Source) else Source(source))


def by_seaborn(error: str, aggregate: str) -> list[tuple[float, float, float, float]]:
    """x, y, low, high of a line that seaborn draws."""
    import seaborn

    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    data = {"x": GRID["neurons"].to_numpy(), "y": GRID["acc"].to_numpy()}
    seaborn.lineplot(
        data=data,
        x="x", y="y", errorbar=error, estimator=aggregate, err_style="bars", ax=axes, seed=3, n_boot=4000
    )  # fmt: skip
    points = np.asarray(axes.lines[0].get_xydata())
    (bars,) = axes.collections
    assert isinstance(bars, LineCollection)
    return [(x, y, s[0][1], s[1][1]) for (x, y), s in zip(points, bars.get_segments(), strict=True)]


@pytest.mark.parametrize(
    ("error", "aggregate"),
    [*product(("sd", "se"), ("mean", "median", "sum", "max")), ("pi", "mean"), ("pi", "median")],
)
def test_points_and_errors_are_those_of_seaborn(error: str, aggregate: str) -> None:
    ours = chart("lines", columns={"x": "neurons", "y": "acc"}, error=error, aggregate=aggregate)
    rows = ours.series[0].points.select("x", "y", "low", "high").rows()
    np.testing.assert_allclose(rows, by_seaborn(error, aggregate), rtol=1e-12)


def test_the_confidence_interval_is_students_and_near_that_of_seaborns_resampling() -> None:
    ours = chart("lines", columns={"x": "neurons", "y": "acc"}).series[0].points
    for (x, y, low, high), (_, _, theirs_low, theirs_high) in zip(
        ours.select("x", "y", "low", "high").rows(), by_seaborn("ci", "mean"), strict=True
    ):
        values = GRID.filter(pl.col("neurons") == x)["acc"].to_numpy()
        exact = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (low, high) == pytest.approx(exact, rel=1e-12)
        assert high - low == pytest.approx(theirs_high - theirs_low, rel=0.25)
        assert theirs_low < y < theirs_high


def test_other_points_have_resampled_intervals_the_same_ones_every_time() -> None:
    first = chart("lines", columns={"x": "neurons", "y": "acc"}, aggregate="median")
    assert first.table.equals(chart("lines", columns={"x": "neurons", "y": "acc"}, aggregate="median").table)
    assert "1000 resamples" in first.caption
    for _, y, low, high, _ in first.table.iter_rows():
        assert low <= y <= high


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_aggregate(aggregate: str) -> None:
    functions: dict[str, Callable[[Any], Any]] = {
        "mean": np.mean, "median": np.median, "sum": np.sum, "product": np.prod, "min": np.min, "max": np.max,
        "count": len, "std": lambda values: np.std(values, ddof=1),
    }  # fmt: skip
    expected = functions[aggregate]
    ours = chart("categories", columns={"x": "activation", "y": "acc"}, aggregate=aggregate)
    for name, y in ours.table.select(pl.nth(0), pl.nth(1)).iter_rows():
        assert y == pytest.approx(expected(GRID.filter(pl.col("activation") == name)["acc"].to_numpy()))


def test_boxes_are_those_of_matplotlib() -> None:
    values = np.concatenate([RNG.normal(size=30), [9.0, -8.0]])
    box = chart("box", pl.DataFrame({"g": ["a"] * 32, "v": values}), columns={"x": "g", "y": "v"})
    row = box.series[0].points.row(0, named=True)
    (theirs,) = boxplot_stats(values)
    assert [row[name] for name in ("low", "q1", "median", "q3", "high")] == pytest.approx(
        [theirs[name] for name in ("whislo", "q1", "med", "q3", "whishi")]
    )
    assert sorted(row["outliers"]) == pytest.approx(sorted(theirs["fliers"]))


def test_histograms_are_those_of_numpy_and_hues_share_their_bins() -> None:
    ours = chart("hist", columns={"x": "acc", "hue": "activation"})
    edges = np.histogram_bin_edges(GRID["acc"].to_numpy(), "auto")
    for series in ours.series:
        values = GRID.filter(pl.col("activation") == series.name)["acc"].to_numpy()
        assert series.points["y"].to_list() == np.histogram(values, edges)[0].tolist()
        assert series.points["left"].to_list() == edges[:-1].tolist()
    assert chart("hist", columns={"x": "acc"}, bins=7).table.height == 7


def test_a_heatmap_pivots_and_leaves_holes() -> None:
    frame = pl.DataFrame({"x": [2, 1, 2, 10], "y": ["b", "a", "b", "a"], "z": [1.0, 2.0, 3.0, 4.0]})
    ours = chart("heatmap", frame, columns={"x": "x", "y": "y", "z": "z"})
    assert (ours.x.categories, ours.y.categories) == (("1", "2", "10"), ("b", "a"))
    assert ours.series[0].points.rows() == [(1.0, 0.0, 2.0), (0.0, 1.0, 2.0), (2.0, 1.0, 4.0)]
    assert ours.z is not None and ours.z.range == (2.0, 4.0)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1e-5, 3e-5, 3.051757812e-5, 0.0001220703125], ("1e-5", "3e-5", "3.05e-5", "1.22e-4")),
        ([0.0625, 0.5, 1.0, 1e9], ("0.0625", "0.5", "1", "1e9")),
        ([0.1, 0.30000000000000004, 0.3], ("0.1", "0.3", "0.30000000000000004")),
        ([1e9 + 0.001, 1e9 + 0.002], ("1000000000.001", "1000000000.002")),
        ([-2.0, float("nan")], ("-2", "nan")),
    ],
)
def test_numbers_as_categories_are_as_short_as_tells_them_apart(values: list[float], names: tuple[str, ...]) -> None:
    frame = pl.DataFrame({"x": values, "y": ["a"] * len(values), "z": [1.0] * len(values)})
    ours = chart("heatmap", frame, columns={"x": "x", "y": "y", "z": "z"})
    assert ours.x.numbers and set(ours.x.categories) == set(names)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6, unique=True))
def test_different_numbers_have_different_names(values: list[float]) -> None:
    assert len(set(chosen(values))) == len({value + 0.0 for value in values})
    assert len(set(apart(values))) == len({value + 0.0 for value in values})


BEGIN = datetime(2024, 5, 17, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([BEGIN + timedelta(minutes=n) for n in range(9)], "time"),
        ([date(2024, 5, 1 + n) for n in range(9)], "time"),
        ([timedelta(seconds=90 * n) for n in range(9)], "duration"),
        ([clock(1 + n, 30) for n in range(9)], "clock"),
    ],
)
def test_times_and_durations_have_axes_of_their_own(values: list[Any], kind: str) -> None:
    frame = pl.DataFrame({"t": values, "n": range(9)})
    hist = chart("hist", frame, columns={"x": "t"}, bins=4)
    assert hist.x.kind == kind and hist.table["count"].sum() == 9
    assert hist.table["left"][0] in (values[0], datetime(2024, 5, 1, tzinfo=UTC))
    box = chart("box", frame, columns={"y": "t"})
    assert box.y.kind == kind and box.table["median"][0] in (values[4], datetime(2024, 5, 5, tzinfo=UTC))
    lines = chart("lines", frame, columns={"x": "n", "y": "t"})
    assert lines.y.kind == kind and lines.table.height == 9
    if kind != "duration":
        with pytest.raises(ChartError, match="no sum of times"):
            chart("lines", frame, columns={"x": "n", "y": "t"}, aggregate="sum")
        with pytest.raises(ChartError, match="can't be logarithmic"):
            chart("hist", frame, columns={"x": "t"}, log=frozenset("x"))


def test_a_part_of_an_axis() -> None:
    frame = pl.DataFrame({"x": [1, 2, 3, 4], "y": [0.90, 0.91, 0.92, 5.0]})
    bars = chart("categories", frame, columns={"x": "x", "y": "y"}, ranges={"y": (0.8, 1.0)})
    assert bars.y.range == (0.8, 1.0) and bars.notes == ("the bars begin at 0.8, not at 0",)
    assert bars.caption.startswith("the bars begin at 0.8, not at 0")
    assert chart("categories", frame, columns={"x": "x", "y": "y"}, ranges={"y": (0, 1)}).notes == ()
    hist = chart("hist", frame, columns={"x": "y"}, ranges={"x": (0, 1)})
    assert hist.table["count"].sum() == 3 and hist.notes == ("1 row left out: y is outside of the range",)
    for ranges, message in (
        ({"y": (1, 1)}, "below MAX"),
        ({"y": (-1, 1)}, "begins above 0"),
        ({"x": (1, 2)}, "no range"),
    ):
        with pytest.raises(ChartError, match=message):
            chart("categories", frame, columns={"x": "x", "y": "y"}, ranges=ranges, log=frozenset("y"))


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.9312, 0.947], (0.929, 0.949)),
        ([-310.0, -300.0], (-311.0, -299.0)),
        ([-1.0, 1.0], None),
        ([0.0, 3.0], None),
        ([2.0, 2.0], None),
        ([1.0, 1e9], None),
    ],
)
def test_bars_that_are_fitted(values: list[float], ends: tuple[float, float] | None) -> None:
    frame = pl.DataFrame({"x": ["a", "b"], "y": values})
    bars = chart("categories", frame, columns={"x": "x", "y": "y"}, fit=True)
    assert bars.y.range == (ends and pytest.approx(ends)) or bars.y.range is None
    (note,) = bars.notes or ("",)
    assert note.startswith("the bars begin at 0:") == (ends is None) and note
    assert chart("lines", frame, columns={"x": "x", "y": "y"}, fit=True).y.range is None


def test_an_area_stacks_its_bands() -> None:
    frame = pl.DataFrame({"t": [1, 1, 2, 2, 3], "state": ["a", "b", "a", "b", "a"], "n": [1.0, 2.0, 3.0, 4.0, 5.0]})
    asked: Any = {"columns": {"x": "t", "y": "n", "hue": "state"}}
    lower, upper = (series.points for series in chart("area", frame, **asked).series)
    assert lower["low"].to_list() == [0, 0, 0] and lower["high"].to_list() == upper["low"].to_list() == [1, 3, 5]
    assert upper["high"].to_list() == [3, 7, 5] and upper["y"].to_list() == [2, 4, 0]
    assert chart("area", frame, **asked).notes == ("1 place where a band has no value counts as 0",)
    assert chart("area", frame, **asked).table.columns == ["state", "t", "n", "n_n"]
    with pytest.raises(ChartError, match="below 0"):
        chart("area", frame.with_columns(n=-pl.col("n")), **asked)
    with pytest.raises(ChartError, match="can't be logarithmic"):
        chart("area", frame, **asked, log=frozenset("y"))


# --- What can't be drawn


def test_nan_infinite_and_null_values_are_left_out_and_counted() -> None:
    frame = pl.DataFrame({"x": [1, 1, 1, 1, None, 2], "y": [1.0, math.nan, math.inf, None, 5.0, 3.0]})
    ours = chart("lines", frame, columns={"x": "x", "y": "y"})
    assert ours.table.select("x", "y").rows() == [(1, 1.0), (2, 3.0)]
    assert ours.notes == (
        "1 row left out: x is null",
        "1 row left out: y is null",
        "1 row left out: y is NaN",
        "1 row left out: y is infinite",
    )


def test_log_axes_leave_out_what_is_not_above_zero() -> None:
    frame = pl.DataFrame({"x": [0.0, 1.0, 10.0], "y": [1.0, -1.0, 100.0]})
    ours = chart("scatter", frame, columns={"x": "x", "y": "y"}, log=frozenset("xy"))
    assert ours.table.rows() == [(10, 100.0)]
    assert len(ours.notes) == 2 and "logarithmic" in ours.notes[0]


@pytest.mark.parametrize("kind", ["lines", "categories", "scatter", "hist", "box", "pareto"])
def test_one_point_is_drawn_and_none_is_told(kind: str) -> None:
    one = pl.DataFrame({"a": [1], "b": [2.0]})
    asked = {"x": "a"} if kind == "hist" else {"x": "a", "y": "b"}
    assert chart(kind, one, columns=asked).table.height == 1
    with pytest.raises(NothingToDraw, match="nothing to draw"):
        chart(kind, one.clear(), columns=asked)
    with pytest.raises(NothingToDraw, match="is NaN"):
        chart(kind, one.with_columns(pl.lit(math.nan).alias("b"), pl.lit(math.nan).alias("a")), columns=asked)


def test_mistakes_are_told_with_a_hint() -> None:
    with pytest.raises(ChartError, match='no column "neuron"; did you mean "neurons"'):
        chart("lines", columns={"x": "neuron"})
    with pytest.raises(ChartError, match="activation holds no numbers; its first value is 'relu'"):
        chart("lines", columns={"x": "neurons", "y": "activation"})
    with pytest.raises(ChartError, match="heatmap has no hue column"):
        chart("heatmap", columns={"hue": "activation"})
    with pytest.raises(ChartError, match="nothing was repeated"):
        chart("lines", GRID.head(1), columns={"x": "neurons", "y": "acc"}, aggregate="std")


# --- Axes


def test_categories_numbers_and_times() -> None:
    frame = pl.DataFrame(
        {
            "name": ["b", "a", None],
            "on": [True, False, True],
            "day": [date(2024, 5, 17), date(2024, 5, 18), date(2024, 6, 1)],
            "at": [datetime(2024, 5, 17, 12, tzinfo=UTC)] * 3,
            "y": [1.0, 2.0, 3.0],
        }
    )
    assert chart("lines", frame, columns={"x": "name", "y": "y"}).x.categories == ("b", "a", "null")
    assert chart("lines", frame, columns={"x": "on", "y": "y"}).x.categories == ("false", "true")
    days = chart("lines", frame, columns={"x": "day", "y": "y"})
    assert days.x.kind == "time" and days.series[0].points["x"][0] == datetime(2024, 5, 17, tzinfo=UTC).timestamp()
    assert days.table["day"].to_list()[0] == datetime(2024, 5, 17, tzinfo=UTC)
    assert chart("scatter", frame, columns={"x": "at", "y": "name"}).y.categories == ("b", "a", "null")


def test_null_is_a_series_of_its_own() -> None:
    frame = pl.DataFrame({"x": [1, 1], "y": [1.0, 2.0], "h": ["a", None]})
    assert [s.name for s in chart("lines", frame, columns={"x": "x", "y": "y", "hue": "h"}).series] == [
        "a",
        "null",
    ]


def test_hue_and_style_make_series_of_their_own_looks() -> None:
    ours = chart("lines", columns={"x": "neurons", "y": "acc", "hue": "activation", "style": "early"})
    assert [(s.name, s.color, s.style) for s in ours.series] == [
        ("relu, false", 0, 0),
        ("relu, true", 0, 1),
        ("tanh, false", 1, 0),
        ("tanh, true", 1, 1),
    ]
    assert ours.legend == "activation, early"


# --- What is chosen where nothing is said


def test_the_experiment_decides() -> None:
    lines = chart("lines")
    assert (lines.x.label, lines.y.label, lines.legend) == ("neurons", "acc", "activation")
    assert chart("heatmap").y.label == "activation"
    assert chart("hist").x.label == "acc"
    assert (chart("pareto").x.label, chart("pareto").y.label) == ("acc", "loss")
    assert chart("lines", columns={"y": "loss"}).legend == "activation"
    assert chart("lines", columns={"x": "neurons", "y": "loss"}).legend == ""


def test_the_hue_is_the_parameter_that_explains_most() -> None:
    rows = [
        (lr, opt, step, lr * 10 + step / 10 + (opt == "b") / 50)
        for lr in (0.1, 0.5, 1.0)
        for opt in "ab"
        for step in range(5)
    ]
    frame = pl.DataFrame(rows, schema=["lr", "opt", "step", "loss"], orient="row")
    source = Source(frame, ("opt", "lr"), ("loss",))
    assert choose(Request(CURVES), source)["hue"] == "lr"
    flat = Source(frame.with_columns(loss=pl.lit(1.0)), ("opt", "lr"), ("loss",))
    assert choose(Request(CURVES), flat)["hue"] == "opt"  # nothing is explained: the one with the fewest values


def test_columns_of_a_query_or_of_patas_csv() -> None:
    query = GRID.group_by("neurons", "activation", maintain_order=True).agg(pl.col("acc").mean())
    lines = chart("lines", query)
    assert (lines.x.label, lines.y.label, lines.legend) == ("neurons", "acc", "activation")
    patas = GRID.select(
        pl.col("neurons").alias("in_neurons"), pl.col("acc").alias("out_acc"), pl.lit(3.5).alias("duration")
    )
    lines = chart("lines", patas)
    assert (lines.x.label, lines.y.label) == ("in_neurons", "out_acc")
    assert chart("lines", columns={"x": "in_neurons", "y": "out_loss"}).y.label == "loss"


def test_changes_are_sql_and_take_the_examples_of_patas() -> None:
    asked = {"x": "activation", "y": "neurons", "z": "acc"}
    changes = {"x": "X[i][:3]", "y": "math.log2(Y[i])", "z": "int(Z[i]*100)"}
    ours = chart("heatmap", columns=asked, changes=changes, aggregate="max")
    assert ours.x.categories == ("rel", "tan")
    assert ours.y.categories == ("0", "1", "2.32")
    assert all(z == int(z) for z in ours.series[0].points["z"])
    assert chart("hist", columns={"x": "acc"}, changes={"x": "X * 0 + neurons"}).table.height > 0
    with pytest.raises(ChartError, match=r"--x-change: .*neuron") as error:
        chart("hist", columns={"x": "acc"}, changes={"x": "X + neuron"})
    assert str(error.value).splitlines()[-1].index("^") == 2 + "X + neuron".index("neuron")


def test_changes_may_ask_for_another_row_or_for_all() -> None:
    """As patas' lists have it: `Z[0]` is the value of the first row, whatever row is changed."""
    asked = {"x": "neurons", "y": "acc"}
    values = GRID["acc"].to_list()
    for code, wanted in (
        ("Y[0]/Y[i]", [values[0] / value for value in values]),
        ("Y[i]/Y[-1] - 1", [value / values[-1] - 1 for value in values]),
        ("(Y[i] - min(Y)) / (max(Y) - min(Y))", [(v - min(values)) / (max(values) - min(values)) for v in values]),
        ("float(Y[i]) / (len(Y) + float((1)))", [value / (len(values) + 1) for value in values]),
        ("100 * Y[i] / sum(Y)", [100 * value / math.fsum(values) for value in values]),
    ):
        points = chart("scatter", columns=asked, changes={"y": code}).series
        found = sorted(y for series in points for y in series.points["y"])
        assert found == pytest.approx(sorted(wanted))
    named = GRID.with_columns(text=pl.lit("abc"))
    texts = chart("categories", named, columns={"x": "text", "y": "acc"}, changes={"x": "X[0][:2]"})
    assert texts.x.categories == ("ab",)
    for code, said in (
        ("Y[0]/Y[i+1]", "only Y[i], Y[0] and the like"),
        ("Y[len(Y)-1]/Y[i]", "only Y[i], Y[0] and the like"),
        ("Y[0]/Y[99999]", "the first is 0"),
        ("Z[0]/Y[i]", "Z is no column of this chart"),
        ("Y[0]/Yy", 'unknown name "Yy"'),
        ("float(Y[0]", "a bracket is opened"),
        ("Y[0]/len(Z)", "Z is no column of this chart"),
    ):
        with pytest.raises(ChartError, match=re.escape(said)) as error:
            chart("scatter", columns=asked, changes={"y": code})
        assert "^" in str(error.value)


# --- Pareto


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30),
    st.booleans(),
    st.booleans(),
)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]], x_max: bool, y_max: bool) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        gains = [(p - q) * (1 if more else -1) for p, q, more in zip(a, b, (x_max, y_max), strict=True)]
        return min(gains) >= 0 and max(gains) > 0

    found = in_front(
        pl.Series([float(x) for x, _ in points]),
        pl.Series([float(y) for _, y in points]),
        "max" if x_max else "min",
        "max" if y_max else "min",
    )
    assert found.to_list() == [not any(beats(other, point) for other in points) for point in points]


def test_pareto_compares_means_of_settings() -> None:
    ours = chart("pareto", goals={"acc": "max", "loss": "min"})
    assert ours.notes == ()
    assert ours.table.columns == ["neurons", "activation", "early", "acc", "loss", "n", "front"]
    assert ours.table["n"].unique().to_list() == [4]
    assert "goal" in chart("pareto").notes[0]


# --- Fewer points


def test_thinning_a_line_keeps_its_extremes_and_widens_errors() -> None:
    y = RNG.normal(size=20_000)
    y[7777], y[12345] = 50.0, -50.0
    points = pl.DataFrame({"x": np.arange(20_000.0), "y": y, "low": y - 1, "high": y + 1})
    thin = thin_line(points, 80)
    assert thin.height <= 4 * 80
    assert (thin["y"].max(), thin["y"].min()) == (50.0, -50.0)
    assert (thin["x"][0], thin["x"][-1]) == (0.0, 19_999.0)
    assert thin["x"].is_sorted()
    assert thin["high"].max() == 51.0
    assert thin_line(points.head(100), 80).equals(points.head(100))


@pytest.mark.parametrize("size", [1e160, 1e308, 1e-200])
def test_means_and_spreads_of_extreme_values(size: float) -> None:
    table = pl.DataFrame({"x": [1, 1, 1, 2, 2, 2], "y": [size * part for part in (0.5, 0.6, 0.7, 1, 1, 1)]})
    points = chart("lines", table, columns={"x": "x", "y": "y"}, error="sd").series[0].points
    assert points["y"].to_list() == pytest.approx([0.6 * size, size], rel=1e-9)
    assert points["high"][0] == pytest.approx(0.7 * size, rel=1e-9)


def test_a_sum_beyond_floats_is_told() -> None:
    table = pl.DataFrame({"x": [1, 1], "y": [1e308, 1e308]})
    with pytest.raises(ChartError, match="the sum is too large for a float"):
        chart("lines", table, columns={"x": "x", "y": "y"}, aggregate="sum")


@pytest.mark.parametrize("kind", ["lines", "scatter"])
def test_slopes_on_two_log_axes_are_those_of_scipy(kind: str) -> None:
    size = np.array([1, 10, 100, 1000, 1000.0])
    frame = pl.DataFrame({"size": size, "noisy": size**1.5 * np.array([1, 1.2, 0.9, 1.1, 1.1]), "exact": 3 * size**2})
    frame = frame.unpivot(index="size", variable_name="what", value_name="time")
    columns = {"x": "size", "y": "time", "hue": "what"}
    (note,) = chart(kind, frame, columns=columns, log={"x", "y"}).notes
    points = 4 if kind == "lines" else 5  # equal places are one point of a line
    fit = stats.linregress(np.log10(size[:points]), np.log10(frame["time"][:points].to_numpy()))
    half = fit.stderr * stats.t.ppf(0.975, points - 2)
    places = 1 - math.floor(math.log10(half))
    assert note == f"slope (95 % interval): noisy: {fit.slope:.{places}f} ± {half:.{places}f}; exact: 2"
    assert not chart(kind, frame, columns=columns, log={"x"}).notes


def test_there_is_no_slope_at_one_place() -> None:
    frame = pl.DataFrame({"x": [2.0, 2.0], "y": [1.0, 3.0]})
    assert not chart("scatter", frame, columns={"x": "x", "y": "y"}, log={"x", "y"}).notes


def test_a_value_that_tasks_share_is_drawn_once() -> None:
    frame = pl.DataFrame({"x": [1, 1, 1, 2], "y": [1.0, 1.0, 4.0, 5.0]})
    source = Source(frame, ("x",), ("y",), shared={"y": pl.Series([7, 7, 8, 9])})
    (series,) = chart("lines", source, columns={"x": "x", "y": "y"}).series
    assert series.points["y"].to_list() == [2.5, 5.0], "two of the three values at 1 are one observation"
