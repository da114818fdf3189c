"""Errors of queries, as messages for users, with their place."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.error import TuiLabError
from tui_lab.experiment.expressions.syntax import CASE_WHEN, MACRO
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results import patas_names
from tui_lab.results.sql.text import Rewritten, tokens


class QueryError(TuiLabError):
    """A query that can't be answered. Lines and columns count from 1; 0 where there is no place.

    `str()` is for a screen: the message, and below it the line of the query with a caret at the place.
    """

    def __init__(self, message: str, sql: str = "", offset: int | None = None, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        self.line = self.column = 0
        self.sql_line = ""
        if offset is not None and sql:
            offset = min(max(offset, 0), len(sql))
            start = sql.rfind("\n", 0, offset) + 1
            self.line = sql.count("\n", 0, offset) + 1
            self.column = offset - start + 1
            self.sql_line = sql[start:].split("\n", 1)[0].rstrip("\r")
        super().__init__(self._shown())

    def _shown(self) -> str:
        said = f"{self.message}; {self.hint}" if self.hint else self.message
        if not self.line:
            return said
        # A long line is cut around the place, and a tab would put the caret elsewhere.
        first = max(0, self.column - 61)
        line = self.sql_line[first : first + 100].replace("\t", " ")
        caret = " " * (self.column - 1 - first) + "^"
        return f"{self.line}:{self.column}: {said}\n  {line}\n  {caret}"


_OUTSIDE: Final = re.compile(r'Cannot access (?:file|directory) "([^"]*)"')
_NEAR: Final = re.compile(r'syntax error at or near "(.*)"', re.DOTALL)
_REASONS: Final = re.compile(r"\. You might need|\. Use TRY|\nCandidate|\n\tCandidate| - an explicit cast|\nEither add")


def translate(
    error: Exception,
    sql: str,
    rewritten: Rewritten,
    tables: Iterable[str],
    columns: Mapping[str, Iterable[str]],
    keywords: Collection[str] = (),
) -> QueryError:
    """The QueryError for an error of DuckDB.

    `tables` are all that could be named, `columns` those of the tables that the query names. `keywords` need double
    quotes where they are meant as names.
    """
    details = _details(error)
    position = details.get("position")
    offset = None
    if isinstance(position, str):
        new = rewritten.text.encode()[: int(position)].decode("utf-8", "replace")
        offset = rewritten.origin(len(new))
    message = str(details["exception_message"])
    tables = sorted(tables)
    all_columns = list(dict.fromkeys(name for names in columns.values() for name in names))
    name = str(details.get("name", ""))
    subtype = details.get("error_subtype")
    if subtype == "MISSING_ENTRY" and details.get("type") == "Table":
        if re.search(r"[/.]\w+$", name) and ("/" in name or name.rsplit(".", 1)[-1].lower() in FILE_TYPES):
            if name not in sql and Path(name).is_file():  # it was named by its path in the lab
                return QueryError(f"{name} is no CSV, JSON or Parquet file by its ending", sql, offset)
            return QueryError(f"there is no file {name} in the lab", sql, offset, "paths are relative to the lab")
        hint = _unquoted(sql, offset, tables) or suggest(name, tables)
        return QueryError(f'there is no table "{name}"', sql, offset, hint or f"there are {_listed(tables)}")
    if subtype == "COLUMN_NOT_FOUND":
        hint = _unquoted(sql, offset, all_columns) or patas_names.hint(name, all_columns)
        hint = hint or suggest(name, all_columns)
        if not hint and offset is not None and sql[offset : offset + 1] == '"':
            hint = f"a text is written in single quotes: '{name}'"
        return QueryError(f'there is no column "{name}"', sql, offset, hint or f"there are {_listed(all_columns)}")
    if subtype == "MISSING_ENTRY":
        what = str(details.get("type", "name")).lower()
        hint = f'did you mean "{details["candidates"]}"?' if details.get("candidates") else ""
        return QueryError(f'there is no {what.replace("scalar ", "")} "{name}"', sql, offset, hint)
    if outside := _OUTSIDE.search(message):
        if offset is None:
            offset = next((t.start for t in tokens(sql) if t.kind == "string" and t.text == outside[1]), None)
        if not outside[1].startswith("/") and ".." not in outside[1]:
            return QueryError(f"there is no file {outside[1]} in the lab", sql, offset)
        return QueryError(f"a query reads files of the lab only, not {outside[1]}", sql, offset)
    if macro := MACRO.match(message):
        return QueryError(f"{macro[1]}() takes no FILTER, DISTINCT or OVER", sql, offset, CASE_WHEN.format(macro[1]))
    if "configuration has been locked" in message:
        return QueryError("a query changes no settings", sql, offset)
    if near := _NEAR.match(message):
        names = [*tables, *all_columns]
        hint = _unquoted(sql, offset, names) or _keyword(sql, offset, near[1], names, keywords)
        return QueryError(f'syntax error at "{near[1]}"', sql, offset, hint)
    plain = _REASONS.split(message)[0].strip().split("\n")[0].rstrip("!.")
    plain = plain.replace("STRING_LITERAL", "text").replace("INTEGER_LITERAL", "integer").replace("VARCHAR", "text")
    hint = _unquoted(sql, offset, [*tables, *all_columns])  # `f1.macro`, which is read as a column of a table f1
    return QueryError(plain[:1].lower() + plain[1:] if not plain[:2].isupper() else plain, sql, offset, hint)


FILE_TYPES: Final = frozenset(("csv", "tsv", "parquet", "json", "jsonl", "ndjson", "txt", "gz", "zst"))


def _details(error: Exception) -> JsonObject:
    raw = str(error)
    try:
        found = json.loads(raw[raw.index("{") :])
        if isinstance(found, dict) and "exception_message" in found:
            return found
    except ValueError:
        pass
    return {"exception_message": re.sub(r"^[A-Z][\w ]* Error: ", "", raw)}


def _unquoted(sql: str, offset: int | None, names: Iterable[str]) -> str:
    """A hint if a name that needs double quotes stands at the offset, or just before it, without them."""
    if offset is None:
        return ""
    inside = {range_ for token in tokens(sql) if token.kind in ("quoted", "string") for range_ in (token.start,)}
    for name in names:
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            continue
        for match in re.finditer(rf"(?<![\w\".-])(?:\w+\.)?{re.escape(name)}(?![\w\"-])", sql, re.IGNORECASE):
            if match.start() <= offset <= match.end() and match.start() - 1 not in inside:
                return f'write "{name}" in double quotes'
    return ""


def _keyword(sql: str, offset: int | None, near: str, names: Iterable[str], keywords: Collection[str]) -> str:
    """A hint if the word that the parser stumbled on, or the one before it, is a name of the lab and a keyword."""
    before = [token for token in tokens(sql) if offset is not None and token.end <= offset]
    words = {near.lower(), before[-1].text.lower() if before and before[-1].kind == "name" else ""} & set(keywords)
    found = next((name for name in names if name.lower() in words), None)
    return "" if found is None else f'as a name, write "{found}" in double quotes'


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") if names else "none"
