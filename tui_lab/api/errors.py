"""Errors and warnings of the Python interface."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_lab.experiment.error import TuiLabError
from tui_lab.store.errors import LabError

if TYPE_CHECKING:
    from tui_lab.client.failures import FailureGroup

_PACKAGE: Final = str(Path(__file__).parent)
_GOAL: Final = re.compile(r"--goal ([^\s=]+)=(min|max)")
_VALUE: Final = re.compile(r"--param (\w+)=VALUE")
_OPTION: Final = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)(?: ([A-Z]{2,})\b)?(?=[\s:;,]|$)")
_ARGUMENTS: Final = {"node": "nodes", "allow-incomplete": "allow_incomplete=True", "replace": "replace=True"}
"""Arguments that are called otherwise than the option, or have a value here."""


class TasksFailed(TuiLabError):  # noqa: N818 (it says what happened)
    """Some tasks of a run failed, were lost, or did not end."""

    def __init__(self, message: str, counts: dict[str, int], failures: list[FailureGroup]) -> None:
        super().__init__(message)
        self.counts = counts
        """Tasks by state."""
        self.failures = failures
        """Tasks that failed alike, the largest group first: `reason`, the `line` of their standard error that says why,
        `count`, and the id of the first `task`."""


class TuiLabWarning(UserWarning):
    """Something to know about an experiment or about its results."""


def warn(texts: Iterable[str]) -> None:
    """Warn at the line of the caller that called this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    for text in texts:
        warnings.warn(in_python(text), TuiLabWarning, stacklevel=level)


def in_python(text: str) -> str:
    """Return a message with arguments in place of the options of the command line."""
    text = _VALUE.sub(r"give \1=...", _GOAL.sub(r'goal="\2"', text))
    parts = text.split("`")  # what stands between two of them is a command line
    parts[::2] = [_OPTION.sub(_argument, part) for part in parts[::2]]
    return "`".join(parts)


def _argument(option: re.Match[str]) -> str:
    name = _ARGUMENTS.get(option[1], option[1].removesuffix("-column").replace("-", "_"))
    return f"{name}={option[2]}" if option[2] else name


@contextmanager
def naming_arguments() -> Iterator[None]:
    """Let the errors of what is called name arguments in place of options."""
    try:
        yield
    except LabError as error:
        error.message, error.hint = in_python(error.message), in_python(error.hint)
        raise
    except TuiLabError as error:
        error.args = (in_python(str(error)),)
        raise
