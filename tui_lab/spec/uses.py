"""Which parameters a task uses, by the placeholders in its command, files, variables, folder, timeout, needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from tui_lab.spec.command import compile_command
from tui_lab.spec.model import BUILT_IN, FileTemplate
from tui_lab.spec.placeholders import PlaceholderError
from tui_lab.spec.problem import Problem
from tui_lab.spec.read_needs import check_amount, placeholder_needs
from tui_lab.spec.reading import QUOTE, Keypath, Reader
from tui_lab.spec.template import names_in
from tui_lab.spec.units import TIME_HINT
from tui_lab.spec.yaml_document import Text

PARAMS_VARIABLE: Final = "TUI_LAB_PARAMS"  # holds all parameters, as does the file {params}


class Uses:
    """Collects the names that placeholders use; what is wrong with a placeholder is noted."""

    def __init__(self, r: Reader, parameters: Collection[str]) -> None:
        self.r = r
        self.known = frozenset((*parameters, *BUILT_IN))
        self.names: set[str] = set()
        self.takes_all = False
        self.notices: list[str] = []

    def read(self, given: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Look into all that was read of the file; `texts` are the templates of `files`."""
        for path, command in _commands(given):
            self._command(path, command)
        for name, text in (given.get("env") or {}).items():
            self._text(("env", name), text)
        for target, template in (given.get("files") or {}).items():
            if target in texts:
                self._template(template, texts[target])
        if given.get("workdir"):
            self._text(("workdir",), self.r.node(("workdir",)).text)
        for path, text in _limits(given.get("timeout")):
            if not self._text(path, text):
                self.r.add(path, f'"{text}" is no time', TIME_HINT)
        for path, name, text in placeholder_needs(self.r, given):
            if not self._text(path, text):
                check_amount(self.r, path, name, text)

    def _command(self, path: Keypath, command: str) -> None:
        self.takes_all = self.takes_all or PARAMS_VARIABLE in command
        try:
            compiled = compile_command(command, self.known)
            self._use(compiled.names)
            for name in dict.fromkeys(compiled.strangers):
                what = f"{{{name}}} is no parameter, so the program gets it as it stands"
                self.notices.append(str(self.r.problem(path, what, offset=command.index(f"{{{name}}}"))))
        except PlaceholderError as error:
            hint = error.hint
            if not hint and self.r.document.cut_by_comment(self.r.node(path)):
                hint = f'YAML takes " #" for a comment: {QUOTE}'
            self.r.add(path, error.message, hint, offset=error.offset)

    def _text(self, path: Keypath, text: str) -> bool:
        """Whether the text uses a name, or tries to."""
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


def _limits(timeout: object) -> Iterator[tuple[Keypath, str]]:
    """The texts among the limits of time."""
    if isinstance(timeout, str):
        yield ("timeout",), timeout
    elif isinstance(timeout, tuple):
        for i, text in enumerate(timeout):
            if isinstance(text, str):
                yield ("timeout", i), text


def _commands(given: Mapping[str, Any]) -> Iterator[tuple[Keypath, str]]:
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
        if metric.run is not None:
            yield ("metrics", name, "run"), metric.run
