"""What clients ask of the engine through its socket, and what it answers: one JSON object a line each way.

docs/protocol.md takes its tables from these classes. Member `id` of a line tells which answer belongs to which command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args

import msgspec

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.data_types import Json
from tui_lab.store.errors import LabError, OutdatedPlanError, StorageError
from tui_lab.store.events import Changes, Submitted
from tui_lab.store.ranges import Ranges

# --- Answers


class Answer(msgspec.Struct, frozen=True):
    """Nothing but that it is done."""


class Taken(Answer, frozen=True):
    """`submission`: its index within the experiment."""

    submission: int


class StoppingTasks(msgspec.Struct, frozen=True):
    """Open tasks that are to be stopped on a node. Where that can't be reached, `away_for` and `lost_in` say since
    when, and when its tasks are given up (null: they are lost already), in seconds."""

    experiment: str
    node: str
    tasks: int
    error: str | None = None
    away_for: float | None = None
    lost_in: float | None = None


class StopTaken(Answer, frozen=True):
    """`stopped`: how many tasks. `stopping`: as in `status`, of this experiment."""

    stopped: int
    stopping: list[StoppingTasks] = []


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU of a node; shares in percent, memory in bytes."""

    index: int | str | None = None
    name: str | None = None
    used: int | float | None = None
    memory: int | float | None = None
    memory_used: int | float | None = None


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a node stands, as the engine sees it or as it was sampled last; null is what is not known. `pool`: the entry
    that it was granted for, `job`: what its engine calls the allocation, `ends_in`: seconds that this has left. A pool
    itself is a row in the state `pool`; `pending`: allocations that wait, the first of which is thought to begin in
    `starts_in` seconds."""

    name: str
    state: str | None = None
    at: float | None = None
    slots: int | None = None
    used: int | None = None
    open: int | None = None
    stopping: int | None = None
    host: str | None = None
    tags: list[str] = []
    error: str | None = None
    away_for: float | None = None
    lost_in: float | None = None
    doing: str | None = None
    python: str | None = None
    cores: int | None = None
    load: int | float | None = None
    memory: int | float | None = None
    memory_used: int | float | None = None
    gpus: list[Gpu] | None = None
    latency: float | None = None
    clock_offset: float | None = None
    shared: bool | None = None
    facts: dict[str, Any] = {}  # whatever its agent says of it, to be shown and kept
    tasks: list[tuple[str, int, int]] = []
    pool: str | None = None
    job: str | None = None
    ends_in: float | None = None
    pending: int | None = None
    starts_in: float | None = None

    @classmethod
    def of(cls, members: Mapping[str, object]) -> NodeStatus:
        """Return what members say that an agent, or a file, gave; without those that make no sense."""
        try:
            return msgspec.convert(members, cls)
        except msgspec.ValidationError:
            return cls(**dict(_sensible(members)))


def _sensible(members: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(NodeStatus):
        with suppress(KeyError, msgspec.ValidationError):
            yield field.name, msgspec.convert(members[field.name], field.type)


class Status(Answer, frozen=True):
    """`full`: experiments that wait for room on their disk. `refused`: experiments that can't be read, and why.
    `stopping`: open tasks that are to be stopped, by `experiment` and `node` (`tasks`: how many), with `away_for` and
    `lost_in` (seconds) where the node can't be reached: they are stopped once it is back, and given up when it is
    lost."""

    pid: int | None
    active: list[str]
    notice: str
    nodes: list[NodeStatus]
    refused: dict[str, str] = {}
    full: list[str] = []
    stopping: list[StoppingTasks] = []


class NodeList(Answer, frozen=True):
    """Every node that the engine knows."""

    nodes: list[NodeStatus]


class NodeAdded(Answer, frozen=True):
    """`experiments`: those that have got it now."""

    experiments: list[str]


class Piece(Answer, frozen=True):
    """`data`: base64; null where the file is not on a node. `total`: the size of the file there."""

    data: str | None
    total: int


class Fetched(Answer, frozen=True):
    """How many `files` were fetched, and their `bytes`."""

    files: int
    bytes: int


class CleanedNode(msgspec.Struct, frozen=True):
    """What was removed from a node, in words; and why not all was."""

    name: str
    removed: list[str] = []
    error: str = ""


class NodesCleaned(Answer, frozen=True):
    """Of each node what was removed, and what went wrong."""

    nodes: list[CleanedNode]


class Refusal(msgspec.Struct, frozen=True):
    """Why a command was not carried out. `storage`: the disk's fault, not the user's. `outdated`: what a submission was
    planned by has changed since."""

    error: str
    hint: str = ""
    storage: bool = False
    outdated: bool = False

    def exception(self) -> LabError:
        """Return the error to raise for it."""
        kind = StorageError if self.storage else OutdatedPlanError if self.outdated else LabError
        return kind(self.error, self.hint)


# --- Commands

A = TypeVar("A", bound=Answer)


class Command(msgspec.Struct, Generic[A], frozen=True, tag_field="command"):
    """Something that is asked of the engine, and answered by an `A`."""

    @classmethod
    def answer_type(cls) -> type[A]:
        """Return the type of the answer."""
        found: type[A] = get_args(cls.__orig_bases__[0])[0]  # type: ignore[attr-defined]
        return found

    @property
    def kind(self) -> str:
        """What it is called on the wire."""
        return str(self.__struct_config__.tag)


class Submit(Command[Taken], frozen=True, tag="submit"):
    """Take a submission. Given again with the same `event.id`, it is not taken twice. `event`: a `submitted` event.
    `seen`: how far the planner had read the journal, in bytes."""

    event: Submitted
    seen: int
    environment: dict[str, str]
    umask: int | None = None


class Requeue(Command[Taken], frozen=True, tag="requeue"):
    """Ask for tasks again. `changes`: what differs from the file for them. `step`: the one to begin at, from 0; by
    default the first that is not done."""

    experiment: str
    tasks: Ranges
    environment: dict[str, str]
    changes: Changes = {}
    umask: int | None = None
    step: int | None = None


class Resume(Command[Answer], frozen=True, tag="resume"):
    """Continue the requested tasks, after an engine's death or a pause."""

    experiment: str
    environment: dict[str, str]
    umask: int | None = None


