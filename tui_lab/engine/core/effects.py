"""The effects that the scheduler asks for, to be carried out in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui_lab.engine.core.model import AttemptKey
from tui_lab.protocol.agent import Finished, ToAgent
from tui_lab.store.events import KnownEvent
from tui_lab.store.ranges import Ranges


class Commit(msgspec.Struct, frozen=True):
    """Append events to an experiment's journal. If the disk has no room, they wait, and `DiskFull` is the answer."""

    experiment: str
    events: list[KnownEvent]


class Assign(msgspec.Struct, frozen=True):
    """Append events (write ahead), then start the attempts on a node. If the disk has no room, nothing is sent, and
    `AssignRefused` is the answer. takes: the seconds that each needs, where the node was granted for a time."""

    experiment: str
    node: str
    submission: int
    keys: list[AttemptKey]
    events: list[KnownEvent]
    takes: Mapping[AttemptKey, float] = msgspec.field(default_factory=dict)


class Acknowledge(msgspec.Struct, frozen=True):
    """Let a node forget an attempt, once all events so far are durable. stay: files that it must not remove. kept:
    these are all of its outputs, for what comes after it."""

    experiment: str
    node: str
    key: AttemptKey
    stay: Sequence[str] = ()
    kept: bool = False


class Send(msgspec.Struct, frozen=True):
    """Send a message to an agent. It is lost if the node is not connected."""

    node: str
    message: ToAgent


class Stage(msgspec.Struct, frozen=True):
    """Prepare a node for the tasks of a submission; `Staged` is the answer."""

    experiment: str
    node: str
    submission: int


class SendContext(msgspec.Struct, frozen=True):
    """Send the context of a submission to a node."""

    experiment: str
    node: str
    submission: int


class Fetch(msgspec.Struct, frozen=True):
    """Fetch the outputs of an attempt; `OutputsFetched` is the answer."""

    experiment: str
    node: str
    message: Finished


class DropOutputs(msgspec.Struct, frozen=True):
    """Stop waiting for outputs from a node, because it is lost."""

    node: str


class DropCopy(msgspec.Struct, frozen=True):
    """Remove the outputs of a run of a stage from a node: nothing needs them there any more, and they are here."""

    experiment: str
    node: str
    run: int


class Discard(msgspec.Struct, frozen=True):
    """Remove the files of runs of stages, once all events so far are durable."""

    experiment: str
    runs: Ranges


class Extend(msgspec.Struct, frozen=True):
    """Find out which further repeats are needed; `Extension` is the answer."""

    experiment: str


class Stopped(msgspec.Struct, frozen=True):
    """Answer a client: so many tasks are being stopped."""

    count: int


class WakeAt(msgspec.Struct, frozen=True):
    """Send `Woken` at this time (monotonic), after all events that came before. It replaces an earlier one."""

    moment: float


Effect = (
    Commit
    | Assign
    | Acknowledge
    | Send
    | Stage
    | SendContext
    | Fetch
    | DropOutputs
    | DropCopy
    | Discard
    | Extend
    | Stopped
    | WakeAt
)
