"""The events that the scheduler handles. An experiment is named as in the lab, a node as in a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui_lab.engine.core.model import AttemptKey, NodeLimits, RunSettings
from tui_lab.protocol.agent import Finished, FromAgent, OutputFile, Welcome, WireKey
from tui_lab.store.events import KnownEvent
from tui_lab.store.fold import State

# --- Experiments


class RunLoaded(msgspec.Struct, frozen=True):
    """The journal of an experiment has been read. `settings` are given if attempts are open."""

    experiment: str
    state: State
    settings: RunSettings | None = None


class RunRemoved(msgspec.Struct, frozen=True):
    """The folder of an experiment has gone."""

    experiment: str


class Recorded(msgspec.Struct, frozen=True):
    """A command has written these events to the journal already."""

    experiment: str
    events: Sequence[KnownEvent]


class RunBegun(msgspec.Struct, frozen=True):
    """A client has supplied the environment of a run, with `submit`, `requeue` or `resume`.

    fresh: it is a new submission. again: tasks were requested anew, by that or by `requeue`.
    """

    experiment: str
    settings: RunSettings
    fresh: bool = False
    again: bool = False


class PauseRequested(msgspec.Struct, frozen=True):
    """Start nothing more until `resume`; running tasks continue."""

    experiment: str


class DrainRequested(msgspec.Struct, frozen=True):
    """Start nothing more; running tasks may finish, then the run is over."""

    experiment: str


class PriorityRequested(msgspec.Struct, frozen=True):
    """Let an experiment go before those with a lower priority, or behind those with a higher one."""

    experiment: str
    priority: int


class StopRequested(msgspec.Struct, frozen=True):
    """Stop tasks, or all (None). interrupt: they go back to pending instead of stopped."""

    experiment: str
    tasks: frozenset[int] | None
    interrupt: bool = False


class RunFailed(msgspec.Struct, frozen=True):
    """A run can't go on: its files can't be read, say."""

    experiment: str
    message: str


class Extension(msgspec.Struct, frozen=True):
    """The answer to `Extend`: further repeats that are needed. `note`: for the user."""

    experiment: str
    tasks: Sequence[int]
    note: str = ""


# --- The disk


class DiskFull(msgspec.Struct, frozen=True):
    """The disk has not taken all events of a `Commit`. They wait."""

    experiment: str


class DiskFree(msgspec.Struct, frozen=True):
    """All that waited is written."""

    experiment: str


class AssignRefused(msgspec.Struct, frozen=True):
    """The disk has not taken an `Assign`: nothing was sent, and nothing waits."""

    experiment: str
    node: str
    keys: Sequence[AttemptKey]


# --- Nodes


class NodeAdded(msgspec.Struct, frozen=True):
    """A node was added; it has not been reached yet. `slots`: 0 for as many as it has cores.

    ahead: attempts, or seconds of work (`ahead_seconds`), that it may be handed beyond its slots. lost_after: seconds
    without a connection after which its tasks run elsewhere. pool: that it was granted by; empty where an entry names
    it.
    """

    node: str
    remote: bool = False
    slots: int = 0
    ahead: int | None = None
    ahead_seconds: float | None = None
    lost_after: float | None = None
    pool: str = ""


class NodeRemoved(msgspec.Struct, frozen=True):
    """A node was removed."""

    node: str


class AllocationEnded(msgspec.Struct, frozen=True):
    """A node is gone for good, because the engine that granted it says so. reason: of the loss of its tasks."""

    node: str
    reason: str


class DeadlineMoved(msgspec.Struct, frozen=True):
    """What a node was granted for ends in so many seconds; None: it has no end that is known. reason: why it will be
    taken back before its time; empty where it won't."""

    node: str
    ends_in: float | None
    reason: str = ""


class NodeWelcomed(msgspec.Struct, frozen=True):
    """The agent of a node has answered: what was sent over an earlier connection may be lost. memory: bytes that the
    node offers to tasks. resources: what else it offers, by name."""

    node: str
    welcome: Welcome
    memory: int
    resources: Mapping[str, int] = msgspec.field(default_factory=dict)


