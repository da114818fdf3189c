"""Labs below folders whose names mean something to a reader of files: signs of globs, partitions, quotes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workbench import Workbench

NAMES = ["layers=[64,64]", 'lr=0.1 {x} it\'s "one" 100% ~ 😀', "-a*b?\nline"]


@pytest.fixture(params=NAMES)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    sibling = tmp_path / "layers=6" / "lab" / "e"  # what the glob would match
    sibling.mkdir(parents=True)
    (sibling / "own.csv").write_text("a\n7\n")
    folder = tmp_path / request.param
    folder.mkdir()
    workbench = Workbench(folder)
    try:
        yield workbench
    finally:
        workbench.close()


@pytest.mark.slow
def test_every_path_is_a_path(odd: Workbench) -> None:
    text = (
        "command: 'echo {x} > {output}/o.csv; echo acc={x}'\nparameters: {x: [1, 2]}\nmetrics: {acc: 'acc=(@float@)'}\n"
    )
    odd.run_text(text)
    grown = odd.run_text(text.replace("[1, 2]", "[1, 2, 3]"))
    assert "1 task to run (2 done, 1 new)" in grown.err
    (odd.lab_path / "e" / "own.csv").write_text("a\n5\n")

    ask = Workbench(odd.folder)

    def rows(sql: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = ask("query", "--json", sql).json()["rows"]
        return found

    assert rows("FROM 'e/own.csv'") == [{"a": 5}]
    assert rows("SELECT a FROM 'e/own.csv' x JOIN 'e/*.csv' y USING (a)") == [{"a": 5}]
    assert rows("FROM read_csv('e/own.csv', header = true)") == [{"a": 5}]
    assert rows("FROM read_csv('e/tasks/0/*/o.csv', header = false) ORDER BY 1") == [{"column0": x} for x in (1, 2, 3)]
    assert rows("SELECT count(*) AS n FROM 'e/plans/2.parquet'") == [{"n": 3}]
    assert rows("SELECT sum(acc) AS s FROM e") == [{"s": 6.0}]
    ask("draw", "hist", "--input", "lab/e/own.csv")
    ask("stats")


@pytest.mark.slow
def test_a_path_of_a_lab_that_is_no_text_is_refused(workbench: Workbench) -> None:
    bad = workbench.folder / os.fsdecode(b"bad\xff")
    bad.mkdir()
    (bad / "e.yaml").write_text("command: echo {a}\nparameters: {a: [1]}\n")
    for words in (["--run", "e.yaml"], ["status"], ["query", "SELECT 1"], ["explore", "--cmd", "true", "-y"]):
        said = workbench.process(*words, code=2, cwd=bad).err
        assert "the path has bytes that are not UTF-8" in said and said.count("\n") == 1
    assert not (bad / "lab").exists()
    assert "1 done" in workbench("--run", "e.yaml", "--lab", str(workbench.lab_path), cwd=bad).err


def test_a_folder_that_is_gone_is_named(workbench: Workbench) -> None:
    """A shell may stand in a folder that was removed."""
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m tui_lab status'
    found = subprocess.run(["sh", "-c", script, sys.executable], cwd=workbench.folder, capture_output=True, text=True)
    assert found.stderr == "tui-lab: the current folder was removed: No such file or directory\n"


def test_status_shows_the_experiments_beside_one_that_cannot_be_read(workbench: Workbench) -> None:
    for name in ("good", "bad"):
        workbench.run(workbench.write(f"{name}.yaml", "command: echo {p}\nparameters: {p: [1, 2]}\n"))
    journal = workbench.lab_path / "bad" / "journal.jsonl"
    journal.unlink()
    journal.mkdir()
    answer = workbench("status", code=3)
    assert answer.err == f"tui-lab: {journal}: Is a directory\n"
    assert [line.split()[0] for line in answer.lines[:2]] == ["experiment", "good"] and "bad" not in answer.out
    assert [one["name"] for one in workbench("status", "--json", code=3).json()["experiments"]] == ["good"]
    only = workbench("status", "bad", code=3)
    assert (only.out, only.err) == ("", f"tui-lab: {journal}: Is a directory\n")
