"""The History pane: the submissions of the lab and their results; two of them compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

import polars as pl
from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui_lab.client.submissions import submissions
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, nothing
from tui_lab.tui.base.snapshot import LabSnapshot
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.history.compare import Comparing
from tui_lab.tui.panes.history.formatting import (
    Submission,
    address,
    columns,
    command,
    detail,
    heading,
    submissions_frame,
    when,
)
from tui_lab.tui.widgets.panels.layout import Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.table.table import FrameTable

if TYPE_CHECKING:
    from textual.events import Resize

    from tui_lab.store.events import Ended, Paused
    from tui_lab.store.lab import Lab


Stand: TypeAlias = "tuple[int, bool, Ended | None, Paused | None]"
"""What changes when an experiment has new submissions, or they stand otherwise."""


class Submissions(FrameTable):
    """Leaves `y` and enter to the pane."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y,enter", "pass_on", show=False)]

    def action_pass_on(self) -> None:
        raise SkipAction


class HistoryPane(Pane):
    """The pane with all submissions of the lab."""

    NAME = "history"
    TITLE = "History"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("history.tasks", "t,enter", "Tasks", "Make its experiment the current one, and show its tasks."),
        Action("history.reopen", "o,e", "Reopen", "Open the experiment file as it was submitted, in the editor."),
        Action("history.mark", "space", "Mark", "Mark this submission, to compare two."),
        Action("history.compare", "c", "Compare", "Compare the two marked ones, or this one with the previous one."),
        Action("history.copy", "y", "Copy command", "Copy its command line.", shown=False),
    )
    HELP = """
Each request to run tasks is a **submission**: `grid#2` is the second one of the experiment `grid`. *tasks* counts the
plan as a whole, *asked* those that were to run: the rest had their results already.

Reopening puts the file's text of that time into the editor, unsaved. Undo brings the present text back; saving replaces
the file, and a run finds its earlier results.

Comparing shows what changed in the file, which tasks were added and removed, which program files changed, and the
results of both, setting by setting, those that differ most first.
"""
    DEFAULT_CSS = """
    HistoryPane {
        & #submission-panel { height: auto; max-height: 50%; }
        & #submission { height: auto; padding: 0 1; }
    }
    """

    known: dict[str, tuple[Stand, list[Submission]]] = {}  # noqa: RUF012 (each pane puts its own in its place)
    listed: dict[str, Submission] = {}  # noqa: RUF012

    def compose(self) -> ComposeResult:
        yield PanelRow(
            Panel(Submissions(id="submissions", key="address", frozen=1), title="Submissions", id="submission-list"),
            Panel(Static(id="submission"), id="submission-panel"),
            rooms={"submission-list": Room(70, 3), "submission-panel": Room(50, 2)},
            arrangements=((("submission-list", "submission-panel"),), (("submission-list",), ("submission-panel",))),
            chosen=self.lab_app.arrangements(self.NAME),
            absent=("submission-panel",),
        )

    def on_mount(self) -> None:
        self.known = {}
        self.table.placeholder = "reading the history"

    @property
    def table(self) -> FrameTable:
        """The table of submissions."""
        return self.query_one(FrameTable)

    def show(self, snapshot: LabSnapshot) -> None:
        state = {one.name: (one.submissions, one.active, one.ended, one.paused) for one in snapshot.experiments}
        if state != {name: seen for name, (seen, _) in self.known.items()} and snapshot.lab is not None:
            if not self.listed:
                self.hold_keys()
            self._read(snapshot.lab, state)
        elif not state:
            self.table.placeholder = nothing(snapshot, Empty("No submissions yet", *NO_EXPERIMENT))
            if self.listed:
                self._take({})

    def on_resize(self, event: Resize) -> None:
        self._fill()

    @work(thread=True, exclusive=True, group="history")
    def _read(self, lab: Lab, state: dict[str, Stand]) -> None:
        """Read the submissions of experiments in which something has changed."""
        found: dict[str, tuple[Stand, list[Submission]]] = {}
        for name, seen in state.items():
            if name in self.known and self.known[name][0] == seen:
                found[name] = self.known[name]
                continue
            try:
                all_of_it = submissions(lab.experiment(name))
            except (LabError, OSError) as error:
                self.lab_app.tell(f"{name}: {error}", "error")
                all_of_it = []
            last = len(all_of_it)
            listed: list[Submission] = [
                {**one, "experiment": name, "going": seen[1] and one["number"] == last} for one in all_of_it
            ]
            found[name] = (seen, listed)
        deliver(self, self._take, found)

    def worker_failed(self, text: str) -> None:
        self.let_keys_go()
        self.table.placeholder = text
        self.table.refresh()

    def _take(self, found: dict[str, tuple[Stand, list[Submission]]]) -> None:
        self.known = found
        self.listed = {address(one): one for _, ones in found.values() for one in ones}
        self._fill()
        self.let_keys_go()

    @on(PanelRow.Arranged)
    def _fill(self) -> None:
        found = list(self.listed.values())
        title = f"Submissions  {len(found):,}" if found else "Submissions"
        self.query_one("#submission-list", Panel).set_title(title)
        if not found:
            self.table.set_frame(pl.DataFrame())
            self._show_detail()
            return
        frame = submissions_frame(found, self.lab_app.config.ascii)
        self.table.set_frame(frame, columns=columns(found, self.query_one(PanelRow).width_of("submission-list")))
        self._show_detail()

    @property
    def submission(self) -> Submission | None:
        """The submission under the cursor."""
        return self.listed.get(self.table.key_at(self.table.cursor_row))

    @property
    def experiment_here(self) -> str | None:
        return None if self.submission is None else str(self.submission["experiment"])

    def place(self) -> object:
        return self.table.key_at(self.table.cursor_row)

    def go(self, place: object) -> None:
        self.table.go_to(place)

    @on(FrameTable.RowHighlighted)
    def _show_detail(self) -> None:
        one = self.submission
        text = detail(one, self.lab_app.config.ascii) if one is not None else Content()
        panel = self.query_one("#submission-panel", Panel)
        self.query_one(PanelRow).set_present("submission-panel", one is not None)
        panel.set_title(heading(one) if one is not None else "")
        self.query_one("#submission", Static).update(text)

    @on(FrameTable.RowSelected)
    def action_tasks(self) -> None:
        if self.submission is not None:
            self.lab_app.lead_to("tasks", self.submission["experiment"])

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_copy(self) -> None:
        if self.submission is not None:
            self.lab_app.copy(command(self.submission), "the command")

    @work(thread=True, group="history-file")
    def action_reopen(self) -> None:
        one, lab = self.submission, self.lab_app.lab
        if one is None or lab is None:
            return
        folder = lab.experiment(one["experiment"])
        try:
            path = folder.file(one["plan"])
            text = folder.spec_text(one["plan"])
        except (LabError, OSError, UnicodeDecodeError) as error:
            self.lab_app.tell(f"{address(one)}: {error}", "error")
            return
        origin = f"as submitted on {when(one['at'])[:16]} (#{one['number']})"
        self.app.call_from_thread(self.lab_app.open_text, path, text, origin)

    def action_compare(self) -> None:
        """Compare two submissions, the older one first."""
        chosen = [self.listed[name] for name in self.table.marked if name in self.listed]
        here = self.submission
        if not chosen and here is not None:
            before = self.listed.get(f"{here['experiment']}#{here['number'] - 1}")
            chosen = [before, here] if before is not None else []
        if len(chosen) == 1 and here is not None and here is not chosen[0]:
            chosen.append(here)
        if len(chosen) != 2 or self.lab_app.lab is None:
            mark, compare = (self.lab_app.key(f"history.{action}") for action in ("mark", "compare"))
            self.lab_app.tell(f"mark two with {mark}, then {compare} compares them", "warning")
            return
        first, second = sorted(chosen, key=lambda one: one["at"])
        self.app.push_screen(Comparing(self.lab_app.lab, first, second))
