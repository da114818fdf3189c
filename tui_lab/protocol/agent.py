"""Messages between the engine and an agent, as docs/protocol.md describes them: its tables are made from these types.

On the wire a message is one JSON object a line. A member that may be missing is left out where it has its default.
Behind a line with `size` stand so many bytes; they are the `data` of the message.

The agent has no types: it is Python 3.6 and the standard library alone. A test holds the names that it uses against the
fields here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict, get_args

import msgspec

from tui_lab.store.events import EndState, LeftFile, Raised, StepEnd, UnlistedFiles

WireKey = tuple[str, int, int]  # what agents call an attempt: experiment, task, attempt
Card = int | str  # a GPU: its index, or the name of a part
GpuChoice = Literal["all", "free"] | Sequence[Card]


class Marker(TypedDict):
    """A file in the lab's folder, and what it holds."""

    path: str
    text: str


class Step(TypedDict):
    """What all tasks have in common of a step. `script` is None where it depends on the task."""

    name: str | None
    script: str | None


class Collect(TypedDict):
    """Which outputs are fetched: globs, bytes in all, the folder of the lab on the node, and globs of files of any
    size, which later stages read."""

    keep: Sequence[str] | None
    most: int
    home: str
    later: NotRequired[Sequence[str]]


class Needs(TypedDict, total=False):
    """What an attempt needs besides a slot, each only if it is needed."""

    cpus: int
    memory: int
    gpus: float
    exclusive: bool
    among: Sequence[Card]


class Resume(TypedDict):
    """What an earlier attempt has done: exit status and duration of the first steps, and further facts of each. The
    outputs of `attempt` begin with theirs."""

    attempt: int
    steps: Sequence[tuple[int | None, float | None]]
    ends: Sequence[StepEnd]


class OutputFile(TypedDict, total=False):
    """A file of a task on its node. Nothing of it is sure: it is what a node says."""

    name: str
    size: int
    mode: int
    inline: bool  # its bytes are in the message
    link: str  # where a symbolic link leads
    error: str


class Gpu(TypedDict, total=False):
    """A GPU of a node, and how busy it is."""

    index: Card
    name: str
    used: float | None
    memory_used: int | None
    memory: int | None


class Facts(TypedDict, total=False):
    """What a node is."""

    host: str
    os: str
    kernel: str
    cpu: str
    cores: int
    memory: int
    python: str
    gpus: list[Gpu]
    clock: float


class _Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=str.lower):
    """`type` on the wire is the name of the class, in lower case."""


# --- To the agent


class Hello(_Message, frozen=True):
    """The first message. `slots`: 0 for as many as there are cores. `steps`: whether the engine takes the message
    `step`. `ends_in`, `reason`: as in `deadline`. For the others see below."""

    epoch: int
    lab: str
    node: str
    slots: int
    marker: Marker | None = None
    gpus: GpuChoice | None = None
    memory: int | None = None
    data: str | None = None
    sample: float | None = None
    steps: bool = False
    ends_in: float | None = None
    reason: str | None = None
    resources: Mapping[str, int] | None = None


class Context(_Message, frozen=True):
    """What the tasks of a submission have in common. `steps` is `[{"name", "script"}]`; `script` is null where it
    depends on the task. `environment` is the submitter's; null stands for the agent's own, without the variables of
    a surrounding task. What a login leaves (`tui_lab.portable.login`) is taken out of either, and `extra` is added.
    `setup` runs once, when its first task is to start, and tasks inherit the variables that it leaves. Contexts with
    the same part of `id` before `:`, as those of stages have, share it where it is the same in the same environment. It
    has `setup_timeout` seconds (1800). It ends, with all that it has started, when no task waits for it any more. What
    it leaves running ends with the agent. `serve_calls`: the tasks call a Python function, and the script starts a
    server that imports its module once and forks for each call, if `TUI_LAB_SERVER` is set."""

    id: str
    environment: Mapping[str, str] | None
    extra: Mapping[str, str]
    umask: int | None
    workdir: str
    shell: str | None
    setup: str | None
    ok_exit_codes: Sequence[int]
    steps: Sequence[Step]
    setup_timeout: float | None = None
    serve_calls: bool = False


