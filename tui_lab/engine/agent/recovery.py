"""Attempts of a dead agent: the running ones are adopted, and watched though they are no children of this process."""

import os
import signal
import time

from tui_lab.engine.agent.attempt import Attempt, pid_record
from tui_lab.engine.agent.processes import all_pids, has_variables, is_process, process_stat
from tui_lab.engine.agent.shim import close_old_shims, living_shims, read_exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADOPTED_POLL = 0.1
STATUS_WAIT = 5.0  # seconds that a living shim has to write an exit status


class Recovery:
    """Adopts attempts, and learns when their programs end."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.by_pidfd: Any = {}

    def adopt_all(self) -> None:
        """Adopt all attempts that an earlier agent has left."""
        unsettled = [attempt for attempt in self.agent.attempts.values() if attempt.event is None]
        if any(attempt.is_begun and attempt.pid is None for attempt in unsettled):
            close_old_shims(self.agent.spool, self.own_shims())
        for attempt in unsettled:
            self.adopt(attempt)

    def own_shims(self) -> set:
        """Return the files of the shims and servers of this agent."""
        return {shim.path for shim in self.agent.launcher.shims.values()}

    def adopt(self, attempt: Attempt) -> None:
        """Adopt one attempt: watch its program, queue its next step, or report how it ended."""
        now, wall = time.monotonic(), time.time()
        attempt.adopted = True
        attempt.usage_known = False
        if attempt.started is None:
            # The monotonic clock, for the wall clock may have been set meanwhile.
            before = now - max(0.0, wall - (attempt.recorded_time or wall))
            attempt.started = min(now, attempt.recorded_clock or before)
            done = sum(duration for _, duration in attempt.steps[attempt.first_step :])
            attempt.step_started = min(now, attempt.recorded_step_clock or attempt.started + done)
        attempt.oom_before = self.agent.oom_count()
        if attempt.pid is None and attempt.is_begun:
            started = read_exits(attempt.exits)[0].get(attempt.step_key) or find_unrecorded(attempt)
            if started is not None:
                attempt.pid, attempt.start_time = started
                attempt.first_start_time = attempt.first_start_time or attempt.start_time
                attempt.groups.append(attempt.pid)
                self.agent.ledger.append(pid_record(attempt))
        if not attempt.is_begun:
            self.agent.launcher.add(attempt)  # between two steps: it continues once its context has arrived
        elif attempt.pid is not None and is_process(attempt.pid, attempt.start_time):
            self.agent.by_pid[attempt.pid] = attempt
            self.watch(attempt)
            if attempt.stopping is not None:
                grace = attempt.message["grace"]
                attempt.kill_at = now + grace
                attempt.timers.append(self.agent.timers.after(grace, self.agent.terminator.kill, attempt))
        else:
            self.agent.timers.after(0, self.ended, attempt)
            return
        self.agent.terminator.set_timeout(attempt)

    def watch(self, attempt: Attempt) -> None:
        """Watch for the end of a program that is no child of this process."""
        try:
            attempt.pidfd = os.pidfd_open(attempt.pid)  # novermin
            if attempt.pidfd < 1000:  # the limit of `select` is 1024
                self.by_pidfd[attempt.pidfd] = attempt
                return
            self.unwatch(attempt)
        except (AttributeError, OSError):
            pass  # Python before 3.9, or an old kernel
        self.agent.timers.after(ADOPTED_POLL, self.poll, attempt)

    def unwatch(self, attempt: Attempt) -> None:
        """Stop watching an attempt's program."""
        if attempt.pidfd is not None:
            self.by_pidfd.pop(attempt.pidfd, None)
            os.close(attempt.pidfd)
            attempt.pidfd = None

    def poll(self, attempt: Attempt) -> None:
        """Check whether a program is alive; used where there is no pidfd."""
        if attempt.is_over or not attempt.adopted:
            return
        if is_process(attempt.pid, attempt.start_time):
            self.agent.timers.after(ADOPTED_POLL, self.poll, attempt)
        else:
            self.ended(attempt)

    def handle_ready(self, descriptors: list) -> None:
        """Handle the programs whose pidfds are ready: they have ended."""
        for pidfd in [fd for fd in descriptors if fd in self.by_pidfd]:
            self.ended(self.by_pidfd[pidfd])

    def ended(self, attempt: Attempt, until: float = 0.0) -> None:
        """Handle the end of an adopted program.

        until: monotonic, how long a living shim may take to write the exit status."""
        self.agent.by_pid.pop(attempt.pid, None)
        self.unwatch(attempt)
        status = read_exits(attempt.exits)[1].get(attempt.step_key)
        now = time.monotonic()
        until = until or now + STATUS_WAIT
        if status is None and now < until and living_shims(self.agent.spool, self.own_shims()):
            self.agent.timers.after(ADOPTED_POLL, self.ended, attempt, until)
        elif status is None and attempt.stopping is None:
            # It may never have started, or its shim was killed as well: its exit status is lost.
            self.agent.terminator.end(attempt, {"state": "lost", "reason": "start"})
        else:
            self.agent.terminator.step_ended(attempt, 128 + signal.SIGKILL if status is None else status)


def find_unrecorded(attempt: Attempt):
    """Return (pid, start time) of an attempt's program that its shim could not record because the disk was full; None
    where there is none."""
    for pid in all_pids():
        facts = process_stat(pid)
        if facts is not None and facts[2] == pid and facts[0] != "Z" and has_variables(pid, attempt.markers()):
            return pid, facts[4]
    return None
