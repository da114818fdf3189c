"""The dashboard: what runs, how far it is, the best so far, why tasks failed, the nodes, and what ended last."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from tui_lab.client.formatting import plural, printable
from tui_lab.experiment.facts import FACTS
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.empty import Empty, Instead, content
from tui_lab.tui.base.formatting import MUTED, STATE_STYLES, bar, mark, paused_words
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, keys_of, nothing
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot, NodeSample
from tui_lab.tui.base.throttle import Throttle
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.dashboard.data import Best, Now, NowReader
from tui_lab.tui.tasks.columns import columns
from tui_lab.tui.tasks.frame import source_of
from tui_lab.tui.tasks.live import SCHEMA, SHOWN
from tui_lab.tui.widgets.panels.layout import Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.spark import braille_line
from tui_lab.tui.widgets.table.table import FrameTable

PACE: Final = 2.0
"""Seconds at least between two looks,"""
SHARE: Final = 10
"""and so many times as long as the last one took."""
NAMES: Final = ("now-running", "now-progress", "now-best", "now-failures", "now-nodes", "now-latest")
ROOMS: Final = {**dict.fromkeys(NAMES, Room(50, 3)), "now-running": Room(60, 4)}
ARRANGEMENTS: Final = (
    (("now-failures", "now-latest"),),
    (("now-progress", "now-nodes"),),
    (("now-running", "now-best"),),
    (("now-running", "now-progress", "now-failures"), ("now-best", "now-nodes", "now-latest")),
    (("now-running", "now-latest"), ("now-best", "now-progress"), ("now-nodes", "now-failures")),
)
EVENTS: Final = 50
READING: Final = "reading the tasks"
_SPARK: Final = 12  # cells of a node's load
_SLOTS: Final = 16  # cells of a node's slots at most
_FEW: Final = 8  # running tasks that do with a low panel


def idle(one: ExperimentSnapshot | None, brings_back: bool = False) -> Empty:
    """Return what stands in place of the tasks that run, where none does. brings_back: undo runs those that were
    stopped."""
    if one is not None and one.paused is not None and one.queued:
        return Empty(paused_words(one.paused).capitalize(), "app.pause", "goes on")
    if one is not None and one.active:
        return Empty("No task runs just now", "app.tasks", "shows the tasks")
    stopped = one.counts.get("stopped", 0) if one is not None and brings_back else 0
    if stopped:
        return Empty(f"No task runs: {plural(stopped, 'task')} stopped", "app.undo", "runs them again")
    return Empty("No task runs", *NO_EXPERIMENT)


class DashboardPane(Pane):
    """Shows the current experiment at a glance; it only looks while it is visible."""

    NAME = "dashboard"
    TITLE = "Now"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("dashboard.failures", "f", "Why", "Show the failures in kinds, and what each has in common."),
        Action("dashboard.results", "b", "Best", "Show the results: which setting is best, and how sure that is."),
    )
    HELP = """
How the current experiment goes. **Running**: the tasks that run, the newest first; `enter` opens one with its log.
**Progress**: done, failed and running tasks over time. **Best so far**: the setting with the best mean of the first
metric that has a goal, over time, with a 95 % interval from two values on. This interval is not corrected for having
been chosen as the best: the Results pane compares settings with each other.

