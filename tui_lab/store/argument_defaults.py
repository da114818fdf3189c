"""Defaults of a function's arguments, and of the fields of their dataclasses, as parts of a task's identity.

The default that an argument had when it was first seen is recorded in the plans, and stays out of keys: so an argument
that is added later, with a default, makes no task run again. Where the default is another by now, it joins the keys of
tasks that don't give the argument: they run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import BUILT_IN, Experiment
from tui_lab.portable.function.kinds import Kind, Misfit
from tui_lab.store.plan import Plan

Recorded: TypeAlias = dict[str, list[Value]]
"""By argument, or dotted field, its first default in a list; an empty one where it had none, or none that the source
tells."""
Names: TypeAlias = Callable[[], set[str]]
"""Returns the parameters of all plans so far."""


@dataclass(frozen=True)
class ArgumentDefaults:
    """The first and the present defaults of a function's arguments, by the parameters that give them."""

    first: Mapping[str, Value] = field(default_factory=dict)
    changed: Mapping[str, Value] = field(default_factory=dict)
    """The present default where it is another than the first."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def in_key(self, name: str, value: Value) -> Value:
        """Return what a parameter's value is in a key: null where it is left out."""
        if value is None:
            return self.changed.get(name)
        return None if name in self.first and self._same(name, value) else value

    def _same(self, name: str, value: Value) -> bool:
        first = self.first[name]
        return canonical(value) == canonical(first) or canonical(self._as_taken(name, value)) == canonical(
            self._as_taken(name, first)
        )

    def _as_taken(self, name: str, value: Value) -> Value:
        """Return a number as the function gets it: 1 is 1.0 for a float; a member of an Enum by its name."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return value
        try:
            found: Value = self.kinds.get(name, Kind()).convert(value)
        except Misfit:
            return value
        return found


def record(experiment: Experiment, previous: Plan | None, names: Names) -> tuple[Recorded, ArgumentDefaults]:
    """Return what the next plan records, and how keys are made. previous: the newest plan."""
    if experiment.function is None or experiment.stage is not None:
        return {}, ArgumentDefaults()
    recorded: Recorded = {} if previous is None else dict(previous.about.get("first_defaults") or {})
    return _record(experiment, recorded, set() if previous is None else {*previous.names}, names)


def record_stages(
    experiment: Experiment, previous: Plan | None, names: Names
) -> tuple[dict[str, Recorded], dict[str, ArgumentDefaults]]:
    """Return the same for each stage that calls a function."""
    known = {} if previous is None else previous.about.get("stage_defaults") or {}
    found = {
        one.stage: _record(one, dict(known.get(one.stage) or {}), _held_before(one.stage, previous), names)
        for one in experiment.per_stage
        if one.stage is not None and one.function is not None
    }
    return {name: one for name, (one, _) in found.items()}, {name: one for name, (_, one) in found.items()}


def _held_before(stage: str, previous: Plan | None) -> set[str]:
    """Return the parameters that keys of a stage may have held without a record of the arguments."""
    if previous is None or f"stage {stage}" not in previous.about["components"]:
        return set()
    signature = previous.signatures.get(stage)
    return {*previous.names} if signature is None or signature.takes_all else set()


def _record(
    experiment: Experiment, recorded: Recorded, before: set[str], names: Names
) -> tuple[Recorded, ArgumentDefaults]:
    """Return what is recorded of a function from now on, and how keys are made. before: parameters that keys have held
    so far."""
    signature = experiment.signature
    parameters = {argument: name for name, argument in experiment.args.items()}
    first: dict[str, Value] = {}
    changed: dict[str, Value] = {}
    kinds: dict[str, Kind] = {}
    found = {one.name: one for one in _defaults(experiment)}
    for one in found.values():
        name = parameters.get(one.name, one.name)
        if one.name not in recorded:
            # What keys have held so far stays in them.
            held = name in (names() if one.is_field else before)
            recorded[one.name] = [] if held else list(one.literal)
        if recorded[one.name] and one.literal:
            kinds[name] = one.kind
            if canonical(one.literal[0]) != canonical(recorded[one.name][0]):
                changed[name] = one.literal[0]
    for one_name, default in recorded.items():
        # A field counts as long as leaving it out means its default.
        gone = signature is not None and (signature.config or "." in one_name) and one_name not in found
        if default and not gone:
            first[parameters.get(one_name, one_name)] = default[0]
    return recorded, ArgumentDefaults(first, changed, kinds)


@dataclass(frozen=True)
class _Default:
    """What a parameter may leave out: an argument, or a field. literal: its default in a tuple, where that is known."""

    name: str
    kind: Kind
    literal: tuple[Value, ...]
    is_field: bool = False


def _defaults(experiment: Experiment) -> Iterator[_Default]:
    """Yield the arguments that tasks need not give, and the fields that have defaults."""
    signature = experiment.signature
    always = {
        experiment.args.get(name, name) for name in ("seed", *BUILT_IN) if name == "seed" or name in experiment.args
    }
    always |= {*experiment.values_before.values()}
    for argument in () if signature is None else signature.arguments:
        if argument.name in always:
            continue  # every task gives it
        if signature is not None and not signature.config:
            yield _Default(argument.name, argument.kind, argument.literal)
        for field_name, (kind, default) in argument.fields.items():
            name = field_name if signature is not None and signature.config else f"{argument.name}.{field_name}"
            yield _Default(name, kind, (default,), is_field=True)
