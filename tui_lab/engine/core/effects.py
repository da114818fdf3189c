"""What the scheduler wants done, in this order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui_lab.engine.core.model import Key
from tui_lab.protocol.agent import Finished, ToAgent
from tui_lab.store.events import KnownEvent


class Commit(msgspec.Struct, frozen=True):
    """Append events to the journal of an experiment. What the disk does not take waits, and `DiskFull` is the
    answer."""

    experiment: str
    events: list[KnownEvent]


class Assign(msgspec.Struct, frozen=True):
    """Append events (write ahead), then have the attempts started on a node. Where the disk does not take them, nothing
    is sent, and `AssignRefused` is the answer."""

    experiment: str
    node: str
    submission: int
    keys: list[Key]
    events: list[KnownEvent]


class Acknowledge(msgspec.Struct, frozen=True):
    """Tell a node, once all events so far are durable, that it may forget an attempt. stay: names of files that it must
    not remove."""

    experiment: str
    node: str
    key: Key
    stay: Sequence[str] = ()


class Send(msgspec.Struct, frozen=True):
    """Send a message to an agent; it is lost where the node is not connected."""

    node: str
    message: ToAgent


class Stage(msgspec.Struct, frozen=True):
    """See to it that tasks of a submission can start on a node; `Staged` is the answer."""

    experiment: str
    node: str
    submission: int


class SendContext(msgspec.Struct, frozen=True):
    """Send what tasks of a submission have in common."""

    experiment: str
    node: str
    submission: int


class Fetch(msgspec.Struct, frozen=True):
    """Fetch the outputs of an attempt; `OutputsFetched` is the answer."""

    experiment: str
    node: str
    message: Finished


class DropOutputs(msgspec.Struct, frozen=True):
    """Don't wait any longer for outputs from a node: it is lost."""

    node: str


class Extend(msgspec.Struct, frozen=True):
    """Find out which further repeats are needed; `Extension` is the answer."""

    experiment: str


class Stopped(msgspec.Struct, frozen=True):
    """The answer to a client: so many tasks are being stopped."""

    count: int


class WakeAt(msgspec.Struct, frozen=True):
    """Send `Woken` at this moment (monotonic), after all events that are there by then. It takes the place of an
    earlier one."""

    moment: float


Effect = Commit | Assign | Acknowledge | Send | Stage | SendContext | Fetch | DropOutputs | Extend | Stopped | WakeAt
