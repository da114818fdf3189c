"""Reads the metrics of an experiment."""

from __future__ import annotations

from typing import Final, get_args

from tui_lab.experiment.function import FORMS, function_error
from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Take, Thousands
from tui_lab.experiment.names import name_error
from tui_lab.experiment.programs import calls_functions
from tui_lab.experiment.readers.sources import made, read_kind, read_own_keys
from tui_lab.experiment.record import Fields
from tui_lab.experiment.sources.function import FunctionSource
from tui_lab.experiment.sources.kinds import KINDS, RETURNED
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
MARKS: Final = ("decimal", "thousands")
"""How numbers are written."""
COMMON_KEYS: Final = ("take", "type", "unit", "decimal", "thousands", "goal", "stage")
"""Those of a metric whatever its source."""


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
        if name == FunctionSource.kind and (texts := _functions(r, (*path, name))) is not None:
            metrics |= {f"{name} {text}": Metric(source=FunctionSource.of_all(text)) for text in texts}
            continue
        metric = _metric(r, (*path, name))
        if metric is not None:
            metrics[name] = metric
    return metrics


def _functions(r: Reader, path: Keypath) -> list[str] | None:
    """Return the functions of the short form, whose values are all metrics; None for a metric of this name."""
    node = r.node(path)
    if node.kind == "list":
        found = [(at, r.text(at)) for at in r.items(path)]
        for at, text in found:
            if text is not None and (why := function_error(text)):
                r.add(at, why, FORMS)
        return [text for _, text in found if text is not None]
    text = node.text if node.kind == "scalar" else ""
    if "(" in text or "@" in text or function_error(text):
        return None
    return [text]


def _metric(r: Reader, path: Keypath) -> Metric | None:
    node = r.node(path)
    if node.kind != "mapping":
        pattern = read_value_pattern(r, path, take="last")
        return None if pattern is None else Metric(source=PatternSource(pattern=pattern))
    if r.misread(path):
        return None
    owner = f'metric "{path[-1]}"'
    before = len(r.problems)
    if calls_functions(r) and all(key in COMMON_KEYS for key in r.keys(path)):
        kind: type[MetricSource] | None = KINDS[RETURNED]
    else:
        kind = read_kind(r, path, KINDS, COMMON_KEYS, owner, "a metric")
    if kind is None:
        return None
    take = r.node((*path, "take")).text if r.has((*path, "take")) else "last"
    own = read_own_keys(r, path, KINDS, kind, lambda at: kind.read_key(r, at, take))
    found: Fields = {
        key: r.one_of((*path, key), ENUMS[key]) if key in ENUMS else r.text((*path, key))
        for key in r.keys(path)
        if key in COMMON_KEYS
    }
    if kind.kind == RETURNED:
        own.setdefault(RETURNED, path[-1])
    check_marks(r, path, found)
    for key in MARKS:
        if key in found and not kind.reads_numbers:
            r.add((*path, key), f'"{key}" is for reading numbers; "{kind.kind}" computes them', at_key=True)
    kind.check(r, path, own, owner)
    return Metric(source=made(kind, own), **found) if len(r.problems) == before else None


def check_marks(r: Reader, path: Keypath, found: Fields) -> None:
    """Note that the marks in numbers, by key, are the same."""
    if found.get("thousands") and found["thousands"] == (found.get("decimal") or "."):
        other = "." if found["thousands"] == "," else ","
        r.add((*path, "thousands"), "this is the decimal mark", f'write decimal: "{other}", too')
