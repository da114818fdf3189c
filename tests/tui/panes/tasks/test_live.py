"""The columns of what tasks say that run, without a screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.results.conftest import LabOnDisk
from tui_lab.experiment.data_types import Row
from tui_lab.tui.panes.tasks.view import View, default_columns, shown
from tui_lab.tui.tasks import live
from tui_lab.tui.tasks.columns import columns
from tui_lab.tui.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.tasks.latest import latest
from tui_lab.tui.tasks.live import LEFT, NUMBER, SHARE, SHOWN, TREND, VALUE, LiveRow, LiveTasks, filled

SWEEP = """command: ./run {lr} {eta}
parameters: {lr: [1, 2], eta: [3, 4]}
repeat: 2
metrics: {loss: 'loss (@float@)', acc: {pattern: 'acc (@float@)', goal: max}}
"""


def lines(last: int) -> str:
    return "".join(json.dumps({"step": step, "loss": 1 / (step + 1), "up": step}) + "\n" for step in range(last))


@pytest.fixture
def disk(tmp_path: Path) -> LabOnDisk:
    return LabOnDisk(tmp_path)


def facts(source: TaskSource, elapsed: float, *tasks: int) -> dict[int, Row]:
    return {task: {**row, "duration": elapsed} for task, row in source.live(tasks).items()}


def drawn(name: str, row: Row) -> str:
    (column,) = columns([name], [], False, SHOWN, "loss")
    assert column.draw is not None and column.width is not None
    text = "".join(part for part, _ in column.draw(row, column.width))
    assert not text or len(text) >= column.width
    return text


def test_what_tasks_say_that_run(disk: LabOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk.submit(SWEEP)
    source = TaskSource(disk.lab, "grid")
    still = source.read()
    assert not still.running and not {*SHOWN} & {*shown(still, View()).frame.columns, *default_columns(still)}
    disk.start(folder, 0, {"stdout": "acc 0.5\n", "metrics.jsonl": lines(26)})
    disk.start(folder, 1, {"stdout": "acc 0.4\nloss nan\n"})
    table = source.read()
    assert table.running == 2
    assert default_columns(table)[:8] == ["task_id", "state", SHARE, "lr", "eta", VALUE, LEFT, "repeat"]
    assert "eta" in table.parameters, "a parameter may be called so"
    reader = LiveTasks(disk.lab, source)
    said = reader.read(facts(source, 60.0, 0, 1, 2), table, None)
    assert said.keys() == {0, 1}
    assert (reader.metric, reader.metrics) == ("acc", ("acc", "loss", "up")), "the one with a goal says most"
    assert said[0].value == 0.5 and said[0].share is None, "nothing is done yet"

    disk.run(folder, 2, {"metrics.jsonl": lines(101)}, duration=240.0)
    disk.run(folder, 3, {"metrics.jsonl": lines(101)}, duration=300.0)
    monkeypatch.setattr(live, "LEARNT_EVERY", 0.0)
    said = reader.read(facts(source, 60.0, 0, 1, 2), table := source.read(), "loss")
    assert reader.metric == "loss"
    assert (said[0].value, said[0].share, said[0].left) == (1 / 26, 0.25, 180.0), "by its steps"
    assert len(said[0].trend) == live.TREND_WIDTH and said[0].trend.endswith("⣀")
    assert str(said[1].value) == "nan" and said[1].left == 210.0, "by how long others took"

    assert not {*SHOWN} & {*shown(table, View()).frame.columns}, "they take no room in a large table"
    rows = filled(shown(table, View()).frame, said, table.columns)
    assert rows[SHARE].to_list()[0] == 0.25 and rows[VALUE].null_count() == 6
    row = rows.row(0, named=True)
    assert drawn(VALUE, row) == f"  0.03846 {said[0].trend}"
    assert drawn(SHARE, row) == "━━──── 25%" and drawn(LEFT, row) == "     3 min"
    assert [drawn(name, rows.row(2, named=True)) for name in SHOWN] == ["", "", ""]
    assert drawn(LEFT, {LEFT: 7799.0}) == "2 h 10 min" and drawn(LEFT, {LEFT: 9e9}) == "104166 d 16 h"
    assert drawn(SHARE, {SHARE: 0.0}) == "──────  0%"
    assert drawn(VALUE, {VALUE: -1.23456e-200, NUMBER: "-1.23456e-200", TREND: " " * 10}) == "-1.2e-200" + " " * 11
    reader.close()


def test_the_live_metric_stays_as_long_as_it_has_values(disk: LabOnDisk) -> None:
    folder = disk.submit(SWEEP)
    source = TaskSource(disk.lab, "grid")
    reader = LiveTasks(disk.lab, source)
    disk.start(folder, 0, {"stdout": "loss 2\n"})
    disk.start(folder, 1, {"stdout": "loss 1\n"})
    disk.start(folder, 2, {"stdout": ""})
    disk.start(folder, 3, {"stdout": "loss 1\nacc 0.5\n"})
    for tasks, metric in (((2,), None), ((0,), "loss"), ((0, 3), "loss"), ((2,), "loss"), ((1,), "loss")):
        reader.read(facts(source, 1.0, *tasks), None, None)
        assert reader.metric == metric, tasks
    assert reader.metrics == ("acc", "loss"), "the other is known, and has a goal"
    assert reader.read(facts(source, 1.0, 0, 3), None, "acc")[3].value == 0.5, "the one that is asked for"
    reader.read(facts(source, 1.0, 0, 1), None, None)
    assert reader.metric == "loss", "no running task has the other"
    reader.close()


def test_others_of_the_same_setting_say_how_long_it_takes(disk: LabOnDisk) -> None:
    folder = disk.submit("command: ./run {lr}\nparameters: {lr: [1, .nan]}\nrepeat: 3\n")
    source = TaskSource(disk.lab, "grid")
    by_lr: dict[Any, list[int]] = {}
    for task, lr in source.read().frame.select("task_id", "lr").iter_rows():
        by_lr.setdefault(str(lr), []).append(task)
    (one, two, three), other = by_lr["1.0"], by_lr["nan"]
    disk.run(folder, one, "", duration=100.0)
    disk.run(folder, two, "", duration=100.0)
    for task in other[:2]:
        disk.run(folder, task, "", duration=1000.0)
    disk.start(folder, three, {"stdout": ""})
    disk.start(folder, other[2], {"stdout": ""})
    said = LiveTasks(disk.lab, source).read(facts(source, 50.0, three, other[2]), source.read(), None)
    assert said[three] == LiveRow(share=0.5, left=50.0)
    assert said[other[2]].left == 950.0


def test_a_column_of_such_a_name_stays_what_it_is() -> None:
    frame = pl.DataFrame({"task_id": [0], VALUE: [7.0]})
    table = TaskTable(frame, (VALUE,), (), frozenset(), 0, running=1)
    assert filled(frame, {0: LiveRow(1.0)}, table.columns).row(0, named=True) == {
        "task_id": 0, VALUE: 7.0, NUMBER: "1", TREND: None, SHARE: None, LEFT: None,
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 50, 2000, 9000])
def test_the_latest_of_many(most: int) -> None:
    random = np.random.default_rng(most)
    at_once = np.full(9500, 2.5)
    at_once[random.choice(9500, 40, replace=False)] = 3.0
    for times in (random.normal(size=9500), random.integers(0, 9, 9500).astype(float), at_once, np.arange(9500.0)):
        places = latest(times, most)
        assert len(np.unique(places)) == most
        assert np.sort(times[places]).tolist() == np.sort(times)[-most:].tolist()
