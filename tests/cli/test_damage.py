"""Damaged files of a lab: said wherever it is read, never the cause of work that is done again, mended on request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workbench import Workbench, until
from tui_lab.engine.lock import EngineLock
from tui_lab.store.lab import Lab

GRID = "name: grid\ncommand: echo {a} >>{output}/log; echo {a}\nparameters: {a: [1, 2, 3, 4]}\n"


@pytest.fixture
def done(workbench: Workbench) -> Workbench:
    """A lab with four tasks that are done."""
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")
    return workbench


def journal(workbench: Workbench) -> Path:
    return workbench.lab_path / "grid" / "journal.jsonl"


def damage(workbench: Workbench, which: Callable[[dict[str, Any]], bool], old: bytes, new: bytes) -> int:
    """Alter the first line that is so; its number."""
    lines = journal(workbench).read_bytes().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if which(json.loads(line)))
    assert old in lines[number]
    lines[number] = lines[number].replace(old, new, 1)
    journal(workbench).write_bytes(b"".join(lines))
    return number + 1


def counts(workbench: Workbench) -> dict[str, int]:
    found: dict[str, int] = workbench("status", "--json").json()["experiments"][0]["counts"]
    return {state: count for state, count in found.items() if count}


def logs(workbench: Workbench) -> list[str]:
    return [path.read_text() for path in sorted(workbench.lab_path.glob("grid/tasks/0/*/log"))]


def test_a_whole_lab(done: Workbench) -> None:
    assert done("check", "lab").lines == ["lab: 1 experiment, nothing is damaged"]
    assert done("check", "lab", "grid.yaml", "--json").json()["problems"] == []
    assert done("check", "--repair", "lab").lines == ["lab: 1 experiment, nothing is damaged"]


def test_how_a_task_ended_is_damaged(done: Workbench) -> None:
    line = damage(done, lambda event: event.get("task") == 2 and event["event"] == "finished", b"finished", b"FINISHED")
    place = f"{journal(done)}:{line}: damaged"
    for words in (["status"], ["plan", "grid.yaml"], ["show", "0"]):
        said = done(*words).err
        assert said.count(place) == 1, (words, said)
    assert place in done("clean", "grid", "--state", "done", "--yes", code=3).err
    assert done("--run", "grid.yaml", code=3).err.splitlines()[-1].startswith(f"tui-lab: {place}")
    assert logs(done) == ["1\n", "2\n", "3\n", "4\n"]
    found = done("check", "lab", code=2)
    assert found.lines[0].startswith(f"{journal(done)}:{line}: does not match its checksum")
    assert "--repair" in found.out
    assert done("check", "lab", "--json", code=2).json()["problems"][0]["line"] == line

    mended = done("check", "--repair", "lab")
    assert "lost: 2" in mended.out
    assert mended.lines[-1] == "lab: 1 experiment, nothing is damaged"
    assert (journal(done).parent / "journal.jsonl.damaged-1").exists()
    assert counts(done) == {"done": 3, "lost": 1}
    done.run("grid.yaml")
    assert counts(done) == {"done": 4}
    assert (done.lab_path / "grid" / "tasks" / "0" / "2" / "stdout").read_text() == "3\n"
    assert (done.lab_path / "grid" / "tasks" / "0" / "2" / "stdout.2").read_text() == "3\n"


def test_a_submission_is_damaged(done: Workbench) -> None:
    before = journal(done).read_bytes()
    damage(done, lambda event: event["event"] == "submitted", b'"plan":1', b'"plan":77')
    assert "damaged" in done.run("grid.yaml", code=3).err
    assert "the submission of plan 1 was put in its place" in done("check", "lab", "--repair").out
    assert counts(done) == {"done": 4}
    assert "0 tasks to run" in done.run("grid.yaml").err
    assert logs(done) == ["1\n", "2\n", "3\n", "4\n"]
    assert journal(done).with_name("journal.jsonl.damaged-1").read_bytes() != before


def test_the_newline_of_the_last_line_is_damaged(done: Workbench) -> None:
    whole = journal(done).read_bytes()
    journal(done).write_bytes(whole[:-1] + b"x")
    assert "damaged" in done.run("grid.yaml", "a=9", code=3).err
    done("check", "lab", "--repair")
    assert counts(done) == {"done": 4}


@pytest.mark.parametrize("words", [[], ["a=8,9"], ["--rerun"]])
def test_a_plan_is_damaged(done: Workbench, words: list[str]) -> None:
    if words:
        done.run("grid.yaml", *words)
    number = 2 if words else 1
    folder = Lab.open(done.lab_path).experiment("grid")
    plan = folder.plan(number)
    path = done.lab_path / "grid" / "plans" / f"{number}.parquet"
    whole = path.read_bytes()
    if words:
        path.unlink()
    else:
        path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    said = done.run("grid.yaml", code=3).err
    assert f"{path}: can't be read" in said
    assert "`tui-lab check --repair" in said
    found = done("check", "lab", "--repair").out
    assert f"made again from {number}.yaml" in found
    again = Lab.open(done.lab_path).experiment("grid").plan(number)
    assert again.tasks.equals(plan.tasks)
    assert again.values == plan.values
    assert "0 tasks to run" in done.run("grid.yaml").err


def test_a_plan_that_would_be_another_is_not_made_again(done: Workbench) -> None:
    folder = done.lab_path / "grid" / "plans"
    (folder / "1.parquet").write_bytes(b"")
    (folder / "1.yaml").write_text(GRID.replace("echo", "printf"))
    said = done("check", "lab", "--repair", code=2).out
    assert "can't be repaired: its task keys would differ from those in the journal" in said


def test_all_plans_are_gone(done: Workbench) -> None:
    plans = done.lab_path / "grid" / "plans"
    before = Lab.open(done.lab_path).experiment("grid").plan(1).tasks
    shutil.rmtree(plans)
    newest = done.lab_path / "grid" / "experiment.yaml"
    whole = newest.read_text()
    newest.write_text(whole.replace("4]", "5]"))
    said = done("check", "lab", "--repair", code=2).out
    assert "can't be repaired: its task keys would differ" in said
    newest.unlink()
    said = done("check", "lab", "--repair", code=2).out
    assert "can't be repaired: experiment.yaml is missing, too" in said
    assert (
        f"its outputs are unchanged, in {done.lab_path}/grid/tasks; to start again, move {done.lab_path}/grid away"
        in said
    )
    newest.write_text(whole)
    assert "1.parquet: made again from experiment.yaml; there was none" in done("check", "lab", "--repair").out
    assert Lab.open(done.lab_path).experiment("grid").plan(1).tasks.equals(before)
    assert "0 tasks to run" in done.run("grid.yaml").err


@pytest.mark.parametrize("text", [None, "", '{"id": 5}'])
def test_the_marker_of_a_lab_is_damaged(done: Workbench, text: str | None) -> None:
    marker = done.lab_path / "lab.json"
    identity = Lab.open(done.lab_path).identity
    lock = EngineLock(Lab.open(done.lab_path))
    until(lock.take, 60)  # its engine removes its file when it ends; one that was killed leaves it
    lock.release()
    facts = {"lab": str(done.lab_path.absolute()), "socket": f"/tmp/{identity}.sock"}
    (done.lab_path / "engine.json").write_text(json.dumps(facts))
    if text is None:
        marker.unlink()
    else:
        marker.write_text(text)
    for words in (["status"], ["check", "lab"], ["--run", "grid.yaml"]):
        assert "it holds experiments: `tui-lab check --repair lab` makes the file again" in done(*words, code=2).err
    kept = "there was none" if text is None else "the damaged one is lab.json.damaged"
    assert f"lab/lab.json: made again; {kept}\n" in done("check", "lab", "--repair").out
    assert Lab.open(done.lab_path).identity == identity
    assert "0 tasks to run" in done.run("grid.yaml").err
    marker.write_text('{"format": 99}')
    assert "made by a newer tui-lab (format 99" in done("check", "lab", "--repair", code=2).err
    assert marker.read_text() == '{"format": 99}'


@pytest.mark.slow
@pytest.mark.parametrize("lines", [3, -4, 0])
def test_a_journal_that_lacks_its_end_is_told(done: Workbench, lines: int) -> None:
    """As a copy of a running lab has it: what is left is whole, and the checkpoint knows more."""
    lock = EngineLock(Lab.open(done.lab_path))
    until(lock.take, 60)
    lock.release()
    whole = journal(done).read_bytes()
    assert "nothing is damaged" in done("check", "lab").out
    kept = b"".join(whole.splitlines(keepends=True)[:lines])
    journal(done).write_bytes(kept)
    told = f"{done.lab_path}/grid/journal.jsonl: {len(whole) - len(kept):,} bytes are missing at its end"
    assert told in done("check", "lab", code=2).out
    assert told in done("check", "--repair", "lab", code=2).out
    assert told in done.run("grid.yaml").err
    until(lambda: not done("check", "lab", code=None).code, 60)
    assert done.table("SELECT count(*) AS n FROM grid") == [{"n": 4}]


def test_an_experiment_without_a_journal_is_told(done: Workbench) -> None:
    journal(done).unlink()
    said = done("check", "lab", code=2).out
    gone = "grid/journal.jsonl: the journal is gone, and the state of this experiment is unknown"
    assert gone in said and "restore it from a copy" in said
    for words in (("status",), ("status", "grid"), ("stats",), ("logs", "0"), ("--run", "grid.yaml")):
        answer = done(*words, code=3)
        assert gone in answer.err and "to start again, move" in answer.err and not answer.out
    assert not journal(done).exists()
    done.run(done.write("other.yaml", "command: echo {p}\nparameters: {p: [1, 2]}\n"))
    answer = done("status", code=3)
    assert gone in answer.err and "other" in answer.out and "grid" not in answer.out
    (done.lab_path / "grid").rename(done.folder / "grid")
    assert "other" in done("status").out
