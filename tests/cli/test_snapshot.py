"""What was there at a submission runs, whatever is edited meanwhile; where it is not a part of the snapshot, that is
told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workbench import Workbench, until
from tui_lab.store.fold import DONE, RUNNING

WAITING = """
    command: ./prog.sh {x} %s/go
    %s
    parameters: {x: [0, 1, 2]}
"""
PROGRAM = "#!/bin/sh\nwhile [ ! -e $2 ]; do sleep 0.02; done; . ./lib/word.sh; echo $word $(cat data.txt); pwd\n"


def start(workbench: Workbench, keys: str) -> None:
    """Three tasks on one slot, the first of which waits for the file `go`."""
    folder = workbench.folder
    (folder / "lib").mkdir()
    (folder / "lib" / "word.sh").write_text("word=old\n")
    (folder / "data.txt").write_text("beside\n")
    workbench.write("prog.sh", PROGRAM).chmod(0o755)
    workbench.run_text(WAITING % (folder, keys), "--detach", slots=1)
    until(lambda: workbench.experiment().state().columns["state"][0] == RUNNING)


def edit(workbench: Workbench, name: str, old: str, new: str) -> None:
    path = workbench.folder / name
    changed = path.with_name("changed")
    changed.write_text(path.read_text().replace(old, new))
    changed.chmod(path.stat().st_mode)
    changed.replace(path)


def finish(workbench: Workbench) -> list[str]:
    """The first lines of all outputs."""
    (workbench.folder / "go").touch()
    until(lambda: list(workbench.experiment().state().columns["state"]) == [DONE] * 3)
    return [output(workbench, task)[0] for task in range(3)]


def output(workbench: Workbench, task: int) -> list[str]:
    return (workbench.experiment().task_folder(task) / "stdout").read_text().splitlines()


@pytest.mark.slow
def test_all_tasks_of_a_submission_run_the_same_code(workbench: Workbench) -> None:
    start(workbench, "code: [prog.sh, 'lib/**']")
    edit(workbench, "lib/word.sh", "old", "new")
    edit(workbench, "prog.sh", "echo", "echo edited")
    assert finish(workbench) == ["old beside"] * 3
    assert not workbench.experiment().state().notes
    place = Path(output(workbench, 0)[1])
    assert place.parent == workbench.lab_path / "e" / "code"
    assert not (place / "prog.sh").stat().st_mode & 0o222
    assert not (place / "lab").exists()
    again = workbench("--run", workbench.folder / "experiment.yaml", "--rerun", "--node", "localhost", 1)
    assert "prog.sh" not in again.err
    assert [output(workbench, task)[0] for task in range(3, 6)] == ["edited new beside"] * 3


def test_the_program_of_a_command_is_a_part_of_the_snapshot(workbench: Workbench) -> None:
    start(workbench, "code: lib")
    edit(workbench, "prog.sh", "echo", "echo edited")
    assert finish(workbench) == ["old beside"] * 3


@pytest.mark.slow
def test_a_change_of_what_is_not_in_the_snapshot_is_told_for_each_task(workbench: Workbench) -> None:
    start(workbench, "inputs: data.txt")
    edit(workbench, "prog.sh", "echo", "echo edited")
    edit(workbench, "data.txt", "beside", "other")
    os.utime(workbench.folder / "lib" / "word.sh")
    assert finish(workbench) == ["old other", "edited old other", "edited old other"]
    notes = workbench.experiment().state().notes
    assert sorted(notes) == [1, 2]
    assert notes[1] == "data.txt, prog.sh changed between the submission and the start of this task"
    assert notes[1] in workbench("show", "1", code=None).out


def test_what_was_only_touched_is_no_change(workbench: Workbench) -> None:
    start(workbench, "")
    os.utime(workbench.folder / "prog.sh")
    assert finish(workbench) == ["old beside"] * 3
    assert not workbench.experiment().state().notes


def test_a_folder_of_the_file_stands_for_that_of_its_copy(workbench: Workbench) -> None:
    (workbench.folder / "src").mkdir()
    (workbench.folder / "src" / "data.txt").write_text("beside\n")
    workbench.run_text(
        "command: cat data.txt; pwd; echo {x} > out-{x}\ncode: src\nworkdir: src\nparameters: {x: [1]}\n"
    )
    text, place = output(workbench, 0)
    assert text == "beside"
    assert Path(place).name == "src"
    assert (Path(place) / "out-1").exists()
    assert not (workbench.folder / "src" / "out-1").exists()


@pytest.mark.slow
def test_a_damaged_snapshot_is_mended_by_the_next_submission(workbench: Workbench) -> None:
    workbench.write("prog.sh", "#!/bin/sh\necho $1; rm -f prog.sh\n").chmod(0o755)
    text = "command: ./prog.sh {x}\ncode: prog.sh\nparameters: {x: [%s]}\n"
    workbench.run_text(text % "1")
    workbench.run_text(text % "1, 2")
    assert output(workbench, 1) == ["2"]
    workbench.run_text(text.replace("prog.sh {x}", "prog.sh {x} ") % "1", "--rerun")
