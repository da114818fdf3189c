"""Negative values behind an option: argparse takes `-1e-3` for an option of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_NEGATIVE: Final = re.compile(r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE)
_MARK: Final = "\0"  # no word of a command line holds one


def protect(words: Sequence[str]) -> list[str]:
    """The words for argparse, with a mark before each that begins like a negative number."""
    return [_MARK + word if _NEGATIVE.match(word) else word for word in words]


def text(word: str) -> str:
    """The word itself: the `type` of arguments that may be negative."""
    return word.removeprefix(_MARK)


def number(word: str) -> float:
    """Raises ValueError."""
    return float(text(word))
