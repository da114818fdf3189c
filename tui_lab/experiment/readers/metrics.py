"""Reads what is taken from a task's output: metrics and rows."""

from __future__ import annotations

from typing import Any, Final, get_args

from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Rows, Take, Thousands
from tui_lab.experiment.names import name_error
from tui_lab.experiment.patterns.pattern import Pattern, PatternError, compile_pattern
from tui_lab.experiment.record import Fields
from tui_lab.experiment.yaml.reader import QUOTE, Keypath, Reader

# Key in the file -> attribute, where they differ.
ATTRIBUTES: Final = {key: attribute for attribute, key in Metric.renamed.items()}
KINDS: Final = ("pattern", "json", "csv", "sql", "run")
METRIC_KEYS: Final = (
    *("pattern", "take", "from", "type", "unit", "decimal", "thousands", "goal"),
    *("json", "path", "csv", "column", "delimiter", "comment", "skip", "sql", "run"),
)
ROWS_KEYS: Final = ("pattern", "csv", "each", "from", "decimal", "thousands", "delimiter", "comment", "skip")
_ROW_KINDS: Final = ("pattern", "csv", "each")
_ENUMS: Final[dict[str, tuple[str, ...]]] = {
    "take": get_args(Take),
    "type": get_args(MetricType),
    "goal": get_args(Goal),
    "decimal": get_args(Decimal),
    "thousands": get_args(Thousands),
}
# Keys that mean something with some kinds only.
_ONLY_WITH: Final = {
    "path": ("json",),
    "column": ("csv",),
    "from": ("pattern",),
    "delimiter": ("csv",),
    "comment": ("csv",),
    "skip": ("csv",),
}


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
        pattern = _value_pattern(r, path, take="last")
        return None if pattern is None else Metric(pattern=pattern)
    if r.misread(path):
        return None
    owner = f'metric "{path[-1]}"'
    before = len(r.problems)
    keys = r.fields(path, METRIC_KEYS, "a metric")
    if not _one_kind(r, path, keys, owner):
        return None
    kinds = [key for key in keys if key in KINDS]
    found: Fields = {}
    for key in keys:
        at = (*path, key)
        if key in _ENUMS:
            value = r.one_of(at, _ENUMS[key])
        elif key == "pattern":
            take = r.node((*path, "take")).text if "take" in keys else "last"
            value = _value_pattern(r, at, take)
        else:
            value = _plain(r, at)
        found[ATTRIBUTES.get(key, key)] = value
    for key, with_kinds in _ONLY_WITH.items():
        if key in keys and not set(kinds) & set(with_kinds):
            r.add((*path, key), f'"{key}" goes with "{with_kinds[0]}", not with "{kinds[0]}"', at_key=True)
    _check_marks(r, path, found, keys)
    if "sql" in keys:
        for key in ("decimal", "thousands"):
            if key in keys:
                r.add((*path, key), f'"{key}" is for reading numbers; "sql" computes them', at_key=True)
    if "run" in keys and "from" in keys:
        r.add((*path, "from"), '"from" goes only with "pattern", not with "run"', at_key=True)
    if "json" in keys and "path" not in keys:
        r.add(
            (*path, "json"),
            f'{owner} needs "path", the place in the JSON',
            'write path: $.a.b, or "$" for all of it',
            at_key=True,
        )
    elif found.get("path") and not found["path"].startswith("$"):
        r.add((*path, "path"), 'a path begins with "$"', f'write "$.{found["path"].lstrip(".")}"')
    if "csv" in keys and "column" not in keys:
        r.add((*path, "csv"), f'{owner} needs "column", a column of the CSV file', at_key=True)
    if "run" in keys and "pattern" not in keys:
        r.add(
            (*path, "run"),
            f'{owner} needs "pattern", to find its value in the output of the command',
            at_key=True,
        )
    return Metric(**found) if len(r.problems) == before else None


def _plain(r: Reader, at: Keypath) -> Any:
    """The value of a key that is no word and no pattern."""
    if at[-1] == "skip":
        return r.whole(at, least=0)
    if at[-1] != "delimiter":
        return r.text(at)
    text = r.text(at, blank=True)
    if text is not None and (not text or any(mark in text for mark in '"\r\n')):
        r.add(
            at,
            "this can't be a delimiter",
            "write the characters between two cells; a blank means any number of blanks",
        )
        return None
    return text


