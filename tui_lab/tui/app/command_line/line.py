"""The command line itself: a field above the footer, and what it may become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui_lab.tui.app.command_line.words import Candidate, Vocabulary, complete, ghost
from tui_lab.tui.base.formatting import MUTED

SHOWN: Final = 8  # completions


class _Ghost(Suggester):
    """Shows the rest of the likeliest completion behind the cursor."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._vocabulary = vocabulary

    async def get_suggestion(self, value: str) -> str | None:
        return ghost(complete(self._vocabulary, value), value) or None


class CommandLine(ModalScreen[str | None]):
    """Takes a line. check: what is wrong with one, empty where it is good. earlier: lines of before, the newest
    last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", "Close", priority=True),
        Binding("tab,down", "choose(1)", "Complete", priority=True),
        Binding("shift+tab", "choose(-1)", show=False, priority=True),
        Binding("up,ctrl+p", "recall(-1)", "Earlier", priority=True),
        Binding("ctrl+n", "recall(1)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    CommandLine {
        align: left bottom; background: transparent;
        & > #command { width: 1fr; height: auto; background: $panel; border-top: heavy $border; }
        #command-offers { height: auto; padding: 0 1; background: $surface; }
        #command-row { height: 1; }
        #command-sign { width: 3; padding: 0 1; color: $text-primary; text-style: bold; }
        #command-input { width: 1fr; border: none; background: $panel; padding: 0; }
        #command-said { width: auto; padding: 0 1; color: $text-muted; }
    }
    """

    def __init__(self, vocabulary: Vocabulary, earlier: Sequence[str], check: Callable[[str], str]) -> None:
        super().__init__()
        self._vocabulary, self._earlier, self._check = vocabulary, earlier, check
        self._typed = ""  # what completions belong to
        self._chosen = -1  # index of the completion that stands in the field
        self._recalled = 0  # how many lines back
        self._set: str | None = None  # a text that was not typed

    def compose(self) -> ComposeResult:
        with Vertical(id="command"):
            yield Static(id="command-offers")
            with Horizontal(id="command-row"):
                yield Static(":", id="command-sign")
                yield Input(id="command-input", compact=True, suggester=_Ghost(self._vocabulary))
                yield Static("", id="command-said")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._show()

    @property
    def candidates(self) -> list[Candidate]:
        """How what was typed may go on."""
        return complete(self._vocabulary, self._typed)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        if event.value != self._set:
            self._typed, self._chosen, self._recalled = event.value, -1, 0
        self._show()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            self.dismiss(None)
        elif wrong := self._check(event.value):
            self._say(wrong, "$text-error")
        else:
            self.dismiss(event.value)

    def action_choose(self, by: int) -> None:
        found = self.candidates
        if found:
            self._chosen = (self._chosen + by) % len(found) if self._chosen >= 0 or by > 0 else len(found) - 1
            self._put(found[self._chosen].line)

    def action_recall(self, by: int) -> None:
        recalled = self._recalled - by
        if 0 <= recalled <= len(self._earlier):
            self._recalled = recalled
            self._put(self._earlier[-recalled] if recalled else self._typed)

    def action_leave(self) -> None:
        self.dismiss(None)

    def _put(self, text: str) -> None:
        field = self.query_one(Input)
        self._set = text
        field.value = text
        field.cursor_position = len(text)

    def _show(self) -> None:
        found = self.candidates
        first = max(0, min(self._chosen - SHOWN + 1, len(found) - SHOWN)) if self._chosen >= 0 else 0
        lines = []
        width = max((len(one.line) for one in found[first : first + SHOWN]), default=0)
        for number, one in enumerate(found[first : first + SHOWN], first):
            style = "bold $text-primary reverse" if number == self._chosen else ""
            lines.append(Content.assemble((f" {one.line:<{width}} ", style), "  ", (one.help, MUTED)))
        offers = self.query_one("#command-offers", Static)
        offers.update(Content("\n").join(lines))
        offers.display = bool(lines)
        place = f"{self._chosen + 1} of {len(found):,}" if self._chosen >= 0 else f"{len(found):,}"
        self._say(f"{place} · tab completes · esc", "")

    def _say(self, text: str, style: str) -> None:
        self.query_one("#command-said", Static).update(Content.styled(text, style) if style else Content(text))
