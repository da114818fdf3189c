"""A frame as text or file: csv, tsv, excel-csv, xlsx, json, jsonl, parquet, markdown or table.

    csv, tsv    null is an empty field, an empty text ""; fields are quoted where they must be
    excel-csv   for Excel where decimals have a comma: with a byte order mark, semicolons and decimal commas
    xlsx        an Excel file: see `excel`
    json        one array of objects; jsonl: an object a line. NaN and infinities are null: JSON has no others
    parquet     the types as they are
    markdown    a pipe table; numbers to the right
    table       to read: aligned; on a terminal cut to its width and to TABLE_ROWS rows

Floats are written as their shortest exact text, times in ISO 8601 (UTC as Z), durations in seconds, bytes in hex;
lists and structures are JSON text, except in JSON and Parquet. In Markdown and tables that go to no file, floats are
rounded for readers.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, TextIO, get_args

import polars as pl

from tui_lab.experiment.duckdb_tables import portable
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.export import excel
from tui_lab.results.export.table_text import print_table, table_lines
from tui_lab.results.plain import exact, plain, plain_column, rounded, shown, to_json
from tui_lab.store.errors import StorageError

Format = Literal["csv", "tsv", "excel-csv", "xlsx", "json", "jsonl", "parquet", "markdown", "table"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
ENDINGS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".md": "markdown",
    ".txt": "table",
}
BINARY: Final = frozenset(("parquet", "xlsx"))
"""Formats that are no text."""
_SLICE: Final = 10_000
_OF_THE_DISK: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS))


class OutputError(Exception):
    """An output that can't be written; the text says why."""


def choose_format(file: Path | None, terminal: bool) -> Format:
    """The format where none was asked for: by the file's ending; else a table on a terminal and CSV
    elsewhere.

    Raises OutputError for an ending that says nothing.
    """
    if file is None:
        return "table" if terminal else "csv"
    found = ENDINGS.get(file.suffix.lower())
    if found is None:
        near = suggest(file.suffix, ENDINGS) if file.suffix else ""
        hint = f"{near}; " if near else ""
        raise OutputError(f"{file}: its ending names no format; {hint}there are {' '.join(ENDINGS)}, or --format")
    return found


def write(
    frame: pl.DataFrame, format: Format | None = None, file: Path | None = None, stream: TextIO | None = None
) -> str:
    """Write a frame to a file, or to a stream (by default standard output).

    Returns a note for the user (what did not fit on the terminal), or an empty text. A reader that closes
    the pipe ends the output without a word. Raises OutputError, StorageError.
    """
    target = sys.stdout if stream is None else stream
    terminal = file is None and target.isatty()
    format = format or choose_format(file, terminal)
    if file is not None:
        _to_file(frame, format, file)
        return ""
    if format in ("markdown", "table"):
        frame = rounded(frame)
    if format in BINARY and terminal:
        raise OutputError(f"{format} is no text: name a file with -o FILE, or redirect the output")
    try:
        if format == "table":
            return print_table(frame, target, terminal)
        binary = None if terminal else getattr(target, "buffer", None)
        if binary is None:
            # A stream without bytes below it, or with a guard before them.
            if format in BINARY:
                raise OutputError(f"{format} is no text: name a file with -o FILE")
            buffer = io.BytesIO()
            WRITERS[format](frame, buffer)
            target.write(buffer.getvalue().decode())
        else:
            target.flush()
            WRITERS[format](frame, binary)
        target.flush()
    except BrokenPipeError:
        _discard(target)
    return ""


