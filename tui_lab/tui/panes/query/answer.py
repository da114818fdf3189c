"""The answer to a query: its rows, and in one line what is to be known of them."""

from __future__ import annotations

from typing import Final

import polars as pl
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from tui_lab.client.formatting import span
from tui_lab.results.export.output import Format, OutputError
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.panes.query.files import as_text
from tui_lab.tui.panes.query.run import Answer
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.table.table import FrameTable, next_order

NO_ROWS: Final = Empty("The rows of the answer are shown here", "query.run", "runs the query")


class AnswerView(Panel):
    """The table of an answer, with its status line."""

    DEFAULT_CSS = """
    AnswerView {
        & > #query-status { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
        & > #query-status.failed { color: $text-error; }
        & > FrameTable { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__(title="Answer", id="answer-panel")
        self.line = Static("", id="query-status", markup=False)
        self.table = FrameTable(id="answer")
        self.answer = Answer(pl.DataFrame())
        self.said = ""
        """What the line says now."""
        self._more = False

    def compose(self) -> ComposeResult:
        yield self.line
        yield self.table

    def on_mount(self) -> None:
        self.table.placeholder = NO_ROWS

    def say(self, text: str, failed: bool = False, mark: str = "") -> None:
        """Show a text in the line below the rows."""
        self.said = text
        self.line.set_class(failed, "failed")
        self.line.update(Text(f"{mark} {text}" if mark else text))

    def running(self, seconds: float, cancelled: bool) -> None:
        """Show that a query runs, and for how long."""
        self.say(
            "cancelling ..."
            if cancelled
            else f"running, {seconds:.1f} s    {host_of(self).key('query.cancel')}: cancel"
        )

    def fail(self, message: str, place: tuple[int, int] | None = None) -> None:
        """Show an error; place: (line, column) in the query, from 0."""
        where = f"{place[0] + 1}:{place[1] + 1}: " if place is not None else ""
        self.say(where + message, failed=True, mark="!" if self.table.ascii else "✗")

    def clear(self) -> None:
        """Show no rows."""
        self.answer, self.table.placeholder = Answer(pl.DataFrame()), NO_ROWS
        self.table.set_frame(self.answer.frame)

    def show_answer(self, answer: Answer, more: bool, again: bool) -> None:
        """`more`: a key shows more rows, where some are cut. `again`: the same query, so the order stays."""
        self.answer, self._more = answer, more
        table = self.table
        frame = answer.frame
        unique = "task_id" in frame.columns and frame["task_id"].n_unique() == frame.height
        table.key = "task_id" if unique else None
        table.placeholder = Empty("The answer has no rows", "query.run", "asks again")
        kept = table.sort_by if again and table.sort_by and table.sort_by[0] in frame.columns else None
        table.sort_by = kept
        self._fill()
        if not again:
            table.cursor_row = table.cursor_column = 0
            table.scroll_home(animate=False)
        self._tell()

    def counted(self, total: int) -> None:
        """Show how many rows the whole answer has."""
        self.answer = Answer(self.answer.frame, True, total, self.answer.notes, self.answer.seconds)
        self._tell()

    def _tell(self) -> None:
        answer = self.answer
        shown = f"{answer.frame.height:,}"
        if answer.cut:
            total = f"{answer.total:,}" if answer.total is not None else "more"
            text = f"{shown} of {total} rows" + (" (L: all)" if self._more else " (x: export all)")
        else:
            text = f"{shown} row{'' if answer.frame.height == 1 else 's'}"
        columns = f"{answer.frame.width} column{'' if answer.frame.width == 1 else 's'}"
        self.say("  ".join([f"{text}, {columns}, {span(answer.seconds)}", *answer.notes]))

    def _fill(self) -> None:
        frame, order = self.answer.frame, self.table.sort_by
        if order is not None:
            try:
                frame = frame.sort(order[0], descending=order[1], nulls_last=True, maintain_order=True)
            except pl.exceptions.PolarsError:
                self.table.sort_by = None  # values without an order, as of lists
        self.table.set_frame(frame, total=self.answer.total)

    def copy(self, format: Format) -> None:
        """Put the rows into the clipboard, as they are sorted."""
        frame, app = self.table.frame, host_of(self)
        try:
            text = as_text(frame, format)
        except OutputError as error:
            app.tell(str(error), "warning")
            return
        app.copy(text, f"{frame.height:,} rows as {'Markdown' if format == 'markdown' else 'TSV'}")

    @on(FrameTable.HeaderSelected)
    def _sort(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        self.table.sort_by = next_order(self.table.sort_by, event.column)
        self._fill()
