"""What keys of the Tasks pane do to tasks: retry, stop, try. Each asks first where it can't be undone.

Functions that ask return the work to do then, in a thread. The work returns a message for the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from tui_lab.client.address import Address
from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.client.formatting import runs as of_stages
from tui_lab.client.program import changed_since
from tui_lab.client.retry import check_code, check_needs, read_changes
from tui_lab.client.stage_runs import with_following
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import Requeue, Stop
from tui_lab.store import fold, mirrors, ranges
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.pane import Host
from tui_lab.tui.panes.tasks.expansion import StageRun
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.dialogs import Ask

Work: TypeAlias = Callable[[], str]
"""What is done in a thread; what it did. Raises LabError, UsageError, OSError."""

AGAIN: Final = (fold.FAILED, fold.STOPPED, fold.LOST)
GOING: Final = (fold.PENDING, fold.RUNNING)


@dataclass(frozen=True)
class Targets:
    """The tasks that a key acts on, by state; `others` stay as they are."""

    tasks: tuple[int, ...]
    counts: Mapping[str, int]
    others: int

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {state}" for state, count in self.counts.items() if count)


def targets(source: TaskSource, wanted: Sequence[int], states: Sequence[int]) -> Targets:
    """Return those of the tasks, or runs of stages, that are in these states and in the newest plan. Raises
    LabError."""
    with source.reading() as folder:
        state = folder.state()
        ids = np.array([task for task in wanted if 0 <= task < state.size], dtype=np.int64)
        codes = np.frombuffer(state.columns["state"], dtype=np.int8)[ids] if state.size else ids
        planned = np.frombuffer(state.columns["planned"], dtype=np.int8)[ids] if state.size else ids
    chosen = np.isin(codes, states) & (planned != 0)
    counts = {fold.STATES[code]: int((codes[chosen] == code).sum()) for code in states}
    return Targets(tuple(ids[chosen].tolist()), counts, len(ids) - int(chosen.sum()))


def changed_program(source: TaskSource) -> list[str]:
    """Return what has changed since the submission, in lines."""
    with source.reading() as folder:
        return changed_since(folder)


def retry(
    connect: Callable[[], EngineClient],
    source: TaskSource,
    tasks: Sequence[int],
    environment: Mapping[str, str],
    words: str,
    step: int | None = None,
    what: str = "",
) -> str:
    """Retry tasks; return a message. words: changes, as in `timeout=2h needs.memory=16G`. step: to begin at, by default
    the one that failed. what: these tasks in words. Raises LabError, UsageError."""
    changes = read_changes(words.split())
    check_needs(source.folder, changes.get("needs", {}))
    check_code(source.folder)
    asked = ranges.to_ranges(tasks)
    engine = connect()
    try:
        engine.request(Requeue(source.folder.name, asked, dict(environment), changes, step=step))
    finally:
        engine.close()
    return f"{what or plural(len(tasks), 'task')} to run again"


def wrong_changes(words: str) -> str:
    """Return what is wrong with the changes for a retry, empty where nothing is."""
    try:
        read_changes(words.split())
    except UsageError as error:
        return str(error)
    return ""


def stop(lab: Lab, source: TaskSource, tasks: Sequence[int], what: str = "") -> str:
    """Stop tasks; return a message. what: these tasks in words. Raises LabError."""
    engine = EngineClient.connect(lab, wait=True)
    if engine is None:
        raise LabError("nothing is running in this lab")
    try:
        answer = engine.request(Stop(source.folder.name, ranges.to_ranges(tasks)))
    finally:
        engine.close()
    return f"stopping {what or plural(answer.stopped, 'task')}"


async def ask_retry(host: Host, source: TaskSource, wanted: StageRun | Sequence[int], words: str) -> Work | None:
    """Ask whether tasks, or a run of a stage, are to run again; `words` are changes, as in `timeout=2h
    needs.memory=16G`. Return the work; None where there is none."""
    if isinstance(wanted, StageRun):
        return await _ask_retry_stage(host, source, wanted, words)
    found = await _targets_or_tell(host, source, wanted, AGAIN)
    if found is None:
        return None
    if not found.tasks:
        host.tell("only failed, stopped and lost tasks can be run again", "warning")
        return None
    body = f"{found} {'runs' if len(found.tasks) == 1 else 'run'} again, with all retries."
    body += f"\nWith {words}." if words else ""
    body += f"\n{plural(found.others, 'other task')} stay as they are." if found.others else ""
    changed = await host.before_question(asyncio.to_thread(changed_program, source))
    body += "".join(f"\n{line}." for line in changed)
    if not await host.confirm(f"Retry {plural(len(found.tasks), 'task')}?", body, "Retry"):
        return None
    return partial(retry, host.engine, source, found.tasks, host.command_environment(), words)


async def _ask_retry_stage(host: Host, source: TaskSource, run: StageRun, words: str) -> Work | None:
    """Ask about a run of a stage, whatever its state, with all that depends on it."""
    try:
        follows = await host.before_question(asyncio.to_thread(_following, source, run))
        changed = await host.before_question(asyncio.to_thread(changed_program, source))
    except (LabError, UsageError, OSError) as error:
        host.tell(str(error), "error")
        return None
    what = f"{plural(len(follows.tasks), 'task')} and {of_stages(len(follows.runs))}"
    body = f"{run.stage} runs again, and all that depends on this run: {what}."
    body += f"\nWith {words}." if words else ""
    body += "".join(f"\n{line}." for line in changed)
    if not await host.confirm(f"Retry {source.folder.name}/{run.task}:{run.stage}?", body, "Retry"):
        return None
    tasks = [*follows.tasks, *follows.runs]
    return partial(retry, host.engine, source, tasks, host.command_environment(), words, 0, what)


@dataclass(frozen=True)
class _Following:
    """A run of a stage with all that depends on it."""

    tasks: tuple[int, ...]
    runs: tuple[int, ...]


def _following(source: TaskSource, run: StageRun) -> _Following:
    """Return what follows a run, and can run again now. Raises LabError, UsageError."""
    with source.reading() as folder:
        found = with_following(Address(folder, run.run, behind=run.task, stage=run.stage))
        state = folder.state()
    of_tasks = [one for one in found if state.stage(one) is None]
    return _Following(tuple(of_tasks), tuple(one for one in found if state.stage(one) is not None))


async def _ask_stop_stage(host: Host, lab: Lab, source: TaskSource, run: StageRun) -> Work | None:
    """Ask about a run of a stage, and all that depends on it."""
    found = await _targets_or_tell(host, source, [run.run], GOING)
    if found is None:
        return None
    if not found.tasks:
        host.tell("only running and pending runs can be stopped", "warning")
        return None
    body = f"{plural(run.shared, 'task')} that need{'s' * (run.shared == 1)} it can't begin then. "
    body += f"{host.key('tasks.retry')} runs it again."
    if not await host.confirm(f"Stop {source.folder.name}/{run.task}:{run.stage}?", body, "Stop"):
        return None
    return partial(stop, lab, source, found.tasks, of_stages(1, run.stage))


def changes_dialog() -> Ask:
    """Return the question for what a retry changes."""
    return Ask(
        "Retry with changes",
        "Changes for this time:",
        placeholder="timeout=2h needs.memory=16G",
        check=wrong_changes,
    )


async def ask_stop(host: Host, lab: Lab, source: TaskSource, wanted: StageRun | Sequence[int]) -> Work | None:
    """Ask whether tasks, or a run of a stage, are to be stopped. Return the work; None where there is none."""
    if isinstance(wanted, StageRun):
        return await _ask_stop_stage(host, lab, source, wanted)
    found = await _targets_or_tell(host, source, wanted, GOING)
    if found is None:
        return None
    if not found.tasks:
        host.tell("only running and pending tasks can be stopped", "warning")
        return None
    body = f"{found}: running and pending ones. {host.key('tasks.retry')} runs them again."
    if not await host.confirm(f"Stop {plural(len(found.tasks), 'task')}?", body, "Stop"):
        return None
    return partial(stop, lab, source, found.tasks)


async def ask_try(host: Host, lab: Lab, source: TaskSource, task: int) -> None:
    """Ask whether to run a task on the machine of the lab, with all its stages; then show its output while it runs."""
    name = f"{source.folder.name}/{task}"
    side = mirrors.other_side(lab.path)
    where = "this machine" if side is None else side.host
    body = f"It runs on {where}, besides other tasks; its results are not kept."
    if await host.confirm(f"Try {name}?", body, "Try"):
        there = mirrors.as_there(str(lab.path))
        module = ("tui_lab.client.foreground", there, source.folder.name, str(task))
        host.stream(f"Try {name}", module, tied=True)


async def _targets_or_tell(
    host: Host, source: TaskSource, wanted: Sequence[int], states: Sequence[int]
) -> Targets | None:
    try:
        return await host.before_question(asyncio.to_thread(targets, source, wanted, states))
    except (LabError, OSError) as error:
        host.tell(str(error), "error")
        return None
