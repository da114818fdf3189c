"""A journal that is written anew: what was done never looks as if it had not begun."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.events import AT
from tests.store.planner import Planner
from tui_lab.store import events, layout, repair
from tui_lab.store.errors import StorageError
from tui_lab.store.events import Assigned, Finished, NodeRuns
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, LOST

GRID = "name: grid\ncommand: echo {{a}}\nparameters: {{a: [{}]}}\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """Two submissions whose tasks are done, with their outputs."""
    planner = Planner(tmp_path_factory.mktemp("lab"))
    planner.submit(GRID.format("1, 2, 3"))
    planner.submit(GRID.format("1, 2, 3, 4, 5"))
    for task in range(5):
        place = layout.task_folder(planner.folder.path, task)
        place.mkdir(parents=True)
        (place / "stdout").write_text("")
    return planner.folder


def _put_back(folder: ExperimentFolder, whole: bytes) -> ExperimentFolder:
    for path in folder.path.glob("journal.jsonl.damaged-*"):
        path.unlink()
    folder.journal.write_bytes(whole)
    return ExperimentFolder(folder.path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_damaged_what_was_done_stays_so_or_is_lost(done: ExperimentFolder, data: st.DataObject) -> None:
    whole = done.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    count = data.draw(st.integers(1, 3))
    first = data.draw(st.integers(0, len(lines) - count - 1))
    how = data.draw(st.sampled_from(["flip", "zeros", "gone"]))
    if how == "gone":
        del lines[first : first + count]
    elif how == "zeros":
        lines[first : first + count] = [bytes(sum(map(len, lines[first : first + count])))]
    else:
        for number in range(first, first + count):
            line = bytearray(lines[number])
            for _ in range(2):
                line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
            lines[number] = bytes(line)
        hypothesis.assume(b"".join(lines) != whole)
    try:
        folder = _put_back(done, b"".join(lines))
        assert folder.state().damage
        with pytest.raises(StorageError, match="damaged"):
            folder.require_whole()
        assert repair.repair(folder)
        mended = ExperimentFolder(done.path)
        mended.require_whole()
        assert set(mended.state().columns["state"]) <= {DONE, LOST}
        assert mended.state().size == 5
        assert mended.tasks()["a"].to_list() == [1, 2, 3, 4, 5]
        assert repair.repair(mended) == []
        assert [path.read_bytes() for path in done.path.glob("*.damaged-1")] == [b"".join(lines)]
    finally:
        _put_back(done, whole)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_single_byte_is_put_right(done: ExperimentFolder, data: st.DataObject) -> None:
    whole = done.journal.read_bytes()
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        folder = _put_back(done, bytes(damaged))
        assert "one byte was wrong" in repair.repair(folder)[0]
        assert done.journal.read_bytes() == whole
    finally:
        _put_back(done, whole)


def test_an_old_journal_without_sums_is_whole(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "grid")
    folder.path.mkdir()
    folder.journal.write_text('{"event":"journal","format":1,"id":"abc"}\n{"event":"ended","at":1.0,"counts":{}}\n')
    folder.require_whole()
    assert repair.repair(folder) == []
    assert folder.state().identity == "abc"


PER_NODE = """\
name: grid
stages:
  build: {{command: 'make {{a}}', per: node}}
  link: {{command: 'link {{build.output}}', per: node}}
  test: {{command: 'run {{link.output}}'}}
parameters: {{a: [{}]}}
"""


def test_runs_that_nodes_have_of_their_own_are_put_back_or_made_again(tmp_path: Path) -> None:
    planner = Planner(tmp_path)
    planner.submit(PER_NODE.format("1"), done=False)
    lost = NodeRuns(AT, "here", [(1, 3)])  # build
    layout.task_folder(planner.folder.path, 3, "build").mkdir(parents=True)
    planner.journal(lost, Assigned(AT, "here", [(3, 1)]), _done(3))
    planner.submit(PER_NODE.format("1, 2, 3"), done=False)
    [_, (first, last)] = planner.folder.state().submissions[-1].stages["build"]
    both = NodeRuns(AT, "here", [(first, 10), (last, 11)])
    planner.journal(both, Assigned(AT, "here", [(10, 1), (11, 1), (0, 1)]), *(_done(one) for one in (10, 11, 0)))
    given = Assigned(AT, "there", [(12, 1)])
    planner.journal(NodeRuns(AT, "there", [(last, 12)]), given, Assigned(AT, "here", [(4, 1)]), _done(12))
    lines = planner.folder.journal.read_bytes().splitlines()
    for gone in (lost, both, given):
        [place] = [place for place, line in enumerate(lines) if line.startswith(events.encode(gone)[:-1])]
        lines[place] = bytes(len(lines[place]))
    planner.folder.journal.write_bytes(b"\n".join(lines) + b"\n")

    said = repair.repair(planner.folder)
    assert "grid: nodes have these runs of stages of their own, as concluded: 3" in said
    assert any("they are made again where they are needed: 10-11" in line for line in said)
    state = planner.folder.state()
    assert state.runs_on("here") == {1: 3, 10: 10, 11: 11} and state.stage(3) == "build"
    assert state.runs_on("there") == {last: 12} and state.nodes[state.columns["node"][12]] == "there"
    assert [state.columns["state"][one] for one in (0, 3, 12)] == [DONE] * 3 and state.queued_tasks() == 0
    assert planner.folder.tasks()["a"].to_list() == [1, 2, 3], "what is unknown is no task"
    assert planner.submit(PER_NODE.format("1, 2, 3, 4"), done=False).new == [13], "no id is given twice"


def _done(task: int) -> Finished:
    return Finished(AT, task, 1, "done", duration=1.0)
