"""Values from the command line (`lr=0.1,0.2`) in place of those of the file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tui_lab.experiment.domains.domain import Domain, Listed, in_kind_of
from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.reader import called_like, read_domain
from tui_lab.experiment.domains.values import identity
from tui_lab.experiment.lookalikes import looks_like_value, stranger
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.document import Document, Node
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import Problem, SpecError, suggest
from tui_lab.experiment.yaml.reader import Reader

# --- What stands behind `name=`

_SIGNS: Final = ("[", "{", '"', "'", "&", "*", "!")  # with which YAML begins something else than a plain text
_NUMBERS: Final = re.compile(r"[-+]?\.?\d\S*(?:\s+[-+]?\.?\d\S*)+")


def read_values(name: str, text: str) -> list[Value]:
    """The values that `name=text` gives: a list as YAML writes it inside brackets, a domain that can be listed as the
    file has it, or one text, taken as it is. Raises SpecError for what can be read in several ways."""
    written = f"{name}={text}"

    def wrong(message: str, hint: str) -> SpecError:
        return SpecError([Problem(written, 0, 0, message, hint)])

    quoted = "in quotes it is one text: " + shlex.quote(f"{name}={json.dumps(text, ensure_ascii=False)}")
    if not text.isprintable():
        return [text]  # YAML would fold its lines
    if called := called_like(text):
        raise wrong("this is not a domain", f"write '{name}={{{called[0]}: [{called[1]}]}}'")
    try:
        document = parse(f"[{text}]", "")
    except SpecError as error:
        if re.search(r"(^|,)\s*(,|$)", text):
            raise wrong("there is an empty value", f'write it as "", or without the comma; {quoted}') from None
        if text.startswith(("*", "&", "!")):  # the parser tells of the brackets that are ours
            raise wrong(f"YAML reads {text} as something other than text", quoted) from None
        if "," in text or text.startswith(_SIGNS):
            raise wrong(f"this is neither a list of values nor a text: {error.problems[0].message}", quoted) from None
        return [text]
    root = document.root
    if root is None or root.kind != "list" or document.problems:
        raise wrong("this is neither a list of values nor a text", quoted)
    if not root.items:
        return [text]
    if any(item.kind == "mapping" and not document.source_of(item).startswith("{") for item in root.items):
        if len(root.items) == 1 and not text.startswith(_SIGNS):
            return [text]  # `a: b`
        raise wrong("this is neither a list of values nor a text", quoted)
    if _left(document, root).count(",") != len(root.items) - 1:
        raise wrong("there is an empty value", f'write it as "", or without the comma; {quoted}')
    for item in root.items:
        if document.is_bare_set(item):
            raise wrong(f"YAML reads {document.source_of(item)} as a mapping", quoted)
        if item.kind == "scalar" and item.style is None:
            source = document.source_of(item)
            if item.text != source and not source.startswith("!!"):
                raise wrong(f"YAML reads {source} as something other than text", quoted)
            last = item is root.items[-1]
            if not last and (source.endswith("\\") or _is_open(source)):
                raise wrong(f"the comma after {source} separates two values", quoted)
            if last and len(root.items) > 1 and _is_open(source):
                raise wrong(f"{source} is incomplete", quoted)
            if looks_like_value(source):
                raise wrong(f"{source} is a text: it holds {stranger(source)}", quoted)
            if _NUMBERS.fullmatch(source):
                raise wrong(
                    "this is one text", f"several values are given as {name}={','.join(source.split())}; {quoted}"
                )
    domains = [item for item in root.items if item.kind == "mapping" and len(item.entries) == 1]
    domains = [item for item in domains if (kind := next(iter(item.entries))) in KINDS or suggest(kind, KINDS)]
    if domains and len(root.items) > 1:
        raise wrong("a domain can't stand beside other values", f"give it alone, or list its values: {name}=1,2,3")
    if domains:
        return _listed(written, document)
    values: list[Value] = root.plain()
    return values


def _is_open(text: str) -> bool:
    """Whether a bracket of a text has no counterpart in it."""
    return any(text.count(first) != text.count(second) for first, second in ("()", "[]", "{}"))


def _left(document: Document, root: Node) -> str:
    """What a list has between its items."""
    source, at, left = document.text.source, root.start, ""
    for item in root.items:
        left += source[at : item.start]
        at = item.end
    return left + source[at : root.end]


def _listed(written: str, document: Document) -> list[Value]:
    """The values of a domain. Raises SpecError."""
    reader = Reader(document, Path())
    domain = read_domain(reader, (0,))
    if domain is None:
        raise SpecError([replace(problem, file=written, line=0, column=0) for problem in reader.problems])
    if domain.drawn or domain.bundles:
        message = f'"{domain.kind}" is possible only in the file'
        *some, last = (kind for kind, member in KINDS.own.items() if not (member.drawn or member.bundles))
        hint = f"on the command line, give values, or a {', '.join(some)} or {last}"
        raise SpecError([Problem(written, 0, 0, message, hint)])
    return domain.listing()


# --- The values in the plan


@dataclass(frozen=True)
class Plan:
    """What an experiment sweeps: its mappings, defaults and zipped groups, and its parameters in order."""

    mappings: tuple[Mapping[str, Domain], ...]
    defaults: Mapping[str, Value]
    groups: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]


def plan(experiment: Experiment, overrides: Mapping[str, Sequence[Value]]) -> Plan:
    """The experiment's plan with the values that `overrides` names.

    Values that the file lists choose those of its combinations that have them: in a union of mappings, in zipped
    groups and in cases, no combination comes up that the file does not have. Values that no mapping lists take the
    place of the parameter's domain in every mapping that has it, or of its default if only that is there (several
    values then cross with everything else). Integers become floats where the file's numbers are floats, so that
    `lr=1` finds the tasks of `lr: [1.0, 0.5]`.

    - In a zipped group, as many new values as the group has take the place of the old ones; a single one is held
      fixed while the others advance without it; any other number is a problem.
    - The values of a parameter with `cases` are names of cases. A new value of a parameter that cases set crosses
      with the cases.

    Raises SpecError for unknown names and unknown cases, whose place is the override as it was written.
    """
    mappings = experiment.parameters or ({},)
    names: dict[str, None] = {}
    for mapping in mappings:
        for name, domain in mapping.items():
            names.update(dict.fromkeys((name, *domain.inner_names)))
    names.update(dict.fromkeys(experiment.defaults))
    result = Plan(mappings, experiment.defaults, experiment.zip, tuple(names))
    problems = []
    for name, given in overrides.items():
        written = f"{name}={','.join(map(str, given))}"
        if name in experiment.derive:
            problems.append(Problem(written, 0, 0, f'"{name}" is derived from other parameters: set those'))
        elif name not in names:
            hint = suggest(name, names) or _argument_hint(experiment, name)
            problems.append(Problem(written, 0, 0, f'{experiment.file} has no parameter "{name}"', hint))
        elif not given:
            problems.append(Problem(written, 0, 0, "give at least one value"))
        else:
            problems.extend(_unknown_cases(mappings, name, given, written))
            result = _override(result, name, list(given), mappings)
    if problems:
        raise SpecError(problems)
    return result


def _argument_hint(experiment: Experiment, name: str) -> str:
    """Return what to do where a function takes an argument that the file does not give."""
    signatures = [one for one in (experiment.signature, *experiment.origin.stage_signatures.values()) if one]
    takes = any(name.partition(".")[0] in signature.names for signature in signatures)
    return "the function takes it: give it a value under `defaults` first" if takes else ""


def _unknown_cases(
    mappings: Sequence[Mapping[str, Domain]], name: str, given: Sequence[Value], written: str
) -> list[Problem]:
    bundles = [m[name] for m in mappings if name in m and m[name].bundles]
    if not bundles:
        return []
    known = {str(case) for bundle in bundles for case in bundle.listing()}
    unknown = [value for value in given if value not in known]
    hint = suggest(str(unknown[0]), known) if unknown else ""
    return [Problem(written, 0, 0, f'"{name}" has no case "{value}"', hint) for value in unknown[:1]]


def _override(old: Plan, name: str, given: list[Value], file: Sequence[Mapping[str, Domain]]) -> Plan:
    """file: the mappings as they were written; those of `old` may be fewer."""
    if not any(_has(mapping, name) for mapping in old.mappings):
        domains = [mapping[name] for mapping in file if name in mapping]
        known = [old.defaults[name]] if name in old.defaults else []
        known += [value for mapping in file for value in _offered(mapping, name, {}) or [] if value is not None]
        domain: Domain = Listed(values=tuple(in_kind_of(known, given)))
        if domains and domains[0].bundles:
            domain = domains[0].chosen(_positions(domains[0].listing(), given))
        return replace(old, mappings=tuple({**mapping, name: domain} for mapping in old.mappings))
    offered = [_offered(mapping, name, old.defaults) for mapping in old.mappings]
    listed = [values for values in offered if values is not None]
    new = [value for value in given if not any(_positions(values, [value]) for values in listed)]
    mappings: list[Mapping[str, Domain]] = []
    groups = old.groups
    for mapping, values in zip(old.mappings, offered, strict=True):
        if values is None:  # drawn: any value is one of it
            mappings.append(_replaced(mapping, name, given))
            continue
        if chosen := _positions(values, given):
            mappings.append(_chosen(mapping, name, chosen, old.groups))
        if new and _has(mapping, name):
            mappings.append(_replaced(mapping, name, new))
    if new and len(given) == 1:
        groups = tuple(tuple(member for member in group if member != name) for group in groups)
    return replace(old, mappings=tuple(mappings), groups=groups)


def _has(mapping: Mapping[str, Domain], name: str) -> bool:
    return name in mapping or any(name in domain.inner_names for domain in mapping.values())


def _offered(mapping: Mapping[str, Domain], name: str, defaults: Mapping[str, Value]) -> list[Value] | None:
    """The values that a parameter takes in a mapping, one for each position of its domain; None where it is drawn."""
    for key, domain in mapping.items():
        if key == name:
            return domain.listing() if domain.listed else None
        if name in domain.inner_names:
            return domain.inner_values(name, defaults.get(name))
    return [defaults.get(name)]


def _positions(values: Sequence[Value], given: Sequence[Value]) -> list[int]:
    """Where any of the given values stands among others."""
    wanted = set(map(identity, in_kind_of(values, given)))
    return [i for i, value in enumerate(values) if identity(value) in wanted]


def _chosen(
    mapping: Mapping[str, Domain], name: str, positions: Sequence[int], groups: Sequence[tuple[str, ...]]
) -> dict[str, Domain]:
    """A mapping with some of the positions of a parameter, and of what is bound to it."""
    own = next((key for key, domain in mapping.items() if name == key or name in domain.inner_names), None)
    bound = {own, *next((group for group in groups if own in group), ())}
    return {key: domain.chosen(positions) if key in bound else domain for key, domain in mapping.items()}


def _replaced(mapping: Mapping[str, Domain], name: str, given: list[Value]) -> dict[str, Domain]:
    result: dict[str, Domain] = {}
    for key, domain in mapping.items():
        if name in domain.inner_names:
            before = Listed(values=tuple(domain.inner_values(name, None)))
            result[key] = domain.without(name)
            result[name] = Listed(values=tuple(before.like(given)))
        elif key == name:
            result[key] = Listed(values=tuple(domain.like(given)))
        else:
            result[key] = domain
    return result
