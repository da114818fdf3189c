"""NaN in a query: DuckDB sorts it above every number, and sums and means with it are NaN."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from tui_lab.experiment.expressions.syntax import Tree

_AGGREGATES: Final = """
    avg mean sum fsum favg kahan_sum min max median mode mad stddev stddev_samp stddev_pop std var
    variance var_samp var_pop quantile quantile_cont quantile_disc approx_quantile product geomean
    geometric_mean kurtosis skewness corr covar_samp covar_pop arg_max arg_min max_by min_by sem entropy
    histogram
"""
AGGREGATES: Final = frozenset(_AGGREGATES.split())
CHECKS: Final = frozenset(("isnan", "isfinite", "isinf", "nanvl"))


def nan_counts(frames: Mapping[str, pl.DataFrame], names: set[str]) -> dict[str, int]:
    """The number of NaN in each float column that is among `names` (lower case) and has any."""
    counts: dict[str, int] = {}
    for frame in frames.values():
        for column, dtype in frame.schema.items():
            if dtype in (pl.Float64, pl.Float32) and column.lower() in names:
                count = int(frame[column].is_nan().sum())
                if count:
                    counts[column.lower()] = max(count, counts.get(column.lower(), 0))
    return counts


def affected(tree: str, counts: Mapping[str, int]) -> list[str]:
    """Columns among `counts` that a query (as `json_serialize_sql` gives it) sorts by or aggregates
    unchecked."""
    try:
        document = json.loads(tree)
    except ValueError:
        return []
    aliases: dict[str, set[str]] = {}
    for node in _each_node(document):
        for expression in node.get("select_list") or ():
            if isinstance(expression, dict) and expression.get("alias"):
                aliases.setdefault(str(expression["alias"]).lower(), set()).update(_columns(expression))
    found: set[str] = set()
    checked: set[str] = set()
    for node in _each_node(document):
        function = str(node.get("function_name", "")).lower()
        if function in CHECKS:
            checked |= _columns(node)
        if function in AGGREGATES:
            found |= _columns(node.get("arguments") or node.get("children"))
        found |= _columns(node.get("orders"))
        for modifier in node.get("modifiers") or ():
            for order in (modifier.get("orders") or ()) if isinstance(modifier, dict) else ():
                literal = (order.get("expression") or {}).get("literal") or {}
                if literal.get("kind") == "INTEGER":
                    selected = node.get("select_list") or []
                    index = int(literal["text"]) - 1
                    found |= _columns(selected[index]) if 0 <= index < len(selected) else set()
    reached = found | {name for alias in found for name in aliases.get(alias, ())}
    return sorted((reached & set(counts)) - checked)


def _each_node(tree: Any) -> Iterator[Tree]:
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from _each_node(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _each_node(child)


def _columns(tree: Any) -> set[str]:
    return {str(node["column_names"][-1]).lower() for node in _each_node(tree) if node.get("column_names")}
