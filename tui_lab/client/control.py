"""What users do with what runs: pause, resume and stop experiments; change the slots of nodes, drain and resume them.

An operation says what it will do before it does it, and how it is undone where it can be. Commands and the screen make
the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tui_lab.client.failures import open_tasks
from tui_lab.client.formatting import plural, runs, span
from tui_lab.client.node_formatting import stop_line
from tui_lab.protocol.control import (
    Answer,
    Command,
    DrainNode,
    NodeStatus,
    Pause,
    Requeue,
    Resume,
    ResumeNode,
    SetPriority,
    SetSlots,
    Stop,
    StopTaken,
)
from tui_lab.store import fold, ranges
from tui_lab.store.errors import LabError

if TYPE_CHECKING:
    import numpy.typing as npt

    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.fold import State

STOPPING: Final = 15.0  # seconds that an undo waits for tasks that are being stopped
_LOOK: Final = 0.1  # seconds between two looks at them


@dataclass(frozen=True)
class Undo:
    """How an operation is undone. words: what that does. make: the operation that does it; it reads the lab, and may
    take seconds. Raises LabError."""

    words: str
    make: Callable[[], Operation]


@dataclass(frozen=True)
class Preview:
    """What an operation will do, in words; what of that users may not expect; and how it is undone, None where it can't
    be."""

    words: str
    warnings: tuple[str, ...] = ()
    undo: Undo | None = None


@dataclass(frozen=True)
class Operation:
    """A command to the engine with its texts. done: what it has done, behind the subject. hint: what a command line
    says behind that. preview: what it will do; it reads the lab. Raises LabError."""

    verb: str
    subject: str  # an experiment, or a node
    command: Command[Any]
    done: str
    preview: Callable[[], Preview]
    hint: str = ""

    @property
    def title(self) -> str:
        """What it does to what, as `stop grid`."""
        return f"{self.verb} {self.subject}"

    def outcome(self, answer: Answer) -> str:
        """Return what it has done, behind the subject."""
        if not isinstance(answer, StopTaken):
            return self.done
        if answer.stopped:
            return f"stopping {plural(answer.stopped, 'task')}"
        return "nothing to stop: none of these tasks is running or pending"


def notes(answer: Answer) -> list[str]:
    """Return what an operation has left to be done, in lines: tasks to be stopped on nodes that are away."""
    stopping = answer.stopping if isinstance(answer, StopTaken) else []
    return [stop_line(one) for one in stopping if one.away_for is not None]


# --- Experiments


class OpenWork(NamedTuple):
    """What is requested of an experiment and has not ended. ids: of tasks and of runs of stages. seconds: for which the
    running ones have run, in all. kept: how many of them have done steps, with which they begin again."""

    ids: npt.NDArray[np.int64]
    running: int
    pending: int
    runs: int
    seconds: float
    kept: int

    def __str__(self) -> str:
        parts = [f"{count:,} {what}" for count, what in ((self.running, "running"), (self.pending, "pending")) if count]
        tasks = " and ".join(parts) + f" task{'s' * (self.running + self.pending != 1)}" if parts else ""
        return " and ".join(filter(None, (tasks, runs(self.runs) if self.runs else "")))


def open_work(state: State, tasks: Iterable[int] | None = None, now: float | None = None) -> OpenWork:
    """Return the open work of an experiment, or of some of its tasks. now: seconds since 1970."""

    def column(name: str) -> npt.NDArray[Any]:
        return np.frombuffer(state.columns[name], dtype=fold.COLUMNS[name][0])

    planned, assigned = column("planned"), column("assigned") != 0
    is_open = ((column("queued") != 0) | assigned) & (planned != 0) & (planned != fold.PER_NODE)
    if tasks is not None:
        chosen = np.zeros(state.size, dtype=bool)
        chosen[[task for task in tasks if 0 <= task < state.size]] = True
        is_open &= chosen
    is_task = planned == fold.TASK
    running = is_open & assigned & (column("state") == fold.RUNNING)
    at = time.time() if now is None else now
    spent = np.nan_to_num(at - column("started")[running]).clip(0)
    return OpenWork(
        np.flatnonzero(is_open),
        int((running & is_task).sum()),
        int((is_open & ~running & is_task).sum()),
        int((is_open & ~is_task).sum()),
        float(spent.sum()),
        int((column("go_on")[running] > 0).sum()),
    )


def pause(folder: ExperimentFolder, environment: Mapping[str, str]) -> Operation:
    """Start nothing more of an experiment. environment: with which it is resumed."""

    def preview() -> Preview:
        work = open_work(folder.state())
        some = f"{plural(work.running, 'running task')} may finish, " if work.running else ""
        words = f"nothing more of {folder.name} starts: {some}{work.pending:,} wait"
        return Preview(words, undo=Undo("goes on", lambda: resume(folder, environment)))

    hint = f"`tui-lab resume {folder.name}` continues"
    return Operation("pause", folder.name, Pause(folder.name), "paused; running tasks may finish", preview, hint)


def resume(folder: ExperimentFolder, environment: Mapping[str, str]) -> Operation:
    """Continue what was paused or interrupted."""

    def preview() -> Preview:
        state = folder.state()
        words = f"{folder.name} goes on: {plural(state.queued_tasks() or open_tasks(state), 'task')} left"
        return Preview(words, undo=Undo("pauses it", lambda: pause(folder, environment)))

    return Operation("resume", folder.name, Resume(folder.name, dict(environment)), "goes on", preview)


def stop(folder: ExperimentFolder, environment: Mapping[str, str], tasks: Sequence[int] | None = None) -> Operation:
    """Stop tasks of an experiment, by default all. environment: with which they are run again."""

    def preview() -> Preview:
        work = open_work(folder.state(), tasks)
        if not len(work.ids):
            return Preview("nothing is running or pending")
        since = " since their last step" if work.kept else ""
        lost = f"the work of the running ones{since} is lost: {span(work.seconds)} in all"
        anew = "; running ones begin anew" if work.running else ""
        return Preview(
            f"{work} {'is' if len(work.ids) == 1 else 'are'} stopped",
            (lost,) if work.running else (),
            Undo(f"asks for exactly these again{anew}", lambda: _request_again(folder, work.ids, environment)),
        )

    command = Stop(folder.name, None if tasks is None else ranges.to_ranges(tasks))
    return Operation("stop", folder.name, command, "stopping", preview)


def priority_of(folder: ExperimentFolder) -> int:
    """Return the priority that holds for an experiment now. Raises LabError."""
    changed = folder.state().prioritized
    return folder.spec().priority if changed is None else changed.priority


def set_priority(folder: ExperimentFolder, priority: int) -> Operation:
    """Let an experiment go before those with a lower priority."""

    def preview() -> Preview:
        before = priority_of(folder)
        words = f"{folder.name} gets priority {priority}, instead of {before}; running tasks continue"
        return Preview(words, undo=Undo(f"{before} again", lambda: set_priority(folder, before)))

    done = f"priority {priority} from now on, until its next submission"
    return Operation("set priority of", folder.name, SetPriority(folder.name, priority), done, preview)


def _request_again(folder: ExperimentFolder, ids: npt.NDArray[np.int64], environment: Mapping[str, str]) -> Operation:
    """Run tasks again that were stopped, once they have ended; not those that ended otherwise. Raises LabError."""
    deadline = time.monotonic() + STOPPING
    while np.frombuffer(folder.state().columns["assigned"], dtype=np.int8)[ids].any():
        if time.monotonic() > deadline:
            raise LabError(f"{folder.name}: its tasks are still being stopped", "undo it when they have ended")
        time.sleep(_LOOK)
    columns = folder.state().columns
    states = np.frombuffer(columns["state"], dtype=np.int8)[ids]
    # What depends on a run that was stopped has failed by that.
    follows = np.frombuffer(columns["reason"], dtype=np.int8)[ids] == fold.REASONS.index("dependency")
    again = ids[(states == fold.STOPPED) | ((states == fold.FAILED) & follows)].tolist()
    if not again:
        raise LabError(f"{folder.name}: nothing to run again: none of these tasks was stopped")
    done = f"runs {plural(len(again), 'task')} again"
    command = Requeue(folder.name, ranges.to_ranges(again), dict(environment))
    return Operation("run again", folder.name, command, done, lambda: Preview(f"{folder.name} {done}"))


# --- Nodes


def set_slots(node: NodeStatus, slots: int) -> Operation:
    """Change how many tasks a node runs at once."""
    before, running = node.slots, node.used or 0

    def preview() -> Preview:
        rest = "; those that run now may finish" if running > slots else ""
        undo = None if before is None else Undo(f"{before} again", lambda: set_slots(_with(node, slots), before))
        return Preview(f"{node.name} runs {plural(slots, 'task')} at once{rest}", undo=undo)

    done = f"{plural(slots, 'task')} at once from now on"
    return Operation("set slots of", node.name, SetSlots(node.name, slots), done, preview)


def _with(node: NodeStatus, slots: int) -> NodeStatus:
    """Return a node as it is with another number of slots."""
    return NodeStatus(name=node.name, state=node.state, slots=slots, used=node.used)


def drain_node(node: NodeStatus, nodes: Sequence[NodeStatus] = ()) -> Operation:
    """Give a node no more tasks. nodes: all."""

    def preview() -> Preview:
        others = [one for one in nodes if one.name != node.name and one.state in ("up", "connecting", "away")]
        running = f"; its {plural(node.used, 'running task')} may finish" if node.used else ""
        alone = ("no other node takes tasks: nothing more starts",) if nodes and not others else ()
        undo = Undo("gives it tasks again", lambda: resume_node(node))
        return Preview(f"{node.name} gets no more tasks{running}", alone, undo)

    hint = f"`tui-lab nodes resume {node.name}` gives it tasks again"
    done = "gets no more tasks; running ones may finish"
    return Operation("drain", node.name, DrainNode(node.name), done, preview, hint)


def resume_node(node: NodeStatus) -> Operation:
    """Give a drained or quarantined node tasks again."""

    def preview() -> Preview:
        undo = Undo("gives it no more", lambda: drain_node(node)) if node.state == "drained" else None
        return Preview(f"{node.name} gets tasks again", undo=undo)

    return Operation("resume", node.name, ResumeNode(node.name), "gets tasks again", preview)
