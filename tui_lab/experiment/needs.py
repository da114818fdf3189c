"""What a task needs of its node and of the run's tokens, and what comes home of what it wrote."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.record import Model, documented
from tui_lab.experiment.shell.template import fill
from tui_lab.experiment.units import memory

if TYPE_CHECKING:
    from tui_lab.experiment.model import Experiment

Amount = bool | int | float | str

OF_A_NODE: Final = ("gpus", "cpus", "memory", "exclusive")  # every other need is a token of `limits`

MOST: Final = 1_000_000_000
MOST_MEMORY: Final = 1 << 60  # what any machine has, and far from what a journal holds
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


class Needs(Model):
    """What a task needs of a node, each by attempt: the last amount stays. Memory is in bytes; a text has
    placeholders. Empty: not asked for."""

    gpus: tuple[Amount, ...] = documented(
        default=(),
        description="GPUs: a whole number, or a part of one: with 0.5, two tasks share a card. "
        "The task sees its own in `CUDA_VISIBLE_DEVICES`.",
        examples=[1, 0.5],
    )
    cpus: tuple[Amount, ...] = documented(
        default=(),
        description="Cores, a whole number; `OMP_NUM_THREADS` is set to it unless it is set already.",
        examples=[4, "{threads}"],
    )
    memory: tuple[Amount, ...] = documented(
        default=(),
        description="Memory: `K`, `M`, `G` and `T` are powers of 1024, `KB`, `MB`, `GB` and `TB` powers of 1000.",
        examples=["4G", ["4G", "8G"], "{mem}G"],
    )
    exclusive: tuple[Amount, ...] = documented(
        default=(), description="The task is alone on its node while it runs.", examples=[True]
    )
    tokens: dict[str, tuple[Amount, ...]] = documented(
        default_factory=dict,
        description="Any name of `limits`: so many of its tokens.",
        examples=[1],
    )


class Keep(Model):
    """What comes home from a node that does not share the lab's folder."""

    globs: tuple[str, ...] | None = documented(
        default=None,
        description="Globs relative to `{output}`, by default everything; `**` spans folders, and a folder brings all "
        "that is in it. What tasks print, and what `metrics` and `rows` read, comes in any case.",
        examples=["*.csv", ["*.csv", "plots/**"]],
    )
    most: int = documented(
        default_factory=lambda: 2 << 30,
        description="What a task may bring home in all, by default 2G; what is beyond stays on the node.",
        examples=["500M"],
    )


class NeedError(ValueError):
    """A need that can't be read, or never met. `name` is the need."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def amount(name: str, text: str) -> bool | int | float:
    """What a text says of a need: bytes of `memory`, whether `exclusive`, a number of all others. Raises
    NeedError."""
    text = text.strip()
    if name == "exclusive":
        if text not in ("true", "false"):
            raise NeedError(name, f'"exclusive" is true or false, not "{text}"')
        return text == "true"
    if name == "memory":
        try:
            size = memory(text)
        except ValueError as error:
            raise NeedError(name, str(error)) from None
        if size > MOST_MEMORY:
            raise NeedError(name, f'"memory" is at most 1024P, not {text}')
        return size
    if not _NUMBER.fullmatch(text):
        raise NeedError(name, f'"{name}" must be a number, not "{text}"')
    number = float(text)
    if number > MOST:
        raise NeedError(name, f'"{name}" must be at most {MOST:,}, not {text}')
    if number == int(number):
        return int(number)
    if name != "gpus":
        raise NeedError(name, f'"{name}" must be a whole number, not {text}')
    if number > 1:
        raise NeedError(name, f'"gpus" must be a whole number or a part of one GPU, not {text}')
    return number


def needs_of(
    experiment: Experiment, values: Mapping[str, Value], attempt: int, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What one attempt needs: `gpus`, `cpus`, `memory` in bytes, `exclusive`, and `tokens` by name of a limit; only
    what is asked for. `values`: parameters and built-in placeholders. `changes`: what a retry put in the place of
    the file's, resolved. Raises NeedError where a placeholder gives what can't be read.
    """
    asked = experiment.needs
    found: dict[str, Any] = {}
    for name in OF_A_NODE:
        found[name] = _of_attempt(name, getattr(asked, name), values, attempt)
    for name, amounts in asked.tokens.items():
        found[name] = _of_attempt(name, amounts, values, attempt)
    found.update(changes or {})
    needs = {name: found[name] for name in OF_A_NODE if found.get(name)}
    tokens = {name: count for name, count in found.items() if name not in OF_A_NODE and count}
    for name, count in tokens.items():
        if count > experiment.limits.get(name, 0):
            raise NeedError(name, too_many(name, count, experiment.limits.get(name, 0)))
    return {**needs, "tokens": tokens} if tokens else needs


def _of_attempt(name: str, amounts: tuple[Amount, ...], values: Mapping[str, Value], attempt: int) -> Amount:
    if not amounts:
        return 0
    chosen = amounts[min(attempt, len(amounts)) - 1]
    return amount(name, fill(chosen, values)) if isinstance(chosen, str) else chosen


def too_many(name: str, count: int | float, limit: int) -> str:
    return f"a task needs {count} {name}, and the run has {limit}"


def brought_home(experiment: Experiment) -> dict[str, Any]:
    """What an agent is told to collect: `keep`, globs or None for everything, and `most` bytes in all.

    Where globs are given, what the results are read from is added: outputs, live metrics, files of metrics.
    """
    keep = experiment.keep
    if keep.globs is None:
        return {"keep": None, "most": keep.most}
    globs = dict.fromkeys(keep.globs)
    for stream in ("stdout", "stderr"):
        globs |= dict.fromkeys((stream, f"{stream}.*", f"*.{stream}", f"*.{stream}.*"))
    globs |= dict.fromkeys(("metrics.jsonl", "metrics.jsonl.*", "params.json"))
    rows = experiment.rows
    sources = [rows.csv, rows.source] if rows is not None else []
    for metric in experiment.metrics.values():
        sources += [metric.source, metric.json_file, metric.csv]
    globs |= dict.fromkeys(glob.escape(s) for s in sources if s is not None and s not in ("stdout", "stderr"))
    return {"keep": list(globs), "most": keep.most}
