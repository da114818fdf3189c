"""Values by step, and rows."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.load import load_text
from tui_lab.results.extraction.steps import StepsReader
from tui_lab.results.tables import refresh

ONE = "command: ./run {n}\nparameters: {n: [1, 2]}\n"


def steps(table: pl.DataFrame, *names: str, task: int = 0) -> list[tuple[Any, ...]]:
    return table.filter(pl.col("task_id") == task).select(*names).rows()


def test_live_metrics(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.run(
        folder,
        0,
        {"metrics.jsonl": '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n{"step": 2, "acc": 1}\n'},
    )
    results = refresh(folder)
    assert results.steps.columns == [
        "n", "step", "loss", "acc", "task_id", "repeat", "seed", "version", "planned", "state", "attempt",
    ]  # fmt: skip
    assert steps(results.steps, "step", "loss", "acc") == [(1, 0.5, None), (2, 0.25, 1)]


def test_live_metrics_that_are_torn_or_no_json(disk: Any) -> None:
    folder = disk.submit(ONE)
    lines = b'{"loss": 1}\nnot json\n[1]\n\xff\xfe\n\n{"loss": NaN}\n{"loss": 3, "name": "x"}\n{"loss": 4, "st'
    disk.run(folder, 0, {"metrics.jsonl": lines})
    results = refresh(folder)
    found = steps(results.steps, "step", "loss")
    assert [step for step, _ in found] == [0, 1, 2]
    assert found[0][1] == 1.0
    assert math.isnan(found[1][1])
    assert results.left_out("steps") == ["grid: 4 lines of live metrics are no JSON objects and were left out"]
    assert "4 lines" in refresh(folder).left_out("steps")[0]


def test_a_last_line_without_an_end_counts_if_it_is_whole(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.run(folder, 0, {"metrics.jsonl": '{"loss": 1}\n{"loss": 2}'})
    assert steps(refresh(folder).steps, "step", "loss") == [(0, 1), (1, 2)]


def test_take_all_gives_every_value(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  loss: {pattern: 'loss (@float@)', take: all}\n")
    disk.run(folder, 0, "loss 3\nloss 2\nloss 1\n")
    results = refresh(folder)
    assert results.tasks["loss"].to_list() == [1.0, None]
    assert steps(results.steps, "step", "loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_the_step_may_be_in_the_pattern(disk: Any) -> None:
    folder = disk.submit(
        ONE + "metrics:\n  acc: {pattern: 'epoch (?P<step>@int@): acc (?P<value>@float@)', take: all}\n"
    )
    disk.run(
        folder,
        0,
        {"stdout": "epoch 5: acc 0.1\nepoch 10: acc 0.2\n", "metrics.jsonl": '{"step": 10, "lr": 1}\n'},
    )
    assert steps(refresh(folder).steps, "step", "acc", "lr") == [(5, 0.1, None), (10, 0.2, 1)]


def test_steps_of_csv_and_json(disk: Any) -> None:
    folder = disk.submit(
        ONE + "metrics:\n  a: {csv: h.csv, column: loss, take: all}\n  b: {json: r.json, path: '$.v', take: all}\n"
    )
    disk.run(folder, 0, {"h.csv": "loss\n0.5\n0.25\n", "r.json": '{"v": [7, 8]}'})
    assert steps(refresh(folder).steps, "step", "a", "b") == [(0, 0.5, 7), (1, 0.25, 8)]


def test_names_that_come_later_or_meet_others(disk: Any) -> None:
    folder = disk.submit(ONE)
    disk.run(folder, 0, {"metrics.jsonl": '{"a": 1}\n{"n": 2, "task_id": 3, "b": "x"}\n'})
    disk.run(folder, 1, {"metrics.jsonl": '{"a": 0.5}\n'})
    table = refresh(folder).steps
    assert table.columns[:6] == ["n", "step", "a", "out_n", "out_task_id", "b"]
    assert steps(table, "n", "a", "out_n", "out_task_id", "b") == [
        (1, 1.0, None, None, None),
        (1, None, 2, 3, "x"),
    ]


def test_steps_are_read_once_and_follow_attempts(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk.submit(ONE)
    disk.run(folder, 0, {"metrics.jsonl": '{"a": 1}\n'}, state="failed", reason="exit", again=1.0)
    assert steps(refresh(folder).steps, "a") == [(1,)]
    read: list[str] = []
    original = StepsReader.records

    def records(self: StepsReader, folder: str, attempt: int, live: bool) -> Any:
        read.append(folder[-1])
        return original(self, folder, attempt, live)

    monkeypatch.setattr(StepsReader, "records", records)
    assert steps(refresh(folder).steps, "a") == [(1,)]
    assert read == []
    disk.run(folder, 0, {"metrics.jsonl.2": '{"a": 5}\n'})
    assert steps(refresh(folder).steps, "a", "attempt") == [(5, 2)]
    assert read == ["0"]


def test_live_steps_of_a_running_task(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  loss: {pattern: 'loss (@int@)', take: all}\n")
    attempt = disk.start(folder, 0, {"stdout": "loss 1\nloss 2", "metrics.jsonl": '{"m": 1}\n{"m"'})
    assert refresh(folder).steps.height == 0
    assert steps(refresh(folder, live=True).steps, "step", "loss", "m") == [(0, 1, 1)]
    disk.finish(folder, 0, attempt)
    assert steps(refresh(folder).steps, "step", "loss", "m") == [(0, 1, 1), (1, 2, None)]


@given(st.lists(st.binary(max_size=30), max_size=8).map(b"\n".join))
def test_any_file_of_live_metrics(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("task")
    (folder / "metrics.jsonl").write_bytes(raw)
    list(StepsReader(load_text("name: x\ncommand: ./run", "x.yaml")).records(str(folder), 1, False))


# --- Rows


def test_rows_of_a_pattern(disk: Any) -> None:
    folder = disk.submit(ONE + "rows: {pattern: '(?P<name>@slug@): (?P<time>@quantity@)(?: (?P<extra>x))?'}\n")
    disk.run(folder, 0, "sort: 3 ms\nsort: 2 s x\n")
    disk.run(folder, 1, "scan: 1.5k\n")
    table = refresh(folder).rows
    assert table.columns[:5] == ["n", "name", "time", "extra", "row"]
    assert steps(table, "name", "time", "extra", "row") == [("sort", 0.003, None, 0), ("sort", 2.0, "x", 1)]
    assert steps(table, "n", "name", "time", task=1) == [(2, "scan", 1500.0)]
    assert refresh(folder).rows.equals(table)


def test_rows_of_a_csv_file(disk: Any) -> None:
    folder = disk.submit(ONE + "rows: {csv: h.csv}\n")
    disk.run(folder, 0, {"h.csv": "epoch,loss,N\n1,0.5,a\n2,,b\n"})
    disk.run(folder, 1, {"other": ""})
    table = refresh(folder).rows
    assert table.columns[:5] == ["n", "epoch", "loss", "out_N", "row"]
    assert steps(table, "epoch", "loss", "out_N", "row") == [(1, 0.5, "a", 0), (2, None, "b", 1)]


EACH = (
    "command: ./run {n}\nparameters: {n: [1, 2, 3, 4, 5, 6]}\n"
    "metrics: {epoch: 'Epoch (@int@)', acc: 'acc (@float@)', seen: {pattern: acc, take: count}}\n"
    "rows: {each: ^Epoch}\n"
)


def test_rows_of_pieces_where_tasks_have_none(disk: Any) -> None:
    """No such line, no output, no text, no file: a task has no rows then, and the others have theirs."""
    folder = disk.submit(EACH)
    disk.run(folder, 0, "acc 0.1\nEpoch 1\nacc 0.5\nacc 0.6\nEpoch 2\nEpoch 3\nacc nothing\n")
    disk.run(folder, 1, "acc 0.9\nNo Epoch\n")
    disk.run(folder, 2, "")
    disk.run(folder, 3, {"stdout": b"\x00\xff\xfe Epoch 1\n\x80\n"})
    disk.run(folder, 4, {"other": "Epoch 1"}, state="failed")
    table = refresh(folder).rows
    assert table["task_id"].unique().to_list() == [0]
    assert steps(table, "row", "epoch", "acc", "seen") == [(0, 1, 0.6, 2), (1, 2, None, 0), (2, 3, None, 1)]
    assert refresh(folder).rows.equals(table), "from the cache, too"
    attempt = disk.start(folder, 5, {"stdout": "starting\n"})
    assert refresh(folder, live=True).rows.equals(table)
    (folder.task_folder(5) / "stdout").write_text("starting\nEpoch 1\nacc 0.25\nEpoch 2\nacc 0.")
    assert steps(refresh(folder, live=True).rows, "epoch", "acc", task=5) == [(1, 0.25), (2, None)]
    disk.finish(folder, 5, attempt)
    assert steps(refresh(folder).rows, "epoch", "acc", task=5) == [(1, 0.25), (2, 0.0)]


def test_patterns_that_span_lines(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alike as value, step, row and cut, in outputs of any size."""
    monkeypatch.setattr("tui_lab.results.extraction.extract.BLOCK", 64)
    text = (
        "command: ./run {n}\nparameters: {n: [1, 2]}\n"
        "metrics:\n  test: 'Test:\\n  loss (@float@)'\n  train: {pattern: '(?s)Train:.*?loss (@float@)', take: all}\n"
        "  line: {pattern: 'loss (@float@)', take: count}\nrows: ROWS\n"
    )
    output = "Train:\n  loss 1\nTest:\n  loss 2\n" + "x" * 100 + "\nTrain:\n  y\n  loss 3\nTest:\n  loss 4"
    folder = disk.submit(text.replace("ROWS", "{each: 'Train:\\n'}"))
    disk.run(folder, 0, output)
    disk.run(folder, 1, output.replace("\n", "\r\n"))
    results = refresh(folder)
    assert steps(results.grid, "test", "train", "line") == [(4.0, 3.0, 4)]
    assert steps(results.grid, "test", "train", "line", task=1) == [(4.0, 3.0, 4)]
    assert steps(results.steps, "step", "train") == [(0, 1.0), (1, 3.0)]
    assert steps(results.rows, "row", "test", "train", "line") == [(0, 2.0, 1.0, 2), (1, 4.0, 3.0, 2)]
    folder = disk.submit(text.replace("ROWS", "{pattern: 'Test:\\n  loss (?P<v>@float@)'}"))
    assert steps(refresh(folder).rows, "row", "v") == [(0, 2.0), (1, 4.0)]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ("{each: ^Epoch}", {"epoch": pl.Int64, "acc": pl.Float64, "seen": pl.Int64}),
        ("{pattern: 'Epoch (?P<epoch>@int@) (?P<word>\\w+)'}", {"epoch": pl.Int64, "word": pl.String}),
        ("{csv: h.csv}", {}),
    ],
)
@pytest.mark.parametrize("output", ["", "nothing of it\n", b"\xff\x00", None])
def test_a_table_without_a_row_has_its_columns(
    rows: str, columns: dict[str, Any], output: str | bytes | None, disk: Any
) -> None:
    folder = disk.submit(EACH.replace("{each: ^Epoch}", rows))
    for task in range(6):
        disk.run(folder, task, {} if output is None else {"stdout": output})
    for _ in range(2):  # read, and from the cache
        table = refresh(folder).rows
        assert table.height == 0
        assert {name: table.schema[name] for name in columns} == columns
        assert {"n", "row", "task_id"} <= set(table.columns)
    disk.run(folder, 5, {"stdout": "Epoch 7 on\nacc 1\n", "h.csv": "epoch,acc\n7,1\n"})
    assert steps(refresh(folder).rows, "n", "epoch", "row", task=5) == [(6, 7, 0)]


