"""One text per value, so that equal values can be found by comparing, hashing and counting."""

from __future__ import annotations

import json

from tui_lab.experiment.domains.model import Value


def normal(value: Value) -> Value:
    """The value with -0.0 as 0.0, also inside lists and mappings."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items()}
    return value


def canonical(value: Value) -> bytes:
    """Canonical JSON in ASCII, with types: `true`, `1`, `1.0` and `"1"` differ; -0.0 is 0.0.

    No spaces, names sorted, floats as the shortest text that reads back to the same float. A float that is
    no number, or infinite, is NaN, Infinity or -Infinity.
    """
    return json.dumps(normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
