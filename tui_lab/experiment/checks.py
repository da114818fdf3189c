"""Checks that need more than one key of the file: names, zip, sample, unhashed, who uses what."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import Decimal
from typing import Final

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.reader import called_like, kinds_at, looks_like_domain
from tui_lab.experiment.lookalikes import looks_like_value, stranger
from tui_lab.experiment.model import RESERVED_PARAMETERS
from tui_lab.experiment.names import name_error
from tui_lab.experiment.readers.sweep import sweep_paths
from tui_lab.experiment.yaml.problem import Suggestion, closest, suggest
from tui_lab.experiment.yaml.reader import Keypath, Reader, shortened

_NUMBER: Final = r"[-+]?\.?\d[\w.+-]*"
_NUMBERS: Final = re.compile(rf"{_NUMBER}(?:\s*[,;\s]\s*{_NUMBER})+")
_TRAP: Final = re.compile(r"\.\d+0$|^[-+]?\d+[eE]\+?\d+$")  # `3.10`, `1e3`: versions, and whole numbers
_WORDS: Final = re.compile(r"[\w.+-]+(?:\s*,\s*[\w.+-]+)+")


def mentioned_names(r: Reader) -> dict[str, Keypath]:
    """Every parameter that the file names, well or badly, and the path of its first mention."""
    found: dict[str, Keypath] = {}
    for sweep in sweep_paths(r):
        for name in r.keys(sweep):
            found.setdefault(name, (*sweep, name))
            for inner, path in _inner_paths(r, (*sweep, name)):
                found.setdefault(inner, path)
    for key in ("defaults", "derive"):
        for name in r.keys((key,)):
            found.setdefault(name, (key, name))
    return found


def check_names(r: Reader) -> None:
    """Names of parameters: their form, and collisions, which SQL judges without case."""
    names = mentioned_names(r)
    folded: dict[str, str] = {}
    for name, path in names.items():
        other = folded.setdefault(name.lower(), name)
        if error := name_error(name):
            r.add(path, *error, at_key=True)
        elif name in RESERVED_PARAMETERS:
            message = f'a parameter can\'t be called "{name}"'
            r.add(path, message, f"{{{name}}} is built in", at_key=True)
        elif other != name:
            message = f'the parameters "{other}" and "{name}" differ only in case'
            r.add(path, message, "SQL ignores case", at_key=True)
    _check_cases(r)
    for name in r.keys(("derive",)):
        if names[name] != ("derive", name):
            r.add(
                ("derive", name),
                f'"{name}" is a parameter already',
                "give the derived parameter another name",
                at_key=True,
            )


def texts_like_lists(r: Reader) -> list[str]:
    """A notice for each unquoted text among the values that looks like several, or like a domain."""
    found = []
    for sweep in sweep_paths(r):
        for name in r.keys(sweep):
            for path in r.items((*sweep, name)):
                node = r.node(path)
                if node.kind != "scalar" or node.style is not None or not isinstance(node.value, str):
                    continue
                if called := called_like(node.text):
                    hint = f"as a domain: {{{called[0]}: [{called[1]}]}}"
                elif _NUMBERS.fullmatch(node.text) or (len(path) == len(sweep) + 1 and _WORDS.fullmatch(node.text)):
                    parts = re.split(r"[,;\s]+", node.text)
                    hint = f"as a list: [{', '.join(parts)}]"
                else:
                    continue
                hint += f"; as a text: '{node.text}'"
                found.append(str(r.problem(path, f'"{name}" is the single text {shortened(node.text)} here', hint)))
    return found


def altered_numbers(r: Reader) -> list[str]:
    """A notice for each parameter with unquoted numbers that are passed in another form than they are written in:
    `3.10` is 3.1, `0o17` is 15, `1e3` is 1000.0. Small ones with an exponent (`1e-3`) are left out."""
    found = []
    for name, at in _values_of_parameters(r):
        changed = []
        for path in _scalars(r, at):
            node = r.node(path)
            if node.style is None and (passed := _altered(node.text, node.value)):
                changed.append((path, f"{shortened(node.text)} is read as {passed}"))
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            what = f'"{name}": {", ".join(text for _, text in changed[:3])}{more}'
            found.append(str(r.problem(changed[0][0], what, "in quotes it stays as written")))
    return found


def _values_of_parameters(r: Reader) -> Iterator[tuple[str, Keypath]]:
    """Names of parameters, and where values of theirs are written down."""
    for name in r.keys(("defaults",)):
        yield name, ("defaults", name)
    for sweep in sweep_paths(r):
        for name in r.keys(sweep):
            at: Keypath = (*sweep, name)
            if not r.keys(at):
                yield name, at
            elif looks_like_domain(r, at):
                yield from ((name, place) for kind, place in kinds_at(r, at) if kind.as_written)
            yield from _inner_paths(r, at)


def _inner_paths(r: Reader, path: Keypath) -> Iterator[tuple[str, Keypath]]:
    """Names of parameters that the values of another one set, and where."""
    for kind, place in kinds_at(r, path):
        yield from kind.inner_paths(r, place)


def _scalars(r: Reader, path: Keypath) -> Iterator[Keypath]:
    """The place itself, or those in a list or a mapping there."""
    node = r.node(path)
    if node.kind == "scalar":
        yield path
    elif node.kind == "list":
        for index in range(len(node.items)):
            yield from _scalars(r, (*path, index))
    else:
        for key in node.entries:
            yield from _scalars(r, (*path, key))


def _altered(text: str, value: object) -> str:
    """How a number is passed on, where that is another form than it is written in; empty where it is not."""
    if type(value) is int:
        return "" if text == str(value) else str(value)
    if isinstance(value, float) and math.isinf(value) and any(map(str.isdigit, text)):
        return f"{value!r}, beyond what a float holds"
    if isinstance(value, float) and math.isfinite(value):
        same = text in (repr(value), f"{value:g}") or (Decimal(text) == Decimal(repr(value)) and not _TRAP.search(text))
        return "" if same else repr(value)
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(_\d+)+", text, re.ASCII):
        return f"a text (the number is {text.replace('_', '')})"
    if isinstance(value, str) and looks_like_value(text):
        return f"a text (it holds {stranger(text)})"
    return ""


def _check_cases(r: Reader) -> None:
    """Within one sweep, a name is set once: by itself, or by the cases of one parameter."""
    for sweep in sweep_paths(r):
        setters = {name: name for name in r.keys(sweep)}
        for name in r.keys(sweep):
            inner: dict[str, Keypath] = {}
            for key, path in _inner_paths(r, (*sweep, name)):
                inner.setdefault(key, path)
            for key, path in inner.items():
                if key in setters:
                    message = f'the cases of "{name}" set "{key}", which is also a parameter of the sweep'
                    if setters[key] != key:
                        message = f'the cases of both "{setters[key]}" and "{name}" set "{key}"'
                    r.add(path, message, at_key=True)
                setters.setdefault(key, name)


def check_zip(r: Reader, groups: Iterable[tuple[str, ...]], sweeps: tuple[dict[str, Domain], ...]) -> None:
    """Groups name parameters that are swept, each in one group, with equally many values."""
    paths = sweep_paths(r)
    swept = tuple(dict.fromkeys(name for path in paths for name in r.keys(path)))
    taken: dict[str, int] = {}
    for g, group in enumerate(groups):
        known = True
        for i, name in enumerate(group):
            path: Keypath = ("zip", g, i)
            if name not in swept:
                known = False
                r.add(path, f'"{name}" is not swept, so it can\'t be zipped', suggest(name, swept))
            elif name in taken:
                known = False
                where = "twice in this group" if taken[name] == g else "in two groups"
                r.add(path, f'"{name}" is {where}')
            taken.setdefault(name, g)
        if known:
            for sweep in sweeps:
                _check_lengths(r, ("zip", g), [(name, sweep[name]) for name in group if name in sweep])


def _check_lengths(r: Reader, path: Keypath, members: list[tuple[str, Domain]]) -> None:
    drawn = [name for name, domain in members if domain.drawn]
    if drawn:
        r.add(path, f'"{drawn[0]}" is drawn at random, so it can\'t be zipped')
        return
    sizes = [(name, domain.size) for name, domain in members]
    for name, size in sizes[1:]:
        if size != sizes[0][1]:
            first, count = sizes[0]
            r.add(
                path,
                f'zipped parameters need the same number of values, but "{first}" has {count} and "{name}" {size}',
            )
            return


def check_drawn(r: Reader, sweeps: tuple[dict[str, Domain], ...], sampled: bool) -> None:
    """What is drawn at random needs a number of draws."""
    if sampled:
        return
    paths = sweep_paths(r)
    for path, sweep in zip(paths, sweeps, strict=True):
        for name, domain in sweep.items():
            if domain.drawn:
                r.add(
                    (*path, name),
                    f'"{name}" is drawn at random, so these parameters need "sample"',
                    "add sample: {n: 50}",
                )


def check_unhashed(r: Reader, unhashed: Iterable[str]) -> None:
    """Note names in `unhashed` that are no parameters."""
    names = mentioned_names(r)
    single = r.has(("unhashed",)) and r.node(("unhashed",)).kind == "scalar"
    for i, name in enumerate(unhashed):
        if name not in names:
            path: Keypath = ("unhashed",) if single else ("unhashed", i)
            r.add(path, f'there is no parameter "{name}"', suggest(name, names))


def check_defaults(r: Reader, used: Set[str]) -> None:
    """A default that nothing uses, and whose name is nearly that of a parameter, is misspelt."""
    swept = [name for name in mentioned_names(r) if name not in r.keys(("defaults",))]
    for name in r.keys(("defaults",)):
        near = closest(name, swept)
        if name not in used and near and near.lower() != name.lower():
            r.add(
                ("defaults", name),
                f'nothing uses the default "{name}"',
                Suggestion(name, near),
                at_key=True,
            )


def unused(
    r: Reader, used: Set[str], sweeps: Iterable[Mapping[str, Domain]], texts: Iterable[str]
) -> list[tuple[str, Keypath]]:
    """Parameters that no command, file or variable uses, nor an expression in `texts`, and their places."""
    expressions = "\n".join(texts)
    bundles: dict[str, set[str]] = {}
    for sweep in sweeps:
        for name, domain in sweep.items():
            bundles.setdefault(name, set()).update(domain.inner_names)
    found = []
    for name, path in mentioned_names(r).items():
        if name in used or _word(name, expressions) or bundles.get(name, set()) & set(used):
            continue
        found.append((name, path))
    return found


def _word(name: str, text: str) -> bool:
    """Whether a text holds a name as a whole word."""
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", text, re.IGNORECASE) is not None
