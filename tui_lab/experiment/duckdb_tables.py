"""Frames as tables of DuckDB, through Arrow's C interface.

DuckDB reads a Polars frame itself only with pyarrow, of which nothing else here has need; what has no more than
`__arrow_c_stream__` it reads without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import duckdb


class ArrowStream:
    """A frame of which DuckDB sees only that it is a source of Arrow streams."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def portable(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with integers of 128 bits as decimals, which Arrow and Parquet have."""
    return frame.with_columns(pl.col(pl.Int128).cast(pl.Decimal(38, 0)))


def register(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Make a frame a table. Integers of 128 bits travel as decimals, and are HUGEINT in the table."""
    wide = [column for column, dtype in frame.schema.items() if dtype == pl.Int128]
    if not wide:
        connection.register(name, ArrowStream(frame))
        return
    casts = ", ".join(f"{column}::HUGEINT AS {column}" for column in map(in_quotes, wide))
    connection.from_arrow(ArrowStream(portable(frame))).project(f"* REPLACE ({casts})").create_view(name)


def unregister(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Remove a table that `register` made, if it is there."""
    connection.unregister(name)
    connection.execute(f"DROP VIEW IF EXISTS {in_quotes(name)}")


def in_quotes(name: str) -> str:
    """Return the name of a table or column as SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
