"""The words of a SQL text, as far as they are needed without parsing it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tui_lab.experiment.duckdb_tables import in_quotes

Kind = Literal["name", "quoted", "string", "other"]

_BLANKS: Final = re.compile(r"[^\S\t\n\r ]|[\u200b-\u200f\ufeff]")
"""What DuckDB's parser takes for a blank, and its tokenizer for a letter."""

# DuckDB's own, written down: the end of each run quotes names, and has no time to load DuckDB. A test compares them.
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
    """A token of a query, with its position."""

    kind: Kind
    text: str
    """A name as written, a quoted name or string without its quotes."""
    start: int
    end: int
    closed: bool = True
    """False for a quoted name or string to which the end of the text has put an end."""


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of a text, finished or not, without blanks and comments."""
    import duckdb

    types = duckdb.token_type
    raw = _BLANKS.sub(" ", sql).encode(errors="replace")
    found = duckdb.tokenize(raw.decode())
    start = position = 0  # in characters, in bytes
    for number, (offset, kind) in enumerate(found, 1):
        start += len(raw[position:offset].decode())
        position = offset
        if kind == types.comment:
            continue
        end = found[number][0] if number < len(found) else len(raw)
        stop = start + len(raw[offset:end].decode().rstrip())
        text = sql[start:stop]
        if kind == types.string_const:
            closed, text = _string(text)
            yield Token("string", text, start, stop, closed)
        elif text.startswith('"'):
            closed = len(text) > 1 and text.count('"') % 2 == 0
            yield Token("quoted", text[1 : -1 if closed else None].replace('""', '"'), start, stop, closed)
        else:
            name = kind in (types.identifier, types.keyword)
            yield Token("name" if name else "other", text, start, stop)


def _string(text: str) -> tuple[bool, str]:
    """Return whether a string is closed, and what is between its quotes."""
    if text.startswith("$"):
        tag = text[: text.index("$", 1) + 1]
        closed = len(text) >= 2 * len(tag) and text.endswith(tag)
        return closed, text[len(tag) : -len(tag) if closed else None]
    quotes = re.sub(r"\\.", "", text, flags=re.DOTALL) if text[0] in "eE" else text
    closed = quotes.count("'") % 2 == 0
    inside = text[text.index("'") + 1 :]
    return closed, (inside[:-1] if closed else inside).replace("''", "'")


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
