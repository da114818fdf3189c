"""Candidates for a word in a text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["column", "table", "macro", "function", "keyword", "key", "value", "parameter", "file"]
MOST: Final = 200


@dataclass(frozen=True)
class Candidate:
    """A completion."""

    text: str
    """What is written into the text."""
    kind: Kind
    detail: str = ""
    """Type of a column, or what else there is to know."""
    shown: str = ""
    """What the list shows, where that is not the text."""

    @property
    def label(self) -> str:
        """The text as the list shows it: without an open bracket."""
        return self.shown or self.text.rstrip("(")


@dataclass(frozen=True)
class Completion:
    """Candidates for the characters from `start` to `end` of the text, the likeliest first."""

    start: int
    end: int
    candidates: tuple[Candidate, ...] = ()


def matching(found: Iterable[Candidate], typed: str, within: Collection[Kind] = ()) -> list[Candidate]:
    """Return names that begin with what was typed, then those with a part that does, then those that contain it, if
    they are of the kinds `within`."""
    wanted = typed.lower()
    ranked: list[tuple[int, int, Candidate]] = []
    seen: set[str] = set()
    for place, candidate in enumerate(found):
        name = candidate.label.strip('"').lower()
        if candidate.text.lower() in seen:
            continue
        seen.add(candidate.text.lower())
        if not wanted or name.startswith(wanted):
            rank = 0
        elif any(part.startswith(wanted) for part in re.split(r"[_\W]", name)):
            rank = 1
        elif wanted in name and len(wanted) > 1 and candidate.kind in within:
            rank = 2
        else:
            continue
        ranked.append((rank, place, candidate))
    exact = [one for one in ranked if one[2].label.lower() == wanted]
    if wanted and len(ranked) == len(exact) == 1 and exact[0][2].text == typed:
        return []  # it is written already
    return [candidate for _, _, candidate in sorted(ranked, key=lambda one: one[:2])]
