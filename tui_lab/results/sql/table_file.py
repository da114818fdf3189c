"""Tables that other programs wrote: CSV and Parquet files."""

from __future__ import annotations

from glob import escape
from pathlib import Path

import polars as pl

from tui_lab.results.extraction.structured import delimiter_of
from tui_lab.store import parquet


class TableFileError(Exception):
    """A file that can't be read as a table. One line that says why."""


def read_table(path: Path) -> pl.DataFrame:
    """The rows of a CSV, TSV or Parquet file. Raises TableFileError."""
    if path.is_dir():
        raise TableFileError(f"{path} is a folder, no CSV or Parquet file")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _with_intervals(path) if _has_intervals(path) else parquet.read(path)
        separator = "\t" if path.suffix.lower() == ".tsv" else delimiter_of(_header(path))
        table = pl.read_csv(
            path.absolute(), separator=separator, infer_schema_length=None, try_parse_dates=True, glob=False
        )
    except FileNotFoundError:
        raise TableFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise TableFileError(f"{path} can't be read: {error.strerror or error}") from None
    except pl.exceptions.NoDataError:
        raise TableFileError(f"{path} is empty") from None
    except pl.exceptions.PolarsError as error:
        raise TableFileError(f"{path} can't be read: {str(error).splitlines()[0]}") from None
    # `nan` and `inf` as other programs write them make a column of texts, and so do decimal commas.
    texts = table.select(pl.selectors.string())
    usual = [_with_points(column) if separator == ";" else column for column in texts]
    numbers = [column.cast(pl.Float64, strict=False) for column in usual]
    return table.with_columns(
        n for n, text in zip(numbers, texts, strict=True) if n.null_count() == text.null_count() < len(text)
    )


def _header(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline()


def _with_points(texts: pl.Series) -> pl.Series:
    """A column of numbers with decimal commas, as Excel writes them between semicolons, with points; any other as it
    is."""
    commas = texts.str.contains(r"^[-+]?[0-9]*,?[0-9]+(?:[eE][-+]?[0-9]+)?$|^[-+]?(?i:nan|inf)$")
    return texts.str.replace(",", ".", literal=True) if commas.all() else texts


def _has_intervals(path: Path) -> bool:
    """Return whether a Parquet file has columns that Polars can't read, and ends in a panic over."""
    import duckdb

    with duckdb.connect() as connection:
        types = "SELECT converted_type FROM parquet_schema(?)"
        try:
            return ("INTERVAL",) in connection.execute(types, [escape(str(path.absolute()))]).fetchall()
        except duckdb.Error:
            return False  # Polars says what is wrong with it


def _with_intervals(path: Path) -> pl.DataFrame:
    """Raises TableFileError."""
    import duckdb

    from tui_lab.results.sql.answers import to_frame

    with duckdb.connect() as connection:
        try:
            return to_frame(connection.read_parquet(escape(str(path.absolute())), hive_partitioning=False))
        except duckdb.Error as error:
            raise TableFileError(f"{path} can't be read: {str(error).splitlines()[0]}") from None
