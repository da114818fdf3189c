"""The daemon: one thread, one `select` loop around the parts."""

import os
import select
import signal
import socket
import time

from tui_lab.engine.agent.adopting import Adopting
from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.collect import Outputs, remove
from tui_lab.engine.agent.commands import Commands
from tui_lab.engine.agent.contexts import Contexts
from tui_lab.engine.agent.ending import Ending
from tui_lab.engine.agent.facts import LOGOUT_NOTICE, cores, kills_at_logout
from tui_lab.engine.agent.gpus import Gpus
from tui_lab.engine.agent.greeting import Greeting
from tui_lab.engine.agent.ledger import Ledger
from tui_lab.engine.agent.link import Link
from tui_lab.engine.agent.log import log
from tui_lab.engine.agent.messages import flaw, is_key
from tui_lab.engine.agent.processes import become_subreaper, ended_children, oom_kills
from tui_lab.engine.agent.shim import Shim
from tui_lab.engine.agent.starting import Starting
from tui_lab.engine.agent.timers import Timers
from tui_lab.engine.agent.watching import Watching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IDLE_LIMIT = 600.0  # seconds that an agent with nothing to do waits for a word from an engine
TIDY_AFTER = 2.0  # seconds after which it looks for what dead agents have left
HOLD = 1.0  # seconds between tries where the node has no room for a task
OOM_EVERY = 1.0  # seconds that a count of the kernel's out-of-memory kills stays good
FRESHEN = 6 * 3600.0  # seconds between touches of the spool: cleaners of /tmp remove what looks old


