"""Jump mode: a letter on each panel; the next key goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from tui_lab.tui.base import panes
from tui_lab.tui.base.pane import is_text
from tui_lab.tui.widgets.panels.panel import Panel

LETTERS: Final = "asdfghjklqwertuiopzxcvbnm"


def targets(screen: Screen[object]) -> list[Panel]:
    """Return the panels that can be seen and take the focus, in reading order."""
    seen = [panel for panel in screen.query(Panel) if panel.region.area and panel.is_on_screen and _first(panel)]
    return sorted(seen, key=lambda panel: (panel.region.y, panel.region.x))


def _first(panel: Panel) -> Widget | None:
    """Return the part of a panel in which work begins: no field, where it has another one."""
    parts = [widget for widget in panel.query("*") if widget.focusable and widget.region.area]
    return min(parts, key=is_text, default=None)


class Jump(ModalScreen[str]):
    """The letters over the screen. The answer is the name of a pane, whose digit was typed; else empty."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+c", "leave", "Leave")]
    DEFAULT_CSS = """
    Jump {
        background: transparent; align: left top;
        & > Static {
            position: absolute; width: 3; height: 1; color: $block-cursor-foreground;
            background: $block-cursor-background; text-style: bold;
        }
    }
    """

    def __init__(self, panels: Sequence[Panel]) -> None:
        super().__init__()
        self._panels = dict(zip(LETTERS, panels, strict=False))

    def compose(self) -> ComposeResult:
        for letter, panel in self._panels.items():
            label = Static(Content(f" {letter} "))
            label.styles.offset = (panel.region.x, panel.region.y)
            yield label

    def on_key(self, event: Key) -> None:
        if event.key in ("escape", "ctrl+c"):
            return
        event.stop()
        digits = {panes.digit(name): name for name in panes.NAMES}
        if event.key in self._panels:
            self.dismiss("")
            if (widget := _first(self._panels[event.key])) is not None:
                self.app.call_later(widget.focus)
        elif event.key in digits:
            self.dismiss(digits[event.key])
        else:
            self.dismiss("")

    def action_leave(self) -> None:
        self.dismiss("")
