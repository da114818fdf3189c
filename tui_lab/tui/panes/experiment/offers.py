"""Metrics for what tasks have written: one is chosen from a list, and which of its values are better; or several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_lab.client.formatting import plural, printable, shortened, shown_value
from tui_lab.experiment.additions import add_metric
from tui_lab.experiment.metric import Goal
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.experiment.yaml.writer import one_line
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.offers.find import TASKS, find_offers
from tui_lab.results.offers.offer import Offer
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import Host
from tui_lab.tui.panes.experiment.editor_side import EditorSide
from tui_lab.tui.panes.experiment.trial import Outputs
from tui_lab.tui.widgets.menu import Menu

_GOALS: Final[tuple[tuple[str, Goal | None, str], ...]] = (
    ("larger is better", "max", "goal: max"),
    ("smaller is better", "min", "goal: min"),
    ("neither", None, "it is shown, and not compared"),
)


@dataclass(frozen=True)
class Offered:
    """The offers for a file, or why there are none."""

    offers: tuple[Offer, ...] = ()
    tasks: tuple[Task, ...] = ()
    """Those whose outputs were read."""
    message: str = ""


@dataclass(frozen=True)
class Subject:
    """What offers are made of: some tasks, and what a file says of them."""

    experiment: Experiment
    folder: Path
    tasks: tuple[Task, ...]
    known: tuple[str, ...]
    """Names that are taken."""


def subject(lab: Lab | None, path: Path, text: str, outputs: Outputs) -> Subject | str:
    """Return what the text of a file has outputs of, or why there is nothing. For a thread worker."""
    if lab is None:
        return "no task has run yet, so there are no outputs"
    try:
        document = parse(text, str(path))
        reader = Reader(document, path.parent)
        given, command = document.node(("name",)), document.node(("command",))
        name = str(given.value) if given is not None and isinstance(given.value, str) and given.value else path.stem
        named = dict.fromkeys(command.entries, "true") if command is not None and command.kind == "mapping" else {}
        tasks = outputs.of(lab.path / name)[:TASKS]
        experiment = Experiment(name=name, command=named or "true")
        known = (*reader.keys(("metrics",)), *_parameters(reader))
    except (SpecError, LabError, OSError) as error:
        return str(error).splitlines()[0]
    return Subject(experiment, lab.path / name, tuple(tasks), known)


def offered(lab: Lab | None, path: Path, text: str, outputs: Outputs) -> Offered:
    """Return the metrics that the outputs of the last tasks have, and the text does not. For a thread worker."""
    about = subject(lab, path, text, outputs)
    return Offered(message=about) if isinstance(about, str) else offers_of(about)


def offers_of(about: Subject) -> Offered:
    """Return the metrics that outputs have. For a thread worker."""
    tasks, name = about.tasks, about.experiment.name
    if not tasks:
        return Offered(message=f"no task of {name} has ended yet")
    try:
        found = find_offers(about.experiment, about.folder, tasks, about.known)
    except (LabError, OSError) as error:
        return Offered(message=str(error).splitlines()[0])
    if not found:
        return Offered(message=f"no other number with a name is in the outputs of {plural(len(tasks), 'task')}")
    return Offered(tuple(found), tasks)


def _parameters(reader: Reader) -> list[str]:
    document = reader.document
    sweeps = document.node(("parameters",))
    several = len(sweeps.items) if sweeps is not None and sweeps.kind == "list" else 0
    paths: list[Keypath] = [("parameters", i) for i in range(several)] or [("parameters",)]
    return [name for path in (*paths, ("defaults",), ("derive",)) for name in reader.keys(path)]


@dataclass(frozen=True)
class Chosen:
    """An offer that was taken, and which of its values are better."""

    offer: Offer
    goal: Goal | None


class OffersScreen(ModalScreen[tuple[Chosen, ...] | None]):
    """A list of offers, then of goals. Nothing else is asked. Of several that are marked, the list says the goals."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("space", "mark", "Mark"),
    ]
    DEFAULT_CSS = """
    OffersScreen {
        align: center middle;
        & > Vertical {
            width: 100; max-width: 96%; height: auto; max-height: 90%; padding: 0 1; background: $surface;
            border: round $primary; border-title-color: $text-primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Menu { height: auto; max-height: 16; }
        & Static { height: auto; max-height: 5; margin-top: 1; }
    }
    """

    def __init__(self, offered: Offered, taken: Offer | None = None) -> None:
        """taken: one that is chosen already."""
        super().__init__()
        self.offered = offered
        self.taken = taken
        self.marked: set[int] = set()
        """The places of offers that are taken together."""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Menu(compact=True)
            yield Static()

    def on_mount(self) -> None:
        if self.taken is None:
            self._list_offers()
        else:
            self._list_goals(self.taken)
        self.query_one(Menu).focus()

    @property
    def box(self) -> Vertical:
        """The frame, whose border has the question."""
        return self.query_one(Vertical)

    def _list_offers(self) -> None:
        menu, taken = self.query_one(Menu), self.taken
        self.taken = None
        offers = self.offered.offers
        self.box.border_title = Content(f"Metrics in the outputs of {plural(len(self.offered.tasks), 'task')}")
        menu.clear_options()
        menu.add_options(Option(self._row(place)) for place in range(len(offers)))
        self._say_marked()
        menu.highlighted = offers.index(taken) if taken is not None else 0

    def _row(self, place: int) -> Content:
        offers, mark = self.offered.offers, "● " if place in self.marked else "  "
        where = shortened(printable(offers[place].where.strip()), 60)
        return Content.assemble((mark, "$text-accent"), rows(offers)[place], (where, MUTED))

    def _say_marked(self) -> None:
        count = len(self.marked)
        keys = f"{count} marked: enter takes them, less or more is better as said" if count else "enter takes one"
        keys += "" if count or len(self.offered.offers) < 2 else ", space marks several"
        self.box.border_subtitle = Content(f"{keys}, esc leaves")

    def action_mark(self) -> None:
        """Mark the offer, or take its mark away, and go to the next."""
        menu = self.query_one(Menu)
        if self.taken is None and (place := menu.highlighted) is not None:
            self.marked ^= {place}
            menu.replace_option_prompt_at_index(place, self._row(place))
            menu.highlighted = min(place + 1, len(self.offered.offers) - 1)
            self._say_marked()

    def _list_goals(self, offer: Offer) -> None:
        self.taken = offer
        menu = self.query_one(Menu)
        self.box.border_title = Content(f"Which values of {offer.name} are better?")
        self.box.border_subtitle = "enter writes the metric, esc goes back"
        menu.clear_options()
        menu.add_options(Option(Content.assemble(f"{words:<20}", (more, MUTED))) for words, _, more in _GOALS)
        menu.highlighted = [goal for _, goal, _ in _GOALS].index(offer.goal)

    @on(OptionList.OptionHighlighted)
    def _show(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        place = event.option_index
        offer = self.taken or self.offered.offers[min(place, len(self.offered.offers) - 1)]
        goal = _GOALS[place][1] if self.taken is not None and place < len(_GOALS) else offer.goal
        lines = [
            Content.assemble(("from  ", MUTED), shortened(printable(offer.where.strip()), 200)),
            Content.assemble(("makes ", MUTED), f"{offer.name}: {one_line(offer.with_goal(goal))}"),
        ]
        self.query_one(Static).update(Content("\n").join(lines))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        offers = self.offered.offers
        if self.taken is not None:
            self.dismiss((Chosen(self.taken, _GOALS[event.option_index][1]),))
        elif self.marked:
            self.dismiss(tuple(Chosen(offers[place], offers[place].goal) for place in sorted(self.marked)))
        else:
            self._list_goals(offers[event.option_index])

    def action_leave(self) -> None:
        if self.taken is None:
            self.dismiss(None)
        else:
            self._list_offers()


def _value(offer: Offer) -> str:
    return f"{shown_value(offer.value)} {offer.unit}".rstrip()


def rows(offers: Sequence[Offer]) -> list[Content]:
    """Return a line for each offer: its name, its value, and which values are better."""
    name = max((len(offer.name) for offer in offers), default=0)
    value = max((len(_value(offer)) for offer in offers), default=0)
    found = []
    for offer in offers:
        better = {"max": "more is better", "min": "less is better", None: ""}[offer.goal]
        what = better if offer.varies or len(offer.values) < 2 else "the same in all tasks"
        found.append(
            Content.assemble(
                (f"{offer.name:<{name}}", "bold $text-primary"), f"  {_value(offer):>{value}}  ", (f"{what:<22}", MUTED)
            )
        )
    return found


def named(offers: Sequence[Offer], most: int = 3) -> str:
    """Return the names of the first offers, for a message."""
    names = [offer.name for offer in offers]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


async def ask_metric(host: Host, side: EditorSide, path: Path, outputs: Outputs) -> None:
    """Ask which of the offers becomes a metric of a file, and write it into its text. Only in a worker."""
    found = await host.before_question(asyncio.to_thread(offered, host.lab, path, side.text, outputs))
    if found.offers:
        await ask_goal(host, side, path, found)
    else:
        host.tell(found.message, "warning")


async def ask_goal(host: Host, side: EditorSide, path: Path, found: Offered, taken: Offer | None = None) -> None:
    """Ask for one of the offers, unless one is taken, and which of its values are better. Write it into the text of the
    file. Only in a worker."""
    chosen = await host.ask(OffersScreen(found, taken))
    if chosen is None or side.file is None or side.file.path != path:
        return
    names = [one.offer.name for one in chosen]
    for one in chosen:
        try:
            edit = add_metric(side.text, path.name, one.offer.name, one.offer.with_goal(one.goal))
        except SpecError as error:
            host.tell(str(error), "error")
            return
        side.editor.apply(edit)
    save, undo = (host.key(f"experiment.{action}", side.editor.has_focus) for action in ("save", "undo"))
    are, back = ("is a metric", "it") if len(names) == 1 else ("are metrics", "one after the other")
    host.tell(f"{', '.join(names)} {are} now: {save} saves the file, {undo} takes {back} back")