def _discard(stream: TextIO) -> None:
    """Discard the rest of the output: the reader is gone, and Python must not fail when it flushes at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _to_file(frame: pl.DataFrame, format: Format, file: Path) -> None:
    try:
        if file.exists() and not file.is_file():  # a device or a named pipe
            with open(file, "wb") as binary:
                WRITERS[format](frame, binary)
            return
        partial = file.with_name(f".{file.name}.partial")
        try:
            with open(partial, "wb") as binary:
                WRITERS[format](frame, binary)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except BrokenPipeError:
        return
    except OSError as error:
        raise not_written(file, error) from error


def not_written(file: Path, error: OSError) -> Exception:
    """Return the error for a file that can't be written: StorageError if the disk is at fault, else OutputError."""
    said = f"{file}: {os.strerror(error.errno) if error.errno else error}"
    return StorageError(said) if error.errno in _OF_THE_DISK else OutputError(said)


# --- Formats


def _csv(frame: pl.DataFrame, file: BinaryIO, separator: str = ",", decimal_comma: bool = False) -> None:
    for number, part in enumerate(frame.iter_slices(_SLICE) if frame.height else [frame]):
        # Into memory first: written to a descriptor, Polars' own errors tell no closed pipe from a full disk.
        buffer = io.BytesIO()
        plain(part).write_csv(buffer, separator=separator, include_header=number == 0, decimal_comma=decimal_comma)
        file.write(buffer.getbuffer())


def _excel_csv(frame: pl.DataFrame, file: BinaryIO) -> None:
    file.write(b"\xef\xbb\xbf")
    decimals = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Decimal)]
    texts = pl.col(decimals).cast(pl.String).str.replace(".", ",", literal=True)
    _csv(frame.with_columns(texts), file, ";", True)


def _xlsx(frame: pl.DataFrame, file: BinaryIO) -> None:
    try:
        excel.write(frame, file)
    except excel.ExcelError as error:
        raise OutputError(str(error)) from None


def _tsv(frame: pl.DataFrame, file: BinaryIO) -> None:
    _csv(frame, file, "\t")


def objects(frame: pl.DataFrame) -> Iterator[bytes]:
    """A JSON object for each row."""
    flat = [name for name, t in frame.schema.items() if not (t.is_nested() or t in (pl.Object, pl.Decimal))]
    wide = any(dtype in (pl.Int128, pl.Decimal) for dtype in frame.dtypes)
    for part in frame.iter_slices(_SLICE):
        part = part.with_columns(plain_column(part[name]) for name in flat)
        for row in part.iter_rows(named=True):
            yield to_json({name: exact(value) for name, value in row.items()} if wide else row)


def _json_array(frame: pl.DataFrame, file: BinaryIO) -> None:
    file.write(b"[")
    for number, line in enumerate(objects(frame)):
        file.write((b",\n" if number else b"\n") + line)
    file.write(b"\n]\n" if frame.height else b"]\n")


def _json_lines(frame: pl.DataFrame, file: BinaryIO) -> None:
    for line in objects(frame):
        file.write(line + b"\n")


def _parquet(frame: pl.DataFrame, file: BinaryIO) -> None:
    buffer = io.BytesIO()
    portable(frame).write_parquet(buffer)
    file.write(buffer.getbuffer())


def _markdown(frame: pl.DataFrame, file: BinaryIO) -> None:
    def line(cells: list[str]) -> bytes:
        return ("| " + " | ".join(cells) + " |\n").encode()

    file.write(line([_escaped(name) for name in frame.columns]))
    file.write(line(["---:" if dtype.is_numeric() else "---" for dtype in frame.dtypes]))
    for part in frame.iter_slices(_SLICE):
        for row in plain(part).iter_rows():
            file.write(line(["" if value is None else _escaped(shown(value)) for value in row]))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("|", "\\|")
    return re.sub(r"\r\n|\r|\n", "<br>", text)


def _table(frame: pl.DataFrame, file: BinaryIO) -> None:
    for cells in table_lines(frame, None)[0]:
        file.write(("  ".join(text for text, _ in cells).rstrip() + "\n").encode())


WRITERS: Final[dict[str, Callable[[pl.DataFrame, BinaryIO], None]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "excel-csv": _excel_csv,
    "xlsx": _xlsx,
    "json": _json_array,
    "jsonl": _json_lines,
    "parquet": _parquet,
    "markdown": _markdown,
    "table": _table,
}
