"""The state of a lab at one moment: made by the watcher's thread, frozen, shown by the panes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from textual.message import Message

if TYPE_CHECKING:
    from tui_lab.protocol.control import NodeStatus
    from tui_lab.store.events import Ended, Paused
    from tui_lab.store.lab import Lab


class Happening(NamedTuple):
    """An event in a line. kind: the state in which a task ended, or the kind of the event; task: the one that ended.
    at: seconds since 1970. more: tasks that were done within a moment of it, and have no line."""

    at: float
    experiment: str
    kind: str
    text: str
    task: int | None = None
    more: int = 0


@dataclass(frozen=True)
class ExperimentSnapshot:
    """One experiment. rate counts tasks that end per second of late; eta is when it will end, in seconds since 1970.
    Both are None where nothing is going, and stay as they are while they hardly change."""

    name: str
    counts: dict[str, int] = field(default_factory=dict)  # planned tasks by state, all states
    planned: int = 0
    queued: int = 0  # asked for, and not yet at their end
    active: bool = False  # the engine works on it
    paused: Paused | None = None
    ended: Ended | None = None
    revision: int = 0  # bytes of its journal that were read: another number when anything happened
    submissions: int = 0
    rate: float | None = None
    eta: float | None = None
    grows: bool = False  # `repeat: {until}` may ask for more: the end is the earliest one
    throughput: tuple[int, ...] = ()  # tasks that ended, in equal parts of the run, or of its last hour; newest last
    happened: tuple[Happening, ...] = ()  # its last events, the newest last
    drained: bool = False  # the user asked to start nothing more
    failure: str = ""  # the last task that failed, in a line
    note: str = ""  # on the repeats of its newest submission: that `until` can't become true
    problem: str = ""  # why it can't be read
    damage: str = ""  # of its journal
    stages: dict[str, dict[str, int]] = field(default_factory=dict)  # runs of each stage before the last by state

    def remaining(self, now: float) -> float | None:
        """Return the seconds until the end. now: seconds since 1970."""
        return None if self.eta is None else max(0.0, self.eta - now)

    @property
    def settled(self) -> int:
        """Planned tasks that have ended by themselves; stopped ones may still be run."""
        return self.planned - sum(self.counts.get(state, 0) for state in ("pending", "running", "stopped"))


@dataclass(frozen=True)
class EngineSnapshot:
    """The status of the engine. away: the machine of the lab can't be reached, and the notice says why."""

    pid: int | None = None
    active: tuple[str, ...] = ()
    notice: str = ""
    nodes: tuple[NodeStatus, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    away: bool = False


class NodeSample(NamedTuple):
    """A node at one moment, as shares from 0 to 1 of what it has; None where that is not known. at: seconds since
    1970. The load may exceed 1: more wants to run than there are cores."""

    at: float
    slots: float | None = None
    load: float | None = None
    memory: float | None = None
    gpu: float | None = None
    busy: int | None = None
    """Slots in use."""
    pool: str = ""
    """What it was granted for, if it was."""


@dataclass(frozen=True)
class LabSnapshot:
    """The whole lab. taken: seconds since 1970."""

    lab: Lab | None = None
    experiments: tuple[ExperimentSnapshot, ...] = ()  # the one with the newest submission last
    engine: EngineSnapshot | None = None  # None where none is running
    died: bool = False  # the engine ended while something was going
    problem: str = ""  # why the lab can't be read
    samples: dict[str, tuple[NodeSample, ...]] = field(default_factory=dict)  # by node, the newest last
    taken: float = 0.0

    def happened(self, most: int) -> list[Happening]:
        """Return the last events of all experiments, the newest last."""
        return sorted((event for one in self.experiments for event in one.happened), key=lambda event: event.at)[-most:]

    def experiment(self, name: str | None) -> ExperimentSnapshot | None:
        """Return the snapshot of an experiment; None where there is none."""
        for one in self.experiments:
            if one.name == name:
                return one
        return None


@dataclass
class SnapshotTaken(Message):
    """The watcher has read the lab. Of several that wait, only the newest is shown."""

    snapshot: LabSnapshot
    watcher: object
    """Who took it: the app no longer looks at the lab of another one."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotTaken) and message.watcher is self.watcher
