"""Values from the command line (`lr=0.1,0.2`) in place of those of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tui_lab.spec.axes import inner_names
from tui_lab.spec.domains import as_floats, listing, same_numbers
from tui_lab.spec.model import Experiment
from tui_lab.spec.problem import Problem, SpecError, suggest
from tui_lab.spec.values import Cases, Domain, Listed, LogUniform, RandInt, Uniform, Value


@dataclass(frozen=True)
class Plan:
    """What an experiment sweeps: its mappings, defaults and zipped groups, and its parameters in order."""

    mappings: tuple[Mapping[str, Domain], ...]
    defaults: Mapping[str, Value]
    groups: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]


def plan(experiment: Experiment, overrides: Mapping[str, Sequence[Value]]) -> Plan:
    """The experiment's plan with the values that `overrides` names.

    The values replace the parameter's domain in every mapping that has it, or its default if only that is
    there (several values then cross with everything else). Integers become floats where the file's numbers
    are floats, so that `lr=1` finds the tasks of `lr: [1.0, 0.5]`.

    - In a zipped group, as many values as the group has take the place of the old ones; a single value is
      held fixed while the others advance without it; any other number is a problem.
    - The values of a parameter with `cases` are names of cases: those are kept.
    - A parameter that cases set leaves the bundle and crosses with the cases.

    Raises SpecError for unknown names and unknown cases, whose place is the override as it was written.
    """
    mappings = experiment.parameters or ({},)
    names: dict[str, None] = {}
    for mapping in mappings:
        for name, domain in mapping.items():
            names.update(dict.fromkeys((name, *inner_names(domain))))
    names.update(dict.fromkeys(experiment.defaults))
    result = Plan(mappings, experiment.defaults, experiment.zip, tuple(names))
    problems = []
    for name, given in overrides.items():
        written = f"{name}={','.join(map(str, given))}"
        if name in experiment.derive:
            problems.append(Problem(written, 0, 0, f'"{name}" is derived from other parameters: set those'))
        elif name not in names:
            problems.append(
                Problem(written, 0, 0, f'{experiment.file} has no parameter "{name}"', suggest(name, names))
            )
        elif not given:
            problems.append(Problem(written, 0, 0, "give at least one value"))
        else:
            problems.extend(_unknown_cases(result, name, given, written))
            result = _override(result, name, list(given))
    if problems:
        raise SpecError(problems)
    return result


def _unknown_cases(old: Plan, name: str, given: Sequence[Value], written: str) -> list[Problem]:
    bundles = [m[name] for m in old.mappings if isinstance(m.get(name), Cases)]
    if not bundles:
        return []
    known = {case for bundle in bundles if isinstance(bundle, Cases) for case in bundle.cases}
    unknown = [value for value in given if value not in known]
    hint = suggest(str(unknown[0]), known) if unknown else ""
    return [Problem(written, 0, 0, f'"{name}" has no case "{value}"', hint) for value in unknown[:1]]


def _override(old: Plan, name: str, given: list[Value]) -> Plan:
    if not any(name in m or any(name in inner_names(d) for d in m.values()) for m in old.mappings):
        default = Listed(values=tuple(_like(Listed(values=(old.defaults[name],)), given)))
        return replace(old, mappings=tuple({**mapping, name: default} for mapping in old.mappings))
    groups = old.groups
    if len(given) == 1:
        groups = tuple(tuple(member for member in group if member != name) for group in groups)
    return replace(old, mappings=tuple(_replaced(m, name, given) for m in old.mappings), groups=groups)


def _replaced(mapping: Mapping[str, Domain], name: str, given: list[Value]) -> dict[str, Domain]:
    result: dict[str, Domain] = {}
    for key, domain in mapping.items():
        if isinstance(domain, Cases) and key == name:
            result[key] = Cases(cases={str(v): domain.cases[str(v)] for v in given if str(v) in domain.cases})
        elif isinstance(domain, Cases) and name in inner_names(domain):
            others = {case: {n: v for n, v in inner.items() if n != name} for case, inner in domain.cases.items()}
            before = Listed(values=tuple(inner[name] for inner in domain.cases.values() if name in inner))
            result[key] = Cases(cases=others)
            result[name] = Listed(values=tuple(_like(before, given)))
        elif key == name:
            result[key] = Listed(values=tuple(_like(domain, given)))
        else:
            result[key] = domain
    return result


def _like(domain: Domain, given: list[Value]) -> list[Value]:
    """The values, with integers as floats where the numbers of the domain are floats."""
    if isinstance(domain, RandInt):
        return same_numbers(given)
    floats = isinstance(domain, (Uniform, LogUniform)) or any(isinstance(v, float) for v in listing(domain))
    return as_floats(given) if floats else same_numbers(given)
