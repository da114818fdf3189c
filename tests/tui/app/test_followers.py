"""What the watcher reads of an experiment."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.results.conftest import LabOnDisk
from tests.store.events import submitted
from tui_lab.store.events import Assigned, Finished, Paused, Resumed, Started
from tui_lab.store.fold import State
from tui_lab.tui.app.followers import Throughput, WatchedExperiment
from tui_lab.tui.app.recent_events import RecentEvents
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot


def test_throughput_covers_the_run_or_its_last_hour() -> None:
    run = Throughput()
    run.look_back(State())
    assert run.bins(5.0) == ()
    run.begin(1000.5)
    for at in (1001.2, 1001.9, 1003.0):
        run.add(at)
    assert run.bins(1004.0) == (0, 2, 0, 1, 0)
    assert run.bins(1004.9) is run.bins(1004.2), "as long as nothing is new, it is the same"
    run.add(1003.5, 4)
    assert run.bins(None) == (0, 2, 0, 5), "it is over"
    assert run.bins(1000.0 + 90)[:2] == (2, 5), "of two seconds each"
    assert sum(run.bins(1000.0 + 3500)) == 7
    assert len(run.bins(1000.0 + 3600)) == 60
    run.add(9000.0)
    assert (sum(run.bins(9100.0)), run.bins(9100.0)[-2]) == (1, 1)
    state = State()
    for event in (
        submitted([(0, 9)], at=100.0),
        Assigned(100.0, "here", [(0, 1), (1, 1)]),
        Started(101.0, 0, 1),
        Finished(102.0, 0, 1, "done"),
        Resumed(110.0),
        Started(110.0, 1, 1),
        Finished(112.0, 1, 1, "done"),
    ):
        state.apply(event)
    run = Throughput()
    run.look_back(state)
    assert run.bins(112.0) == (0, 0, 1), "one that watched it began anew when it was resumed"


def test_what_only_the_clock_moves_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    disk = LabOnDisk(tmp_path)
    folder = disk.submit("command: ./run {n}\nparameters: {n: {range: [0, 100]}}\n")
    disk.clock = now - 60
    disk.journal(folder, submitted([(0, 99)], [(0, 99)], plan=1))
    disk.clock = now - 50
    for task in range(20):
        disk.journal(folder, Assigned(0, "here", [(task, 1)]), Started(0, task, 1))
    disk.clock = now - 30
    for task in range(15):
        disk.journal(folder, Finished(0, task, 1, "done", exit_code=0, duration=20.0))
    watched = WatchedExperiment(folder)
    first = watched.take_snapshot(active=True)
    left = first.remaining(now)
    assert left is not None and 300 < left < 500, "85 tasks on 5 slots, of 20 seconds each"
    assert sum(first.throughput) == 15 and first.rate
    for _ in range(8):
        now += 0.1
        assert watched.take_snapshot(active=True) == first or first.throughput != watched.take_snapshot(True).throughput
    second = watched.take_snapshot(active=True)
    assert second.eta == first.eta and second.remaining(now) == left - (now - first.eta + left)  # type: ignore[operator]
    assert not watched.has_news
    disk.journal(folder, Finished(0, 15, 1, "done", exit_code=0, duration=20.0))
    assert watched.has_news
    third = watched.take_snapshot(active=True)
    assert third != second and sum(third.throughput) == 16
    disk.journal(folder, Finished(0, 16, 1, "failed", "exit", exit_code=3), Paused(0, "asked", 0))
    last = watched.take_snapshot(active=True)
    assert last.eta is None
    lab = LabSnapshot(experiments=(last, ExperimentSnapshot("other")))
    assert [(one.experiment, one.kind, one.text, one.task) for one in lab.happened(3)] == [
        ("grid", "done", "done in 20 s", 15),
        ("grid", "failed", "exit 3", 16),
        ("grid", "paused", "paused: by command", None),
    ]
    assert watched.take_snapshot(active=True).happened is last.happened
    again = WatchedExperiment(folder).take_snapshot(active=False)
    assert [one.task for one in again.happened] == [*range(17)], "also what was before it is watched"


def test_of_many_tasks_that_are_done_some_are_told_and_each_failure() -> None:
    events, state = RecentEvents("grid"), State()
    state.apply(submitted([(0, 999)]))
    for task in range(1000):
        end = "failed" if task % 100 == 0 else "done"
        events.hear(Finished(1000 + task / 500, task, 1, end, "oom" if end == "failed" else None), state)  # type: ignore[arg-type]
    told = events.take()
    assert [one.task for one in told if one.kind == "failed"] == list(range(0, 1000, 100))
    done = [one for one in told if one.kind == "done"]
    assert len(done) == 2 and sum(1 + one.more for one in done) == 990, "the others are counted"
    assert events.take() is told
    events.hear(Finished(1003.0, 1, 1, "done"), state)
    events.hear(Finished(1003.1, 2, 1, "done"), state)
    assert [(one.task, one.more) for one in events.take()[-2:]] == [(900, 0), (1, 1)]
