"""A shell command in parts: words, values, flags, and what only the shell understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

#: Where a placeholder stands: outside quotes, in "...", in '...', in $'...', in the default of
#: "${X:-...}", in the pattern of "${X#...}", or in arithmetic.
State = Literal["bare", "double", "single", "ansi", "default", "pattern", "number"]


@dataclass(frozen=True, slots=True)
class Text:
    """Literal characters: as the shell text has them, and as the program receives them, without quotes.

    `plain` is False where a shell might make more of them than that.
    """

    source: str
    value: str
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """`{name}`.

    `exposed`: when shown, the value needs quotes even if it holds no special character.
    `numeric`: bash evaluates what stands here, which may run commands, so the value must be a number.
    """

    name: str
    offset: int
    state: State
    exposed: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """`{name:raw}`: the value becomes part of the shell text."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Code:
    """An expansion that the shell makes within a word: `$X`, `${X:-...}`, `$(...)`, `*`."""

    parts: tuple[Part, ...]
    quoted: bool


@dataclass(frozen=True, slots=True)
class Syntax:
    """Operators, newlines, comments, here-documents."""

    source: str


@dataclass(frozen=True, slots=True)
class Blank:
    """What separates words."""

    source: str


@dataclass(frozen=True, slots=True)
class Flag:
    """`[name]`."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Group:
    """`[words with placeholders]`: there only while none of the values of `names` is null or false."""

    parts: tuple[Part, ...]
    names: tuple[str, ...]
    offset: int


Part = Text | Place | Raw | Code | Syntax | Blank | Flag | Group


def walk(parts: Iterable[Part], grouped: bool = False) -> Iterator[tuple[Part, bool]]:
    """Every part at every depth, with whether it stands in a group."""
    for part in parts:
        yield part, grouped
        if isinstance(part, Code | Group):
            yield from walk(part.parts, grouped or isinstance(part, Group))


def words(parts: Iterable[Part]) -> list[list[Part]]:
    """The parts of each word, between blanks."""
    found: list[list[Part]] = []
    separate = True
    for part in parts:
        if isinstance(part, Blank):
            separate = True
            continue
        if separate:
            found.append([])
        found[-1].append(part)
        separate = False
    return found
