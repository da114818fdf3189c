"""How long attempts of a run take, and whether they can end before what their node was granted for does."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from tui_lab.engine.core.model import AttemptKey, RunSettings
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.pools import PoolState
from tui_lab.store.events import Finished
from tui_lab.store.fold import COLUMNS, DONE, FAULTLESS, PENDING, REASONS, RUNNING, State

MARGIN: Final = 3.0  # seconds before its end at which a node takes nothing more: its agent cuts off what runs
FURTHER: Final = 10.0  # seconds that an attempt which was cut off needs at least, besides those that it ran for
START: Final = 30.0  # seconds, besides the grace, for which something of unknown length is started
WHOLE: Final = 0.9  # of the time that a node has at first, in which it takes what may be longer
KNOWN: Final = 500  # the last durations of a stage, of which the usual one is computed
FEW: Final = 20  # durations, with fewer of which none is usual
SHORT: Final = 60.0  # seconds; what usually takes no longer may wait on a node for others
USUAL: Final = 0.95  # quantile
HINT: Final = "resumes: true if it goes on from where it stopped"
NONE: Final = -1  # a group that is not known
HEAD: Final = 256  # tasks of the queue that are looked at

_NAMES: Final = ("state", "stage", "reason", "attempt", "base", "duration", "started", "ended")
_READ: Final = {name: COLUMNS[name][0] for name in _NAMES}


class Estimate(NamedTuple):
    """Seconds that an attempt may take. limit: it is stopped after them; past: one of its combination took so long;
    cut: one was cut off after so long; usual: nearly all of its stage take no longer; unknown: so long at least."""

    seconds: float
    kind: Literal["limit", "past", "cut", "usual", "unknown"]

    @property
    def sure(self) -> bool:
        """Whether nothing is started that has less time."""
        return self.kind not in ("usual", "unknown")

    @property
    def needed(self) -> float:
        """The seconds that it needs of a node."""
        return self.seconds + FURTHER * (self.kind == "cut")


class Shortest(NamedTuple):
    """The seconds that some tasks need at least: those of which that is sure, and the others."""

    sure: float
    unsure: float

    def fits(self, node: NodeState, now: float) -> bool:
        """Return whether one of them can end on a node in time. now: monotonic."""
        left = node.left(now)
        return left is None or left - MARGIN > min(self.sure, _bounded(self.unsure, node))


class RunTimes:
    """Of a run. Durations are read when they are first asked for: where no node has an end, nothing is."""

    def __init__(self, state: State, settings: RunSettings) -> None:
        self._state = state
        self._settings = settings
        self.now = 0.0  # monotonic: of the event that is being handled
        self._is_read = False
        self._groups = np.array([], dtype=np.int64)  # by task: its combination, or what it is the only one of
        self._sizes = np.array([], dtype=np.int64)  # by these: how many tasks are alike
        self._longest: dict[int, Estimate] = {}  # by combination, or run
        self._durations: dict[str, deque[float]] = {}  # by stage
        self._usual: dict[str, float | None] = {}
        self._limits: dict[AttemptKey, float | None] = {}
        self._unknown = Estimate(settings.grace + START, "unknown")

    # --- What is known

    def of(self, key: AttemptKey) -> Estimate:
        """Return how long an attempt takes."""
        stage = self._state.stage(key[0]) or ""
        if stage in self._settings.resumes:
            return self._unknown
        limit = self._limit(key)
        if limit is not None:
            return Estimate(limit, "limit")
        self._read()
        known = self._longest.get(self._group(key[0]))
        if known is not None:
            return known
        if stage not in self._usual:
            durations = sorted(self._durations.get(stage, ()))
            enough = len(durations) >= FEW
            self._usual[stage] = durations[math.ceil(USUAL * len(durations)) - 1] if enough else None
        usual = self._usual[stage]
        return self._unknown if usual is None else Estimate(usual, "usual")

    def _limit(self, key: AttemptKey) -> float | None:
        if self._settings.timeout is None:
            return None
        if key not in self._limits:
            try:
                self._limits[key] = self._settings.timeout(key, self._state.changes.get(key[0]))
            except ValueError:
                self._limits[key] = None  # its start reports the error
        return self._limits[key]

    def _group(self, task: int) -> int:
        """What takes as long: the tasks of a combination, or a run of a stage on whatever node."""
        one = self._state.planned_run(task)
        return int(self._groups[one]) if 0 <= one < len(self._groups) else NONE

    def _read(self) -> None:
        """Read what the tasks took that have ended, once."""
        if self._is_read:
            return
        self._is_read = True
        state, tasks, groups = self._state, self._settings.tasks, self._settings.combinations
        if not len(groups):
            groups = -1 - tasks
        _, dense, self._sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self._groups = np.full(int(tasks.max(initial=-1)) + 1, NONE, dtype=np.int64)
        self._groups[tasks] = dense
        columns = {name: np.frombuffer(state.columns[name], dtype=code) for name, code in _READ.items()}
        done = tasks[(columns["state"][tasks] == DONE) & (columns["duration"][tasks] > 0)]
        for stage in np.unique(columns["stage"][done]).tolist():
            of_it = done[columns["stage"][done] == stage][-KNOWN:]
            name = state.stages[stage - 1] if stage else ""
            self._durations[name] = deque(columns["duration"][of_it].tolist(), maxlen=KNOWN)
        found, shared = self._groups[done], self._sizes[self._groups[done]] > 1
        order = np.argsort(found[shared], kind="stable")
        ordered, durations = found[shared][order], columns["duration"][done][shared][order]
        firsts = np.flatnonzero(np.diff(ordered, prepend=NONE))
        if len(firsts):
            longest = np.maximum.reduceat(durations, firsts)
            for group, seconds in zip(ordered[firsts].tolist(), longest.tolist(), strict=True):
                self._longest[group] = Estimate(seconds, "past")
        for run in state.run_for:
            if columns["state"][run] == DONE and columns["duration"][run] > 0:
                self._take(run, Estimate(float(columns["duration"][run]), "past"))
        ids = np.concatenate([tasks, np.array(list(state.run_for), dtype=np.int64)])
        cut = (columns["state"][ids] == PENDING) & (columns["attempt"][ids] > columns["base"][ids])
        for task in ids[cut].tolist():  # since they were requested
            measured = bool(columns["duration"][task] > 0)
            ran = columns["duration"][task] if measured else columns["ended"][task] - columns["started"][task]
            self._note_lost(task, float(ran), REASONS[columns["reason"][task]], measured=measured)

    def note(self, event: Finished) -> None:
        """Take up the end of an attempt, before the fold does."""
        self._limits.pop((event.task, event.attempt), None)
        if not self._is_read or event.duplicate:
            return
        if event.state == "done" and event.duration:
            self._note_done(event.task, event.duration)
        elif event.state == "lost":
            running = self._state.columns["state"][event.task] == RUNNING
            ran = event.at - self._state.columns["started"][event.task] if running else 0.0
            measured = event.duration is not None
            self._note_lost(event.task, event.duration or ran, event.reason or "", measured=measured)

    def _note_done(self, task: int, duration: float) -> None:
        stage = self._state.stage(task) or ""
        self._durations.setdefault(stage, deque(maxlen=KNOWN)).append(duration)
        self._usual.pop(stage, None)
        group = self._group(task)
        if task in self._state.run_for or (group >= 0 and self._sizes[group] > 1):  # else nothing alike is to run
            self._take(task, Estimate(duration, "past"))

    def _note_lost(self, task: int, ran: float, reason: str, *, measured: bool) -> None:
        """An attempt was cut off. measured: by its agent; else only the end of a walltime is known well enough."""
        if ran > 0 and (reason == "walltime" or (measured and reason in FAULTLESS)):
            self._take(task, Estimate(ran, "cut"))

    def _take(self, task: int, found: Estimate) -> None:
        group = self._group(task)
        known = self._longest.get(group)
        if known is None or found.seconds > known.seconds:
            self._longest[group] = found

    # --- What fits

    def needed(self, key: AttemptKey, node: NodeState) -> float:
        """Return the seconds that an attempt needs of a node."""
        found = self.of(key)
        return found.needed if found.sure else _bounded(found.seconds, node)

    def fits(self, key: AttemptKey, node: NodeState, *, behind: bool = False) -> bool:
        """Return whether an attempt can end on a node in time. behind: it is to wait there for others; then what is
        known of it now must be enough when its turn comes."""
        left = node.left(self.now)
        if left is None:
            return True
        found = self.of(key)
        if behind and not found.sure and (found.kind == "unknown" or found.seconds > SHORT):
            return False
        return left - MARGIN > (found.needed if found.sure else _bounded(found.seconds, node))

    def fits_pool(self, key: AttemptKey, pool: PoolState) -> bool:
        """Return whether an attempt may end in time on a node that a pool grants."""
        found = self.of(key)
        return not found.sure or pool.reach is None or pool.reach - MARGIN > found.needed

    def shortest(self, tasks: Iterable[int]) -> Shortest:
        """Return what the first of these tasks need at least."""
        attempts = self._state.columns["attempts"]
        sure = unsure = math.inf
        for task in itertools.islice(tasks, HEAD):
            found = self.of((task, attempts[task] + 1))
            if found.sure:
                sure = min(sure, found.needed)
            else:
                unsure = min(unsure, found.seconds)
        return Shortest(sure, unsure)

    def why_never(self, key: AttemptKey, nodes: Iterable[NodeState], pools: Sequence[PoolState]) -> str:
        """Return why an attempt can end in time on none of these nodes, nor on those that these pools grant; empty
        where it can, or where that is not known."""
        found = self.of(key)
        if not found.sure or not pools:
            return ""
        if any(self.fits_pool(key, pool) for pool in pools):
            return ""
        if any(self.fits(key, node) for node in nodes):
            return ""
        seconds = clock(found.seconds)
        said = {
            "limit": f"its timeout is {seconds}",
            "past": f"it took {seconds} before",
            "cut": f"it ran {seconds} and did not end",
        }
        return f"{said[found.kind]}; {', '.join(map(_of_pool, pools))}; {HINT}"


def _bounded(seconds: float, node: NodeState) -> float:
    """The seconds that something needs of a node which may take longer: one that was just granted takes it."""
    if node.ends_at is None or seconds == math.inf:
        return seconds
    return min(seconds, max(0.0, node.whole * WHOLE - MARGIN))


def _of_pool(pool: PoolState) -> str:
    assert pool.reach is not None
    text = f"allocations of {pool.name} have {clock(pool.reach if pool.walltime is None else pool.walltime)}"
    short = pool.walltime is not None and pool.reach < pool.walltime * WHOLE
    return text + (f", and tasks {clock(pool.reach)} of that" if short else "")


def clock(seconds: float) -> str:
    """Return a time as 3:59:10, or 0:12."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
