"""What a person is told at the end of a run, and where an answer does not fit or is not there."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.bench import Bench
from tests.conftest import Workshop
from tui_lab.engine.lock import EngineLock
from tui_lab.store.lab import Lab

GRID = """
name: grid
command: echo v {x}
parameters: {x: [1, 2, 3]}
metrics: {v: {pattern: 'v (@int@)', goal: max}}
"""


def test_tasks_that_were_not_asked_for_are_not_promised(bench: Bench) -> None:
    bench.write("grid.yaml", GRID)
    said = bench.run("grid.yaml", "--only", "x = 1").err
    assert "next: --run the file alone: it goes on with the 2 tasks not asked for" in said
    assert "the same command again" not in said
    assert "next: tui-lab query" in bench.run("grid.yaml").err


@pytest.mark.parametrize("name", ["select", "Order", "my-exp", "plain"])
def test_what_is_to_be_typed_next_works_for_any_name(bench: Bench, name: str) -> None:
    bench.write("grid.yaml", GRID.replace("name: grid", f"name: {name}"))
    said = bench.run("grid.yaml").err
    (line,) = [one for one in said.splitlines() if "tui-lab query" in one]
    table = name if name == "plain" else f'"{name}"'
    assert line.endswith(f"'SELECT * FROM {table} LIMIT 5'")
    words = shlex.split(line)
    assert len(bench.inside(*words[words.index("tui-lab") + 1 :], "--format", "json").out.splitlines()) >= 3


def test_why_nothing_started_is_said(bench: Bench) -> None:
    bench.write("grid.yaml", GRID + "needs: {cpus: 99999}\n")
    said = bench.run("grid.yaml", "x=1", code=1).err
    assert "1 task: start: no node can run it: localhost: needs cpus: 99999" in said
    assert "tui-lab show grid/0" in said and "tui-lab logs" not in said
    assert "grid/0 did not start; tui-lab show grid/0 says why" in bench.inside("logs", "0").err


def test_values_stay_in_their_line(bench: Bench) -> None:
    bench.write("grid.yaml", GRID.replace("[1, 2, 3]", '["a\\nb", ""]'))
    assert "  x: a\\nb, ''" in bench.inside("plan", "grid.yaml").out.splitlines()
    bench.run("grid.yaml")
    assert "  x = a\\nb" in bench.inside("show", "0").out.splitlines()


def test_narrow_terminals_keep_words_whole(bench: Bench) -> None:
    bench.write("grid.yaml", GRID)
    bench.run("grid.yaml", "--node", "localhost", "1")
    history = bench("history", env={"COLUMNS": "40"}).out.splitlines()
    assert history[0].startswith("grid#1  ")
    assert history[1:3] == ["  3 tasks, 3 asked: ✓ 3 done", "  tui-lab --run grid.yaml --node localhost 1"]
    lock = EngineLock(Lab.open(bench.lab))
    bench.until(lock.take)  # else its engine may still be there, and tells of its own nodes
    lock.release()
    (bench.lab / "nodes.jsonl").write_text(
        '{"at": 1.0, "node": "tower-of-babel", "state": "up", "slots": 16, "used": 3, "load": 2.5, "open": 19,'
        ' "memory": 68719476736, "memory_used": 12884901888, "latency": 0.03, "clock_offset": 0.0}\n'
    )
    nodes = bench("nodes", env={"COLUMNS": "44"}).out.splitlines()
    assert nodes[1].split()[:3] == ["node", "state", "slots"]
    assert nodes[2].split()[:3] == ["tower-of-babel", "up", "3/16"]


def test_a_near_miss_of_a_command_with_words(bench: Bench) -> None:
    assert 'did you mean "query"?' in bench.inside("qurey", "SELECT 1", code=2).err


def test_a_file_that_is_no_table(bench: Bench) -> None:
    bench.write("grid.yaml", GRID)
    bench.run("grid.yaml")
    (bench.lab / "grid" / "notes.txt").write_text("hello\n")
    said = bench.inside("query", "SELECT * FROM 'grid/notes.txt'", code=2).err
    assert "is no CSV, JSON or Parquet file by its ending" in said
    assert "there is no file /etc/hosts.txt" in bench.inside("query", "SELECT * FROM '/etc/hosts.txt'", code=2).err


def test_markdown_is_limited_where_that_is_asked(bench: Bench) -> None:
    bench.write("grid.yaml", GRID)
    bench.run("grid.yaml")
    assert len(bench.inside("stats", "--format", "markdown").out.splitlines()) == 2 + 3
    assert len(bench.inside("stats", "--format", "markdown", "--limit", "1").out.splitlines()) == 2 + 1


def test_steps_that_nobody_wrote(bench: Bench) -> None:
    bench.write("grid.yaml", GRID)
    bench.run("grid.yaml")
    said = bench.inside("draw", "steps", code=2).err
    assert "there are no values by step" in said and "$TUI_LAB_METRICS" in said


def test_nothing_to_do_is_no_mistake(workshop: Workshop) -> None:
    run = workshop.run(
        "command: 'echo 0.8412345678901 {on}'\nparameters: {on: [true, false]}\n"
        "metrics: {acc: {pattern: '(@float@)', goal: max}}\n"
    )
    assert "on=false" in run.stderr and "False" not in run.stderr
    assert [line for line in run.stderr.splitlines() if line != line.rstrip()] == []
    for words in (["stop"], ["pause"], ["pause", "e"], ["resume"], ["resume", "e"], ["retry"], ["fetch", "0"]):
        idle = workshop.call(*words)
        assert (idle.returncode, idle.stdout) == (0, ""), words
        assert idle.stderr, words
    assert workshop.call("retry", "other").returncode == 2


def test_help_and_schema_as_people_type_them(workshop: Workshop) -> None:
    assert workshop.call("help", "stats").stdout == workshop.call("stats", "--help").stdout
    assert workshop.call("help").stdout == workshop.call("--help").stdout
    assert workshop.run("command: echo {x}\nparameters: {x: [1]}\n").returncode == 0
    assert workshop.call("query", ".schema e").stdout == workshop.call("query", ".schema", "e").stdout != ""
