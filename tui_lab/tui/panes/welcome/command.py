"""From a command line to an experiment file: its numbers and the values of its options become parameters with one value
each, and comments say how to continue."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from tui_lab.experiment.yaml.parser import resolve

_PIECE: Final = re.compile(
    r"""\s+|\d*[<>]+(?:&\d)?|(?:[^\s'"\\|&;<>]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+|[|&;]+|.""", re.DOTALL
)
_REDIRECTION: Final = re.compile(r"\d*[<>]+(?:&\d)?")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_OPTION: Final = re.compile(r"--?[A-Za-z][\w.-]*")
_ASSIGNED: Final = re.compile(r"(?P<name>(?:--?|\+{0,2})[A-Za-z][\w.-]*)=(?P<value>.+)", re.DOTALL)
_SHELL: Final = re.compile(r"[$`*?\[\]{}~]")  # a word in which the shell has something to do stays as it is
# Programs whose first word is the program that is meant; with the options that take the word behind them.
_INTERPRETERS: Final = re.compile(r"(?:python[\d.]*|bash|sh|zsh|perl|ruby|node|Rscript|julia|java|time|nohup|env|exec)")
_TAKING: Final = ("-m", "-c", "-jar", "-e")
_FOLDERS: Final = ("output_dir", "out_dir", "outdir", "save_dir", "log_dir", "logdir", "results_dir")
_FILES: Final = ("output", "out", "o", "output_file", "outfile")
_PLAIN: Final = re.compile(r"[A-Za-z_./][\w./+-]*")


@dataclass(frozen=True)
class Template:
    """A command with placeholders, and the value that stood at each. outputs: whether `{output}` is among them."""

    command: str
    parameters: dict[str, str]
    outputs: bool
    program: str  # what the experiment may be called


def find_parameters(command: str) -> Template:
    """Read a command line as a shell would."""
    return _Reader().read(command)


class _Reader:
    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.outputs = False
        self.program = ""
        self._option: str | None = None  # the word before is an option that may take this one
        self._begins = True  # a program's name comes now
        self._taken = False  # this word belongs to the one before

    def read(self, command: str) -> Template:
        text = command.strip().replace("\\\n", " ").removeprefix("$ ")
        pieces = [self._piece(match[0]) for match in _PIECE.finditer(text)]
        return Template("".join(pieces), self.parameters, self.outputs, self.program)

    def _piece(self, piece: str) -> str:
        if piece.isspace():
            return piece if "\n" in piece else " "
        if piece[0] in "|&;" or _REDIRECTION.fullmatch(piece):
            self._option = None
            self._taken = piece[-1] in "<>"  # a file's name comes now
            self._begins = piece[0] in "|;" or piece == "&&"
            return piece
        return self._word(piece)

    def _word(self, word: str) -> str:
        option, self._option = self._option, None
        if self._taken:
            self._taken = False
            return word
        value = _unquoted(word)
        if self._begins:
            return self._program(word)
        if value is None:
            return word
        assigned = _ASSIGNED.fullmatch(value)
        if assigned and "/" not in assigned["name"]:
            return f"{assigned['name']}={self._placeholder(assigned['name'], assigned['value'])}"
        if _OPTION.fullmatch(word):
            self._option = word
            return word
        if option is not None:
            return self._placeholder(option, value)
        return self._placeholder("", value) if _NUMBER.fullmatch(value) else word

    def _program(self, word: str) -> str:
        """A word where a program is named: stays as it is."""
        if _ASSIGNED.fullmatch(word) and not word.startswith("-"):
            return word  # a variable for the program
        if word in _TAKING:
            if word != "-m":  # behind -m stands what is meant
                self._taken, self._begins = True, False
            return word
        if word.startswith("-") or _INTERPRETERS.fullmatch(PurePath(word).name):
            return word
        self._begins = False
        path = PurePath(word)
        self.program = self.program or (path.stem if re.fullmatch(r"\.[A-Za-z]{1,3}", path.suffix) else path.name)
        return word

    def _placeholder(self, option: str, value: str) -> str:
        name = re.sub(r"\W", "_", option.lstrip("-+")) if option else f"arg{self._unnamed()}"
        if name in _FOLDERS or name in _FILES:
            if value.startswith("/") or _NUMBER.fullmatch(value):
                return shlex.quote(value)
            self.outputs = True
            return "{output}" if name in _FOLDERS else f"{{output}}/{PurePath(value).name}"
        known, number = name, 2
        while known in self.parameters or known.lower() in ("output", "params"):
            known, number = f"{name}_{number}", number + 1
        self.parameters[known] = value
        return f"{{{known}}}"

    def _unnamed(self) -> int:
        return 1 + sum(name.startswith("arg") for name in self.parameters)


def _unquoted(word: str) -> str | None:
    """Return what the program gets of a word; None where the shell would do more than remove quotes."""
    if _SHELL.search(re.sub(r"'[^']*'", "", word)):
        return None
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return None


def experiment_text(command: str) -> str:
    """Return the experiment file for a command line."""
    template = find_parameters(command)
    name = re.sub(r"\W+", "_", template.program).strip("_") or "sweep"
    if (
        not name[0].isalpha()
        or name.lower().endswith(("_tasks", "_steps", "_rows", "_stages"))
        or name in ("nodes", "results")
    ):
        name = f"sweep_{name}"
    lines = [
        f"# Made from: {' '.join(command.split())}",
        "# The command runs once for every combination of the values below.",
        f"name: {name}",
        *_command_lines(template.command),
    ]
    if template.outputs:
        lines.append("# {output} is a folder that each task has for itself.")
    if template.parameters:
        lines.append("parameters:")
        shown = [(f"  {name}: [{_yaml(value)}]", _more(value)) for name, value in template.parameters.items()]
        width = max(len(line) for line, _ in shown)
        hinted: set[str] = set()
        for line, hint in shown:
            lines.append(f"{line:<{width}}  # {hint}" if hint not in hinted else line)
            hinted.add(hint)
    else:
        lines += ["# A parameter is written {name} in the command, and has its values here:", "# parameters:"]
        lines.append("#   name: [1, 2, 3]")
    lines += [
        "repeat: 1  # of each combination; 5 or more show how sure a result is",
        "# What to read from the output; @float@ stands for a number. The first leads tables.",
        "# metrics:",
        "#   accuracy: {pattern: 'accuracy: (@float@)', goal: max}",
    ]
    return "\n".join(lines) + "\n"


def _command_lines(command: str) -> list[str]:
    plain = _PLAIN.match(command) and not re.search(r": |:$| #|[\n\t]", command)
    if plain and not command.endswith(":"):
        return [f"command: {command}"]
    return ["command: |-", *(f"  {line}" for line in command.split("\n"))]


def _yaml(value: str) -> str:
    """Return a value as YAML reads it again: a number as a number, all else as text."""
    if _NUMBER.fullmatch(value) and not isinstance(resolve(value), str) and not re.match(r"[-+]?0\d", value):
        return value.lstrip("+")
    if _PLAIN.fullmatch(value) and isinstance(resolve(value), str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _more(value: str) -> str:
    """Return how to give a parameter more values."""
    if re.fullmatch(r"\d+", value):
        return "more: [1, 2, 4], or {range: [1, 10]}"
    if _NUMBER.fullmatch(value):
        return "more: [0.1, 0.2], or {geomspace: [0.001, 1, 4]}"
    return "more: [this, that]"