def test_a_csv_file_of_rows_that_is_missing_empty_or_no_csv(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2, 3, 4, 5, 6]}\nrows: {csv: h.csv}\n")
    disk.run(folder, 0, {"h.csv": "epoch,loss\n1,0.5\n2\n"})
    disk.run(folder, 1, {"h.csv": ""})
    disk.run(folder, 2, {"h.csv": "epoch,loss\n"})
    disk.run(folder, 3, {"h.csv": b"\x00\xff" * 100_000})
    disk.run(folder, 4, {"other": ""})
    attempt = disk.start(folder, 5, {"h.csv": "epoch,l"})
    for live in (False, True, False):
        table = refresh(folder, live=live).rows
        assert table["task_id"].unique().to_list() == [0]
        assert steps(table, "epoch", "loss") == [(1, 0.5), (2, None)]
    disk.finish(folder, 5, attempt)


def test_rows_of_a_file_that_comes_later(disk: Any) -> None:
    """As `fetch` brings it from a node."""
    folder = disk.submit(ONE + "rows: {csv: h.csv}\n")
    disk.run(folder, 0, {"h.csv": "a\n1\n"})
    disk.run(folder, 1, {})
    assert steps(refresh(folder).rows, "a", task=1) == []
    (folder.task_folder(1) / "h.csv").write_text("a\n2\n")
    assert steps(refresh(folder).rows, "a", task=1) == [(2,)]
    (folder.task_folder(1) / "h.csv").write_text("a\n3\n")
    assert steps(refresh(folder).rows, "a", task=1) == [(2,)], "it was read"
    assert steps(refresh(folder, force=True).rows, "a", task=1) == [(3,)]


