"""Frames as text and files."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import pty
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.cli import options
from tui_lab.results.export.output import FORMATS, OutputError, choose_format, write
from tui_lab.results.export.table_text import TABLE_ROWS

WRITABLE = [
    pytest.param(
        format,
        marks=pytest.mark.skipif(
            format == "xlsx" and find_spec("xlsxwriter") is None,
            reason="XlsxWriter is missing: pip install 'tui-lab[excel]'",
        ),
    )
    for format in FORMATS
]

FRAME = pl.DataFrame(
    {
        "lr": [0.1, 1e-5, float("nan"), None],
        "n": [1, 2, None, 4],
        "name": ["a|b", "two\nlines", "", None],
        "at": [
            datetime.datetime(2024, 1, 2, 3, 4, 5),
            datetime.datetime(2024, 1, 2, 3, 4, 5, 60),
            None,
            None,
        ],
        "ok": [True, False, None, True],
        "list": [[1, 2], [], None, [3]],
        "took": [datetime.timedelta(seconds=1.5), None, None, None],
    }
).with_columns(pl.col("at").dt.replace_time_zone("UTC"))


def written(frame: pl.DataFrame, format: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    assert write(frame, format, stream=stream) == ""  # type: ignore[arg-type]
    stream.seek(0)
    return stream.read()


def test_csv() -> None:
    rows = list(csv.reader(io.StringIO(written(FRAME, "csv"))))
    assert rows[0] == FRAME.columns
    assert rows[1] == ["0.1", "1", "a|b", "2024-01-02T03:04:05Z", "true", "[1,2]", "1.5"]
    assert rows[2][2:4] == ["two\nlines", "2024-01-02T03:04:05.000060Z"]
    assert ',,""' in written(FRAME, "csv")  # an empty text is not null
    assert float(rows[2][0]) == 1e-5
    assert written(FRAME.select("lr", "n"), "tsv").split("\n")[1] == "0.1\t1"


def test_people_read_six_digits_and_files_hold_all(tmp_path: Path) -> None:
    values = [1 / 3, 2e22 / 3, 123456789.123456789, 1e15 / 3, 0.1234567891, 1234567.891, -0.1, 0.1 + 0.2, math.inf]
    frame = pl.DataFrame({"x": values, "f": pl.Series([0.1] * len(values), dtype=pl.Float32)})
    shown = [line.split(" | ")[0].strip("| ") for line in written(frame, "markdown").splitlines()[2:]]
    assert shown == [
        "0.333333", "6.66667e+21", "123456789.0", "333333333333333.0", "0.1234567891", "1234567.891",
        "-0.1", "0.3", "inf",
    ]  # fmt: skip
    assert [line.split()[0] for line in written(frame, "table").splitlines()[2:]] == shown
    write(frame, None, tmp_path / "x.md")
    assert [
        float(line.split(" | ")[0].strip("| ")) for line in (tmp_path / "x.md").read_text().splitlines()[2:]
    ] == values


def test_json() -> None:
    rows = json.loads(written(FRAME, "json"))
    assert rows[0] == {
        "lr": 0.1, "n": 1, "name": "a|b", "at": "2024-01-02T03:04:05Z", "ok": True, "list": [1, 2],
        "took": 1.5,
    }  # fmt: skip
    assert rows[2]["lr"] is None
    assert [json.loads(line) for line in written(FRAME, "jsonl").splitlines()] == rows
    assert json.loads(written(FRAME.head(0), "json")) == []


def test_markdown() -> None:
    lines = written(FRAME.select("lr", "name"), "markdown").splitlines()
    assert lines == [
        "| lr | name |",
        "| ---: | --- |",
        r"| 0.1 | a\|b |",
        "| 1e-05 | two<br>lines |",
        "| nan |  |",
        "|  |  |",
    ]


def test_a_table_shows_nulls_and_hides_control_characters() -> None:
    frame = pl.DataFrame({"x": ["\x1b[31mred", None, "日本"], "n": [1, None, 300]})
    assert written(frame, "table").splitlines() == [
        "x               n",
        "───────────  ────",
        "\\x1b[31mred     1",
        "null         null",
        "日本          300",
    ]


def test_points_stand_below_each_other() -> None:
    few, many = [0.1, 1e-5, None, 1234.5], [1e-12, 0.25, math.nan, 1e9]
    lines = written(pl.DataFrame({"few": few, "many": many}), "table").splitlines()[2:]
    assert [line.split() for line in lines] == [
        ["0.10000", "1.0e-12"], ["0.00001", "2.5e-1"], ["null", "nan"], ["1234.50000", "1.0e9"],
    ]  # fmt: skip
    assert {line.index(".") for line in lines if "null" not in line} == {4}


def test_floats_come_back_exactly() -> None:
    numbers = [0.1 + 0.2, 1e300, 5e-324, -0.0, 123456789.123456789]
    for format in ("csv", "jsonl"):
        text = written(pl.DataFrame({"x": numbers}), format)
        lines = text.splitlines()[0 if format == "jsonl" else 1 :]
        found = [json.loads(line)["x"] if format == "jsonl" else float(line) for line in lines]
        assert found == numbers


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_comes_back_from_json(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    assert [row["x"] for row in json.loads(written(frame, "json"))] == texts
    for format in ("csv", "markdown", "table"):
        written(frame, format)


@pytest.mark.parametrize("format", WRITABLE)
def test_files(tmp_path: Path, format: str) -> None:
    file = tmp_path / "out"
    write(FRAME, format, file)  # type: ignore[arg-type]
    assert file.stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if format == "parquet":
        assert pl.read_parquet(file).equals(FRAME)


def test_the_ending_of_a_file_names_the_format(tmp_path: Path) -> None:
    write(FRAME, None, tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(FRAME)
    assert choose_format(Path("x.MD"), True) == "markdown"
    assert choose_format(None, True) == "table"
    assert choose_format(None, False) == "csv"
    assert (FORMATS[-1], *FORMATS[:-1]) == options.FORMATS
    with pytest.raises(OutputError, match=r"did you mean \"\.csv\""):
        choose_format(Path("x.cvs"), False)
    for name in ("x.unknown", "x", "x.csv.bak"):
        with pytest.raises(
            OutputError, match=r"its ending names no format; there are \.csv \.tsv \.xlsx .*, or --format"
        ):
            choose_format(Path(name), False)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write(FRAME, "csv", tmp_path / "no" / "out.csv")
    (tmp_path / "keep.csv").write_text("old")
    with pytest.raises(OutputError):
        write(FRAME, "csv", tmp_path)
    assert (tmp_path / "keep.csv").read_text() == "old"


PROGRAM = """
import sys
import polars as pl
from tui_lab.results.export.output import OutputError, write
frame = pl.DataFrame({"number": range(200_000), "text": ["x" * 20] * 200_000})
frame = frame.head(int(sys.argv[2])) if len(sys.argv) > 2 else frame
try:
    note = write(frame, sys.argv[1] if sys.argv[1] != "default" else None)
