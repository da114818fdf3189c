"""The events of a journal, each once: what it is called, its members, and what it means.

docs/journal.md takes its table from these classes. A newer version may add an event, or a member with a default (older
journals lack it), without another format. A member that has its default is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, TypedDict, get_args

import msgspec

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.needs import Resolved
from tui_lab.store import json_text
from tui_lab.store.ranges import Ranges

Key: TypeAlias = tuple[int, int]
"""An attempt: its task, and its number."""
EndState: TypeAlias = Literal["done", "failed", "stopped", "lost"]
StopReason: TypeAlias = Literal["stopped", "interrupted"]


class _Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="event"):
    @property
    def kind(self) -> str:
        """What the journal calls the event."""
        return str(self.__struct_config__.tag)


class Changes(TypedDict, total=False):
    """What a retry changes for its tasks: `timeout` in seconds (null: none), and what they need, by name."""

    timeout: float | None
    needs: dict[str, Resolved]


class LeftFile(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file that stayed on a node."""

    name: str  # relative to the task's folder
    size: int | None = None  # bytes
    link: str | None = None
    error: str | None = None  # why it could not be fetched or read


class Raised(msgspec.Struct, frozen=True, gc=False):
    """The exception that ended a function."""

    type: str
    message: str
    at: str  # where it was raised, as `train.py:12 in fit`; empty where that is not known

    @property
    def line(self) -> str:
        """Its type, and the first line of its message."""
        first = self.message.strip().splitlines()[:1]
        return ": ".join([self.type, *first])


class UnlistedFiles(msgspec.Struct, frozen=True, gc=False):
    """Further files that stayed on a node, not listed."""

    files: int = 0
    size: int = 0  # bytes


class StepEnd(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Further facts of a step that has ended: the attempt that ran it, and how large (bytes) the outputs were then:
    standard output and error of the step, and the live metrics of the attempt. Unnamed steps share their outputs."""

    attempt: int
    sizes: tuple[int, int, int]
    cpu_time: float | None = None
    peak_rss: int | None = None


class JournalBegun(_Event, frozen=True, tag="journal"):
    """The first line. `format`: of the journal. `id`: its identity."""

    format: int
    id: str = ""


class Submitted(_Event, frozen=True, tag="submitted", kw_only=True):
    """The plan in `plans/PLAN.parquet` replaces the previous one. The tasks of `queued` are to be run, each with all
    its retries. `joins`: an earlier submission was still running, and its queued tasks stay queued. `nodes`: a list
    of objects as in cluster.yaml (`name`, `slots`, `tags`, `host?`, `port?`, `user?`, ...); 0 slots mean one per
    core, no `host` means this machine. `adopted`: ranges of the tasks whose results
    `--adopt` kept. `scripts`: digests of the program's files. `code`: the snapshot `code/HASH/` that its tasks
    start in. `files`: size and time of the last change (nanoseconds) of the files that are in no snapshot, so that each
    task that starts after a change gets a note. `spare`: further repeats that `repeat: {until}` may need.
    `environment`: digest of `environment/DIGEST.json`, which has the git state of the program. `stages`: for each stage
    before the last, the ids of its runs in the plan; whatever names tasks may name these, too. `per_node`: those of
    `stages` of which each node has a run of its own, see `node_runs`. The same `id` is
    never taken twice. `plan_crc`: CRC-32 of the plan's file; `keys`: SHA-256 over the ids of its tasks (64 bits, little
    endian), then over their keys."""

    id: str
    at: float
    experiment: str
    plan: int
    plan_crc: str | None = None
    keys: str | None = None
    planned: Ranges
    queued: Ranges
    nodes: list[NodeEntry]
    reasons: dict[str, int]
    adopted: Ranges
    argv: list[str]
    cwd: str
    user: str
    host: str
    scripts: dict[str, str]
    keep_going: bool
    joins: bool = False
    spare: Ranges = ()
    environment: str | None = None
    code: str | None = None
    files: dict[str, list[int]] = {}
    stages: dict[str, Ranges] = {}
    per_node: list[str] = []


class NodeRuns(_Event, frozen=True, tag="node_runs"):
    """A node needs its own runs of stages with `per: node`: they are to be run. `runs` is `[[run, id], ...]`: a run of
    the plan, which stands for those of all nodes and is never run itself, and the id of that of this node. An id is
    given once per run and node. With a `needed` of false they have not begun, and nothing on this node needs them any
    more. A `run` that is the `id` itself: the line was lost, and a repair could not tell which run it was; nothing uses
    it."""

    at: float
    node: str
    runs: Sequence[tuple[int, int]]
    needed: bool = True


class PlanRestored(_Event, frozen=True, tag="plan"):
    """The damaged file of a plan was made again from what lies beside it: the same tasks and keys, other bytes."""

    at: float
    plan: int
    plan_crc: str


class Requeued(_Event, frozen=True, tag="requeued"):
    """Tasks are to be run again, whatever their state. `changes`: what differs from the file for them, as in
    `{"timeout": 60}`. `step`: the step to begin at, from 0, where all steps before it are done; by default the first
    that is not done."""

    at: float
    queued: Ranges
    changes: Changes
    step: int | None = None


class Extended(_Event, frozen=True, tag="extended"):
    """Further repeats are to be run, because the condition of `repeat: {until}` is not true yet. `note`: a note for the
    user, such as that it can't become true; once for a submission."""

    at: float
    queued: Ranges
    note: str = ""


