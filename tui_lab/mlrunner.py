"""Parsers that were written for mlrunner's Examiner, as functions of metrics.

    from tui_lab.mlrunner import latest_log, parser

    def add_bleu(output_dir, experiment, caches):
        experiment.metric["bleu"] = parse(latest_log("test", output_dir))

    bleu = parser(add_bleu)  # metrics: {function: parsers.py::bleu}

Standard library only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Experiment(NamedTuple):
    """What a parser reads and writes: values of its own, metrics, and the parameters of the task."""

    cache: dict[str, Any]
    metric: dict[str, Any]
    param: dict[str, Any]


Parser = Callable[[str, Experiment, dict[Any, Any]], object]
"""A function of mlrunner: `(output_dir, experiment, caches)`."""


def parser(*parsers: Parser) -> Callable[[str], dict[str, Any]]:
    """Return a function for `metrics`, which calls parsers of mlrunner in their order.

    `caches` is one dict for all tasks that a process reads; there are several processes."""
    caches: dict[Any, Any] = {}

    def found(folder: str) -> dict[str, Any]:
        experiment = Experiment({}, {}, json.loads(os.environ.get("TUI_LAB_PARAMS") or "{}"))
        for one in parsers:
            one(folder, experiment, caches)
        return experiment.metric

    return found


def latest_log(cmd: str, path: str, index: int = -1) -> str:
    """Return the path of what the step `cmd` of a task has printed; `index` counts its attempts. Raises IndexError
    where there is none."""
    numbered = {}
    for file in Path(path).iterdir():
        if match := re.fullmatch(re.escape(cmd) + r"\.stdout(?:\.([0-9]+))?", file.name):
            numbered[int(match[1] or 1)] = str(file)
    return [numbered[number] for number in sorted(numbered)][index]