class Start(_Message, frozen=True):
    """Start an attempt when there is room for it, see [needs](#needs). An attempt that is known is not started
    again. With `collect`, its outputs are [fetched](#outputs-that-are-fetched). With `resume`, it begins behind the
    steps that an earlier attempt has done: what these have printed becomes the beginning of its own outputs. It begins
    at the first step where those are not in its folder. `exception` is the name of a file in which its program says
    which exception has ended it: then the reason is `exception`, and `finished` has what the file says. `outs` are
    globs: where one matches no file of the folder at the end of an attempt that is done, it has failed, with the reason
    `outs`. `takes`: seconds that it may take; it is given back where the agent ends before."""

    experiment: str
    task: int
    attempt: int
    context: str
    folder: str
    steps: int
    env: Mapping[str, str]
    grace: float
    timeout: float | None
    ok: Sequence[int]
    argv: Sequence[Sequence[str] | None] | None = None
    scripts: Mapping[str, str] | None = None
    files: Mapping[str, str] | None = None
    workdir: str | None = None
    needs: Needs | None = None
    collect: Collect | None = None
    resume: Resume | None = None
    exception: str | None = None
    outs: Sequence[str] | None = None
    takes: float | None = None

    @property
    def key(self) -> WireKey:
        """The attempt that is started."""
        return self.experiment, self.task, self.attempt


class Return(_Message, frozen=True):
    """Give back those of the attempts that have not begun."""

    keys: Sequence[WireKey]


class Stop(_Message, frozen=True):
    """Stop an attempt: TERM, after `grace` seconds KILL. The first `reason` stands. A key that is not known is
    ignored."""

    key: WireKey
    reason: str
    grace: float


class Ack(_Message, frozen=True):
    """The ends of these attempts, and the outputs that were fetched, are durable: forget them. `stay` is `[[key,
    [NAME...]]...]`: files that could not be fetched, or that what comes after a stage will read there. They are not
    removed."""

    keys: Sequence[WireKey]
    stay: Sequence[tuple[WireKey, Sequence[str]]] | None = None


class Slots(_Message, frozen=True):
    """So many slots from now on."""

    slots: int


class Deadline(_Message, frozen=True):
    """What the agent runs in ends in so many seconds; null: never. Tasks that start from now on find the time in
    `TUI_LAB_DEADLINE`. Two seconds before it, those that run are [cut off](#agents-that-stay), with `reason`
    (`walltime`). With another reason, it takes nothing new from now on."""

    ends_in: float | None
    reason: str | None = None


class AbandonUnstarted(_Message, frozen=True, tag="forsake"):
    """No client has supplied the environment of these contexts. What waits for one and has not begun goes back.
    What has begun is lost."""

    contexts: Sequence[str]


class Ping(_Message, frozen=True):
    """Answer with a `pong`."""

    id: int


class Bye(_Message, frozen=True):
    """End, and remove the spool, once everything is acknowledged."""


# --- From the agent


class Welcome(_Message, frozen=True):
    """The answer to `hello`. `protocol` is 2. `cores`, `memory` in bytes: what of the machine it may use. `open`: the
    keys of all attempts that are not acknowledged. The agent then tells again which of them have begun or ended.
    `notice` and `setup`: as in the messages of these names."""

    protocol: int
    pid: int
    spool: str
    python: str
    cores: int
    slots: int
    gpus: list[Card]
    shared: bool
    home: str
    facts: Facts
    open: list[WireKey]
    notice: str
    setup: float | None
    memory: int = 0


class Refused(_Message, frozen=True):
    """An engine of the higher epoch `epoch` was here before."""

    reason: str
    epoch: int


class Started(_Message, frozen=True):
    """The first step of an attempt runs, since `ago` seconds. `first_step`: which one it is, from 0."""

    key: WireKey
    ago: float
    pid: int | None = None
    first_step: int = 0


class StepEnded(_Message, frozen=True, tag="step"):
    """A step of an attempt has ended well, `ago` seconds before, and another one follows. Members as in the journal. It
    is not acknowledged, and sent again after each `welcome`; not with `collect`."""

    key: WireKey
    step: int
    exit_code: int | None
    duration: float | None
    end: StepEnd
    ago: float = 0.0


