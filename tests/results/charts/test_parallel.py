"""Parallel coordinates, and the condition of what is brushed on them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.expressions import expression
from tui_lab.results.charts.brush import condition
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source

FRAME = pl.DataFrame(
    [
        (lr, act, deep, 0.1 * n + repeat / 100)
        for n, (lr, act, deep) in enumerate(
            (lr, act, deep)
            for lr in (0.001, 0.01, 0.1, 1.0)
            for act in ("relu", "it's", None)
            for deep in (True, False)
        )
        for repeat in (0, 1)
    ],
    schema=["lr", "the act", "deep", "acc"],
    orient="row",
)
ENDS = st.tuples(st.floats(-0.1, 1.1), st.floats(-0.1, 1.1)).map(lambda ends: (min(ends), max(ends)))


def parallel(brush: dict[str, tuple[float, float]] | None = None) -> Chart:
    return make(Request("parallel", brush=brush or {}), Source(FRAME, ("lr", "the act", "deep"), ("acc",), "grid"))


def test_a_line_for_each_setting() -> None:
    chart = parallel()
    assert [axis.label for axis in chart.uprights] == ["lr", "the act", "deep", "acc"]
    assert chart.uprights[0].log and chart.uprights[1].categories == ("relu", "it's", "null")
    (series,) = chart.series
    assert series.points.height == 24 * 4 and series.points["y"].is_between(0, 1).all()
    assert chart.table["n"].to_list() == [2] * 24
    first = series.points.filter(pl.col("row") == 0).sort("x")["y"].to_list()
    assert first == pytest.approx([0, 1 / 6, 0.75, 0])
    with pytest.raises(ChartError, match="parameters that vary"):
        make(Request("parallel"), Source(FRAME.head(2), ("lr",), ("acc",), "grid"))


@given(st.dictionaries(st.sampled_from(["lr", "the act", "deep"]), ENDS, min_size=1))
def test_the_condition_holds_for_what_is_brushed_alone(brush: dict[str, tuple[float, float]]) -> None:
    chart = parallel(brush)
    inside = next((one.points for one in chart.series if not one.faint), None)
    rows = [] if inside is None else inside["row"].unique().sort().cast(pl.Int64).to_list()
    where = condition(chart)
    if not where:
        assert not rows
        return
    held = expression.condition(where, chart.table)
    assert np.flatnonzero(held.to_numpy()).tolist() == rows
    assert f"{len(rows)} of 24 settings" in chart.caption


def test_conditions_are_short() -> None:
    assert condition(parallel({"lr": (0.3, 0.7)})) == "lr >= 0.01 AND lr <= 0.1"
    assert condition(parallel({"lr": (0.9, 1.0)})) == "lr = 1.0"
    assert condition(parallel({"the act": (0.4, 1.0)})) == "\"the act\" = 'it''s' OR \"the act\" IS NULL"
    assert condition(parallel()) == condition(parallel({"lr": (0.4, 0.5)})) == ""
