"""One execution of a task, and its records in the ledger."""

import errno
import os
import time

from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.beneath import Folder, NoFolderError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STREAMS = ("stdout", "stderr")
METRICS = "metrics.jsonl"


class Attempt:
    """One execution of a task: its start message, its progress, and at the end its event."""

    def __init__(self, message: dict, exits: str) -> None:
        self.message = message
        self.key = (message["experiment"], message["task"], message["attempt"])
        self.id = "%s/%d/%d" % self.key
        self.exits = exits  # file that pids and exit statuses of its steps are written to
        self.folder = expand(message.get("folder", ""))
        self.is_recorded = False
        self.has_folder = False  # with the output files of the first step
        self.output_inodes: Any = {}  # name of an output -> inode
        self.open_outputs: Any = []  # descriptors of those, until the first step begins
        self.is_begun = False  # the ledger says that the current step begins
        resume = message.get("resume") or {"steps": [], "ends": []}
        self.steps: Any = list(resume["steps"])  # exit status and duration of each step that ended
        self.ends: Any = list(resume["ends"])  # further facts of each of them, None where they are not known
        self.first_step = self.step = len(self.steps)  # those before were done by an earlier attempt
        self.names: Any = []  # of the steps, None where one has no name
        self.slot: Any = None
        self.allocation: Any = None  # what it was granted, while it has a slot
        self.needs: Any = message.get("needs") or {}
        self.times_overtaken = 0  # see `resources.Turn`
        self.overtaken_at: Any = None  # monotonic, of the first time
        self.is_requested = False  # the shim was asked to start the current step, and has not answered
        self.starter: Any = None  # the agent's end of the shim or server that was asked to start it
        self.pid: Any = None  # of the program of the current step: the leader of its process group
        self.start_time = 0  # of that program, in clock ticks since boot
        self.first_start_time = 0  # that of the first program
        self.adopted = False  # started for an earlier agent, by its shim
        self.pidfd: Any = None  # tells when an adopted program ends
        self.groups: Any = []  # of processes: one for each step that was started
        self.started: Any = None  # monotonic
        self.recorded_time: Any = None  # wall-clock time of the start, from the ledger of an earlier agent
        self.recorded_clock: Any = None  # monotonic time of the start, from that ledger
        self.step_started: Any = None
        self.recorded_step_clock: Any = None  # monotonic time of the start of the current step, from that ledger
        self.step_usage: Any = None  # CPU seconds and peak memory in bytes of the step that ended last, if known
        self.cpu_time = 0.0
        self.peak_rss = 0
        self.usage_known = True  # of all steps
        self.oom_before = 0
        self.metrics_sent = 0  # bytes of live metrics, on this connection
        self.stopping: Any = None  # the reason, once it is being stopped
        self.is_cut_off = False  # by the end of the agent's lease
        self.suspect: Any = None  # the exit status of its last program, while that may be such an end
        self.kill_at = 0.0  # monotonic, end of the grace period
        self.terminated: Any = set()  # pids that TERM was sent to
        self.timers: Any = []
        self.leftover: Any = set()
        self.pending_event: Any = None  # the event, while leftovers are being stopped
        self.event: Any = None
        self.event_at: Any = None
        self.collected: Any = None  # files and link that the event has named

    @property
    def is_over(self) -> bool:
        """Whether its last step has ended, or it will never begin."""
        return self.pending_event is not None

    @property
    def has_ended_step(self) -> bool:
        """Whether it has run one of its steps to the end."""
        return len(self.steps) > self.first_step

    def begin_anew(self) -> None:
        """Begin at the first step, whatever an earlier attempt has done."""
        self.message = dict(self.message, resume=None)
        self.steps, self.ends, self.first_step, self.step = [], [], 0, 0

    def file(self, name: str, number=None) -> str:
        """Return the name of a file of this attempt, or of another one of the task: attempt n adds its number."""
        number = number or self.message["attempt"]
        return name if number == 1 else "%s.%d" % (name, number)

    def output_files(self, step, number=None) -> list:
        """Return the file names of a step's standard output and error. number: of another attempt of the task."""
        prefix = "" if step is None else step + "."
        return [encode(self.file(prefix + name, number)) for name in STREAMS]

    def base_and_path(self) -> tuple:
        """Return a base folder that only the owner changes, and the path from there to the task's folder, which tasks
        may change.

        On a node that does not see the lab's folder, the base is the lab's home there."""
        home = expand((self.message.get("collect") or {}).get("home") or "").rstrip("/")
        if not home or not self.folder.startswith(home + "/"):
            home = os.path.dirname(self.folder).rstrip("/")
        return encode(home or "/"), encode(self.folder[len(home) + 1 :])

    def open_parent(self, make: bool = False) -> tuple:
        """Open the folder that holds the task's folder; return it and the name of the task's folder. Raises OSError."""
        base, path = self.base_and_path()
        above, _, name = path.rpartition(b"/")
        experiment, tasks, _ = self.folder.rpartition("/tasks/")
        if make and tasks and not self.message.get("collect") and not os.path.isdir(encode(experiment)):
            # Do not recreate a lab at its old path after it was moved or removed.
            raise OSError(errno.ENOENT, "its experiment has gone", encode(experiment))
        with Folder.base(base, make) as top:
            try:
                return top.folder(above, make), name
            except NoFolderError as error:
                raise OSError(error.errno, "a folder above it is not a folder any more", encode(self.folder))

    def folder_link(self):
        """Return the target of a symbolic link that the task has put in the place of its folder; None where there is
        none.

        Only for a task whose lab this node sees: what is above its folder belongs to the owner."""
        try:
            return decode(os.readlink(encode(self.folder)))
        except (OSError, ValueError):
            return None

    def open_folder(self, make: bool = False) -> Folder:
        """Open the task's folder. make: create it where it does not exist; what is in its way is moved aside.

        Raises OSError, NoFolderError."""
        try:
            parent, name = self.open_parent(make)
            with parent:
                return parent.folder(name, make, make)
        except OSError as error:
            error.filename = encode(self.folder)
            raise

    @property
    def step_key(self) -> bytes:
        """The name of the current step in the file of exit statuses."""
        return encode("%s/%d" % (self.id, self.step))

    def close_outputs(self) -> None:
        """Close the output files that were opened ahead of the start."""
        for output in self.open_outputs:
            os.close(output)
        self.open_outputs = []

    def markers(self) -> tuple:
        """Return the environment variables by which its processes are found, even outside of its process groups."""
        return (
            b"\0TUI_LAB_OUTPUT=" + encode(self.message["env"].get("TUI_LAB_OUTPUT", self.folder)) + b"\0",
            b"\0TUI_LAB_ATTEMPT=%d\0" % self.message["attempt"],
        )


