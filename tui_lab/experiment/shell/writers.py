"""The two ways to write out a shell command: for the shell, and for readers.

For the shell, the text is constant and values are referred to as environment variables, so that no value can
ever be read as code. Three kinds of variables, each always set, so that none is inherited from an outer task:

- `TUI_LAB_P_name`: the value, where the command says `{name}`;
- `TUI_LAB_F_name`: `1` where `[name]` or a group `[...{name}...]` is there, empty where it is dropped;
- `TUI_LAB_V_name`, `TUI_LAB_V_2_name`, ...: what follows `--name`, each after a `=`; empty where nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tui_lab.experiment.render import quote, shows_as_is
from tui_lab.experiment.shell.text import Blank, Code, Flag, Group, Part, Place, Raw, State, Syntax, Text, walk, words


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

    def text(self, part: Place | Raw, /) -> str:
        """Return the text of a placeholder."""

    def arguments(self, flag: Flag, /) -> list[str]:
        """Return the arguments of a flag."""

    def given(self, part: Flag | Group, /) -> bool:
        """Return whether a flag or group is to be written."""


@dataclass(frozen=True)
class ShellWriter:
    """Writes the text for the shell. `values` are needed for `{name:raw}` alone."""

    widths: Mapping[str, int]
    values: Values | None

    def write(self, parts: Iterable[Part]) -> str:
        """Return the shell text of the parts."""
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
    """Writes the line for readers, with values quoted in place.

    Pasted into bash or zsh, also an interactive one, it does what the task did. Where no quotes can be
    written, the value is given to a variable in front.
    """

    values: Values
    assigned: dict[str, str] = field(default_factory=dict)

    def line(self, parts: Iterable[Part]) -> str:
        """Return one line for the user to paste into a shell, with the assignments that it needs in front."""
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
