"""The screen: eight panes on one lab. It follows the journals, as every client does, and decides nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from weakref import WeakValueDictionary

from rich.segment import Segment
from textual import events, on
from textual.app import App, ComposeResult
from textual.color import Color
from textual.command import Provider
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.reactive import reactive
from textual.widgets import ContentSwitcher

from tui_lab.protocol.control import Resume
from tui_lab.results.charts.colours import Palette
from tui_lab.results.terminal import glyphs
from tui_lab.store import mirrors
from tui_lab.tui.app.actions import ACTIONS
from tui_lab.tui.app.control import LabControl
from tui_lab.tui.app.frame.keys import Keys
from tui_lab.tui.app.frame.lab_line import LabLine
from tui_lab.tui.app.frame.notice import Notice
from tui_lab.tui.app.frame.runs import Runs
from tui_lab.tui.app.frame.tabs import Tabs
from tui_lab.tui.app.input_order import LONGEST, InputOrder, drop_typed
from tui_lab.tui.app.places import Place, Places
from tui_lab.tui.app.watcher import Watcher
from tui_lab.tui.base import panes, themes
from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.base.collector import settle
from tui_lab.tui.base.config import Config, SavedState, keep_traceback, state_folder
from tui_lab.tui.base.notify import Notifier, notifications
from tui_lab.tui.base.pane import Host, Pane, is_text
from tui_lab.tui.base.questions import Questions
from tui_lab.tui.base.snapshot import LabSnapshot, SnapshotTaken
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow

if TYPE_CHECKING:
    import polars as pl
    from textual.driver import Driver
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

    from tui_lab.client.control import Operation
    from tui_lab.client.submission import Choice
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.lab import Lab
    from tui_lab.tui.app.command_line.run import Lines
    from tui_lab.tui.base.charted import Charted
    from tui_lab.tui.base.selection import Chosen


# --- The last step of painting where a terminal shows ASCII only: every sign, ours or Textual's, becomes a plain one
class PlainSigns(LineFilter):
    """Replaces signs by ASCII in all lines that are painted, so that no pane needs to."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [Segment(glyphs.plain(text), style, control) for text, style, control in segments]


# --- Another engine in place of one that died: what was going goes on, with the environment of this screen
def start_engine(app: LabApp) -> tuple[str, SeverityLevel]:
    """Start an engine where none is alive, and resume. Return the message for the user. Blocks."""
    from tui_lab.store.errors import LabError

    snapshot = app.snapshot
    left = [one.name for one in snapshot.experiments if one.queued and not (one.ended or one.paused or one.drained)]
    if snapshot.lab is None or not left:
        return "nothing was running: the next run starts an engine", "information"
    try:
        client = app.engine()
        for name in left:
            client.request(Resume(name, app.command_environment()))
        client.close()
    except LabError as error:
        return str(error), "error"
    return f"an engine is running again: {', '.join(left)}", "information"


AWAY: Final = ("show_pane", "command_palette", "command_line", "go_back", "go_forward", "jump")
"""Actions that wait until a question is answered."""
STATE_FILE: Final = "screen.json"
LEAVING: Final = 0.3  # seconds that the watcher has for its end
RESUMED: Final = 0.1  # seconds after `fg` in which the terminal changes to the screen's own page
READING: Final[dict[SeverityLevel, float]] = {"information": 1.0, "warning": 1.0, "error": 5.0}
"""Seconds that a short message stays at least, whatever is typed."""


def _commands() -> type[Provider]:
    from tui_lab.tui.app.palette import Commands

    return Commands


LONGEST_PASTE: Final = 200_000  # characters; more than that takes text fields many seconds

T = TypeVar("T")


