"""A program that has changed since the submission, or in its copy: what runs is said."""

from __future__ import annotations

from pathlib import Path

from tests.workbench import Workbench

FILE = "name: c\ncommand: sh prog.sh {x}\nparameters: {x: [1, 2]}\n"
PROGRAM = "echo %s; ls; test ! -e wanted || touch written-$1; exit 3\n"


def fail(workbench: Workbench, file: str) -> None:
    workbench.write("c.yaml", file)
    workbench.write("prog.sh", PROGRAM % "first")
    workbench("--run", "c.yaml", "--keep-going", code=1)


def output(workbench: Workbench, attempt: int) -> str:
    return (workbench.lab_path / "c" / "tasks" / "0" / "0" / f"stdout.{attempt}").read_text()


def test_retry_says_that_it_runs_what_was_submitted(workbench: Workbench) -> None:
    fail(workbench, FILE + "code: prog.sh\n")
    assert "changed" not in workbench("retry", code=1).err
    workbench.write("prog.sh", PROGRAM % "second")
    workbench.write("c.yaml", FILE + "code: prog.sh\n# more\n")
    said = workbench("retry", code=1).err
    assert "note: c: c.yaml, prog.sh changed since the submission: tasks run the submitted copy" in said
    assert "`tui-lab --run c.yaml` uses the present files" in said
    assert output(workbench, 3).startswith("first")


def test_retry_says_that_it_runs_what_is_there_now(workbench: Workbench) -> None:
    fail(workbench, FILE)
    workbench.write("prog.sh", PROGRAM % "second")
    said = workbench("retry", code=1).err
    assert "note: c: prog.sh changed since the submission: tasks run the present files" in said
    assert output(workbench, 2).startswith("second")


def test_nothing_runs_in_a_copy_that_a_task_has_changed(workbench: Workbench) -> None:
    fail(workbench, FILE + "code: prog.sh\n")
    copy = next((workbench.lab_path / "c" / "code").glob("*/prog.sh"))
    copy.unlink()
    copy.write_text("echo other\n")
    said = workbench("retry", code=2)
    assert f"{copy}: is no longer the program that was submitted; the same --run puts it back" in said.err
    workbench("--run", "c.yaml", "--keep-going", code=1)
    assert output(workbench, 2).startswith("first")


def test_what_tasks_write_beside_the_program_is_told(workbench: Workbench) -> None:
    workbench.write("wanted", "")
    fail(workbench, FILE + "code: prog.sh\n")
    place = next(path for path in (workbench.lab_path / "c" / "code").iterdir() if path.is_dir())
    said = workbench("retry", code=1)
    assert "! tasks wrote 2 files beside the program (written-1, written-2), where all other tasks see" in said.err
    assert str(place) in said.err
    workbench.write("written-1", "from the folder")
    workbench("--run", "c.yaml", "--keep-going", code=1)
    assert (place / "written-1").read_text() == "from the folder"
    assert (place / "written-1.tui-lab-old").read_text() == ""
    assert Path(place / "written-2").exists()
