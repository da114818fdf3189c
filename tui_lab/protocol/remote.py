"""Messages between a screen and the helper beside a lab on another machine.

On the wire a message is one JSON object a line, whose `type` is the name of its class in lower case. Behind a line with
`size` stand so many bytes: the body. Files of the lab are named by their path in it, all others by their absolute path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

import msgspec

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store.ranges import Ranges

GREETING: Final = b"tui-lab remote helper"
"""The helper's first line; what a login shell prints before it is skipped."""
LINE: Final = 1 << 22  # bytes of a line
BODY: Final = 1 << 28  # bytes of a body


class RemoteError(ValueError):
    """Raised for bytes that are no message."""


class _Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=str.lower):
    """`type` on the wire is the name of the class, in lower case."""


class Have(msgspec.Struct, frozen=True):
    """A file that is here already. `size` in bytes, `mtime` in ns. `tail`: the CRC-32 of its last bytes."""

    size: int
    mtime: int
    tail: int = 0


# --- To the helper


class Follow(_Message, frozen=True):
    """Send what differs from the files that are here, and from then on what changes."""

    have: Mapping[str, Have]


class Bring(_Message, frozen=True):
    """Read what is new in the outputs of an experiment, and send the caches that differ. `kinds`: which tables besides
    that of all tasks."""

    id: int
    experiment: str
    have: Mapping[str, Have]
    kinds: Sequence[str] = ()


class Read(_Message, frozen=True):
    """Read a piece of an output of a task, wherever it is. `name`: as in its folder."""

    id: int
    experiment: str
    task: int
    attempt: int
    name: str
    offset: int
    most: int


class Tail(msgspec.Struct, frozen=True):
    """What is asked of a file of a task: what it has from an offset on; below 0 it counts from its end."""

    task: int
    attempt: int
    name: str
    offset: int


class Tails(_Message, frozen=True):
    """Read what is new in several outputs, wherever they are. `most`: bytes of each."""

    id: int
    experiment: str
    wanted: Sequence[Tail]
    most: int


class Outputs(_Message, frozen=True):
    """Send the files of a task, those that differ and have no more than `most` bytes. `endings`: of their names, empty
    for all."""

    id: int
    experiment: str
    task: int
    have: Mapping[str, Have]
    most: int
    endings: Sequence[str] = ()


class Engine(_Message, frozen=True):
    """Find the lab's engine. `start`: start one where none runs."""

    id: int
    start: bool = False


class Write(_Message, frozen=True):
    """Write a file, the body. `mtime`: when it was changed last, in ns, as far as the screen knows; 0 for a new one.
    Given again, it is not refused."""

    id: int
    file: str
    mtime: int = 0


class Launch(_Message, frozen=True):
    """Submit a file as `--run` does; the members are its options. `submission`: the id of its event: what was taken is
    not taken again."""

    id: int
    file: str
    nodes: Sequence[NodeEntry]
    submission: str = ""
    keep_going: bool = False
    new: bool = False
    rerun: bool = False
    adopt: bool = False
    replace: bool = False


class Run(_Message, frozen=True):
    """Run a module of Python beside the lab, as a task that is tried, or a command. `module`: its name and its words.
    `columns`: how wide its output is shown."""

    id: int
    module: Sequence[str]
    columns: int


class Stop(_Message, frozen=True):
    """Send SIGTERM to what `run` has started, SIGKILL with `kill`."""

    id: int
    kill: bool = False


class Verify(_Message, frozen=True):
    """Check that no task has changed the program that an experiment ran with."""

    id: int
    experiment: str


class Parse(_Message, frozen=True):
    """Read the outputs of the experiment of a file by the metrics that the file has now."""

    id: int
    file: str


class Ping(_Message, frozen=True):
    """Ask for a sign of life."""

    id: int


# --- From the helper


class Hello(_Message, frozen=True):
    """The first message. `lab`: its absolute path. `identity`: of the lab. `environment`: of the login, for tasks."""

    version: str
    lab: str
    identity: str
    host: str
    environment: Mapping[str, str]
    umask: int


class Sum(_Message, frozen=True):
    """How many bytes of files differ, before they are sent."""

    bytes: int


class Appended(_Message, frozen=True):
    """Bytes of a file that grows, from an offset on; the body is compressed. `raw`: how many they are. At offset 0 the
    file begins anew."""

    file: str
    offset: int
    raw: int
    mtime: int


