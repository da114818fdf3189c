"""The queue of attempts: grants resources, records the intent in the ledger, and has the shim start programs."""

import collections
import errno
import heapq
import os
import select
import time

from tui_lab.engine.agent import SLOT_MARK
from tui_lab.engine.agent.attempt import METRICS, Attempt, intent_record, pid_record
from tui_lab.engine.agent.call_servers import CallServer, CallServers, kill_group
from tui_lab.engine.agent.done_steps import remove_staged, take_over
from tui_lab.engine.agent.messages import mismatch
from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.processes import children
from tui_lab.engine.agent.programs import NOT_EXECUTABLE, NOT_FOUND, ProgramFinder, failing_command
from tui_lab.engine.agent.resources import Turn, overtake
from tui_lab.engine.agent.shim import Shim, StarterEnd
from tui_lab.engine.agent.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARAMS = "params.json"  # in each attempt as the experiment has them now
LOOK_AHEAD = 100  # attempts without room that are skipped in search of one with room
# The node lacks a resource for the moment: the attempt waits instead of failing.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
SHIM_TIMEOUT = 10.0  # seconds without an answer of the shim, after which the engine is notified
BATCH = 50  # attempts per batch, and requests waiting for the shim: each has files open


class Launcher:
    """The queue of an agent. `slots` are numbered: a task's number is its `{slot}`."""

    def __init__(self, agent, shim: Shim) -> None:
        self.agent = agent
        self.shim = shim
        self.shims: Any = {shim.pid: shim}  # the one in use, older ones that still live, and servers of calls
        self.call_servers = CallServers(agent, self)
        self.queue: Any = collections.deque()
        self.resources: Any = None  # once an engine has connected
        self.offers_all = True
        self.slots = 0
        self.free_slots: Any = []
        self.umask: Any = None
        self.programs = ProgramFinder()

    # --- Resources

    def offer(self, resources, slots: int, gpus) -> None:
        """Offer these resources from now on; running attempts keep theirs. gpus: which of them, as `hello` says."""
        self.resources = resources
        self.offers_all = gpus in (None, "all")
        for attempt in self.slot_holders():
            resources.take(attempt.needs, attempt.allocation)
        self.renumber_slots(slots)

    def resize(self, slots: int) -> None:
        """Offer another number of slots from now on; running attempts keep theirs."""
        self.resources.resize(slots=slots)
        self.renumber_slots(slots)

    def renumber_slots(self, slots: int) -> None:
        """Work out which numbers of slots are free."""
        used = {attempt.slot for attempt in self.slot_holders()}
        self.slots = slots
        self.free_slots = [slot for slot in range(slots) if slot not in used]
        heapq.heapify(self.free_slots)

    def slot_holders(self) -> list:
        """Return the attempts that have a slot."""
        return [a for a in self.agent.attempts.values() if a.slot is not None and a.event is None]

    def grant(self, attempt: Attempt) -> None:
        """Take the resources for an attempt; there must be room for it."""
        attempt.allocation = self.resources.grant(attempt.needs)
        attempt.slot = heapq.heappop(self.free_slots)

    def release(self, attempt: Attempt) -> None:
        """Give the resources of an attempt back."""
        if attempt.slot is None:
            return
        if self.resources is not None:
            self.resources.release(attempt.needs, attempt.allocation or {})
        if attempt.slot < self.slots and attempt.slot not in self.free_slots:
            heapq.heappush(self.free_slots, attempt.slot)
        attempt.slot = attempt.allocation = None

    # --- The queue

    def add(self, attempt: Attempt) -> None:
        """Append an attempt to the queue."""
        self.queue.append(attempt)

    def queue_next_step(self, attempt: Attempt) -> None:
        """Put an attempt that goes on with its next step at the head of the queue.

        It keeps its slot, so it starts at once."""
        attempt.is_begun = False
        self.queue.appendleft(attempt)

    def requeue(self, attempt: Attempt) -> None:
        """Put an attempt back at the head of the queue. One that has not begun gives its slot back."""
        if not attempt.has_ended_step:
            self.release(attempt)
        self.queue.appendleft(attempt)

    def dequeue(self, attempts: list) -> None:
        """Remove attempts from the queue."""
        gone = set(attempts)
        self.queue = collections.deque(attempt for attempt in self.queue if attempt not in gone)

    @property
    def is_saturated(self) -> bool:
        """Whether nothing that the engine sends now would start at once."""
        return bool(self.queue) and not (self.resources is not None and self.resources.free)

    def pump(self) -> None:
        """Start what is queued and has room."""
        for shim in self.shims.values():
            if shim.silent_for() > SHIM_TIMEOUT:  # it is stopped, or executes a file on a dead file system
                self.agent.pause("the process %d, which starts programs, does not answer; waiting" % shim.pid)
        while self.queue and self.resources is not None and len(self.shim.unsent) < BATCH:
            if self.agent.is_paused() or self.start_batch() < BATCH:
                break

    def start_batch(self) -> int:
        """Start as many attempts as have room, at most 50: first their folders, then the ledger, then the programs.

        Return how many."""
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
        """Take the attempts that can start now out of the queue: in order of arrival, but small ones may overtake for a
        while one that has no room yet."""
        ready: Any = []
        waiting: Any = []
        overtaken: Any = []  # those of `waiting` that have no room
        late: Any = []  # those that can't end in time
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
            if attempt.slot is None and not self.agent.lease.has_time_for(attempt):
                late.append(attempt)
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
        self.give_back(late)
        return ready

    def give_back(self, attempts: list) -> None:
        """Give attempts that have not begun back to the engine; keep them while there is none."""
        if attempts and self.agent.connection.is_open:
            self.agent.return_unstarted([attempt.key for attempt in attempts])
        else:
            self.queue.extend(attempts)

    def restrict_gpus(self, attempt: Attempt, context: dict) -> None:
        """Restrict an attempt to the GPUs that its own environment grants.

        The agent's environment may be that of an earlier submitter, who was granted others."""
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
        """Return whether an attempt needs more than this node has at all; then it has failed."""
        try:
            why = self.resources.why_impossible(attempt.needs)
        except ValueError as error:
            why = str(error)
        if why:
            self.agent.terminator.end(attempt, {"state": "failed", "reason": "start", "message": why})
        return bool(why)

    def make_folders(self) -> None:
        """Make the folders of the next attempts ahead of time, so that these start at once when a slot is free."""
        for attempt in [self.queue[i] for i in range(min(len(self.queue), 2))]:
            context = self.agent.contexts.get(attempt.message["context"])
            fit = context is not None and context["ready"] and not mismatch(attempt.message, context)
            if fit and not attempt.has_folder and not attempt.is_over and context.get("umask") == self.umask:
                try:
                    # What exists is left alone until the attempt begins, be it a folder or a file in its way.
                    if not os.path.lexists(encode(attempt.folder)):
                        self.make_folder(attempt, context)
                except (OSError, ValueError):
                    pass  # `prepare` reports the error, if it remains

    def make_folder(self, attempt: Attempt, context: dict) -> None:
        """Make the task's folder and the output files of the first step that runs, always new ones.

        A copied lab may know of fewer attempts than its folders hold, and a file there may be a link that an earlier
        attempt has made."""
        attempt.names = [step["name"] for step in context["steps"]]
        with attempt.open_folder(make=True) as folder:
            folder.clear(encode(attempt.file(METRICS)), plain=True)
            if attempt.first_step:
                done = take_over(attempt, folder)
                remove_staged(attempt, folder)
                if not done:
                    attempt.begin_anew()
            shared = attempt.first_step > 0 and attempt.names[0] is None
            for name in attempt.output_files(attempt.names[attempt.step]):
                output = folder.reopen(name, append=True) if shared else folder.create(name, append=True)
                attempt.output_inodes[name] = os.fstat(output).st_ino
                attempt.open_outputs.append(output)
        attempt.has_folder = True

    def remove_folder(self, attempt: Attempt) -> None:
        """Remove the folder and files of an attempt that does not begin."""
        attempt.close_outputs()
        try:
            parent, name = attempt.open_parent()
            with parent:
                with parent.folder(name) as folder:
                    for output in attempt.output_files(attempt.names[attempt.step]):
                        folder.unlink(output)
                parent.rmdir(name)
        except OSError:
            pass  # an earlier attempt's files are there

    def open_outputs(self, attempt: Attempt) -> list:
        """Return descriptors of the current step's output files, for appending. Raises OSError."""
        step, names = attempt.step, attempt.names
        if attempt.open_outputs and all(os.fstat(output).st_nlink for output in attempt.open_outputs):
            opened, attempt.open_outputs = attempt.open_outputs, []
            return opened
        attempt.close_outputs()
        begun = step == attempt.first_step or names[step] in names[:step]  # else its files do not exist yet
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
        """Append to the ledger that the current step begins. It is on disk before the program starts."""
        attempt.is_begun = True
        if attempt.is_recorded:
            self.agent.ledger.append({"record": "begin", "key": attempt.key})
        else:
            self.agent.ledger.append(intent_record(attempt))

    def prepare(self, attempt: Attempt, context: dict) -> None:
        """Make the attempt's folder and files, with the umask of its context. Raises OSError, ValueError."""
        if context.get("umask") is not None and context["umask"] != self.umask:
            self.umask = context["umask"]
            os.umask(self.umask)
        if attempt.has_ended_step:
            attempt.names = [step["name"] for step in context["steps"]]
            return
        if not attempt.has_folder:
            self.make_folder(attempt, context)
        if attempt.message.get("files"):
            with attempt.open_folder() as folder:
                for name, text in attempt.message["files"].items():
                    if attempt.first_step and name != PARAMS and os.path.lexists(encode(attempt.folder + "/" + name)):
                        continue  # it stays as the done steps have left it
                    with open(folder.create(encode(os.path.normpath(name))), "wb") as file:
                        file.write(encode(text.replace(SLOT_MARK, str(attempt.slot))))

    # --- The program

    def begin(self, attempt: Attempt) -> None:
        """Have the shim start the program of the current step."""
        try:
            self.request_program(attempt)
        except (OSError, ValueError) as error:
            self.not_started(attempt, error)

    def started(self, attempt: Attempt, pid: int, start_time: int, at: float) -> None:
        """Handle the start of the current step's program. at: monotonic."""
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
        """Handle a program that could not be started."""
        attempt.is_requested = False
        if attempt.stopping is not None:
            self.agent.terminator.end_unstarted(attempt)
        elif attempt.has_ended_step:
            self.fail_to_start(attempt, error)
        else:
            self.failed_to_start(attempt, error)

    def failed_to_start(self, attempt: Attempt, error: Exception) -> bool:
        """Return True where the node has no room just now, and the attempt waits for it.

        Else the attempt has failed."""
        if isinstance(error, OSError) and error.errno in SCARCE:
            if attempt.is_recorded:
                # It never began, so the ledger can forget it.
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
        """End an attempt with the reason why its program can't start."""
        what = str(error)  # a NUL, or text that is no UTF-8
        if isinstance(error, OSError) and error.strerror:
            where = os.fsdecode(error.filename) + ": " if error.filename else ""
            what = where + error.strerror
        self.agent.terminator.end(attempt, {"state": "failed", "reason": "start", "message": what})

    # --- The shim

    def request_program(self, attempt: Attempt) -> None:
        """Work out the command, environment and folder of the current step, and send them to the shim.

        Raises OSError, ValueError."""
        context = self.agent.contexts.get(attempt.message["context"])
        message, slot = attempt.message, str(attempt.slot)
        workdir = expand(message.get("workdir") or context["workdir"])
        if not os.path.isdir(encode(workdir)):
            raise FileNotFoundError(errno.ENOENT, "the working folder does not exist", workdir)
        environment = program_environment(attempt, context, workdir)
        if self.agent.lease.deadline:
            environment[b"TUI_LAB_DEADLINE"] = self.agent.lease.deadline.encode()
        if context.get("serve_calls"):
            words = self.shell_words(attempt, context)
            command = self.programs.runnable(words, context["environment"], workdir, words[0])
            if self.call_servers.add(attempt, environment, command, workdir):
                return
        if (attempt.allocation or {}).get("gpus"):
            self.agent.gpus.set_visible(attempt.allocation["gpus"], environment)
        shell = self.agent.contexts.shell(context)
        argv = (message.get("argv") or [None] * len(context["steps"]))[attempt.step]
        if argv is None or b"BASH_FUNC_%s%%%%" % encode(argv[0]) in environment:
            words = self.shell_words(attempt, context)
            file, words = self.programs.runnable(words, context["environment"], workdir, shell[0])
        else:
            words = [word.replace(SLOT_MARK, slot) for word in argv]
            file, words = self.programs.runnable(words, environment, workdir, shell[0])
        self.send_request(attempt, file, words, environment, workdir)

    def shell_words(self, attempt: Attempt, context: dict) -> list:
        """Return the words of the shell that runs the script of the current step."""
        shell = self.agent.contexts.shell(context)
        scripts = attempt.message.get("scripts") or {}
        script = scripts.get(str(attempt.step), context["steps"][attempt.step]["script"])
        return shell + ["-c", script.replace(SLOT_MARK, str(attempt.slot)), os.path.basename(shell[0])]

    def send_request(
        self, attempt: Attempt, file: bytes, words: list, environment: dict, workdir: str, last: bool = False
    ) -> None:
        """Send a request to the shim; start a new shim where it has died.

        last: no other program is tried where this one can't be executed. Raises OSError."""
        if not self.shim.alive:
            self.shim = Shim(self.agent.spool, self.agent.lease.stays, self.agent.lease.leash)
            self.shims[self.shim.pid] = self.shim
        program = (file, [encode(word) for word in words], environment)
        self.send(self.shim, attempt, program, (attempt, words[0], environment, workdir, last), workdir)

    def send(self, shim: StarterEnd, attempt: Attempt, program: tuple, what: tuple, workdir: str) -> None:
        """Send a request to a shim or server. program: file, words, environment. what: see `receive`. Raises
        OSError."""
        attempt.oom_before = self.agent.oom_count()
        outputs = self.open_outputs(attempt)
        attempt.is_requested = True
        attempt.starter = shim
        request = (attempt.step_key, encode(attempt.exits), encode(workdir)) + program + (self.umask,)
        shim.start(what, request, outputs)

    def receive(self, shim: StarterEnd) -> None:
        """Handle the messages of a shim or server."""
        for kind, subject, *facts in shim.receive():
            if kind in ("ready", "unfit", "stale") and isinstance(shim, CallServer):
                self.call_servers.handle(shim, kind, subject)
                continue
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
        """Handle the end of a shim that was killed, or of a server.

        The programs of a shim go on, as children of the agent or of init. The calls of a server are lost with it."""
        shim = self.shims.pop(pid)
        while shim.alive and select.select([shim.channel], [], [], 0)[0]:
            self.receive(shim)
        shim.close()  # where another process still has its end open
        lost = self.call_servers.ended(shim) if isinstance(shim, CallServer) else []
        for attempt, *_ in shim.waiting.values():
            attempt.is_requested = False
            self.agent.recovery.adopt(attempt)
        shim.waiting = {}
        ours = set(children())
        for pid, attempt in list(self.agent.by_pid.items()):
            if attempt.starter is shim and not attempt.adopted and (lost or pid not in ours):
                self.agent.recovery.adopt(attempt)
        for attempt in lost:
            if attempt.pid is not None:
                kill_group(attempt.pid)


def program_environment(attempt: Attempt, context: dict, workdir: str) -> dict:
    """Return the environment of an attempt's program."""
    slot = str(attempt.slot)
    environment = dict(context["environment"])
    environment[b"PWD"] = encode(workdir)
    for name, value in attempt.message["env"].items():
        environment[encode(name)] = encode(value.replace(SLOT_MARK, slot))
    environment[b"TUI_LAB_SLOT"] = slot.encode()
    if attempt.needs.get("cpus"):
        environment.setdefault(b"OMP_NUM_THREADS", b"%d" % attempt.needs["cpus"])
    return environment
