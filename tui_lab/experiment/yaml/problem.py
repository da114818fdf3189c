"""Problems of a file, as messages for users: the place, what is wrong, and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tui_lab.experiment.error import TuiLabError
from tui_lab.experiment.yaml.edit import Edit

_LINE_ENDS: Final = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file. `line` and `column` count from 1; line 0 means the file as a whole.

    The order is by place, so a sorted list reads like the file. Message and hint are one line each: line ends in
    names and values are written as escapes.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    fix: Edit | None = field(default=None, compare=False)
    """What the hint suggests, as a change of the file; None where that takes more than a word."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _one_line(self.message))
        object.__setattr__(self, "hint", _one_line(self.hint))

    def __str__(self) -> str:
        file = _one_line(self.file)
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {self.message}; {self.hint}" if self.hint else f"{place}: {self.message}"


def _one_line(text: str) -> str:
    return _LINE_ENDS.sub(lambda match: repr(match[0])[1:-1], text)


class SpecError(TuiLabError):
    """A file that can't be used, or what Python says in its place. `problems` holds everything that was found, sorted
    by place, each once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class Suggestion(str):
    """A hint that names the word that was meant in place of another: `did you mean "x"?`."""

    wrong: str
    meant: str

    def __new__(cls, wrong: str, meant: str, hint: str = "") -> Suggestion:
        """Make a hint. hint: its text, where it is another one."""
        new = super().__new__(cls, hint or f'did you mean "{meant}"?')
        new.wrong, new.meant = wrong, meant
        return new

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        return self.wrong, self.meant, str(self)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    longer = [name for name in folded if name.startswith(f"{word.casefold()}_")]
    if len(longer) == 1 and word.casefold() not in folded:
        return folded[longer[0]]  # `started` is more like `state` than like `started_at`, letter by letter
    matches = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for the known word nearest to `word`, or an empty text where none is near."""
    near = closest(word, known)
    return "" if near is None else Suggestion(word, near)
