"""The last step of painting where a terminal shows ASCII only: every sign, ours or Textual's, becomes a plain one."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui_lab.results import glyphs


class PlainSigns(LineFilter):
    """A filter for all that is painted, so that no pane needs to know of it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [Segment(glyphs.plain(text), style, control) for text, style, control in segments]
