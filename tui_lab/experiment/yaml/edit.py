"""A change of a text that leaves the rest of it as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Characters of a text, counted from 0, and what stands in their place afterwards."""

    start: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        """Return the text after the change."""
        return source[: self.start] + self.text + source[self.end :]


def single_quoted(text: str) -> str:
    """A text of one line as YAML in single quotes."""
    return "'" + text.replace("'", "''") + "'"
