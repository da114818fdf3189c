"""A journal that is written anew: what was done never looks as if it had not begun."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.planner import Planner
from tui_lab.store import layout, repair
from tui_lab.store.errors import StorageError
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
