"""What was sampled of the nodes of a lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tui_lab.results.columns import build
from tui_lab.results.structured import loads
from tui_lab.results.text import complete_lines
from tui_lab.results.values import from_json


def node_samples(path: Path) -> pl.DataFrame:
    """The samples of nodes in a lab, a column for each name in them; empty if there are none."""
    try:
        raw = path.read_bytes()
    except OSError:
        raw = b""
    samples: list[dict[str, Any]] = []
    for line in complete_lines(raw).splitlines():
        try:
            sample = loads(line)
        except ValueError:
            continue
        if isinstance(sample, dict):
            samples.append(sample)
    if not samples:
        return pl.DataFrame(schema={"node": pl.String})
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    values = {name: [from_json(sample.get(name), "json") for sample in samples] for name in names}
    return pl.DataFrame([build(name, column, "json").series for name, column in values.items()])
