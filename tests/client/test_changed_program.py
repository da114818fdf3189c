"""A program that has changed since the submission, or in its copy: what runs is said."""

from __future__ import annotations

from pathlib import Path

from tests.workbench import Workbench
from tui_lab.engine.run_files import ProgramChanges

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


STAGES = """\
name: e
stages:
  prepare: {command: 'sh prepare.sh > {output}/made; cat one', uses: [], code: [prepare.sh, 'lib/*.sh']}
  train: {command: 'cat {prepare.output}/made two; sh train.sh {x}'}
  test: {command: 'cat two three', after: train}
parameters: {x: [1, 2]}
"""


def test_a_change_concerns_the_stages_that_use_the_file(workbench: Workbench) -> None:
    for name in ("one", "two", "three"):
        workbench.write(name, name)
    (workbench.folder / "lib").mkdir()
    workbench.write("lib/a.sh", "echo first\n")
    workbench.write("prepare.sh", ". lib/a.sh\n")
    workbench.write("train.sh", "echo training\n")
    file = workbench.write("e.yaml", STAGES)
    local = ("--node", "localhost", 2)
    workbench("--run", file, *local)
    for name in ("one", "three"):
        workbench.write(name, "changed")
    folder = workbench.experiment()
    changes = ProgramChanges(folder.spec(), folder.state().submissions[-1])
    assert changes.note(None) == "three changed between the submission and the start of this task"
    assert changes.note("prepare") == "one changed between the submission and the start of this task"
    assert changes.note("train") == "", "it uses another file"
    snapshot = next(path for path in (workbench.lab_path / "e" / "code").iterdir() if path.is_dir())
    assert {"prepare.sh", "train.sh"} <= {path.name for path in snapshot.iterdir() if not path.is_symlink()}
    plan = workbench("plan", file).out
    assert "three changed since 2 tasks ran: their results are kept; --rerun=test runs them again" in plan
    assert "one changed since 1 run of prepare ran: their results are kept; --rerun=prepare runs them again" in plan
    workbench.write("lib/a.sh", "echo second\n")
    plan = workbench("plan", file).out
    what = (
        "lib/a.sh changed since 1 run of prepare ran: their results are kept; --rerun=prepare runs them again, and what"
    )
    assert [line for line in plan.splitlines() if "lib/a.sh" in line] == [f"  note: {what} follows"]
    assert "would run 0 tasks" in plan, "code is no part of an identity"
    workbench("--run", "--rerun=prepare", file, *local)
    task = workbench.table("SELECT max(task_id) AS newest FROM e")[0]["newest"]
    assert workbench("logs", f"e/{task}:train").out.startswith("second")
    workbench.write("e.yaml", STAGES.replace("lib/*.sh", "lob/*.sh"))
    assert '3:93: "lob/*.sh" matches no file' in workbench("plan", file).out
    workbench.write("e.yaml", STAGES.replace("uses: []", "uses: [], env: {MADE: anew}"))
    what = "`stages.prepare.env` of the file changed since 1 run of prepare ran: their results are kept"
    plan = workbench("plan", file).out
    assert what in plan and plan.count("of the file changed since") == 1
