"""The panes' names behind their keys."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive

from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.panes import NAMES, digit, title


class Tabs(Line):
    """The panes' names behind their keys."""

    DEFAULT_CSS = "Tabs { background: $surface; color: $text-muted; padding: 0; }"
    shown: reactive[str] = reactive("")
    others: reactive[tuple[str, ...]] = reactive(())
    """Panes that other packages bring."""

    def text(self) -> Content:
        titles = {name: title(name) for name in (*NAMES, *self.others)}
        # Where there is no room for all titles: their beginnings, or none but that of the pane that is shown.
        longest = next(
            (most for most in (12, 4) if self.room >= sum(len(one[:most]) + 4 for one in titles.values())), 0
        )
        parts = []
        for name, whole in titles.items():
            number = digit(name)
            short_title = whole if name == self.shown else whole[:longest]
            if name == self.shown:
                chosen = "bold $block-cursor-foreground on $block-cursor-background"
                tab = Content.styled(f" {number} {short_title} ", chosen)
            else:
                tab = Content.assemble((f" {number}", "$text-primary"), f" {short_title} " if short_title else " ")
            parts.append(clickable(tab, f"app.show_pane('{name}')"))
        return Content.assemble(*parts)
