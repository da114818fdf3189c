"""The frame of all tasks and what a view shows of it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workbench import Workbench
from tui_lab.client.errors import UsageError
from tui_lab.results.sql.text import is_equal
from tui_lab.store.fold import STATES
from tui_lab.store.lab import Lab
from tui_lab.tui.panes.tasks.view import MOST_PINNED, View, chosen, default_columns, grouped, shown
from tui_lab.tui.tasks.detail import command_line, read_detail
from tui_lab.tui.tasks.failures import FailedTasks
from tui_lab.tui.tasks.frame import TaskSource, TaskTable, overlaid


@pytest.fixture
def source(small_workbench: Workbench) -> TaskSource:
    found = TaskSource(Lab.open(small_workbench.lab_path), "small")
    found.read_metrics(0)
    found.read()
    found.read_metrics(0)
    return found


def ids(source: TaskSource, **view: object) -> list[int]:
    return shown(source.read(), View(**view)).frame["task_id"].to_list()  # type: ignore[arg-type]


def test_it_is_the_table_of_the_store(source: TaskSource) -> None:
    table = source.read()
    truth = source.folder.tasks()
    for name in truth.columns:
        ours = table.frame[name]
        ours = ours.cast(pl.String) if isinstance(ours.dtype, pl.Enum) else ours
        assert ours.to_list() == truth[name].to_list(), name
    assert table.frame["score"].to_list()[:2] == [1.5, 1.5]


def test_what_varies_is_shown_at_first(source: TaskSource) -> None:
    assert default_columns(source.read()) == [
        "task_id", "state", "x", "kind", "repeat", "score", "loss", "duration", "reason",
    ]  # fmt: skip


def test_filters(source: TaskSource) -> None:
    everything = source.read().frame
    failed = everything.filter(pl.col("state") == "failed")["task_id"].to_list()
    assert ids(source, text="failed") == failed
    assert ids(source, text="state = 'failed'") == failed
    assert ids(source, text="score > 2 and kind = 'a'") == everything.filter(score=3.5)["task_id"].to_list()
    assert ids(source, text="FAILED b") == failed
    assert ids(source, text="nothing like this") == []
    assert ids(source, only=("these", (1, 5))) == [1, 5]
    found = shown(source.read(), View("score >"))
    assert found.problem and found.frame.height == 8


@pytest.mark.parametrize("text", ["x = ", "nope > 3", "x + 1 = 'a", "sum(x) > 3", "x = 1; drop table t", "(((("])
def test_a_mistake_in_sql_is_one_error(source: TaskSource, text: str) -> None:
    frame = source.read().frame
    try:
        chosen(frame, text)
    except UsageError as error:
        assert str(error)


@given(st.text(max_size=20))
def test_any_filter_shows_something_or_says_why(text: str) -> None:
    frame = pl.DataFrame({"task_id": [1, 2], "state": ["done", None], "x": [1.5, None]})
    try:
        assert chosen(frame, text).len() == 2
    except UsageError as error:
        assert str(error)


def test_orders(source: TaskSource) -> None:
    assert ids(source, order=("score", True))[-2:] == [6, 7]  # nulls last
    assert ids(source, order=("x", False))[:1] == [0]
    assert ids(source, order=("not there", False)) == list(range(8))


def test_groups(source: TaskSource) -> None:
    table = source.read()
    frame = grouped(table.frame, "kind", table.metrics)
    assert frame.select("group", "tasks", "done", "failed").rows() == [("a", 4, 4, 0), ("b", 4, 2, 2)]
    assert frame["mean score"].to_list() == [2.5, 1.5]
    for column in ("kind", "x", "reason", "score"):
        for value in table.frame[column].unique():
            same = table.frame.select(pl.col(column).eq_missing(pl.lit(value)))[column]
            assert chosen(table.frame, is_equal(column, value)).to_list() == same.to_list()


@given(st.one_of(st.floats(), st.text(), st.integers(-(2**62), 2**62), st.booleans(), st.none()))
def test_a_condition_finds_its_value(value: object) -> None:
    if isinstance(value, str) and "\0" in value:
        return
    frame = pl.DataFrame({"odd name": pl.Series([value])})
    if frame["odd name"].dtype == pl.Null:
        return
    assert chosen(frame, is_equal("odd name", value)).to_list() == [True]


def test_failures_by_what_they_say(source: TaskSource) -> None:
    found = FailedTasks(source).read(source.read())
    assert found.frame.select("tasks", "reason", "line").rows() == [(2, "exit 3", "no such kind")]
    assert found.kinds[0].tasks == (6, 7)
    assert found.shared == ((),)  # two tell nothing


def test_details_and_the_command(source: TaskSource) -> None:
    detail = read_detail(source, 6)
    assert detail is not None
    assert (detail.state, detail.why, detail.attempts) == ("failed", "exit 3", 1)
    assert "loss: 0." in detail.commands[0]
    assert "loss: 0." in command_line(source, 6)
    assert read_detail(source, 99) is None


def test_newer_facts_take_the_place_of_older(source: TaskSource) -> None:
    rows = source.read().frame
    newer = source.live([2, 3, 99])
    assert sorted(newer) == [2, 3]
    for facts in newer.values():
        facts |= {"state": "running", "reason": None}
    found = overlaid(rows, newer)
    assert found["state"].to_list()[1:5] == ["done", "running", "running", "done"]
    assert found.columns == rows.columns and found.schema == rows.schema


def test_values_that_another_reader_found_first(own_lab: Workbench) -> None:
    found = TaskSource(Lab.open(own_lab.lab_path), "small")
    found.read()
    assert found.read_metrics(0)
    assert not found.read_metrics(0)
    file = own_lab.folder / "small.yaml"
    ran = own_lab.process(
        "--run", file, "--replace", "x=5", "--new", "--node", "localhost", 2, code=None
    )  # it reads them at its end
    assert "4 tasks to run" in ran.err, ran.err
    assert found.read_metrics(0)
    assert found.read().frame["score"].to_list().count(5.5) == 4


def test_what_runs_stands_on_top() -> None:
    frame = pl.DataFrame(
        {
            "task_id": range(5),
            "state": pl.Series(["done", "running", "pending", "running", "running"], dtype=pl.Enum(STATES)),
            "duration": [1.0, 9.0, None, 0.5, 70.0],
        }
    )
    table = TaskTable(frame, (), (), frozenset(), 0, running=3)
    found = shown(table, View())
    assert found.frame["task_id"].to_list() == [1, 4, 0, 2, 3]
    assert (found.pinned, found.unsteady) == (2, True), "task 3 may end in a moment"
    assert shown(table, View("task_id < 3")).frame["task_id"].to_list() == [1, 0, 2]
    ordered = shown(table, View(order=("task_id", True)))
    assert ordered.frame["task_id"].to_list() == [4, 3, 2, 1, 0] and not ordered.pinned
    assert shown(TaskTable(frame, (), (), frozenset(), 0), View()).pinned == 0
    many = pl.concat([frame] * 200).with_columns(task_id=pl.int_range(1000), duration=pl.lit(9.0))
    found = shown(TaskTable(many, (), (), frozenset(), 0, running=600), View())
    assert (found.pinned, found.unsteady, found.frame.height) == (MOST_PINNED, False, 1000)
    assert sorted(found.frame["task_id"]) == [*range(1000)] and set(found.frame["state"][:256]) == {"running"}
