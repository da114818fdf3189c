"""One experiment's journal, state and submissions, as the engine holds them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from tui_lab.engine.recipe import Recipe
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import Key as Key
from tui_lab.store.events import KnownEvent, NodesChanged, Submitted
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal


class Records:
    """Writes to the journal, and applies what is written to the state."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        self.folder = folder
        self.name = folder.name
        folder.require_whole()  # nor is a newer one opened for writing
        self.journal = Journal(folder.journal)
        self.state = folder.state()
        self.unwritten: list[KnownEvent] = []  # what the disk would not take
        self.unacknowledged: list[tuple[str, Key]] = []  # (node, key) of events in the journal, not yet durable
        self.staying: dict[Key, list[str]] = {}  # files of such events that could not be brought home
        self.recipes: dict[int, Recipe] = {}

    @property
    def wire_name(self) -> str:
        """What agents call the experiment: another one in a folder of the same name is not taken for it."""
        return f"{self.name}@{self.state.identity[:8]}"

    # Writing.

    def record(self, events: Sequence[KnownEvent]) -> bool:
        """Append events and apply them. False where the disk would not take all: the rest is kept for
        `write_again`."""
        if self.unwritten:
            self.unwritten += events
            return False
        written = self.journal.append(events)
        for event in events[:written]:
            self.state.apply(event)
        self.state.offset = self.journal.end
        self.unwritten += events[written:]
        return not self.unwritten

    def decide(self, event: KnownEvent) -> None:
        """Record what a person asks for: whole, or not at all. Raises StorageError where the disk does not take it."""
        self._require_room()
        if not self.record([event]):
            self.unwritten = []
            raise self._no_room()

    def _require_room(self) -> None:
        """Raises StorageError while the disk does not take what happened before."""
        if self.unwritten and not self.write_again():
            raise self._no_room()

    def _no_room(self) -> StorageError:
        what = f"{self.journal.path}: {self.journal.trouble}"
        return StorageError(what, "make room, then give the same command again")

    def write_again(self) -> bool:
        """Try once more to write what the disk did not take."""
        events, self.unwritten = self.unwritten, []
        return self.record(events)

    # Submissions.

    @property
    def submission(self) -> int:
        return len(self.state.submissions) - 1

    def require_submission(self) -> None:
        """Raises LabError where nothing was submitted yet."""
        if not self.state.submissions:
            raise LabError(f'nothing of "{self.name}" was submitted yet')

    @property
    def newest(self) -> Submitted:
        """The newest submission. Raises LabError where there is none."""
        self.require_submission()
        return self.state.submissions[-1]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Where the tasks of the newest submission run, as docs/journal.md has it."""
        return (self.state.placement or self.newest).nodes

    @property
    def drained_nodes(self) -> list[str]:
        """Nodes on which a person wants nothing new to start."""
        return [] if self.state.placement is None else self.state.placement.drained

    def place_on(self, nodes: list[dict[str, Any]], drained: Iterable[str], released: Sequence[str] = ()) -> None:
        """Other nodes from now on, or other slots. released: nodes whose quarantine is over."""
        self.decide(NodesChanged(now(), nodes, sorted(drained), list(released)))

    def recipe(self, submission: int | None = None) -> Recipe:
        """How tasks of a submission are run, by default of the newest. Raises LabError, SpecError."""
        number = self.submission if submission is None else submission
        if number not in self.recipes:
            about = self.state.submissions[number]
            spec = self.folder.spec(about.plan)
            identity = f"{self.wire_name}/{number}"
            self.recipes[number] = Recipe(spec, self.folder.plan(about.plan), self.folder.path, identity, about.code)
        return self.recipes[number]


def now(ago: float = 0.0) -> float:
    """Seconds since 1970, in milliseconds' steps."""
    return round(time.time() - ago, 3)
