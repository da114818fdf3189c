"""The launch dialog: one question that names counts and nodes, and then the submission."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Static

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural, printable, span
from tui_lab.client.nodes import read_nodes
from tui_lab.client.remote.connection import remote_lab
from tui_lab.client.shortage import cores
from tui_lab.client.submission import Choice, prepare, submit
from tui_lab.engine.transports import is_remote
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab
from tui_lab.tui.base.workers import deliver, promised, work
from tui_lab.tui.panes.experiment.check import Forecast, in_text
from tui_lab.tui.panes.experiment.plan import again_lines, counts_content


@dataclass(frozen=True)
class Launch:
    """What the user has agreed to."""

    nodes: tuple[NodeEntry, ...]
    keep_going: bool
    choice: Choice


def nodes_of(words: str, known: Sequence[NodeEntry] = ()) -> list[NodeEntry]:
    """`localhost 2, ana@tower 16 x86`: what stands behind `--node`, with commas between, or cluster files. A name
    of a `known` node means that one. Raises UsageError, SpecError."""
    try:
        given = [part for text in words.split(",") if (part := shlex.split(text))]
    except ValueError as error:
        raise UsageError(f"nodes: {error}") from None
    clusters = [part[0] for part in given if part[0].endswith((".yaml", ".yml"))]
    named = [part for part in given if part[0] not in clusters]
    found = read_nodes([], clusters) if clusters else []
    found += [_as_before(node, known) for node in (read_nodes(named) if named or not clusters else [])]
    names = [node["name"] for node in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is given twice")
    return found


def _as_before(node: NodeEntry, known: Sequence[NodeEntry]) -> NodeEntry:
    """Return the node of an earlier submission with that name, with the slots and tags that are given now."""
    for one in known:
        if one["name"] == node["name"]:
            tags = list(dict.fromkeys([*one.get("tags", ()), *node["tags"]])) if node["tags"] else one.get("tags", [])
            return {**one, "slots": node["slots"] or one.get("slots", 0), "tags": tags}
    return node


def nodes_words(nodes: Sequence[NodeEntry]) -> str:
    """Return the nodes of an earlier submission as text for the field."""
    return ", ".join(
        shlex.join([str(node["name"]), *([str(node["slots"])] if node.get("slots") else []), *node.get("tags", ())])
        for node in nodes
    )


def slots_of(nodes: Sequence[NodeEntry]) -> int | None:
    """Return all slots; None where a node has one per core, and is not this machine."""
    total = 0
    for node in nodes:
        if not node.get("slots") and is_remote(node):
            return None
        total += int(node.get("slots") or 0) or cores()
    return total


def last_nodes(folder: ExperimentFolder) -> list[NodeEntry]:
    """Return the nodes of the last submission."""
    submissions = folder.state().submissions if folder.exists() else []
    return list(submissions[-1].nodes) if submissions else []


def described(nodes: Sequence[NodeEntry]) -> str:
    """Return the names of nodes, such as `localhost (2 slots)`."""
    said = []
    for node in nodes:
        slots = slots_of([node])
        said.append(f"{node['name']} ({'a slot per core' if slots is None else plural(slots, 'slot')})")
    return ", ".join(said[:4]) + (f" and {len(said) - 4} more nodes" if len(said) > 4 else "")


class Tick(Checkbox, inherit_bindings=False):
    """A check box that shows its state by more than colour. Enter is left to the dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "toggle_button", "Tick", show=False)]

    BUTTON_LEFT = BUTTON_RIGHT = ""
    BUTTON_INNER = "[ ]"

    def watch_value(self) -> None:
        self.BUTTON_INNER = "[x]" if self.value else "[ ]"
        super().watch_value()


