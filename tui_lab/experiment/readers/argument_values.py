"""Whether values of parameters are what the arguments of a function take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.function import Function
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.readers.sweep import sweep_paths
from tui_lab.experiment.record import Fields
from tui_lab.experiment.signature import Signature, fields_of, kind_within
from tui_lab.experiment.yaml.problem import Problem, SpecError, suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.portable.function.arguments import CONFIG
from tui_lab.portable.function.kinds import Either, Items, Kind, Misfit, written

_MOST: Final = 10_000  # values of a domain that are checked
_WITHIN: Final = 0.5  # stands for the draws of a continuum


class ArgumentValues:
    """Checks values by the annotations of a function. args: arguments by parameter, where they have other names."""

    def __init__(self, function: Function, signature: Signature, args: Mapping[str, str]) -> None:
        self.function = function
        self.signature = signature
        self.args = args

    def _place(self, name: str) -> tuple[str, list[str]]:
        """Return the argument that a parameter is for, and the names within it."""
        first, *rest = self.args.get(name, name).split(".")
        return (CONFIG, [first, *rest]) if self.signature.config else (first, rest)

    def kind(self, name: str) -> Kind | None:
        """Return what a parameter must be; None where a dataclass has no such field."""
        first, rest = self._place(name)
        argument = self.signature.argument(first)
        if argument is None or (self.signature.config and not fields_of(argument.kind)):
            return Kind()
        return kind_within(argument.kind, rest)

    def name_problem(self, name: str) -> tuple[str, str] | None:
        """Return message and hint where a dataclass has no field of a dotted name."""
        if self.kind(name) is not None:
            return None
        first, rest = self._place(name)
        argument = self.signature.argument(first)
        known = [] if argument is None else fields_of(argument.kind)
        hint = suggest(rest[0], known) or (f"it has {', '.join(known)}" if known else self._has(first))
        return f'"{first}" of {self.function.text} has no field "{rest[0]}"', hint

    def value_problem(self, name: str, value: Value) -> tuple[str, str] | None:
        """Return message and hint where a value is not what the argument takes."""
        first, _ = self._place(name)
        argument = self.signature.argument(first)
        kind = self.kind(name)
        if argument is None or kind is None or (value is None and not argument.required):
            return None
        try:
            kind.convert(value)
        except Misfit as error:
            return str(error), self._has(first)
        return None

    def wants_list(self, name: str) -> bool:
        """Return whether the argument takes a list."""
        kind = self.kind(name)
        return any(isinstance(one, Items) for one in (kind.kinds if isinstance(kind, Either) else [kind]))

    def _has(self, name: str) -> str:
        argument = self.signature.argument(name)
        return "" if argument is None else f"{self.function.text} has {name}: {argument.annotation}"


def check_overrides(experiment: Experiment, overrides: Mapping[str, Sequence[Value]]) -> None:
    """Check values of the command line. Raises SpecError."""
    problems: dict[str, Problem] = {}
    for one in experiment.per_stage:
        if one.function is None or one.signature is None:
            continue
        values = ArgumentValues(one.function, one.signature, one.args)
        for name, given in overrides.items():
            for value in given if name in one.passed_names else ():
                if problem := values.value_problem(name, value):
                    where = f"{name}={written(value)}"
                    problems.setdefault(where, Problem(where, 0, 0, *problem))
    if problems:
        raise SpecError([*problems.values()])


def check_values(r: Reader, given: Fields, values: ArgumentValues, parameters: Mapping[str, Keypath]) -> None:
    """Note values that are not what the arguments take, the first of each parameter, and unknown fields."""
    wrong: set[str] = set()
    for name, path in parameters.items():
        if problem := values.name_problem(name):
            wrong.add(name)
            r.add(path, *problem, at_key=True)
    sweeps: tuple[dict[str, Domain], ...] = given.get("parameters") or ()
    for sweep, path in zip(sweeps, sweep_paths(r), strict=False):
        for name, domain in sweep.items():
            if name not in wrong and not domain.bundles:
                _check_domain(r, values, name, domain, (*path, name))
            for inner in domain.inner_names:
                for value in domain.inner_values(inner, None):
                    if value is not None and (problem := values.value_problem(inner, value)):
                        r.add(parameters[inner], *problem)
                        break
    for name, value in (given.get("defaults") or {}).items():
        if name not in wrong and (problem := values.value_problem(name, value)):
            r.add(("defaults", name), *problem)


def _check_domain(r: Reader, values: ArgumentValues, name: str, domain: Domain, path: Keypath) -> None:
    if not domain.listed:
        listing: list[Value] = [_WITHIN if domain.size is None else 1]
    else:
        listing = [*islice(domain.listing(), _MOST)] if (domain.size or 0) <= 1_000_000 else []
    for place, value in enumerate(listing):
        problem = values.value_problem(name, value)
        if problem is None:
            continue
        message, hint = problem
        node = r.node(path)
        at = path
        if domain.as_written and node.kind == "list":
            at = (*path, place)
            if values.wants_list(name) and not isinstance(value, list):
                hint = f"{hint}; write [{r.document.source_of(node)}]" if hint else ""
        r.add(at, message, hint)
        return
