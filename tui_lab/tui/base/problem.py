"""What goes wrong in a worker, as a pane shows it."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from tui_lab.results.sql.errors import QueryError


@dataclass(frozen=True)
class Problem:
    """What went wrong, for the user; line and column (from 0) where there is a place in the typed text."""

    message: str
    place: tuple[int, int] | None = None

    @classmethod
    def of(cls, error: Exception, typed: str = "") -> Problem:
        """Return what to show of an error. typed: the text in which its place is marked."""
        if isinstance(error, QueryError):
            said = f"{error.message}; {error.hint}" if error.hint else error.message
            # The place counts in the SQL; where something else was typed, it means nothing.
            here = error.line and error.sql_line in typed.split("\n")
            return cls(said, (error.line - 1, error.column - 1) if here else None)
        if isinstance(error, (duckdb.Error, pl.exceptions.PolarsError, MemoryError)):
            first = str(error).strip().splitlines()[:1]
            return cls(f"the query can't be answered: {first[0] if first else type(error).__name__}")
        return cls(" ".join(str(error).split()) or type(error).__name__)
