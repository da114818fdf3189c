"""From the queue to a running program: what is granted, written down and started."""

import collections
import errno
import heapq
import os
import time

from tui_lab.engine.agent import SLOT_MARK
from tui_lab.engine.agent.attempt import METRICS, Attempt, intent_record, pid_record
from tui_lab.engine.agent.messages import mismatch
from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.processes import children
from tui_lab.engine.agent.programs import NOT_EXECUTABLE, NOT_FOUND, ProgramFinder, failing_command
from tui_lab.engine.agent.resources import Turn, overtake
from tui_lab.engine.agent.shim import Shim
from tui_lab.engine.agent.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOK_AHEAD = 100  # attempts without room that are looked past for one that has
# The node lacks something for the moment: an attempt waits, it does not fail.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
SHIM_TIMEOUT = 10.0  # seconds that the shim may take for an answer before it is said
BATCH = 50  # attempts that begin together, and requests that wait for the shim: each has files open


class Launcher:
    """The queue of an agent. `slots` are numbered: a task's number is its `{slot}`."""

    def __init__(self, agent, shim: Shim) -> None:
        self.agent = agent
        self.shim = shim
        self.shims: Any = {shim.pid: shim}  # the one in use, and those whose end we have not met
        self.queue: Any = collections.deque()
        self.resources: Any = None  # once an engine has said what is offered
        self.offers_all = True
        self.slots = 0
        self.free_slots: Any = []
        self.umask: Any = None
        self.programs = ProgramFinder()

    # What is offered, and who has it.

    def offer(self, resources, slots: int, gpus) -> None:
        """From now on; what runs keeps what it has. gpus: which of them, as `hello` says."""
        self.resources = resources
        self.offers_all = gpus in (None, "all")
        for attempt in self.slot_holders():
            resources.take(attempt.needs, attempt.allocation)
        self.renumber_slots(slots)

    def resize(self, slots: int) -> None:
        self.resources.resize(slots=slots)
        self.renumber_slots(slots)

    def renumber_slots(self, slots: int) -> None:
        used = {attempt.slot for attempt in self.slot_holders()}
        self.slots = slots
        self.free_slots = [slot for slot in range(slots) if slot not in used]
        heapq.heapify(self.free_slots)

    def slot_holders(self) -> list:
        return [a for a in self.agent.attempts.values() if a.slot is not None and a.event is None]

    def grant(self, attempt: Attempt) -> None:
        """All that it needs; there is room for it."""
        attempt.allocation = self.resources.grant(attempt.needs)
        attempt.slot = heapq.heappop(self.free_slots)

    def release(self, attempt: Attempt) -> None:
        if attempt.slot is None:
            return
        if self.resources is not None:
            self.resources.release(attempt.needs, attempt.allocation or {})
        if attempt.slot < self.slots and attempt.slot not in self.free_slots:
            heapq.heappush(self.free_slots, attempt.slot)
        attempt.slot = attempt.allocation = None

    # The queue.

    def add(self, attempt: Attempt) -> None:
        self.queue.append(attempt)

    def queue_next_step(self, attempt: Attempt) -> None:
        """With its next step: it has its slot, so it is started at once."""
        attempt.is_begun = False
        self.queue.appendleft(attempt)

    def requeue(self, attempt: Attempt) -> None:
        """To the head of the queue; an attempt that has not begun gives its slot away."""
        if not attempt.steps:
            self.release(attempt)
        self.queue.appendleft(attempt)

    def dequeue(self, attempts: list) -> None:
        gone = set(attempts)
        self.queue = collections.deque(attempt for attempt in self.queue if attempt not in gone)

    @property
    def is_saturated(self) -> bool:
        """There is enough to do: nothing that the engine sends now would start at once."""
        return bool(self.queue) and not (self.resources is not None and self.resources.free)

    def pump(self) -> None:
        """Start what is queued and has room."""
        if self.shim.silent_for() > SHIM_TIMEOUT:  # stopped by someone, or it executes a file on a dead file system
            self.agent.pause("the process %d, which starts programs, does not answer; waiting" % self.shim.pid)
        while self.queue and self.resources is not None and len(self.shim.unsent) < BATCH:
            if self.agent.is_paused() or self.start_batch() < BATCH:
                break

    def start_batch(self) -> int:
        """How many: folders first, then the ledger, then the programs."""
        ready = self.choose()
        ledger = self.agent.ledger
        noted = len(ledger.unwritten)
        for attempt in ready:
            self.record_begin(attempt)
        if not ledger.write():
            del ledger.unwritten[noted:]
            for attempt in reversed(ready):
                attempt.is_begun = False
                self.requeue(attempt)
            return 0
        for attempt in ready:
            attempt.is_recorded = True
            self.begin(attempt)
        self.make_folders()
        return len(ready)

    def choose(self) -> list:
        """Take out what can start now: in the order of arrival, but small ones go past what has no room yet, for a
        while."""
        ready: Any = []
        waiting: Any = []
        overtaken: Any = []  # those of them that have no room
        turn = Turn(self.resources, time.monotonic())
        while self.queue and len(waiting) < LOOK_AHEAD and len(ready) < BATCH:
            attempt = self.queue[0]
            if attempt.slot is None and not attempt.is_over and not self.resources.free:
                break
            self.queue.popleft()
            if attempt.is_over:
                continue
            context = self.agent.contexts.get(attempt.message["context"])
            if context is None or not self.agent.contexts.is_prepared(context):
                waiting.append(attempt)
                continue
            if attempt.slot is None:
                self.restrict_gpus(attempt, context)
                if not turn.allows(attempt):
                    if not self.is_impossible(attempt):
                        waiting.append(attempt)
                        overtaken.append(attempt)
                    continue
                self.grant(attempt)
                overtake(overtaken, turn.now)
            wrong = context["error"] if context["ready"] is False else mismatch(attempt.message, context)
            if wrong:
                self.agent.terminator.end(attempt, {"state": "failed", "reason": "start", "message": wrong})
                continue
            try:
                self.prepare(attempt, context)
            except (OSError, ValueError) as error:
                if self.failed_to_start(attempt, error):
                    break
                continue
            ready.append(attempt)
        self.queue.extendleft(reversed(waiting))
        return ready

    def restrict_gpus(self, attempt: Attempt, context: dict) -> None:
        """An attempt gets GPUs only among those that its own environment grants: the agent's may be that of an earlier
        submitter, who was granted others."""
        if not attempt.needs.get("gpus") or "among" in attempt.needs:
            return
        gpus = self.agent.gpus
        environment = dict(context["environment"])
        environment.update((encode(k), encode(v)) for k, v in attempt.message["env"].items())
        granted = gpus.granted(environment)
        if context["submitted"] and self.offers_all:
            names = [gpu["index"] for gpu in gpus.known or []] if granted is None else granted
            self.resources.gpus += [name for name in names if name not in self.resources.gpus]
        if granted is not None:
            attempt.needs = dict(attempt.needs, among=tuple(granted))

    def is_impossible(self, attempt: Attempt) -> bool:
        """Whether it needs what this node has not got at all: then it has failed."""
        try:
            why = self.resources.why_impossible(attempt.needs)
        except ValueError as error:
            why = str(error)
        if why:
            self.agent.terminator.end(attempt, {"state": "failed", "reason": "start", "message": why})
        return bool(why)

    def make_folders(self) -> None:
        """The next folders, while all slots are busy: when one gets free, the task in it starts at once."""
        for attempt in [self.queue[i] for i in range(min(len(self.queue), 2))]:
            context = self.agent.contexts.get(attempt.message["context"])
            fit = context is not None and context["ready"] and not mismatch(attempt.message, context)
            if fit and not attempt.has_folder and not attempt.is_over and context.get("umask") == self.umask:
                try:
                    # What is there stays as it is until the attempt begins, a folder as well as what is in its way.
                    if not os.path.lexists(encode(attempt.folder)):
                        self.make_folder(attempt, context)
                except (OSError, ValueError):
                    pass  # `prepare` says what is wrong, if it still is

    def make_folder(self, attempt: Attempt, context: dict) -> None:
        """The task's folder, and the first step's outputs: always new ones. A copied lab may know less of its attempts
        than its folders hold, and what is there may be a link that an earlier attempt has made."""
        attempt.names = [step["name"] for step in context["steps"]]
        with attempt.open_folder(make=True) as folder:
            folder.clear(encode(attempt.file(METRICS)), plain=True)
            for name in attempt.output_files(attempt.names[0]):
                output = folder.create(name, append=True)
                attempt.output_inodes[name] = os.fstat(output).st_ino
                attempt.open_outputs.append(output)
        attempt.has_folder = True

    def remove_folder(self, attempt: Attempt) -> None:
        """Of an attempt that does not begin."""
        attempt.close_outputs()
        try:
            parent, name = attempt.open_parent()
            with parent:
                with parent.folder(name) as folder:
                    for output in attempt.output_files(attempt.names[0]):
                        folder.unlink(output)
                parent.rmdir(name)
        except OSError:
            pass  # an earlier attempt has left its outputs there

    def open_outputs(self, attempt: Attempt) -> list:
        """Descriptors of the current step's outputs, for appending. Raises OSError."""
        step, names = attempt.step, attempt.names
        if attempt.open_outputs and all(os.fstat(output).st_nlink for output in attempt.open_outputs):
            opened, attempt.open_outputs = attempt.open_outputs, []
            return opened
        attempt.close_outputs()
        begun = step == 0 or names[step] in names[:step]  # else its files are still to be made
        opened = []
        try:
            with attempt.open_folder() as folder:
                for name in attempt.output_files(names[step]):
                    made = attempt.output_inodes.get(name)
                    opened.append(folder.reopen(name, True, made) if begun else folder.create(name, append=True))
        except OSError:
            for output in opened:
                os.close(output)
            raise
        return opened

    def record_begin(self, attempt: Attempt) -> None:
        """What is noted here is in the ledger before the program starts."""
        attempt.is_begun = True
        if attempt.is_recorded:
            self.agent.ledger.append({"record": "begin", "key": attempt.key})
        else:
            self.agent.ledger.append(intent_record(attempt))

    def prepare(self, attempt: Attempt, context: dict) -> None:
        """The attempt's folder and files."""
        if context.get("umask") is not None and context["umask"] != self.umask:
            self.umask = context["umask"]
            os.umask(self.umask)
        if attempt.steps:
            attempt.names = [step["name"] for step in context["steps"]]
            return
        if not attempt.has_folder:
            self.make_folder(attempt, context)
        if attempt.message.get("files"):
            with attempt.open_folder() as folder:
                for name, text in attempt.message["files"].items():
                    with open(folder.create(encode(os.path.normpath(name))), "wb") as file:
                        file.write(encode(text.replace(SLOT_MARK, str(attempt.slot))))

    # The program.

    def begin(self, attempt: Attempt) -> None:
        """Have the program of the current step started."""
        try:
            self.request_program(attempt)
        except (OSError, ValueError) as error:
            self.not_started(attempt, error)

    def started(self, attempt: Attempt, pid: int, start_time: int, at: float) -> None:
        """The program of the current step runs. at: monotonic."""
        attempt.is_requested = False
        attempt.pid, attempt.start_time, attempt.step_started = pid, start_time, at
        attempt.first_start_time = attempt.first_start_time or start_time
        attempt.adopted = False
        attempt.groups.append(pid)
        self.agent.by_pid[pid] = attempt
        if attempt.started is None:
            attempt.started = at
        self.agent.ledger.append(pid_record(attempt))
        if attempt.stopping is not None:
            self.agent.terminator.terminate(attempt)
        elif len(attempt.groups) == 1:
            self.agent.terminator.set_timeout(attempt)
        self.agent.report_started(attempt)

    def not_started(self, attempt: Attempt, error: Exception) -> None:
        attempt.is_requested = False
        if attempt.stopping is not None:
            self.agent.terminator.end_unstarted(attempt)
        elif attempt.steps:
            self.fail_to_start(attempt, error)
        else:
            self.failed_to_start(attempt, error)

    def failed_to_start(self, attempt: Attempt, error: Exception) -> bool:
        """True where the node has no room just now, and the attempt waits for it; else it has failed."""
        if isinstance(error, OSError) and error.errno in SCARCE:
            if attempt.is_recorded:
                # It never began: nothing is to be remembered.
                self.agent.ledger.append({"record": "ack", "key": attempt.key})
                attempt.is_recorded = False
            attempt.is_begun = False
            self.requeue(attempt)
            where = os.fsdecode(error.filename or attempt.folder)
            self.agent.pause("%s: %s; waiting" % (where, error.strerror))
            return True
        self.fail_to_start(attempt, error)
        return False

    def fail_to_start(self, attempt: Attempt, error: Exception) -> None:
        what = str(error)  # a NUL, or text that no descriptor takes
        if isinstance(error, OSError) and error.strerror:
            where = os.fsdecode(error.filename) + ": " if error.filename else ""
            what = where + error.strerror
        self.agent.terminator.end(attempt, {"state": "failed", "reason": "start", "message": what})

    # The shim.

    def request_program(self, attempt: Attempt) -> None:
        """Ask for the program of the current step. Raises OSError, ValueError."""
        context = self.agent.contexts.get(attempt.message["context"])
        message, slot = attempt.message, str(attempt.slot)
        workdir = expand(message.get("workdir") or context["workdir"])
        if not os.path.isdir(encode(workdir)):
            raise FileNotFoundError(errno.ENOENT, "the working folder does not exist", workdir)
        environment = program_environment(attempt, context, workdir)
        if (attempt.allocation or {}).get("gpus"):
            self.agent.gpus.set_visible(attempt.allocation["gpus"], environment)
        shell = self.agent.contexts.shell(context)
        argv = (message.get("argv") or [None] * len(context["steps"]))[attempt.step]
        if argv is None or b"BASH_FUNC_%s%%%%" % encode(argv[0]) in environment:
            script = (message.get("scripts") or {}).get(str(attempt.step), context["steps"][attempt.step]["script"])
            words = shell + ["-c", script.replace(SLOT_MARK, slot), os.path.basename(shell[0])]
            file, words = self.programs.runnable(words, context["environment"], workdir, shell[0])
        else:
            words = [word.replace(SLOT_MARK, slot) for word in argv]
            file, words = self.programs.runnable(words, environment, workdir, shell[0])
        self.send_request(attempt, file, words, environment, workdir)

    def send_request(
        self, attempt: Attempt, file: bytes, words: list, environment: dict, workdir: str, last: bool = False
    ) -> None:
        """last: nothing else is tried where this can't be executed. Raises OSError."""
        if not self.shim.alive:
            self.shim = Shim(self.agent.spool)
            self.shims[self.shim.pid] = self.shim
        attempt.oom_before = self.agent.oom_count()
        outputs = self.open_outputs(attempt)
        attempt.is_requested = True
        request = (
            attempt.step_key,
            encode(attempt.exits),
            encode(workdir),
            file,
            [encode(word) for word in words],
            environment,
            self.umask,
        )
        self.shim.start((attempt, words[0], environment, workdir, last), request, outputs)

    def receive(self, shim: Shim) -> None:
        """What a shim has to say."""
        for kind, subject, *facts in shim.receive():
            if kind == "ended":
                self.agent.terminator.program_ended(subject, *facts)
                continue
            attempt, name, environment, workdir, last = shim.waiting.pop(subject)
            if kind == "started":
                self.started(attempt, *facts)
                continue
            is_folder, number, why = facts
            error: Any = OSError(number, why, workdir if is_folder else name) if number else ValueError(why)
            if is_folder or last or not number or number in SCARCE or attempt.stopping is not None:
                self.not_started(attempt, error)
                continue
            file, words = failing_command(name, why, NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE)
            try:
                self.send_request(attempt, file, words, environment, workdir, last=True)
            except OSError as worse:
                self.not_started(attempt, worse)

    def shim_ended(self, pid: int) -> None:
        """Someone has killed it. Its programs run on, and are our children now, or nobody's."""
        shim = self.shims.pop(pid)
        while shim.alive:
            self.receive(shim)
        for attempt, *_ in shim.waiting.values():
            attempt.is_requested = False
            self.agent.recovery.adopt(attempt)
        shim.waiting = {}
        ours = set(children())
        for pid, attempt in list(self.agent.by_pid.items()):
            if not attempt.adopted and pid not in ours:
                self.agent.recovery.adopt(attempt)


def program_environment(attempt: Attempt, context: dict, workdir: str) -> dict:
    """The environment of an attempt's program."""
    slot = str(attempt.slot)
    environment = dict(context["environment"])
    environment[b"PWD"] = encode(workdir)
    for name, value in attempt.message["env"].items():
        environment[encode(name)] = encode(value.replace(SLOT_MARK, slot))
    environment[b"TUI_LAB_SLOT"] = slot.encode()
    if attempt.needs.get("cpus"):
        environment.setdefault(b"OMP_NUM_THREADS", b"%d" % attempt.needs["cpus"])
    return environment
