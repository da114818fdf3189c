"""The Nodes pane: every node, how busy it is, what runs there, what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui_lab.engine.client import EngineClient
from tui_lab.store.errors import LabError
from tui_lab.tui.actions import Action
from tui_lab.tui.background import promised, work
from tui_lab.tui.dialogs import Ask
from tui_lab.tui.nodes_look import columns, detail, nodes_frame, nodes_of
from tui_lab.tui.pane import Pane, nothing
from tui_lab.tui.snapshot import LabSnapshot
from tui_lab.tui.table import FrameTable

if TYPE_CHECKING:
    from textual.events import Resize

PATIENCE = 10.0  # seconds that the engine may take


class NodesPane(Pane):
    NAME = "nodes"
    TITLE = "Nodes"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("nodes.tasks", "t", "Tasks", "Show the tasks that run on this node, or ran there (enter does it, too)."),
        Action("nodes.drain", "d", "Drain", "Give the node nothing more; what runs there may finish."),
        Action("nodes.resume", "u", "Resume", "Give a drained or quarantined node tasks again."),
        Action("nodes.more", "plus,equals_sign", "+1 slot", "One slot more.", shown=False),
        Action("nodes.fewer", "minus", "-1 slot", "One slot less; what runs there may finish.", shown=False),
        Action("nodes.slots", "S", "Slots", "Change how many tasks the node runs at once."),
        Action("nodes.reconnect", "c", "Reconnect", "Try to reach the node now, without waiting."),
    )
    HELP = """
Where tasks run. A node that is **away** is being tried again; its tasks go on there, and count once it is back; what
was measured **before** is history. It is **lost** when it was away for too long: its tasks then run elsewhere.
**drained** is what a person asked for; **quarantined** nodes failed too many tasks in a row.

Load is that of the whole machine, GPUs are the mean of those that the node offers. The small columns show the last
minutes, the newest on the right.
"""
    DEFAULT_CSS = """
    NodesPane {
        & #nodes { height: 1fr; }
        & #node { height: auto; max-height: 50%; min-height: 3; padding: 0 1; border-top: solid $panel; }
    }
    """

    known: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (each snapshot puts another in its place)

    def compose(self) -> ComposeResult:
        yield FrameTable(id="nodes", key="name", frozen=1)
        yield Static(id="node")

    @property
    def table(self) -> FrameTable:
        return self.query_one(FrameTable)

    def show(self, snapshot: LabSnapshot) -> None:
        nodes, ascii = nodes_of(snapshot), self.lab_app.config.ascii
        self.known = {str(node["name"]): node for node in nodes}
        self.table.placeholder = nothing(snapshot, "no nodes yet: they are listed once something runs")
        gpus = any(node.get("gpus") for node in nodes)
        frame = nodes_frame(nodes, snapshot.samples, ascii, self.size.width)
        self.table.set_frame(frame, columns=columns(ascii, gpus, self.size.width))
        self._show_detail()

    def on_resize(self, event: Resize) -> None:
        if self.is_mounted:
            self.show(self.lab_app.snapshot)

    @property
    def node(self) -> dict[str, Any] | None:
        """The one under the cursor."""
        row = self.table.row(self.table.cursor_row)
        return self.known.get(row["name"]) if row is not None else None

    @on(FrameTable.RowHighlighted)
    def _show_detail(self) -> None:
        node = self.node
        text = Content()
        if node is not None:
            past = self.lab_app.snapshot.samples.get(node["name"], ())
            text = detail(node, past, self.size.width - 2, self.lab_app.config.ascii, list(self.known.values()))
        self.query_one("#node", Static).update(text)

    @on(FrameTable.RowSelected)
    def action_tasks(self) -> None:
        node, current = self.node, self.lab_app.current
        if node is None:
            return
        name = str(node["name"]).replace("'", "''")
        if running := node.get("tasks"):
            self.lab_app.show_tasks(running[0][0], f"state = 'running' AND node = '{name}'")
        elif current:
            self.lab_app.tell(f"nothing runs on {node['name']}; these tasks of {current} ran there last")
            self.lab_app.show_tasks(current, f"node = '{name}'")
        else:
            self.lab_app.tell(f"nothing runs on {node['name']}")

    # What is asked of the engine.

    def action_drain(self) -> None:
        self._ask_engine("node_drain", "gets nothing more")

    def action_resume(self) -> None:
        self._ask_engine("node_resume", "gets tasks again")

    def action_reconnect(self) -> None:
        environment = self.lab_app.command_environment()  # for its SSH agent, and where keys lie
        self._ask_engine("node_reconnect", "is being tried", environment=environment)

    def action_more(self) -> None:
        self._set_slots(1)

    def action_fewer(self) -> None:
        self._set_slots(-1)

    def _set_slots(self, by: int) -> None:
        if self.node is not None and self.node.get("slots") is not None and self.node["slots"] + by > 0:
            slots = self.node["slots"] + by
            self._ask_engine("node_set", f"has {slots} slots now", slots=slots)

    @work
    async def action_slots(self) -> None:
        node = self.node
        if node is None or node.get("slots") is None:
            return
        title = f"Slots of {node['name']}: tasks that it runs at once"
        answer = await self.app.push_screen_wait(Ask(title, value=str(node["slots"]), check=_wrong_slots))
        if answer:
            self._ask_engine("node_set", f"has {int(answer)} slots now", slots=int(answer))

    def _ask_engine(self, command: str, then: str, **words: Any) -> None:
        if self.node is not None:
            self._request(command, then, node=self.node["name"], **words)

    @work(thread=True, group="nodes")
    def _request(self, command: str, then: str, **words: Any) -> None:
        app = self.lab_app
        try:
            with promised():
                client = EngineClient.connect(app.lab) if app.lab is not None else None
                if client is None:
                    app.tell("no engine is running: nodes are used while something runs", "warning")
                    return
                try:
                    client.request(command, patience=PATIENCE, **words)
                finally:
                    client.close()
        except LabError as error:
            app.tell(str(error), "error")
            return
        app.tell(f"{words['node']} {then}")
        app.look_again()


def _wrong_slots(text: str) -> str:
    return "" if text.strip().isdigit() and int(text) > 0 else "a number, 1 or more"
