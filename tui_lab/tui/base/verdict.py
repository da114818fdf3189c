"""Checks of text that is being typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether a text is valid, and the message to show."""

    good: bool
    text: str = ""


Check = Callable[[str], Verdict]
