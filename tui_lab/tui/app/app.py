"""The screen: eight panes on one lab. It follows the journals, as every client does, and decides nothing."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from weakref import WeakValueDictionary

from textual import events, on
from textual.app import App, ComposeResult
from textual.command import Provider
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.reactive import Reactive, reactive
from textual.screen import Screen
from textual.scrollbar import ScrollBar
from textual.widgets import ContentSwitcher

from tui_lab.results.charts.colours import Palette
from tui_lab.store import mirrors
from tui_lab.tui.app.actions import ACTIONS
from tui_lab.tui.app.beginning import Beginning, newest
from tui_lab.tui.app.frame.keys import Keys
from tui_lab.tui.app.frame.lab_line import LabLine
from tui_lab.tui.app.frame.notice import Notice
from tui_lab.tui.app.frame.runs import Runs
from tui_lab.tui.app.frame.tabs import Tabs
from tui_lab.tui.app.input_order import BEGINNING, LONGEST, InputOrder, WaysOut, letter_after_escape, too_long
from tui_lab.tui.app.messages import Messages
from tui_lab.tui.app.navigation import Navigation
from tui_lab.tui.app.processes import Processes
from tui_lab.tui.app.terminal_changes import TerminalChanges
from tui_lab.tui.app.watcher import Watcher
from tui_lab.tui.base import panes, themes
from tui_lab.tui.base.actions import Action, bindings, shown_key
from tui_lab.tui.base.collector import settle
from tui_lab.tui.base.config import Config, SavedState, state_folder
from tui_lab.tui.base.pane import HeldKeys, Host, Pane, is_text
from tui_lab.tui.base.screen_terminal import ScreenTerminal
from tui_lab.tui.base.scrollbars import ThinScrollbars
from tui_lab.tui.base.snapshot import LabSnapshot, SnapshotTaken
from tui_lab.tui.base.workers import promised, work

if TYPE_CHECKING:
    import polars as pl
    from textual.driver import Driver
    from textual.notifications import SeverityLevel
    from textual.theme import Theme

    from tui_lab.client.control import Operation
    from tui_lab.client.submission import Choice
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.lab import Lab
    from tui_lab.tui.app.command_line.run import Lines
    from tui_lab.tui.app.control import Key, LabControl
    from tui_lab.tui.base.charted import Charted
    from tui_lab.tui.base.selection import Chosen


AWAY: Final = ("show_pane", "command_palette", "command_line", "go_back", "go_forward", "jump")
"""Actions that wait until a question is answered."""
STATE_FILE: Final = "screen.json"
LEAVING: Final = 0.3  # seconds that the watcher has for its end
RESUMED: Final = 0.1  # seconds after `fg` in which the terminal changes to the screen's own page


def _commands() -> type[Provider]:
    from tui_lab.tui.app.palette import Commands

    return Commands


T = TypeVar("T")


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

    # The theme that most begin with: to change it, all styles are parsed again.
    theme: Reactive[str] = Reactive(themes.DARK.name)
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
        self._messages = Messages(self, self, self.config, self.config.notify if driver_class is None else "off")
        self._ways_out = WaysOut(self, [one.action for one in ACTIONS if one.leads_away])
        self._input = InputOrder(self, self._ways_out.leads)
        self._unread = HeldKeys(self, BEGINNING)  # keys before the first snapshot of a lab: for what it shows
        self._changes = TerminalChanges(self)
        self._commands = commands
        self._processes = Processes(self, self)
        self._navigation = Navigation(self, self, self.saved_state)
        self._launched: set[str] = set()  # experiments that have not been seen since
        self._beginning = Beginning(self.config, self.saved_state, first)
        self._first = self._beginning.pane(lab_path, file)
        self.palette = Palette()
        self.charted: Charted | None = None  # what has a colour in the chart that was shown last
        self.chosen: Chosen | None = None  # tasks that the Tasks pane is narrowed to
        self.task_sources: MutableMapping[tuple[str, str, str], Any] = WeakValueDictionary()  # that panes share
        self.theme = self._beginning.theme(self.available_themes, self.console.color_system)
        self.terminal = ScreenTerminal(self, self.config.ascii, self.write_to_terminal)
        self.set_keymap(self.config.keys)
        ScrollBar.renderer = ThinScrollbars

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return variables that a theme need not have."""
        return themes.DEFAULTS

    @cached_property
    def available_themes(self) -> dict[str, Theme]:
        """Every theme that can be chosen, by name."""
        return {**super().available_themes, **{theme.name: theme for theme in themes.OWN}}

    def get_default_screen(self) -> Screen[object]:
        """Return the first screen, with the classes of its size: given later, they would style all widgets again."""
        breaks = (self.HORIZONTAL_BREAKPOINTS, self.size.width), (self.VERTICAL_BREAKPOINTS, self.size.height)
        classes = [[name for least, name in of_one if size >= least][-1] for of_one, size in breaks]
        return Screen(id="_default", classes=" ".join(classes))

    def compose(self) -> ComposeResult:
        yield LabLine().data_bind(LabApp.snapshot, LabApp.current)
        yield Runs().data_bind(LabApp.snapshot, LabApp.current)
        yield Tabs()
        yield Notice()
        welcome = self._first == panes.WELCOME  # it needs nothing heavy, so that the first frame has it
        first = [self._navigation.make(self._first)] if welcome else []
        yield ContentSwitcher(*first, id="panes", initial=first[0].id if first else None)
        yield Keys()

    def on_mount(self) -> None:
        if self._first == panes.WELCOME:
            self.show_pane(self._first)
        self.call_after_refresh(self._begin, self._first, self.hold_input(BEGINNING))
        self.app_resume_signal.subscribe(self, lambda _: self.set_timer(RESUMED, self.terminal.redraw))

    def on_unmount(self) -> None:
        self._watcher.close(LEAVING)
        self._beginning.keep(self.theme, self.current)

    def _handle_exception(self, error: Exception) -> None:
        """As Textual, but what is mounted while the screen ends has no children, and that is no error."""
        if self.is_running or not isinstance(error, NoMatches):
            super()._handle_exception(error)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self.terminal.filters]

    # --- Input

    async def on_event(self, event: events.Event) -> None:
        """Handle keys and clicks in order, each after the one before has had its effects."""
        if self.terminal.questions.takes(event) or not self._changes.admit(event):
            return
        if isinstance(event, (events.InputEvent, events.Paste)) and not event.is_forwarded:
            self._messages.notifier.used()
            if self.screen_stack and (focus := self._changes.take()) is not None:
                await super().on_event(focus)
            # Without a screen the app is being taken down. No action that goes before the focus waits for anything, so
            # the screen that is here now is here until the event is handed on.
            if not self.screen_stack or not self._input.admit(event):
                return
            if isinstance(event, events.Paste) and (problem := too_long(event)):
                self.tell(problem, "warning")
                return
            if isinstance(event, events.Key):
                self._messages.clear_read()
            if isinstance(event, events.Key) and (letter := letter_after_escape(event, self.screen)):
                self._input.after(letter)
                event = events.Key("escape", "\x1b")
        await super().on_event(event)

    async def action_simulate_key(self, key: str) -> None:
        """Let a key that was clicked in the footer act before what is typed after the click."""
        self._input.after(events.Key(key, None))

    def hold_input(self, seconds: float = LONGEST, rows: bool = False) -> Callable[[], None]:
        """Let typed keys wait until the returned function is called: what they are for is not shown yet. Keys that
        lead elsewhere or out don't wait for `rows`. Only on the screen's thread."""
        return self._input.hold(seconds, rows)

    async def before_question(self, answer: Awaitable[T]) -> T:
        """Await what a question needs. Keys that are typed meanwhile wait, because they are for the question."""
        return await self._input.for_question(answer)

    # --- Panes

    @work(thread=True, group="begin")
    def _begin(self, first: str, release: Callable[[], None]) -> None:
        """Open the first pane, then start the watcher, then import the other panes, in a thread: that takes longer than
        all of the above. Typed keys wait for the pane."""
        panes.load(first)
        self.call_from_thread(self._navigation.enter_first, first)
        self.call_from_thread(self._unread.hold)
        self.call_from_thread(release)
        self._watcher.start()
        for name in panes.NAMES:
            panes.load(name)
        self.call_from_thread(self._add_panes, panes.others())
        from tui_lab.tui.app.palette import unknown_keys

        for problem in unknown_keys(self.config):  # the panes' actions are known only now
            self.tell(problem, "error")
        settle()

    def _add_panes(self, names: tuple[str, ...]) -> None:
        """Give the panes of other packages tabs, and the keys that are left."""
        for name in names:
            self._ways_out.add(action := f"show_pane('{name}')")
            if digit := panes.digit(name):
                self.bind(f"{digit},alt+{digit}", action, description=panes.title(name), show=False)
        self.screen_stack[0].query_one(Tabs).others = names
        for problem in panes.PANES.problems():
            self.tell(problem, "error")

    @property
    def pane(self) -> Pane | None:
        """The pane that is visible."""
        return self._navigation.shown

    def show_pane(self, name: str) -> None:
        """Make a pane visible and give it the focus."""
        self._navigation.enter(name)

    def open_pane(self, name: str) -> Pane:
        """Make a pane visible, and show it the snapshot; return it."""
        return self._navigation.open(name)

    def open_task(self, experiment: str, task_id: int) -> None:
        """Show a task in the Tasks pane, with its log."""
        self._navigation.leave()
        self.current = experiment
        self._navigation.ask("tasks", "open_task", experiment, task_id)

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        self._navigation.leave()
        self.current = experiment
        self._navigation.ask("tasks", "show_tasks", experiment, where)

    def lead_to(self, name: str, experiment: str | None = None) -> None:
        """Show a pane, perhaps with another experiment; going back leads here."""
        self._navigation.leave()
        if experiment is not None:
            self.current = experiment
        self.show_pane(name)

    def show_failures(self) -> None:
        """Show why tasks failed, in the Tasks pane."""
        self._navigation.leave()
        self._navigation.ask("tasks", "action_failures")

    def open_query(self, sql: str) -> None:
        """Run a query in the Query pane."""
        self._navigation.leave()
        self._navigation.ask("query", "open_query", sql)

    def open_chart(self, frame: pl.DataFrame, title: str, request: Any = None) -> None:
        """Show a frame in the Chart pane."""
        self._navigation.leave()
        self._navigation.ask("chart", "open_chart", frame, title, request)

    def show_charted(self, charted: Charted | None) -> None:
        """Mark in tables what has a colour in a chart that is shown now; None where nothing has."""
        if charted != self.charted:
            self.charted = charted
            if self.pane is not None:
                self.pane.show(self.snapshot)

    def launching(self, experiment: str) -> None:
        """Report what becomes of an experiment that is launched from here, however soon it ends."""
        if self.snapshot.experiment(experiment) is None:
            self._launched.add(experiment)

    def open_file(self, path: Path, at: tuple[int, int] | None = None) -> None:
        """Open a file in the Experiment pane. at: line and column of the cursor, from 0."""
        self._navigation.leave()
        self.file = path
        self._navigation.ask("experiment", "open_file", path, at)

    def open_text(self, path: Path, text: str, origin: str, choice: Choice | None = None) -> None:
        """Open another text of a file, not saved, in the Experiment pane. origin: where it is from, as shown. choice:
        ask whether to run that of it."""
        self._navigation.leave()
        self.file = path
        self._navigation.ask("experiment", "open_text", path, text, origin, choice)

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
        self._unread.let_go()

    def watch_snapshot(self, before: LabSnapshot, snapshot: LabSnapshot) -> None:
        names = [one.name for one in snapshot.experiments]
        if self.current not in names and not snapshot.problem:  # what can't be read now may be back soon
            left = self.current
            self.current = self._beginning.experiment(self.file, names) if left is None else newest(names)
            if left is not None and before.lab is snapshot.lab:
                now = f"; this is {self.current}" if self.current is not None else ""
                self.tell(f"the experiment {left} is gone from the lab, or can't be read{now}", "warning")
        self.screen_stack[0].query_one(Notice).follow(snapshot)
        for text in self._messages.news(before, snapshot, self._launched):
            self._notify_outside(text)
        self._launched.difference_update(names)
        self._navigation.refresh()

    @work(thread=True, group="notify")
    def _notify_outside(self, text: str) -> None:
        """Send a notification to a user who looks elsewhere."""
        title = f"{self.TITLE} {self.lab_path.absolute().name}"
        with promised():
            problem = self._messages.notifier.send(title, text, self.write_to_terminal)
        self.tell(problem, "error")

    def watch_current(self) -> None:
        self._navigation.refresh()

    def change_lab(self, path: Path) -> None:
        """Show another lab."""
        self._watcher.close()
        self.lab_path, self.lab = path, None
        self._launched.clear()
        self.saved_state.turn_to(path)
        self._navigation.forget()
        self._watcher = Watcher(path, self.config.refresh, self.post_message)
        self._unread.hold()
        self._watcher.start()
        self.show_pane("tasks")

    def refresh_snapshot(self) -> None:
        """Read the lab now, as after a command to the engine."""
        self._watcher.wake()

    def engine(self) -> EngineClient:
        """Connect to the engine; start one where none is alive. Only in a worker's thread. Raises LabError."""
        from tui_lab.engine.client import EngineClient
        from tui_lab.store.lab import Lab

        return EngineClient.start(self.lab or Lab.create(self.lab_path))

    def write_to_terminal(self, text: str) -> None:
        """Write an escape sequence to the terminal, between what is painted. Also from a worker's thread."""
        if self._driver is not None:  # Textual has no public way
            self._driver.write(text)

    def command_environment(self) -> dict[str, str]:
        """Return the environment of commands that are launched from here: that of the machine of the lab."""
        side = mirrors.other_side(self.lab_path)
        return dict(os.environ if side is None else side.environment)

    # --- What panes ask of the screen

    def key(self, action: str, in_text: bool = False) -> str:
        """Return the key of an action, by its id, as it is written in a sentence. in_text: one that acts in a text
        field, too."""
        from tui_lab.tui.app.palette import action_of

        return shown_key(action_of(action), self.config.keys, in_text)

    def tell(self, text: str, severity: SeverityLevel = "information") -> None:
        """Show a short message; the next key removes it, once it could be read. Also from a worker's thread."""
        self._messages.tell(text, severity)

    def tell_away(self) -> None:
        """Say that what the user asks for waits, if the machine of the lab is away. Also from a worker's thread."""
        side = mirrors.other_side(self.lab_path)
        if side is not None and side.trouble:
            self.tell(f"it waits for the connection to {side.host}", "warning")

    def worker_failed(self, node: DOMNode, error: Exception, trace: str) -> None:
        """Report an unexpected error of a worker, in its pane, too, and keep its traceback."""
        self._messages.worker_failed(node, error, trace)

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboard, also over SSH, and say so. what: its name, as shown."""
        self._messages.copy(text, what)

    def brings_back(self, experiment: str) -> bool:
        """Return whether the key for undo runs the tasks of an experiment again that were stopped."""
        return self._control.brings_back(experiment)

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
        """Run a module of Python on the machine of the lab, its output in a panel while it comes; one at a time."""
        await self._processes.stream(title, module, tied)

    async def on_process_panel_closed(self) -> None:
        """Close the panel of a process."""
        await self._processes.close()

    @work(group="control")
    async def operate(self, make: Callable[[], Operation]) -> None:
        """Carry out an operation on what runs: say what it does, do it, offer to undo it."""
        await self._control.carry_out(make)

    @cached_property
    def _control(self) -> LabControl:
        """What pauses, stops and undoes. The first screen needs none of it."""
        from tui_lab.tui.app.control import LabControl

        return LabControl(self)

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

    def action_arrange(self) -> None:
        self._navigation.arrange()

    def action_enlarge(self, by: int) -> None:
        self._navigation.enlarge(by)

    def action_show_state(self, state: str) -> None:
        if self.current is not None:
            self.show_tasks(self.current, f"state = '{state}'")

    @work(group="dialog")
    async def action_choose_experiment(self) -> None:
        from tui_lab.tui.app.palette import ask_experiment

        chosen = await ask_experiment(self, not self.current_theme.ansi)
        if chosen is not None and chosen != self.current:
            self._navigation.leave()
            self.current = chosen

    @work(group="control")  # of which they wait for each other
    async def action_control(self, what: Key, by: int = 0) -> None:
        await self._control.act(what, by, self._messages.offered)

    @work(exclusive=True, group="dialog")
    async def action_command_line(self) -> None:
        """Take a line, and carry it out. Those of before are kept for each lab."""
        release = self.hold_input()
        try:
            from tui_lab.tui.app.command_line.run import Lines

            lines = Lines(self, self._control, self._commands())
        finally:
            release()
        line = await lines.ask(self.saved_state)
        if line is not None:
            self._run_line(lines, line)

    @work(group="control")
    async def _run_line(self, lines: Lines, line: str) -> None:
        await lines.run(line)

    @work(thread=True, exclusive=True, group="engine")
    def action_start_engine(self) -> None:
        with promised():
            message = self._control.start_engine()
        self.tell(*message)
        self.refresh_snapshot()

    def action_next_theme(self) -> None:
        place = themes.CYCLE.index(self.theme) if self.theme in themes.CYCLE else -1
        self.theme = themes.CYCLE[(place + 1) % len(themes.CYCLE)]

    def action_redraw(self) -> None:
        self.terminal.redraw()

    def action_write_screenshot(self) -> None:
        here = self.lab is not None and mirrors.other_side(self.lab_path) is None
        self._messages.write_screenshot(self.lab_path if here else Path.cwd())

    def action_show_help(self) -> None:
        from tui_lab.tui.app.palette import show_help

        show_help(self, self)

    def action_leave_text(self) -> None:
        if self.pane is not None and is_text(self.focused):
            self.pane.leave_text()
        else:
            self.back()

    # --- Back, and to another part

    def back(self) -> bool:
        """Close what a program that has ended has printed, or else go back to where the user came from; return whether
        there was such a thing."""
        return self._processes.close_ended() or self._navigation.back()

    def action_go_back(self) -> None:
        self._navigation.back()

    def action_go_forward(self) -> None:
        self._navigation.forward()

    @work(exclusive=True, group="dialog")
    async def action_jump(self) -> None:
        from tui_lab.tui.app.jump import Jump, targets

        pane = await self.ask(Jump(targets(self.screen)))
        if pane:
            self.show_pane(pane)

    def action_help_quit(self) -> None:
        """Say how to leave: ctrl+c, where nothing is selected."""
        self.tell(f"{self.key('app.leave')} leaves; the run goes on")

    def hung_up(self) -> None:
        """Leave without a question: the terminal is gone, or a signal came. In a thread."""
        with suppress(RuntimeError):  # it is not up yet, or already down
            self.call_from_thread(self.exit, 0)

    async def action_quit(self) -> None:
        self.action_leave()

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        question = self._navigation.before_leaving()
        if not question or await self.confirm("Leave with unsaved changes?", question, "Leave"):
            self.exit(0)


def _as_host(app: LabApp) -> Host:
    """Let the type checker compare the app with what panes may use of it."""
    return app
