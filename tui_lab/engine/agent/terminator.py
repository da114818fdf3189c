"""How attempts end: stopped, timed out or by themselves; and the processes that they leave behind."""

import os
import signal
import time

from tui_lab.engine.agent.attempt import Attempt, intent_record, step_record
from tui_lab.engine.agent.done_steps import measure
from tui_lab.engine.agent.exception import raised_exception
from tui_lab.engine.agent.lease import HOLD
from tui_lab.engine.agent.outs import missing_outs
from tui_lab.engine.agent.processes import (
    all_pids,
    children,
    has_variables,
    is_during_exec,
    oom_kills,
    process_file,
    process_stat,
    signal_each,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEFTOVER_GRACE = 2.0  # seconds between TERM and KILL for what a task has left behind
# A process with one of these in its environment belongs to a known attempt or setup.
OWNER_VARIABLES = (b"TUI_LAB_OUTPUT=", b"TUI_LAB_SETUP_ENV=")
LEFTOVER_LIMIT = 10.0  # seconds after the first KILL, after which a process that does not die is left alone


class Terminator:
    """Ends the attempts of an agent.

    subreaper: orphans become children of the agent, so that few processes need a look."""

    def __init__(self, agent, subreaper: bool) -> None:
        self.agent = agent
        self.subreaper = subreaper

    # --- Stopping

    def set_timeout(self, attempt: Attempt) -> None:
        """Set the timer for an attempt's time limit."""
        timeout = attempt.message.get("timeout")
        if timeout is not None:
            left = attempt.started + timeout - time.monotonic()
            attempt.timers.append(self.agent.timers.after(max(0.0, left), self.time_out, attempt))

    def time_out(self, attempt: Attempt) -> None:
        """Stop an attempt whose time limit is over."""
        self.stop(attempt, "timeout", attempt.message["grace"])

    def stop(self, attempt: Attempt, reason: str, grace: float, cut: bool = False) -> None:
        """Stop an attempt: TERM to its process groups, KILL after `grace` seconds. The first reason is kept.

        cut: the lease of this agent ends."""
        if attempt.is_over or attempt.stopping is not None:
            return
        attempt.stopping, attempt.is_cut_off = reason, cut
        if attempt.is_recorded:
            self.agent.ledger.append({"record": "stopping", "key": attempt.key, "reason": reason})
            self.agent.ledger.write()
        attempt.kill_at = time.monotonic() + grace
        if attempt.pid is not None:
            self.terminate(attempt)
        elif attempt.suspect is not None:
            self.settle(attempt, attempt.suspect)
        elif not attempt.is_requested:  # else the shim will report a program or a failure
            self.end_unstarted(attempt)

    def terminate(self, attempt: Attempt) -> None:
        """Send TERM, and KILL when the grace period is over."""
        self.signal_all(attempt, signal.SIGTERM)
        grace = max(0.0, attempt.kill_at - time.monotonic())
        attempt.timers.append(self.agent.timers.after(grace, self.kill, attempt))

    def end_unstarted(self, attempt: Attempt) -> None:
        """End an attempt that is being stopped and has no program."""
        self.end(attempt, {"state": stopped_state(attempt), "reason": attempt.stopping})

    def kill(self, attempt: Attempt) -> None:
        """Send KILL until the attempt has ended."""
        if not attempt.is_over:
            self.signal_all(attempt, signal.SIGKILL)
            attempt.timers.append(self.agent.timers.after(1.0, self.kill, attempt))

    def signal_all(self, attempt: Attempt, number: int) -> None:
        """Signal the process groups, and each process that has left them. No process gets the signal twice."""
        members = self.remaining_processes(attempt, self.orphans())
        for group in attempt.groups:
            try:
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)  # a stopped process handles no signal but KILL
            except OSError:
                pass
        signal_each([pid for pid, group in members if group not in attempt.groups], number)
        attempt.terminated.update(pid for pid, _ in members)

    # --- The end of programs

    def program_ended(self, pid: int, code: int, cpu_time: float, peak_rss: int) -> None:
        """Handle the end of the current step's program. peak_rss: bytes, 0 where it is not known."""
        attempt = self.agent.by_pid.get(pid)
        if attempt is None or attempt.adopted:
            return  # an orphan
        del self.agent.by_pid[pid]
        attempt.step_usage = [round(cpu_time, 6), peak_rss or None]
        attempt.cpu_time += cpu_time
        attempt.peak_rss = max(attempt.peak_rss, peak_rss)
        self.step_ended(attempt, code)

    def step_ended(self, attempt: Attempt, code: int) -> None:
        """Go on with the next step, or end the attempt. code: exit status as shells have it."""
        duration = time.monotonic() - attempt.step_started
        attempt.steps.append([code, round(duration, 6)])
        if attempt.message["steps"] > 1:
            attempt.ends.append(measure(attempt))
        attempt.step_usage = None
        attempt.pid = None
        ok = code in attempt.message["ok"]
        if ok and attempt.stopping is None and attempt.step + 1 < attempt.message["steps"]:
            self.agent.ledger.append(step_record(attempt, attempt.step))
            self.agent.report_step(attempt, attempt.step)
            attempt.step += 1
            self.agent.launcher.queue_next_step(attempt)
        elif self.agent.lease.is_suspect(attempt, code):
            attempt.suspect = code
            attempt.timers.append(self.agent.timers.after(HOLD, self.settle, attempt, code))
        else:
            self.settle(attempt, code)

    def settle(self, attempt: Attempt, code: int) -> None:
        """End an attempt whose last program has ended. code: exit status as shells have it."""
        event: Any = {"exit_code": code, "step": attempt.step}
        number = code - 128
        if attempt.stopping is not None:
            event.update(state=stopped_state(attempt), reason=attempt.stopping)
        elif code in attempt.message["ok"]:
            event.update(state="done")
        elif 1 <= number <= 64:
            killed_by_kernel = number == signal.SIGKILL and oom_kills() > attempt.oom_before
            event.update(state="failed", reason="oom" if killed_by_kernel else "signal", signal=number)
        else:
            event.update(state="failed", reason="exit")
            raised = raised_exception(attempt)
            if raised:
                event.update(reason="exception", raised=raised)
        self.end(attempt, event)

    def end(self, attempt: Attempt, event: dict) -> None:
        """End an attempt once none of its processes is left."""
        attempt.pending_event = event
        attempt.close_outputs()
        self.agent.timers.cancel(attempt.timers)
        self.stop_leftovers(attempt, time.monotonic())

    # --- Leftovers

    def stop_leftovers(self, attempt: Attempt, began: float) -> None:
        """Send TERM to each process once, KILL after a while, until none is left.

        A shell may die of TERM at once while its child still writes a checkpoint: an attempt that was stopped keeps its
        whole grace period."""
        orphans = self.orphans() if attempt.is_recorded else []
        began_at = attempt.first_start_time
        clear = [one for one in orphans if one[1][4] < began_at or not is_during_exec(one[0], one[1][4])]
        left = [pid for pid, _ in self.remaining_processes(attempt, clear)] if attempt.is_recorded else []
        late = time.monotonic() - max(began + LEFTOVER_GRACE, attempt.kill_at)
        # The owner of a process during exec is known at a later look.
        if not (left or len(clear) < len(orphans)) or late > LEFTOVER_LIMIT:
            self.finish(attempt)
            return
        if late > 0:
            signal_each(left, signal.SIGKILL)
        else:
            signal_each([pid for pid in left if pid not in attempt.terminated], signal.SIGTERM)
            attempt.terminated.update(left)
        attempt.leftover.update(left)
        self.agent.timers.after(0.02, self.stop_leftovers, attempt, began)

    def remaining_processes(self, attempt: Attempt, orphans: list) -> list:
        """Return (pid, process group) of an attempt's processes, without the program that is still running."""
        markers = attempt.markers()
        unclaimed: Any = []
        if attempt.pid is None and self.subreaper:
            unclaimed = self.unclaimed(attempt, orphans)
            if not unclaimed and not self.may_have_leftovers(attempt, markers, orphans):
                return []
        known: Any = {}  # pid -> what the kernel says of it
        below: Any = {}  # pid -> its children
        found: Any = set()
        for pid in all_pids():
            facts = process_stat(pid)
            if facts is None or facts[0] in "ZX" or pid == os.getpid():
                continue
            known[pid] = facts
            below.setdefault(facts[1], []).append(pid)
            if facts[2] in attempt.groups or pid in unclaimed or has_variables(pid, markers):
                found.add(pid)
        looking = list(found)
        while looking:
            for pid in below.get(looking.pop(), ()):
                if pid not in found:
                    found.add(pid)
                    looking.append(pid)
        return [(pid, known[pid][2]) for pid in found if pid != attempt.pid]

    def may_have_leftovers(self, attempt: Attempt, markers: tuple, orphans: list) -> bool:
        """Return whether it is worth looking at every process of the machine, once the program is gone."""
        for group in attempt.groups:
            try:
                os.killpg(group, 0)
                return True
            except OSError:
                pass
        for pid, facts in orphans:
            if facts[2] in attempt.groups or has_variables(pid, markers):
                return True
        return attempt.adopted  # its leftovers went to another subreaper

    def unclaimed(self, attempt: Attempt, orphans: list) -> list:
        """Return the pids of orphans that began after an attempt, in a process group of their own, with an environment
        that names no owner.

        They are daemons of this attempt, or of another that ran at the time; they are counted for the last of those to
        end."""
        others = [other for other in self.agent.by_pid.values() if other is not attempt]
        for shim in self.agent.launcher.shims.values():
            others += [waiting[0] for waiting in shim.waiting.values()]  # these may run; their start time is 0
        return [
            pid
            for pid, facts in orphans
            if attempt.first_start_time <= facts[4]
            and not any(other.first_start_time <= facts[4] for other in others)
            and not self.agent.contexts.is_setup_daemon(pid, facts[4])
            and not any(name in process_file(pid, "environ") for name in OWNER_VARIABLES)
        ]

    def orphans(self) -> list:
        """Return the children that this agent did not start, each with its stat: what ended tasks left behind comes to
        their subreaper."""
        if not self.subreaper:
            return []
        found = [(pid, process_stat(pid)) for pid in children() if not self.agent.is_own_child(pid)]
        return [(pid, facts) for pid, facts in found if facts is not None and facts[0] not in "ZX"]

    def finish(self, attempt: Attempt) -> None:
        """Make the attempt's event, record it and report it."""
        event = attempt.pending_event
        now = time.monotonic()
        missing = missing_outs(attempt) if event["state"] == "done" else ""
        if missing:
            event.update(state="failed", reason="outs", message=missing)
        if attempt.started is not None:
            event["duration"] = round(now - attempt.started, 6)
        if attempt.usage_known and attempt.has_ended_step:
            event["cpu_time"] = round(attempt.cpu_time, 6)
            if attempt.peak_rss:
                event["peak_rss"] = attempt.peak_rss
        if attempt.leftover:
            event["leftover"] = len(attempt.leftover)
        link = None if attempt.message.get("collect") else attempt.folder_link()
        if link is not None:
            event["folder_link"] = link
        if attempt.message["steps"] > 1 and not (attempt.first_step and attempt.started is None):
            event["steps"] = attempt.steps
            # Any step may be to blame for what is missing: the next attempt begins at the first.
            if attempt.steps and None not in attempt.ends and link is None and not missing:
                event["step_ends"] = attempt.ends
            if attempt.first_step:
                event["first_step"] = attempt.first_step
        attempt.event, attempt.event_at = event, now
        if not attempt.is_recorded:
            self.agent.ledger.append(intent_record(attempt))
            attempt.is_recorded = True
        self.agent.ledger.append({"record": "event", "key": attempt.key, "event": event})
        self.agent.launcher.release(attempt)
        self.agent.report_event(attempt)


def stopped_state(attempt: Attempt) -> str:
    """Return the state in which an attempt ends that is being stopped."""
    if attempt.is_cut_off:
        return "lost"
    return "failed" if attempt.stopping == "timeout" else "stopped"
