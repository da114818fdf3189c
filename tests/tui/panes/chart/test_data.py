"""The chart that rows ask for by themselves, errors from a column, and charts in words."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.model import Request, Source
from tui_lab.results.charts.registry import KINDS
from tui_lab.tui.charts.defaults import counted, default_request, described, error_column, of_kind, of_kind_again
from tui_lab.tui.charts.last_steps import ALL, LAST
from tui_lab.tui.charts.making import made
from tui_lab.tui.charts.source import CURVES, TASK, overlaid, with_tasks
from tui_lab.tui.panes.chart import saving
from tui_lab.tui.panes.chart.choices import choices_line, column_items, log_words
from tui_lab.tui.panes.chart.summary import summary

LR = [0.001, 0.01, 0.1]


@pytest.mark.parametrize(
    ("frame", "kind", "columns"),
    [
        ({"lr": [1, 2, 3], "acc": [0.1, 0.2, 0.3]}, "lines", {"x": "lr", "y": "acc"}),
        ({"lr": [1, 2, 3] * 2, "act": ["a"] * 3 + ["b"] * 3, "acc": [0.1] * 6}, "lines", {"x": "lr", "hue": "act"}),
        ({"act": ["a", "b"], "acc": [0.1, 0.2], "ci": [0.01, 0.02]}, "categories", {"x": "act", "y": "acc"}),
        ({"act": ["a", "b"], "n": [3, 4]}, "categories", {"x": "act", "y": "n"}),
        ({"state": ["done", "failed"], "count_star()": [3, 4]}, "categories", {"x": "state", "y": "count_star()"}),
        ({"acc": [0.1, 0.5, 0.2]}, "hist", {"x": "acc"}),
        ({"act": ["a", "b", "a"]}, "categories", {"x": "act", "y": "rows"}),
        ({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}, "steps", {"x": "step", "y": "loss"}),
        ({"x": list(range(100)), "y": [1.5] * 100}, "scatter", {"x": "x", "y": "y"}),
        (
            {"at": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)], "load": [0.5, 1.0, 0.2]},
            "lines",
            {"x": "at", "y": "load"},
        ),
        ({"lr": LR, "duration": [1.0, 2.0, 3.0]}, "lines", {"x": "lr", "y": "duration"}),
    ],
)
def test_the_chart_that_columns_ask_for(frame: dict[str, list[object]], kind: str, columns: dict[str, str]) -> None:
    source = counted(described(pl.DataFrame(frame)))
    found = made(default_request(source), source)
    assert found.chart is not None, found.problem
    assert found.request.kind == kind
    assert columns.items() <= dict(found.request.columns).items()


def test_names_of_the_experiment_say_what_is_measured() -> None:
    frame = pl.DataFrame({"loss": [1.0, 2.0, 3.0], "lr": [1, 2, 3], "width": [4, 5, 6]})
    source = described(frame, parameters=("lr", "width"), metrics=("loss",))
    assert (source.parameters, source.metrics) == (("lr", "width"), ("loss",))
    best = pl.DataFrame({"act": ["a", "b"], "n": [4, 4], "mean": [0.5, 0.6], "ci95": [0.1, 0.1], "max": [1.0, 1.0]})
    assert described(best, parameters=("act",)).metrics[0] == "mean"


def test_axes_of_many_sizes_and_of_geometric_parameters_are_logarithmic() -> None:
    def logarithmic(lr: list[float], kind: str | None = None, **about: Any) -> bool:
        source = replace(described(pl.DataFrame({"lr": lr, "acc": [0.1, 0.2, 0.3]})), **about)
        request = default_request(source)
        if kind is not None:
            request = of_kind(request, KINDS[kind], KINDS[kind].roles)
        chart = made(request, source).chart
        assert chart is not None and log_words(request, chart) == ("x" if chart.x.log else "-")
        return chart.x.log

    assert logarithmic(LR) and logarithmic(LR, "scatter")
    assert not logarithmic([0, 1, 100]) and not logarithmic([1, 2, 4])
    assert logarithmic([1, 2, 4], geometric=frozenset(["lr"]))
    assert not logarithmic([-1, 2, 4], geometric=frozenset(["lr"]))
    assert not logarithmic(LR, "categories")
    # What was chosen is lost in a kind without such axes; what was not chosen is not.
    assert of_kind(of_kind(Request("lines", log=None), KINDS["box"], ()), KINDS["lines"], ()).log is None


def test_a_value_keeps_its_colour_in_every_chart() -> None:
    palette = Palette()
    frame = pl.DataFrame({"x": [1, 2, 3] * 3, "y": range(9), "act": ["a"] * 3 + ["b"] * 3 + ["c"] * 3})

    def colours(rows: pl.DataFrame, name: str = "grid") -> dict[str, int]:
        source = Source(rows, ("x", "act"), ("y",), name, palette=palette)
        chart = made(Request("lines", {"x": "x", "y": "y", "hue": "act"}), source).chart
        assert chart is not None
        return {series.name: series.color for series in chart.series}

    assert colours(frame) == {"a": 0, "b": 1, "c": 2}
    assert colours(frame.filter(pl.col("act") != "a")) == {"b": 1, "c": 2}
    assert colours(frame.filter(pl.col("act") == "c"), "other") == {"c": 0}
    # Two that were never seen together may have one colour, until they are.
    assert palette.indices("grid", "act", ["d"]) == [0]
    assert palette.indices("grid", "act", ["a", "c", "d"]) == [0, 2, 1]
    assert palette.indices("grid", "act", ["d"]) == [1]


def test_errors_from_a_column() -> None:
    frame = pl.DataFrame({"act": ["b", "a", "c"], "acc": [0.5, 0.7, 0.9], "ci": [0.1, 0.2, None]})
    assert error_column(frame) == "ci"
    source = described(frame)
    chart = made(Request("categories"), source, "ci").chart
    assert chart is not None
    points = chart.series[0].points
    assert [round(low, 9) if low is not None else None for low in points["low"]] == [0.4, 0.5, None]
    assert chart.table["high"].to_list() == points["high"].to_list()
    assert chart.caption == "bars: ci on both sides"
    repeated = made(Request("categories"), described(pl.concat([frame, frame])), "ci").chart
    assert repeated is not None and "ci on" not in repeated.caption  # the rows are no means


@pytest.mark.parametrize(
    "name", ["ci95", "ci", "acc_ci95", "half", "ci95(test_acc)"],
)  # fmt: skip
def test_names_of_half_widths(name: str) -> None:
    assert error_column(pl.DataFrame({name: [1.0]})) == name
    assert error_column(pl.DataFrame({"acidity": [1.0], "ci": ["text"]})) is None


def steps(tasks: int, running: tuple[int, ...] = ()) -> pl.DataFrame:
    rows = [
        {
            "lr": LR[task % 3],
            "step": step,
            "loss": 1 / step,
            "task_id": task,
            "state": "running" if task in running else "done",
        }
        for task in range(tasks)
        for step in (1, 2, 3)
    ]
    return pl.DataFrame(rows)


def test_a_curve_for_each_of_a_few_tasks() -> None:
    source = Source(with_tasks(steps(3), ("lr",)), ("lr",), ("loss",))
    found = made(default_request(source), source)
    assert found.chart is not None
    assert [series.name for series in found.chart.series] == ["0 lr=0.001", "1 lr=0.01", "2 lr=0.1"]


def test_of_many_tasks_those_that_run_and_the_newest() -> None:
    source = Source(with_tasks(steps(40, running=(2, 5)), ("lr",)), ("lr",), ("loss",))
    assert default_request(source).columns == {}
    few, note = overlaid(source)
    kept = few.frame["task_id"].unique().to_list()
    assert len(kept) == CURVES and {2, 5, 39} <= set(kept)
    assert note == "12 of 40 tasks: those that run, then the newest"
    found = made(Request("steps", {"hue": TASK}), source)
    assert found.chart is not None and len(found.chart.series) == CURVES and note in found.notes


def test_a_chart_without_the_steps_is_of_the_last_of_each_task() -> None:
    frame = steps(6).with_columns(acc=pl.when(pl.col("step") < 3).then("step"))  # not measured in the last step
    source = Source(with_tasks(frame.reverse(), ("lr",)), ("lr",), ("loss", "acc"))
    found = made(Request("lines", {"x": "lr", "y": "loss"}), source)
    assert found.chart is not None and LAST in found.notes
    assert found.chart.series[0].points.select("y", "n").rows() == [(1 / 3, 2)] * 3
    box = made(Request("box", {"x": "lr", "y": "acc"}), source).chart
    assert box is not None and box.table["median"].to_list() == [2.0] * 3
    over = made(Request("lines", {"x": "step", "y": "loss"}), source)
    assert over.chart is not None and over.chart.series[0].points["y"].to_list() == [1, 1 / 2, 1 / 3]
    assert not over.notes
    # An answer of a query stays as it is; the chart says so.
    answer = Source(frame.select("lr", "step", "loss"), ("lr",), ("loss",))
    found = made(Request("lines", {"x": "lr", "y": "loss"}), answer)
    assert found.notes == (ALL,)
    assert made(Request("lines", {"x": "step", "y": "loss"}), answer).notes == ()


def test_a_front_is_of_the_metrics_with_goals() -> None:
    frame = pl.DataFrame({"lr": LR, "size": [1, 2, 3], "loss": LR, "acc": LR})
    source = Source(frame, ("lr",), ("size", "loss", "acc"))
    for metric in ("size", "acc"):
        lines = Request("lines", {"x": "lr", "y": metric}, goals={"loss": "min", "acc": "max"})
        found = made(of_kind(lines, KINDS["pareto"], KINDS["pareto"].roles), source)
        assert found.request.columns == {"x": "loss", "y": "acc"}


def test_the_impossible_becomes_a_sentence_that_names_keys() -> None:
    found = made(Request("heatmap"), Source(pl.DataFrame({"only": [1]})))
    assert found.chart is None and "--" not in found.problem
    assert made(Request("lines"), Source(pl.DataFrame())).problem == "there are no rows to draw"
    nothing = made(Request("hist", {"x": "v"}), Source(pl.DataFrame({"v": [None, math.nan]})))
    assert nothing.chart is None and nothing.problem


def test_another_kind_keeps_the_columns_that_it_has_a_use_for() -> None:
    request = Request("lines", {"x": "lr", "y": "acc", "hue": "act"}, log=frozenset(("x", "y")))
    assert of_kind(request, KINDS["hist"], KINDS["hist"].roles).columns == {"x": "acc", "hue": "act"}
    heat = of_kind(request, KINDS["heatmap"], KINDS["heatmap"].roles)
    assert heat.columns == {"x": "lr", "z": "acc"}  # the metric stays the metric
    assert of_kind(heat, KINDS["parallel"], KINDS["parallel"].roles).columns == {"y": "acc"}
    curves = of_kind(request, KINDS["steps"], KINDS["steps"].roles)
    assert curves.columns == {"y": "acc", "hue": "act"}  # they are over the steps
    over = Request("steps", {"x": "step", "y": "acc", "hue": TASK})
    assert of_kind(over, KINDS["area"], KINDS["area"].roles).columns == over.columns
    assert of_kind(over, KINDS["scatter"], KINDS["scatter"].roles).columns == {"y": "acc"}
    assert of_kind_again(Request("surface", {"x": "lr", "z": "loss"}), over).columns["y"] == "loss"
    assert of_kind(request, KINDS["categories"], KINDS["categories"].roles).log == frozenset("y")
    assert of_kind(request, KINDS["heatmap"], KINDS["heatmap"].roles).log == frozenset()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("lines"), "a: 3 points; least 1 at 0.001, greatest 3 at 0.1; first 1, last 3"),
        (Request("categories", {"x": "act"}), "2 points; least 2 at a, greatest 3 at b"),
        (Request("hist", {"x": "acc"}), "6 values from 1 to 4"),
        (Request("box", {"x": "act", "y": "acc"}), "medians a 2, b 3"),
        (Request("heatmap", {"x": "lr", "y": "act", "z": "acc"}), "6 cells; least 1 at 0.001, a; greatest 4 at 0.1, b"),
        (Request("scatter", {"x": "lr", "y": "acc"}), "6 points; least 1 at 0.001, greatest 4 at 0.1"),
    ],
)
def test_a_chart_in_words(request_: Request, words: str) -> None:
    frame = pl.DataFrame({"lr": LR * 2, "act": ["a"] * 3 + ["b"] * 3, "acc": [1.0, 2.0, 3.0, 2.0, 3.0, 4.0]})
    chart = made(request_, described(frame)).chart
    assert chart is not None
    assert any(words in line for line in summary(chart)), summary(chart)


def test_the_line_of_choices() -> None:
    line = choices_line(
        Request("lines", {"x": "lr", "y": "a_very_long_name_of_a_metric"}, log=frozenset({"x"})), "x", None, True, 60
    )
    assert line.plain == "k lines  x lr  y a_very_long_name_~  h hue -  m mean\ne error ci  l log x", "none is broken"


def test_the_list_of_columns_says_what_they_are() -> None:
    source = Source(pl.DataFrame({"lr": LR, TASK: ["a", "b", "c"], "tags": [[1], [2], []]}), ("lr",))
    about = {item.label: item.detail for item in column_items(source, "hue")}
    assert list(about) == ["(none)", TASK, "lr", "tags"]
    assert about["lr"] == "parameter number, 3 values" and about["tags"] == "list"


values = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), max_size=6),
    st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=6),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", ""])), max_size=6),
    st.lists(st.one_of(st.none(), st.booleans()), max_size=6),
    st.lists(st.none(), max_size=6),
    st.lists(st.lists(st.integers(), max_size=2), max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=4), st.sampled_from([None, *KINDS.own]))
def test_any_rows_make_a_chart_or_a_sentence(columns: list[list[object]], kind: str | None) -> None:
    height = min((len(column) for column in columns), default=0)
    names = ("step", "lr", "ci", "acc")
    frame = pl.DataFrame({n: c[:height] for n, c in zip(names, columns, strict=False)}, strict=False)
    source = counted(described(frame))
    request = default_request(source) if kind is None else Request(kind)
    found = made(request, source, error_column(frame))
    assert (found.chart is None) == bool(found.problem)
    column_items(source, "x")
    if found.chart is not None:
        assert summary(found.chart)


def test_a_picture_is_saved_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = made(Request("lines"), described(pl.DataFrame({"lr": LR, "acc": [0.1, 0.2, 0.3]}))).chart
    assert chart is not None
    first = saving.next_file(tmp_path, "a/b c", ".svg")
    assert first == tmp_path / "charts" / "a_b_c-1.svg"
    saving.write(chart, str(first), False)
    assert saving.next_file(tmp_path, "a/b c", ".svg").name == "a_b_c-2.svg"
    (tmp_path / "charts" / "journal.jsonl").touch()  # an experiment of this name
    assert saving.next_file(tmp_path, "a/b c", ".svg") == tmp_path / "charts_pictures" / "a_b_c-1.svg"
    monkeypatch.setattr(saving, "_has_matplotlib", lambda: False)
    assert saving.verdict("a.svg").good and not saving.verdict("a.png").good
    path = saving.write(chart, str(tmp_path / "cells.svg"), False)
    assert ElementTree.fromstring(path.read_text()).tag.endswith("svg")