class Pause(Command[Answer], frozen=True, tag="pause"):
    """Start nothing new until `resume`; the run is not over."""

    experiment: str


class Drain(Command[Answer], frozen=True, tag="drain"):
    """Start nothing new; what runs may finish, then the run is over."""

    experiment: str


class SetPriority(Command[Answer], frozen=True, tag="priority"):
    """Let tasks of an experiment go before those of others with a lower priority, from now until its next submission.
    Running tasks continue."""

    experiment: str
    priority: int


class Stop(Command[StopTaken], frozen=True, tag="stop"):
    """Stop tasks, null: all. With `interrupt` they are pending again, and the run is over."""

    experiment: str
    tasks: Ranges | None = None
    interrupt: bool = False


class AskStatus(Command[Status], frozen=True, tag="status"):
    """How the engine is, and a sign of life."""


class ListNodes(Command[NodeList], frozen=True, tag="nodes"):
    """How the nodes are."""


class SetSlots(Command[Answer], frozen=True, tag="node_set"):
    """Run so many tasks at once on a node from now on."""

    node: str
    slots: int


class DrainNode(Command[Answer], frozen=True, tag="node_drain"):
    """Start nothing new on a node; what runs there may finish."""

    node: str


class ResumeNode(Command[Answer], frozen=True, tag="node_resume"):
    """Give a drained or quarantined node tasks again."""

    node: str


class ReconnectNode(Command[Answer], frozen=True, tag="node_reconnect"):
    """Try to reach a node now, with what the `environment` has for the way there."""

    node: str
    environment: dict[str, str] = {}


class AddNode(Command[NodeAdded], frozen=True, tag="node_add"):
    """Give a further node to experiments, null: to all that are going. `entry`: as in the event `submitted`."""

    entry: NodeEntry  # as cluster.yaml has it
    experiments: Sequence[str] | None = None
    environment: dict[str, str] = {}


class ReadFile(Command[Piece], frozen=True, tag="tail"):
    """Read a piece of a file of a running task, wherever it is."""

    experiment: str
    task: int
    attempt: int
    name: str
    offset: int
    most: int = 1 << 20


class FetchFiles(Command[Fetched], frozen=True, tag="fetch"):
    """Bring home what a task left on its node, null: all. `attempt`: by default the one that counts."""

    experiment: str
    task: int
    environment: dict[str, str]
    attempt: int | None = None
    globs: Sequence[str] | None = None


class CleanNodes(Command[NodesCleaned], frozen=True, tag="clean_nodes"):
    """Remove what the lab has on its nodes: agents with nothing to do, their spools, code and outputs."""

    environment: dict[str, str]


AnyCommand: TypeAlias = (
    Submit
    | Requeue
    | Resume
    | Pause
    | Drain
    | SetPriority
    | Stop
    | AskStatus
    | ListNodes
    | SetSlots
    | DrainNode
    | ResumeNode
    | ReconnectNode
    | AddNode
    | ReadFile
    | FetchFiles
    | CleanNodes
)
COMMANDS: Final[tuple[type[AnyCommand], ...]] = get_args(AnyCommand)

# --- Lines


class ProtocolError(ValueError):
    """Raised for a line that is no command, or no answer."""


class Received(msgspec.Struct, frozen=True):
    """A command as it came; None in the place of one that this version does not know, with what is wrong with it."""

    id: int | None
    name: str
    command: AnyCommand | None
    wrong: str = ""


def encode_command(number: int, command: Command[Any]) -> bytes:
    """Return the line of a command, with its newline."""
    return _line({"id": number, **msgspec.to_builtins(command)})


def decode_command(line: bytes) -> Received:
    """Return the command of a line. Raises ProtocolError."""
    members = _members(line)
    number, name = members.get("id"), str(members.get("command"))
    try:
        command: AnyCommand = msgspec.convert(members, AnyCommand)
    except msgspec.ValidationError as error:
        return Received(number, name, None, str(error))
    return Received(number, name, command)


def encode_answer(number: int | None, answer: Answer | Refusal) -> bytes:
    """Return the line of an answer, with its newline."""
    return _line({"id": number, "ok": not isinstance(answer, Refusal), **msgspec.to_builtins(answer)})


def decode_answer(line: bytes, number: int, kind: type[A]) -> A | Refusal | None:
    """Return the answer of a line; None where it belongs to another command. Raises ProtocolError."""
    members = _members(line)
    if members.get("id") not in (number, None):
        return None
    try:
        if not members.get("ok"):
            return msgspec.convert(members, Refusal)
        found: A = msgspec.convert(members, kind)
        return found
    except msgspec.ValidationError as error:
        raise ProtocolError(str(error)) from None


def _line(members: Mapping[str, Json]) -> bytes:
    # json, not msgspec: an environment may hold bytes that are no UTF-8
    return json.dumps(members).encode() + b"\n"


def _members(line: bytes) -> dict[str, Any]:  # what a line holds, before its type is known
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ProtocolError(str(error)) from None
    if not isinstance(found, dict):
        raise ProtocolError("a line that is no JSON object")
    return found
