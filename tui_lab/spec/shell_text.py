"""A shell command in parts, and the two ways to write it out: for the shell, and for people.

For the shell, the text is constant and values are referred to as environment variables, so that no value
can ever be read as code. Three kinds of variables, each always set, so that nothing is inherited from an
outer task:

- `TUI_LAB_P_name`: the value, where the command says `{name}`;
- `TUI_LAB_F_name`: `1` where `[name]` or a group `[...{name}...]` is there, empty where it is dropped;
- `TUI_LAB_V_name`, `TUI_LAB_V_2_name`, ...: what follows `--name`, each after a `=`; empty where there is
none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tui_lab.spec.render import quote, shows_as_is

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


def variable(kind: str, name: str) -> str:
    """The environment variable for a parameter.

    Names with dots and dashes are written differently, after a 0 (no name begins with one), so that no two
    names share a variable.
    """
    if not re.fullmatch(r"\w+", name, re.ASCII):
        name = "0" + name.replace("_", "__").replace(".", "_d").replace("-", "_h")
    return f"TUI_LAB_{kind}_{name}"


def item_variable(name: str, index: int) -> str:
    """The variable of the item at `index` (from 0) of what follows `--name`."""
    return variable("V" if index == 0 else f"V_{index + 1}", name)


class Values(Protocol):
    """The values of one task: the text of each, and whether flags and groups are there."""

    def text(self, part: Place | Raw, /) -> str: ...

    def arguments(self, flag: Flag, /) -> list[str]: ...

    def given(self, part: Flag | Group, /) -> bool: ...


@dataclass(frozen=True)
class ShellWriter:
    """Writes the text for the shell. `values` are needed for `{name:raw}` alone."""

    widths: Mapping[str, int]
    values: Values | None

    def write(self, parts: Iterable[Part]) -> str:
        return "".join(map(self._part, parts))

    def _part(self, part: Part) -> str:
        match part:
            case Place():
                return _REFERENCES[part.state].format("${" + variable("P", part.name) + "}")
            case Raw():
                assert self.values is not None
                return self.values.text(part)
            case Code():
                return self.write(part.parts)
            case Flag():
                return self._flag(part.name)
            case Group():
                return self._group(part)
            case _:
                return part.source

    def _flag(self, name: str) -> str:
        text = [_where([name], f'"--{name}"')]
        for index in range(max(1, self.widths.get(name, 1))):
            item = item_variable(name, index)
            text.append(f'${{{item}:+"${{{item}#=}}"}}')
        return " ".join(text)

    def _group(self, group: Group) -> str:
        if any(isinstance(part, Raw) for part, _ in walk(group.parts)):
            assert self.values is not None
            return self.write(group.parts) if self.values.given(group) else ""
        return " ".join(_where(group.names, self._word(word)) for word in words(group.parts))

    def _word(self, word: list[Part]) -> str:
        """A word in double quotes, but for the shell's own expansions that stood outside quotes.

        Otherwise it would be split at the characters of IFS, as all that comes out of `${X:+...}`.
        """
        text = ""
        inside = False
        for part in word:
            quoted = not isinstance(part, Code) or part.quoted
            if quoted != inside:
                text += '"'
                inside = quoted
            match part:
                case Text():
                    text += _double(part.value)
                case Place():
                    text += "${" + variable("P", part.name) + "}"
                case _:
                    text += self._part(part)
        return text + ('"' if inside else "")


_REFERENCES: dict[State, str] = {
    "bare": '"{}"',
    "double": "{}",
    "single": "'\"{}\"'",
    "ansi": "'\"{}\"$'",
    "default": "{}",
    "pattern": '"{}"',
    "number": "{}",
}


def _where(names: Iterable[str], word: str) -> str:
    for name in names:
        word = f"${{{variable('F', name)}:+{word}}}"
    return word


def _double(value: str) -> str:
    return re.sub(r'([$`"\\])', r"\\\1", value)


@dataclass(frozen=True)
class LineWriter:
    """Writes the line for people, with values quoted in place.

    Pasted into bash or zsh, also an interactive one, it does what the task did. Where no quotes can be
    written, the value is given to a variable in front.
    """

    values: Values
    assigned: dict[str, str] = field(default_factory=dict)

    def line(self, parts: Iterable[Part]) -> str:
        line = self._write(parts)
        return "".join(f"{name}={quote(text)}; " for name, text in self.assigned.items()) + line

    def _write(self, parts: Iterable[Part]) -> str:
        """A flag or a group that is not there takes one of the blanks around it along."""
        pieces: list[str] = []
        blank = gone = False
        for part in parts:
            piece = self._part(part)
            if not piece and isinstance(part, Flag | Group):
                gone = True
            elif gone and isinstance(part, Blank) and (blank or not pieces):
                gone = False
            else:
                if gone and blank and isinstance(part, Syntax):
                    pieces.pop()
                pieces.append(piece)
                blank, gone = isinstance(part, Blank), False
        if gone and blank:
            pieces.pop()
        return "".join(pieces)

    def _part(self, part: Part) -> str:
        match part:
            case Place():
                return self._value(part)
            case Raw():
                return self.values.text(part)
            case Code():
                return self._write(part.parts)
            case Flag():
                return " ".join(map(quote, self.values.arguments(part)))
            case Group():
                return self._write(part.parts) if self.values.given(part) else ""
            case _:
                return part.source

    def _value(self, place: Place) -> str:
        text = self.values.text(place)
        shown = quote(text)
        visible = shows_as_is(text)
        match place.state:
            case "bare":
                return f"'{text}'" if shown == text and place.exposed else shown
            case "double" if visible and "!" not in text:
                # The empty pair of quotes ends the name of a variable in front.
                return ('""' if place.exposed else "") + _double(text)
            case "double":
                return f'"{shown}"'
            case "single":
                return text.replace("'", "'\\''") if visible else f"'{shown}'"
            case "ansi":
                return f"'{shown}$'"
            case "default" | "pattern" if not re.fullmatch(r"\w+", text):
                name = variable("P", place.name)
                self.assigned[name] = text
                return _REFERENCES[place.state].format("${" + name + "}")
            case _:
                return text
