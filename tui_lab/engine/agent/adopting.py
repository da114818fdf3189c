"""What a dead agent has left: its running attempts are adopted, and watched without being our children."""

import os
import signal
import time

from tui_lab.engine.agent.attempt import WRAPPER, Attempt, pid_record
from tui_lab.engine.agent.ending import recorded_status
from tui_lab.engine.agent.processes import all_pids, encode, is_process, process_file, process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADOPTED_POLL = 0.1


class Adopting:
    """Takes over attempts, and learns of their ends."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.by_pidfd: Any = {}

    def take_over_all(self) -> None:
        unsettled = [attempt for attempt in self.agent.attempts.values() if attempt.event is None]
        strays = find_strays() if any(a.begun and a.pid is None for a in unsettled) else {}
        for attempt in unsettled:
            self.take_over(attempt, strays)

    def take_over(self, attempt: Attempt, strays: dict) -> None:
        now, wall = time.monotonic(), time.time()
        attempt.adopted = True
        attempt.measured = False
        # A clock that was set meanwhile does not change how long it has run.
        before = now - max(0.0, wall - (attempt.started_wall or wall))
        attempt.started = attempt.step_started = min(now, attempt.started_before or before)
        attempt.oom_before = self.agent.oom_count()
        if attempt.pid is None and attempt.begun:
            pid = strays.get((encode("%s/%d" % (attempt.id, attempt.step)), encode(attempt.exits)))
            facts = process_stat(pid) if pid is not None else None
            if facts is not None:
                attempt.pid, attempt.start_time = pid, facts[4]
                attempt.began = attempt.began or facts[4]
                attempt.sessions.append(pid)
                self.agent.ledger.note(pid_record(attempt))
        if not attempt.begun:
            self.agent.starting.add(attempt)  # between two steps: goes on once its context is here
        elif attempt.pid is not None and is_process(attempt.pid, attempt.start_time):
            self.agent.by_pid[attempt.pid] = attempt
            self.watch(attempt)
            if attempt.stopping is not None:
                grace = attempt.message["grace"]
                attempt.kill_at = now + grace
                attempt.timers.append(self.agent.timers.after(grace, self.agent.ending.kill, attempt))
        else:
            self.agent.timers.after(0, self.ended, attempt)
            return
        self.agent.ending.set_timeout(attempt)

    def watch(self, attempt: Attempt) -> None:
        """Learn of the end of a process that is not our child."""
        try:
            attempt.pidfd = os.pidfd_open(attempt.pid)  # novermin
            if attempt.pidfd < 1000:  # `select` takes no more
                self.by_pidfd[attempt.pidfd] = attempt
                return
            self.unwatch(attempt)
        except (AttributeError, OSError):
            pass  # Python before 3.9, or an old kernel
        self.agent.timers.after(ADOPTED_POLL, self.poll, attempt)

    def unwatch(self, attempt: Attempt) -> None:
        if attempt.pidfd is not None:
            self.by_pidfd.pop(attempt.pidfd, None)
            os.close(attempt.pidfd)
            attempt.pidfd = None

    def poll(self, attempt: Attempt) -> None:
        if attempt.over or not attempt.adopted:
            return
        if is_process(attempt.pid, attempt.start_time):
            self.agent.timers.after(ADOPTED_POLL, self.poll, attempt)
        else:
            self.ended(attempt)

    def ready(self, descriptors: list) -> None:
        for pidfd in [fd for fd in descriptors if fd in self.by_pidfd]:
            self.ended(self.by_pidfd[pidfd])

    def ended(self, attempt: Attempt) -> None:
        self.agent.by_pid.pop(attempt.pid, None)
        self.unwatch(attempt)
        status = recorded_status(attempt)
        if status is None and attempt.stopping is None:
            # It may never have started, or someone killed its wrapper: nobody knows how it ended.
            self.agent.ending.end(attempt, {"state": "lost", "reason": "start"})
        else:
            self.agent.ending.step_ended(attempt, 128 + signal.SIGKILL if status is None else status)


def find_strays() -> dict:
    """Wrappers by the name of their step and their file for the status: for a pid that never reached the
    ledger."""
    found = {}
    for pid in all_pids():
        words = process_file(pid, "cmdline").split(b"\0")
        if len(words) > 5 and words[2] == WRAPPER.encode():
            facts = process_stat(pid)
            if facts is not None and facts[3] == pid and facts[0] != "Z":
                found[words[4], words[5]] = pid
    return found
