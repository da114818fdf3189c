"""What the scheduler is told. An experiment is named as in the lab, a node as in a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tui_lab.engine.core.model import Key, RunSettings
from tui_lab.protocol.agent import Finished, FromAgent, OutputFile, Welcome, WireKey
from tui_lab.store.events import KnownEvent
from tui_lab.store.fold import State

# --- Experiments


@dataclass(frozen=True, slots=True)
class RunLoaded:
    """The journal of an experiment has been read. `settings` are there if attempts are open."""

    experiment: str
    state: State
    settings: RunSettings | None = None


@dataclass(frozen=True, slots=True)
class RunRemoved:
    """The folder of an experiment has gone."""

    experiment: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """These events are in the journal already: what a command decided."""

    experiment: str
    events: Sequence[KnownEvent]


@dataclass(frozen=True, slots=True)
class RunBegun:
    """A client has supplied the environment of a run, with `submit`, `requeue` or `resume`.

    fresh: it is a new submission.
    """

    experiment: str
    settings: RunSettings
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """Start nothing more until someone resumes it; what runs goes on."""

    experiment: str


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """Start nothing more; what runs may finish, then the run is over."""

    experiment: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Stop tasks, or all (None). interrupt: they go back to pending instead of stopped."""

    experiment: str
    tasks: frozenset[int] | None
    interrupt: bool = False


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run can't go on: its files can't be read, say."""

    experiment: str
    message: str


@dataclass(frozen=True, slots=True)
class Extension:
    """The answer to `Extend`: further repeats that are needed. `note`: what a person should know of them."""

    experiment: str
    tasks: Sequence[int]
    note: str = ""


# --- The disk


@dataclass(frozen=True, slots=True)
class DiskFull:
    """The disk has not taken all events of a `Commit`. They wait."""

    experiment: str


@dataclass(frozen=True, slots=True)
class DiskFree:
    """All that waited is written."""

    experiment: str


@dataclass(frozen=True, slots=True)
class AssignRefused:
    """The disk has not taken an `Assign`: nothing was sent, and nothing waits."""

    experiment: str
    node: str
    keys: Sequence[Key]


# --- Nodes


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """A node is known from now on; it has not been reached yet. `slots`: 0 for as many as it has cores.

    ahead: attempts, or seconds of work (`ahead_seconds`), that it may be handed beyond its slots. lost_after: seconds
    without a connection after which its tasks run elsewhere.
    """

    node: str
    remote: bool = False
    slots: int = 0
    ahead: int | None = None
    ahead_seconds: float | None = None
    lost_after: float | None = None


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """A node is known no longer."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeWelcomed:
    """The agent of a node has answered: what was sent over an earlier connection may be lost. memory: bytes that the
    node offers to tasks."""

    node: str
    welcome: Welcome
    memory: int


@dataclass(frozen=True, slots=True)
class NodeDisconnected:
    """The connection to a node has ended, or could not be made.

    why: empty where the agent hung up in peace. fatal: trying again can't help. silent: the way there is open.
    tries: how many in a row have failed.
    """

    node: str
    why: str
    fatal: bool = False
    silent: bool = False
    tries: int = 0


@dataclass(frozen=True, slots=True)
class NodeRetried:
    """A person wants a node to be tried again."""

    node: str


@dataclass(frozen=True, slots=True)
class SlotsSet:
    """A node has so many slots from now on."""

    node: str
    slots: int


@dataclass(frozen=True, slots=True)
class NodeDrained:
    """Start nothing new on a node (`drained`), or do so again."""

    node: str
    drained: bool


@dataclass(frozen=True, slots=True)
class LatencyMeasured:
    """Seconds to a node and back."""

    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AgentMessages:
    """Messages of an agent, in order. changed: what to note of attempts that start now, because their program has
    changed."""

    node: str
    messages: Sequence[FromAgent]
    changed: Mapping[WireKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Staged:
    """The answer to `Stage`: tasks of a submission can start on a node."""

    experiment: str
    node: str
    submission: int


@dataclass(frozen=True, slots=True)
class StartSent:
    """An attempt was started only now, for files had to go to its node before."""

    experiment: str
    node: str
    key: Key


@dataclass(frozen=True, slots=True)
class StartsRefused:
    """Attempts that can't be started, with the reason: a value can't be passed to a program."""

    experiment: str
    node: str
    attempts: Sequence[tuple[Key, str]]


@dataclass(frozen=True, slots=True)
class FetchedAttempt:
    """An attempt whose files are here and durable. not_fetched: files that stayed on the node. trouble: why all did."""

    experiment: str
    node: str
    message: Finished
    not_fetched: Sequence[OutputFile] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class OutputsFetched:
    """The answer to `Fetch`."""

    arrivals: Sequence[FetchedAttempt]


@dataclass(frozen=True, slots=True)
class OutputsBlocked:
    """Whether the disk has no room for outputs that are fetched."""

    blocked: bool


# --- Time


@dataclass(frozen=True, slots=True)
class Tick:
    """About a second has passed."""


@dataclass(frozen=True, slots=True)
class Woken:
    """The moment of the last `WakeAt` has come."""


@dataclass(frozen=True, slots=True)
class UnstartedAbandoned:
    """Give up what waits for an environment: no client has supplied it."""


Event = (
    RunLoaded
    | RunRemoved
    | Recorded
    | RunBegun
    | PauseRequested
    | DrainRequested
    | StopRequested
    | RunFailed
    | Extension
    | DiskFull
    | DiskFree
    | AssignRefused
    | NodeAdded
    | NodeRemoved
    | NodeWelcomed
    | NodeDisconnected
    | NodeRetried
    | SlotsSet
    | NodeDrained
    | LatencyMeasured
    | AgentMessages
    | Staged
    | StartSent
    | StartsRefused
    | OutputsFetched
    | OutputsBlocked
    | Tick
    | Woken
    | UnstartedAbandoned
)
