"""Stages that collect: a run of one covers all runs of an earlier stage that differ in nothing but some parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Final

from tui_lab.experiment.model import Repeat
from tui_lab.experiment.readers.stages import ALL
from tui_lab.experiment.record import Fields
from tui_lab.experiment.stages import COLLECTED, OUTPUT, REPEATS, Stage, differing, in_order
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

_OF_REPEATS: Final = ("seed", "repeat")  # names in `collect` that mean the repeats, where no parameter is called so


class Collecting:
    """Finds out what stages collect, and notes what is wrong. apart: the stages that collect, and those that come after
    one: no task depends on them."""

    def __init__(self, r: Reader, given: Fields, parameters: Collection[str]) -> None:
        self.r = r
        self.given = given
        self.parameters = parameters
        self.raw: dict[str, Fields] = given["stages"]
        self.asking = [name for name, own in self.raw.items() if own.get("collect")]
        self.apart: frozenset[str] = frozenset()

    def with_defaults(self, found: Mapping[str, Stage]) -> dict[str, Stage]:
        """Return the stages, with those before the ones that collect: without `after`, the last of the tasks."""
        apart = set(self.asking)
        while further := {name for name, stage in found.items() if apart & {*stage.after} and name not in apart}:
            apart |= further
        self.apart = frozenset(apart)
        others = in_order({name: stage.after for name, stage in found.items() if name not in apart})
        if others == [] and self.asking:
            name = self.asking[0]
            what = f'there is no stage whose runs "{name}" could collect'
            self.r.add(("stages", name, "collect"), what, "a task needs a stage that collects nothing")
        return {
            name: dataclasses.replace(
                stage,
                apart=name in apart,
                after=stage.after or ((others[-1],) if others and name in self.asking else ()),
            )
            for name, stage in found.items()
        }

    def ordered(self, order: Sequence[str]) -> list[str]:
        """Return the stages, each behind those that it comes after, but the tasks' own stage at the end."""
        tasks = [name for name in order if name not in self.apart]
        return [*tasks[:-1], *(name for name in order if name in self.apart), *tasks[-1:]]

    def check(self, found: dict[str, Stage], order: Sequence[str], used: Mapping[str, Set[str]]) -> None:
        """Take into `found` what is collected. order: the stages, each behind those that it comes after. used: all
        names that the placeholders of each stage use."""
        shared = {one for name, stage in found.items() if name not in self.apart for one in stage.uses}
        *_, last = (name for name in order if name not in self.apart)
        for name in order:
            if name not in self.apart:
                continue
            stage = found[name]
            for one in stage.uses:
                if one not in shared:
                    what = f'only the stage "{name}" uses "{one}", so tasks do not differ in it'
                    self.r.add(("stages", name), what, 'add it to the "uses" of a stage before', at_key=True)
            if name in self.asking:
                found[name] = stage = self._collecting(name, found)
                self._check_outputs(name, stage, used[name])
            if last in stage.single and (name not in self.asking or stage.collected is not None):
                what = f'"{name}" can\'t come after "{last}", whose runs are the tasks, but only collect them'
                self.r.add(("stages", name), what, at_key=True)
            repeated = REPEATS in differing(found)[name]
            found[name] = dataclasses.replace(stage, repeated=repeated)

    def _collecting(self, name: str, found: Mapping[str, Stage]) -> Stage:
        stage, asked = found[name], self.raw[name]["collect"]
        at: Keypath = ("stages", name, "collect")
        if isinstance(self.given.get("repeat"), Repeat):
            what = 'nothing can be collected with "until" of "repeat": how many repeats there are is not known before'
            self.r.add(at, what, "give repeat a number", at_key=True)
            return stage
        own = {*stage.uses, *([REPEATS] if stage.begins_repeats else [])}
        varying = differing(found)
        before = {other: varying[other] for other in stage.after}
        if asked == ALL:
            every = [*self.parameters, *(one for one in _OF_REPEATS[1:] if one not in self.parameters)]
            rest = frozenset().union(*before.values()) - own
            listed = [one for one in every if self._meant(one) in rest]
        else:
            listed = list(asked)
        places = dict(zip(listed, self._places(at, listed), strict=True))
        unknown = [one for one in listed if one not in self.parameters and one not in _OF_REPEATS]
        for one in unknown:
            hint = suggest(one, (*self.parameters, *_OF_REPEATS, ALL))
            self.r.add(places[one], f'there is no parameter "{one}"', hint)
        for one in listed:
            if self._meant(one) in own:
                what = f'the stage "{name}" uses {{{one}}} itself, so it can\'t collect runs that differ in it'
                self.r.add(places[one], what, "a run has one value of what it uses")
        wanted = {self._meant(one) for one in listed}
        these = [other for other, some in before.items() if some & wanted]
        if len(these) > 1:
            which = " and ".join(f'"{other}"' for other in these)
            what = f"{which} both differ in what is collected: a stage collects the runs of one"
            self.r.add(("stages", name), what, "let another stage collect the others", at_key=True)
        elif not unknown:
            what = these[0] if these else " or ".join(before)
            for one in listed:
                if not these or self._meant(one) not in before[these[0]]:
                    self.r.add(places[one], f'the runs of "{what}" do not differ in "{one}"', self._why(one, stage))
            if not listed:
                self.r.add(at, f'the runs of "{what}" differ in nothing that "{name}" does not use itself')
        collected = these[0] if len(these) == 1 else None
        return dataclasses.replace(stage, collect=tuple(listed), over=frozenset(wanted), collected=collected)

    def _places(self, at: Keypath, listed: Sequence[str]) -> list[Keypath]:
        single = self.r.node(at).kind == "scalar"
        return [at if single else (*at, place) for place, _ in enumerate(listed)]

    def _meant(self, name: str) -> str:
        return REPEATS if name in _OF_REPEATS and name not in self.parameters else name

    def _why(self, name: str, stage: Stage) -> str:
        if self._meant(name) == REPEATS:
            return "a stage before must use {seed} or {repeat}, or say per_repeat: true"
        if any(name in (own.get("unhashed") or ()) for own in (self.given, *self.raw.values())):
            return f'"{name}" is unhashed: tasks that differ in it alone are one task'
        return f'name a stage in "after" that uses {name}'

    def _check_outputs(self, name: str, stage: Stage, used: Set[str]) -> None:
        if stage.collected is not None and stage.collected + OUTPUT in used:
            what = f'{{{stage.collected}{OUTPUT}}} is one folder, and the stage "{name}" collects several'
            self.r.add(("stages", name, "command"), what, f"{{{COLLECTED}}} is a file that lists them")
