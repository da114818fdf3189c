"""SQL over a lab: what it answers, what it refuses, and how it says what is wrong."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.sql.database import Database, QueryError, query
from tui_lab.results.sql.text import mentioned, replace, tokens

GRID = """command: ./run {lr} {act}
parameters: {lr: [0.1, 0.2], act: [relu, tanh]}
metrics: {acc: 'acc=(@float@)', loss: {pattern: 'loss=(@float@)', take: all}}
rows: {pattern: 'row (?P<kind>@slug@) (?P<value>@int@)'}
"""
OTHER = "command: ./other {lr}\nparameters: {lr: [0.1, 0.2]}\nmetrics: {early-stop: 'at (@int@)'}\n"


@pytest.fixture
def lab(disk: Any) -> Any:
    grid = disk.submit(GRID)
    disk.run_all(grid, lambda task: f"loss=3\nloss=2\nacc=0.{task + 1}\nrow a {task}\nrow b {task}\n")
    other = disk.submit(OTHER, name="base-line")
    disk.run(other, 0, "at 7")
    disk.run(other, 1, "Traceback", state="failed", reason="exit")
    (grid.path / "extra.csv").write_text("act,label\nrelu,Rectified\ntanh,Hyperbolic\n")
    return disk.lab


def ask(lab: Any, sql: str, **more: Any) -> list[tuple[Any, ...]]:
    return query(lab, sql, **more).rows()


def test_a_text_is_compared_with_text_and_numbers_with_numbers(lab: Any) -> None:
    assert ask(lab, "SELECT lr, acc FROM grid WHERE act = 'tanh' ORDER BY acc DESC") == [
        (0.2, 0.4),
        (0.1, 0.2),
    ]
    assert ask(lab, "SELECT max(acc), count(*), sum(task_id) FROM grid") == [(0.4, 4, 6)]


def test_two_experiments_join(lab: Any) -> None:
    sql = 'SELECT g.task_id, b."early-stop" FROM grid g JOIN "base-line" b USING (lr) ORDER BY 1'
    assert ask(lab, sql) == [(0, 7), (1, 7)]


def test_all_tables(lab: Any) -> None:
    assert ask(lab, 'SELECT state, reason FROM "base-line_tasks" ORDER BY task_id') == [
        ("done", None),
        ("failed", "exit"),
    ]
    assert ask(lab, "SELECT step, avg(loss) FROM grid_steps GROUP BY step ORDER BY step") == [
        (0, 3.0),
        (1, 2.0),
    ]
    assert ask(lab, "SELECT sum(value) FROM grid_rows WHERE kind = 'b'") == [(6,)]
    assert ask(lab, 'SELECT "early-stop" FROM results') == [(7,)]
    assert ask(lab, "SELECT count(*) FROM results", current="grid") == [(4,)]
    assert ask(lab, "SELECT count(*) FROM nodes") == [(0,)]
    assert ask(lab, "FROM GRID SELECT count(*)") == [(4,)]


def test_files_of_the_lab_by_path(lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sql = "SELECT label FROM grid JOIN 'grid/extra.csv' e USING (act) WHERE task_id = 0"
    assert ask(lab, sql) == [("Rectified",)]
    assert ask(lab, "SELECT count(*) FROM read_csv('grid/extra.csv', header = true)") == [(2,)]
    assert ask(lab, "SELECT count(*) FROM read_csv(['grid/extra.csv', 'grid/extra.csv'])") == [(4,)]
    assert ask(lab, "SELECT count(*) FROM 'grid/*.csv'") == [(2,)]
    assert ask(lab, "SELECT count(*) FROM grid, 'grid/results.parquet'") == [(16,)]
    assert ask(lab, f"SELECT count(*) FROM '{lab.path}/grid/extra.csv'") == [(2,)]
    # A file of the same path where the query is asked is not meant.
    (tmp_path / "here" / "grid").mkdir(parents=True)
    (tmp_path / "here" / "grid" / "extra.csv").write_text("act\nwrong\n")
    monkeypatch.chdir(tmp_path / "here")
    assert ask(lab, sql) == [("Rectified",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SUMMARIZE grid", "DESCRIBE grid", "SHOW TABLES", "VALUES (1)", "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT * FROM grid",
        "WITH a AS (SELECT 1) SELECT * FROM a", "PIVOT grid ON act USING avg(acc) GROUP BY lr", "TABLE grid",
        "SELECT 1;",
        "-- all\nSELECT 1 -- one", "EXPLAIN (FORMAT json) SELECT 1",
    ],
)  # fmt: skip
def test_whatever_reads_is_possible(lab: Any, sql: str) -> None:
    assert query(lab, sql).width > 0


@pytest.mark.parametrize(
    "sql",
    [
        "COPY grid TO '{out}'", "COPY (SELECT 1) TO '{out}'", "EXPLAIN ANALYZE COPY grid TO '{out}'",
        "EXPLAIN (ANALYZE) COPY grid TO '{out}'", "EXPLAIN CREATE TABLE a AS SELECT 1",
        "EXPLAIN ANALYZE INSERT INTO grid SELECT * FROM grid",
        "ATTACH '{out}' AS a", "INSTALL httpfs", "LOAD httpfs", "SET threads = 1",
        "SET enable_external_access = true",
        "RESET enable_external_access", "PRAGMA version", "CALL pragma_version()",
        "CREATE TABLE a AS SELECT 1", "DROP VIEW grid",
        "CREATE MACRO f(x) AS x", "WITH a AS (SELECT 1) INSERT INTO grid SELECT * FROM a",
        "EXPORT DATABASE '{out}'",
        "PREPARE p AS SELECT 1", "USE memory", "VACUUM", "CHECKPOINT", "DELETE FROM grid",
        "UPDATE grid SET lr = 1",
        "SELECT 1; SELECT 2", "SELECT 1; COPY grid TO '{out}'", "BEGIN", "", "-- nothing", ";",
        "SELECT * FROM read_text('{secret}')", "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('../secret.csv')", "SELECT * FROM 'grid/../../secret.csv'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_csv('https://example.org/a.csv')",
        "SELECT getenv('HOME')", "SELECT * FROM secret_frame", "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM query('COPY grid TO ''{out}''')",
        "SELECT * FROM enable_profiling(save_location = '{out}')",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}')", "SELECT * FROM '../*.csv'",
        "SELECT * FROM read_text((SELECT '/etc/passwd'))", "SELECT content FROM read_blob('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')", "SELECT * FROM read_json('/etc/passwd')",
    ],
)  # fmt: skip
def test_whatever_else_is_refused(lab: Any, sql: str) -> None:
    secret_frame = pl.DataFrame({"a": [1]})
    assert secret_frame.height == 1
    secret = lab.path.parent / "secret.csv"
    secret.write_text("a\n1\n")
    out = lab.path / "out"
    before = sorted(lab.path.rglob("*"))
    with pytest.raises(QueryError):
        query(lab, sql.format(out=out, secret=secret))
    new = set(lab.path.rglob("*")) - set(before)
    assert not {path for path in new if not path.name.startswith("results.")}


@pytest.mark.parametrize(
    ("sql", "line", "column", "words"),
    [
        ("SELECT lrr FROM grid", 1, 8, 'there is no column "lrr"; did you mean "lr"?'),
        ("SELECT lr,\n  'é', axx\nFROM grid", 2, 8, 'there is no column "axx"'),
        ("SELECT *\nFROM gird", 2, 6, 'there is no table "gird"; did you mean "grid"?'),
        ("SELECT * FROM grid_taks", 1, 15, 'did you mean "grid_tasks"?'),
        ("SELECT * FROM base-line", 1, 19, 'write "base-line" in double quotes'),
        ('SELECT early-stop FROM "base-line"', 1, 8, 'write "early-stop" in double quotes'),
        ('SELECT * FROM grid WHERE act = "relu"', 1, 32, "a text is written in single quotes: 'relu'"),
        ("SELEC lr FROM grid", 1, 1, 'syntax error at "SELEC"'),
        ("SELECT at, node FROM nodes", 1, 10, 'as a name, write "at" in double quotes'),
        ("SELECT node FROM nodes ORDER BY at", 1, 33, 'as a name, write "at" in double quotes'),
        ("SELECT lr,, acc FROM grid", 1, 11, 'syntax error at ","'),
        ("SELECT acc FROM grid WHERE lr = 'high'", 1, 33, "could not convert"),
        ("SELECT avg(act) FROM grid", 1, 8, "no function matches"),
        ("SELECT foo(lr) FROM grid", 1, 8, 'there is no function "foo"'),
        ("SELECT lr FROM grid GROUP BY act", 1, 8, "must appear in the GROUP BY"),
        ("SELECT label FROM 'grid/extra.csv' WHERE labl = 1", 1, 42, 'there is no column "labl"'),
        ("SELECT * FROM 'grid/none.csv'", 1, 15, "there is no file grid/none.csv in the lab"),
        ("SELECT 1;\nSELECT 2", 1, 10, "one query at a time"),
        ("DROP TABLE grid", 1, 1, "only SELECT is possible"),
    ],
)  # fmt: skip
def test_an_error_is_shown_at_its_place(lab: Any, sql: str, line: int, column: int, words: str) -> None:
    with pytest.raises(QueryError) as error:
        query(lab, sql)
    shown = str(error.value)
    assert words in shown
    assert (error.value.line, error.value.column) == (line, column)
    first, source, caret = shown.split("\n")
    assert first.startswith(f"{line}:{column}: ")
    assert source.strip() in sql
    assert caret == "  " + " " * (column - 1) + "^"


def test_a_long_line_is_cut_around_the_place(lab: Any) -> None:
    with pytest.raises(QueryError) as error:
        query(lab, f"SELECT {'lr + ' * 100}lrr FROM grid")
    _, source, caret = str(error.value).split("\n")
    assert source[caret.index("^") :].startswith("lrr")
    assert len(source) < 110


def test_an_unknown_current_experiment(lab: Any) -> None:
    with pytest.raises(QueryError, match='did you mean "grid"'):
        query(lab, "SELECT * FROM results", current="gird")


def test_an_empty_lab(disk: Any) -> None:
    assert ask(disk.lab, "SELECT 1") == [(1,)]
    with pytest.raises(QueryError, match='there is no table "results"'):
        query(disk.lab, "SELECT * FROM results")


def test_nan_is_warned_of_once(disk: Any) -> None:
    folder = disk.submit(GRID)
    disk.run_all(folder, lambda task: "acc=nan" if task == 1 else f"acc={task}")
    for sql in (
        "SELECT avg(acc), max(acc) FROM grid",
        "SELECT lr, acc FROM grid ORDER BY acc DESC",
        "SELECT lr, acc AS a FROM grid ORDER BY a",
        "SELECT lr, acc FROM grid ORDER BY 2",
        "SELECT rank() OVER (ORDER BY acc) FROM grid",
        "SELECT avg(a) FROM (SELECT acc AS a FROM grid)",
    ):
        warnings: list[str] = []
        query(disk.lab, sql, warn=warnings.append)
        assert len(warnings) == 1, sql
        assert "acc (1)" in warnings[0]
    for sql in (
        "SELECT avg(acc) FROM grid WHERE NOT isnan(acc)",
        "SELECT acc FROM grid ORDER BY lr",
        "SELECT avg(lr) FROM grid",
        "SELECT 1",
    ):
        query(disk.lab, sql, warn=lambda text: pytest.fail(text))


def test_types_that_polars_has_not(lab: Any) -> None:
    sql = """SELECT sum(task_id) AS s, 0.5 AS d, 1::HUGEINT * 10 ** 30 AS h,
        max(ended_at) - min(started_at) AS took,
        INTERVAL 2 MONTH AS i, [INTERVAL 1 DAY] AS l, 1 AS x, 2 AS x, NULL AS n FROM grid"""
    row = query(lab, sql).row(0, named=True)
    assert row["s"] == 6
    assert row["d"] == 0.5
    assert row["h"] == 1e30
    assert row["took"].total_seconds() == 10
    assert isinstance(row["i"], str)
    assert (row["x"], row["x_1"], row["n"]) == (1, 2, None)


def test_a_database_follows_the_run(disk: Any) -> None:
    folder = disk.submit(GRID)
    with Database(disk.lab) as database:
        assert database.query("SELECT count(*) FROM grid").item() == 0
        attempt = disk.start(folder, 0, {"stdout": "acc=0.5\nacc=0.7"})
        live = database.query("SELECT acc, state FROM grid_tasks WHERE task_id = 0").row(0)
        assert live == (0.5, "running")
        disk.finish(folder, 0, attempt)
        assert database.query("SELECT acc FROM grid").item() == 0.7
        with pytest.raises(QueryError):
            database.query("SELECT nothing FROM grid")
        assert database.query("SELECT acc FROM grid").item() == 0.7


def test_only_tables_that_are_named_are_loaded(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    original = Database._load

    def load(self: Database, known: dict[str, str], names: set[str]) -> dict[str, pl.DataFrame]:
        frames = original(self, known, names)
        loaded.extend(frames)
        return frames

    monkeypatch.setattr(Database, "_load", load)
    query(lab, "SELECT count(*) FROM grid_rows -- grid, results")
    assert loaded == ["grid_rows"]


# --- Words of a query


@given(st.text(st.sampled_from("ab'\"$-/*\n .;eE1_é("), max_size=30))
def test_any_text_has_tokens(sql: str) -> None:
    found = list(tokens(sql))
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    mentioned(sql)


def test_names_in_strings_and_comments() -> None:
    assert mentioned("SELECT \"My-Exp\", 'a b' -- c\n/* d */ FROM $$e$$") >= {
        "select",
        "my-exp",
        "a",
        "b",
        "from",
        "e",
    }
    assert not mentioned("-- c\n/* d */") & {"c", "d"}


def test_places_after_a_replacement() -> None:
    new = replace("a 'x' b", [(2, 5, "'/long/x'")])
    assert new.text == "a '/long/x' b"
    assert [new.origin(new.text.index(word)) for word in ("a", "'/", "b")] == [0, 2, 6]
    assert new.origin(7) == 2


def test_a_database_sees_what_was_added_between_two_queries(disk: Any) -> None:
    """Tables are kept from query to query, as long as nothing is added to the journal."""
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2]}\nmetrics: {m: 'm (@int@)'}\n")
    disk.run(folder, 0, "m 5\n")
    with Database(disk.lab) as database:
        assert database.query("SELECT m FROM grid").rows() == [(5,)]
        before = dict(database._loaded)
        assert database.query("SELECT m + 1 FROM grid").rows() == [(6,)]
        assert database._loaded == before and all(database._loaded[key][1] is before[key][1] for key in before)
        attempt = disk.start(folder, 1, {"stdout": "m 7\n"})
        assert database.query("SELECT m FROM grid_tasks ORDER BY n").rows() == [(5,), (7,)]
        (folder.task_folder(1) / "stdout").write_text("m 8\n")
        assert database.query("SELECT m FROM grid_tasks ORDER BY n").rows() == [(5,), (8,)], "a running task prints on"
        disk.finish(folder, 1, attempt)
        assert database.query("SELECT m FROM grid ORDER BY n").rows() == [(5,), (8,)]
        folder.write_metrics(folder.spec_text().replace("'m (@int@)'", "'m (@float@)'"), 1)
        assert database.query("SELECT typeof(m) FROM grid LIMIT 1").rows() == [("DOUBLE",)]
