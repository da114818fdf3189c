"""What an expression may say: one scalar DuckDB expression over known names, the same result every time.

DuckDB parses the text to a tree; the tree is walked before anything runs. So whatever is not a plain
expression (a statement, a subquery, an aggregate, a function of files, time or chance) never gets as far
as being executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tui_lab.experiment.yaml.problem import closest, suggest


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


Tree: TypeAlias = dict[str, Any]
"""A node of the tree that DuckDB parses SQL to, as JSON: which keys it has depends on its class."""

UNSTABLE: Final = _words(
    "ago age clock_timestamp current_date current_localtime current_localtimestamp current_time "
    "current_timestamp gen_random_uuid get_current_time get_current_timestamp localtime localtimestamp "
    "nextval currval now random setseed setval statement_timestamp today transaction_timestamp "
    "txid_current uuid uuidv4 uuidv7"
)  # functions of time and chance; `age` only with one argument

_FOREIGN = re.compile(r"(current_|duckdb_|has_|inet_|json_(de)?serialize|pg_|read_|sniff_|icu_|st_|vector_|in_search)")
_FOREIGN_NAMES: Final = _words(
    "col_description obj_description shobj_description format_type format_pg_type get_block_size "
    "getenv getvariable session_user sleep_ms stats user version write_log map_to_pg_oid"
)  # functions about the database, the process or the files around it
_AGGREGATE_MACROS: Final = _words(
    "geomean geometric_mean wavg weighted_avg json_group_array json_group_object json_group_structure "
    "variant_group_array count_star"
)
_ROW_MAKERS: Final = _words("unnest generate_subscripts regexp_split_to_table")
_OTHER_SPELLING: Final = {"max": "greatest", "min": "least", "sum": "+", "avg": "a mean of a + b"}
_REFUSED: Final = {
    "SUBQUERY": "a subquery is not possible in an expression",
    "WINDOW": "a window function is not possible in an expression: it sees one row at a time",
    "STAR": "* is not possible in an expression: name the columns",
    "PARAMETER": "a placeholder such as ? or $1 is not possible in an expression",
    "POSITIONAL_REFERENCE": "a column by position (#1) is not possible in an expression: write its name",
    "DEFAULT": "DEFAULT is not possible in an expression",
}
MACRO: Final = re.compile(r'[Ff]unction "(\w+)" is a Macro Function')
CASE_WHEN: Final = "write {}(CASE WHEN condition THEN value END)"
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


class ExpressionError(Exception):
    """An expression that can't be used.

    `message` is one line for the user, `offset` the place in the text (characters, from 0; None where it is
    not known), `hint` what to do about it or an empty text.
    """

    def __init__(self, message: str, offset: int | None = None, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message, self.offset, self.hint = message, offset, hint

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, int | None, str]]:
        return type(self), (self.message, self.offset, self.hint)


@dataclass(frozen=True)
class Catalog:
    """What this DuckDB knows: its functions by kind, and the words that no bare name may be."""

    scalars: frozenset[str]
    aggregates: frozenset[str]
    others: frozenset[str]
    reserved: frozenset[str]

    def knows(self, function: str) -> bool:
        """Return whether DuckDB has a function of this name."""
        return function in self.scalars or function in self.aggregates or function in self.others


def place(text: str, position: object, prefix: int) -> int | None:
    """The character in `text` at DuckDB's byte `position` in a statement that begins with `prefix` bytes."""
    try:
        start = int(str(position)) - prefix
    except ValueError:
        return None
    raw = text.encode()
    return len(raw[:start].decode(errors="ignore")) if 0 <= start <= len(raw) else None


def syntax_error(text: str, answer: Tree, prefix: int, columns: Iterable[str], catalog: Catalog) -> ExpressionError:
    """DuckDB's parser error, in words for the one who wrote `text`; `prefix` bytes stand before it."""
    message = str(answer.get("error_message", "")).split("\n", 1)[0]
    if "expression depth" in message:
        message = "the expression is nested too deep"
    offset = place(text, answer.get("position"), prefix)
    hint = _quoting_hint(text, columns, catalog)
    near = re.search(r'at or near "(.*)"', message)
    if "without selection list" in message or not text.strip():
        return ExpressionError("the expression is empty", 0)
    if message.startswith("Only SELECT"):
        return ExpressionError("only a single expression is possible here, not a statement", 0)
    if message.startswith("unterminated"):
        what = "comment" if "comment" in message else "quote"
        return ExpressionError(f"a {what} is opened but not closed", offset)
    if near is None or offset is None:
        return ExpressionError(message or "syntax error", offset, hint)
    token = near[1]
    if token == ";":
        return ExpressionError("only a single expression is possible here", offset)
    if brackets := _brackets(text):
        return ExpressionError(brackets, offset, hint)
    if text[offset:].strip() == token and not re.fullmatch(r"\w+", token):
        return ExpressionError(f"the expression ends too early, after {token}", offset, hint)
    return ExpressionError(f'syntax error at "{token}"', offset, hint)


def references(text: str, node: Any, columns: Iterable[str], catalog: Catalog) -> tuple[str, ...]:
    """The names among `columns` that the tree `node` of `text` uses, each once.

    Raises ExpressionError for anything that is no plain expression, and for unknown names.
    """
    walk = Walk(text, tuple(columns), catalog)
    walk.visit(node, None, frozenset())
    return tuple(walk.used)