except OutputError as error:
    sys.exit(f"error: {error}")
print(note, file=sys.stderr)
"""


@pytest.mark.parametrize("format", WRITABLE)
def test_a_closed_pipe_is_no_error(format: str) -> None:
    command = [sys.executable, "-c", PROGRAM, format]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read().strip() == b""
        assert process.wait() == 0


def on_terminal(format: str, rows: int, width: int) -> str:
    """What a program writes to a terminal of some width."""
    outer, inner = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "dumb", "LINES": "24"}
    command = [sys.executable, "-c", PROGRAM, format, str(rows)]
    with subprocess.Popen(command, stdout=inner, stderr=inner, stdin=inner, env=environment) as process:
        os.close(inner)
        parts = []
        while True:
            try:
                part = os.read(outer, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        process.wait()
    os.close(outer)
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_table_that_fits() -> None:
    lines = on_terminal("default", TABLE_ROWS + 5, 80).splitlines()
    assert lines[0].split() == ["number", "text"]
    assert lines[-1] == "5 more rows: --format csv shows everything"
    narrow = on_terminal("default", 2, 20).splitlines()
    assert narrow[0].split() == ["number"]
    assert narrow[-1] == "1 column doesn't fit here (text): --format csv shows everything"


def test_parquet_does_not_go_to_a_terminal() -> None:
    assert "name a file with -o FILE" in on_terminal("parquet", 2, 80)
