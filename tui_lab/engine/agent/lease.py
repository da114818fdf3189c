"""What an agent may use of its machine, and for how long.

One that stays in the process of somebody else, as in a job of a batch system, ends with that: TERM tells it, or the end
of its leash. Then the attempts that run are cut off, which is not their fault: they are `lost`."""

import os
import signal
import time

from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.facts import cores, memory_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OFFERS = "TUI_LAB_OFFERS"  # a variable of an agent that stays: `cpus=4 memory=8G memory_per_cpu=2G`
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MARGIN = 2.0  # seconds before the end at which attempts are cut off: the connection may end on time
GRACE = 24.0  # seconds between TERM and KILL at most; batch systems often allow 30
PATIENCE = 27.0  # seconds after the cut for the engine to have everything
LINGER = 2.0  # seconds of them without a connection
EARLY = 150.0  # seconds before the known end at which a signal means another one: batch systems are early by a minute
HOLD = 1.0  # seconds that an end by a signal is held back: it may be the end of the lease, which reaches tasks as well
POLL = 0.1
SIGNALS = (128 + signal.SIGTERM, 128 + signal.SIGKILL)  # exit statuses


class Lease:
    """The bounds of an agent.

    stays: it ends with the process that it is. leash: a descriptor whose end ends it, -1 for none. leave: seconds
    without work and without a message after which it ends. offers: text as in OFFERS."""

    def __init__(self, stays: bool, leash: int, leave: float, offers: str = "") -> None:
        self.agent: Any = None
        self.stays = stays
        self.leash = leash
        self.leave = leave
        self.cores, self.memory = caps(offers, cores(), memory_usage()[0])
        self.ends_at: Any = None  # monotonic
        self.deadline = ""  # the same in seconds since 1970
        self.reason = "walltime"
        self.is_ending = False  # nothing new is started
        self.cut_at: Any = None  # monotonic: when the attempts were cut off
        self.timers: Any = []

    # --- The end, as it is known beforehand

    @property
    def left(self):
        """Seconds until the end, None where it is not known."""
        return None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())

    def set_end(self, seconds, reason=None) -> None:
        """Take over when the lease ends, and why then. seconds: from now, None where there is no end."""
        self.reason = reason or "walltime"
        self.agent.timers.cancel(self.timers)
        if seconds is None:
            self.ends_at, self.deadline = None, ""
        else:
            self.ends_at, self.deadline = time.monotonic() + seconds, "%d" % (time.time() + seconds)
            self.timers.append(self.agent.timers.after(max(0.0, seconds - MARGIN), self.cut))
        if self.reason != "walltime":
            self.wind_up()

    def has_time_for(self, attempt: Attempt) -> bool:
        """Return whether an attempt may begin: it can end in time by what the engine knows of it."""
        if self.is_ending:
            return False
        takes = attempt.message.get("takes")
        return self.ends_at is None or self.left - MARGIN > (attempt.message["grace"] if takes is None else takes)

    # --- The end

    def signalled(self, numbers: bytes) -> None:
        """Handle signals that this process got."""
        if self.stays and signal.SIGTERM in numbers:
            if self.reason == "walltime" and (self.ends_at is None or self.left > EARLY):
                self.reason = "cancelled"
            self.cut()
        elif self.stays and signal.SIGUSR1 in numbers and (self.ends_at is None or self.left > EARLY):
            self.wind_up()  # else what still fits may begin

    def wind_up(self) -> None:
        """Take nothing new, and give back what has not begun."""
        if not self.is_ending:
            self.is_ending = True
            self.report()

    def report(self) -> None:
        """Tell the engine that the lease is about to end, and give back what has not begun."""
        if self.agent.connection.is_open:
            self.agent.connection.send({"type": "ending", "left": self.left})
            self.agent.return_unstarted(list(self.agent.attempts))

    def cut(self) -> None:
        """Stop all attempts: the time is over."""
        if self.cut_at is not None:
            return
        now = self.cut_at = time.monotonic()
        if self.ends_at is None:
            self.ends_at = now + GRACE
        self.wind_up()
        agent = self.agent
        for attempt in list(agent.attempts.values()):
            if attempt.is_over or not is_under_way(attempt):
                continue
            grace = min(attempt.message["grace"], GRACE)
            if attempt.stopping is not None:  # it may have a longer one
                agent.timers.after(GRACE, agent.terminator.kill, attempt)
            agent.terminator.stop(attempt, self.reason, grace, cut=True)
        agent.contexts.close()
        agent.launcher.call_servers.close_all()
        self.wake()

    def wake(self) -> None:
        """Wake the loop now and then, which looks whether all is over."""
        self.agent.timers.after(POLL, self.wake)

    def is_over(self) -> bool:
        """Whether nothing is left to do after the cut, or no time for it; then nothing runs any more."""
        if self.cut_at is None:
            return False
        agent, now = self.agent, time.monotonic()
        attempts = agent.attempts.values()
        if now > self.cut_at + PATIENCE:
            self.kill_all()
            return True
        if not agent.contexts.is_idle or any(a.event is None and is_under_way(a) for a in attempts):
            return False
        if agent.connection.channel is None:
            return now > max(self.cut_at, agent.connection.last_heard) + LINGER
        return not agent.attempts and not agent.connection.unsent

    def leash_has_ended(self) -> bool:
        """Return whether the leash, which has something to read, has ended; then nothing runs any more."""
        if os.read(self.leash, 4096):
            return False
        self.kill_all()
        return True

    def kill_all(self) -> None:
        """Kill all that this agent has started."""
        for attempt in list(self.agent.attempts.values()):
            if not attempt.is_over:
                self.agent.terminator.signal_all(attempt, signal.SIGKILL)
        self.agent.contexts.kill_setups()

    def is_suspect(self, attempt: Attempt, code: int) -> bool:
        """Return whether the end of a program may be that of the lease, of which this agent was not told yet."""
        return self.stays and self.cut_at is None and attempt.stopping is None and code in SIGNALS


def is_under_way(attempt: Attempt) -> bool:
    """Return whether an attempt has begun."""
    return attempt.is_begun or attempt.has_ended_step


def caps(text: str, cpus: int, memory: int) -> tuple:
    """Return how many cores and bytes of memory are offered. text: as in OFFERS; what is empty or can't be read in it
    bounds nothing. cpus, memory: what the machine has."""
    given: Any = {}
    for word in text.split():
        name, _, value = word.partition("=")
        number, unit = (value[:-1], UNITS[value[-1]]) if value[-1:] in UNITS else (value, 1)
        if number.isdigit() and int(number):
            given[name] = int(number) * unit
    cpus = min(cpus, given.get("cpus", cpus))
    if "memory_per_cpu" in given:
        memory = min(memory, given["memory_per_cpu"] * cpus)
    return cpus, min(memory, given.get("memory", memory))
