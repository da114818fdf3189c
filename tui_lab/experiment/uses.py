"""Which parameters a task uses, by the placeholders in its command, files, variables, folder, timeout, needs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from tui_lab.experiment.lookalikes import placeholders_alike, stranger
from tui_lab.experiment.model import BUILT_IN, FileTemplate
from tui_lab.experiment.readers.needs import check_amount, placeholder_needs
from tui_lab.experiment.readers.sweep import sweep_paths
from tui_lab.experiment.record import Fields
from tui_lab.experiment.shell.command import compile_command
from tui_lab.experiment.shell.placeholders import PlaceholderError
from tui_lab.experiment.shell.template import names_in
from tui_lab.experiment.shell.text import Raw, walk
from tui_lab.experiment.stages import OUTPUT
from tui_lab.experiment.units import TIME_HINT
from tui_lab.experiment.yaml.document import Text
from tui_lab.experiment.yaml.problem import Problem
from tui_lab.experiment.yaml.reader import QUOTE, Keypath, Reader
from tui_lab.portable.globs import matcher

PARAMS_VARIABLE: Final = "TUI_LAB_PARAMS"  # holds all parameters, as does the file {params}
SEED_VARIABLE: Final = "TUI_LAB_SEED"
_FILES: Final = 200  # that are looked into
_LARGEST: Final = 1 << 20  # bytes of such a file
_WORDS: Final = re.compile(r"[^\s'\"|&;<>()$`{}\[\]]+")
# A home, or a variable, as shells read them.
_FOR_SHELLS: Final = re.compile(r"^~[\w.-]*(?=/|$)|\$(?:[A-Z_][A-Z0-9_]*|\{[A-Za-z_]\w*\})", re.ASCII)


class Uses:
    """Collects the names that placeholders use; what is wrong with a placeholder is noted. at: of the stage whose keys
    are read, if it is one; it has further placeholders."""

    def __init__(
        self, r: Reader, parameters: Collection[str], at: Keypath = (), placeholders: Collection[str] = ()
    ) -> None:
        self.r = r
        self.at = at
        self.known = frozenset((*parameters, *BUILT_IN, *placeholders))
        self.names: set[str] = set()
        self.raw: set[str] = set()  # those whose text becomes part of a command
        self.takes_all = False
        self.notices: list[str] = []

    def read(self, given: Fields, texts: Mapping[str, str]) -> None:
        """Look into all that was read of the file; `texts` are the templates of `files`."""
        at = self.at
        for path, command in _commands(given):
            source = given["metrics"][path[1]].source if path[0] == "metrics" else None
            self._command((*at, *path), command, frozenset() if source is None else source.names)
        for name, text in (given.get("env") or {}).items():
            self._text((*at, "env", name), text)
        for target, template in (given.get("files") or {}).items():
            if target in texts:
                self._template(template, texts[target])
        if given.get("workdir"):
            self._text((*at, "workdir"), self.r.node((*at, "workdir")).text)
        for path, text in _limits(given.get("timeout")):
            if not self._text((*at, *path), text):
                self.r.add((*at, *path), f'"{text}" is no time', TIME_HINT)
        for path, name, text in placeholder_needs(self.r, given, at):
            if not self._text(path, text):
                check_amount(self.r, path, name, text)

    def _tell_alike(self, path: Keypath, text: str) -> None:
        for offset, word, name in placeholders_alike(text, self.known):
            what = f"{{{word}}} only looks like {{{name}}}: it holds {stranger(word)}"
            self.notices.append(str(self.r.problem(path, what, offset=offset)))

    def _command(self, path: Keypath, command: str, own: frozenset[str]) -> None:
        """own: placeholders that only this command knows."""
        self._tell_alike(path, command)
        self.takes_all = self.takes_all or PARAMS_VARIABLE in command
        try:
            compiled = compile_command(command, self.known | own)
            self._use(set(compiled.names) - (own - self.known))
            self.raw.update(part.name for part, _ in walk(compiled.parts) if isinstance(part, Raw))
            for name in dict.fromkeys(compiled.strangers):
                offset = command.index(f"{{{name}}}")
                if f"{name}{OUTPUT}" in self.known:
                    hint = f"{{{name}{OUTPUT}}} is the folder of its run"
                    self.r.add(path, f"{{{name}}} is a stage, not a parameter", hint, offset=offset)
                else:
                    what = f"{{{name}}} is not a parameter, so the program gets this text"
                    self.notices.append(str(self.r.problem(path, what, offset=offset)))
        except PlaceholderError as error:
            hint = error.hint
            if not hint and self.r.document.cut_by_comment(self.r.node(path)):
                hint = f'YAML reads " #" as a comment: {QUOTE}'
            self.r.add(path, error.message, hint, offset=error.offset)

    def program_takes_all(self, given: Fields) -> bool:
        """Whether a file that the command names, one of `code`, or one of the same kind beside these reads the variable
        that holds all parameters."""
        named = {self.r.folder / word for _, command in _commands(given) for word in _WORDS.findall(command)}
        if given.get("code"):
            wanted = matcher(given["code"])
            files = (Path(place, file) for place, _, found in os.walk(self.r.folder) for file in found)
            near = islice(files, 10 * _FILES)
            named.update(file for file in near if wanted(str(file.relative_to(self.r.folder))))
        for file in list(named)[:_FILES]:
            with suppress(OSError, ValueError):
                if file.suffix and file.is_file():
                    named.update(islice(file.parent.glob(f"*{file.suffix}"), _FILES))
        return any(map(_reads_all, list(named)[:_FILES]))

    def literal_values(self) -> list[str]:
        """A notice for the first value of each parameter that looks as if a shell were to read it, which none does."""
        found = []
        for sweep in sweep_paths(self.r):
            for name in self.r.keys(sweep):
                if name not in self.names or name in self.raw:
                    continue
                for path in self.r.items((*sweep, name)):
                    node = self.r.node(path)
                    if node.kind != "scalar" or not isinstance(node.value, str):
                        continue
                    what = self._unread(node.text)
                    if what:
                        message = f"{what} in a value reaches the program unchanged"
                        hint = f"it works only in the command itself, and in {{{name}:raw}}"
                        if what.startswith("{"):
                            hint = "write it in the command"
                        found.append(str(self.r.problem(path, message, hint)))
                        break
        return found

    def _unread(self, text: str) -> str:
        """What of a value would mean something in a command."""
        home = _FOR_SHELLS.search(text)
        if home is not None:
            return home[0]
        with suppress(PlaceholderError):
            return next((f"{{{name}}}" for name in sorted(names_in(text, self.known))), "")
        return ""

    def _text(self, path: Keypath, text: str) -> bool:
        """Whether the text uses a name, or tries to."""
        self._tell_alike(path, text)
        try:
            found = names_in(text, self.known)
        except PlaceholderError as error:
            self.r.add(path, error.message, error.hint, offset=error.offset)
            return True
        self._use(found)
        return bool(found)

    def _template(self, template: FileTemplate, text: str) -> None:
        """A mistake in a template has its place in the template's own file."""
        try:
            self._use(names_in(text, self.known, template.marks))
        except PlaceholderError as error:
            line, column = Text(text).place(error.offset)
            file = str(self.r.folder / template.source)
            self.r.problems.append(Problem(file, line, column, error.message, error.hint))

    def _use(self, names: Collection[str]) -> None:
        self.names.update(names)
        self.takes_all = self.takes_all or "params" in names


def _reads_all(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size <= _LARGEST and PARAMS_VARIABLE.encode() in file.read_bytes()
    except (OSError, ValueError):
        return False


def _limits(timeout: object) -> Iterator[tuple[Keypath, str]]:
    """The texts among the limits of time."""
    if isinstance(timeout, str):
        yield ("timeout",), timeout
    elif isinstance(timeout, tuple):
        for i, text in enumerate(timeout):
            if isinstance(text, str):
                yield ("timeout", i), text


def _commands(given: Fields) -> Iterator[tuple[Keypath, str]]:
    command = given.get("command")
    if isinstance(command, str):
        yield ("command",), command
    elif isinstance(command, dict):
        for name, text in command.items():
            yield ("command", name), text
    else:
        for i, text in enumerate(command or ()):
            yield ("command", i), text
    for name, metric in (given.get("metrics") or {}).items():
        if metric.source.command is not None:
            yield ("metrics", name, metric.source.kind), metric.source.command