class Walk:
    """One pass over a tree of DuckDB's parser, which collects the names and stops at the first mistake."""

    def __init__(self, text: str, columns: tuple[str, ...], catalog: Catalog) -> None:
        self.text, self.columns, self.catalog = text, columns, catalog
        self.folded: dict[str, str] = {}
        for column in columns:
            self.folded.setdefault(column.lower(), column)
        self.used: dict[str, None] = {}

    def visit(self, node: Any, offset: int | None, local: frozenset[str]) -> None:
        """`offset` is the place of the nearest node around that has one; `local` are a lambda's names."""
        if isinstance(node, list):
            for child in node:
                self.visit(child, offset, local)
        if not isinstance(node, dict):
            return
        here = place(self.text, node.get("query_location"), len("SELECT "))
        offset = offset if here is None else here
        match node.get("class"):
            case "COLUMN_REF":
                self.column([str(name) for name in node["column_names"]], offset, local)
            case "FUNCTION":
                self.function(node, offset)
                if str(node.get("schema")) not in ("", "main"):
                    self.column([str(node["schema"])], offset, local)  # written as name.function()
            case "LAMBDA" if node.get("syntax_type") == "LAMBDA_KEYWORD":
                local = local | {name.lower() for name in _lambda_names(node["lhs"])}
                self.visit(node["expr"], offset, local)
                return
            case kind if kind in _REFUSED:
                raise ExpressionError(_REFUSED[str(kind)], offset)
        for child in node.values():
            if isinstance(child, (dict, list)):
                self.visit(child, offset, local)

    def column(self, names: list[str], offset: int | None, local: frozenset[str]) -> None:
        """Note a column that the expression names. Raises ExpressionError for an unknown one."""
        if names[0].lower() in local:
            return
        if len(names) == 1:
            found = names[0] if names[0] in self.columns else self.folded.get(names[0].lower())
            if found is not None:
                self.used[found] = None
                return
        raise self.unknown(".".join(names), offset)

    def unknown(self, name: str, offset: int | None) -> ExpressionError:
        """Return the error for a name that is no column."""
        quoted = offset is not None and self.text[offset : offset + 1] == '"'
        if not quoted:
            if name.lower() in UNSTABLE:
                return _unstable(name, offset)
            whole = _word_around(self.text, offset) or name
            dashed = self.folded.get(whole.lower()) or self.folded.get(name.lower())
            if dashed is not None:
                return ExpressionError(f'unknown name "{name}"', offset, f'write "{dashed}" in double quotes')
        hint = suggest(name, self.columns)
        if quoted and not hint:
            literal = name.replace("'", "''")
            hint = f"double quotes are for names; as a text, write '{literal}'"
        elif (near := closest(name, self.columns)) and not re.fullmatch(r"\w+", near):
            hint = f'did you mean "{near}", in double quotes?'
        return ExpressionError(f'unknown name "{name}"', offset, hint)

    def function(self, node: Tree, offset: int | None) -> None:
        """Check a function. Raises ExpressionError for one that is unknown or not allowed."""
        name = str(node["function_name"]).lower()
        if not re.match(r"[a-z_]", name):
            return  # an operator
        arguments = len(node.get("arguments", ()))
        if name in UNSTABLE and not (name == "age" and arguments == 2):
            raise _unstable(name, offset)
        if name in self.catalog.aggregates or name in _AGGREGATE_MACROS:
            shown = "count" if name == "count_star" else name
            other = _OTHER_SPELLING.get(name, "")
            hint = f"of several values in one row, take {other}" if other and arguments > 1 else ""
            raise ExpressionError(
                f"{shown}() aggregates many rows, but an expression sees one row at a time", offset, hint
            )
        if name in _ROW_MAKERS:
            raise ExpressionError(f"{name}() makes several rows from one: not possible in an expression", offset)
        if _FOREIGN.match(name) or name in _FOREIGN_NAMES or name in self.catalog.others:
            raise ExpressionError(f"{name}() is not possible in an expression", offset)
        if name not in self.catalog.scalars:
            raise ExpressionError(f"there is no function {name}()", offset, suggest(name, self.catalog.scalars))


def _unstable(name: str, offset: int | None) -> ExpressionError:
    return ExpressionError(f"{name} would give a different plan each time", offset)


def _lambda_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from map(str, node.get("column_names", ()))
        for child in node.get("arguments", ()):
            yield from _lambda_names(child.get("expression"))


def _word_around(text: str, offset: int | None) -> str | None:
    """The run of letters, digits, dots and dashes that holds the character at `offset`."""
    if offset is None:
        return None
    return next((m[0] for m in re.finditer(_NAME, text) if m.start() <= offset < m.end()), None)


def _quoting_hint(text: str, columns: Iterable[str], catalog: Catalog) -> str:
    """What to put in double quotes, if the text has a column's name bare that DuckDB can't read so."""
    folded = {name.lower(): name for name in columns}
    bare = _QUOTED.sub(lambda m: " " * len(m[0]), text)
    for word in re.findall(_NAME, bare):
        name = folded.get(word.lower())
        if name is not None and (not re.fullmatch(r"\w+", name) or name.lower() in catalog.reserved):
            return f'write "{name}" in double quotes'
    return ""


def _brackets(text: str) -> str:
    """What is wrong with the brackets in `text`, if they don't match."""
    depth = 0
    for mark in re.findall(r"[()]", _QUOTED.sub("", text)):
        depth += 1 if mark == "(" else -1
        if depth < 0:
            return "a bracket is closed that was not opened"
    return "a bracket is opened but not closed" if depth else ""


def parse(answer: str) -> Tree:
    """DuckDB's answer to `json_serialize_sql`."""
    parsed: Tree = json.loads(answer)
    return parsed