class NodesChanged(_Event, frozen=True, tag="nodes"):
    """The user changed the nodes of the newest submission: these replace its own. Nothing new starts on the `drained`
    ones. The `released` ones are no longer in quarantine."""

    at: float
    nodes: list[NodeEntry]
    drained: list[str]
    released: list[str] = []


class Quarantined(_Event, frozen=True, tag="quarantined"):
    """The first attempts on this node all failed, while another node ran such tasks well. The node gets no more tasks
    of the newest submission, and these failed tasks are to be run again, with all their retries. The event comes again
    if tasks that ran there still fail afterwards."""

    at: float
    node: str
    tasks: Ranges


class EnvironmentCaptured(_Event, frozen=True, tag="environment"):
    """What was found out about a node is in `environment/DIGEST.json`."""

    at: float
    node: str
    digest: str


class AgentKnown(_Event, frozen=True, tag="node"):
    """The identity of the ledger that the agent of a node keeps. Open attempts under another identity are lost."""

    at: float
    node: str
    spool: str


class Assigned(_Event, frozen=True, tag="assigned"):
    """`[[task, attempt], ...]` are given to a node; also where a lost node has come back with attempts in whose
    place nothing was started yet, and where an agent knows of an attempt that this file does not: the machine went
    down before the disk had it. `go_on` is `[[task, step], ...]`: these begin at a later step than the first, from 0,
    because an earlier attempt has done the steps before it."""

    at: float
    node: str
    attempts: Sequence[Key]
    go_on: Sequence[tuple[int, int]] = ()


class Returned(_Event, frozen=True, tag="returned"):
    """They had not begun and come back; their numbers are given out again."""

    at: float
    attempts: Sequence[Key]


class Started(_Event, frozen=True, tag="started"):
    """Its first step runs: `first_step`, from 0. An earlier attempt has done the steps before it."""

    at: float
    task: int
    attempt: int
    first_step: int = 0


class StepEnded(_Event, frozen=True, tag="step"):
    """A step of an attempt has ended well, and its outputs lie in the task's folder. If the attempt is lost, the next
    one begins at the step behind it."""

    at: float
    task: int
    attempt: int
    step: int
    exit_code: int | None
    duration: float | None
    end: StepEnd


class Finished(_Event, frozen=True, tag="finished"):
    """The attempt has ended, and its outputs are in its folder. `again`: the task goes back to the queue, after that
    many seconds; without it the task has ended. `late`: the attempt counted as lost, but succeeded before its
    replacement: the task is done. `duplicate`: the attempt is such a replacement; it is no longer open, and nothing
    else changes. `left`: `[{"name", "size", "error"?}]`, files that stayed on the node; `error` says why one could not
    be fetched. `left_more`: `{"files", "size"}` of further ones. `note`: a note for the user, such as that its folder
    has become a symbolic link. `steps`: exit status and duration of each step, also of those before `first_step`, which
    an earlier attempt has run. `step_ends`: further facts of each; missing where not all of their files lie in the
    task's folder, so that the next attempt begins at the first step. `raised`: `{"type", "message", "at"}`, the
    exception that ended a function, and where it was raised. `waits`: the run of the task itself is done, but not all
    those of the other last stages: the task stays pending, and nothing of it runs again, until `dependency_done`."""

    at: float
    task: int
    attempt: int
    state: EndState
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    step: int | None = None
    steps: list[tuple[int | None, float | None]] | None = None
    duration: float | None = None
    cpu_time: float | None = None
    peak_rss: int | None = None
    leftover: int | None = None
    message: str | None = None
    note: str | None = None
    left: list[LeftFile] | None = None
    left_more: UnlistedFiles | None = None
    again: float | None = None
    late: bool = False
    duplicate: bool = False
    first_step: int = 0
    step_ends: list[StepEnd] | None = None
    raised: Raised | None = None
    waits: bool = False


class Stopping(_Event, frozen=True, tag="stopping"):
    """These open attempts are to be stopped, `stopped` for good or `interrupted`, as soon as their node can be
    reached; with a `reason` of null no longer."""

    at: float
    attempts: Sequence[Key]
    reason: StopReason | None


