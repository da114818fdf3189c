"""The setting that others are compared with, as it is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from tui_lab.experiment.expressions import expression
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.statistics.errors import StatisticsError, pointed
from tui_lab.results.statistics.settings import Settings

_ASSIGNMENT = re.compile(
    r"""\s*,?\s*(?P<name>[A-Za-z_][\w.-]*)=(?P<value>'[^']*'|"[^"]*"|[^\s,'"=][^\s,'"]*)(?=[\s,]|$)"""
)


def find_setting(found: Settings, text: str) -> int:
    """Return the setting of `name=value ...` or a SQL condition. Raises StatisticsError unless it is one."""
    if not found.by:
        raise StatisticsError("there is a single setting: nothing to compare with a baseline")
    assigned = _assignments(text)
    if assigned is not None:
        matching = _equal(found, assigned)
    else:
        try:
            matching = expression.condition(text, found.keys)
        except expression.ExpressionError as error:
            raise StatisticsError(pointed("--baseline", text, error)) from None
    places = matching.arg_true().to_list()
    if len(places) == 1:
        return int(places[0])
    if not places:
        raise StatisticsError(f"--baseline: no setting has {text}; a setting is e.g. {_words(found, 0)}")
    free = [name for name in found.by if found.keys.filter(matching)[name].n_unique() > 1]
    more = f"say {', '.join(free)}, too, or leave them out with --by"
    raise StatisticsError(f"--baseline: {len(places)} settings have {text}; {more}")


def _assignments(text: str) -> dict[str, str] | None:
    found, end = {}, 0
    while end < len(text.rstrip()):
        match = _ASSIGNMENT.match(text, end)
        if match is None:
            return None
        value = match["value"]
        found[match["name"]] = value[1:-1] if value[0] in "'\"" else value
        end = match.end()
    return found or None


def _equal(found: Settings, assigned: Mapping[str, str]) -> pl.Series:
    matching = pl.Series([True] * found.count, dtype=pl.Boolean)
    for name, value in assigned.items():
        if name not in found.by:
            hint = suggest(name, found.by) or f"settings have {', '.join(found.by)}"
            raise StatisticsError(f'--baseline: "{name}" is no parameter of a setting; {hint}')
        column = found.keys[name]
        if value == "null":
            matching &= column.is_null()
        elif column.dtype.is_numeric():
            try:
                matching &= (column.cast(pl.Float64) == float(value)).fill_null(False)
            except ValueError:
                raise StatisticsError(f'--baseline: "{name}" is a number, and "{value}" is none') from None
        elif column.dtype == pl.Boolean:
            matching &= (column.cast(pl.String) == value.lower()).fill_null(False)
        else:
            matching &= (column.cast(pl.String) == value).fill_null(False)
    return matching


def _words(found: Settings, place: int) -> str:
    return " ".join(f"{name}={value}" for name, value in found.label(place).items())
