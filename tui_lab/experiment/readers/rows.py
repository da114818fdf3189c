"""Reads what `rows` says of tables that tasks print."""

from __future__ import annotations

from typing import Any, Final

from tui_lab.experiment.metric import Rows
from tui_lab.experiment.readers.metrics import ENUMS, check_marks
from tui_lab.experiment.record import Fields
from tui_lab.experiment.sources.csv import FORM, read_form
from tui_lab.experiment.sources.pattern import read_pattern
from tui_lab.experiment.yaml.reader import Keypath, Reader

ROWS_KEYS: Final = ("pattern", "csv", "each", "from", "decimal", "thousands", *("delimiter", "comment", "skip"))
_KINDS: Final = ("pattern", "csv", "each")
_ATTRIBUTES: Final = {key: attribute for attribute, key in Rows.renamed.items()}


def read_rows(r: Reader, path: Keypath) -> Rows | None:
    """Return the rows that tasks print as tables, or None after noting what is wrong."""
    if r.empty(path):
        return None
    if r.node(path).kind != "mapping":
        r.wrong(path, "a mapping with pattern or csv")
        return None
    before = len(r.problems)
    keys = r.fields(path, ROWS_KEYS, '"rows"')
    found: Fields = {key: _value(r, (*path, key)) for key in keys}
    check_marks(r, path, found)
    kinds = [key for key in keys if key in _KINDS]
    if len(kinds) > 1:
        r.add((*path, kinds[1]), f'"rows" has both "{kinds[0]}" and "{kinds[1]}"', at_key=True)
    elif not kinds and len(keys) == len(r.keys(path)):
        r.add(path, '"rows" has no source', "give pattern, csv or each", at_key=True)
    elif kinds and (others := [key for key in keys if key in FORM and "csv" not in keys]):
        r.add((*path, others[0]), f'"{others[0]}" goes with "csv", not with "{kinds[0]}"', at_key=True)
    elif "csv" in keys and "from" in keys:
        r.add((*path, "from"), '"from" goes with "pattern", not with "csv"', at_key=True)
    if found.get("pattern"):
        pattern = read_pattern(r, (*path, "pattern"))
        if pattern is not None and not pattern.groups:
            hint = "each is a column, as in (?P<epoch>@int@)"
            r.add((*path, "pattern"), "the pattern of rows needs named groups", hint)
    if found.get("each"):
        read_pattern(r, (*path, "each"))
    if len(r.problems) != before:
        return None
    return Rows(**{_ATTRIBUTES.get(key, key): value for key, value in found.items()})


def _value(r: Reader, path: Keypath) -> Any:
    if path[-1] in ENUMS:
        return r.one_of(path, ENUMS[str(path[-1])])
    return read_form(r, path) if path[-1] in FORM else r.text(path)
