"""What an agent has left running that was killed, where nothing may outlive it."""

import os
import signal
import time

from tui_lab.engine.agent.cleanup import open_attempts
from tui_lab.engine.agent.processes import all_pids, has_variables, process_stat, signal_each
from tui_lab.engine.agent.setups import stop_orphans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT = 5.0  # seconds, after which a process that does not die is left alone


def kill_orphans(spool: str, groups: set) -> None:
    """Kill all processes of the attempts and setups of a dead agent. groups: further process groups."""
    attempts = [attempt for attempt in open_attempts(spool) if attempt.event is None]
    groups = groups.union(*[attempt.groups for attempt in attempts])
    markers = [attempt.markers() for attempt in attempts]
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        found = processes_of(groups, markers)
        if not found:
            break
        signal_each(found, signal.SIGKILL)
        time.sleep(0.02)
    try:
        stop_orphans(spool)
    except OSError:
        pass  # its folder is gone


def processes_of(groups: set, markers: list) -> list:
    """Return the pids of the processes of these groups, or with these variables, and of those that they have
    started."""
    below: Any = {}  # pid -> its children
    found: Any = set()
    for pid in all_pids():
        facts = process_stat(pid)
        if facts is None or facts[0] in "ZX" or pid == os.getpid():
            continue
        below.setdefault(facts[1], []).append(pid)
        if facts[2] in groups or any(has_variables(pid, one) for one in markers):
            found.add(pid)
    looking = list(found)
    while looking:
        for pid in below.get(looking.pop(), ()):
            if pid not in found:
                found.add(pid)
                looking.append(pid)
    return list(found)
