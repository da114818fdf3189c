"""`function:` a Python function that each task calls: `train.py::fit`, `package.module:fit`, or a file or module that
has `pre`, `fit` and `post`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tui_lab.experiment.record import Model

_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
FORMS: Final = 'write FILE.py::NAME or package.module:NAME, as in "train.py::fit"'


class Function(Model):
    """A function in a file or in a module; without a name, the `pre`, `fit` and `post` of the file or module."""

    file: str | None = None
    """Relative to the experiment's folder, or absolute."""
    module: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The function as the experiment's file has it."""
        if self.file is not None:
            return self.file if self.name is None else f"{self.file}::{self.name}"
        return str(self.module) if self.name is None else f"{self.module}:{self.name}"

    def source(self, folder: Path) -> Path | None:
        """Return the file in which it is, as far as that can be told without importing anything: None for a module
        that is not below the experiment's folder."""
        if self.file is not None:
            return folder / self.file
        place = folder.joinpath(*str(self.module).split("."))
        return next((one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()), None)


def parse_function(text: str) -> Function:
    """Return the function that a text names. Raises ValueError."""
    text = text.strip()
    place, mark, name = text.partition("::")
    if not mark and not place.endswith(".py"):
        place, mark, name = text.partition(":")
    if mark and not name.isidentifier():
        raise ValueError(f'"{name}" is no name of a function')
    if place.endswith(".py"):
        return Function(file=place, name=name or None)
    if "::" in text:
        raise ValueError(f'"{place}" is no Python file')
    if not _MODULE.fullmatch(place):
        raise ValueError(f'"{place}" is no module')
    return Function(module=place, name=name or None)


def function_error(text: str) -> str:
    """Return why a text names no function; empty where it does."""
    try:
        return "" if parse_function(text).name else f'"{text.strip()}" names no function'
    except ValueError as error:
        return str(error)
