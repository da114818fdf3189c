"""Output of the Query pane: files, saved queries, text for the clipboard; and values for `$NAME`."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Collection, Sequence
from typing import Final

import polars as pl

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.names import name_error
from tui_lab.experiment.yaml import parser
from tui_lab.results.export.output import WRITERS, Format, OutputError
from tui_lab.results.sql.errors import QueryError
from tui_lab.tui.base.verdict import Verdict

LARGEST: Final = 4_000_000
"""Characters that are copied at most."""


def name_verdict(known: Collection[str]) -> Callable[[str], Verdict]:
    """Return a check of names for saved queries. known: names that are taken."""

    def check(text: str) -> Verdict:
        name = text.strip()
        if not name:
            return Verdict(False, "a name")
        error = name_error(name)
        if error is not None:
            return Verdict(False, "; ".join(filter(None, error[:2])))
        if name in known:
            return Verdict(True, "replacing the query of this name")
        return Verdict(True, f"@{name} runs it, here and in `tui-lab query`")

    return check


def as_text(frame: pl.DataFrame, format: Format) -> str:
    """Return a table as `tsv` or `markdown`. Raises OutputError for one that is too large to copy."""
    if frame.height * max(1, frame.width) > LARGEST // 4:
        raise OutputError(f"{frame.height:,} rows are too many to copy: export them to a file")
    buffer = io.BytesIO()
    WRITERS[format](frame, buffer)
    text = buffer.getvalue().decode()
    if len(text) > LARGEST:
        raise OutputError("the table is too large to copy: export it to a file")
    return text


def parameter_values(text: str, names: Sequence[str]) -> dict[str, Value]:
    """The values in `NAME=VALUE NAME=VALUE`. Raises QueryError."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise QueryError("a quote is not closed") from None
    found: dict[str, Value] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in names:
            raise QueryError(f"{word}: NAME=VALUE, and the names are {', '.join(names)}")
        try:
            found[name] = parser.resolve(value)
        except ValueError as error:
            raise QueryError(f"{name}: {error}") from None
    missing = [name for name in names if name not in found or (found[name] is None and f"{name}=null" not in words)]
    if missing:
        raise QueryError(f"{', '.join(missing)} has no value yet")
    return found


def parameters_verdict(names: Sequence[str]) -> Callable[[str], Verdict]:
    """Return a check of the values for a query's parameters."""

    def check(text: str) -> Verdict:
        try:
            found = parameter_values(text, names)
        except QueryError as error:
            return Verdict(False, error.message)
        return Verdict(True, ", ".join(f"{name} = {value!r}" for name, value in found.items()))

    return check
