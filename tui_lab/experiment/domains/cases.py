"""`{cases: {NAME: {PARAMETER: VALUE}}}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.names import name_error
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader, described


class Cases(Domain):
    """Named bundles: the parameter takes the case's name, and each case sets further parameters."""

    kind: ClassVar[str] = "cases"
    example: ClassVar[str] = "{small: {layers: 2}, big: {layers: 8}}"
    schema: ClassVar[Schema] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "object", "minProperties": 1},
    }
    bundles: ClassVar[bool] = True
    cases: dict[str, dict[str, Value]]

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        node = r.node(path)
        if node.kind != "mapping":
            r.wrong(path, "a mapping of named cases")
            return None
        if not node.entries:
            r.add(path, f'"{cls.kind}" is empty', "give at least one case")
            return None
        cases: dict[str, dict[str, Value]] = {}
        fine = True
        for case in node.entries:
            at = (*path, case)
            if r.node(at).kind != "mapping":
                r.add(at, f'case "{case}" must be a mapping of parameters and values, not {described(r.node(at))}')
                fine = False
                continue
            for inner in r.keys(at):
                if error := name_error(inner):
                    r.add((*at, inner), *error, at_key=True)
                    fine = False
            cases[case] = r.plain(at)
        return cls(cases=cases) if fine and _same_names(r, path, cases) else None

    @classmethod
    def of_call(cls, function: str, arguments: str) -> str | None:
        return None

    @classmethod
    def inner_paths(cls, r: Reader, path: Keypath) -> Iterator[tuple[str, Keypath]]:
        for case in r.keys(path):
            for name in r.keys((*path, case)):
                yield name, (*path, case, name)

    @property
    def size(self) -> int:
        return len(self.cases)

    def listing(self) -> list[Value]:
        return list(self.cases)

    @property
    def inner_names(self) -> tuple[str, ...]:
        return tuple({name: None for case in self.cases.values() for name in case})

    def inner_values(self, name: str, default: Value) -> list[Value]:
        return [case.get(name, default) for case in self.cases.values()]

    def without(self, name: str) -> Domain:
        others = {case: {n: v for n, v in inner.items() if n != name} for case, inner in self.cases.items()}
        return Cases(cases=others)

    def chosen(self, places: Sequence[int]) -> Domain:
        cases = list(self.cases.items())
        return Cases(cases=dict(cases[i] for i in places))


def _same_names(r: Reader, path: Keypath, cases: dict[str, dict[str, Value]]) -> bool:
    """Whether all cases set the same parameters; the first case is the measure."""
    first, *others = cases
    expected = cases[first]
    fine = bool(expected)
    if not expected:
        r.add((*path, first), f'case "{first}" sets no parameter')
    for case in others:
        missing = [name for name in expected if name not in cases[case]]
        extra = [name for name in cases[case] if name not in expected]
        if missing or extra:
            fine = False
        for name in missing:
            near = suggest(name, extra).replace("did you mean", "or is it")
            r.add(
                (*path, case),
                f'case "{case}" does not set "{name}", but case "{first}" does',
                near,
                at_key=True,
            )
        for name in extra if not missing else ():
            r.add((*path, case, name), f'case "{case}" sets "{name}", but case "{first}" does not', at_key=True)
    return fine