class Agent:
    """What the parts share, and how messages reach them."""

    def __init__(self, spool: str, shim: Shim) -> None:
        self.spool = spool
        self.timers = Timers()
        self.ledger = Ledger(spool, self.hold)
        self.link = Link(self.handle)
        self.contexts = Contexts(self)
        self.commands = Commands(self.timers)
        self.gpus = Gpus(self.commands)
        self.attempts: Any = {}  # key -> Attempt: everything that the engine has not acknowledged
        self.by_pid: Any = {}  # -> Attempt: of the programs that run
        self.starting = Starting(self, shim)
        self.ending = Ending(self, become_subreaper())
        self.adopting = Adopting(self)
        self.held_until = 0.0
        self.standing_notice = LOGOUT_NOTICE if kills_at_logout() else ""
        self.notice = self.standing_notice
        self.oom = (0.0, 0)  # when the kernel's count was read, and the count
        self.greeting = Greeting(self)
        self.watching = Watching(self)
        self.leaving = False
        self.idle_since = time.monotonic()
        self.attempts.update(self.ledger.read())
        self.adopting.take_over_all()
        self.timers.after(FRESHEN, self.freshen)
        self.timers.after(TIDY_AFTER, self.tidy)

    def tidy(self) -> None:
        """Remove what dead agents have left beside this spool."""
        from tui_lab.engine.agent.leaving import remove_left  # late: it would take its time from every start

        remove_left(self.spool)

    def freshen(self) -> None:
        """Keep the spool from those who remove old files."""
        for name in [""] + os.listdir(self.spool):
            try:
                os.utime(os.path.join(self.spool, name))
            except OSError:
                pass
        self.timers.after(FRESHEN, self.freshen)

    # The loop.

    def run(self, listener: socket.socket) -> bool:
        """True when all is acknowledged, and the engine has let it go or nobody has needed it for long; False when
        nobody has, and something is not: that stays in the ledger for the next agent."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        # Handlers, not SIG_IGN: what is ignored stays so in the tasks. Only the engine's word or KILL ends an
        # agent.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # shells let what they start in the background ignore it
        link = self.link
        self.reap()
        while True:
            self.starting.pump()
            self.ledger.write()
            if self.notice != self.standing_notice and not self.held():
                self.say(self.standing_notice)
            now = time.monotonic()
            if link.patience(now, IDLE_LIMIT) <= 0 or not self.starting.saturated:
                link.tell()
            link.flush()
            limit = max(self.idle_since, link.heard) + IDLE_LIMIT
            patience = link.patience(now, max(0.0, limit - now) + 0.01)
            if self.contexts.setups:
                waiting = [attempt.message["context"] for attempt in self.starting.queue if not attempt.over]
                self.contexts.stop_unneeded(set(waiting))
            if self.leaving and not self.attempts:
                self.contexts.close()
                if self.contexts.quiet:
                    return True
            if self.by_pid or self.contexts.setups:
                self.idle_since = now  # with something that runs
            elif now > limit:
                if not self.busy():
                    return not self.attempts
                self.idle_since = now
            shim = self.starting.shim
            reading: Any = [listener, wake_read] + list(self.adopting.by_pidfd)
            writing: Any = []
            if shim.alive:
                reading.append(shim.channel)
                if shim.unsent:
                    writing.append(shim.channel)
            if link.channel is not None:
                reading.append(link.channel)
                if link.unsent:
                    writing.append(link.channel)
            readable, _, _ = select.select(reading, writing, [], self.timers.next(now, patience))
            if shim.alive and shim.channel in readable:
                self.starting.hear(shim)
            shim.flush()
            if wake_read in readable:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
                self.reap()
            self.adopting.ready(readable)
            if link.channel is not None and link.channel in readable:
                link.receive()
            if listener in readable:
                link.accept(listener)
            self.timers.run()

    def busy(self) -> bool:
        """Something goes on without an engine. What waits for its context does not: that only an engine has."""
        stuck = {a.key for a in self.starting.queue if self.contexts.get(a.message["context"]) is None}
        return any(a.event is None and a.key not in stuck for a in self.attempts.values())

    def reap(self) -> None:
        for pid, code, cpu_time, peak_rss in ended_children():
            if pid in self.contexts.setups:
                self.contexts.setup_ended(pid, code)
            elif self.commands.knows(pid):
                self.commands.ended(pid, code)
            elif pid in self.starting.shims:
                self.starting.shim_died(pid)
            else:
                self.ending.ended(pid, code, cpu_time, peak_rss)

    def knows(self, pid: int) -> bool:
        """Whether we have started this child."""
        known = (self.by_pid, self.contexts.setups, self.starting.shims)
        return any(pid in pids for pids in known) or self.commands.knows(pid)

    def oom_count(self) -> int:
        """The kernel's count as it was at most a second ago: reading it costs more than starting a
        program."""
        now = time.monotonic()
        if now - self.oom[0] > OOM_EVERY:
            self.oom = (now, oom_kills())
        return self.oom[1]

    # Waiting for room.

    def held(self) -> bool:
        return self.held_until > time.monotonic()

    def hold(self, why: str) -> None:
        """Start nothing for a moment, and say why."""
        now = time.monotonic()
        if now >= self.held_until:
            self.held_until = now + HOLD
            self.timers.after(HOLD, lambda: None)  # wakes the loop, which tries again
        self.say(why)

    def say(self, notice: str) -> None:
        if notice != self.notice:
            self.notice = notice
            if notice:
                log(notice)
            self.link.send({"type": "notice", "text": notice})

    # Messages.

    def handle(self, message: dict, body: bytes) -> None:
        """Raises ValueError, KeyError, TypeError, AttributeError where it is none."""
        kind, wrong = message["type"], flaw(message)
        if kind != "hello" and not self.link.greeted:
            self.link.hang_up()
        elif kind == "context":
            self.contexts.add(message, wrong)
        elif kind == "start":
            self.start(message, wrong)
        elif wrong:
            raise ValueError(wrong)
        elif kind == "hello":
            self.greeting.hello(message)
        elif kind == "stop":
            attempt = self.attempts.get(tuple(message["key"]))
            if attempt is not None:
                self.ending.stop(attempt, message["reason"], message["grace"])
        elif kind == "return":
            self.give_back([tuple(key) for key in message["keys"]])
        elif kind == "ack":
            stay = {tuple(key): names for key, names in message.get("stay") or ()}
            for key in map(tuple, message["keys"]):
                self.acknowledged(key, stay.get(key, ()))
            self.ledger.shorten(self.attempts)
        elif kind == "slots":
            self.starting.resize(message["slots"] or cores())
        elif kind == "forsake":
            self.forsake(message["contexts"])
        elif kind == "ping":
            self.link.send({"type": "pong", "id": message["id"], "time": time.time()})
        elif kind == "bye":
            self.leaving = True

    def report_started(self, attempt: Attempt) -> None:
        message = {"type": "started", "key": attempt.key, "pid": attempt.pid}
        self.link.report(lambda: (message, b""), attempt.started)

    def report_event(self, attempt: Attempt) -> None:
        self.link.report(lambda: event_message(attempt, self.beside(attempt)), attempt.event_at)

    # Attempts.

    def start(self, message: dict, wrong: str) -> None:
        """wrong: what no task can be started from."""
        if not is_key(message):
            raise ValueError("a start without a key")
        key = (message["experiment"], message["task"], message["attempt"])
        known = self.attempts.get(key)
        if known is None and wrong:
            bare = {
                "experiment": key[0],
                "task": key[1],
                "attempt": key[2],
                "folder": "/",
                "env": {},
                "grace": 0.0,
                "steps": 1,
            }
            attempt = self.attempts[key] = Attempt(bare, self.ledger.exits)
            what = "a start that no agent understands: %s" % wrong
            self.ending.end(attempt, {"state": "failed", "reason": "start", "message": what})
        elif known is None:
            attempt = Attempt(message, self.ledger.exits)
            self.attempts[key] = attempt
            self.starting.add(attempt)
            self.watching.follow_live()
        elif known.event is not None:
            self.report_event(known)

    def beside(self, attempt: Attempt) -> set:
        """The numbers of other attempts of the same task that this agent knows."""
        return {key[2] for key in self.attempts if key[:2] == attempt.key[:2] and key != attempt.key}

    def give_back(self, keys: list) -> None:
        """Return attempts that have not begun; the engine gives their numbers out again."""
        returned = []
        for key in keys:
            attempt = self.attempts.get(key)
            if attempt is not None and not attempt.over and not attempt.begun and not attempt.steps:
                del self.attempts[key]
                attempt.ending = {"state": "returned"}
                if attempt.folder_made:
                    self.starting.unmake_folder(attempt)
                returned.append(attempt)
        self.starting.take_out(returned)
        self.link.send({"type": "returned", "keys": [attempt.key for attempt in returned]})

    def forsake(self, contexts: list) -> None:
        """No engine will ever send these contexts: give back what waits for one, or say that it is lost."""
        for attempt in list(self.starting.queue):
            context = attempt.message["context"]
            if not attempt.over and context in contexts and self.contexts.get(context) is None:
                if attempt.steps:
                    self.ending.end(attempt, {"state": "lost", "reason": "start"})
                else:
                    self.give_back([attempt.key])

    def acknowledged(self, key: tuple, stay) -> None:
        """The engine has the event for good, and all that was to come home but the files in `stay`."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.event is None:
            return
        del self.attempts[key]
        if attempt.message.get("collect"):
            beside = self.beside(attempt)
            files, link = attempt.carried or Outputs(attempt, beside).carried
            files = [file for file in files if file["name"] not in stay]
            remove(attempt, files, link, bool(beside))
        self.ledger.note({"record": "ack", "key": attempt.key})


def event_message(attempt: Attempt, beside: set) -> tuple:
    """An attempt's event, with its outputs as they are on the disk now where they must be carried home."""
    message = dict(attempt.event, type="finished", key=attempt.key)
    if not attempt.message.get("collect"):
        return message, b""
    outputs = Outputs(attempt, beside)
    attempt.carried = outputs.carried
    if attempt.started is None:
        outputs.trouble = ""  # it never came to a folder
    message.update(outputs.members(), folder=attempt.folder)
    return message, outputs.body
