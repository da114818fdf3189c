"""The agent's process: one thread, one `select` loop."""

import os
import select
import signal
import socket
import time

from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.collect import CollectedFiles, remove_collected
from tui_lab.engine.agent.connection import Connection
from tui_lab.engine.agent.contexts import Contexts
from tui_lab.engine.agent.facts import LOGOUT_NOTICE, kills_at_logout
from tui_lab.engine.agent.gpus import Gpus
from tui_lab.engine.agent.handshake import Handshake
from tui_lab.engine.agent.launcher import Launcher
from tui_lab.engine.agent.lease import Lease
from tui_lab.engine.agent.ledger import Ledger
from tui_lab.engine.agent.messages import find_error, is_key
from tui_lab.engine.agent.probes import ProbeRunner
from tui_lab.engine.agent.processes import become_subreaper, oom_kills, reap_children
from tui_lab.engine.agent.recovery import Recovery
from tui_lab.engine.agent.shim import Shim
from tui_lab.engine.agent.telemetry import Telemetry
from tui_lab.engine.agent.terminator import Terminator
from tui_lab.engine.agent.text import log
from tui_lab.engine.agent.timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IDLE_LIMIT = 600.0  # seconds without work and without a message after which an agent ends
CLEANUP_AFTER = 2.0  # seconds from the start to the search for spools of dead agents
RETRY_AFTER = 1.0  # seconds between attempts to start a task where the node has no room
OOM_EVERY = 1.0  # seconds for which the count of out-of-memory kills is cached
TOUCH_EVERY = 6 * 3600.0  # seconds; programs that clean up /tmp remove old files
HANDLED = tuple(getattr(signal, "SIG" + name) for name in "CHLD TERM INT HUP PIPE USR1".split())


