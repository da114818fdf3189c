"""Types that events, effects and states share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tui_lab.protocol.agent import Needs
from tui_lab.store.events import Changes

AttemptKey = tuple[int, int]  # of an attempt: task, number


class Moment(NamedTuple):
    """When an event is handled."""

    monotonic: float  # seconds, of a clock that never goes back
    wall: float  # seconds since 1970

    def at(self, ago: float = 0.0) -> float:
        """Return the time that the journal has for so many seconds ago."""
        return round(self.wall - ago, 3)


class NodeLimits(NamedTuple):
    """The most that a node of a pool can ever offer; None where that is not known. memory: bytes."""

    cpus: float | None = None
    memory: float | None = None
    gpus: float | None = None


class AttemptNeeds(Needs, total=False):
    """What an attempt needs of its node, and of the limits that all runs of a lab share."""

    tokens: Mapping[str, int]


def no_needs(key: AttemptKey, changes: Changes | None) -> AttemptNeeds:
    """Return the needs of attempts that need only a slot."""
    return {}


class RunSettings(msgspec.Struct, frozen=True):
    """The keys of an experiment's file that the scheduler uses.

    tasks, repeats: of the newest plan, in its order. order: `interleaved`, `listed` or `shuffled`. needs: what an
    attempt needs (a slot is not named) and its `tokens` of the limits; raises ValueError where that can't be computed.
    extends: further repeats may be needed once all have ended. before: what each task, or run of a stage, depends on;
    in `tasks`, runs stand before those that depend on them. beside: the runs of other last stages, which must be done
    before each task is, but not before it begins. collecting: runs of stages that no task depends on, and the tasks
    that each covers: it is requested once these are done or requested. stage_retries: retries, and what they are for,
    of the stages before the last. gone: runs of stages that are done, but whose folder is gone. rounds: if not empty,
    the ids of each stage, none of which begins while one before is requested. run_on: the tags that nodes must have, by
    stage, empty for the tasks; not needed where all nodes have them. until_done: stages whose files are removed once
    what comes after them is done. on_node: the runs of the plan of which each task, or run, uses that of the node where
    it runs; what these depend on is in `before`, of both. combinations: of `tasks`; those of one take as long as each
    other, and runs of stages have numbers below 0. timeout: seconds after which an attempt is stopped, None for never;
    raises ValueError as `needs` does. resumes: stages, empty for the tasks, whose attempts go on from earlier ones.
    """

    tasks: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    order: str = "interleaved"
    priority: int = 0
    stagger: float = 0.0  # seconds between two starts
    retries: int = 0
    retry_on: Sequence[str | int] = ()
    max_failures: int | None = None
    grace: float = 10.0  # seconds between TERM and KILL
    limits: Mapping[str, int] = msgspec.field(default_factory=dict)
    has_needs: bool = False  # tasks need more of a node than a slot
    needs: Callable[[AttemptKey, Changes | None], AttemptNeeds] = no_needs
    extends: bool = False
    before: Mapping[int, Sequence[int]] = msgspec.field(default_factory=dict)
    beside: Mapping[int, Sequence[int]] = msgspec.field(default_factory=dict)
    collecting: Mapping[int, Sequence[int]] = msgspec.field(default_factory=dict)
    stage_retries: Mapping[str, tuple[int, Sequence[str | int]]] = msgspec.field(default_factory=dict)
    gone: frozenset[int] = frozenset()
    rounds: Sequence[npt.NDArray[np.int64]] = ()
    run_on: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    until_done: frozenset[str] = frozenset()
    on_node: Mapping[int, Sequence[int]] = msgspec.field(default_factory=dict)
    combinations: npt.NDArray[np.int64] = msgspec.field(default_factory=lambda: np.array([], dtype=np.int64))
    resumes: frozenset[str] = frozenset()
    timeout: Callable[[AttemptKey, Changes | None], float | None] | None = None
