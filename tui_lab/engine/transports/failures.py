"""Why an agent does not start on a node, as messages for users: what is wrong, and what to do."""

from __future__ import annotations

import re
from typing import Final

OTHER_PYTHON: Final = "name another one in cluster.yaml, as in python: ~/venv/bin/python"
OTHER_SPOOL: Final = "name another place in cluster.yaml, as in spool: /scratch/ana"

_ABSENT: Final = re.compile(r"not found|unknown command|no such file|cannot execute|permission denied", re.IGNORECASE)


class ChannelError(Exception):
    """A node that can't be reached: one line that says what is wrong and what to do.

    `fatal`: trying again does not help before the user has done something. `anywhere`: no other program gets there,
    either, and none is tried. `doubt`: what granted the node may have taken it back, and knows more.
    """

    def __init__(self, message: str, *, fatal: bool = False, anywhere: bool = False, doubt: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal
        self.anywhere = anywhere
        self.doubt = doubt


def python_error(what: str, python: str) -> ChannelError:
    """For a Python that can't run the agent; `what` is as in `Python 2.7 on linux2`."""
    version, _, system = what.partition(" on ")
    if not system.startswith("linux"):
        return ChannelError(f"it runs {system or what}, and tasks run on Linux only", fatal=True)
    return ChannelError(f'its "{python}" is {version}, and 3.6 is needed; {OTHER_PYTHON}', fatal=True)


def agent_failure(said: str, status: int | None, python: str, *, started: bool) -> ChannelError:
    """From the last words of a program that ended, and its exit status. `started`: Python itself came up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if not started:
        if status in (126, 127) or any(_ABSENT.search(line) and python in line for line in lines):
            shown = f" ({last})" if status == 126 and last else ""
            return ChannelError(f'there is no "{python}" that runs on it{shown}; {OTHER_PYTHON}', fatal=True)
        if not last:
            last = "it printed nothing" if status is None else f"exit status {status}"
        return ChannelError(f"its login shell started no agent: {last}")
    full = next((line for line in lines if "No space left" in line or "quota exceeded" in line), None)
    if full:
        what = full.partition("] ")[2] or full  # a traceback's last line has the number in brackets
        return ChannelError(f"no room for the agent's own files: {what}; free some there, or {OTHER_SPOOL}")
    if "Read-only file system" in last:
        return ChannelError(f"{last}; {OTHER_SPOOL}", fatal=True)
    fatal = "is in use by the machine" in last or "belongs to someone else" in last
    return ChannelError(last or "the agent hung up before it said anything", fatal=fatal)
