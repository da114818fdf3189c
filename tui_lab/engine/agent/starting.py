"""From the queue to a running program: what is granted, written down and started."""

import collections
import errno
import heapq
import os
import re
import time

from tui_lab.engine.agent import SLOT_MARK
from tui_lab.engine.agent.attempt import METRICS, WRAPPER, Attempt, intent_record, pid_record
from tui_lab.engine.agent.messages import misfit
from tui_lab.engine.agent.places import expand
from tui_lab.engine.agent.processes import decode, encode, launch, process_stat
from tui_lab.engine.agent.programs import Programs
from tui_lab.engine.agent.resources import Turn, overtake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOK_AHEAD = 100  # attempts without room that are looked past for one that has
# The node lacks something for the moment: an attempt waits, it does not fail.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)

IDENTIFIER = re.compile(b"[A-Za-z_][A-Za-z0-9_]*\\Z").match  # of a variable that every shell passes on


class Starting:
    """The queue of an agent. `slots` are numbered: a task's number is its `{slot}`."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.queue: Any = collections.deque()
        self.resources: Any = None  # once an engine has said what is offered
        self.offers_all = True
        self.slots = 0
        self.free_slots: Any = []
        self.umask: Any = None
        self.programs = Programs()

    # What is offered, and who has it.

    def offer(self, resources, slots: int, gpus) -> None:
        """From now on; what runs keeps what it has. gpus: which of them, as `hello` says."""
        self.resources = resources
        self.offers_all = gpus in (None, "all")
        for attempt in self.holders():
            resources.take(attempt.needs, attempt.allocation)
        self.number(slots)

    def resize(self, slots: int) -> None:
        self.resources.resize(slots=slots)
        self.number(slots)

    def number(self, slots: int) -> None:
        used = {attempt.slot for attempt in self.holders()}
        self.slots = slots
        self.free_slots = [slot for slot in range(slots) if slot not in used]
        heapq.heapify(self.free_slots)

    def holders(self) -> list:
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

    def go_on(self, attempt: Attempt) -> None:
        """With its next step: it has its slot, so it is started at once."""
        attempt.begun = False
        self.queue.appendleft(attempt)

    def put_back(self, attempt: Attempt) -> None:
        """To the head of the queue; an attempt that has not begun gives its slot away."""
        if not attempt.steps:
            self.release(attempt)
        self.queue.appendleft(attempt)

    def take_out(self, attempts: list) -> None:
        gone = set(attempts)
        self.queue = collections.deque(attempt for attempt in self.queue if attempt not in gone)

    @property
    def saturated(self) -> bool:
        """There is enough to do: nothing that the engine sends now would start at once."""
        return bool(self.queue) and not (self.resources is not None and self.resources.free)

    def pump(self) -> None:
        """Start what is queued and has room: folders first, then the ledger, then the programs."""
        if not self.queue or self.resources is None or self.agent.held():
            return
        ready = self.choose()
        ledger = self.agent.ledger
        noted = len(ledger.noted)
        for attempt in ready:
            self.note_begin(attempt)
        if not ledger.write():
            del ledger.noted[noted:]
            for attempt in reversed(ready):
                attempt.begun = False
                self.put_back(attempt)
            return
        for attempt in ready:
            attempt.in_ledger = True
            self.begin(attempt)
        self.make_folders()

    def choose(self) -> list:
        """Take out what can start now: in the order of arrival, but small ones go past what has no room yet, for a
        while."""
        ready: Any = []
        waiting: Any = []
        roomless: Any = []  # those of them that have no room
        turn = Turn(self.resources, time.monotonic())
        while self.queue and len(waiting) < LOOK_AHEAD:
            attempt = self.queue[0]
            if attempt.slot is None and not attempt.over and not self.resources.free:
                break
            self.queue.popleft()
            if attempt.over:
                continue
            context = self.agent.contexts.get(attempt.message["context"])
            if context is None or not self.agent.contexts.settled(context):
                waiting.append(attempt)
                continue
            if attempt.slot is None:
                self.narrow(attempt, context)
                if not turn.allows(attempt):
                    if not self.is_impossible(attempt):
                        waiting.append(attempt)
                        roomless.append(attempt)
                    continue
                self.grant(attempt)
                overtake(roomless, turn.now)
            wrong = context["error"] if context["ready"] is False else misfit(attempt.message, context)
            if wrong:
                self.agent.ending.end(attempt, {"state": "failed", "reason": "start", "message": wrong})
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

    def narrow(self, attempt: Attempt, context: dict) -> None:
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
            why = self.resources.fits_ever(attempt.needs)
        except ValueError as error:
            why = str(error)
        if why:
            self.agent.ending.end(attempt, {"state": "failed", "reason": "start", "message": why})
        return bool(why)

    def make_folders(self) -> None:
        """The next folders, while all slots are busy: when one gets free, the task in it starts at once."""
        for attempt in [self.queue[i] for i in range(min(len(self.queue), 2))]:
            context = self.agent.contexts.get(attempt.message["context"])
            fit = context is not None and context["ready"] and not misfit(attempt.message, context)
            if fit and not attempt.folder_made and not attempt.over and context.get("umask") == self.umask:
                try:
                    attempt.open_folder().close()
                except FileNotFoundError:
                    try:
                        self.make_folder(attempt, context)
                    except (OSError, ValueError):
                        pass  # `prepare` says what is wrong, if it still is
                except (OSError, ValueError):
                    pass  # something is in the way: it makes room when the attempt begins, no earlier

    def make_folder(self, attempt: Attempt, context: dict) -> None:
        """The task's folder, and the first step's outputs: always new ones. A copied lab may know less of its attempts
        than its folders hold, and what is there may be a link that an earlier attempt has made."""
        attempt.names = [step["name"] for step in context["steps"]]
        with attempt.open_folder(make=True) as folder:
            folder.clear(encode(attempt.file(METRICS)), plain=True)
            for name in attempt.output_files(attempt.names[0]):
                output = folder.create(name)
                attempt.made[name] = os.fstat(output).st_ino
                os.close(output)
        attempt.folder_made = True

    def unmake_folder(self, attempt: Attempt) -> None:
        """Of an attempt that does not begin."""
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
        begun = step == 0 or names[step] in names[:step]  # else its files are still to be made
        opened: Any = []
        try:
            with attempt.open_folder() as folder:
                for name in attempt.output_files(names[step]):
                    made = attempt.made.get(name)
                    opened.append(folder.reopen(name, True, made) if begun else folder.create(name, append=True))
        except OSError:
            for output in opened:
                os.close(output)
            raise
        return opened

    def note_begin(self, attempt: Attempt) -> None:
        """What is noted here is in the ledger before the program starts."""
        attempt.begun = True
        if attempt.in_ledger:
            self.agent.ledger.note({"record": "begin", "key": attempt.key})
        else:
            self.agent.ledger.note(intent_record(attempt))

    def prepare(self, attempt: Attempt, context: dict) -> None:
        """The attempt's folder and files."""
        if context.get("umask") is not None and context["umask"] != self.umask:
            self.umask = context["umask"]
            os.umask(self.umask)
        if attempt.steps:
            attempt.names = [step["name"] for step in context["steps"]]
            return
        if not attempt.folder_made:
            self.make_folder(attempt, context)
        if attempt.message.get("files"):
            with attempt.open_folder() as folder:
                for name, text in attempt.message["files"].items():
                    with open(folder.create(encode(os.path.normpath(name))), "wb") as file:
                        file.write(encode(text.replace(SLOT_MARK, str(attempt.slot))))

    # The program.

    def begin(self, attempt: Attempt) -> None:
        """Start the program of the current step."""
        try:
            self.spawn(attempt, self.agent.contexts.get(attempt.message["context"]))
        except (OSError, ValueError) as error:
            if attempt.steps:
                self.fail_to_start(attempt, error)
            else:
                self.failed_to_start(attempt, error)
            return
        if len(attempt.sessions) == 1:
            self.agent.ending.set_timeout(attempt)
        self.agent.report_started(attempt)

    def failed_to_start(self, attempt: Attempt, error: Exception) -> bool:
        """True where the node has no room just now, and the attempt waits for it; else it has failed."""
        if isinstance(error, OSError) and error.errno in SCARCE:
            if attempt.in_ledger:
                # It never began: nothing is to be remembered.
                self.agent.ledger.note({"record": "ack", "key": attempt.key})
                attempt.in_ledger = False
            attempt.begun = False
            self.put_back(attempt)
            where = os.fsdecode(error.filename or attempt.folder)
            self.agent.hold("%s: %s; waiting" % (where, error.strerror))
            return True
        self.fail_to_start(attempt, error)
        return False

    def fail_to_start(self, attempt: Attempt, error: Exception) -> None:
        what = str(error)  # a NUL, or text that no descriptor takes
        if isinstance(error, OSError) and error.strerror:
            where = os.fsdecode(error.filename) + ": " if error.filename else ""
            what = where + error.strerror
        self.agent.ending.end(attempt, {"state": "failed", "reason": "start", "message": what})

    def spawn(self, attempt: Attempt, context: dict) -> None:
        message, slot = attempt.message, str(attempt.slot)
        workdir = expand(message.get("workdir") or context["workdir"])
        if not os.path.isdir(encode(workdir)):
            raise FileNotFoundError(errno.ENOENT, "the working folder does not exist", workdir)
        environment = variables(attempt, context)
        if (attempt.allocation or {}).get("gpus"):
            self.agent.gpus.show(attempt.allocation["gpus"], environment)
        # Functions that bash has exported have names that not every shell passes on.
        odd = [name for name in environment if not IDENTIFIER(name)]
        shell = self.agent.contexts.shell(context)
        argv = (message.get("argv") or [None] * len(context["steps"]))[attempt.step]
        if argv is None or b"BASH_FUNC_%s%%%%" % encode(argv[0]) in odd:
            script = (message.get("scripts") or {}).get(str(attempt.step), context["steps"][attempt.step]["script"])
            name = os.path.basename(shell[0])
            argv = self.programs.runnable(shell, context["environment"], workdir, shell[0]) + [
                "-c",
                script.replace(SLOT_MARK, slot),
                name,
            ]
        else:
            argv = [word.replace(SLOT_MARK, slot) for word in argv]
            argv = self.programs.runnable(argv, environment, workdir, shell[0])
        wrapped = ["sh", "-c", WRAPPER, "tui-lab", "%s/%d" % (attempt.id, attempt.step), attempt.exits, workdir]
        if odd:
            wrapped += ["/usr/bin/env"] + [decode(name + b"=" + environment[name]) for name in odd]
        wrapped += argv
        outputs = self.open_outputs(attempt)
        try:
            attempt.oom_before = self.agent.oom_count()
            attempt.step_started = time.monotonic()
            attempt.pid = launch([encode(word) for word in wrapped], environment, outputs)
        finally:
            for output in outputs:
                os.close(output)
        if attempt.started is None:
            attempt.started = attempt.step_started
        attempt.adopted = False
        attempt.sessions.append(attempt.pid)
        self.agent.by_pid[attempt.pid] = attempt
        facts = process_stat(attempt.pid)
        attempt.start_time = facts[4] if facts else 0
        attempt.began = attempt.began or attempt.start_time
        self.agent.ledger.note(pid_record(attempt))


def variables(attempt: Attempt, context: dict) -> dict:
    """The environment of an attempt's program."""
    slot = str(attempt.slot)
    environment = dict(context["environment"])
    for name, value in attempt.message["env"].items():
        environment[encode(name)] = encode(value.replace(SLOT_MARK, slot))
    environment[b"TUI_LAB_SLOT"] = slot.encode()
    if attempt.needs.get("cpus"):
        environment.setdefault(b"OMP_NUM_THREADS", b"%d" % attempt.needs["cpus"])
    return environment
