"""A pane that another package could bring: the names of the experiments, and no more."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.pane import Pane
from tui_lab.tui.base.snapshot import LabSnapshot


class NamesPane(Pane):
    """One line, and a key that copies it."""

    NAME: ClassVar[str] = "names"
    TITLE: ClassVar[str] = "Names"
    HELP: ClassVar[str] = "The names of all experiments."
    ACTIONS: ClassVar[tuple[Action, ...]] = (Action("names.shout", "s", "Shout", "Say the names aloud."),)

    def compose(self) -> ComposeResult:
        yield Static(id="names", markup=False)

    def show(self, snapshot: LabSnapshot) -> None:
        self.query_one("#names", Static).update(", ".join(one.name for one in snapshot.experiments))

    def action_shout(self) -> None:
        self.lab_app.tell(str(self.query_one("#names", Static).render()).upper())
