"""When the Tasks pane reads its tables again: the model alone, without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.store.lab import Lab
from tui_lab.tui.panes.tasks.model import MadeTable, TaskModel
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.tasks.frame import TaskSource


@pytest.fixture
def model(small_lab: Path) -> TaskModel:
    found = TaskModel()
    found.open(TaskSource(Lab.open(small_lab), "small"), View())
    return found


def made(model: TaskModel) -> MadeTable:
    job = model.begin_table()
    assert job is not None
    return job.run()


def test_the_first_table_is_read_at_once(model: TaskModel) -> None:
    assert model.want_table() == 0.0
    first = made(model)
    assert model.want_table() is None  # one is being made
    assert model.take_table(first)
    model.show(first)
    assert not model.is_waiting
    assert model.count(first.shown.frame, first.shown.total, ()) == "8 tasks · reading metrics …"
    source = model.begin_metrics()
    assert source is not None and not model.take_metrics(source, False, 0.1)
    assert model.count(first.shown.frame, first.shown.total, ()) == "8 tasks"


def test_another_view_needs_no_reading(model: TaskModel) -> None:
    model.want_table()
    model.take_table(made(model))
    known = model.table
    model.view = View("kind = 'a'")
    assert model.is_waiting and model.want_table(soon=True) == 0.0
    other = made(model)
    assert other.table is known and model.take_table(other)
    assert other.shown.frame.height == 4
    chosen = model.chosen(other.shown.frame, other.shown.total, ())
    assert chosen is not None and chosen.words == "4 tasks like kind = 'a'" and chosen.ids.len() == 4


def test_a_journal_that_grows_is_read_when_it_is_time(model: TaskModel) -> None:
    model.want_table()
    model.take_table(made(model))
    known = model.table
    model.journal_grew(running=1, runs=0)
    delay = model.want_table()
    assert delay is not None and delay > 0
    assert made(model).table is known  # a view that is wanted before then is one of the table that is here


def test_what_comes_too_late_is_dropped(model: TaskModel, small_lab: Path) -> None:
    model.want_table()
    late = made(model)
    model.open(TaskSource(Lab.open(small_lab), "small"), View())
    assert not model.take_table(late) and model.table is None
    assert model.is_behind(late) and model.is_other(late)
    assert model.want_table() == 0.0 and made(model).job.table is None


def test_work_that_failed_is_begun_again(model: TaskModel) -> None:
    model.want_table()
    assert model.begin_table() is not None
    model.worker_failed("tables")
    model.want_table()
    assert model.begin_table() is not None