def _check_marks(r: Reader, path: Keypath, found: Fields, keys: tuple[str, ...]) -> None:
    """The marks in numbers must differ."""
    if "thousands" in keys and found.get("thousands") == (found.get("decimal") or "."):
        other = "." if found["thousands"] == "," else ","
        r.add((*path, "thousands"), "this is the decimal mark", f'write decimal: "{other}", too')


def _one_kind(r: Reader, path: Keypath, keys: tuple[str, ...], owner: str) -> bool:
    """Whether a metric says exactly once where it comes from; `run` brings its own pattern."""
    kinds = [key for key in keys if key in KINDS]
    if not kinds:
        if len(keys) == len(r.keys(path)):  # else a misspelt key is the reason
            r.add(
                path,
                f"{owner} has no source",
                f"give one of {', '.join(KINDS)}",
                at_key=True,
            )
        return False
    if len(kinds) > 1 and set(kinds) != {"run", "pattern"}:
        message = f'{owner} has both "{kinds[0]}" and "{kinds[1]}"'
        r.add((*path, kinds[1]), message, "a metric comes from one of them", at_key=True)
        return False
    return True


def _pattern(r: Reader, path: Keypath) -> Pattern | None:
    text = r.text(path)
    if text is None:
        return None
    try:
        return compile_pattern(text)
    except PatternError as error:
        cut = r.document.cut_by_comment(r.node(path))
        hint = f'YAML reads " #" as a comment: {QUOTE}' if cut else ""
        r.add(path, f"in the pattern: {error.message}", hint, offset=error.offset)
        return None


def _value_pattern(r: Reader, path: Keypath, take: str) -> str | None:
    """A pattern that finds one value: one group, or groups of which one is named `value`."""
    pattern = _pattern(r, path)
    if pattern is None:
        return None
    if take != "count" and pattern.value == 0:
        hint = "put parentheses around the value, as in: loss (@float@)"
        if r.document.cut_by_comment(r.node(path)):
            hint = f'YAML reads " #" as a comment: {QUOTE}'
        r.add(path, "the pattern has no group for the value", hint)
        return None
    if pattern.value == -1 and take != "count" and "|" not in pattern.text:
        hint = "name the one that counts, (?P<value>...), or make the others (?:...)"
        r.add(path, f"the pattern has {pattern.regex.groups} groups, and one value", hint)
        return None
    return pattern.text


def read_rows(r: Reader, path: Keypath) -> Rows | None:
    """Return the rows that tasks print as tables, or None after noting what is wrong."""
    if r.empty(path):
        return None
    if r.node(path).kind != "mapping":
        r.wrong(path, "a mapping with pattern or csv")
        return None
    before = len(r.problems)
    keys = r.fields(path, ROWS_KEYS, '"rows"')
    found = {
        ATTRIBUTES.get(key, key): r.one_of((*path, key), _ENUMS[key]) if key in _ENUMS else _plain(r, (*path, key))
        for key in keys
    }
    _check_marks(r, path, found, keys)
    kinds = [key for key in keys if key in _ROW_KINDS]
    if len(kinds) > 1:
        r.add((*path, kinds[1]), f'"rows" has both "{kinds[0]}" and "{kinds[1]}"', at_key=True)
    elif not kinds and len(keys) == len(r.keys(path)):
        r.add(path, '"rows" has no source', "give pattern, csv or each", at_key=True)
    elif others := [key for key in keys if key in _ONLY_WITH and _ONLY_WITH[key] == ("csv",) and "csv" not in keys]:
        r.add((*path, others[0]), f'"{others[0]}" goes with "csv", not with "{kinds[0]}"', at_key=True)
    elif "csv" in keys and "from" in keys:
        r.add((*path, "from"), '"from" goes with "pattern", not with "csv"', at_key=True)
    if found.get("pattern"):
        pattern = _pattern(r, (*path, "pattern"))
        if pattern is not None and not pattern.groups:
            hint = "each is a column, as in (?P<epoch>@int@)"
            r.add((*path, "pattern"), "the pattern of rows needs named groups", hint)
    if found.get("each"):
        _pattern(r, (*path, "each"))
    return Rows(**found) if len(r.problems) == before else None