@contextmanager
def _signals_ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Do nothing at some signals. Programs that are started meanwhile get them, which SIG_IGN would prevent."""
    before = [(number, signal.signal(number, lambda *_: None)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class LabApp(App[int]):
    """The app. Panes call the methods below; they don't know each other."""

    TITLE = "TUI Lab"
    CSS_PATH = "lab.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    COMMAND_PALETTE_BINDING = "f20"  # ctrl+p is an action of ours, like every other
    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS = bindings(ACTIONS)
    # Classes of the screen: small ones have less of a frame.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 (no class variable in Textual)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]  # noqa: RUF012

    # What shows them is bound to them: the rest of the screen need not be painted again.
    current: reactive[str | None] = reactive(None, init=False, repaint=False)
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot(), init=False, repaint=False)

    def __init__(
        self,
        lab_path: Path,
        *,
        file: Path | None = None,
        place: tuple[int, int] | None = None,
        config: Config | None = None,
        first: str | None = None,
        driver_class: type[Driver] | None = None,
        commands: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """place: where the cursor stands in the file at first, line and column from 1. first: the pane of a lab that is
        shown first; None for the one that was left last. driver_class: what paints in another place than the terminal,
        as in a browser. commands: the subcommands of `tui-lab`, each with its line of help; asked for when a command is
        typed."""
        super().__init__(driver_class)
        self.lab_path = lab_path
        self.lab: Lab | None = None
        self.file = file  # the experiment file that was named last
        self.place_in_file = place
        self.config = config or Config()
        self.saved_state = SavedState(state_folder() / STATE_FILE, lab_path)
        self._watcher = Watcher(lab_path, self.config.refresh, self.post_message)
        self._read_by: float | None = None  # when the short messages on the screen were there for long enough
        notify = self.config.notify if driver_class is None else "off"
        self._notifier = Notifier(notify, self.config.notify_command, os.environ)
        self._input = InputOrder(self, self._is_way_out)
        self._ways_out = {one.action for one in ACTIONS if one.leads_away}
        self._control = LabControl(self)
        self._commands = commands
        self._places = Places()
        self._wanted_pane = first
        self._panes: dict[str, Pane] = {}  # those that were opened, by name
        self.pane: Pane | None = None  # the one that is visible
        self.palette = Palette()
        self.charted: Charted | None = None  # what has a colour in the chart that was shown last
        self.chosen: Chosen | None = None  # tasks that the Tasks pane is narrowed to
        self.task_sources: MutableMapping[tuple[str, str, str], Any] = WeakValueDictionary()  # that panes share
        for theme in themes.OWN:
            self.register_theme(theme)
        chosen = self.config.theme or self.saved_state.get("theme", themes.DARK.name)
        chosen = chosen if chosen in self.available_themes else themes.DARK.name
        few = not self.config.theme and self.console.color_system == "standard"
        self.theme = themes.of_few_colours(self.available_themes[chosen]) if few else chosen
        self._theme_at_start = self.theme
        self._plain_signs = PlainSigns(self.config.ascii)
        self.questions = Questions(self, self.write_to_terminal)
        self.set_keymap(self.config.keys)

    def compose(self) -> ComposeResult:
        yield LabLine().data_bind(LabApp.snapshot, LabApp.current)
        yield Runs().data_bind(LabApp.snapshot, LabApp.current)
        yield Tabs()
        yield Notice()
        yield ContentSwitcher(id="panes")
        yield Keys()

    def on_mount(self) -> None:
        first = self._first()
        if first == panes.WELCOME:  # it needs nothing heavy
            self.show_pane(first)
        self.call_after_refresh(self._begin, first, self.hold_input())
        self.app_resume_signal.subscribe(self, lambda _: self.set_timer(RESUMED, self.action_redraw))

    def on_unmount(self) -> None:
        self._watcher.close(LEAVING)
        if self.theme != self._theme_at_start:  # that a terminal shows few colours is no choice
            self.saved_state.put("theme", self.theme)
        self.saved_state.put_of_lab("experiment", self.current)
        self.saved_state.write()

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, self._plain_signs] if self._plain_signs.enabled else filters

    # --- Input

    async def on_event(self, event: events.Event) -> None:
        """Handle keys and clicks in order, each after the one before has had its effects."""
        if self.questions.takes(event):
            return
        if isinstance(event, (events.InputEvent, events.Paste)) and not event.is_forwarded:
            self._notifier.used()
            # Without a screen the app is being taken down. No action that goes before the focus waits for anything, so
            # the screen that is here now is here until the event is handed on.
            if not self.screen_stack or not self._input.admit(event):
                return
            if isinstance(event, events.Paste) and len(event.text) > LONGEST_PASTE:
                size = f"{len(event.text):,} characters; at most {LONGEST_PASTE:,} are the most"
                self.tell(f"that is too long to be pasted: {size}; a file is opened instead (1, then o)", "warning")
                return
            if isinstance(event, events.Key):
                self._clear_read()
            if isinstance(event, events.Key) and (letter := self._letter_after_escape(event)):
                self._input.after(letter)
                event = events.Key("escape", "\x1b")
        await super().on_event(event)

    def _clear_read(self) -> None:
        """Remove short messages once there was time to read them: they cover the pane."""
        if self._read_by is not None and time.monotonic() >= self._read_by:
            self._read_by = None
            self.clear_notifications()

    def _letter_after_escape(self, event: events.Key) -> events.Key | None:
        """Let the letter of an unused key with alt act: terminals send escape and a letter in the same way."""
        alt, _, letter = event.key.rpartition("+")
        if alt != "alt" or len(letter) != 1 or event.key in self.screen.active_bindings:
            return None
        return events.Key(letter, letter)

    async def action_simulate_key(self, key: str) -> None:
        """Let a key that was clicked in the footer act before what is typed after the click."""
        self._input.after(events.Key(key, None))

    def hold_input(self, seconds: float = LONGEST, rows: bool = False) -> Callable[[], None]:
        """Let typed keys wait until the returned function is called, because the pane, the question or the rows that
        they are for are not shown yet. Keys that lead elsewhere or out don't wait for `rows`. Only on the screen's
        thread."""
        return self._input.hold(seconds, rows)

    def _is_way_out(self, event: events.Event) -> bool:
        """Return whether an event opens another pane, or leaves the widget with the focus or the screen."""
        if not isinstance(event, events.Key) or not self.screen_stack:
            return False
        if event.key in ("ctrl+c", "escape"):
            return True
        active = self.screen.active_bindings.get(event.key)
        typed = event.is_printable and is_text(self.focused)
        return active is not None and active.node is self and not typed and active.binding.action in self._ways_out

    async def before_question(self, answer: Awaitable[T]) -> T:
        """Await what a question needs. Keys that are typed meanwhile wait, because they are for the question."""
        release = self.hold_input()
        try:
            return await answer
        finally:
            release()

    # --- Panes

    @work(thread=True, group="begin")
    def _begin(self, first: str, release: Callable[[], None]) -> None:
        """Open the first pane, then start the watcher, then import the other panes, in a thread: that takes longer than
        all of the above. Typed keys wait for the pane."""
        panes.load(first)
        self.call_from_thread(self._open_first, first)
        self.call_from_thread(release)
        self._watcher.start()
        for name in panes.NAMES:
            panes.load(name)
        self.call_from_thread(self._add_panes, panes.others())
        self._check_keys()
        settle()

    def _add_panes(self, names: tuple[str, ...]) -> None:
        """Give the panes of other packages tabs, and the keys that are left."""
        for name in names:
            action = f"show_pane('{name}')"
            self._ways_out.add(action)
            if digit := panes.digit(name):
                self.bind(f"{digit},alt+{digit}", action, description=panes.title(name), show=False)
        self.screen_stack[0].query_one(Tabs).others = names
        for problem in panes.PANES.problems():
            self.tell(problem, "error")

    def _check_keys(self) -> None:
        """Report configured keys of unknown actions: the panes' actions are known only now."""
        from tui_lab.experiment.yaml.problem import suggest
        from tui_lab.tui.app.palette import registry
        from tui_lab.tui.base.config import config_file

        known = [action.id for actions in registry().values() for action in actions]
        for name in self.config.keys:
            if name not in known:
                hint = suggest(name, known) or "the help lists them"
                self.tell(f"{config_file()}: keys.{name}: there is no such action; {hint}", "error")

    def _first(self) -> str:
        """Return the pane that the screen opens with."""
        if self.file is not None:
            return "experiment"
        if not (self.lab_path / "lab.json").exists():
            return panes.WELCOME
        kept = self._wanted_pane or self.saved_state.of_lab("pane") or ""
        return kept if kept in panes.NAMES else "tasks"

    def _first_experiment(self, names: Sequence[str]) -> str | None:
        """Return the experiment to look at first: that of the file if the lab has it, else that of last time."""
        if self.file is not None:
            from tui_lab.experiment.load import name_in

            if (named := name_in(self.file)) in names:
                return named
        return self.saved_state.of_lab("experiment")

    def _open_first(self, name: str) -> None:
        if self.pane is None and self.is_running:  # else someone was quicker, or has left
            self.show_pane(name)

    def mounted_panes(self) -> list[Pane]:
        """Return the panes that were opened so far."""
        return list(self._panes.values())

    def show_pane(self, name: str) -> None:
        """Make a pane visible and give it the focus."""
        pane = self.open_pane(name)
        pane.call_after_refresh(self._focus_in, pane)

    def _focus_in(self, pane: Pane) -> None:
        if pane is self.pane:  # else another one was opened meanwhile
            pane.focus_first()

    def open_pane(self, name: str) -> Pane:
        """Make a pane visible, and show it the snapshot; return it."""
        switcher = self.screen_stack[0].query_one("#panes", ContentSwitcher)
        pane = self._panes.get(name)
        if pane is None:
            pane = self._panes[name] = panes.load(name)()
            pane.id = f"pane-{name}"
            switcher.mount(pane)
        switcher.current = pane.id
        self.pane = pane
        self.screen_stack[0].query_one(Tabs).shown = name
        if name in panes.NAMES:
            self.saved_state.put_of_lab("pane", name)
        pane.call_after_refresh(self._show_in, pane)
        return pane

    def _show_in(self, pane: Pane) -> None:
        if pane is self.pane and pane.is_mounted:
            with self.batch_update():
                pane.show(self.snapshot)

    def _ask_pane(self, name: str, method: str, *words: Any) -> None:
        """Open a pane, and call its method once it is there."""
        pane = self.open_pane(name)
        pane.call_after_refresh(self._focus_in, pane)
        if hasattr(pane, method):
            pane.call_after_refresh(getattr(pane, method), *words)

    def open_task(self, experiment: str, task_id: int) -> None:
        """Show a task in the Tasks pane, with its log."""
        self._leaving()
        self.current = experiment
        self._ask_pane("tasks", "open_task", experiment, task_id)

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        self._leaving()
        self.current = experiment
        self._ask_pane("tasks", "show_tasks", experiment, where)

    def show_failures(self) -> None:
        """Show why tasks failed, in the Tasks pane."""
        self._ask_pane("tasks", "action_failures")

    def open_query(self, sql: str) -> None:
        """Run a query in the Query pane."""
        self._leaving()
        self._ask_pane("query", "open_query", sql)

    def open_chart(self, frame: pl.DataFrame, title: str, request: Any = None) -> None:
        """Show a frame in the Chart pane."""
        self._leaving()
        self._ask_pane("chart", "open_chart", frame, title, request)

    def open_file(self, path: Path) -> None:
        """Open a file in the Experiment pane."""
        self.file = path
        self._ask_pane("experiment", "open_file", path)

    def open_text(self, path: Path, text: str, origin: str, choice: Choice | None = None) -> None:
        """Open another text of a file, not saved, in the Experiment pane. origin: where it is from, as shown. choice:
        ask whether to run that of it."""
        self.file = path
        self._ask_pane("experiment", "open_text", path, text, origin, choice)

    def arrangements(self, pane: str) -> dict[str, str]:
        """Return how a pane's panels were arranged; what is put into it is kept."""
        return self.saved_state.table("arrangements", pane)

    # --- The lab

    @on(SnapshotTaken)
    def _snapshot_taken(self, message: SnapshotTaken) -> None:
        if not self.is_running or message.watcher is not self._watcher:
            return  # the screen is being taken down, or looks at another lab by now
        self.lab = message.snapshot.lab
        self.snapshot = message.snapshot

    def watch_snapshot(self, before: LabSnapshot, snapshot: LabSnapshot) -> None:

        names = [one.name for one in snapshot.experiments]
        if self.current not in names and not snapshot.problem:  # what can't be read now may be back soon
            kept = self._first_experiment(names) if self.current is None else None
            left, self.current = self.current, kept if kept in names else names[-1] if names else None
            if left is not None and before.lab is snapshot.lab:
                now = f"; this is {self.current}" if self.current is not None else ""
                self.tell(f"the experiment {left} is gone from the lab, or can't be read{now}", "warning")
        self._notice(snapshot)
        for one in notifications(before, snapshot):
            self.tell(one.text, one.severity)
            if self.config.bell:
                self.bell()
            if self._notifier.is_wanted(self.app_focus):
                self._notify_outside(one.text)
        self._show_current()

    @work(thread=True, group="notify")
    def _notify_outside(self, text: str) -> None:
        """Send a notification to a user who looks elsewhere."""
        title = f"{self.TITLE} {self.lab_path.absolute().name}"
        with promised():
            problem = self._notifier.send(title, text, self.write_to_terminal)
        self.tell(problem, "error")

    def watch_current(self) -> None:
        self._show_current()

    def _show_current(self) -> None:
        pane = self.pane
        if pane is not None:
            self._show_in(pane)

    def _notice(self, snapshot: LabSnapshot) -> None:
        line = self.screen_stack[0].query_one(Notice)
        if snapshot.died:
            line.show("The engine has died. Nothing is lost: F6 starts another one, and the run goes on.", True)
        elif snapshot.problem:
            line.show(snapshot.problem, True)
        elif damaged := [one.damage for one in snapshot.experiments if one.damage]:
            line.show(damaged[0], True)
        else:
            notes = [f"{one.name}: {one.note}" for one in snapshot.experiments if one.active and one.note]
            line.show("; ".join(filter(None, [snapshot.engine.notice if snapshot.engine is not None else "", *notes])))

    def change_lab(self, path: Path) -> None:
        """Show another lab."""
        self._watcher.close()
        self.lab_path, self.lab = path, None
        self.saved_state.turn_to(path)
        self._watcher = Watcher(path, self.config.refresh, self.post_message)
        self._watcher.start()
        self.show_pane("tasks")

    def refresh_snapshot(self) -> None:
        """Read the lab now, as after a command to the engine."""
        self._watcher.wake()

    def engine(self) -> EngineClient:
        """Connect to the lab's engine; start one where none is alive. Blocks: only in a worker's thread.

        Raises LabError.
        """
        from tui_lab.engine.client import EngineClient
        from tui_lab.store.lab import Lab

        return EngineClient.start(self.lab or Lab.create(self.lab_path))

    @contextmanager
    def foreground(self) -> Iterator[None]:
        r"""Lend the terminal to another program. What was typed meanwhile and is left unread was not meant for the
        screen, and is dropped; nor were ctrl+c and ctrl+\ meant for it. Only in the main thread.

        Raises SuspendNotSupported.
        """
        with self.suspend(), _signals_ignored(signal.SIGINT, signal.SIGQUIT):
            try:
                yield
            finally:
                drop_typed()

    def write_to_terminal(self, text: str) -> None:
        """Write an escape sequence to the terminal, between what is painted. Also from a worker's thread."""
        if self._driver is not None:  # Textual has no public way
            self._driver.write(text)

    @property
    def is_plain(self) -> bool:
        """Whether the screen is shown without colours or other signs than ASCII, or by no terminal."""
        return self.config.ascii or "NO_COLOR" in os.environ or self.is_web

    @property
    def shows_all_colours(self) -> bool:
        """Whether what is painted reaches a terminal with its colours unchanged."""
        return not self.is_plain and self.console.color_system == "truecolor"

    def command_environment(self) -> dict[str, str]:
        """Return the environment of commands that are launched from here: that of the machine of the lab."""
        side = mirrors.other_side(self.lab_path)
        return dict(os.environ if side is None else side.environment)

    # --- What panes ask of the screen

    def tell(self, text: str, severity: SeverityLevel = "information") -> None:
        """Show a short message in the corner; the next key removes it, once there was time to read it. Also from a
        worker's thread."""
        if text:
            self._read_by = max(self._read_by or 0.0, time.monotonic() + READING[severity])
            self.notify(text, severity=severity, markup=False)

    def tell_away(self) -> None:
        """Say that what the user asks for waits, if the machine of the lab is away. Also from a worker's thread."""
        side = mirrors.other_side(self.lab_path)
        if side is not None and side.trouble:
            self.tell(f"it waits for the connection to {side.host}", "warning")

    def worker_failed(self, node: DOMNode, error: Exception, trace: str) -> None:
        """Report an unexpected error of a worker, in its pane, too, and keep its traceback."""
        pane = next((one for one in node.ancestors_with_self if isinstance(one, Pane)), None)
        text = f"internal error: {type(error).__name__}: {error}"
        try:
            where = f"; its traceback is in {keep_traceback(trace)}"
        except OSError:
            where = ""
        self.tell(f"{pane.TITLE}: {text}{where}" if pane is not None else f"{text}{where}", "error")
        if pane is not None:
            pane.worker_failed(text)

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboard, also over SSH, and say so. what: its name, as shown."""
        from tui_lab.tui.base import clipboard

        try:
            environment = {} if self.is_web else os.environ  # tmux is not where a browser is
            place = clipboard.copy(text, self.copy_to_clipboard, state_folder(), environment)
        except OSError as error:
            self.tell(f"could not copy: {error}", "error")
        else:
            self.tell(f"copied {what} {place}".strip())

    async def confirm(self, title: str, body: str, yes: str) -> bool:
        """Ask before something that can't be undone. Only in a worker."""
        from tui_lab.tui.widgets.dialogs import Confirm

        return await self.ask(Confirm(title, body, yes))

    async def ask(self, dialog: Screen[T]) -> T:
        """Show a dialog, and return its answer. Only in a worker."""
        answer: T = await self.push_screen_wait(dialog)
        return answer

    @work(group="stream", exclusive=True)
    async def stream(self, title: str, module: Sequence[str], *, tied: bool = False) -> None:
        """Run a module of Python beside the screen, on the machine of the lab, its output in a panel while it comes;
        one at a time."""
        from tui_lab.tui.widgets.process import ProcessHere, ProcessPanel, Program

        release = self.hold_input()
        try:
            for before in self.screen_stack[0].query(ProcessPanel):
                if before.running:
                    body = f"It is shown in the panel where {title} would be."
                    release()
                    if not await self.confirm(f"Stop {before.program.title}?", body, "Stop"):
                        return
                    release = self.hold_input()
                await before.remove()
            if (side := mirrors.other_side(self.lab_path)) is not None:
                start: Callable[[Path, int], mirrors.Running] = partial(side.run, module)
            else:
                words = (sys.executable, "-P", "-m", *module)
                known = {} if tied else {"TUI_LAB_DIR": str(self.lab_path.absolute())}
                start = partial(ProcessHere, words, self.command_environment() | known, tied)
            panel = ProcessPanel(Program(title, start, tied))
            await self.screen_stack[0].mount(panel, after="#panes")
        finally:
            release()

    async def on_process_panel_closed(self) -> None:
        """Close the panel of a process; the focus goes back to the pane."""
        await self.screen_stack[0].query("#process").remove()
        if self.pane is not None:
            self.pane.focus_first()

    @work(group="control")
    async def operate(self, make: Callable[[], Operation]) -> None:
        """Carry out an operation on what runs: say what it does, do it, offer to undo it."""
        await self._control.carry_out(make)

    # --- Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a question is open, panes don't change, whatever key is pressed."""
        if action == "leave_text":
            return is_text(self.focused) or len(self.screen_stack) == 1
        if action in ("go_back", "go_forward") and is_text(self.focused):
            return False  # there they go by words
        return len(self.screen_stack) == 1 or action not in AWAY

    def action_show_pane(self, name: str) -> None:
        self.show_pane(name)

    @property
    def _row(self) -> PanelRow | None:
        return next(iter(self.pane.query(PanelRow)), None) if self.pane is not None else None

    def action_arrange(self) -> None:
        """Arrange the panels of the pane in the next way."""
        row = self._row
        if row is None or not row.next():
            self.tell("there is room for one arrangement only; + enlarges a panel")
        self._focus_what_is_seen()

    def action_enlarge(self, by: int) -> None:
        """Enlarge the panel with the focus, or shrink it."""
        row = self._row
        if row is not None:
            inside = self.focused.ancestors_with_self if self.focused is not None else ()
            name = next((one.id or "" for one in inside if isinstance(one, Panel)), row.enlarged)
            row.enlarge(name or row.shown[0][0], by)
            self._focus_what_is_seen()

    def _focus_what_is_seen(self) -> None:
        """Move the focus if its panel has gone. Typed keys wait for it."""
        pane = self.pane
        if pane is not None:
            pane.call_after_refresh(
                lambda: None if self.focused is not None and self.focused.focusable else pane.focus_first()
            )

    def action_show_state(self, state: str) -> None:
        if self.current is not None:
            self.show_tasks(self.current, f"state = '{state}'")

    @work(group="dialog")
    async def action_choose_experiment(self) -> None:
        from tui_lab.tui.app.palette import experiment_choices
        from tui_lab.tui.widgets.dialogs import Choose

        choices = experiment_choices(self.snapshot, self.config.ascii, not self.current_theme.ansi)
        if not choices:
            self.tell("there is no experiment yet")
            return
        chosen = await self.push_screen_wait(Choose("Experiments", choices, self.current))
        if chosen is not None and chosen != self.current:
            self._leaving()
            self.current = chosen

    # Each is a worker of the group `control`: they wait for each other.

    @work(group="control")
    async def action_pause(self) -> None:
        await self._control.pause()

    @work(group="control")
    async def action_stop_experiment(self) -> None:
        await self._control.stop()

    @work(group="control")
    async def action_priority(self) -> None:
        await self._control.priority()

    @work(group="control")
    async def action_drain(self) -> None:
        await self._control.drain()

    @work(group="control")
    async def action_add_slots(self, by: int) -> None:
        await self._control.add_slots(by)

    @work(group="control")
    async def action_undo(self) -> None:
        await self._control.undo()

    @work(exclusive=True, group="dialog")
    async def action_command_line(self) -> None:
        """Take a line, and carry it out. Those of before are kept for each lab."""
        release = self.hold_input()
        try:
            from tui_lab.tui.app.command_line.line import CommandLine
            from tui_lab.tui.app.command_line.run import Lines

            lines = Lines(self, self._control, self._commands())
            earlier = self.saved_state.lines_of_lab("commands")
        finally:
            release()
        line = await self.ask(CommandLine(lines.vocabulary, earlier, lines.wrong))
        if line is not None:
            self.saved_state.put_lines_of_lab("commands", [*(one for one in earlier if one != line), line])
            self._run_line(lines, line)

    @work(group="control")
    async def _run_line(self, lines: Lines, line: str) -> None:
        await lines.run(line)

    @work(thread=True, exclusive=True, group="engine")
    def action_start_engine(self) -> None:

        with promised():
            message = start_engine(self)
        self.tell(*message)
        self.refresh_snapshot()

    def action_next_theme(self) -> None:
        place = themes.CYCLE.index(self.theme) if self.theme in themes.CYCLE else -1
        self.theme = themes.CYCLE[(place + 1) % len(themes.CYCLE)]

    def action_redraw(self) -> None:
        """Paint the whole screen: Textual paints only what it knows to have changed."""
        if self._driver is not None:
            self._driver.write("\x1b[2J")
        self.screen.refresh(layout=True)

    def action_write_screenshot(self) -> None:
        if self.is_web:
            self.deliver_screenshot()
            return
        here = self.lab is not None and mirrors.other_side(self.lab_path) is None
        folder = self.lab_path if here else Path.cwd()
        try:
            self.tell(f"wrote {self.save_screenshot(path=str(folder))}")
        except OSError as error:
            self.tell(f"{folder}: {error.strerror}", "error")

    def action_show_help(self) -> None:
        from tui_lab.tui.app.help import Help
        from tui_lab.tui.app.palette import help_groups

        pane = self.pane
        if not isinstance(self.screen, Help):
            title, text = (pane.TITLE, pane.HELP) if pane is not None else (self.TITLE, "")
            self.push_screen(Help(title, text, help_groups(self)))

    def action_leave_text(self) -> None:
        if self.pane is not None and is_text(self.focused):
            self.pane.leave_text()
        else:
            self.back()

    # --- Back, and to another part

    def _here(self) -> Place | None:
        pane = self.pane
        if pane is None or not pane.is_mounted:
            return None
        return Place(pane.NAME, self.current, pane.place())

    def _leaving(self) -> None:
        """Remember where the user is: something leads elsewhere."""
        if (here := self._here()) is not None:
            self._places.leave(here)

    def _go(self, place: Place) -> None:
        """Show a place again. An experiment that is gone stays gone."""
        if place.experiment is not None and self.snapshot.experiment(place.experiment) is not None:
            self.current = place.experiment
        pane = self.open_pane(place.pane)
        pane.call_after_refresh(self._focus_in, pane)
        if place.experiment == self.current:
            pane.call_after_refresh(pane.go, place.state)
        else:
            self.tell(f"the experiment {place.experiment} is gone", "warning")

    def back(self) -> bool:
        """Go back to where the user came from; return whether there is such a place."""
        here = self._here()
        place = self._places.back(here) if here is not None else None
        if place is not None:
            self._go(place)
        return place is not None

    def action_go_back(self) -> None:
        self.back()

    def action_go_forward(self) -> None:
        here = self._here()
        place = self._places.forward(here) if here is not None else None
        if place is not None:
            self._go(place)

    @work(exclusive=True, group="dialog")
    async def action_jump(self) -> None:
        from tui_lab.tui.app.jump import Jump, targets

        pane = await self.ask(Jump(targets(self.screen)))
        if pane:
            self.show_pane(pane)

    def action_help_quit(self) -> None:
        """Say how to leave: ctrl+c, where nothing is selected."""
        self.tell("q leaves; the run goes on")

    def hung_up(self) -> None:
        """Leave without a question: the terminal is gone, or a signal came. In a thread."""
        with suppress(RuntimeError):  # it is not up yet, or already down
            self.call_from_thread(self.exit, 0)

    async def action_quit(self) -> None:
        self.action_leave()

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        panes_unsaved = [pane for pane in self.mounted_panes() if pane.unsaved]
        unsaved = ", ".join(pane.unsaved for pane in panes_unsaved)
        problem = next(filter(None, [pane.keep_unsaved() for pane in panes_unsaved]), "")
        body = f"{unsaved} is not saved. It will be kept, and offered when you come back."
        if problem:
            body = f"{unsaved} is not saved, and can't be kept ({problem}): leaving loses what was changed."
        if not unsaved or await self.confirm("Leave with unsaved changes?", body, "Leave"):
            self.exit(0)


def _as_host(app: LabApp) -> Host:
    """Let the type checker compare the app with what panes may use of it."""
    return app