class Replaced(_Message, frozen=True):
    """A whole file; the body is compressed."""

    file: str
    raw: int
    mtime: int


class Rows(_Message, frozen=True):
    """A table of results; the body is what it says of itself, compressed (`about`: bytes of that), and the rows, as
    Parquet. `base`: the table (by its time) of which these rows are news, 0 for all rows. `changed`: the tasks whose
    rows they replace."""

    file: str
    mtime: int
    about: int
    base: int = 0
    changed: Ranges = []


class Removed(_Message, frozen=True):
    """A file, or the folder of an experiment, that is gone."""

    file: str


class Synced(_Message, frozen=True):
    """All that was there has been sent."""


class Done(_Message, frozen=True):
    """The answer to `bring`, before which what differs was sent, to `verify` and to `ping`."""

    id: int


class Content(_Message, frozen=True):
    """The answer to `read`; the body is the piece. `total`: the size of the file; -1 where it is nowhere."""

    id: int
    total: int


class Sent(_Message, frozen=True):
    """The answer to `outputs`. `larger`: files that have more bytes than were wanted: name, size, and time of the last
    change in ns."""

    id: int
    larger: Sequence[tuple[str, int, int]]


class Pieces(_Message, frozen=True):
    """The answer to `tails`; the body has the pieces, one behind the other. `found`: of each the size of the file (-1
    where it is nowhere), and how many bytes of it are here."""

    id: int
    found: Sequence[tuple[int, int]]


class Found(_Message, frozen=True):
    """The answer to `engine`: the path of its socket, empty where none runs."""

    id: int
    socket: str = ""


class Written(_Message, frozen=True):
    """The answer to `write`. `mtime`: of the file now, in ns."""

    id: int
    mtime: int


class Launched(_Message, frozen=True):
    """The answer to `launch`. `count`: how many tasks will run."""

    id: int
    experiment: str
    count: int


class Parsed(_Message, frozen=True):
    """The answer to `parse`. `found`: what was found, for the user; empty where nothing has changed."""

    id: int
    found: str = ""


class Printed(_Message, frozen=True):
    """What `run` has printed: the body."""

    id: int


class Ended(_Message, frozen=True):
    """The end of `run`. `code`: its exit status, below 0 for a signal."""

    id: int
    code: int


class Failed(_Message, frozen=True):
    """Why something could not be done. `id`: 0 where the helper ends. `storage`: the disk's fault."""

    id: int
    error: str
    hint: str = ""
    storage: bool = False


ToHelper: TypeAlias = (
    Follow | Bring | Read | Tails | Outputs | Engine | Write | Launch | Run | Stop | Verify | Parse | Ping
)
FromHelper: TypeAlias = (
    Hello
    | Sum
    | Appended
    | Replaced
    | Rows
    | Removed
    | Synced
    | Done
    | Content
    | Sent
    | Pieces
    | Found
    | Written
    | Launched
    | Parsed
    | Printed
    | Ended
    | Failed
)
TO_HELPER: Final[tuple[type[ToHelper], ...]] = get_args(ToHelper)
FROM_HELPER: Final[tuple[type[FromHelper], ...]] = get_args(FromHelper)


def encode(message: ToHelper | FromHelper, body: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    members = msgspec.to_builtins(message)
    if body:
        members["size"] = len(body)
    # json, not msgspec: a name or an environment may hold bytes that are no UTF-8
    return json.dumps(members).encode() + b"\n" + body


def _members(line: bytes) -> dict[str, Any]:  # what a line holds, before its type is known
    try:
        found = json.loads(line)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    if not isinstance(found, dict):
        raise RemoteError("a line that is no JSON object")
    return found


def size_of(line: bytes) -> int:
    """Return how many bytes stand behind a line. Raises RemoteError."""
    size = _members(line).get("size", 0)
    if type(size) is not int or not 0 <= size <= BODY:
        raise RemoteError(f"{size!r:.100} bytes behind a message")
    return size


def to_helper(line: bytes) -> ToHelper:
    """Return the message of a line. Raises RemoteError."""
    try:
        found: ToHelper = msgspec.convert(_members(line), ToHelper)
        return found
    except msgspec.ValidationError as error:
        raise RemoteError(str(error)) from None


def from_helper(line: bytes) -> FromHelper:
    """Return the message of a line. Raises RemoteError."""
    try:
        found: FromHelper = msgspec.convert(_members(line), FromHelper)
        return found
    except msgspec.ValidationError as error:
        raise RemoteError(str(error)) from None
