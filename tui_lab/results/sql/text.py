"""The words of a SQL text, as far as they are needed without parsing it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tui_lab.experiment.duckdb_tables import in_quotes

Kind = Literal["name", "quoted", "string", "other"]

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>[eE]?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<name>[^\W\d]\w*)
    |(?P<other>\d[\w.]*|.)""",
    re.DOTALL | re.VERBOSE,
)


_RESERVED: Final = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create default
deferrable desc describe distinct do else end except false fetch for foreign from group having in initially intersect
into lambda lateral leading limit not null offset on only or order pivot pivot_longer pivot_wider placing primary
qualify references returning select show some summarize symmetric table then to trailing true union unique unpivot using
variadic when where window with
anti asof at authorization binary by collation columns concurrently cross freeze full generated glob ilike inner is
isnull join left like map natural notnull outer overlaps positional right semi similar struct tablesample try_cast tuple
unpack verbose
"""
RESERVED: Final = frozenset(_RESERVED.split())
"""Words that are no names unless they stand in double quotes."""


@dataclass(frozen=True)
class Token:
    kind: Kind
    text: str
    """A name as written, a quoted name or string without its quotes."""
    start: int
    end: int


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a text, without blanks and comments."""
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup, match[0]
        if match["skip"] is not None:
            continue
        if match["quoted"] is not None:
            kind, text = "quoted", text[1:-1].replace('""', '"')
        elif match["string"] is not None:
            kind = "string"
            text = text.lstrip("eE")[1:-1].replace("''", "'") if "'" in text[:2] else text.strip("$")
        yield Token(kind, text, match.start(), match.end())  # type: ignore[arg-type]


def quoted(name: str) -> str:
    """A name as SQL takes it: in double quotes where it must be."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in RESERVED
    return name if plain else in_quotes(name)


def is_equal(name: str, value: object) -> str:
    """The condition that a column has a value, also null, NaN or a text with quotes."""
    column = quoted(name)
    if value is None:
        return f"{column} IS NULL"
    if isinstance(value, bool):
        return f"{column} = {'true' if value else 'false'}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{column} = CAST('{value}' AS DOUBLE)"
    if isinstance(value, (int, float)):
        return f"{column} = {value!r}"
    return f"{column} = '" + str(value).replace("'", "''") + "'"


def mentioned(sql: str) -> set[str]:
    """All names in a text, in lower case: bare, quoted, or inside strings (which functions may run)."""
    found = set()
    for token in tokens(sql):
        if token.kind in ("name", "quoted", "string"):
            found.add(token.text.lower())
        if token.kind == "string":
            found |= {word.lower() for word in re.findall(r"[^\W\d][\w.-]*", token.text)}
            found |= {word.lower() for word in re.findall(r"[^\W\d]\w*", token.text)}
    return found


@dataclass(frozen=True)
class Rewritten:
    """A text with some pieces replaced, and the way back from a place in it."""

    text: str
    edits: tuple[tuple[int, int, int], ...]
    """Start in the new text, length there, length in the old text; ascending."""

    def origin(self, offset: int) -> int:
        """The offset in the old text of an offset in the new one; both count characters."""
        shift = 0
        for start, length, before in self.edits:
            if offset < start:
                break
            if offset < start + length:
                return start + shift
            shift += before - length
        return offset + shift


def replace(text: str, pieces: list[tuple[int, int, str]]) -> Rewritten:
    """Replace pieces (start, end, new text; ascending) of a text."""
    parts, edits, position, length = [], [], 0, 0
    for start, end, new in pieces:
        parts += [text[position:start], new]
        length += start - position
        edits.append((length, len(new), end - start))
        length += len(new)
        position = end
    return Rewritten("".join([*parts, text[position:]]), tuple(edits))
