"""Stages: commands and functions that depend on each other. Tasks that agree in all that one uses share a run of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from tui_lab.experiment.record import Fields, Model, documented

MERGED: Final = ("env",)  # keys to which a stage adds; others take the place of the experiment's
PROGRAMS: Final = ("command", "function")  # what a stage runs: one of them
OUTPUT: Final = ".output"  # `{prepare.output}` is the folder of the run of `prepare` behind a task
COLLECTED: Final = "collected"  # the placeholder for the file that lists what a stage collects
COLLECTED_VARIABLE: Final = "TUI_LAB_COLLECTED"
REPEATS: Final = ""  # among the names of parameters in which runs differ: so do their repeats

Retain = Literal["always", "until-done"]


class Stage(Model):
    """A stage as loaded: what the file leaves out is filled in.

    uses: the parameters that it sees, in order; they join its identity. after: the stages before it that it depends on,
    as listed or by `{NAME.output}`. beside: of the last stage, the others that none comes after: a task is done once
    they are, too. collect: the names by which the runs that it collects differ. over: the same, but REPEATS for the
    seed and the repeat. collected: the one stage of `after` whose runs these are. apart: it collects, or comes after a
    stage that does, so no task depends on it. takes_seed: the seed joins its identity. begins_repeats: each repeat has
    a run of its own, also where the stages before it do not. repeated: that, or a stage before it is repeated. outs:
    globs of the files that a run must leave. per_node: each node that needs a run has one of its own. retain: how long
    its files are kept. passed: those of `uses` that its function takes; None for all. values: arguments of the function
    by the stage whose value they take; where its source does not tell what it takes, those that it may have. own: its
    other keys, by the fields of `Experiment`.
    """

    uses: tuple[str, ...]
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    over: frozenset[str] = frozenset()
    collected: str | None = None
    apart: bool = False
    takes_seed: bool = False
    begins_repeats: bool = False
    repeated: bool = False
    outs: tuple[str, ...] = ()
    per_node: bool = False
    passed: tuple[str, ...] | None = None
    values: Mapping[str, str] = documented(default_factory=dict)
    retain: Retain = "always"
    own: Fields = documented(default_factory=dict)

    @property
    def linked(self) -> tuple[str, ...]:
        """The stages whose runs join its identity."""
        return (*self.after, *self.beside)

    @property
    def single(self) -> tuple[str, ...]:
        """Those of which one run joins its identity, not all that it collects."""
        return tuple(name for name in self.linked if name != self.collected)

    @property
    def calls_function(self) -> bool:
        """Whether it calls a function, and does not run a command."""
        return self.own.get("function") is not None


def output_variable(stage: str) -> str:
    """Return the variable that has the folder of the run of a stage."""
    return "TUI_LAB_OUTPUT_" + re.sub(r"[^A-Z0-9_]", "_", stage.upper())


def in_order(after: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Return the stages, each behind those that it comes after, else as listed; None where they wait for each other."""
    rest = dict(after)
    found: list[str] = []
    while rest:
        ready = next((name for name, before in rest.items() if not set(before) & set(rest)), None)
        if ready is None:
            return None
        found.append(ready)
        del rest[ready]
    return found


def cycle(after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return stages that wait for each other, the first again at the end; only where there are such."""
    rest = dict(after)
    while free := [name for name, before in rest.items() if not set(before) & set(rest)]:
        for name in free:
            del rest[name]
    way = [next(iter(rest))]
    while way[-1] not in way[:-1]:
        way.append(next(name for name in rest[way[-1]] if name in rest))
    return way[way.index(way[-1]) :]


def before(stages: Mapping[str, Stage], name: str) -> Iterator[str]:
    """Yield all stages that must have ended before one can begin, in order."""
    wanted = {name}
    for other in reversed(in_order({one: stage.after for one, stage in stages.items()}) or []):
        if other in wanted:
            wanted.update(stages[other].after)
    yield from (one for one in stages if one in wanted and one != name)


def differing(stages: Mapping[str, Stage]) -> dict[str, frozenset[str]]:
    """Return the parameters in which the runs of each stage may differ, and REPEATS where repeats do."""
    found: dict[str, frozenset[str]] = {}
    for name in in_order({name: stage.linked for name, stage in stages.items()}) or ():
        stage = stages[name]
        unhashed = stage.own.get("unhashed") or ()
        own = {one for one in stage.uses if one not in unhashed} | ({REPEATS} if stage.begins_repeats else set())
        before = [found[other] - (stage.over if other == stage.collected else frozenset()) for other in stage.linked]
        found[name] = frozenset(own).union(*before)
    return found


class StageKeys(Model):
    """The keys of a stage that the experiment itself does not have."""

    uses: tuple[str, ...] | None = documented(
        default=None,
        description="Parameters that the stage sees, and that join its identity; `all` for all of them. By default "
        "those that its command, files, variables, folder, timeout and needs name, and that its function takes.",
        examples=["all", "data", ["data", "size"]],
    )
    after: tuple[str, ...] = documented(
        default=(),
        description="Stages that must be done before. `{NAME.output}` implies it, and so does an argument of the "
        "function that is called NAME.",
        examples=["prepare", ["prepare", "build"]],
    )
    per_repeat: bool = documented(
        default=False,
        description="Each repeat has its own run of the stage, and so of those after it. A stage that uses `{seed}` or "
        "`{repeat}`, or whose function takes `seed`, has that anyway.",
        examples=[True],
    )
    collect: tuple[str, ...] | None = documented(
        default=None,
        description="The stage collects: it runs once over all runs of a stage before it that differ in nothing but "
        "these parameters; `seed` or `repeat` for the repeats, `all` for whatever they differ in. The file "
        "`{collected}` lists their values and folders. By default it collects the tasks; `after` names another stage.",
        examples=["seed", ["seed", "lr"], "all"],
    )
    per: Literal["node"] | None = documented(
        default=None,
        description="`node`: each node that needs a run of the stage has one of its own. What comes after it uses that "
        "of the node where it runs, and its identity does not depend on the node.",
        examples=["node"],
    )
    outs: tuple[str, ...] | None = documented(
        default=None,
        description="Globs of the files in `{output}` that a run must leave: where one matches no file, the run has "
        "failed. Later stages on nodes that don't share the lab's folder get these files alone; `keep` does not limit "
        "them. No part of the stage's identity.",
        examples=["model.pt", ["model.pt", "plots/**"]],
    )
    retain: Retain | None = documented(
        default=None,
        description="`until-done`: once all tasks and runs of the plan that come directly after a run are done, its "
        "files are removed, but for outputs, live metrics and what `metrics` read. It stays done. If something needs "
        "it later, it runs again. By default `always`: nothing is removed.",
        examples=["until-done"],
    )
