"""Reads the metrics of an experiment."""

from __future__ import annotations

from typing import Final, get_args

from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Take, Thousands
from tui_lab.experiment.names import name_error
from tui_lab.experiment.record import Fields
from tui_lab.experiment.registry import PluginError
from tui_lab.experiment.sources.kinds import KINDS, keys
from tui_lab.experiment.sources.pattern import PatternSource, read_value_pattern
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader

ENUMS: Final[dict[str, tuple[str, ...]]] = {
    "take": get_args(Take),
    "type": get_args(MetricType),
    "goal": get_args(Goal),
    "decimal": get_args(Decimal),
    "thousands": get_args(Thousands),
}
_MARKS: Final = ("decimal", "thousands")
COMMON_KEYS: Final = ("take", "type", "unit", "decimal", "thousands", "goal")
"""Those of a metric whatever its source."""
_OWN_KEYS: Final = keys(KINDS.own.values())


def read_metrics(r: Reader, path: Keypath) -> dict[str, Metric]:
    """Metrics by name; what is wrong is noted and left out."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of names and patterns"):
        return {}
    metrics: dict[str, Metric] = {}
    folded: dict[str, str] = {}
    for name in r.keys(path):
        if error := name_error(name):
            r.add((*path, name), *error, at_key=True)
        elif name.lower() in folded:
            message = f'the metrics "{folded[name.lower()]}" and "{name}" differ only in case'
            r.add((*path, name), message, "SQL ignores case", at_key=True)
        folded.setdefault(name.lower(), name)
        metric = _metric(r, (*path, name))
        if metric is not None:
            metrics[name] = metric
    return metrics


def _metric(r: Reader, path: Keypath) -> Metric | None:
    node = r.node(path)
    if node.kind != "mapping":
        pattern = read_value_pattern(r, path, take="last")
        return None if pattern is None else Metric(source=PatternSource(pattern=pattern))
    if r.misread(path):
        return None
    owner = f'metric "{path[-1]}"'
    before = len(r.problems)
    kind = _kind(r, path, owner)
    if kind is None:
        return None
    take = r.node((*path, "take")).text if r.has((*path, "take")) else "last"
    found: Fields = {}
    own: Fields = {}
    for key in r.keys(path):
        at = (*path, key)
        if key in ENUMS:
            found[key] = r.one_of(at, ENUMS[key])
        elif key in COMMON_KEYS:
            found[key] = r.text(at)
        elif key in kind.schemas:
            own[key] = kind.read_key(r, at, take)
        elif key in _OWN_KEYS:
            of = next(name for name, member in KINDS.own.items() if key in member.schemas)
            r.add(at, f'"{key}" goes with "{of}", not with "{kind.kind}"', at_key=True)
    check_marks(r, path, found)
    for key in _MARKS:
        if key in found and not kind.reads_numbers:
            r.add((*path, key), f'"{key}" is for reading numbers; "{kind.kind}" computes them', at_key=True)
    kind.check(r, path, own, owner)
    if len(r.problems) != before:
        return None
    attributes = {key: attribute for attribute, key in kind.renamed.items()}
    return Metric(source=kind(**{attributes.get(key, key): value for key, value in own.items()}), **found)


def _kind(r: Reader, path: Keypath, owner: str) -> type[MetricSource] | None:
    """Return the kind of source that a metric has, or None after noting that it has none, or several; and note keys
    that no metric has."""
    given = r.keys(path)
    others = [key for key in given if key not in _OWN_KEYS and key not in COMMON_KEYS]
    # Other packages are looked for only where a key is none of this program.
    names = [key for key in given if key in KINDS.own or (key in others and key in KINDS)]
    kinds = []
    for name in names:
        try:
            kinds.append(KINDS[name])
        except PluginError as error:
            r.add((*path, name), str(error), at_key=True)
            return None
    if others:
        known = dict.fromkeys((*_OWN_KEYS, *KINDS, *keys(kinds), *COMMON_KEYS))
        others = [key for key in others if key not in known]
        r.fields(path, known, "a metric")
    if not kinds:
        if not others:  # else a misspelt key is the reason
            r.add(path, f"{owner} has no source", f"give one of {', '.join(KINDS)}", at_key=True)
        return None
    chosen = next((kind for kind in kinds if set(names) <= set(kind.schemas)), None)
    if chosen is None:
        message = f'{owner} has both "{names[0]}" and "{names[1]}"'
        r.add((*path, names[1]), message, "a metric comes from one of them", at_key=True)
    return chosen


def check_marks(r: Reader, path: Keypath, found: Fields) -> None:
    """Note that the marks in numbers, by key, are the same."""
    if found.get("thousands") and found["thousands"] == (found.get("decimal") or "."):
        other = "." if found["thousands"] == "," else ","
        r.add((*path, "thousands"), "this is the decimal mark", f'write decimal: "{other}", too')
