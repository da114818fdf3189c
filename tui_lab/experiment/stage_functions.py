"""Functions of stages: which parameters and values of other stages become their arguments, and what else they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tui_lab.experiment.function import Function
from tui_lab.experiment.model import BUILT_IN
from tui_lab.experiment.readers.argument_values import ArgumentValues, check_values
from tui_lab.experiment.readers.function import SEED, Call, check_args, check_arguments, note_missing
from tui_lab.experiment.readers.stages import ALL
from tui_lab.experiment.record import Fields
from tui_lab.experiment.signature import Signature, SignatureError, read_signature
from tui_lab.experiment.stages import output_variable
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.portable.function.arguments import CONFIG

_CALLS = ("python", "args", "start_method")  # keys that say how a function is called


@dataclass(frozen=True)
class Taken:
    """What a function takes. parameters: in order; None where its source does not tell. built_in: built-in values, by
    the names of their placeholders. stages: arguments by the stage whose value they take."""

    parameters: tuple[str, ...] | None = None
    built_in: frozenset[str] = frozenset()
    stages: Mapping[str, str] = field(default_factory=dict)


class StageFunctions:
    """Reads the functions of stages, and notes what does not fit. recorded: their signatures as they were when the file
    was submitted; None where the file is the user's. signatures: what was found, by stage."""

    def __init__(
        self,
        r: Reader,
        given: Fields,
        parameters: Mapping[str, Keypath],
        recorded: Mapping[str, Signature] | None,
    ) -> None:
        self.r = r
        self.given = given
        self.parameters = parameters
        self.recorded = recorded
        self.signatures: dict[str, Signature] = {}

    def check_keys(self, name: str, own: Fields) -> None:
        """Note keys of a stage without a function that say how one is called."""
        for key in _CALLS:
            if own.get("function") is None and self.r.has(("stages", name, key)):
                self.r.add(("stages", name, key), f'"{key}" goes with "function"', at_key=True)

    def taken(self, name: str, own: Fields) -> Taken:
        """Return what the function of a stage takes, after noting what is wrong."""
        at: Keypath = ("stages", name)
        function: Function | None = own.get("function")
        if function is None:
            return Taken()
        args: Mapping[str, str] = own.get("args") or {}
        others = [one for one in self.given["stages"] if one != name]
        check_args(self.r, (*at, "args"), args, self.parameters, others)
        signature = self._signature(name, function)
        stages = self._stages(at, args, signature, others)
        asked = own.get("uses")
        if signature is None:
            if asked is None and self.recorded is None:
                what = f"the source of {function.text} does not tell what it takes"
                self.r.add((*at, "function"), what, "say which parameters: add uses: all, or uses: [NAME, ...]")
            return Taken(stages=stages)
        self.signatures[name] = signature
        chosen = [one for one in self.parameters if asked in (None, ALL) or one in asked]
        found = [one for one in chosen if self._takes(signature, args.get(one, one).split(".")[0])]
        if self.recorded is None:
            call = Call(function, signature, args, at, set(stages.values()))
            self._check(call, found)
            self._check_clashes(call, found, stages)
            if asked not in (None, ALL):
                self._check_uses(at, function, signature, asked, found)
        built_in = {one for one in args if one in BUILT_IN and one not in self.parameters}
        if args.get(SEED, SEED) in signature.names and SEED not in self.parameters:
            built_in.add(SEED)
        return Taken(tuple(found), frozenset(built_in), stages)

    def values(self, own: Fields, taken: Taken, after: tuple[str, ...]) -> Mapping[str, str]:
        """Return arguments by the stage whose value they take, or may take where the source does not tell."""
        if own.get("function") is None or taken.parameters is not None:
            return taken.stages
        return {**{one: one for one in after}, **taken.stages}

    def _stages(
        self, at: Keypath, args: Mapping[str, str], signature: Signature | None, others: list[str]
    ) -> dict[str, str]:
        """Return arguments by the stage whose value they take: by `args`, or of its name."""
        names = () if signature is None or signature.config else signature.names
        found: dict[str, str] = {}
        for stage in others:
            place = (*at, "args", stage)
            if stage in args and stage in self.parameters:
                self.r.add(place, f'"{stage}" is a parameter and a stage', "rename one of them", at_key=True)
            elif stage in args and stage not in BUILT_IN:
                found[stage] = args[stage]
                if "." in args[stage]:
                    self.r.add(place, "what a stage returns is an argument of its own, without a dot")
                elif signature is not None and signature.config:
                    hint = "what a stage returns needs an argument of its own"
                    self.r.add(place, f"all that the function takes are parameters in {CONFIG}", hint)
            elif stage in names and stage != args.get(SEED, SEED):
                found[stage] = stage
        for stage in found:
            alike = [one for one in others if one != stage and output_variable(one) == output_variable(stage)]
            if alike:
                what = f'"{stage}" and "{alike[0]}" have the same variable, {output_variable(stage)}'
                self.r.add(("stages", stage), what, "rename one of them", at_key=True)
        return found

    def _check_clashes(self, call: Call, passed: list[str], stages: Mapping[str, str]) -> None:
        """Note parameters and built-in values that are for the same argument as the value of a stage."""
        stage_of = {argument: stage for stage, argument in stages.items()}
        places = {name: self.parameters[name] for name in passed}
        places |= {one: (*call.at, "args", one) for one in call.args if one in BUILT_IN and one not in self.parameters}
        for name, place in places.items():
            argument = call.args.get(name, name).split(".")[0]
            if argument in stage_of:
                what = f'the argument "{argument}" of {call.function.text} takes what the stage "{stage_of[argument]}"'
                hint = "rename the parameter or the stage, or give one of them another argument by args"
                self.r.add(place, f"{what} returns, and this, too", hint, at_key=place[0] != "stages")

    def _signature(self, name: str, function: Function) -> Signature | None:
        if self.recorded is not None:
            return self.recorded.get(name)
        try:
            return read_signature(function, self.r.folder)
        except (OSError, SignatureError) as error:
            note_missing(self.r, ("stages", name, "function"), function, error)
            return Signature(takes_all=True)

    def _takes(self, signature: Signature, argument: str) -> bool:
        return signature.takes_all or argument in signature.names

    def _check(self, call: Call, passed: list[str]) -> None:
        places = {name: self.parameters[name] for name in passed}
        check_arguments(self.r, call, self.given, places)
        check_values(self.r, self.given, ArgumentValues(call.function, call.signature, call.args), self.parameters)

    def _check_uses(
        self, at: Keypath, function: Function, signature: Signature, asked: tuple[str, ...], found: list[str]
    ) -> None:
        single = self.r.node((*at, "uses")).kind == "scalar"
        for place, name in enumerate(asked):
            if name in self.parameters and name not in found:
                hint = suggest(name, signature.names) or f"it takes {', '.join(signature.names) or 'none'}"
                path = (*at, "uses") if single else (*at, "uses", place)
                self.r.add(path, f'{function.text} has no argument "{name}"', hint)
