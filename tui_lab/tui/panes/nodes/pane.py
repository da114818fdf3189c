"""The Nodes pane: every node, how busy it is, what runs there, what is wrong with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, ClassVar, Final

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui_lab.client.control import drain_node, resume_node, set_slots
from tui_lab.client.formatting import printable, size, span
from tui_lab.client.node_formatting import ended_words, ends_words, trouble
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import Answer, Command, Gpu, NodeStatus, ReconnectNode
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.formatting import MUTED, bar, columns_of, sparkline
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, nothing
from tui_lab.tui.base.snapshot import LabSnapshot, NodeSample
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.widgets.dialogs import Ask
from tui_lab.tui.widgets.panels.layout import Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.table.layout import GAP, GUTTER
from tui_lab.tui.widgets.table.table import Column, FrameTable

# --- How nodes are shown: a row each, and all that is known of the one under the cursor
# state -> (mark, mark in ASCII, tone)
STATES: Final = {
    "up": ("●", "*", "success"),
    "connecting": ("◌", "~", "primary"),
    "away": ("!", "!", "warning"),
    "drained": ("■", "#", "warning"),
    "quarantined": ("⊘", "%", "warning"),
    "lost": ("?", "?", "error"),
    "failed": ("✗", "x", "error"),
    "pool": ("◇", "o", "primary"),
    "not in use": ("·", ".", "muted"),
}
BAR: Final = 12  # cells of a bar
VALUE: Final = 21  # cells of the words behind it
HIGHEST: Final = 8  # lines of a history
Samples = Mapping[str, Sequence[NodeSample]]


def nodes_of(snapshot: LabSnapshot) -> list[NodeStatus]:
    """Return the engine's nodes; then those that only the lab remembers. Nodes that pools were granted, and that have
    gone for ever, are counted for each pool."""
    nodes = list(snapshot.engine.nodes) if snapshot.engine is not None else []
    known = {node.name for node in nodes}
    rest = {name: past[-1] for name, past in sorted(snapshot.samples.items()) if name not in known and past}
    found = [NodeStatus(name=name, state="not in use", at=last.at) for name, last in rest.items() if not last.pool]
    ended = Counter(last.pool for last in rest.values())
    for pool in sorted(ended.keys() - known - {""}):
        at = max(last.at for last in rest.values() if last.pool == pool)
        found.append(NodeStatus(name=pool, state="not in use", at=at, pending=0, doing=ended_words(ended[pool])))
    return nodes + found


def nodes_frame(nodes: Sequence[NodeStatus], samples: Samples, ascii: bool, width: int) -> pl.DataFrame:
    """Return a row for each node, ready for a table of `width` cells."""
    spark = _spark_width(width)
    rows = []
    for node in nodes:
        past = samples.get(node.name, ())
        live = _live(node)
        rows.append(
            {
                "name": printable(node.name),
                "state": state_words(node.state or "", ascii) + _since(node),
                "slots": _slots(node),
                "load": _number(node.load) + _spark(past, "load", spark, ascii) if live else None,
                "memory": _percent(past, "memory") + _spark(past, "memory", spark, ascii) if live else None,
                "gpu": _percent(past, "gpu") + _spark(past, "gpu", spark, ascii) if node.gpus and live else None,
                "note": printable(node.error or node.doing or "") or ends_words(node) or " ".join(node.tags),
            }
        )
    names = ("name", "state", "slots", "load", "memory", "gpu", "note")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def columns(ascii: bool, gpus: bool, width: int) -> list[Column]:
    """Return the columns of the table. width: of the pane, in characters."""
    tones = {words[ascii]: tone for *words, tone in STATES.values()}
    history = 5 + _spark_width(width)
    found = [
        Column("name", "node", width=max(8, min(16, width // 7))),
        Column("state", width=13, style=lambda value: tones.get(value[:1], "")),
        Column("slots", align="right", width=7),
        Column("load", width=history),
        Column("memory", width=history),
    ]
    if gpus:
        found.append(Column("gpu", "GPUs", width=history))
    room = width - GUTTER - 1 - sum((column.width or 0) + GAP for column in found)
    if room >= 10:
        found.append(Column("note", "tags, or what is wrong", width=room, style=lambda value: "muted"))
    return found


def state_words(state: str, ascii: bool) -> str:
    """Return the state of a node with its sign."""
    mark = STATES.get(state, ("·", ".", ""))[ascii]
    return f"{mark} {state}"


def _live(node: NodeStatus) -> bool:
    """Return whether something is known of a node as it is now. Of a pool nothing is measured."""
    return node.state != "not in use" and node.away_for is None and node.pending is None


def _since(node: NodeStatus) -> str:
    """Return for how long a node has been away, if there is room."""
    if node.state != "away" or node.away_for is None:
        return ""
    return " " + " ".join(span(max(1.0, node.away_for)).split()[:2])


def _slots(node: NodeStatus) -> str | None:
    if node.slots is None:
        return None
    return f"{node.open or 0 if node.used is None else node.used}/{node.slots}"


def _number(value: float | None) -> str:
    return f"{value:>4.1f} " if value is not None else "   - "


def _percent(past: Sequence[NodeSample], name: str) -> str:
    value = getattr(past[-1], name) if past else None
    return f"{100 * value:>3.0f}% " if value is not None else "   - "


def _spark(past: Sequence[NodeSample], name: str, width: int, ascii: bool) -> str:
    return sparkline([getattr(one, name) for one in past], width, ascii)


def _spark_width(width: int) -> int:
    """Cells of the history in a row."""
    return 4 if width < 100 else 10


def detail(
    node: NodeStatus, past: Sequence[NodeSample], width: int, height: int, ascii: bool, nodes: Sequence[NodeStatus]
) -> Content:
    """Return all about a node: its facts, its history, its error, its tasks. height: lines of each history."""
    live = _live(node)
    lines = [_what(node)]
    if wrong := trouble(node, nodes):
        lines += _wrapped("error" if live else "", wrong, width)
    elif node.pending is not None:
        lines.append(Content(printable(node.doing or "")))
    tasks = node.tasks
    if tasks is not None and node.pending is None:
        label = "running  " if live else "it had   "
        lines.append(Content.assemble((label, MUTED), _tasks(tasks, max(20, width - 10))))
    for name, label in (("load", "load"), ("memory", "memory"), ("gpu", "GPUs")):
        values = [getattr(one, name) for one in past]
        if any(value is not None for value in values):
            now = values[-1] or 0.0
            cells = bar(BAR, [(min(now, 1), "$error" if now > 1 else "$primary")], 1, ascii) if live else [" " * BAR]
            words = f"  {_now(node, past, name) if live else 'before':<{VALUE}}"
            room = width - 9 - BAR - VALUE - 3
            line = sparkline(values, room, ascii) if height <= 1 and room >= 8 else ""
            lines += [Content()] if height > 1 else []
            lines.append(Content.assemble((f"{label:<9}", MUTED), *cells, words, (line, "$primary")))
            if not line:
                lines += _graph(values, width - 9, max(1, height), ascii)
    gpus = [f"{'?' if gpu.index is None else gpu.index}: {_gpu(gpu)}" for gpu in node.gpus or () if live]
    if gpus:
        lines.append(Content.assemble(("each GPU ", MUTED), "   ".join(gpus)))
    return Content("\n").join(lines)


def _graph(values: Sequence[float | None], width: int, height: int, ascii: bool) -> Iterator[Content]:
    """Yield lines with a history as columns, below a scale; what is above the whole is red."""
    top = max(1.0, *(value for value in values if value is not None))
    for number, line in enumerate(columns_of(values, width, height, top, ascii)):
        label = f"{top:>8.0%} " if not number else f"{0:>8.0%} " if number == height - 1 else " " * 9
        red = (height - number) / height * top > 1 and height > 1
        yield Content.assemble((label, MUTED), (line, "$error" if red else "$primary"))


def _wrapped(label: str, text: str, width: int) -> list[Content]:
    """Return text behind a label, in as many lines as it takes."""
    lines = wrap(text, max(20, width - 9))
    return [
        Content.assemble((f"{'' if number else label:<9}", MUTED), (line, "$text-error"))
        for number, line in enumerate(lines)
    ]


def _what(node: NodeStatus) -> Content:
    clock = abs(node.clock_offset or 0)
    facts = [
        node.host if node.host else "",
        f"{node.cores} cores" if node.cores else "",
        size(node.memory) if node.memory else "",
        f"Python {node.python}" if node.python else "",
        f"answers in {span(node.latency)}" if node.latency is not None else "",
        f"clock off by {span(clock)}" if clock > 1 else "",
        _seen(node),
        f"job {node.job}" if node.job and _live(node) else "",
        ends_words(node),
        f"tags {' '.join(node.tags)}" if node.tags else "",
    ]
    words = "  ".join(printable(fact) for fact in facts if fact)
    return Content.assemble((printable(node.name), "bold"), "  ", (words, MUTED))


def _seen(node: NodeStatus) -> str:
    at = node.at
    if _live(node) or at is None:
        return ""
    return f"seen {span(max(0.0, time.time() - at))} ago"


def _now(node: NodeStatus, past: Sequence[NodeSample], name: str) -> str:
    if name == "load" and node.load is not None:
        return f"{node.load:.1f} on {node.cores} cores" if node.cores else f"{node.load:.1f}"
    if name == "memory" and node.memory_used is not None:
        return f"{size(node.memory_used)} of {size(node.memory)}" if node.memory else ""
    value = getattr(past[-1], name)
    return f"{100 * value:.0f}%" if value is not None else ""


def _gpu(gpu: Gpu) -> str:
    used = f"{gpu.used:.0f}% busy" if gpu.used is not None else ""
    memory = gpu.memory_used
    held = f"{size(memory)} of {size(gpu.memory)}" if memory is not None and gpu.memory else ""
    return ", ".join(part for part in (used, held) if part)


def _tasks(tasks: Sequence[Sequence[Any]], room: int) -> str:
    """Return as many tasks as fit, then how many more: `grid/17 grid/18.2`."""
    if not tasks:
        return "nothing"
    found = ""
    for number, (experiment, task, attempt) in enumerate(tasks):
        word = f"{experiment}/{task}" + (f".{attempt}" if attempt > 1 else "")
        rest = f" and {len(tasks) - number} more"
        if found and len(found) + len(word) + len(rest) > room:
            return found.rstrip() + rest
        found += word + " "
    return found.rstrip()


PATIENCE = 10.0  # seconds that the engine may take


class NodesPane(Pane):
    """The pane with the nodes of the lab."""

    NAME = "nodes"
    TITLE = "Nodes"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("nodes.tasks", "t", "Tasks", "Show the tasks that run on this node, or ran there (enter does it, too)."),
        Action("nodes.drain", "d", "Drain", "Give the node no more tasks; running ones may finish."),
        Action("nodes.resume", "u", "Resume", "Give a drained or quarantined node tasks again."),
        Action("nodes.slots", "S", "Slots", "Change how many tasks the node runs at once."),
        Action("nodes.reconnect", "c", "Reconnect", "Try to reach the node now, without waiting."),
    )
    HELP = """
