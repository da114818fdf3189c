"""Commands with placeholders: from the text in the experiment file to what runs for one task.

The shell text is constant. `{name}` becomes a reference to an environment variable, written for the
quotes it stands in, so that spaces, quotes, `;`, `$(...)` and newlines in a value are data, never code.
Only `{name:raw}` puts a value's text into the command itself. `[name]` is `--name value`, `--name` for
true, nothing for false or null; `[words {name}]` are dropped whole where the value is null or false.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from tui_lab.experiment.names import NAME
from tui_lab.experiment.render import LONGEST, Value
from tui_lab.experiment.shell.reader import CommandError
from tui_lab.experiment.shell.script import read_script
from tui_lab.experiment.shell.text import Blank, Flag, Group, Part, Place, Raw, Syntax, Text, walk, words
from tui_lab.experiment.shell.values import TaskValues
from tui_lab.experiment.shell.writers import LineWriter, ShellWriter

__all__ = ["Command", "CommandError", "compile_command"]

# Names that a shell may take for itself: keywords and builtins of dash, bash, ksh and zsh, and tools that are
# usually functions of the shell, such as `module` on a cluster.
_SHELL_NAMES: Final = """
! . : [ [[ ]] { } alias autoload bg bind bindkey break builtin bye caller case cd chdir command compgen
complete compopt conda continue coproc declare dirs disable disown do done echo elif else emulate enable
esac eval exec exit export fc fg fi float for foreach function functions getopts hash help history if
in integer jobs kill let limit local logout mamba mapfile micromamba ml module newgrp nocorrect noglob nvm
popd print printf pushd pwd read readarray readonly rehash repeat return select set setopt shift shopt
source spack stop suspend test then time times trap type typeset ulimit umask unalias unfunction unhash
unlimit unset unsetopt until vared wait whence where which while zle zmodload
"""
_RESERVED: Final = frozenset(_SHELL_NAMES.split())
_OPEN: Final = Text("{", "{", plain=False)
_CLOSE: Final = Text("}", "}", plain=False)


@dataclass(frozen=True)
class Command:
    """A command that was checked, ready to be run with the values of any task.

    Every method takes the values by name, built-in ones such as `output` included, and raises
    CommandError, with the place of the placeholder, where a value is missing or cannot be passed.
    """

    source: str
    names: frozenset[str]
    """The parameters and built-in names that the command uses."""
    needs_shell: bool
    """False where the words can be executed as they are, see `argv`."""
    constant: bool
    """Whether `script` is the same for all values: no `{name:raw}`."""
    parts: tuple[Part, ...] = field(repr=False)
    widths: Mapping[str, int] = field(repr=False)

    def script(self, values: Mapping[str, Value]) -> str:
        """The text for `sh -c`. It refers to the variables that `environment` gives."""
        return self._constant_script if self.constant else self._write(TaskValues(values))

    def environment(self, values: Mapping[str, Value]) -> dict[str, str]:
        """The variables that `script` refers to. Always the same ones, empty where nothing is to be said."""
        return TaskValues(values).variables(self.parts, self.widths)

    def argv(self, values: Mapping[str, Value]) -> list[str] | None:
        """The words to execute, exactly those a shell would make of the command; None if it needs a shell."""
        return None if self.needs_shell else _argv(self._lines, TaskValues(values))

    def shown(self, values: Mapping[str, Value]) -> str:
        """The command for readers, with values quoted in place: pasted into bash or zsh it does the same."""
        return LineWriter(TaskValues(values)).line(_trimmed(self.parts))

    @property
    def strangers(self) -> list[str]:
        """Unknown names in braces outside of quotes: the shell leaves `{name}` as it stands, so hardly anyone
        means that."""
        found = [part for part, _ in walk(self.parts)]
        return [
            name.value
            for before, name, after in zip(found, found[1:], found[2:], strict=False)
            if before == _OPEN and after == _CLOSE and isinstance(name, Text) and NAME.fullmatch(name.source)
        ]

    @property
    def program(self) -> str | None:
        """The program that must run first, where the text says so plainly: no value, no builtin, no assignment,
        and no `||` that could make up for its absence."""
        if "||" in self.source:
            return None
        first = self._lines[0] if self._lines else []
        if not first or not all(isinstance(part, Text) and part.plain for part in first):
            return None
        name = "".join(part.value for part in first if isinstance(part, Text))
        return None if not name or "=" in name or name in _SHELL_NAMES else name

    @cached_property
    def _constant_script(self) -> str:
        return self._write(None)

    @cached_property
    def _lines(self) -> list[list[Part]]:
        return words(_trimmed(self.parts))

    def _write(self, values: TaskValues | None) -> str:
        text = ShellWriter(self.widths, values).write(self.parts)
        if len(text.encode()) >= LONGEST:
            raise CommandError("the command is longer than 128 KiB, more than a shell accepts")
        return text


def compile_command(source: str, known: Collection[str], *, widths: Mapping[str, int] | None = None) -> Command:
    """Reads the command `source`, in which the `known` names are placeholders.

    `widths` is the greatest length of the lists that a parameter takes, for `[name]` that gives `--name a b`.
    Raises CommandError with the place of the mistake: a quote that is never closed, a name that is nearly a
    known one, a value where the shell would read it as code.
    """
    try:
        parts = read_script(source, known)
    except RecursionError:
        raise CommandError("the command is nested too deep to be read") from None
    found = [part for part, _ in walk(parts)]
    command = Command(
        source,
        names=frozenset(part.name for part in found if isinstance(part, Place | Raw | Flag)),
        needs_shell=not _is_simple(words(_trimmed(parts))),
        constant=not any(isinstance(part, Raw) for part in found),
        parts=parts,
        widths=dict(widths or {}),
    )
    if command.constant:
        command.script({})
    return command


def _trimmed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts without the line breaks around the command."""
    first, last = 0, len(parts)
    while first < last and _breaks(parts[first]):
        first += 1
    while first < last and _breaks(parts[last - 1]):
        last -= 1
    return parts[first:last]


def _breaks(part: Part) -> bool:
    return isinstance(part, Syntax | Blank) and part.source.isspace()


def _is_simple(found: list[list[Part]]) -> bool:
    """Whether the words mean to a shell exactly what they say, and the first is a program."""
    if not found or not all(_is_plain(part) for word in found for part in word):
        return False
    name = ""
    for part in found[0]:
        if not isinstance(part, Text):
            # A value alone might be the name of a builtin, or an assignment; after a slash it cannot.
            return "/" in name and "=" not in name
        name += part.value
    return bool(name) and "=" not in name and name not in _RESERVED


def _is_plain(part: Part) -> bool:
    match part:
        case Text():
            return part.plain
        case Group():
            return all(isinstance(inner, Blank) or _is_plain(inner) for inner in part.parts)
        case _:
            return isinstance(part, Place | Flag)


def _argv(found: Iterable[list[Part]], values: TaskValues) -> list[str]:
    line: list[str] = []
    for word in found:
        match word:
            case [Flag() as flag]:
                line += values.arguments(flag)
            case [Group() as group]:
                if values.given(group):
                    line += _argv(words(group.parts), values)
            case _:
                line.append("".join(_piece(part, values) for part in word))
    return line


def _piece(part: Part, values: TaskValues) -> str:
    if isinstance(part, Text):
        return part.value
    assert isinstance(part, Place)
    return values.text(part)
