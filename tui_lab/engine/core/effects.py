"""What the scheduler wants done, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_lab.engine.core.model import Key
from tui_lab.protocol.agent import Finished, ToAgent
from tui_lab.store.events import KnownEvent


@dataclass(frozen=True, slots=True)
class Commit:
    """Append events to the journal of an experiment. What the disk does not take waits, and `DiskFull` is the
    answer."""

    experiment: str
    events: list[KnownEvent]


@dataclass(frozen=True, slots=True)
class Assign:
    """Append events (write ahead), then have the attempts started on a node. Where the disk does not take them, nothing
    is sent, and `AssignRefused` is the answer."""

    experiment: str
    node: str
    submission: int
    keys: list[Key]
    events: list[KnownEvent]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell a node, once all events so far are durable, that it may forget an attempt. stay: names of files that it must
    not remove."""

    experiment: str
    node: str
    key: Key
    stay: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to an agent; it is lost where the node is not connected."""

    node: str
    message: ToAgent


@dataclass(frozen=True, slots=True)
class Stage:
    """See to it that tasks of a submission can start on a node; `Staged` is the answer."""

    experiment: str
    node: str
    submission: int


@dataclass(frozen=True, slots=True)
class SendContext:
    """Send what tasks of a submission have in common."""

    experiment: str
    node: str
    submission: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch the outputs of an attempt; `OutputsFetched` is the answer."""

    experiment: str
    node: str
    message: Finished


@dataclass(frozen=True, slots=True)
class DropOutputs:
    """Don't wait any longer for outputs from a node: it is lost."""

    node: str


@dataclass(frozen=True, slots=True)
class Extend:
    """Find out which further repeats are needed; `Extension` is the answer."""

    experiment: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer to a client: so many tasks are being stopped."""

    count: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Woken` at this moment (monotonic), after all events that are there by then. It takes the place of an
    earlier one."""

    moment: float


Effect = Commit | Assign | Acknowledge | Send | Stage | SendContext | Fetch | DropOutputs | Extend | Stopped | WakeAt
