"""Functions of stages: which parameters become their arguments, and what else they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tui_lab.experiment.function import Function
from tui_lab.experiment.model import BUILT_IN
from tui_lab.experiment.readers.argument_values import ArgumentValues, check_values
from tui_lab.experiment.readers.function import SEED, Call, check_args, check_arguments, note_missing
from tui_lab.experiment.readers.stages import ALL
from tui_lab.experiment.record import Fields
from tui_lab.experiment.signature import Signature, SignatureError, read_signature
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader

_CALLS = ("python", "args", "start_method")  # keys that say how a function is called


@dataclass(frozen=True)
class Taken:
    """What a function takes. parameters: in order. built_in: built-in values, by the names of their placeholders."""

    parameters: tuple[str, ...]
    built_in: frozenset[str]


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

    def taken(self, name: str, own: Fields) -> Taken | None:
        """Return what the function of a stage takes, after noting what is wrong; None where its source does not
        tell."""
        at: Keypath = ("stages", name)
        function: Function = own["function"]
        args: Mapping[str, str] = own.get("args") or {}
        check_args(self.r, (*at, "args"), args, self.parameters)
        signature = self._signature(name, function)
        asked = own.get("uses")
        if signature is None:
            if asked is None and self.recorded is None:
                what = f"the source of {function.text} does not tell what it takes"
                self.r.add((*at, "function"), what, "say which parameters: add uses: all, or uses: [NAME, ...]")
            return None
        self.signatures[name] = signature
        chosen = [one for one in self.parameters if asked in (None, ALL) or one in asked]
        found = [one for one in chosen if self._takes(signature, args.get(one, one).split(".")[0])]
        if self.recorded is None:
            self._check(Call(function, signature, args, at), found)
            if asked not in (None, ALL):
                self._check_uses(at, function, signature, asked, found)
        built_in = {one for one in args if one in BUILT_IN and one not in self.parameters}
        if args.get(SEED, SEED) in signature.names and SEED not in self.parameters:
            built_in.add(SEED)
        return Taken(tuple(found), frozenset(built_in))

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