class Finished(_Message, frozen=True):
    """An attempt has ended, `ago` seconds before. Members as in the journal's `finished`, and its
    [outputs](#outputs-that-are-fetched). It is sent again after each `hello` until it is acknowledged.
    `reason` may be `interrupted`."""

    key: WireKey
    state: EndState
    ago: float = 0.0
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
    folder: str | None = None
    # As the node says it: the user of the list checks it.
    folder_link: Any = None  # str
    folder_trouble: Any = None  # str
    first_step: int = 0
    step_ends: list[StepEnd] | None = None
    raised: Raised | None = None
    files: Any = None  # list[OutputFile]
    left: list[LeftFile] | None = None
    left_more: UnlistedFiles | None = None
    size: int = 0
    data: bytes = b""


class Returned(_Message, frozen=True):
    """These attempts had not begun, and are given back."""

    keys: list[WireKey]


class Output(_Message, frozen=True):
    """What a running attempt with `collect` has appended to its live metrics: at most 256 KiB, once a second. After
    each `welcome` it begins at 0 again."""

    key: WireKey
    name: str
    offset: int
    size: int = 0
    data: bytes = b""


class Sample(_Message, frozen=True):
    """How busy the node is, every `sample` seconds: the load of a minute, memory in bytes, attempts that run. A GPU
    is `{"index", "used", "memory_used", "memory"}`; `used` is in percent, and null where it does not tell."""

    load: float | None
    memory_used: int | None
    memory: int | None
    running: int
    slots: int
    gpus: list[Gpu]


class Setup(_Message, frozen=True):
    """Setup lines have begun, `running_for` seconds ago, or have ended: null."""

    running_for: float | None


class Pong(_Message, frozen=True):
    """The answer to the `ping` of this `id`. `time`: the node's clock, seconds since 1970."""

    id: int
    time: float


class Notice(_Message, frozen=True):
    """What the agent waits for: room on a disk, processes, memory. Empty when that is over. Where the node's logind
    would end the agent at logout (`KillUserProcesses=yes`, no lingering, a session's cgroup), it says that instead
    of nothing."""

    text: str


class Ending(_Message, frozen=True):
    """What the agent runs in ends, in `left` seconds if that is known. It takes nothing new, and what has not begun
    comes back."""

    left: float | None


ToAgent = Hello | Context | Start | Return | Stop | Ack | Slots | Deadline | AbandonUnstarted | Ping | Bye
FromAgent = (
    Welcome | Refused | Started | StepEnded | Finished | Returned | Output | Sample | Setup | Pong | Notice | Ending
)

TO_AGENT: Final[tuple[type[ToAgent], ...]] = get_args(ToAgent)
FROM_AGENT: Final[tuple[type[FromAgent], ...]] = get_args(FromAgent)

# A JSON text may have lone surrogates (as these travel bytes of an environment or of a file's name that are no UTF-8).
# msgspec takes none; the json module does.

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(FromAgent)


def encode(message: ToAgent) -> bytes:
    """The line of a message."""
    try:
        return _ENCODER.encode(message) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(message)).encode() + b"\n"


class BadMessage(ValueError):  # noqa: N818
    """Raised for a line that is no message."""


def decode(line: bytes) -> FromAgent:
    """The message that an agent has sent, still without the bytes behind its line. Raises BadMessage."""
    try:
        found: FromAgent = _DECODER.decode(line)
        return found
    except msgspec.ValidationError as error:
        raise BadMessage(f"{line[:200]!r}: {error}") from None
    except msgspec.DecodeError:
        pass
    try:
        found = msgspec.convert(json.loads(line), FromAgent)
    except ValueError as error:
        raise BadMessage(f"{line[:200]!r}: {error}") from None
    return found


def received(data: bytes) -> tuple[list[FromAgent], bytes]:
    """The messages that are complete in what was read, and what is left for later. Raises BadMessage."""
    messages: list[FromAgent] = []
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        message = decode(data[start:end])
        after = end + 1
        if isinstance(message, Finished | Output) and message.size:
            after += message.size
            if after > len(data):
                break
            message = msgspec.structs.replace(message, data=data[end + 1 : after])
        messages.append(message)
        start = after
    return messages, data[start:]
