"""The panel of outputs: what the task that ended last has printed, with the numbers marked that can become metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_lab.results.offers.offer import Offer
from tui_lab.tui.base.empty import Empty, Instead, content
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of, keys_of
from tui_lab.tui.base.throttle import Throttle
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.experiment.offers import Offered, rows
from tui_lab.tui.panes.experiment.printed import MOST, Printed, printed
from tui_lab.tui.panes.experiment.tester import one_for_one
from tui_lab.tui.panes.experiment.trial import Outputs
from tui_lab.tui.widgets.menu import Menu
from tui_lab.tui.widgets.panels.panel import Panel

AGAIN: Final = 2.0
"""Seconds between two looks at the outputs."""
SHARE: Final = 10.0
"""How many times as long as a look takes nothing is read after it."""


class OutputsPanel(Panel):
    """A list of the offers, and the text below it. It is read in a thread, while the panel is displayed."""

    DEFAULT_CSS = """
    OutputsPanel {
        & Menu, & Menu:focus { height: auto; max-height: 40%; padding: 0 1; margin-bottom: 1; }
        & VerticalScroll { height: 1fr; padding: 0 1; }
        & Static { width: auto; text-wrap: nowrap; }
        & .hidden { display: none; }
    }
    """

    class Taken(Message):
        """One of the offers was chosen."""

        def __init__(self, offered: Offered, offer: Offer) -> None:
            super().__init__()
            self.offered, self.offer = offered, offer

    def __init__(self, outputs: Outputs, *, id: str) -> None:
        super().__init__(title="Outputs", id=id)
        self.shown = Printed()
        self._outputs = outputs
        self._wanted: tuple[Path, str] | None = None
        self._timer: Timer | None = None
        self._throttle = Throttle(AGAIN, SHARE)

    def compose(self) -> ComposeResult:
        yield Menu(classes="hidden")
        with VerticalScroll():
            yield Static()

    def say_no_file(self) -> None:
        """Say what will be here once there is a file."""
        self._say(Empty("What tasks of a file have printed is shown here", "experiment.open", "opens one"))

    def look(self, path: Path, text: str) -> None:
        """Show what the last task of a file printed: at most every two seconds, and once the panel is displayed."""
        self._wanted = path, text
        self.go_on()

    def on_show(self) -> None:
        self.go_on()

    def go_on(self) -> None:
        """Read what is to be shown, if it can be now: the lab is known, and the last look was long enough ago."""
        waits = self._timer is not None or self._throttle.busy or not host_of(self).snapshot.taken
        if self._wanted is not None and not waits:
            self._timer = self.set_timer(max(0.01, self._throttle.delay()), self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._wanted is not None and self.is_on_screen:
            wanted, self._wanted = self._wanted, None
            self._throttle.began()
            self._read(*wanted, self.shown)

    @work(thread=True, group="experiment-outputs")
    def _read(self, path: Path, text: str, before: Printed) -> None:
        began = time.monotonic()
        try:
            found = printed(host_of(self).lab, path, text, self._outputs, before)
            deliver(self, self._show_printed, found)
        finally:
            deliver(self, self._ended, time.monotonic() - began)

    def _ended(self, took: float) -> None:
        self._throttle.ended(took)
        self.go_on()

    # --- What is shown

    def _show_printed(self, found: Printed) -> None:
        if found == self.shown and found.task is not None:
            return
        menu, before = self.query_one(Menu), self.shown
        self.shown = found
        if found.task is None:
            message = found.offered.message if found.about is None and host_of(self).lab is not None else ""
            self._say(
                message
                or Empty(
                    "What the task that ended last has printed is shown here", "experiment.launch", "runs the file"
                )
            )
            return
        task, attempt = found.task
        place = f"  task {task}" + (f".{attempt}" if attempt > 1 else "")
        self.set_title(Content.assemble("Outputs", (place, f"not bold {MUTED}")))
        self.set_subtitle("enter makes a metric of a number" if found.offered.offers else found.offered.message)
        offers = found.offered.offers
        if offers != before.offered.offers or menu.has_class("hidden"):
            names = [offer.name for offer in before.offered.offers]
            kept = names[menu.highlighted] if menu.highlighted is not None and menu.highlighted < len(names) else ""
            menu.clear_options()
            menu.add_options(Option(row) for row in rows(offers))
            menu.set_class(not offers, "hidden")
            if offers:
                menu.highlighted = next((i for i, offer in enumerate(offers) if offer.name == kept), 0)
        self._draw()

    def _say(self, words: Instead) -> None:
        self.set_title("Outputs")
        self.set_subtitle("")
        self.query_one(Menu).set_class(True, "hidden")
        self.query_one(Static).update(
            content(words, host_of(self).config.ascii, keys_of(self), self.content_size.width or 40)
        )

    def _draw(self) -> None:
        """Show the text with its marks, from the line on that is marked for the offer under the cursor."""
        here = self.query_one(Menu).highlighted if self.shown.offered.offers else None
        self.query_one(Static).update(marked(self.shown, here))
        places = self.shown.places[here] if here is not None and here < len(self.shown.places) else ()
        line = places[-1].line if places else len(self.shown.lines)
        self.call_after_refresh(self._go_to, line)

    def _go_to(self, line: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_to(y=max(0, line - scroll.size.height // 2), animate=False)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if self.shown.task is not None:
            self._draw()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        offers = self.shown.offered.offers
        if event.option_index < len(offers):
            self.post_message(self.Taken(self.shown.offered, offers[event.option_index]))


def marked(shown: Printed, here: int | None) -> Content:
    """Return the text of outputs with the marks of all offers. here: the offer whose last value stands out."""
    if not shown.lines:
        return Content.styled("it has printed nothing", MUTED)
    lines = [Content(one_for_one(line)) for line in shown.lines]
    for number, places in enumerate(shown.places):
        for place in places:
            line = lines[place.line].stylize("$text-success", place.start, place.end)
            lines[place.line] = line.stylize("bold underline", *place.value)
        if number == here and places:
            last = places[-1]
            lines[last.line] = lines[last.line].stylize("reverse", *last.value)
    if shown.errors:
        lines.insert(len(lines) - shown.errors, Content.styled("stderr:", MUTED))
    if len(shown.lines) >= MOST:
        lines.insert(0, Content.styled(f"… the last {MOST} lines", MUTED))
    return Content("\n").join(lines)