class NodeDisconnected(msgspec.Struct, frozen=True):
    """The connection to a node has ended, or could not be made.

    why: empty where the agent ended it in order. fatal: trying again can't help. silent: the way there is open.
    tries: how many in a row have failed.
    """

    node: str
    why: str
    fatal: bool = False
    silent: bool = False
    tries: int = 0


class NodeRetried(msgspec.Struct, frozen=True):
    """A node is to be tried again, by command."""

    node: str


class SlotsSet(msgspec.Struct, frozen=True):
    """A node has so many slots from now on."""

    node: str
    slots: int


class NodeDrained(msgspec.Struct, frozen=True):
    """Start nothing new on a node (`drained`), or use it again."""

    node: str
    drained: bool


class LatencyMeasured(msgspec.Struct, frozen=True):
    """Seconds to a node and back."""

    node: str
    seconds: float


class AgentMessages(msgspec.Struct, frozen=True):
    """Messages of an agent, in order. changed: what to note of attempts that start now, because their program has
    changed."""

    node: str
    messages: Sequence[FromAgent]
    changed: Mapping[WireKey, str] = msgspec.field(default_factory=dict)


class Staged(msgspec.Struct, frozen=True):
    """The answer to `Stage`: tasks of a submission can start on a node."""

    experiment: str
    node: str
    submission: int


class StartSent(msgspec.Struct, frozen=True):
    """An attempt was started late, because files had to go to its node first."""

    experiment: str
    node: str
    key: AttemptKey


class StartsRefused(msgspec.Struct, frozen=True):
    """Attempts that can't be started, each with the reason, such as a value that can't be passed to a program."""

    experiment: str
    node: str
    attempts: Sequence[tuple[AttemptKey, str]]


class InputsGone(msgspec.Struct, frozen=True):
    """An attempt can't be started on a node, because the outputs of these runs of stages, which are done, are gone."""

    experiment: str
    node: str
    key: AttemptKey
    runs: Sequence[int]


class FetchedAttempt(msgspec.Struct, frozen=True):
    """An attempt whose files are here and durable. not_fetched: files that stayed on the node. trouble: why all did."""

    experiment: str
    node: str
    message: Finished
    not_fetched: Sequence[OutputFile] = ()
    trouble: str = ""


class OutputsFetched(msgspec.Struct, frozen=True):
    """The answer to `Fetch`."""

    arrivals: Sequence[FetchedAttempt]


class OutputsBlocked(msgspec.Struct, frozen=True):
    """Whether the disk has no room for outputs that are fetched."""

    blocked: bool


# --- Pools


class PoolAdded(msgspec.Struct, frozen=True):
    """An entry of a submission is an engine that grants nodes. slots: of each node; 0 for as many as it has cores.
    resources: what each offers besides, by name."""

    pool: str
    slots: int = 0
    resources: Mapping[str, int] = msgspec.field(default_factory=dict)


class PoolSurveyed(msgspec.Struct, frozen=True):
    """How an engine stands to a pool. hopeless: why it can grant nothing; empty while it may. walltime: seconds that an
    allocation has, if that is known. limits: the most that one can have. as_needed: each has what those
    tasks need that waited for it."""

    pool: str
    hopeless: str = ""
    walltime: float | None = None
    limits: NodeLimits = NodeLimits()
    as_needed: bool = False


class PoolDrained(msgspec.Struct, frozen=True):
    """Start nothing new on the nodes of a pool (`drained`), or use it again."""

    pool: str
    drained: bool


# --- Time


class Tick(msgspec.Struct, frozen=True):
    """About a second has passed."""


class Woken(msgspec.Struct, frozen=True):
    """The time of the last `WakeAt` has come."""


class UnstartedAbandoned(msgspec.Struct, frozen=True):
    """Return the attempts that wait for an environment, because no client has supplied it."""


Event = (
    RunLoaded
    | RunRemoved
    | Recorded
    | RunBegun
    | PauseRequested
    | DrainRequested
    | PriorityRequested
    | StopRequested
    | RunFailed
    | Extension
    | DiskFull
    | DiskFree
    | AssignRefused
    | NodeAdded
    | NodeRemoved
    | AllocationEnded
    | DeadlineMoved
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
    | InputsGone
    | OutputsFetched
    | OutputsBlocked
    | PoolAdded
    | PoolSurveyed
    | PoolDrained
    | Tick
    | Woken
    | UnstartedAbandoned
)
