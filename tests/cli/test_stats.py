"""`stats`, `export` and the comforts of `query` as a user types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.workbench import Workbench, until

TRAINER = """#!/bin/sh
case $1$2 in relu1) base=800;; relu2) base=900;; tanh1) base=810;; tanh2) base=902;; esac
echo "acc 0.$((base + $3 * 7 % 5))"
echo "time $(($2 * 100 + $3))"
"""
GRID = """name: grid
command: ./trainer.sh {act} {size} {repeat}
parameters: {act: [relu, tanh], size: [1, 2]}
repeat: 5
metrics:
  acc: {pattern: 'acc (@float@)', goal: max}
  time: {pattern: 'time (@int@)', unit: ms, goal: min}
"""


@pytest.fixture
def grid(workbench: Workbench) -> Workbench:
    workbench.write("trainer.sh", TRAINER, executable=True)
    workbench.write("experiment.yaml", GRID)
    told = workbench.run("experiment.yaml").err
    assert "0.9040 ± 0.0020  act=tanh size=2" in told and "tui-lab stats grid" in told
    return workbench


def test_stats_for_people_and_programs(grid: Workbench) -> None:
    shown = grid("stats", "--format", "table", env={"COLUMNS": "80"})
    assert shown.lines[0] == "acc, more is better: 4 settings"
    assert shown.lines[2].startswith("★ best   0.9040 ± 0.0020  5  ")
    assert shown.lines[2].split()[-2:] == ["tanh", "2"]
    assert shown.lines[3].startswith("≈ tied   0.9020 ± 0.0020")
    assert max(map(len, shown.lines)) <= 80
    assert "best setting by metric" in shown.out
    assert "the settings differ (analysis of variance, Brown and Forsythe: F(3, 16) = " in " ".join(shown.out.split())
    assert "\x1b" not in shown.out
    table = grid("stats").lines
    assert table[0].startswith(
        "act,size,metric,unit,goal,n,asked,n_null,n_nan,n_failed,n_open,mean,sd,se,low,high,median,q1,q3,min,max"
    )
    assert len(table) == 1 + 2 * 4
    found = grid("stats", "grid", "--metric", "acc", "--importance", "--json").json()
    assert found["schema_version"] == 1
    assert found["best"]["acc"] == {
        "goal": "max",
        "setting": {"act": "tanh", "size": 2},
        "tied": [{"act": "relu", "size": 2}],
        "untested": [],
        "incomplete": [],
    }
    assert found["anova"]["acc"]["df_within"] == pytest.approx(16) and found["anova"]["acc"]["p"] < 0.001
    assert found["importance"][0]["part"] == "size" and found["importance"][0]["share"] > 0.9

    # A baseline in both of its forms, and what is wrong with others.
    words = ("stats", "--metric", "acc", "--format", "jsonl", "--baseline")
    first, second = grid(*words, "act=relu,size=1").out, grid(*words, "act = 'relu' and size = 1").out
    assert first == second
    rows = [json.loads(line) for line in first.splitlines()]
    assert [(row["act"], row["size"], row["verdict"]) for row in rows] == [
        ("tanh", 2, "better"),
        ("relu", 2, "better"),
        ("tanh", 1, "better"),
        ("relu", 1, None),
    ]
    assert "◆ base" in grid("stats", "--baseline", "act=relu size=1", "--limit", "1", "--format", "table").out
    assert grid("stats", "--baseline", "act=rleu size=1", code=2).err.startswith("tui-lab: --baseline: no setting")
    assert 'did you mean "acc"?' in grid("stats", "--metric", "ac", code=2).err
    assert "not a confidence level" in grid("stats", "--ci", "95", code=2).err

    # Fronts, averages, the bootstrap, other goals.
    front = grid("stats", "--pareto", "acc", "time", "--format", "table").lines
    assert front[0] == "Pareto front of acc (max) and time (min): 2 of 4 settings"
    averaged = grid("stats", "--by", "size", "--metric", "acc", "--format", "table").lines
    assert averaged[0] == "acc, more is better: 2 settings, averaged over act"
    assert (
        "--bootstrap needs 8 values of a setting, and here each has at most 5"
        in grid("stats", "--bootstrap", code=2).err
    )
    booted = ("stats", "--bootstrap", "grid", "--by", "size", "--format", "table")
    assert "BCa bootstrap, 10,000 resamples, seed 0" in grid(*booted).out
    assert grid(*booted).out == grid(*booted).out
    assert "normal" not in grid(*booted).err
    assert "time [ms], more is better" in grid("stats", "--metric", "time", "--goal", "max", "--format", "table").out
    assert "█" in grid("stats", "--importance", "--format", "table").out


def test_the_best_setting_per_value_of_a_parameter(grid: Workbench) -> None:
    """Each value is judged separately; what every form of the answer says agrees."""
    shown = grid("stats", "--per", "act", "--format", "table", env={"COLUMNS": "100"})
    assert shown.lines[0] == "acc, more is better: the best setting per act"
    assert shown.lines[1].split() == ["act", "best", "mean", "±", "95", "%", "n", "settings", "size"]
    assert [line.split() for line in shown.lines[2:4]] == [
        ["relu", "0.9020", "±", "0.0020", "5", "2", "2"],
        ["tanh", "0.9040", "±", "0.0020", "5", "2", "2"],
    ]
    assert "best or tied for every act: size=2" in shown.out
    rows = [json.loads(line) for line in grid("stats", "--per", "act", "--metric", "acc", "--format", "jsonl").lines]
    assert [(row["act"], row["size"], row["standing"]) for row in rows] == [
        ("relu", 2, "best"), ("relu", 1, "worse"), ("tanh", 2, "best"), ("tanh", 1, "worse")
    ]  # fmt: skip
    found = grid("stats", "--per", "act", "--json").json()
    assert found["per"] == "act"
    assert [(one["value"], one["best"]["acc"]["setting"]) for one in found["values"]] == [
        ("relu", {"size": 2}),
        ("tanh", {"size": 2}),
    ]
    alone = grid("stats", "--where", "act = 'relu'", "--metric", "acc", "--json").json()["settings"]
    assert [row for row in found["values"][0]["settings"] if row["metric"] == "acc"] == alone
    assert 'no parameter "acts"' in grid("stats", "--per", "acts", code=2).err
    assert "no other parameter varies" in grid("stats", "--per", "act", "--by", "act", code=2).err
    assert "--per can't be combined with --importance" in grid("stats", "--per", "act", "--importance", code=2).err


def test_export_and_query(grid: Workbench) -> None:
    grid("export", "-o", "grid.csv")
    assert (grid.folder / "grid.csv").read_text().splitlines()[0].startswith("act,size,acc,time,task_id,repeat")
    grid("export", "-o", "table.md")
    assert "| tanh | 2 | **0.9040 ± 0.0020** | 202.0 ± 2.0 | 5 |" in (grid.folder / "table.md").read_text()
    assert grid("export", "--settings").out == grid("stats").out
    assert grid("export", "-o", "grid.xyz", code=2).err.startswith("tui-lab: grid.xyz: its ending names no format")
    for words in (["parse"], ["query", "FROM grid"], ["stats"]):
        told = grid(*words, "-o", "grid.unknown", code=2).err
        assert told.startswith("tui-lab: grid.unknown: its ending names no format; there are .csv .tsv .xlsx "), told
        assert not (grid.folder / "grid.unknown").exists()
    grid("parse", "-o", "grid.unknown", "--format", "excel-csv")
    assert (grid.folder / "grid.unknown").read_text("utf-8-sig").splitlines()[0].startswith("act;size;acc;time;task_id")
    grid("export", "--all", "-o", "grid.parquet")

    assert grid("query", "best", "acc").lines[1].startswith("tanh,2,5,0.904")
    assert grid("query", "compare", "grid", "grid").lines[0].startswith("act,size,n_1,n_2,acc_1,acc_2,acc_difference")
    assert grid("query", "failures").lines == [
        (
            "task_id,act,size,repeat,state,reason,exit_code,signal,attempts,duration,node,ended_at,exception,"
            "exception_message"
        )
    ]
    assert len(grid("query", "slowest", "3").lines) == 4
    assert "grid,acc,DOUBLE,metric,,max" in grid("query", ".schema", "grid").lines
    assert "saved as" in grid("query", "--save", "few", "SELECT task_id FROM grid WHERE size = $size").err
    few = grid("query", "@few", "--param", "size=2", "--limit", "3")
    assert few.lines[0] == "task_id" and len(few.lines) == 4
    assert few.err == "note: these are the first 3 rows, there are more: --limit 0 shows all\n"
    assert grid("query", "--saved").lines[1].startswith("few,")
    assert 'did you mean "few"?' in grid("query", "@fews", code=2).err
    assert "has no value; --param size=VALUE" in grid("query", "@few", code=2).err
    assert "it has the form NAME=VALUE" in grid("query", "@few", "--param", "size", code=2).err


@pytest.mark.parametrize(
    "endless",
    [
        "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE (a.range + b.range) % 7 = 3",
        # DuckDB does not look for interruptions while it makes a window.
        "SELECT count(l) FROM (SELECT list(a.range) OVER () AS l FROM range(5000) a, range(3000))",
    ],
)
def test_ctrl_c_ends_a_query(grid: Workbench, endless: str) -> None:
    process = grid.start("query", endless)
    try:
        until(lambda: _threads(process) > 4, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        out, err = process.communicate()
    assert (out, err) == ("", "")


def _threads(process: subprocess.Popen[str]) -> int:
    """Threads of a running process, 0 once it has ended."""
    try:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("Threads:")).split()[1])
    except (OSError, StopIteration):
        return 0


def test_nothing_heavy_is_imported_for_help_and_runs(workbench: Workbench) -> None:
    code = "import sys, tui_lab.client.follow, tui_lab.cli.output.summary; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_deterministic_program_is_told_once(workbench: Workbench) -> None:
    workbench.write(
        "det.yaml", "command: echo acc {x}\nparameters: {x: [1, 2, 3]}\nrepeat: 4\nmetrics:\n  acc: acc (@float@)\n"
    )
    workbench.run("det.yaml")
    for goal in ([], ["--goal", "max"]):
        shown = _shown(workbench, *goal)
        assert shown.count("every repeat of every setting gives the same") == 1


def _shown(workbench: Workbench, *words: str) -> str:
    """What `stats` shows on a terminal, in one line."""
    found = workbench("stats", "--format", "table", *words)
    return " ".join(f"{found.out} {found.err}".split())


def test_versions_and_files_against_each_other(grid: Workbench) -> None:
    grid("export", "-o", "before.csv", "grid")
    grid.write("trainer.sh", TRAINER.replace("base + $3", "base + 5 + $3"), executable=True)
    grid.run("experiment.yaml", "--rerun")
    for second in ("grid@1", "before.csv"):
        words = ("stats", "grid@2", "--against", second, "--metric", "acc", "--format", "table")
        shown = grid.inside(*words).lines
        assert shown[0] == f"acc, more is better: grid@2 against {second}, 4 settings of both"
        assert [line[:8] for line in shown[2:6]] == ["▲ better"] * 4
        told = " ".join(" ".join(shown[6:]).split())
        assert told.startswith("overall +0.0050 ± 0.00") and ": ▲ better (p" in told
    rows = grid.inside("stats", "grid@2", "--against", "grid@1", "--metric", "acc", "--json").json()["rows"]
    assert [row["scope"] for row in rows] == ["setting"] * 4 + ["overall"]
    assert {round(row["difference"], 9) for row in rows} == {0.005}
    mistakes: tuple[tuple[tuple[str, ...], str], ...] = (
        (("grid", "--against", "grid"), "both sides are grid"),
        (("grid@3", "--against", "grid"), "grid@3 has no tasks; there are grid@1, grid@2"),
        (("grid", "--against", "none.csv"), "none.csv: there is no such file"),
        (("grid", "--against", "gird"), 'did you mean "grid"?'),
        (("grid@1",), "versions are compared, as in grid@1 --against grid@1"),
        (("grid", "--goal", "ac=min"), 'grid has no metric "ac"; did you mean "acc"?'),
        (("grid", "--against", "grid@2"), "grid and grid@2 have the same tasks"),
        (("grid", "--against", "grid@1", "--importance"), "--against can't be combined with --importance"),
    )
    for mistake, said in mistakes:
        assert said in grid("stats", *mistake, code=2).err


def test_tables_have_no_trailing_blanks(grid: Workbench) -> None:
    for words in ((), ("--importance",), ("--baseline", "act=relu size=1"), ("--pareto", "acc", "time")):
        lines = grid.inside("stats", "--format", "table", *words).lines
        assert lines == [line.rstrip() for line in lines]


def test_a_goal_has_one_form_everywhere(grid: Workbench) -> None:
    assert "less is better" in grid.inside("stats", "--goal", "acc=min", "--format", "table").out
    pareto = ("draw", "pareto", "--x-column", "acc", "--y-column", "time")
    assert grid.inside(*pareto, "--goal", "acc=min,time=max").out
    for words in (("stats",), pareto):
        for goal, hint in (
            ("acc min", "write acc=min"),
            ("max acc", "write acc=max"),
            ("acc:min", "write acc=min"),
            ("acc=MIN", "write acc=min"),
            ("acc=maximize", "write acc=max"),
            ("acc", "write acc=min or acc=max"),
        ):
            assert hint in grid.inside(*words, "--goal", goal, code=2).err
        assert "write --goal NAME=min" in grid(*words, "grid", "--goal", "acc", "min", code=2).err
