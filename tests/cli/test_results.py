"""From outputs to tables: `parse` and `query` as a user types them."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from tests.workbench import Workbench, until

TRAINER = """#!/bin/sh
echo "Time to train (ms): $(( $1 * 10 )).5"
echo "Test accuracy: 0.$1"
echo "Epoch 1"; echo "loss 0.9"
echo "Epoch 2"; echo "loss 0.$1"
"""

GRID = r"""
name: grid
command: ./train.sh {neurons} {activation}
parameters:
  neurons: [1, 3, 5]
  activation: [relu, tanh]
repeat: 2
metrics:
  test_acc: {pattern: 'Test accuracy: (@float@)', goal: max}
"""


def swept(workbench: Workbench) -> Workbench:
    workbench.write("train.sh", TRAINER, executable=True)
    workbench.write("experiment.yaml", GRID)
    workbench.run("experiment.yaml")
    return workbench


def test_averages_by_setting_and_the_best_one(workbench: Workbench) -> None:
    swept(workbench)
    sql = "SELECT activation, neurons, AVG(test_acc) AS acc FROM grid GROUP BY activation, neurons"
    markdown = workbench("query", sql, "-m").lines
    assert markdown[0] == "| activation | neurons | acc |"
    assert len(markdown) == 2 + 6
    best = workbench.table(
        f"WITH means AS ({sql}) SELECT * FROM means WHERE acc = (SELECT MAX(acc) FROM means) ORDER BY 1"
    )
    assert [(row["activation"], row["neurons"], row["acc"]) for row in best] == [
        ("relu", 5, 0.5),
        ("tanh", 5, 0.5),
    ]


def test_formats_and_files(workbench: Workbench) -> None:
    swept(workbench)
    sql = "SELECT neurons, 'it''s' AS word FROM results ORDER BY task_id LIMIT 2"
    assert list(csv.reader(io.StringIO(workbench("query", sql, "--format", "csv").out))) == [
        ["neurons", "word"],
        ["1", "it's"],
        ["1", "it's"],
    ]
    assert workbench("query", sql, "--format", "tsv").lines[0] == "neurons\tword"
    assert [json.loads(line) for line in workbench("query", sql, "--format", "jsonl").lines] == [
        {"neurons": 1, "word": "it's"}
    ] * 2
    whole = json.loads(workbench("query", sql, "--json").out)
    assert whole["columns"] == [{"name": "neurons", "type": "Int64"}, {"name": "word", "type": "String"}]
    assert whole["rows"] == [{"neurons": 1, "word": "it's"}] * 2
    nested = "SELECT [1, NULL] AS list, 'nan'::DOUBLE AS none, 170141183460469231731687303715884105727::HUGEINT AS big"
    assert json.loads(workbench("query", nested, "--json").out)["rows"][0]["list"] == [1, None]
    assert "neurons" in workbench("query", sql, "--format", "table").lines[0]
    workbench("query", sql, "-o", "out.parquet")
    assert workbench("query", sql).lines[0] == "neurons,word", "CSV where nobody looks"
    (workbench.lab_path / "extra.csv").write_text("neurons,cost\n1,10\n3,30\n")
    joined = "SELECT cost FROM grid JOIN 'extra.csv' USING (neurons) GROUP BY cost ORDER BY cost"
    assert workbench.table(joined) == [{"cost": 10}, {"cost": 30}]


@pytest.mark.slow
def test_two_experiments_are_joined(workbench: Workbench) -> None:
    swept(workbench)
    workbench.write("other.yaml", GRID.replace("name: grid", "name: other").replace("[1, 3, 5]", "[3, 5, 7]"))
    workbench.run("other.yaml")
    rows = workbench.table(
        "SELECT a.neurons, b.test_acc - a.test_acc AS gain FROM grid a JOIN other b USING (neurons, activation, repeat)"
    )
    assert {row["neurons"] for row in rows} == {3, 5}
    assert len(rows) == 8


def test_an_error_is_shown_at_its_place(workbench: Workbench) -> None:
    swept(workbench)
    result = workbench("query", "SELECT neuron FROM grid", code=2)
    assert result.err.splitlines() == [
        'tui-lab query: 1:8: there is no column "neuron"; did you mean "neurons"?',
        "  SELECT neuron FROM grid",
        "         ^",
    ]
    assert 'there is no table "gird"; did you mean "grid"?' in workbench("query", "SELECT * FROM gird", code=2).err
    assert "only SELECT" in workbench("query", "COPY grid TO 'x.csv'", code=2).err


@pytest.mark.slow
def test_other_patterns_need_no_rerun(workbench: Workbench) -> None:
    swept(workbench)
    until(lambda: not (workbench.lab_path / "engine.json").exists(), 60)  # it has written its last word
    before = (workbench.lab_path / "grid" / "journal.jsonl").read_bytes()
    told = workbench(
        "parse", "-e", "lab/grid/", "-p", "train_time", r"Time to train \(ms\): (@float@)", "-o", "grid.csv"
    )
    assert "train_time: in 12 of 12" in told.err
    assert workbench.table("SELECT max(train_time) AS most FROM grid") == [{"most": 50.5}]
    header = (workbench.folder / "grid.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["neurons", "activation", "test_acc", "train_time"]
    assert (workbench.lab_path / "grid" / "journal.jsonl").read_bytes() == before


@pytest.mark.slow
def test_edited_metrics_are_read_without_running(workbench: Workbench) -> None:
    swept(workbench)
    workbench.write("experiment.yaml", GRID + "  train_time: 'Time to train .ms.: (@float@)'\n")
    assert "train_time: in 12 of 12" in workbench("parse").err
    again = workbench.run("experiment.yaml")
    assert "0 tasks to run" in again.err
    assert workbench.table("SELECT count(train_time) AS n FROM grid") == [{"n": 12}]


def test_a_row_for_each_epoch(workbench: Workbench) -> None:
    swept(workbench)
    workbench("parse", "grid", "-p", "epoch", "Epoch (@int@)", "-p", "loss", "loss (@float@)", "-n", "^Epoch")
    rows = workbench.table("SELECT neurons, row, epoch, loss FROM grid_rows WHERE task_id = 4 ORDER BY row")
    assert rows == [
        {"neurons": 3, "row": 0, "epoch": 1, "loss": 0.9},
        {"neurons": 3, "row": 1, "epoch": 2, "loss": 0.3},
    ]


@pytest.mark.slow
def test_a_row_for_each_epoch_where_some_tasks_have_none(workbench: Workbench) -> None:
    workbench.write(
        "run.sh", "#!/bin/sh\necho acc 0.$1\nfor e in $(seq $1); do echo Epoch $e; echo acc $e; done\n", True
    )
    workbench.write("grid.yaml", "name: grid\ncommand: ./run.sh {n}\nparameters: {n: [0, 1, 2]}\n")
    workbench.run("grid.yaml")
    told = workbench("parse", "grid", "-p", "acc", "acc (@float@)", "-n", "^Epoch", "-o", "rows.csv")
    assert "acc: in 3 of 3" in told.err
    rows = [{"n": 1, "row": 0, "acc": 1.0}, {"n": 2, "row": 0, "acc": 1.0}, {"n": 2, "row": 1, "acc": 2.0}]
    assert workbench.table("SELECT n, row, acc FROM grid_rows ORDER BY n, row") == rows
    assert len((workbench.folder / "rows.csv").read_text().splitlines()) == 1 + 3
    workbench("parse", "grid", "-p", "acc", "acc (@float@)", "-n", "^no such line")
    assert workbench.table("SELECT n, row, acc FROM grid_rows") == []


@pytest.mark.slow
def test_parse_that_fails_keeps_nothing(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    swept(workbench)
    workbench("parse", "grid", "-p", "epoch", "Epoch (@int@)")
    kept = (workbench.lab_path / "grid" / "parsed.yaml").read_bytes()
    more = ("parse", "grid", "-p", "loss", "loss (@float@)", "-n", "^Epoch")
    workbench.inside(*more, "-o", "no/such/folder/x.csv", code=2)
    workbench.inside("parse", "grid", "-p", "a b", "loss (@float@)", code=2)

    def fails(*_: object) -> None:
        raise MemoryError

    for part in ("tables.long.refresh", "tables.hints.explain", "reading.extract"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tui_lab.results.{part}", fails)
            workbench.inside(*more, "-p", "x", "not there (@int@)", code=3)
    assert (workbench.lab_path / "grid" / "parsed.yaml").read_bytes() == kept
    assert "loss" not in workbench.table("SELECT * FROM grid LIMIT 1")[0]
    assert workbench.table("SELECT * FROM grid_rows") == []
    workbench.inside(*more)
    assert workbench.table("SELECT count(*) AS n FROM grid_rows WHERE loss > 0")[0]["n"] > 0


@pytest.mark.slow
def test_a_pattern_that_matches_nothing_is_told_with_a_hint(workbench: Workbench) -> None:
    swept(workbench)
    told = workbench("parse", "-p", "acc", "Tset accuracy: (@float@)").err
    assert 'metric "acc"' in told and "matched nothing" in told and "Test accuracy: 0." in told
    broken = workbench("parse", "-p", "acc", "Test (accuracy: (@float@)", code=2).err
    assert "-p acc: " in broken and "^" in broken
    assert "no group" in workbench("parse", "-p", "acc", "Test accuracy", code=2).err


def test_live_metrics_become_steps(workbench: Workbench) -> None:
    workbench.write(
        "live.py", "import tui_lab\nfor step in range(3):\n    tui_lab.log(step=step, loss=1 / (step + 1))\n"
    )
    workbench.write("live.yaml", "command: python3 live.py {lr}\nparameters: {lr: [0.1, 0.2]}\n")
    workbench.run("live.yaml", env={"PATH": f"{Path(sys.executable).parent}:{workbench.environment['PATH']}"})
    rows = workbench.table("SELECT lr, step, loss FROM live_steps WHERE task_id = 1 ORDER BY step")
    assert rows == [{"lr": 0.2, "step": step, "loss": 1 / (step + 1)} for step in range(3)]


def test_all_values_of_a_metric_are_in_the_unit_that_they_have_in_common(workbench: Workbench) -> None:
    """Each output ends with the same unit: what stands before it counts, too."""
    workbench.write(
        "grid.yaml",
        "command: \"printf 'thrpt: 950 Mfoo/s\\\\nthrpt: 1.2 Gfoo/s\\\\n'; : {a}\"\nparameters: {a: [1, 2]}\n"
        "metrics: {t: {pattern: 'thrpt: (@quantity@)', take: all}}\n",
    )
    workbench.run("grid.yaml")
    assert workbench.table("SELECT step, t FROM grid_steps WHERE a = 1") == [
        {"step": 0, "t": 950e6},
        {"step": 1, "t": 1.2e9},
    ]
    assert workbench.table("SELECT t FROM grid") == [{"t": 1.2e9}] * 2


def test_tasks_that_remove_their_own_output(workbench: Workbench) -> None:
    """The task that is named is one whose output is there."""
    workbench.write(
        "grid.yaml",
        "command: |\n  echo loss=1\n  test {k} = 1 || rm -rf {output}\n"
        "  if test {k} = 3; then mkdir {output}; echo end >{output}/stdout; fi\n"
        "parameters: {k: [1, 2, 3]}\nmetrics: {loss: 'loss=(@float@)'}\n",
    )
    run = workbench.run("grid.yaml")
    assert 'loss: in 1 of 3 done tasks; task 2: its pattern matched nothing; the last line is "end"' in run.err
    assert workbench("logs", "1").err == "grid/1 has no output here: its folder is gone\n"


def test_a_value_beside_the_query_is_one_of_its_parameters(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: 'true {x}'\nparameters: {x: [1, 2]}\n")
    workbench.run("grid.yaml")
    assert "for a value of the query: --param x=2" in workbench("query", "SELECT x FROM grid", "x=2", code=2).err