class Agent:
    """The state that the parts share, and the dispatch of messages to them."""

    def __init__(self, spool: str, shim: Shim, lease: Lease) -> None:
        self.spool = spool
        self.lease = lease
        lease.agent = self
        self.timers = Timers()
        self.ledger = Ledger(spool, self.pause)
        self.connection = Connection(self.handle)
        self.contexts = Contexts(self)
        self.probes = ProbeRunner(self.timers)
        self.gpus = Gpus(self.probes)
        self.attempts: Any = {}  # key -> Attempt, of all that the engine has not acknowledged
        self.by_pid: Any = {}  # pid -> Attempt, of running programs
        self.launcher = Launcher(self, shim)
        self.terminator = Terminator(self, become_subreaper())
        self.recovery = Recovery(self)
        self.paused_until = 0.0
        self.default_notice = LOGOUT_NOTICE if kills_at_logout() else ""
        self.notice = self.default_notice
        self.oom = (0.0, 0)  # monotonic time and the kernel's count at that time
        self.handshake = Handshake(self)
        self.telemetry = Telemetry(self)
        self.shutting_down = False
        self.idle_since = time.monotonic()
        self.attempts.update(self.ledger.read())
        self.recovery.adopt_all()
        self.timers.after(TOUCH_EVERY, self.touch_spool)
        self.timers.after(CLEANUP_AFTER, self.remove_stale)

    def remove_stale(self) -> None:
        """Remove what dead agents have left beside this spool."""
        from tui_lab.engine.agent.cleanup import remove_stale_spools  # late: it would slow down every start

        remove_stale_spools(self.spool)

    def touch_spool(self) -> None:
        """Touch the files of the spool: programs that clean up /tmp remove old ones."""
        for name in [""] + os.listdir(self.spool):
            try:
                os.utime(os.path.join(self.spool, name))
            except OSError:
                pass
        self.timers.after(TOUCH_EVERY, self.touch_spool)

    # --- The loop

    def run(self, listener: socket.socket) -> bool:
        """Run the loop.

        Return True when all is acknowledged and the agent is no longer needed; False where unacknowledged events remain
        in the ledger for a later agent."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        # Handlers, not SIG_IGN, which tasks would inherit. Only a message of the engine or KILL ends an
        # agent, and the end of its lease.
        for number in HANDLED:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # shells make background processes ignore it
        connection, lease = self.connection, self.lease
        self.reap()
        while True:
            self.launcher.pump()
            self.ledger.write()
            if self.notice != self.default_notice and not self.is_paused():
                self.set_notice(self.default_notice)
            now = time.monotonic()
            if connection.report_delay(now, lease.leave) <= 0 or not self.launcher.is_saturated:
                connection.flush_reports()
            connection.flush()
            limit = max(self.idle_since, connection.last_heard) + lease.leave
            patience = connection.report_delay(now, max(0.0, limit - now) + 0.01)
            if self.contexts.setups:
                waiting = [attempt.message["context"] for attempt in self.launcher.queue if not attempt.is_over]
                self.contexts.stop_unneeded(set(waiting))
            if self.shutting_down and not self.attempts:
                self.contexts.close()
                self.launcher.call_servers.close_all()
                if self.contexts.is_idle:
                    return True
            if lease.is_over():
                return True
            if self.by_pid or self.contexts.setups:
                self.idle_since = now  # something runs
            elif now > limit:
                if not self.busy():
                    return not self.attempts
                self.idle_since = now
            shims = [shim for shim in self.launcher.shims.values() if shim.alive]
            reading: Any = [listener, wake_read] + list(self.recovery.by_pidfd)
            if lease.leash >= 0:
                reading.append(lease.leash)
            writing: Any = []
            for shim in shims:
                reading.append(shim.channel)
                if shim.unsent:
                    writing.append(shim.channel)
            if connection.channel is not None:
                reading.append(connection.channel)
                if connection.unsent:
                    writing.append(connection.channel)
            readable, _, _ = select.select(reading, writing, [], self.timers.next(now, patience))
            if wake_read in readable:  # the end of the lease comes first: tasks end of the same signal
                lease.signalled(os.read(wake_read, 4096))
            if lease.leash in readable and lease.leash_has_ended():
                return True
            for shim in shims:
                if shim.channel in readable and shim.alive:
                    self.launcher.receive(shim)
                shim.flush()
            if wake_read in readable:
                self.reap()
            self.recovery.handle_ready(readable)
            if connection.channel is not None and connection.channel in readable:
                connection.receive()
            if listener in readable:
                connection.accept(listener)
            self.timers.run()

    def busy(self) -> bool:
        """Return whether anything goes on without an engine.

        Attempts that wait for a context do not count: only an engine has it."""
        stuck = {a.key for a in self.launcher.queue if self.contexts.get(a.message["context"]) is None}
        return any(a.event is None and a.key not in stuck for a in self.attempts.values())

    def reap(self) -> None:
        """Reap children that have ended, and tell the part that has started each."""
        for pid, code, cpu_time, peak_rss in reap_children():
            if pid in self.contexts.setups:
                self.contexts.setup_ended(pid, code)
            elif self.probes.owns(pid):
                self.probes.reap(pid, code)
            elif pid in self.launcher.shims:
                self.launcher.shim_ended(pid)
            else:
                self.terminator.program_ended(pid, code, cpu_time, peak_rss)

    def is_own_child(self, pid: int) -> bool:
        """Return whether this agent has started a child."""
        known = (self.by_pid, self.contexts.setups, self.launcher.shims)
        return any(pid in pids for pids in known) or self.probes.owns(pid)

    def oom_count(self) -> int:
        """Return the kernel's count of out-of-memory kills, at most a second old: reading it costs more than starting a
        program."""
        now = time.monotonic()
        if now - self.oom[0] > OOM_EVERY:
            self.oom = (now, oom_kills())
        return self.oom[1]

    # --- Pauses and notices

    def is_paused(self) -> bool:
        """Return whether no task is started just now, for want of room on the node."""
        return self.paused_until > time.monotonic()

    def pause(self, why: str) -> None:
        """Start no task for a moment, and tell the engine why."""
        now = time.monotonic()
        if now >= self.paused_until:
            self.paused_until = now + RETRY_AFTER
            self.timers.after(RETRY_AFTER, lambda: None)  # wakes the loop, which tries again
        self.set_notice(why)

    def add_notice(self, notice: str) -> None:
        """Add to what the engine is told for as long as this agent lives."""
        if notice not in self.default_notice.split("\n"):
            self.default_notice = "\n".join(filter(None, [self.default_notice, notice]))
            log(notice)

    def set_notice(self, notice: str) -> None:
        """Send a notice to the engine, where it differs from the one before. Empty text removes it."""
        if notice != self.notice:
            self.notice = notice
            if notice:
                log(notice)
            self.connection.send({"type": "notice", "text": notice})

    # --- Messages

    def handle(self, message: dict, body: bytes) -> None:
        """Handle a message of the engine.

        Raises ValueError, KeyError, TypeError, AttributeError for a malformed one."""
        kind, wrong = message["type"], find_error(message)
        if kind != "hello" and not self.connection.is_open:
            self.connection.close()
        elif kind == "context":
            self.contexts.add(message, wrong)
        elif kind == "start":
            self.start(message, wrong)
        elif wrong:
            raise ValueError(wrong)
        elif kind == "hello":
            self.handshake.hello(message)
        elif kind == "stop":
            attempt = self.attempts.get(tuple(message["key"]))
            if attempt is not None:
                self.terminator.stop(attempt, message["reason"], message["grace"])
        elif kind == "return":
            self.return_unstarted([tuple(key) for key in message["keys"]])
        elif kind == "ack":
            stay = {tuple(key): names for key, names in message.get("stay") or ()}
            for key in map(tuple, message["keys"]):
                self.acknowledged(key, stay.get(key, ()))
            self.ledger.compact(self.attempts)
        elif kind == "slots":
            self.launcher.resize(message["slots"] or self.lease.cores)
        elif kind == "deadline":
            self.lease.set_end(message.get("ends_in"), message.get("reason"))
        elif kind == "forsake":
            self.abandon_unstarted(message["contexts"])
        elif kind == "ping":
            self.connection.send({"type": "pong", "id": message["id"], "time": time.time()})
        elif kind == "bye":
            self.shutting_down = True

    def report_started(self, attempt: Attempt) -> None:
        """Report that an attempt's first program has started."""
        message = {"type": "started", "key": attempt.key, "pid": attempt.pid}
        if attempt.first_step:
            message["first_step"] = attempt.first_step
        self.connection.report(lambda: (message, b""), attempt.started)

    def report_step(self, attempt: Attempt, step: int) -> None:
        """Report a step that ended well, if the engine wants to know and sees the attempt's outputs."""
        if not self.connection.wants_steps or attempt.message.get("collect") or attempt.ends[step] is None:
            return
        code, duration = attempt.steps[step]
        message = {
            "type": "step",
            "key": attempt.key,
            "step": step,
            "exit_code": code,
            "duration": duration,
            "end": attempt.ends[step],
        }
        self.connection.report(lambda: (message, b""), time.monotonic())

    def report_event(self, attempt: Attempt) -> None:
        """Report how an attempt ended."""
        self.connection.report(lambda: event_message(attempt, self.concurrent(attempt)), attempt.event_at)

    # --- Attempts

    def start(self, message: dict, wrong: str) -> None:
        """Queue an attempt, unless it is known already. wrong: why no task can be started from the message."""
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
            what = "a malformed start message: %s" % wrong
            self.terminator.end(attempt, {"state": "failed", "reason": "start", "message": what})
        elif known is None:
            attempt = Attempt(message, self.ledger.exits)
            self.attempts[key] = attempt
            self.launcher.add(attempt)
            self.telemetry.follow_metrics()
            if self.lease.is_ending:
                self.return_unstarted([key])
        elif known.event is not None:
            self.report_event(known)

    def concurrent(self, attempt: Attempt) -> set:
        """Return the numbers of other attempts of the same task that this agent knows."""
        return {key[2] for key in self.attempts if key[:2] == attempt.key[:2] and key != attempt.key}

    def return_unstarted(self, keys: list) -> None:
        """Return attempts that have not begun to the engine, which uses their numbers again."""
        returned = []
        for key in keys:
            attempt = self.attempts.get(key)
            if attempt is not None and not attempt.is_over and not attempt.is_begun and not attempt.has_ended_step:
                del self.attempts[key]
                attempt.pending_event = {"state": "returned"}
                if attempt.has_folder:
                    self.launcher.remove_folder(attempt)
                returned.append(attempt)
        self.launcher.dequeue(returned)
        self.connection.send({"type": "returned", "keys": [attempt.key for attempt in returned]})

    def abandon_unstarted(self, contexts: list) -> None:
        """Return the attempts that wait for a context which no engine will ever send.

        Those between two steps are reported as lost."""
        for attempt in list(self.launcher.queue):
            context = attempt.message["context"]
            if not attempt.is_over and context in contexts and self.contexts.get(context) is None:
                if attempt.has_ended_step:
                    self.terminator.end(attempt, {"state": "lost", "reason": "start"})
                else:
                    self.return_unstarted([attempt.key])

    def acknowledged(self, key: tuple, stay) -> None:
        """Forget an attempt whose event the engine has recorded.

        stay: names of collected files that are not to be removed here."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.event is None:
            return
        del self.attempts[key]
        if attempt.message.get("collect"):
            concurrent = self.concurrent(attempt)
            files, link = attempt.collected or CollectedFiles(attempt, concurrent).collected
            files = [file for file in files if file["name"] not in stay]
            remove_collected(attempt, files, link, bool(concurrent))
        self.ledger.append({"record": "ack", "key": attempt.key})


def event_message(attempt: Attempt, concurrent: set) -> tuple:
    """Return an attempt's event and, where its outputs are collected, the files as they are on disk now."""
    message = dict(attempt.event, type="finished", key=attempt.key)
    if not attempt.message.get("collect"):
        return message, b""
    outputs = CollectedFiles(attempt, concurrent)
    attempt.collected = outputs.collected
    if attempt.started is None:
        outputs.error = ""  # it has no folder
    if not outputs.is_whole:
        message.pop("step_ends", None)  # another node can't go on from these steps
    message.update(outputs.event_fields(), folder=attempt.folder)
    return message, outputs.body
