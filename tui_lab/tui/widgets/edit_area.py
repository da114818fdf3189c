"""What both editors have in common: a text area that survives what Textual's own does not."""

from __future__ import annotations

from textual.geometry import Offset
from textual.reactive import Reactive, reactive
from textual.widgets import TextArea


class EditArea(TextArea):
    """A text area that is safe against an undo which takes lines away. Its cursor does not blink: that draws the line
    twice a second for as long as the screen is open."""

    cursor_blink: Reactive[bool] = reactive(False, init=False)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Bring the cursor into view, if its line is there: an undo takes lines away before it moves the cursor, and a
        scrollbar that goes with them asks for this in between."""
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()
        return super().scroll_cursor_visible(center, animate)
