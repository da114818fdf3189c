"""One query, from what was typed to its answer, in a thread that can be stopped."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import polars as pl

from tui_lab.experiment.domains.model import Value
from tui_lab.results.sql import macros, saved_queries
from tui_lab.results.sql.database import Database
from tui_lab.results.sql.errors import QueryError
from tui_lab.results.sql.schema import schema
from tui_lab.results.sql.text import tokens
from tui_lab.store.lab import Lab

ROWS: Final = 10_000
"""Rows that are shown where nothing else is asked."""
ALL_ROWS: Final = 1_000_000
"""Rows that are shown at most: what goes further is exported."""


@dataclass(frozen=True)
class Answer:
    """The rows of a query. `total` counts all, where these are not all; None: unknown."""

    frame: pl.DataFrame
    cut: bool = False
    total: int | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Run:
    """A query of a lab. `answer` runs it in the thread that calls; `ended` is set when it is done."""

    lab: Lab
    current: str | None
    typed: str
    limit: int = ROWS
    parameters: Mapping[str, Value] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._database: Database | None = None
        self._lock = threading.Lock()
        self.cancelled = False
        self.ended = threading.Event()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def cancel(self) -> None:
        """Stop it from another thread, now or as soon as it begins."""
        if not self.cancelled:
            self.cancelled = True
            threading.Thread(target=self._interrupt, daemon=True).start()

    def _interrupt(self) -> None:
        # Again and again: what is only about to begin hears nothing.
        while not self.ended.wait(0.05):
            with self._lock:
                if self._database is not None:
                    self._database.interrupt()

    @contextmanager
    def _open(self) -> Iterator[Database]:
        current = self.current if self.current in self.lab.experiments() else None
        with Database(self.lab, current) as database:
            with self._lock:
                self._database = database
            try:
                if self.cancelled:
                    raise QueryError("the query was interrupted")
                yield database
            finally:
                with self._lock:
                    self._database = None

    def answer(self) -> Answer:
        """Raises QueryError, and what reading the lab raises."""
        notes: list[str] = []
        with self._open() as database:
            frame = self._frame(database, notes)
        cut = bool(self.limit) and frame.height > self.limit
        if cut:
            frame = frame.head(self.limit)
        said = tuple(note for note in notes if not note.startswith("these are the first"))  # `cut` says it
        return Answer(frame, cut, None, said, self.seconds)

    def count(self) -> int | None:
        """Return the number of all rows; None where they can't be counted."""
        sql = sql_of(self.typed, self.lab).rstrip().rstrip(";")
        try:
            with self._open() as database:
                counted = database.query(f"SELECT count(*) FROM ({sql}\n)", parameters=self.parameters)
        except QueryError:
            return None  # an EXPLAIN, say, is no table
        return int(counted.item())

    def _frame(self, database: Database, notes: list[str]) -> pl.DataFrame:
        """Return the rows; one more than the limit, where there are more."""
        words = self.typed.split()
        if words[:1] == [".schema"]:
            return schema(database, words[1].strip('";') if len(words) > 1 else None)
        sql = sql_of(self.typed, self.lab)
        limit = self.limit + 1 if self.limit else 0
        return database.query(sql, notes.append, self.parameters, limit)


def sql_of(typed: str, lab: Lab) -> str:
    """Return the SQL for what was typed: SQL, `@NAME` of a saved query, or a form such as `best METRIC`. Raises
    QueryError for an unknown name."""
    text = typed.strip()
    if text.startswith("@") and len(text.split()) == 1:
        return saved_queries.read(lab, text[1:].rstrip(";"))
    words = text.rstrip(";").split()
    if words and words[0] in macros.MACROS and not text[len(words[0]) :].lstrip().startswith("("):
        try:
            return macros.as_query(shlex.split(text.rstrip(";"))) or typed
        except ValueError:
            return typed
    if words and words[0].split("(")[0] in macros.MACROS:
        return f"FROM {text}"
    return typed


def means_current(typed: str, lab: Lab) -> bool:
    """Return whether the answer depends on the current experiment."""
    try:
        words = [word.text.strip('"').lower() for word in tokens(sql_of(typed, lab))]
    except QueryError:
        return True
    return typed.lstrip().startswith(".") or any(word == "results" or word in macros.MACROS for word in words)


def parameters_of(typed: str, lab: Lab) -> list[str]:
    """Return the names of `$NAME` in a query, each once."""
    try:
        words = list(tokens(sql_of(typed, lab)))
    except QueryError:
        return []
    found = [
        after.text
        for word, after in pairwise(words)
        if word.text == "$" and word.kind == "other" and after.kind == "name" and after.start == word.end
    ]
    return list(dict.fromkeys(found))
