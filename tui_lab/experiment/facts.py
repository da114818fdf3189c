"""The facts of a task, each once: columns that every experiment has behind its parameters and metrics.

To add one, register it here, and say in `tui_lab.store.facts` how its values follow from the journal. Tables, SQL,
statistics, exports, `show`, the screen and docs/guide.md read it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

FactType: TypeAlias = Literal["int32", "int64", "float", "text", "boolean", "time"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What a column is."""

    name: str
    type: FactType
    meaning: str
    """For the documentation."""
    unit: Literal["s", "B"] | None = None
    title: str = ""
    """Heading on the screen, where it is not the name."""
    phrase: str = ""
    """How `show` says it of a task, `{}` being the value with its unit; empty where other lines say it."""
    asked: bool = False
    """Whether only a submission changes it."""
    measured: bool = False
    """Whether statistics and `until` take it like a metric, of which less is better."""
    compared: bool = True
    """Whether `diff` compares it: two runs of the same thing should agree on it."""
    in_metrics: bool = True
    """Whether the expression of a metric may use it."""
    in_steps: bool = False
    """Whether the tables of steps and rows have it, too."""
    searched: bool = True
    """Whether a word typed into the filter of the screen is looked for in it."""
    groups: bool = False
    """Whether the screen offers to group tasks by it."""
    in_failures: int = 0
    """Its place among the columns of `failures()`, from 1; 0 if it does not help to see why a task ended badly."""
    in_slowest: int = 0
    """Its place among the columns of `slowest()`, from 1; 0 if it does not help to see why a task took long."""


FACTS: Final[dict[str, Fact]] = {}
"""By name, in the order of the columns."""


def register(fact: Fact) -> None:
    """Add a fact, behind those that are there."""
    FACTS[fact.name] = fact


def measured() -> tuple[str, ...]:
    """Return the names of the facts that are summarised like metrics."""
    return tuple(fact.name for fact in FACTS.values() if fact.measured)


def placed(place: Callable[[Fact], int]) -> list[str]:
    """Return the names of the facts that a list has, in its order. place: the place of a fact in it, 0 for none."""
    return [fact.name for fact in sorted(FACTS.values(), key=place) if place(fact)]


def unit(name: str) -> str | None:
    """Return the unit of a fact; None where it has none, or is no fact."""
    return FACTS[name].unit if name in FACTS else None


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, unit and meaning of each fact, for the documentation."""
    units = {None: "", "s": "seconds", "B": "bytes"}
    for fact in FACTS.values():
        yield fact.name, fact.type, units[fact.unit], fact.meaning


def of_steps(steps: Iterable[str | None], taken: Iterable[str] = ()) -> Iterator[tuple[int, Fact]]:
    """Yield the facts of named steps, each with the place of its step. taken: columns that are something else; a fact
    whose name is among them has none."""
    known = {name.lower() for name in taken}
    for place, step in enumerate(steps):
        run = f"of the last run of the step {step}"
        duration = Fact(name=f"duration_{step}", type="float", unit="s", meaning=f"duration {run}", measured=True)
        code = Fact(name=f"exit_code_{step}", type="int32", meaning=f"exit status {run}")
        for fact in (replace(duration, compared=False), code) if step is not None else ():
            if fact.name.lower() not in known:
                known.add(fact.name.lower())
                yield place, replace(fact, searched=False)


for _fact in (
    Fact(
        name="task_id",
        type="int64",
        meaning="number of the task, given once",
        title="task",
        asked=True,
        compared=False,
        in_steps=True,
    ),
    Fact(
        name="repeat",
        type="int32",
        meaning="which repeat it is, from 0",
        phrase="repeat {}",
        asked=True,
        in_steps=True,
        groups=True,
    ),
    Fact(
        name="seed",
        type="int64",
        meaning="the value of `{seed}`",
        phrase="seed {}",
        asked=True,
        in_steps=True,
        searched=False,
    ),
    Fact(
        name="version",
        type="int32",
        meaning="version, from 1: each `--rerun` makes a new one",
        phrase="version {}",
        asked=True,
        in_steps=True,
        searched=False,
        groups=True,
    ),
    Fact(
        name="planned",
        type="boolean",
        meaning="whether the newest plan has it",
        compared=False,
        in_metrics=False,
        in_steps=True,
        searched=False,
    ),
    Fact(
        name="state",
        type="text",
        meaning="`pending`, `running`, `done`, `failed`, `stopped` or `lost`",
        in_steps=True,
        groups=True,
        in_failures=1,
    ),
    Fact(name="reason", type="text", meaning="why it failed, was stopped or lost", groups=True, in_failures=2),
    Fact(
        name="attempt",
        type="int32",
        meaning="the attempt whose outputs count",
        title="attempt that counts",
        in_steps=True,
        searched=False,
    ),
    Fact(name="attempts", type="int32", meaning="how many there were", title="attempt", groups=True, in_failures=5),
    Fact(
        name="duration",
        type="float",
        unit="s",
        meaning="from the start of its first step until nothing of it was left; steps that an earlier attempt has done "
        "count as they took there",
        measured=True,
        compared=False,
        in_failures=6,
        in_slowest=1,
    ),
    Fact(name="started_at", type="time", meaning="when its last attempt began", compared=False, searched=False),
    Fact(
        name="ended_at",
        type="time",
        meaning="when its last attempt ended",
        compared=False,
        searched=False,
        in_failures=8,
    ),
    Fact(name="node", type="text", meaning="where its last attempt ran", groups=True, in_failures=7, in_slowest=4),
    Fact(
        name="exit_code",
        type="int32",
        meaning="exit status of the last step that ran",
        groups=True,
        in_failures=3,
    ),
    Fact(name="signal", type="int32", meaning="the signal that ended it", in_failures=4),
    Fact(
        name="exception",
        type="text",
        meaning="type of the exception that ended a function",
        groups=True,
        in_failures=9,
    ),
    Fact(
        name="exception_message",
        type="text",
        meaning="its message",
        compared=False,
        in_failures=10,
    ),
    Fact(
        name="peak_rss",
        type="int64",
        unit="B",
        meaning="peak memory; null where it is below what can be measured",
        measured=True,
        compared=False,
        searched=False,
        in_slowest=3,
    ),
    Fact(
        name="cpu_time",
        type="float",
        unit="s",
        meaning="CPU time of all its processes, also of the steps that an earlier attempt has done",
        measured=True,
        compared=False,
        searched=False,
        in_slowest=2,
    ),
    Fact(
        name="leftover",
        type="int32",
        meaning="processes that it left behind, and that were stopped",
        searched=False,
    ),
):
    register(_fact)