Where there is no room for all panels, `|` shows the others.
"""
    DEFAULT_CSS = """
    DashboardPane {
        & VerticalScroll { height: 1fr; padding: 0 1; }
        & Static { height: auto; }
        & #now-running { max-height: 50%; }
        & #now-running.-few { max-height: 12; }
        & #now-nodes { height: auto; max-height: 40%; }
        & #now-nodes > VerticalScroll { height: auto; max-height: 100%; }
        & #now-machines, & #now-ended { text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._reader: NowReader | None = None
        self._about: tuple[str, str] | None = None  # lab and experiment
        self._revision = -1
        self._throttle = Throttle(PACE, SHARE)
        self._timer: Timer | None = None
        self._events: object = None
        self._is_reading = False  # nothing is known yet
        self._kinds: object = None
        self.now = Now()

    def compose(self) -> ComposeResult:
        states, course = Plot(id="now-states"), Plot(id="now-course")
        states.ascii = course.ascii = self.lab_app.config.ascii
        yield PanelRow(
            Panel(FrameTable(id="now-tasks", key="task_id", frozen=1), title="Running", id="now-running"),
            Panel(states, title="Progress", id="now-progress"),
            Panel(course, title="Best so far", id="now-best"),
            Panel(VerticalScroll(Static(id="now-kinds")), title="Failures", id="now-failures"),
            Panel(VerticalScroll(Static(id="now-machines")), title="Nodes", id="now-nodes"),
            Panel(VerticalScroll(Static(id="now-ended")), title="Events", id="now-latest"),
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
        )

    def on_mount(self) -> None:
        self.set_interval(1.0, self._second)

    @property
    def table(self) -> FrameTable:
        """The tasks that run."""
        return self.query_one(FrameTable)

    def focus_first(self) -> None:
        self.call_after_refresh(self._focus_seen)

    def _focus_seen(self) -> None:
        parts = (self.table, *self.query(VerticalScroll), *self.query(Plot))
        next((one for one in parts if one.focusable), self).focus()

    def on_unmount(self) -> None:
        if self._reader is not None:
            self._reader.close()

    # --- Looking

    def show(self, snapshot: LabSnapshot) -> None:
        self._show_nodes(snapshot)
        self._show_events(snapshot)
        name, lab = self.lab_app.current, snapshot.lab
        one = snapshot.experiment(name)
        if lab is None or name is None or one is None:
            self._leave(nothing(snapshot, Empty("No experiments yet", *NO_EXPERIMENT)))
            return
        about = (lab.identity + str(lab.path), name)
        if about != self._about:
            self._leave(READING)
            try:
                source = source_of(self.lab_app.task_sources, lab, name)
            except LabError as error:
                self._leave(str(error))
                return
            self._reader = NowReader(lab, source, self.lab_app.config.ascii)
            self._about, self._revision = about, -1
        if one.revision != self._revision:
            self._revision = one.revision
            self._want()

    def _leave(self, note: Instead) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._about, self._is_reading = None, None, note == READING
        self.table.placeholder = note
        self._take(None, Now())

    def _second(self) -> None:
        """Look again while something runs: what tasks say is not in the journal."""
        if self.lab_app.pane is self and self.now.running.height:
            self._want()

    def _want(self) -> None:
        if self._throttle.busy or self._reader is None:
            self._throttle.wanted = self._reader is not None
            return
        delay = self._throttle.delay()
        if delay > 0:
            if self._timer is None:
                self._timer = self.set_timer(delay, self._due)
            return
        self._throttle.began()
        self._read(self._reader)

    def _due(self) -> None:
        self._timer = None
        if self.lab_app.pane is self:
            self._want()

    @work(thread=True, group="now")
    def _read(self, reader: NowReader) -> None:
        began = time.thread_time()  # what others take of the processor is no reason to wait longer
        now = reader.read()
        deliver(self, self._read_ended, reader, now, time.thread_time() - began)

    def _read_ended(self, reader: NowReader, now: Now, seconds: float) -> None:
        self._throttle.ended(seconds)
        if reader is self._reader:
            self._is_reading = False
            self._take(reader, now)
        if self._throttle.wanted:
            self._want()

    def worker_failed(self, text: str) -> None:
        self._throttle.ended(PACE)
        self.table.placeholder = text
        self.table.refresh()

    # --- Showing

    def _take(self, reader: NowReader | None, now: Now) -> None:
        self.now = now
        ascii = self.lab_app.config.ascii
        if reader is not None:
            app, name = self.lab_app, self.lab_app.current
            back = name is not None and app.brings_back(name)
            self.table.placeholder = now.problem or idle(app.snapshot.experiment(name), back)
        if now.running.width:
            names = ["task_id", *SHOWN, *now.parameters]
            live = [name for name in SCHEMA if name in now.running.columns]
            shown = columns(names, [name for name in FACTS if name not in now.parameters], ascii, live, now.metric)
            self.table.set_frame(now.running, columns=shown)
        else:
            self.table.set_frame(pl.DataFrame())
        count = now.running.height
        self._panel("now-running").set_title(f"Running  {count:,}" if count else "Running")
        self._panel("now-running").set_class(count <= _FEW, "-few")
        if now.progress is not None:
            self.query_one("#now-states", Plot).show_chart(now.progress)
        else:
            empty = Empty("Tasks by state over time are drawn here", "app.tasks", "shows the tasks")
            self.query_one("#now-states", Plot).say(READING if self._is_reading else empty)
        self._show_best(now)
        if (kinds := (now.kinds, self._is_reading)) != self._kinds:
            self._kinds = kinds
            self._show_kinds(now)
        self._show_events(self.lab_app.snapshot)

    def _put(self, name: str, lines: Sequence[Content], empty: Instead) -> None:
        text = self.query_one(name, Static)
        said = content(empty, self.lab_app.config.ascii, keys_of(self), text.content_size.width)
        text.update(Content("\n").join(lines) if lines else said)

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}", Panel)

    def _show_best(self, now: Now) -> None:
        plot, panel = self.query_one("#now-course", Plot), self._panel("now-best")
        if now.best is None:
            panel.set_title("Best so far")
            panel.set_subtitle("")
            empty = Empty(
                "The best mean so far is drawn here, if a metric has a goal", "app.experiment", "opens the file"
            )
            if now.goal is not None:
                empty = Empty(
                    f"The best mean of {now.goal} is drawn here once a task is done", "app.tasks", "shows the tasks"
                )
            plot.say(READING if self._is_reading else empty)
            return
        panel.set_title(Content.assemble("Best so far  ", (_value(now.best), "bold $text-success")))
        panel.set_subtitle(printable(now.best.setting) + f"  n {now.best.n}")
        if now.course is not None:
            plot.show_chart(now.course)
        else:
            plot.say(Empty("One more value, and there is a line", "dashboard.results", "shows the results"))

    def _show_kinds(self, now: Now) -> None:
        total = sum(one.count for one in now.kinds)
        self._panel("now-failures").set_title(f"Failures  {total:,}" if total else "Failures")
        lines = []
        for one in now.kinds:
            lines.append(
                Content.assemble((f"{one.count:>6,}  ", "bold $text-error"), (one.reason, MUTED), "  ", one.line)
            )
            if one.share:
                lines.append(Content.assemble("        ", (printable(one.share), "$text-warning")))
        empty = Empty("No task has failed", "app.tasks", "shows the tasks")
        self._put("#now-kinds", lines, READING if self._is_reading else empty)

    def _show_nodes(self, snapshot: LabSnapshot) -> None:
        nodes = snapshot.engine.nodes if snapshot.engine is not None else ()
        self._panel("now-nodes").set_title(f"Nodes  {len(nodes)}" if nodes else "Nodes")
        width = max((len(node.name) for node in nodes), default=0)
        lines = []
        for node in nodes:
            slots, used = node.slots or 0, (node.open if node.used is None else node.used) or 0
            cells = bar(min(slots, _SLOTS), [(used, "$primary")], max(slots, 1), self.lab_app.config.ascii)
            load = _loads(snapshot.samples, node.name, self.lab_app.config.ascii)
            lines.append(
                Content.assemble(
                    (f"{printable(node.name):<{min(width, 20)}}  ", "bold"),
                    *cells,
                    f" {used}/{slots}  ",
                    (load, "$text-primary"),
                    (f" load {node.load:.1f}" if node.load is not None else "", MUTED),
                    ("" if node.state == "up" else f"  {node.state}", "$text-warning"),
                )
            )
        is_away = snapshot.engine is not None and snapshot.engine.away
        why = "No connection, so nothing is known of the nodes" if is_away else "No engine runs, so no nodes are used"
        self._put("#now-machines", lines, Empty(why, "app.nodes", "shows the nodes"))

    def _show_events(self, snapshot: LabSnapshot) -> None:
        """Show what happened last, in all experiments. Of tasks of the current one more is known."""
        happened = snapshot.happened(EVENTS)
        key = (happened, self.now.said)
        if key == self._events:
            return
        self._events = key
        several = len({one.experiment for one in happened}) > 1
        lines = []
        for one in reversed(happened):
            known = self.now.said.get(one.task) if one.task is not None else None
            mine = one.experiment == self.lab_app.current and known
            lines.append(
                Content.assemble(
                    (datetime.fromtimestamp(one.at).strftime("%H:%M:%S"), MUTED),
                    " ",
                    (_sign(one.kind, self.lab_app.config.ascii), STATE_STYLES.get(one.kind, MUTED)),
                    f" {one.experiment}" if several or one.task is None else "",
                    f" {one.task}" if one.task is not None else "",
                    (f"  {printable(one.text)}", "" if one.kind == "done" else STATE_STYLES.get(one.kind, MUTED)),
                    (f"  {printable(mine)}" if mine else "", MUTED),
                    (f"  and {one.more:,} more" if one.more else "", MUTED),
                )
            )
        self._put("#now-ended", lines, Empty("The last events are shown here", "app.history", "shows the submissions"))

    # --- Where one is

    @property
    def experiment_here(self) -> str | None:
        """The experiment of the row under the cursor: all rows are of the one that is shown."""
        return None if self._about is None else self._about[1]

    def place(self) -> object:
        return self.table.key_at(self.table.cursor_row)

    def go(self, place: object) -> None:
        self.table.go_to(place)

    # --- Keys

    @on(FrameTable.RowSelected)
    def _selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        if event.row is not None and self.lab_app.current is not None:
            self.lab_app.open_task(self.lab_app.current, event.row["task_id"])

    def action_failures(self) -> None:
        self.lab_app.show_failures()

    def action_results(self) -> None:
        self.lab_app.lead_to("results")


def _value(best: Best) -> str:
    """Return the mean with its interval, at the precision of the interval."""
    if best.half is None:
        return f"{best.metric} {best.mean:.4g}"
    digits = max(0, min(12, 1 - _order(best.half))) if best.half > 0 else 4
    return f"{best.metric} {best.mean:.{digits}f} ±{best.half:.{digits}f}"


def _order(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _sign(kind: str, ascii: bool) -> str:
    return mark(kind, ascii) if kind in STATE_STYLES else "*" if ascii else "•"


def _loads(samples: Mapping[str, Sequence[NodeSample]], name: str, ascii: bool) -> str:
    values = [one.load for one in samples.get(name, ())]
    return braille_line(values, _SPARK, low=0.0, high=1.0, filled=True, ascii=ascii) if values else ""
