"""Whether what is being typed will do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether a text will do, and what to say of it."""

    good: bool
    text: str = ""


Check = Callable[[str], Verdict]
