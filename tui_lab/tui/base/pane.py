"""A pane: one of the seven views of a lab. The app opens panes, gives them snapshots, and knows their actions."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual import on
from textual.containers import Vertical
from textual.events import DescendantFocus
from textual.widget import Widget

from tui_lab.tui.base.actions import Action, bindings

if TYPE_CHECKING:
    from tui_lab.tui.app.app import LabApp
    from tui_lab.tui.base.snapshot import LabSnapshot


PATIENT: Final = 2.0
"""Seconds that keys wait for what they are meant for."""
NO_LAB: Final = "there is no lab yet: run an experiment first"


def nothing(snapshot: LabSnapshot, empty: str) -> str:
    """Why there is nothing of a lab to show; `empty` where it can be read."""
    if snapshot.problem or snapshot.lab is not None:
        return snapshot.problem or empty
    return NO_LAB if snapshot.taken else "reading the lab"


class Pane(Vertical, can_focus=True):
    """Base class. A pane takes the focus itself only where it holds nothing else that does."""

    NAME: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    HELP: ClassVar[str] = ""  # Markdown, above the keys

    def __init_subclass__(cls, **options: Any) -> None:
        if "ACTIONS" in vars(cls):
            cls.BINDINGS = bindings(cls.ACTIONS)
        super().__init_subclass__(**options)

    _let_go: Callable[[], None] | None = None

    @property
    def lab_app(self) -> LabApp:
        return cast("LabApp", self.app)

    def hold_keys(self) -> None:
        """Let the keys that come now wait for what a worker reads: they are meant for it. Not longer than PATIENT,
        and not those that lead away from it."""
        let_go, self._let_go = self._let_go, self.lab_app.hold_input(PATIENT, rows=True)
        if let_go is not None:
            let_go()

    def let_keys_go(self) -> None:
        """What they waited for is there."""
        if self._let_go is not None:
            self._let_go()
            self._let_go = None

    @on(DescendantFocus)
    def _focus_came(self) -> None:
        """A pane that was left before it was ready takes no keys from the one that is visible now."""
        shown = getattr(self.app, "pane", self)
        if shown is not self and shown is not None:
            shown.focus_first()

    def call_after_refresh(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """What is typed meanwhile waits for the callback: it may move the focus, or be what a key asked for."""
        release = self.lab_app.hold_input()

        async def call() -> None:
            try:
                found = callback(*args, **kwargs)
                if isawaitable(found):
                    await found
            finally:
                release()

        asked = super().call_after_refresh(call)
        if not asked:
            release()
        return asked

    @property
    def unsaved(self) -> str:
        """What would be lost by leaving, for people; empty where there is nothing."""
        return ""

    def keep_unsaved(self) -> str:
        """Keep it aside for the next time. Why that can't be done; empty where it is."""
        return ""

    def show(self, snapshot: LabSnapshot) -> None:
        """Take in a new snapshot. Called only while the pane is visible, and once when it becomes visible."""

    def worker_failed(self, text: str) -> None:
        """A worker of this pane ended with an error that nobody foresaw: show it where its answer is waited for."""

    def focus_first(self) -> None:
        """Put the cursor where a person begins, each time the pane is opened."""
        for widget in self.query("*"):
            if widget.focusable and not is_text(widget):
                widget.focus()
                return
        self.focus()

    def leave_text(self) -> None:
        """`escape` in a text field: the focus goes to what is nearest to it and no text field."""
        self.focus_first()
        if is_text(self.screen.focused):
            self.focus()


def is_text(widget: Widget | None) -> bool:
    """Whether printable keys belong to this widget."""
    return widget is not None and widget.check_consume_key("x", "x")