class Stopped(_Event, frozen=True, tag="stopped"):
    """The user stopped these before they began."""

    at: float
    tasks: Ranges


class DependencyFailed(_Event, frozen=True, tag="dependency_failed"):
    """These can't run: a run of a stage that they depend on has failed, or was lost or stopped. They failed, with the
    reason `dependency`."""

    at: float
    tasks: Ranges


class DependencyRevived(_Event, frozen=True, tag="dependency_revived"):
    """What these depend on is to be run again, or was removed meanwhile: they are to be run again, too, with all their
    retries. A task that is done itself only waits for its other last stages."""

    at: float
    tasks: Ranges


class DependencyDone(_Event, frozen=True, tag="dependency_done"):
    """These tasks, which have ended well themselves, are done: so are the runs of all their other last stages."""

    at: float
    tasks: Ranges


class Paused(_Event, frozen=True, tag="paused"):
    """Nothing new starts: `first_failures`, `max_failures`, `asked` (by command), `no_node` (no node can be
    reached), `error` (the run can't go on; `message` says why)."""

    at: float
    reason: str
    failed: int
    message: str = ""


class Resumed(_Event, frozen=True, tag="resumed"):
    """It goes on. The failures for which it was paused are accepted: only further ones can pause it, and the first ones
    no more."""

    at: float


class Drained(_Event, frozen=True, tag="drained"):
    """The user interrupted the run: nothing new starts, running tasks may finish."""

    at: float


class Prioritized(_Event, frozen=True, tag="prioritized"):
    """The user gave the experiment another priority than its file has; it holds until the next submission."""

    at: float
    priority: int


class Cleaned(_Event, frozen=True, tag="cleaned"):
    """Results were removed; the tasks are pending as if they had never run, numbers of attempts go on. `argv`: the
    command that did it."""

    at: float
    tasks: Ranges
    argv: list[str] = []


class OutputsDiscarded(_Event, frozen=True, tag="discarded"):
    """Nothing waits any more for the files of these runs of stages, which say `retain: until-done`: all are removed,
    but for outputs and files that metrics read. The runs stay done. If something needs one of them, it runs again."""

    at: float
    runs: Ranges


class FilesRemoved(_Event, frozen=True, tag="removed"):
    """The user removed some files of tasks that have several steps: the next attempts begin at the first one. `argv`:
    the command that did it."""

    at: float
    tasks: Ranges
    argv: list[str] = []


class Ended(_Event, frozen=True, tag="ended"):
    """The run is over: nothing is open, and nothing will start until someone submits, retries or resumes. `counts`:
    tasks of the plan by state."""

    at: float
    counts: dict[str, int]


class Unknown(msgspec.Struct, frozen=True):
    """An event that a newer version may have written: of a kind that this one does not know, or with members that
    it can't read. It changes nothing."""

    kind: str


KnownEvent: TypeAlias = (
    JournalBegun
    | Submitted
    | NodeRuns
    | PlanRestored
    | Requeued
    | Extended
    | NodesChanged
    | Quarantined
    | EnvironmentCaptured
    | AgentKnown
    | Assigned
    | Returned
    | Started
    | StepEnded
    | Finished
    | Stopping
    | Stopped
    | DependencyFailed
    | DependencyRevived
    | DependencyDone
    | Paused
    | Resumed
    | Drained
    | Prioritized
    | Cleaned
    | OutputsDiscarded
    | FilesRemoved
    | Ended
)
Event: TypeAlias = KnownEvent | Unknown
KINDS: Final[tuple[type[KnownEvent], ...]] = get_args(KnownEvent)

_decode = msgspec.json.Decoder(KnownEvent).decode
_encode = msgspec.json.Encoder().encode


class NoEventError(ValueError):
    """Raised for a line that is no JSON object with a kind."""


class _Kind(msgspec.Struct):
    event: str


_kind = msgspec.json.Decoder(_Kind).decode


def decode(line: bytes) -> Event:
    """Return the event of a line. Raises NoEventError."""
    try:
        found: KnownEvent = _decode(line)
        return found
    except msgspec.MsgspecError:
        pass
    try:
        return Unknown(_kind(line).event)
    except msgspec.MsgspecError as error:
        raise NoEventError(str(error)) from None


def beginning(kind: type[KnownEvent]) -> bytes:
    """Return what every line of a kind begins with."""
    return b'{"event":"%s"' % str(kind.__struct_config__.tag).encode()


def encode(event: KnownEvent) -> bytes:
    """Return the line of an event, without its newline."""
    try:
        return _encode(event)
    except UnicodeEncodeError:  # file names and words of programs, whatever their bytes are
        return json_text.line(msgspec.to_builtins(event))[:-1]
