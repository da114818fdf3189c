"""What the stages of a file are together: what each uses, what it comes after, and where repeats begin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from tui_lab.experiment import checks
from tui_lab.experiment.collecting import Collecting
from tui_lab.experiment.keys import STAGE_KEYS
from tui_lab.experiment.metric import Metric, Rows
from tui_lab.experiment.model import BUILT_IN, Experiment, Repeat
from tui_lab.experiment.programs import calls_functions
from tui_lab.experiment.readers.needs import check_needs
from tui_lab.experiment.readers.stages import ALL
from tui_lab.experiment.record import Fields
from tui_lab.experiment.shell.command import compile_command
from tui_lab.experiment.shell.placeholders import PlaceholderError
from tui_lab.experiment.signature import Signature
from tui_lab.experiment.sources.kinds import RETURNED
from tui_lab.experiment.stage_functions import StageFunctions
from tui_lab.experiment.stages import COLLECTED, MERGED, OUTPUT, Stage, cycle, in_order
from tui_lab.experiment.uses import PARAMS_VARIABLE, SEED_VARIABLE, Uses
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

_ONLY_AT_A_STAGE: Final = ("command", "function", "args", "files", "per_repeat")
_OF_FUNCTIONS: Final = ("python", "start_method")
_OF_ONE_TASK: Final = ("task_id",)  # placeholders of tasks, which stages that they share can't have


def check_exclusive(r: Reader) -> None:
    """Note keys of the experiment that only its stages may have, and those that no stage takes up."""
    for key in _ONLY_AT_A_STAGE:
        if r.has((key,)):
            r.add((key,), f'with "stages", "{key}" stands at a stage', "move it there", at_key=True)
    for key in _OF_FUNCTIONS:
        if r.has((key,)) and not calls_functions(r):
            r.add((key,), f'"{key}" goes with "function", which no stage has', at_key=True)


def check_stages_of_metrics(r: Reader, given: Fields) -> None:
    """Note metrics of stages that do not exist, or whose values are not read from outputs."""
    stages: Mapping[str, Fields] = given.get("stages") or {}
    for name, metric in (given.get("metrics") or {}).items():
        if metric.stage is None:
            continue
        at = ("metrics", name, "stage")
        if not stages:
            r.add(at, "there are no stages", 'the key "stages" has them')
        elif metric.stage not in stages:
            hint = suggest(metric.stage, stages) or f"it is one of {', '.join(stages)}"
            r.add(at, f'there is no stage "{metric.stage}"', hint)
        elif metric.source.expression is not None:
            hint = "leave it out: what is computed from values that tasks share is shared, too"
            r.add(at, f'"{metric.source.kind}" does not read the outputs of a stage', hint, at_key=True)


def check_executed_metrics(r: Reader, given: Fields, stages: Mapping[str, Stage]) -> None:
    """Note metrics that execute something which finds no files in the folder of a run any more, and placeholders in
    their commands that the runs of their stage have no value for."""
    parameters = checks.mentioned_names(r)
    for name, metric in (given.get("metrics") or {}).items():
        stage, text = stages.get(metric.stage or ""), metric.source.command
        if stage is None or metric.source.file is not None or metric.stage == list(stages)[-1]:
            continue
        if stage.retain != "always":
            what = f'"{metric.source.kind}" may come too late: files of "{metric.stage}" are removed once it is done'
            r.add(("metrics", name, "stage"), what, f"read a file or an output, or leave out retain: {stage.retain}")
        if text is None:
            continue
        known = (*parameters, *BUILT_IN, *metric.source.names)
        with suppress(PlaceholderError):  # which is noted already
            for one in dict.fromkeys(compile_command(text, known).names):
                if _has(stage, one, one in parameters):
                    continue
                what = f'{{{one}}} has no value here: the stage "{metric.stage}" does not use it'
                hint = "tasks that share a run of it may differ there"
                r.add(("metrics", name, metric.source.kind), what, hint, offset=text.index("{" + one))


def _has(stage: Stage, name: str, parameter: bool) -> bool:
    """Return whether the runs of a stage have a value of a name: of a parameter, or a built-in one."""
    if parameter:
        return name in stage.uses
    return name not in _OF_ONE_TASK and (name != "seed" or stage.takes_seed) and (name != "repeat" or stage.repeated)


def check_returned(r: Reader, given: Fields, stages: Mapping[str, Stage]) -> None:
    """Note metrics and rows that a function returns, of stages that run a command."""
    last = list(stages)[-1]
    read: dict[Keypath, str] = {
        ("metrics", name): one.stage or last for name, one in (given.get("metrics") or {}).items() if _is_returned(one)
    }
    if given.get("rows") is not None and _is_returned(given["rows"]):
        read["rows",] = last
    for at, stage in read.items():
        if stage in stages and stages[stage].own["function"] is None:
            r.add(at, f'"{RETURNED}" goes with "function", and the stage "{stage}" runs a command', at_key=True)


def _is_returned(one: Metric | Rows) -> bool:
    return one.source.kind == RETURNED


class Stages:
    """Finds out what the stages use, and notes what is wrong. names: the parameters that any of them uses. recorded:
    the signatures of functions, where the file is a lab's copy."""

    def __init__(
        self,
        r: Reader,
        given: Fields,
        texts: Mapping[str, Mapping[str, str]],
        recorded: Mapping[str, Signature] | None,
    ) -> None:
        self.r = r
        self.given = given
        self.texts = texts
        self.raw: dict[str, Fields] = given["stages"]
        self.parameters = checks.mentioned_names(r)
        self.collecting = Collecting(r, given, self.parameters)
        self.functions = StageFunctions(r, given, self.parameters, recorded)
        self.outputs = {name + OUTPUT: name for name in self.raw}
        self.names: set[str] = set()
        self.takes_all = False
        self.notices: list[str] = []
        self._used: dict[str, set[str]] = {}  # all names that the placeholders of a stage use
        self._shared = {key.name: self._names_in({key.name: given.get(key.name)}, ()) for key in STAGE_KEYS}

    def resolved(self) -> dict[str, Stage]:
        """Return the stages, each behind those that it comes after; empty where something is wrong."""
        before = len(self.r.problems)
        for output, stage in self.outputs.items():
            if output in self.parameters:
                what = f'the parameter "{output}" is called like the folder of the stage "{stage}"'
                self.r.add(self.parameters[output], what, at_key=True)
        found = self.collecting.with_defaults({name: self._stage(name, own) for name, own in self.raw.items()})
        after = {name: stage.after for name, stage in found.items()}
        order = in_order(after)
        if order is None:
            way = cycle(after)
            what = f"these stages wait for each other: {' -> '.join(reversed(way))}"
            self.r.add(("stages", way[0]), what, at_key=True)
        if order is None or len(self.r.problems) > before:
            return {}
        found = {name: found[name] for name in self.collecting.ordered(order)}
        self._check_retained(found)
        self._check_per_node(found)
        self._join(found)
        for name, stage in found.items():
            repeated = stage.begins_repeats or any(found[other].repeated for other in stage.linked)
            found[name] = dataclasses.replace(stage, repeated=repeated)
        self.collecting.check(found, order, self._used)
        self._check_shared(found)
        self._check_repeats(found)
        return found

    def _stage(self, name: str, own: Fields) -> Stage:
        at: Keypath = ("stages", name)
        used = self._names_in(own, at, name)
        for key, names in self._shared.items():
            if own.get(key) is None or key in MERGED:
                used |= names
        self.functions.check_keys(name, own)
        taken = self.functions.taken(name, own)
        passed = taken.parameters or ()
        used |= taken.built_in
        self._used[name] = used
        asked = own.get("uses")
        named = [parameter for parameter in self.parameters if parameter in used]
        if asked == ALL:
            uses = tuple(self.parameters)
            self.takes_all = True
        elif asked is None:
            uses = tuple(parameter for parameter in self.parameters if parameter in (*named, *passed))
            self._check_params(at, own, used)
        else:
            uses = tuple(parameter for parameter in self.parameters if parameter in asked)
            self._check_uses(at, asked, named)
        self.names.update(uses)
        commands = _texts(own.get("command"))
        per_repeat = bool(own.get("per_repeat"))
        built_in = used - set(self.parameters)  # a parameter of the name takes the place of a built-in value
        takes_seed = "seed" not in self.parameters and (
            per_repeat or "seed" in built_in or any(SEED_VARIABLE in text for text in commands)
        )
        after = self._after(at, own, used, taken.stages)
        return Stage(
            uses=uses,
            after=after,
            takes_seed=takes_seed,
            begins_repeats=per_repeat or takes_seed or "repeat" in built_in,
            outs=self._outs(at, own),
            per_node=self._per_node(at, own),
            retain=own.get("retain") or "always",
            passed=taken.parameters,
            values=self.functions.values(own, taken, after),
            own=self._filled(own),
        )

    def _names_in(self, own: Fields, at: Keypath, stage: str = "") -> set[str]:
        """Return the names that placeholders among some keys use."""
        further = (*self.outputs, *((COLLECTED,) if own.get("collect") else ()))
        uses = Uses(self.r, self.parameters, at, further)
        fields = {key: value for key, value in own.items() if value is not None}
        if not at and not fields:
            return set()
        uses.read(fields, self.texts.get(stage, {}))
        self.notices += uses.notices
        if at:
            check_needs(self.r, {**self.given, "needs": None, **fields}, uses.known, at)
        return uses.names

    def _after(self, at: Keypath, own: Fields, used: Iterable[str], taken: Iterable[str]) -> tuple[str, ...]:
        name = str(at[-1])
        found = dict.fromkeys([*(self.outputs[one] for one in self.outputs if one in used), *taken])
        if name in found:
            self.r.add((*at, "command"), f"{{{name}{OUTPUT}}} is the stage's own folder", "write {output}")
            del found[name]
        single = self.r.has((*at, "after")) and self.r.node((*at, "after")).kind == "scalar"
        for i, other in enumerate(own.get("after") or ()):
            place = (*at, "after") if single else (*at, "after", i)
            if other not in self.raw:
                hint = suggest(other, self.raw) or f"it is one of {', '.join(self.raw)}"
                self.r.add(place, f'there is no stage "{other}"', hint)
            elif other == name:
                self.r.add(place, f'the stage "{name}" can\'t come after itself')
            else:
                found[other] = None
        return tuple(one for one in self.raw if one in found)

    def _outs(self, at: Keypath, own: Fields) -> tuple[str, ...]:
        found: tuple[str, ...] = own.get("outs") or ()
        single = self.r.has((*at, "outs")) and self.r.node((*at, "outs")).kind == "scalar"
        for i, glob in enumerate(found):
            for name in (*self.parameters, *BUILT_IN):
                if "{" + name + "}" in glob:
                    place = (*at, "outs") if single else (*at, "outs", i)
                    self.r.add(place, f'"outs" are globs, without values of parameters: {{{name}}}', "write * for it")
        return found

    def _per_node(self, at: Keypath, own: Fields) -> bool:
        if own.get("per") is None:
            return False
        if own.get("run_on"):
            hint = 'what comes after it says where, by a "run_on" of its own'
            self.r.add((*at, "run_on"), "a run for each node goes to the nodes that need it", hint, at_key=True)
        if own.get("retain") not in (None, "always"):
            what = "the runs of the nodes keep their files: another task may need them"
            self.r.add((*at, "retain"), what, at_key=True)
        return True

    def _check_uses(self, at: Keypath, asked: tuple[str, ...], named: Iterable[str]) -> None:
        single = self.r.node((*at, "uses")).kind == "scalar"
        for i, name in enumerate(asked):
            if name not in self.parameters:
                place = (*at, "uses") if single else (*at, "uses", i)
                self.r.add(place, f'there is no parameter "{name}"', suggest(name, (*self.parameters, ALL)))
        for name in named:
            if name not in asked:
                what = f'the stage "{at[-1]}" takes {{{name}}}, which its "uses" does not name'
                self.r.add((*at, "uses"), what, f"add {name} to it, or leave it out: what a stage names, it uses")

    def _check_params(self, at: Keypath, own: Fields, used: Iterable[str]) -> None:
        """A stage that reads all its parameters must say which these are."""
        texts = _texts(own.get("command"))
        if "params" in used or any(PARAMS_VARIABLE in text for text in texts):
            what = f'the stage "{at[-1]}" reads its parameters from a file or {PARAMS_VARIABLE}'
            place = "function" if own.get("function") is not None else "command"
            self.r.add((*at, place), what, "say which: add uses: all, or uses: [NAME, ...]")

    def _filled(self, own: Fields) -> Fields:
        """Return the keys of a stage: its own, else those of the experiment, else the defaults."""
        defaults = {field.name: field for field in dataclasses.fields(Experiment)}
        found: Fields = {}
        for key in STAGE_KEYS:
            name = key.name
            value = own.get(name) if own.get(name) is not None else self.given.get(name)
            if name in MERGED:
                value = {**(self.given.get(name) or {}), **(own.get(name) or {})}
            if value is None:
                value = _default(defaults[name])
            found[name] = value
        return found

    def _join(self, found: dict[str, Stage]) -> None:
        """Put all others that none comes after beside the last stage: a task is done once all of them are."""
        last = list(found)[-1]
        tasks = {name: stage for name, stage in found.items() if not stage.apart}
        waited_for = {other for stage in tasks.values() for other in stage.after}
        others = tuple(name for name in tasks if name != last and name not in waited_for)
        found[last] = dataclasses.replace(found[last], beside=others)

    def _check_per_node(self, found: Mapping[str, Stage]) -> None:
        needed = {other for stage in found.values() for other in stage.after}
        for name, stage in found.items():
            if stage.per_node and name not in needed:
                what = f'nothing comes after the stage "{name}": a task is one run, not one for each node'
                self.r.add(("stages", name, "per"), what, at_key=True)
            elif stage.collected is not None and (stage.per_node or found[stage.collected].per_node):
                what = f'the stage "{name}" can\'t collect runs that each node has of its own'
                if stage.per_node:
                    what = f'the stage "{name}" collects: it is one run, not one for each node'
                self.r.add(("stages", name, "collect"), what, at_key=True)

    def _check_shared(self, found: Mapping[str, Stage]) -> None:
        for name in list(found)[:-1]:
            for one in sorted(self._used[name] & set(_OF_ONE_TASK) - set(self.parameters)):
                what = f'{{{one}}} can\'t stand at the stage "{name}": several tasks share a run of it'
                place = ("args", one) if self.raw[name].get("function") is not None else ("command",)
                self.r.add(("stages", name, *place), what, "{output} is a folder of the run's own")

    def _check_retained(self, found: Mapping[str, Stage]) -> None:
        """Something must come after a stage whose files are removed then."""
        waited_for = {other for stage in found.values() for other in stage.after}
        last = list(found)[-1]
        for name, stage in found.items():
            if stage.retain != "always" and (name not in waited_for or name == last):
                what = f'no stage comes after "{name}": its files are results of tasks'
                self.r.add(("stages", name, "retain"), what, "leave retain out; `tui-lab clean` removes files of tasks")

    def _check_repeats(self, found: Mapping[str, Stage]) -> None:
        repeat = self.given.get("repeat")
        several = isinstance(repeat, Repeat) or (isinstance(repeat, int) and repeat > 1)
        if several and not any(stage.begins_repeats and not stage.apart for stage in found.values()):
            what = "no stage uses {seed} or {repeat}, so all repeats of a task would be the same"
            self.r.add(("repeat",), what, "add per_repeat: true to the stage at which they begin")
        if self.given.get("seed") is not None and not any(stage.takes_seed for stage in found.values()):
            what = "no stage uses the seed"
            self.r.add(("seed",), what, "a stage that uses it has {seed} in its command, or says per_repeat: true")


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _texts(command: object) -> tuple[str, ...]:
    if isinstance(command, dict):
        return tuple(command.values())
    return (command,) if isinstance(command, str) else tuple(command or ())  # type: ignore[arg-type]