def test_rows_of_a_large_stream_of_which_a_step_is_missing(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.results.extraction.extract.BLOCK", 100_000)
    folder = disk.submit("command: {one: ./one, two: ./two}\nmetrics: {acc: 'acc (@int@)'}\nrows: {each: ^Epoch}\n")
    text = "".join(f"Epoch {i}\nacc {i}\n" for i in range(10_000))
    attempt = disk.start(folder, 0, {"one.stdout": text + "Epoch 9"})
    assert refresh(folder, live=True).rows["acc"].to_list() == list(range(10_000))
    disk.finish(folder, 0, attempt, state="failed")
    assert refresh(folder).rows["acc"].to_list() == [*range(10_000), None]


def test_steps_of_a_large_stream_of_which_a_step_is_missing(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.results.extraction.extract.BLOCK", 100_000)
    metric = "metrics: {acc: {pattern: 'acc (@int@)', take: all}}\n"
    folder = disk.submit("command: {one: ./one, two: ./two}\n" + metric)
    text = "".join(f"acc {i}\n" for i in range(20_000))
    attempt = disk.start(folder, 0, {"one.stdout": text + "acc 7"})
    assert refresh(folder, live=True).steps["acc"].to_list() == list(range(20_000))
    disk.finish(folder, 0, attempt, state="failed")
    assert refresh(folder).steps["acc"].to_list() == [*range(20_000), 7]


def test_changed_rows_are_read_again(disk: Any) -> None:
    folder = disk.submit(ONE + "rows: {pattern: 'a=(?P<a>@int@)'}\n")
    disk.run(folder, 0, "a=1 b=2")
    assert steps(refresh(folder).rows, "a") == [(1,)]
    folder.metrics_file.write_text(f"name: grid\n{ONE}rows: {{pattern: 'b=(?P<b>@int@)'}}\n")
    assert steps(refresh(folder).rows, "b") == [(2,)]


# --- What could not be read


def told(results: Any) -> list[str]:
    return [str(warning) for warning in results.all_warnings]


def test_values_by_step_that_are_no_numbers_are_counted(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  loss: {pattern: 'loss (@float@)', take: all}\n")
    disk.run(folder, 0, "begin\nloss 3\nloss 1,234\nloss 1,111\nloss 1\n")
    disk.run(folder, 1, "loss 2\n")
    results = refresh(folder)
    assert steps(results.steps, "step", "loss") == [(0, 3.0), (1, None), (2, None), (3, 1.0)]
    what = (
        'grid_steps.loss: 2 of 5 values were not read as numbers (first: "1,234" in line 3 of task 0); '
        'write thousands: ","'
    )
    assert told(results) == results.left_out("steps") == [what]
    assert told(refresh(folder)) == [what], "from the cache"
    disk.submit(ONE.replace("./", "./other_") + "metrics:\n  loss: {pattern: 'loss (@float@)', take: all}\n")
    disk.run(folder, 2, "loss 3\nloss 1,234\nloss 5\n")
    later = refresh(folder)
    assert told(later) == [
        what.replace("2 of 5 values were", "1 of 3 values was").replace("line 3 of task 0", "line 2 of task 2")
    ]
    assert "3 of 8 values" in later.left_out("steps")[0], "the table has the tasks of all plans"


def test_a_later_attempt_takes_its_refused_values_with_it(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  loss: {pattern: 'loss (@float@)', take: all}\n")
    disk.run(folder, 0, "loss 0x10\nloss 1\n", state="failed", reason="exit", again=1.0)
    assert "1 of 2 values was not read" in told(refresh(folder))[0]
    disk.run(folder, 0, "loss 4\nloss 1\n")
    assert told(refresh(folder)) == []


def test_a_step_whose_value_comes_again_is_not_refused(disk: Any) -> None:
    pattern = "(?P<step>@int@): (?P<value>@float@)"
    folder = disk.submit(ONE + f"metrics:\n  a: {{pattern: '{pattern}', take: all}}\n")
    disk.run(folder, 0, "1: 1.2.3\n1: 5\n2: 6\n2: 1,5\n")
    results = refresh(folder)
    assert steps(results.steps, "step", "a") == [(1, 5.0), (2, None)]
    assert [warning for warning in told(results) if "grid_steps" in warning] == [
        'grid_steps.a: 1 of 2 values was not read as numbers (first: "1,5" in line 4 of task 0); write decimal: ","'
    ]


def test_a_refused_text_is_told_with_its_own_task(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {a: 'a (@int@)'}\n")
    disk.run_all(folder, lambda task: ["none\n", "a 1,5\n", "a 1\n"][task])
    assert told(refresh(folder)) == [
        'a: in 1 of 3 done tasks; task 1: it matched "1,5", not an integer: write decimal: ","'
    ]


def test_rows_that_are_no_numbers_are_counted(disk: Any) -> None:
    folder = disk.submit(ONE + "rows: {pattern: '(?P<name>@slug@): (?P<time>@float@) (?P<n>@int@)'}\n")
    disk.run(folder, 0, "a: 1 5\nb: 18.6k 1e6\n")
    disk.run(folder, 1, "a: 1 5\nb: 2 3.5\n")
    results = refresh(folder)
    assert steps(results.rows, "name", "time", "out_n") == [("a", 1.0, 5), ("b", None, None)]
    assert told(results) == [
        (
            'grid_rows.time: 1 of 4 values was not read as numbers (first: "18.6k" in line 2 of task 0); '
            "@quantity@ reads it"
        ),
        'grid_rows.n: 2 of 4 values were not read as integers (first: "1e6" in line 2 of task 0); @float@ reads it',
    ]


def test_pieces_of_an_output_whose_values_are_no_numbers(disk: Any) -> None:
    folder = disk.submit(
        ONE + "metrics:\n  acc: acc (@float@)\n  d: {pattern: 'd (@float@)', take: sd}\nrows: {each: '^Epoch'}\n"
    )
    disk.run(folder, 0, "Epoch 1\nacc 0,5\nd 1\nEpoch 2\nacc 0.7\nd 1\nd 3\n")
    results = refresh(folder)
    assert [acc for (acc,) in steps(results.rows, "acc")] == [None, 0.7]
    assert told(results)[-1:] == [
        'grid_rows.acc: 1 of 2 values was not read as numbers (first: "0,5" in line 2 of task 0); write decimal: ","'
    ], "one value has no standard deviation, which is no mistake"


def test_files_of_which_not_all_can_be_read(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  a: {json: r.json, path: '$.v', take: all, type: int}\nrows: {csv: h.csv}\n")
    disk.run(folder, 0, {"h.csv": "n,loss\n1,0,5\n2,0.25\n", "r.json": '{"v": [7, 8.5]}'})
    disk.run(folder, 1, {"h.csv": "n,loss\n1,0,5\n", "r.json": '{"v": [7]}\n{"v": 1e}\n{"v": 9}\n'})
    results = refresh(folder)
    assert steps(results.steps, "step", "a", task=1) == [(0, 7), (1, None), (2, 9)]
    assert [warning for warning in told(results) if warning.startswith("grid_")] == [
        'grid_steps.a: 1 of 4 values was not read as integers (first: "8.5" in task 0)',
        "grid_steps: not all was read of task 1: r.json: broken JSON in line 2: Expecting ',' delimiter",
        (
            "grid_rows: not all was read of task 0 and 1 more: h.csv: row 1 has 3 cells, the header 2; "
            "with decimal commas, the program has to put quotes around its numbers"
        ),
    ]
    assert told(refresh(folder)) == told(results)


def test_outputs_that_are_too_large_are_told(disk: Any) -> None:
    folder = disk.submit(ONE + "metrics:\n  a: {pattern: 'a (@int@)', take: all}\nrows: {pattern: '(?P<a>@int@)'}\n")
    disk.run(folder, 0, {"stdout": "a 1\n", "metrics.jsonl": '{"b": 2}\n'})
    place = folder.task_folder(0)
    for name in ("stdout", "metrics.jsonl"):
        with open(place / name, "r+b") as file:
            file.truncate((512 << 20) + 1)  # takes no room
    results = refresh(folder)
    assert results.steps.height == results.rows.height == 0
    assert told(results)[-2:] == [
        "grid_steps: not all was read of task 0: metrics.jsonl is larger than 512 MiB",
        "grid_rows: not all was read of task 0: stdout is larger than 512 MiB",
    ]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("{pattern: 'Loss (?P<a>@int@)'}", 'without regard to case it would match "loss 1": begin it with (?i)'),
        ("{each: 'Epoch'}", 'the last line is "loss 1"'),
        ("{csv: history.csv}", 'history.csv is missing; did you mean "hist.csv"?'),
        ("{csv: hist.csv}", "hist.csv has a header and nothing else"),
    ],
)
def test_rows_that_are_found_nowhere(disk: Any, rows: str, why: str) -> None:
    folder = disk.submit(ONE + f"rows: {rows}\n")
    disk.run_all(folder, lambda task: {"stdout": "loss 1\n", "hist.csv": "a,b\n"})
    assert told(refresh(folder)) == [f"grid_rows: no row in any of 2 finished tasks; {why}"]


SPEEDS = ["size 1\nspeed 950 Mfoo/s\nsize 2\nspeed 1.1 Gfoo/s\n", "size 1\nspeed 1.2 Gfoo/s\nsize 2\nspeed 5 foo/s\n"]


@pytest.mark.parametrize(
    "how",
    [
        "rows: {pattern: 'speed (?P<v>@quantity@)'}\n",
        "metrics: {v: 'speed (@quantity@)'}\nrows: {each: ^size}\n",
        "metrics: {v: {pattern: 'speed (@quantity@)', take: first}}\nrows: {each: ^size}\n",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_rows_are_read_in_the_unit_that_they_have_together(disk: Any, how: str, at_once: bool) -> None:
    folder = disk.submit(ONE + how)
    disk.run(folder, 0, SPEEDS[0])
    if not at_once:
        assert refresh(folder).rows["v"].to_list() == [950e6, 1.1e9]
    disk.run(folder, 1, SPEEDS[1])
    assert refresh(folder).rows["v"].to_list() == [950e6, 1.1e9, 1.2e9, 5], "also those that were read before"
    again = refresh(folder)
    assert again.rows["v"].to_list() == [950e6, 1.1e9, 1.2e9, 5], "from the cache"
    assert not [str(hint) for hint in again.all_warnings]


def test_rows_of_several_kinds_of_unit_are_told(disk: Any) -> None:
    folder = disk.submit(ONE + "rows: {pattern: 'speed (?P<v>@quantity@)'}\n")
    disk.run(folder, 0, "speed 950 Mfoo/s\nspeed 3 kbar\n")
    (told,) = map(str, refresh(folder).all_warnings)
    assert told.startswith("grid_rows.v: its values are in several units: ") and "Mfoo/s (1)" in told


@pytest.mark.parametrize(
    ("metric", "file"),
    [
        ("{json: out.json, path: '$[*].v', unit: foo/s, take: all}", '[{"v": "950 Mfoo/s"}, {"v": "1.2 Gfoo/s"}]'),
        ("{csv: out.csv, column: v, unit: foo/s, take: all}", "n,v\n1,950 Mfoo/s\n2,1.2 Gfoo/s\n"),
    ],
)
def test_all_values_of_a_file_are_read_in_the_unit(disk: Any, metric: str, file: str) -> None:
    folder = disk.submit(ONE + f"metrics: {{v: {metric}}}\n")
    name = "out.json" if "json" in metric else "out.csv"
    disk.run(folder, 0, {name: file, "stdout": ""})
    results = refresh(folder)
    assert results.steps["v"].to_list() == [950e6, 1.2e9]
    assert results.grid["v"].to_list() == [1.2e9]
