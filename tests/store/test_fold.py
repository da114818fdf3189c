"""From events to the state of tasks; and the checkpoint, which is the same state from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.store.events import submitted
from tui_lab.store import checkpoint
from tui_lab.store.events import (
    Assigned,
    Cleaned,
    EndState,
    Event,
    FilesRemoved,
    Finished,
    KnownEvent,
    Paused,
    Requeued,
    Resumed,
    Returned,
    Started,
    StepEnd,
    StepEnded,
    Stopped,
    decode,
)
from tui_lab.store.fold import STATES, State
from tui_lab.store.journal import Journal

SIZE = 6


def assigned(task: int, attempt: int = 1, node: str = "n") -> Assigned:
    return Assigned(1.0, node, [(task, attempt)])


def started(task: int, attempt: int = 1) -> Started:
    return Started(2.0, task, attempt)


def finished(task: int, attempt: int = 1, state: EndState = "done", **more: Any) -> Finished:
    return Finished(3.0, task, attempt, state, **more)


def fold(*events: Event) -> State:
    state = State()
    for event in events:
        state.apply(event)
    return state


def of(state: State, task: int) -> str:
    return STATES[state.columns["state"][task]]


ALL = submitted([[0, SIZE - 1]], [[0, SIZE - 1]])


def test_the_life_of_a_task() -> None:
    state = fold(ALL)
    assert (of(state, 0), state.planned) == ("pending", SIZE)
    state.apply(assigned(0))
    assert of(state, 0) == "pending"
    state.apply(started(0))
    assert of(state, 0) == "running"
    state.apply(finished(0, exit_code=0, duration=0.5, cpu_time=0.1, peak_rss=10, leftover=2))
    assert of(state, 0) == "done"
    assert state.columns["duration"][0] == 0.5
    assert state.columns["leftover"][0] == 2
    assert state.counts_by_name() == {
        "pending": 5,
        "running": 0,
        "done": 1,
        "failed": 0,
        "stopped": 0,
        "lost": 0,
    }


def test_the_first_result_of_an_attempt_wins() -> None:
    state = fold(ALL, assigned(0), finished(0), finished(0, state="failed", reason="exit"))
    assert of(state, 0) == "done"


def test_a_result_of_an_earlier_attempt_changes_nothing() -> None:
    again = finished(0, state="failed", reason="exit", again=1.0)
    state = fold(ALL, assigned(0), again, assigned(0, 2), finished(0, 1, "done"))
    assert of(state, 0) == "pending"
    state.apply(finished(0, 2))
    assert (of(state, 0), state.columns["attempt"][0]) == ("done", 2)


def test_a_returned_attempt_gives_its_number_back() -> None:
    state = fold(ALL, assigned(0), Returned(1.0, [(0, 1)]))
    assert (state.columns["attempts"][0], state.columns["assigned"][0]) == (0, 0)


def test_losses_are_counted_apart() -> None:
    state = fold(ALL, assigned(0), finished(0, state="lost", reason="node-lost", again=1.0))
    assert state.columns["losses"][0] == 1
    state.apply(Requeued(1.0, [[0, 0]], {}))
    assert state.columns["losses"][0] == 1  # it was asked for already
    state.apply(assigned(0, 2))
    state.apply(finished(0, 2, state="lost", reason="node-lost"))
    state.apply(Requeued(1.0, [[0, 0]], {}))
    assert (state.columns["losses"][0], state.columns["base"][0]) == (0, 2)


def test_losses_that_are_nobodys_fault_are_not_spent() -> None:
    state = fold(ALL, assigned(0), finished(0, state="lost", reason="walltime", again=0.0))
    assert (state.columns["losses"][0], state.columns["spent"][0]) == (1, 0)
    for event in (assigned(0, attempt=2), finished(0, 2, state="lost", reason="node-lost", again=1.0)):
        state.apply(event)
    assert (state.columns["losses"][0], state.columns["spent"][0]) == (2, 1)


def test_a_later_submission_shrinks_the_plan_and_keeps_the_facts() -> None:
    state = fold(ALL, assigned(5), finished(5), submitted([[0, 1]], [[0, 1]]))
    assert state.planned == 2
    assert of(state, 5) == "done"
    assert state.counts_by_name()["done"] == 0


def test_stages_are_counted_in_the_order_of_the_newest_plan() -> None:
    first = structs.replace(ALL, stages={"prepare": [(6, 6)], "train": [(7, 8)]})
    later = structs.replace(ALL, stages={"prepare": [(6, 6)], "clean": [(9, 9)], "train": [(7, 7)]})
    state = fold(first, assigned(7), started(7), later)
    counts = state.stage_counts()
    assert list(counts) == ["prepare", "clean", "train"]
    assert (counts["train"]["running"], sum(counts["train"].values())) == (1, 1)


def test_a_submission_that_joins_keeps_what_was_asked_for() -> None:
    state = fold(ALL, submitted([[0, 3]], [[1, 1]], joins=True))
    assert list(state.columns["queued"]) == [1, 1, 1, 1, 0, 0]
    state = fold(ALL, submitted([[0, 3]], [[1, 1]]))
    assert list(state.columns["queued"]) == [0, 1, 0, 0, 0, 0]


def test_what_a_retry_changes_belongs_to_that_retry() -> None:
    state = fold(ALL, Requeued(1.0, [[2, 2]], {"timeout": 5}))
    assert state.changes == {2: {"timeout": 5}}
    state.apply(Requeued(1.0, [[2, 2]], {}))
    assert state.changes == {}


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"finished"}',
        '{"event":"finished","task":99,"attempt":1,"state":"done","at":1.0}',
        '{"event":"finished","task":0,"attempt":1,"state":"vanished","at":1.0}',
        '{"event":"started","task":"x","attempt":1,"at":1.0}',
        '{"event":"assigned","at":1.0,"node":"n","attempts":3}',
        '{"event":"requeued","at":1.0,"queued":[[1]],"changes":{}}',
        '{"event":"submitted"}',
        '{"event":"of another tui-lab"}',
    ],
)
def test_events_that_make_no_sense_change_nothing(line: str) -> None:
    state, untouched = fold(ALL, decode(line.encode())), fold(ALL)
    assert state.counts_by_name() == untouched.counts_by_name()
    assert repr(state.columns) == repr(untouched.columns)  # NaN differs from itself


def step_ends(*attempts: int) -> dict[str, Any]:
    """Members of `finished`: steps of one second, each run by an attempt."""
    return {"steps": [(0, 1.0) for _ in attempts], "step_ends": [StepEnd(one, (one, 0, 0), 0.25) for one in attempts]}


def test_an_attempt_goes_on_behind_the_steps_that_are_done() -> None:
    state = fold(ALL, assigned(0), started(0))
    state.apply(StepEnded(1.0, 0, 1, 0, 0, 1.0, StepEnd(1, (1, 0, 0))))
    state.apply(started(0))  # again, after a reconnect
    assert (state.columns["go_on"][0], state.columns["outputs"][0]) == (1, 1)
    state.apply(finished(0, state="lost", reason="node-lost", again=1.0))
    state.apply(Assigned(1.0, "n", [(0, 2)], [(0, 1)]))
    assert state.step_ends(0) == (1, [(0, 1.0)], [StepEnd(1, (1, 0, 0))])
    state.apply(finished(0, 2, "failed", first_step=1, step=2, duration=5.0, cpu_time=1.0, **step_ends(1, 2, 2)))
    assert (state.columns["go_on"][0], state.columns["outputs"][0]) == (2, 2)
    assert (state.columns["duration"][0], state.columns["cpu_time"][0]) == (6.0, 1.25)
    assert state.steps.runs(0) == [(1, 0, 1.0), (2, 0, 1.0), (2, 0, 1.0)]


def test_an_attempt_begins_at_the_first_step_where_it_must() -> None:
    failed = finished(0, 1, "failed", step=1, **step_ends(1, 1))
    requeued = Requeued(1.0, [[0, 0]], {})
    assert fold(ALL, assigned(0), failed, requeued).columns["go_on"][0] == 1
    for more in (
        assigned(0, 2),
        Cleaned(1.0, [[0, 0]]),
        FilesRemoved(1.0, [[0, 0]]),
        structs.replace(requeued, step=0),
    ):
        assert fold(ALL, assigned(0), failed, requeued, more).columns["go_on"][0] == 0
    for other in (structs.replace(failed, step_ends=None), structs.replace(failed, state="done")):
        assert fold(ALL, assigned(0), other, requeued).columns["go_on"][0] == 0
    done = structs.replace(failed, state="done")
    assert fold(ALL, assigned(0), done, structs.replace(requeued, step=1)).columns["go_on"][0] == 1
    assert fold(ALL, assigned(0), failed, structs.replace(requeued, step=2)).columns["go_on"][0] == 1


tasks = st.integers(0, SIZE - 1)
attempts = st.integers(1, 3)
steps = st.integers(0, 2)
any_event = st.one_of(
    st.builds(assigned, tasks, attempts),
    st.builds(started, tasks, attempts),
    st.builds(finished, tasks, attempts, st.sampled_from(["done", "failed", "stopped", "lost"])),
    st.builds(lambda task: Requeued(1.0, [[task, task]], {}), tasks),
    st.builds(
        lambda task, attempt, step: Assigned(1.0, "n", [(task, attempt)], [(task, step)]), tasks, attempts, steps
    ),
    st.builds(
        lambda task, attempt, step: StepEnded(1.0, task, attempt, step, 0, 1.0, StepEnd(attempt, (5, 0, 0))),
        *(tasks, attempts, steps),
    ),
    st.builds(lambda task, attempt: finished(task, attempt, "failed", **step_ends(1, attempt)), tasks, attempts),
    st.builds(lambda task: Stopped(1.0, [[task, task]]), tasks),
    st.builds(lambda last: submitted([[0, last]], [[0, last]]), tasks),
    st.builds(Paused, st.just(1.0), st.sampled_from(["first_failures", "asked"]), tasks),
    st.just(Resumed(1.0)),
)


@given(st.lists(any_event, max_size=30), st.data())
def test_a_checkpoint_and_the_rest_equal_the_whole(
    tmp_path_factory: pytest.TempPathFactory, events: list[KnownEvent], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fold")
    journal = Journal(folder / "journal.jsonl")
    events = [ALL, *events]
    cut = data.draw(st.integers(0, len(events)))
    journal.append(events[:cut])
    half = State()
    half.follow(journal.path)
    checkpoint.write(half, folder)
    journal.append(events[cut:])
    journal.close()
    whole, resumed = State(), checkpoint.read(folder)
    assert resumed.offset == half.offset
    whole.follow(folder / "journal.jsonl")
    resumed.follow(folder / "journal.jsonl")
    resumed.proof = whole.proof  # only what the checkpoint itself needs
    assert repr(vars(resumed)) == repr(vars(whole))
    assert sum(whole.counts.values()) == sum(whole.columns["planned"])


def test_a_checkpoint_of_another_journal_is_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([ALL, assigned(0), finished(0)])
    state = State()
    state.follow(journal.path)
    checkpoint.write(state, tmp_path)
    assert checkpoint.read(tmp_path).offset == state.offset
    whole = journal.path.read_bytes()
    journal.close()
    journal.path.write_bytes(whole[:-1])
    assert checkpoint.read(tmp_path).offset == 0
    journal.path.write_bytes(whole.replace(b'"done"', b'"lost"'))
    assert checkpoint.read(tmp_path).offset == 0
    journal.path.write_bytes(whole)
    assert checkpoint.read(tmp_path).offset == state.offset
    (tmp_path / "state.parquet").write_bytes((tmp_path / "state.parquet").read_bytes()[:-9])
    assert checkpoint.read(tmp_path).offset == 0
    journal.path.unlink()
    assert checkpoint.read(tmp_path).offset == 0


def test_a_state_begins_anew_with_a_shorter_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([ALL, assigned(0), finished(0)])
    journal.close()
    state = State()
    state.follow(tmp_path / "j")
    (tmp_path / "j").unlink()
    journal = Journal(tmp_path / "j")
    journal.append([submitted([[0, 1]], [[0, 1]])])
    journal.close()
    state.follow(tmp_path / "j")
    assert state.counts_by_name()["pending"] == 2
    assert state.planned == 2
