"""A program that has changed since the submission, or in its copy: what runs is said."""

from __future__ import annotations

from pathlib import Path

from tests.cli.bench import Bench

FILE = "name: c\ncommand: sh prog.sh {x}\nparameters: {x: [1, 2]}\n"
PROGRAM = "echo %s; ls; test ! -e wanted || touch written-$1; exit 3\n"


def fail(bench: Bench, file: str) -> None:
    bench.write("c.yaml", file)
    bench.write("prog.sh", PROGRAM % "first")
    bench("--run", "c.yaml", "--keep-going", code=1)


def output(bench: Bench, attempt: int) -> str:
    return (bench.lab / "c" / "tasks" / "0" / "0" / f"stdout.{attempt}").read_text()


def test_retry_says_that_it_runs_what_was_submitted(bench: Bench) -> None:
    fail(bench, FILE + "code: prog.sh\n")
    assert "changed" not in bench("retry", code=1).err
    bench.write("prog.sh", PROGRAM % "second")
    bench.write("c.yaml", FILE + "code: prog.sh\n# more\n")
    said = bench("retry", code=1).err
    assert "note: c: c.yaml, prog.sh changed since the submission: tasks run as they were submitted" in said
    assert "`tui-lab --run c.yaml` takes what is there now" in said
    assert output(bench, 3).startswith("first")


def test_retry_says_that_it_runs_what_is_there_now(bench: Bench) -> None:
    fail(bench, FILE)
    bench.write("prog.sh", PROGRAM % "second")
    said = bench("retry", code=1).err
    assert "note: c: prog.sh changed since the submission: tasks run what is there now" in said
    assert output(bench, 2).startswith("second")


def test_nothing_runs_in_a_copy_that_a_task_has_changed(bench: Bench) -> None:
    fail(bench, FILE + "code: prog.sh\n")
    copy = next((bench.lab / "c" / "code").glob("*/prog.sh"))
    copy.unlink()
    copy.write_text("echo other\n")
    said = bench("retry", code=2)
    assert f"{copy}: is no longer the program that was submitted; the same --run puts it back" in said.err
    bench("--run", "c.yaml", "--keep-going", code=1)
    assert output(bench, 2).startswith("first")


def test_what_tasks_write_beside_the_program_is_told(bench: Bench) -> None:
    bench.write("wanted", "")
    fail(bench, FILE + "code: prog.sh\n")
    place = next(path for path in (bench.lab / "c" / "code").iterdir() if path.is_dir())
    said = bench("retry", code=1)
    assert "! tasks wrote 2 files beside the program (written-1, written-2), where all others see" in said.err
    assert str(place) in said.err
    bench.write("written-1", "from the folder")
    bench("--run", "c.yaml", "--keep-going", code=1)
    assert (place / "written-1").read_text() == "from the folder"
    assert (place / "written-1.tui-lab-old").read_text() == ""
    assert Path(place / "written-2").exists()