class LaunchDialog(ModalScreen[Launch | None]):
    """The one question before a run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No", show=False),
        Binding("enter,ctrl+j", "yes", "Run", show=False),
    ]
    DEFAULT_CSS = """
    LaunchDialog {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 96%; height: auto; max-height: 96%;
            background: $surface; border: round $primary; border-subtitle-color: $text-muted; padding: 0 1;
        }
        & #question { text-style: bold; padding: 0 1; }
        & #about { height: auto; max-height: 8; padding: 0 1; }
        & .label { color: $text-muted; padding: 0 1; height: 1; }
        & Input { border: none; height: 1; margin: 0 1; background: $boost; }
        & Input:focus { border: none; background: $primary 20%; }
        & #wrong { padding: 0 1; color: $text-error; height: auto; }
        & Tick { border: none; height: 1; margin-left: 1; padding: 0 1; background: transparent; }
        & Tick > .toggle--button, & Tick.-on > .toggle--button { color: $foreground; background: transparent; }
        & Tick:focus { border: none; background: $primary 20%; }
        & Horizontal { height: auto; align-horizontal: right; }
        & Button { margin: 0 1; min-width: 12; }
    }
    """

    def __init__(
        self,
        forecast: Forecast,
        known: Sequence[NodeEntry],
        unsaved: str,
        replan: Callable[[Choice], Forecast],
        host: str = "",
        choice: Choice | None = None,
    ) -> None:
        """known: nodes of the last submission. replan: blocks; returns what another choice would run. host: the machine
        of the lab, if that is another one. choice: what is chosen already, to which the boxes add."""
        super().__init__()
        self._forecast = forecast
        self._known = known
        self._unsaved = unsaved
        self._host = host
        self._replan = replan
        self._given = choice or Choice()
        self._read_nodes: list[NodeEntry] | None = None
        self._planning = False
        self._wrong = ""

    def compose(self) -> ComposeResult:
        prepared = self._forecast.prepared
        counts = prepared.counts
        failed, done = counts.get("failed", 0) + counts.get("lost", 0), counts.get("done", 0)
        with Vertical() as box:
            box.border_subtitle = "enter runs it, tab: next field, space ticks, esc leaves"
            yield Static(id="question")
            with VerticalScroll(id="about", can_focus=False):
                yield Static(Content("\n").join(self._about()))
            yield Static("Nodes, as for --node, separated by commas; or a cluster.yaml", classes="label")
            yield Input(nodes_words(self._known) or "localhost", id="nodes", compact=True)
            yield Static(id="wrong")
            yield Tick("Go on even if the first tasks all fail", id="keep-going", compact=True)
            if failed and not self._given.new:
                yield Tick(f"Leave out the {plural(failed, 'task')} that failed or were lost", id="new", compact=True)
            if prepared.reasons:
                yield Tick("Keep the results of tasks that are new only because of an edit", id="adopt", compact=True)
            if done and self._given.only is None:
                yield Tick(f"Run the {plural(done, 'done task')} again, as the next version", id="rerun", compact=True)
            with Horizontal():
                yield Button("Cancel", id="no", compact=True)
                yield Button("Run", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self._read()
        self.query_one("#yes", Button).focus()

    def _about(self) -> list[Content]:
        prepared = self._forecast.prepared
        lines = [counts_content(prepared.parts)]
        lines += again_lines(prepared)
        lines += [
            Content.from_markup("[$text-warning]▲[/] $it", it=printable(in_text(notice)))
            for notice in prepared.notices[:4]
        ]
        if self._forecast.replaces:
            words = f"{self._forecast.replaces}: this one takes its place"
            lines.append(Content.from_markup("[$text-warning]▲[/] $it", it=words))
        if self._host:
            words = f"It runs from {self._host}, with the environment of a login there; localhost is that machine."
            lines.append(Content.from_markup("[$text-warning]●[/] $it", it=words))
        if self._unsaved:
            lines.append(Content.from_markup("[$text-warning]●[/] $it", it=f"{self._unsaved} is saved first"))
        return lines

    def _ticked(self, name: str) -> bool:
        return bool(self.query(f"#{name}")) and self.query_one(f"#{name}", Checkbox).value

    def _choice(self) -> Choice:
        return replace(
            self._given,
            new=self._given.new or self._ticked("new"),
            rerun=self._ticked("rerun"),
            adopt=self._ticked("adopt"),
            replace=bool(self._forecast.replaces),
        )

    @on(Checkbox.Changed)
    def _chosen(self, event: Checkbox.Changed) -> None:
        if event.checkbox.id != "keep-going":
            self._planning = True
            self._read()
            self._plan(self._choice())

    @work(thread=True, exclusive=True)
    def _plan(self, choice: Choice) -> None:
        try:
            forecast, wrong = self._replan(choice), ""
        except (SpecError, LabError, UsageError) as error:
            forecast, wrong = self._forecast, str(error)
        deliver(self, self._planned, forecast, wrong)

    def _planned(self, forecast: Forecast, wrong: str) -> None:
        self._forecast, self._wrong, self._planning = forecast, wrong, False
        self._read()

    @on(Input.Changed)
    def _read(self) -> None:
        wrong = self._wrong
        try:
            self._read_nodes = nodes_of(self.query_one("#nodes", Input).value, self._known)
        except (UsageError, SpecError) as error:
            self._read_nodes, wrong = None, str(error).removeprefix("--node ")
        self.query_one("#wrong", Static).update(Content(wrong))
        self.query_one("#wrong").display = bool(wrong)
        self.query_one("#yes", Button).disabled = self._read_nodes is None or self._planning or bool(wrong)
        self.query_one("#question", Static).update(Content(self._question()))

    def _question(self) -> str:
        name, count = self._forecast.prepared.experiment.name, len(self._forecast.prepared.queued)
        if self._read_nodes is None:
            return f"Run {plural(count, 'task')} of {name}?"
        if not self._forecast.prepared.has_work:
            return f"Submit {name}? It has nothing to run; only its plan is recorded."
        what = plural(count, "task") if count else "what collects tasks"
        question = f"Run {what} of {name} on {described(self._read_nodes)}?"
        seconds, slots = self._forecast.seconds, slots_of(self._read_nodes)
        if seconds is None or not slots or not count:
            return question
        return f"{question} About {span(seconds * self._forecast.slots / slots)}."

    @on(Button.Pressed, "#yes")
    @on(Input.Submitted)
    def action_yes(self) -> None:
        if self._read_nodes is not None and not self.query_one("#yes", Button).disabled:
            self.dismiss(Launch(tuple(self._read_nodes), self._ticked("keep-going"), self._choice()))

    @on(Button.Pressed, "#no")
    def action_no(self) -> None:
        self.dismiss(None)


def submit_file(lab_path: Path, file: Path, launch: Launch, environment: Mapping[str, str]) -> tuple[str, int]:
    """Submit a saved file as `--run` does; return the experiment's name and how many tasks will run. Blocks. Raises
    SpecError, LabError, UsageError."""
    remote = remote_lab(lab_path)
    if remote is not None:
        with promised():
            return remote.launch(file, launch.nodes, launch.keep_going, launch.choice)
    lab = Lab.create(lab_path)
    with promised(), lab.submitting():
        prepared = prepare(lab, file, launch.choice)
        client, _ = submit(lab, [prepared], launch.nodes, launch.keep_going, environment)
    if client is not None:
        client.close()
    return prepared.experiment.name, len(prepared.queued)
