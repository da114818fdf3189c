"""What was there at a submission runs, whatever is edited meanwhile; where it is not a part of the snapshot, that is
told."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import Workshop, until
from tui_lab.store.fold import DONE, RUNNING

WAITING = """
    command: ./prog.sh {x} %s/go
    %s
    parameters: {x: [0, 1, 2]}
"""
PROGRAM = "#!/bin/sh\nwhile [ ! -e $2 ]; do sleep 0.02; done; . ./lib/word.sh; echo $word $(cat data.txt); pwd\n"


def start(workshop: Workshop, keys: str) -> None:
    """Three tasks on one slot, the first of which waits for the file `go`."""
    folder = workshop.folder
    (folder / "lib").mkdir()
    (folder / "lib" / "word.sh").write_text("word=old\n")
    (folder / "data.txt").write_text("beside\n")
    workshop.write("prog.sh", PROGRAM).chmod(0o755)
    started = workshop.run(WAITING % (folder, keys), "--detach", slots=1)
    assert started.returncode == 0, started.stderr
    until(lambda: workshop.experiment().state().columns["state"][0] == RUNNING)


def edit(workshop: Workshop, name: str, old: str, new: str) -> None:
    path = workshop.folder / name
    changed = path.with_name("changed")
    changed.write_text(path.read_text().replace(old, new))
    changed.chmod(path.stat().st_mode)
    changed.replace(path)


def finish(workshop: Workshop) -> list[str]:
    """The first lines of all outputs."""
    (workshop.folder / "go").touch()
    until(lambda: list(workshop.experiment().state().columns["state"]) == [DONE] * 3)
    return [output(workshop, task)[0] for task in range(3)]


def output(workshop: Workshop, task: int) -> list[str]:
    return (workshop.experiment().task_folder(task) / "stdout").read_text().splitlines()


def test_all_tasks_of_a_submission_run_the_same_code(workshop: Workshop) -> None:
    start(workshop, "code: [prog.sh, 'lib/**']")
    edit(workshop, "lib/word.sh", "old", "new")
    edit(workshop, "prog.sh", "echo", "echo edited")
    assert finish(workshop) == ["old beside"] * 3
    assert not workshop.experiment().state().notes
    place = Path(output(workshop, 0)[1])
    assert place.parent == workshop.lab_path / "e" / "code"
    assert not (place / "prog.sh").stat().st_mode & 0o222
    assert not (place / "lab").exists()
    again = workshop.call("--run", workshop.folder / "experiment.yaml", "--rerun", "--node", "localhost", 1)
    assert again.returncode == 0
    assert "prog.sh" not in again.stderr
    assert [output(workshop, task)[0] for task in range(3, 6)] == ["edited new beside"] * 3


def test_the_program_of_a_command_is_a_part_of_the_snapshot(workshop: Workshop) -> None:
    start(workshop, "code: lib")
    edit(workshop, "prog.sh", "echo", "echo edited")
    assert finish(workshop) == ["old beside"] * 3


def test_a_change_of_what_is_not_in_the_snapshot_is_told_for_each_task(workshop: Workshop) -> None:
    start(workshop, "inputs: data.txt")
    edit(workshop, "prog.sh", "echo", "echo edited")
    edit(workshop, "data.txt", "beside", "other")
    os.utime(workshop.folder / "lib" / "word.sh")
    assert finish(workshop) == ["old other", "edited old other", "edited old other"]
    notes = workshop.experiment().state().notes
    assert sorted(notes) == [1, 2]
    assert notes[1] == "data.txt, prog.sh changed between the submission and the start of this task"
    assert notes[1] in workshop.call("show", "1").stdout


def test_what_was_only_touched_is_no_change(workshop: Workshop) -> None:
    start(workshop, "")
    os.utime(workshop.folder / "prog.sh")
    assert finish(workshop) == ["old beside"] * 3
    assert not workshop.experiment().state().notes


def test_a_folder_of_the_file_stands_for_that_of_its_copy(workshop: Workshop) -> None:
    (workshop.folder / "src").mkdir()
    (workshop.folder / "src" / "data.txt").write_text("beside\n")
    ran = workshop.run(
        "command: cat data.txt; pwd; echo {x} > out-{x}\ncode: src\nworkdir: src\nparameters: {x: [1]}\n"
    )
    assert ran.returncode == 0, ran.stderr
    text, place = output(workshop, 0)
    assert text == "beside"
    assert Path(place).name == "src"
    assert (Path(place) / "out-1").exists()
    assert not (workshop.folder / "src" / "out-1").exists()


def test_a_damaged_snapshot_is_mended_by_the_next_submission(workshop: Workshop) -> None:
    workshop.write("prog.sh", "#!/bin/sh\necho $1; rm -f prog.sh\n").chmod(0o755)
    text = "command: ./prog.sh {x}\ncode: prog.sh\nparameters: {x: [%s]}\n"
    assert workshop.run(text % "1").returncode == 0
    assert workshop.run(text % "1, 2").returncode == 0
    assert output(workshop, 1) == ["2"]
    assert workshop.run(text.replace("prog.sh {x}", "prog.sh {x} ") % "1", "--rerun").returncode == 0
