"""The values that have a colour in the chart that was shown last, which tables mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.style import Style
from rich.text import Text


@dataclass(frozen=True)
class Charted:
    """The values of a column of an experiment, each with the mark, the colour and the name that it has in a chart."""

    experiment: str
    column: str
    marks: Mapping[Any, tuple[str, Style, str]]

    def marked(self, value: Any, text: str | None = None) -> Text:
        """Return a value behind its mark; behind blanks where it is not in the chart. text: the value in words."""
        mark, style, name = self.marks.get(value, (" ", Style(), str(value)))
        return Text.assemble((mark, style), f" {name if text is None else text}")
