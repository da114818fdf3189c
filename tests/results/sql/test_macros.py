"""Macros, functions, parameters, limits and saved queries: the comforts of SQL over a lab."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tui_lab.results.sql import macros, saved_queries
from tui_lab.results.sql.database import Database, QueryError, query
from tui_lab.results.sql.schema import schema
from tui_lab.results.statistics.report import judge
from tui_lab.results.statistics.sample import Sample

SWEEP = """\
command: ./train.py {lr} {opt}
parameters:
  lr: [0.1, 0.01]
  opt: [sgd, adam]
repeat: 3
metrics:
  acc: {pattern: 'acc (@float@)', goal: max, unit: "1"}
  loss: {pattern: 'loss (@float@)', goal: min}
  word: 'word (@str@)'
"""


def output(row: dict[str, Any], shift: float = 0.0) -> str:
    value = row["lr"] * 5 + (row["opt"] == "adam") / 10 + row["repeat"] / 100 + shift
    return f"acc {value:.3f}\nloss {1 - value:.3f}\nword fine\n"


@pytest.fixture
def lab(disk: Any) -> Any:
    folder = disk.submit(SWEEP)
    for row in folder.tasks().iter_rows(named=True):
        if row["task_id"] == 3:
            disk.run(folder, 3, "", "failed")
        else:
            disk.run(folder, row["task_id"], output(row), duration=float(row["task_id"]))
    return disk.lab


def rows(lab: Any, sql: str, **options: Any) -> list[dict[str, Any]]:
    with Database(lab) as database:
        return database.query(sql, **options).to_dicts()


def test_best_settings(lab: Any) -> None:
    found = rows(lab, "FROM best('acc')")
    assert [(row["lr"], row["opt"], row["n"]) for row in found] == [
        (0.1, "sgd", 3),
        (0.01, "adam", 3),
        (0.01, "sgd", 3),
        (0.1, "adam", 2),
    ], "what lacks a value stands behind"
    assert found[0]["mean"] == pytest.approx(0.51)
    assert found[0]["ci95"] == pytest.approx(4.302652729696 * 0.01 / math.sqrt(3))
    assert rows(lab, "SELECT lr, opt FROM best('loss') LIMIT 1") == [{"lr": 0.1, "opt": "sgd"}], "less is better"
    assert rows(lab, "FROM best()") == found, "the leading metric"
    joined = "SELECT count(*) AS n FROM best('acc', 'grid') a JOIN best('loss') b USING (lr, opt)"
    assert rows(lab, joined) == [{"n": 4}]


def test_failures_and_slowest(lab: Any) -> None:
    failed = rows(lab, "FROM failures()")
    assert [(row["task_id"], row["state"], row["exit_code"]) for row in failed] == [(3, "failed", 1)]
    assert [row["task_id"] for row in rows(lab, "FROM slowest(2)")] == [11, 10]
    assert len(rows(lab, "FROM slowest('grid')")) == 11


def test_two_experiments_compared(lab: Any, disk: Any) -> None:
    other = disk.submit(SWEEP.replace("[0.1, 0.01]", "[0.1, 0.5]"), "other")
    for row in other.tasks().iter_rows(named=True):
        disk.run(other, row["task_id"], output(row, 0.2))
    found = rows(lab, "FROM compare('grid', 'other')")
    assert [(row["lr"], row["opt"], row["n_1"], row["n_2"]) for row in found] == [
        (0.1, "adam", 2, 3),
        (0.1, "sgd", 3, 3),
    ]
    assert found[1]["acc_difference"] == pytest.approx(0.2)
    assert "word_1" not in found[0]


def test_a_comparison_says_the_means_of_the_statistics(disk: Any) -> None:
    """Also where a plain sum loses digits, a value is infinite, and parameters are of different types."""
    values = [1e16, 1.0, -1e16, float("nan")]
    for name, listed in (("one", "[1, 2]"), ("two", "[1, 2.5]")):
        sweep = f"command: echo {{x}}\nparameters: {{x: {listed}}}\nrepeat: 4\nmetrics: {{acc: 'acc (@float@)'}}\n"
        folder = disk.submit(sweep, name)
        for row in folder.tasks().iter_rows(named=True):
            disk.run(folder, row["task_id"], f"acc {values[row['repeat']]!r}")
    found = rows(disk.lab, "FROM compare('one', 'two')")
    best = rows(disk.lab, "SELECT mean, ci95 FROM best('acc', 'one')")[0]
    assert [(row["x"], row["n_1"], row["n_2"]) for row in found] == [(1.0, 4, 4)]
    assert found[0]["acc_1"] == found[0]["acc_2"] == best["mean"] == pytest.approx(1 / 3)
    assert found[0]["acc_ci95_1"] == best["ci95"]
    assert found[0]["acc_difference"] == 0.0


def test_two_versions_compared(disk: Any) -> None:
    folder = disk.submit(SWEEP)
    disk.run_all(folder, lambda task: "acc 1")
    folder = disk.submit(SWEEP + "version: 2\n")
    for row in folder.tasks().iter_rows(named=True):
        if row["version"] == 2:
            disk.run(folder, row["task_id"], "acc 3")
    found = rows(disk.lab, "SELECT acc_1, acc_2, acc_difference FROM compare('grid@1', 'grid@2')")
    assert found == [{"acc_1": 1.0, "acc_2": 3.0, "acc_difference": 2.0}] * 4
    with pytest.raises(QueryError, match=r"no tasks of version 7; there are grid@1, grid@2"):
        rows(disk.lab, "FROM compare('grid@1', 'grid@7')")


@pytest.mark.parametrize(
    ("sql", "words", "column"),
    [
        ("SELECT * FROM best('ac')", 'no metric "ac" with numbers; did you mean "acc"?', 15),
        ("FROM best('acc', 'gird')", 'no experiment "gird"; did you mean "grid"?', 6),
        ("FROM best('word')", 'no metric "word" with numbers', 6),
        ("FROM compare('grid')", "takes two experiments", 6),
        ("FROM failures('a', 'b')", "too many arguments", 6),
    ],
)
def test_mistakes_in_macros_have_a_place(lab: Any, sql: str, words: str, column: int) -> None:
    with pytest.raises(QueryError) as caught:
        query(lab, sql)
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == (1, column)


def test_errors_behind_a_macro_keep_their_place(lab: Any) -> None:
    with pytest.raises(QueryError) as caught:
        query(lab, "SELECT lr FROM best('acc') WHERE nothing > 1")
    assert caught.value.column == 34


def test_only_calls_in_the_place_of_a_table_are_macros(lab: Any) -> None:
    assert rows(lab, "SELECT 'best(1)' AS best, max(lr) AS slowest FROM grid") == [{"best": "best(1)", "slowest": 0.1}]
    assert macros.as_query(["best", "it's"]) == "SELECT * FROM best('it''s')"
    assert macros.as_query(["SELECT 1"]) is None


def test_ci95_and_sd_are_those_of_stats_also_where_values_were_printed_coarsely(lab: Any) -> None:
    with Database(lab) as database:
        for values in (
            [0.97, 0.97, 0.98],  # within one printed step: where in it their mean is stays hidden
            [0.5, 0.5, 0.5, 0.6],
            [1e9 + 1e-6, 1e9 + 2e-6, 1e9 + 5e-6],
            [3.0, 4.0, 7.0],
            [0.0, 1.0, 1.0, 1.0],
        ):
            listed = ", ".join(f"({value!r}::DOUBLE)" for value in values)
            found = database.query(f"SELECT ci95(x), sd(x), se(x) FROM (VALUES {listed}) t(x)").row(0)
            report = judge("x", [Sample(tuple(values), tuple(range(len(values))))])
            (summary,) = report.summaries
            assert found == pytest.approx((summary.half, summary.sd, summary.se))


def test_ci95_equals_scipy_and_leaves_nan_out(lab: Any) -> None:
    rng = np.random.default_rng(1)
    with Database(lab) as database:
        for n in (2, 3, 10, 100, 101, 102, 150, 1000):
            values = rng.normal(5, 2, n).round(6)
            listed = ", ".join(f"({value})" for value in values)
            sql = f"SELECT ci95(x) AS half FROM (VALUES {listed}, (NULL), ('nan'::DOUBLE), ('inf'::DOUBLE)) t(x)"
            half = database.query(sql)["half"].item()
            expected = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
            assert half == pytest.approx(expected, rel=1e-9)
        assert database.query("SELECT ci95(x) AS half FROM (VALUES (1)) t(x)")["half"].item() is None
        assert database.query("SELECT ci95(n) AS half FROM (VALUES (1), (2)) t(n)")["half"].item() > 6


def test_parameters_are_bound_not_pasted(lab: Any) -> None:
    sql = "SELECT count(*) AS n FROM grid WHERE opt = $opt AND lr < $most"
    assert rows(lab, sql, parameters={"opt": "sgd", "most": 0.05}) == [{"n": 3}]
    assert rows(lab, sql, parameters={"opt": "' OR true --", "most": 1}) == [{"n": 0}]
    with pytest.raises(QueryError, match=r"parameter \$most has no value; --param most=VALUE"):
        query_with(lab, sql, {"opt": "x"})
    with pytest.raises(QueryError, match=r'no parameter \$mots; did you mean "most"'):
        query_with(lab, sql, {"opt": "x", "most": 1, "mots": 1})


def query_with(lab: Any, sql: str, parameters: dict[str, Any]) -> None:
    with Database(lab) as database:
        database.query(sql, parameters=parameters)


def test_a_row_limit_is_told(lab: Any) -> None:
    told: list[str] = []
    assert len(rows(lab, "FROM grid ORDER BY task_id", limit=4, warn=told.append)) == 4
    assert told == ["these are the first 4 rows, there are more"]
    told.clear()
    assert len(rows(lab, "FROM grid", limit=11, warn=told.append)) == 11
    assert len(rows(lab, "EXPLAIN SELECT 1", limit=5)) == 1
    assert told == []


def test_memory_is_limited(lab: Any) -> None:
    with Database(lab, memory="30MB") as database:
        with pytest.raises(QueryError, match=r"needs more memory than it may have \(30MB\)"):
            database.query("SELECT list(a.range) FROM range(20000000) a")
        assert database.query("SELECT 1 AS one").height == 1
    with pytest.raises(QueryError, match="no amount of memory"):
        Database(lab, memory="lots")


def test_a_query_is_interrupted_from_another_thread(lab: Any) -> None:
    with Database(lab) as database:
        caught: list[QueryError] = []

        def ask() -> None:
            try:
                database.query(
                    "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE (a.range + b.range) % 7 = 3"
                )
            except QueryError as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            database.interrupt()
            thread.join(0.05)
        assert not thread.is_alive()
        assert "interrupted" in str(caught[0])


def test_saved_queries(lab: Any) -> None:
    path = saved_queries.save(lab, "good", "SELECT * FROM grid WHERE acc > $least")
    assert path == lab.path / "queries" / "good.sql"
    assert saved_queries.saved(lab) == {"good": "SELECT * FROM grid WHERE acc > $least\n"}
    assert lab.experiments() == ["grid"], "the folder is no experiment"
    with pytest.raises(QueryError, match='no saved query "god"; did you mean "good"'):
        saved_queries.read(lab, "god")
    with pytest.raises(QueryError, match="can't be a name"):
        saved_queries.save(lab, "../x", "SELECT 1")
    with Database(lab) as database:
        database.check("SELECT * FROM later WHERE x = $y")
        with pytest.raises(QueryError, match="only SELECT"):
            database.check("DROP TABLE grid")


def test_the_schema_tells_kinds_and_units(lab: Any) -> None:
    with Database(lab) as database:
        found = {row["column"]: row for row in schema(database, "GRID").to_dicts()}
        assert found["lr"] == {
            "table": "grid",
            "column": "lr",
            "type": "DOUBLE",
            "kind": "parameter",
            "unit": None,
            "goal": None,
        }
        assert (found["acc"]["kind"], found["acc"]["unit"], found["acc"]["goal"]) == ("metric", "1", "max")
        assert (found["duration"]["kind"], found["duration"]["unit"]) == ("fact", "s")
        assert {row["table"] for row in schema(database).to_dicts()} == {"grid", "grid_steps", "grid_rows"}
        with pytest.raises(QueryError, match='did you mean "grid_tasks"'):
            schema(database, "grid_task")
