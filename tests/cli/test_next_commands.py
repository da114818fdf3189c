"""What a person is told at the end of a run, and where an answer does not fit or is not there."""

from __future__ import annotations

import shlex

import pytest

from tests.workbench import Workbench, until
from tui_lab.engine.lock import EngineLock
from tui_lab.store.lab import Lab

GRID = """
name: grid
command: echo v {x}
parameters: {x: [1, 2, 3]}
metrics: {v: {pattern: 'v (@int@)', goal: max}}
"""


def test_tasks_that_were_not_asked_for_are_not_promised(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    said = workbench.run("grid.yaml", "--only", "x = 1").err
    assert "next: --run with the file alone: it continues with the 2 tasks not requested" in said
    assert "the same command again" not in said
    assert "next: tui-lab query" in workbench.run("grid.yaml").err


@pytest.mark.parametrize("name", ["select", "Order", "my-exp", "plain"])
def test_what_is_to_be_typed_next_works_for_any_name(workbench: Workbench, name: str) -> None:
    workbench.write("grid.yaml", GRID.replace("name: grid", f"name: {name}"))
    said = workbench.run("grid.yaml").err
    (line,) = [one for one in said.splitlines() if "tui-lab query" in one]
    table = name if name == "plain" else f'"{name}"'
    assert line.endswith(f"'SELECT * FROM {table} LIMIT 5'")
    words = shlex.split(line)
    assert len(workbench.inside(*words[words.index("tui-lab") + 1 :], "--format", "json").out.splitlines()) >= 3


def test_why_nothing_started_is_said(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID + "needs: {cpus: 99999}\n")
    said = workbench.run("grid.yaml", "x=1", code=1).err
    assert "1 task: start: no node can run it: localhost: needs cpus: 99999" in said
    assert "tui-lab show grid/0" in said and "tui-lab logs" not in said
    assert "grid/0 did not start; tui-lab show grid/0 says why" in workbench.inside("logs", "0").err


def test_values_stay_in_their_line(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID.replace("[1, 2, 3]", '["a\\nb", ""]'))
    assert "  x: a\\nb, ''" in workbench.inside("plan", "grid.yaml").out.splitlines()
    workbench.run("grid.yaml")
    assert "  x = a\\nb" in workbench.inside("show", "0").out.splitlines()


def test_narrow_terminals_keep_words_whole(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml", "--node", "localhost", "1")
    history = workbench("history", env={"COLUMNS": "40"}).out.splitlines()
    assert history[0].startswith("grid#1  ")
    assert history[1:3] == ["  3 tasks, 3 asked: ✓ 3 done", "  tui-lab --run grid.yaml --node localhost 1"]
    lock = EngineLock(Lab.open(workbench.lab_path))
    until(lock.take, 60)  # else its engine may still be there, and tells of its own nodes
    lock.release()
    (workbench.lab_path / "nodes.jsonl").write_text(
        '{"at": 1.0, "node": "tower-of-babel", "state": "up", "slots": 16, "used": 3, "load": 2.5, "open": 19,'
        ' "memory": 68719476736, "memory_used": 12884901888, "latency": 0.03, "clock_offset": 0.0}\n'
    )
    nodes = workbench("nodes", env={"COLUMNS": "44"}).out.splitlines()
    assert nodes[1].split()[:3] == ["node", "state", "slots"]
    assert nodes[2].split()[:3] == ["tower-of-babel", "up", "3/16"]


def test_a_near_miss_of_a_command_with_words(workbench: Workbench) -> None:
    assert 'did you mean "query"?' in workbench.inside("qurey", "SELECT 1", code=2).err


def test_a_file_that_is_no_table(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")
    (workbench.lab_path / "grid" / "notes.txt").write_text("hello\n")
    said = workbench.inside("query", "SELECT * FROM 'grid/notes.txt'", code=2).err
    assert "is no CSV, JSON or Parquet file by its ending" in said
    assert "there is no file /etc/hosts.txt" in workbench.inside("query", "SELECT * FROM '/etc/hosts.txt'", code=2).err


def test_markdown_is_limited_where_that_is_asked(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")
    assert len(workbench.inside("stats", "--format", "markdown").out.splitlines()) == 2 + 3
    assert len(workbench.inside("stats", "--format", "markdown", "--limit", "1").out.splitlines()) == 2 + 1


def test_steps_that_nobody_wrote(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")
    said = workbench.inside("draw", "steps", code=2).err
    assert "there are no values by step" in said and "$TUI_LAB_METRICS" in said


@pytest.mark.slow
def test_nothing_to_do_is_no_mistake(workbench: Workbench) -> None:
    run = workbench.run_text(
        "command: 'echo 0.8412345678901 {on}'\nparameters: {on: [true, false]}\n"
        "metrics: {acc: {pattern: '(@float@)', goal: max}}\n",
        code=None,
    )
    assert "on=false" in run.err and "False" not in run.err
    assert [line for line in run.err.splitlines() if line != line.rstrip()] == []
    for words in (["stop"], ["pause"], ["pause", "e"], ["resume"], ["resume", "e"], ["retry"], ["fetch", "0"]):
        idle = workbench.process(*words, code=None)
        assert (idle.code, idle.out) == (0, ""), words
        assert idle.err, words
    workbench("retry", "other", code=2)


@pytest.mark.slow
def test_help_and_schema_as_people_type_them(workbench: Workbench) -> None:
    assert workbench.process("help", "stats", code=None).out == workbench.process("stats", "--help", code=None).out
    assert workbench.process("help", code=None).out == workbench.process("--help", code=None).out
    workbench.run_text("command: echo {x}\nparameters: {x: [1]}\n")
    assert workbench("query", ".schema e", code=None).out == workbench("query", ".schema", "e", code=None).out != ""