def intent_record(attempt: Attempt) -> dict:
    """Return the record that an attempt is about to begin."""
    record = {
        "record": "intent",
        "start": attempt.message,
        "exits": attempt.exits,
        "slot": attempt.slot,
        "allocation": attempt.allocation,
    }
    if attempt.message.get("collect") or attempt.message["steps"] > 1:
        record["names"] = attempt.names
    return record


def pid_record(attempt: Attempt) -> dict:
    """Return the record of the program of the current step."""
    return {
        "record": "pid",
        "key": attempt.key,
        "step": attempt.step,
        "pid": attempt.pid,
        "start_time": attempt.start_time,
        "slot": attempt.slot,
        "allocation": attempt.allocation,
        "started": time.time() - (time.monotonic() - attempt.started),
        "clock": attempt.started,  # monotonic, and so the same for all agents of this boot
        "step_clock": attempt.step_started,
    }


def step_record(attempt: Attempt, step: int) -> dict:
    """Return the record of a step that ended well."""
    return {"record": "step", "key": attempt.key, "ended": attempt.steps[step], "end": attempt.ends[step]}


def all_records(attempt: Attempt) -> list:
    """Return all records of an attempt, from its intent to its present state."""
    if not attempt.is_recorded:
        return []
    lines = [intent_record(attempt)]
    if attempt.event is not None:
        lines.append({"record": "event", "key": attempt.key, "event": attempt.event})
        return lines
    done = range(attempt.first_step, attempt.step)
    lines += [step_record(attempt, step) for step in done]
    if attempt.has_ended_step and attempt.is_begun:
        lines.append({"record": "begin", "key": attempt.key})
    if attempt.pid is not None:
        lines.append(pid_record(attempt))
    if attempt.stopping is not None:
        lines.append({"record": "stopping", "key": attempt.key, "reason": attempt.stopping})
    return lines


def replay(attempts: dict, record: dict) -> None:
    """Apply one record of a ledger to the attempts that were read so far."""
    kind = record["record"]
    if kind == "intent":
        attempt = Attempt(record["start"], record["exits"])
        attempt.slot, attempt.allocation = record.get("slot"), record.get("allocation")
        attempt.names = record.get("names") or []
        attempt.is_recorded = attempt.is_begun = True
        attempts[attempt.key] = attempt
        return
    found = attempts.get(tuple(record["key"]))
    if found is None:
        return
    attempt = found
    if kind == "pid":
        attempt.step = record["step"]
        attempt.pid = record["pid"]
        attempt.start_time = record["start_time"]
        attempt.first_start_time = attempt.first_start_time or attempt.start_time
        attempt.slot = record["slot"]
        attempt.allocation = record.get("allocation")
        attempt.groups.append(record["pid"])
        attempt.recorded_time = record["started"]
        attempt.recorded_clock = record.get("clock")
        attempt.recorded_step_clock = record.get("step_clock")
    elif kind == "step":
        attempt.steps.append(record["ended"])
        attempt.ends.append(record.get("end"))  # an earlier version did not write it
        attempt.step += 1
        attempt.pid = attempt.recorded_step_clock = None
        attempt.is_begun = False
    elif kind == "begin":
        attempt.is_begun = True
    elif kind == "stopping":
        attempt.stopping = record["reason"]
    elif kind == "event":
        attempt.event = attempt.pending_event = record["event"]
        attempt.event_at = time.monotonic()
    elif kind == "ack":
        del attempts[attempt.key]