Where tasks run. A node that is **away** is being tried again; its tasks go on there, and count once it is back; what
was measured **before** is history. It is **lost** when it was away for too long: its tasks then run elsewhere.
**drained** nodes get no more tasks, by command; **quarantined** nodes failed too many tasks in a row.

Load is that of the whole machine, GPUs are the mean of those that the node offers. The small columns show the last
minutes, the newest on the right.
"""
    DEFAULT_CSS = """
    NodesPane {
        & #node-panel { height: auto; max-height: 50%; min-height: 4; }
        & #node { height: auto; padding: 0 1; }
    }
    """

    known: dict[str, NodeStatus] = {}  # noqa: RUF012 (each snapshot puts another in its place)

    def compose(self) -> ComposeResult:
        yield PanelRow(
            Panel(FrameTable(id="nodes", key="name", frozen=1), title="Nodes", id="node-list"),
            Panel(Static(id="node"), id="node-panel"),
            rooms={"node-list": Room(72, 3), "node-panel": Room(48, 2)},
            arrangements=((("node-list", "node-panel"),), (("node-list",), ("node-panel",))),
            chosen=self.lab_app.arrangements(self.NAME),
            absent=("node-panel",),
        )

    @property
    def table(self) -> FrameTable:
        """The table of nodes."""
        return self.query_one(FrameTable)

    def show(self, snapshot: LabSnapshot) -> None:
        nodes, ascii = nodes_of(snapshot), self.lab_app.config.ascii
        self.known = {node.name: node for node in nodes}
        self.table.placeholder = nothing(snapshot, Empty("Nodes are listed here once something runs", *NO_EXPERIMENT))
        gpus = any(node.gpus for node in nodes)
        width = self.row.width_of("node-list")
        frame = nodes_frame(nodes, snapshot.samples, ascii, width)
        self.table.set_frame(frame, columns=columns(ascii, gpus, width))
        self.query_one("#node-list", Panel).set_title(f"Nodes  {len(nodes)}" if nodes else "Nodes")
        self._show_detail()

    @on(PanelRow.Arranged)
    def _arranged(self) -> None:
        self.show(self.lab_app.snapshot)

    @property
    def row(self) -> PanelRow:
        """The panels."""
        return self.query_one(PanelRow)

    @property
    def node(self) -> NodeStatus | None:
        """The node under the cursor."""
        row = self.table.row(self.table.cursor_row)
        return self.known.get(row["name"]) if row is not None else None

    @property
    def node_here(self) -> str | None:
        return self.node.name if self.node is not None else None

    def place(self) -> object:
        return self.table.key_at(self.table.cursor_row)

    def go(self, place: object) -> None:
        self.table.go_to(place)

    @property
    def _high(self) -> int:
        """Lines of each history: more than one where the node has a column of its own."""
        alone = len(self.row.shown) > 1 or self.row.alone == "node-panel"
        return max(1, min(HIGHEST, (self.size.height - 10) // 3 - 2)) if alone else 1

    @on(FrameTable.RowHighlighted)
    def _show_detail(self) -> None:
        node = self.node
        text = Content()
        if node is not None:
            past = self.lab_app.snapshot.samples.get(node.name, ())
            width, nodes = self.row.width_of("node-panel") - 2, list(self.known.values())
            text = detail(node, past, width, self._high, self.lab_app.config.ascii, nodes)
        panel = self.query_one("#node-panel", Panel)
        self.row.set_present("node-panel", node is not None)
        panel.set_title(Content(node.name) if node is not None else "")
        self.query_one("#node", Static).update(text)

    @on(FrameTable.RowSelected)
    def action_tasks(self) -> None:
        node, current = self.node, self.lab_app.current
        if node is None:
            return
        name = node.name.replace("'", "''")
        if running := node.tasks:
            self.lab_app.show_tasks(running[0][0], f"state = 'running' AND node = '{name}'")
        elif current:
            self.lab_app.tell(f"nothing runs on {node.name}; these tasks of {current} ran there last")
            self.lab_app.show_tasks(current, f"node = '{name}'")
        else:
            self.lab_app.tell(f"nothing runs on {node.name}")

    # --- What is asked of the engine

    def action_drain(self) -> None:
        if (node := self.node) is not None:
            self.lab_app.operate(lambda: drain_node(node, list(self.known.values())))

    def action_resume(self) -> None:
        if (node := self.node) is not None:
            self.lab_app.operate(lambda: resume_node(node))

    def action_reconnect(self) -> None:
        environment = self.lab_app.command_environment()  # for its SSH agent, and where keys lie
        if (node := self.node) is not None:
            self._request(ReconnectNode(node.name, environment), f"{node.name} is being connected")

    @work
    async def action_slots(self) -> None:
        node = self.node
        if node is None or node.slots is None:
            return
        title = f"Slots of {node.name}: tasks that it runs at once"
        answer = await self.app.push_screen_wait(Ask(title, value=str(node.slots), check=_wrong_slots))
        if answer:
            self.lab_app.operate(lambda: set_slots(node, int(answer)))

    @work(thread=True, group="nodes")
    def _request(self, command: Command[Answer], then: str) -> None:
        app = self.lab_app
        try:
            with promised():
                client = EngineClient.connect(app.lab, wait=True) if app.lab is not None else None
                if client is None:
                    app.tell("no engine is running: nodes are used while something runs", "warning")
                    return
                try:
                    client.request(command, patience=PATIENCE)
                finally:
                    client.close()
        except LabError as error:
            app.tell(str(error), "error")
            return
        app.tell(then)
        app.refresh_snapshot()


def _wrong_slots(text: str) -> str:
    return "" if text.strip().isdigit() and int(text) > 0 else "a number, 1 or more"
