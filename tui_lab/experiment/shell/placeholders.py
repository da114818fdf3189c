"""What the placeholders in commands, template files and variables have in common.

A placeholder is `{name}`. Doubled braces, `{{name}}`, stand for the text `{name}`, as in Python's
formats; `${name}` belongs to the shell. Braces around anything but a known name mean nothing here, unless
the name is so close to a known one that it must be a typing error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from tui_lab.experiment.yaml.problem import Suggestion

NAME: Final = r"[A-Za-z_][A-Za-z0-9_.-]*"

_BRACES = re.compile(rf"(\{{+)({NAME})(?::([^{{}}\n]*))?(\}}+)")
_SIMILAR: Final = 0.8
# Whole awk actions: in braces they are what they seem to be, however close a parameter's name comes.
_AWK: Final = frozenset({"print", "next", "exit", "getline"})


class PlaceholderError(ValueError):
    """A mistake in a text with placeholders.

    `offset` is the index of the place in the source text, `hint` what to do about it (may be empty).
    """

    def __init__(self, message: str, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint

    @classmethod
    def misspelt(cls, found: str, intended: str, escaped: str, offset: int) -> Self:
        """The error for `found`, which looks like `intended`, and whose literal text is written `escaped`."""
        hint = f"did you mean {intended}? For the text {found} itself write {escaped}"
        return cls(f"there is no parameter for {found}", offset, Suggestion(found, intended, hint))


@dataclass(frozen=True, slots=True)
class Braces:
    """Braces around one name, as `{name}`, `{name:spec}` or `{{name}}`.

    `start` and `end` bound them in the text. `literal` is what stands in their place where they were doubled,
    else None: then it is a placeholder, with `wrap` literal braces on each side.
    """

    name: str
    spec: str | None
    start: int
    end: int
    wrap: int
    literal: str | None


def braces_at(text: str, position: int) -> Braces | None:
    """The innermost braces of the run of `{` at `position`; None where no single name is in it.

    Of `{{{x}}}` the outer pair is doubled, so it stays as one brace around the value. Braces on one side only
    are never part of a placeholder: that of `{{x}` starts at the second.
    """
    match = _BRACES.match(text, position)
    if match is None:
        return None
    opening, name, spec, closing = match.groups()
    depth = min(len(opening), len(closing))
    inner = name if spec is None else f"{name}:{spec}"
    start, end = match.end(1) - depth, match.start(4) + depth
    pairs = depth // 2
    if depth % 2 == 0:
        return Braces(name, spec, start, end, 0, "{" * pairs + inner + "}" * pairs)
    return Braces(name, spec, start, end, pairs, None)


def near_miss(name: str, known: Collection[str]) -> str | None:
    """The known name that `name` seems to be a typing error of, or None."""
    if name in known or name in _AWK:
        return None
    close = difflib.get_close_matches(name, known, 1, _SIMILAR)
    return close[0] if close else None
