"""A pane: one of the eight views of a lab. The app opens panes, gives them snapshots, and knows their actions.

Of the app, panes know what `Host` names: so neither imports the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar, cast

from textual import on
from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.events import DescendantFocus
from textual.widget import Widget

from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.base.empty import Empty, Instead, Keys

if TYPE_CHECKING:
    import polars as pl
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

    from tui_lab.client.control import Operation
    from tui_lab.client.submission import Choice
    from tui_lab.engine.client import EngineClient
    from tui_lab.results.charts.colours import Palette
    from tui_lab.results.charts.model import Request
    from tui_lab.store.lab import Lab
    from tui_lab.tui.base.charted import Charted
    from tui_lab.tui.base.config import Config
    from tui_lab.tui.base.screen_terminal import ScreenTerminal
    from tui_lab.tui.base.selection import Chosen
    from tui_lab.tui.base.snapshot import LabSnapshot

T = TypeVar("T")


PATIENT: Final = 2.0
"""Seconds that keys wait for what they are meant for."""
NO_LAB: Final = "there is no lab yet: run an experiment first"
NO_EXPERIMENT: Final = ("app.experiment", "opens a file of an experiment, to run it")
"""The action where nothing was run yet, and what it does."""


def nothing(snapshot: LabSnapshot, empty: Empty) -> Instead:
    """Return why there is nothing to show of a lab; `empty` where the lab can be read."""
    if snapshot.problem or snapshot.lab is not None:
        return snapshot.problem or empty
    return empty if snapshot.taken else "reading the lab"


class Host(Protocol):
    """The app as its parts know it; `LabApp` says what each method does."""

    ACTIONS: ClassVar[tuple[Action, ...]]
    lab_path: Path
    lab: Lab | None
    file: Path | None
    place_in_file: tuple[int, int] | None
    config: Config
    chosen: Chosen | None
    task_sources: MutableMapping[tuple[str, str, str], Any]
    palette: Palette
    charted: Charted | None
    theme: str
    terminal: ScreenTerminal

    @property
    def pane(self) -> Pane | None:
        """The pane that is visible."""
        ...

    @property
    def current(self) -> str | None:
        """The name of the experiment that all panes show."""
        ...

    @current.setter
    def current(self, name: str | None) -> None: ...
    @property
    def snapshot(self) -> LabSnapshot:
        """What the watcher read last."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether the app runs (Textual)."""
        ...

    @property
    def screen(self) -> Screen[object]:
        """The screen on top (Textual)."""
        ...

    def call_later(self, callback: Callable[..., object], *args: object) -> bool:
        """Call a function once the waiting messages are handled (Textual)."""
        ...

    async def run_action(self, action: str, default_namespace: DOMNode | None = None) -> bool:
        """Run an action by its name (Textual)."""
        ...

    def open_pane(self, name: str) -> Pane:
        """Make a pane visible; return it."""
        ...

    def show_pane(self, name: str) -> None:
        """Make a pane visible and give it the focus."""
        ...

    def open_task(self, experiment: str, task_id: int) -> None:
        """Show a task in the Tasks pane, with its log."""
        ...

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        ...

    def lead_to(self, name: str, experiment: str | None = None) -> None:
        """Show a pane, perhaps with another experiment; going back leads here."""
        ...

    def show_failures(self) -> None:
        """Show why tasks failed, in the Tasks pane."""
        ...

    def open_query(self, sql: str) -> None:
        """Run a query in the Query pane."""
        ...

    def open_chart(self, frame: pl.DataFrame, title: str, request: Request | None = None) -> None:
        """Show a frame in the Chart pane."""
        ...

    def show_charted(self, charted: Charted | None) -> None:
        """Mark in tables what has a colour in a chart that is shown now; None where nothing has."""
        ...

    def launching(self, experiment: str) -> None:
        """Report what becomes of an experiment that is launched from here, however soon it ends."""
        ...

    def open_file(self, path: Path, at: tuple[int, int] | None = None) -> None:
        """Open a file in the Experiment pane. at: line and column of the cursor, from 0."""
        ...

    def open_text(self, path: Path, text: str, origin: str, choice: Choice | None = None) -> None:
        """Open another text of a file, not saved. origin: where it is from, as shown. choice: ask whether to run that
        of it."""
        ...

    def brings_back(self, experiment: str) -> bool:
        """Return whether the key for undo runs the tasks of an experiment again that were stopped."""
        ...

    def arrangements(self, pane: str) -> dict[str, str]:
        """Return how a pane's panels were arranged; what is put into it is kept."""
        ...

    def back(self) -> bool:
        """Go back to where the user came from; return whether there is such a place."""
        ...

    def change_lab(self, path: Path) -> None:
        """Show another lab."""
        ...

    def refresh_snapshot(self) -> None:
        """Read the lab now, as after a command to the engine."""
        ...

    def engine(self) -> EngineClient:
        """Connect to the engine; start one where none is alive. Only in a thread. Raises LabError."""
        ...

    def write_to_terminal(self, text: str) -> None:
        """Write an escape sequence to the terminal. Also from a worker's thread."""
        ...

    def command_environment(self) -> dict[str, str]:
        """Return the environment of commands that are launched from here."""
        ...

    def hold_input(self, seconds: float = ..., rows: bool = ...) -> Callable[[], None]:
        """Let typed keys wait until the returned function is called."""
        ...

    async def before_question(self, answer: Awaitable[T]) -> T:
        """Await what a question needs, while typed keys wait."""
        ...

    async def confirm(self, title: str, body: str, yes: str) -> bool:
        """Ask before something that can't be undone. Only in a worker."""
        ...

    async def ask(self, dialog: Screen[T]) -> T:
        """Show a dialog, and return its answer. Only in a worker."""
        ...

    def stream(self, title: str, module: Sequence[str], *, tied: bool = False) -> object:
        """Run a module of Python on the machine of the lab, its output in a panel while it comes. module: its name and
        its words, with paths as they are there. tied: it ends when its standard input is closed."""
        ...

    def operate(self, make: Callable[[], Operation]) -> object:
        """Carry out an operation on what runs: say what it does, do it, offer to undo it. make: in a thread; it may
        raise LabError."""
        ...

    def key(self, action: str, in_text: bool = False) -> str:
        """Return the key of an action, by its id, as it is written in a sentence. in_text: one that acts in a text
        field, too."""
        ...

    def tell(self, text: str, severity: SeverityLevel = ...) -> None:
        """Show a short message. Also from a worker's thread."""
        ...

    def tell_away(self) -> None:
        """Say that what the user asks for waits, if the machine of the lab is away. Also from a worker's thread."""
        ...

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboard, and say so. what: its name, as shown."""
        ...

    def worker_failed(self, node: DOMNode, error: Exception, trace: str) -> None:
        """Report an unexpected error of a worker, and keep its traceback."""
        ...


def host_of(node: DOMNode) -> Host:
    """Return the app that shows a widget."""
    return cast("Host", node.app)


def keys_of(node: DOMNode) -> Keys:
    """Return what gives the keys of actions, for a text in a widget."""
    return lambda action: host_of(node).key(action)


class HeldKeys:
    """Typed keys that wait for what a worker of a widget reads: they are for that. Not longer than `patience` seconds,
    and not the keys that lead away. Each thing that is waited for has one of its own."""

    def __init__(self, widget: DOMNode, patience: float = PATIENT) -> None:
        self._widget = widget
        self._patience = patience
        self._let_go: Callable[[], None] | None = None

    def hold(self) -> None:
        """Let the keys wait, from now on."""
        before, self._let_go = self._let_go, host_of(self._widget).hold_input(self._patience, rows=True)
        if before is not None:
            before()

    def let_go(self) -> None:
        """Let the waiting keys act."""
        if self._let_go is not None:
            self._let_go()
            self._let_go = None


class Pane(Vertical, can_focus=True):
    """Base class of panes. A pane takes the focus itself only if nothing in it does."""

    NAME: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    HELP: ClassVar[str] = ""  # Markdown, above the keys

    def __init_subclass__(cls, **options: Any) -> None:
        if "ACTIONS" in vars(cls):
            cls.BINDINGS = bindings(cls.ACTIONS)
        super().__init_subclass__(**options)

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._keys = HeldKeys(self)

    @property
    def lab_app(self) -> Host:
        """The app, as panes know it."""
        return host_of(self)

    def hold_keys(self) -> None:
        """Let typed keys wait for what a worker reads."""
        self._keys.hold()

    def let_keys_go(self) -> None:
        """Let the waiting keys act."""
        self._keys.let_go()

    @on(DescendantFocus)
    def _focus_came(self) -> None:
        """Give the focus to the visible pane, if this one was left before it was ready."""
        shown = getattr(self.app, "pane", self)
        if shown is not self and shown is not None:
            with suppress(NoMatches):  # the visible one has nothing in it: it comes only now, or the app is ending
                shown.focus_first()

    def call_after_refresh(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call a function after the next refresh. Typed keys wait for it: it may move the focus, or answer a key."""
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
    def experiment_here(self) -> str | None:
        """The experiment under the cursor, where a pane shows several."""
        return None

    @property
    def node_here(self) -> str | None:
        """The node under the cursor, where a pane shows nodes."""
        return None

    def place(self) -> object:
        """Return what `go` needs to show again what is shown now, with the row under the cursor. Equal places are
        equal."""
        return None

    def go(self, place: object) -> None:
        """Show again what was shown at a place, to which the user goes back."""

    @property
    def unsaved(self) -> str:
        """What leaving would lose, as shown; empty if nothing."""
        return ""

    def keep_unsaved(self) -> str:
        """Keep a copy of what is unsaved for the next start. Return why that can't be done; empty where it is."""
        return ""

    def show(self, snapshot: LabSnapshot) -> None:
        """Take in a new snapshot. Called only while the pane is visible, and once when it becomes visible."""

    def worker_failed(self, text: str) -> None:
        """Show an unexpected error of a worker of this pane, in place of its result."""

    def focus_first(self) -> None:
        """Focus the part in which work begins, each time the pane is opened."""
        for widget in self.query("*"):
            if widget.focusable and not is_text(widget):
                widget.focus()
                return
        self.focus()

    def leave_text(self) -> None:
        """Move the focus from a text field to the nearest part that is none: `escape`."""
        self.focus_first()
        if is_text(self.screen.focused):
            self.focus()


def is_text(widget: Widget | None) -> bool:
    """Return whether printable keys are text for a widget."""
    return widget is not None and widget.check_consume_key("x", "x")
