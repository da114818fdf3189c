"""What a task needs of its node and of the run's tokens, and which of its files are fetched."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, ClassVar, Final

from tui_lab.experiment.record import Model, documented
from tui_lab.experiment.units import memory

if TYPE_CHECKING:
    pass

Resolved = bool | int | float
Amount = Resolved | str  # a text has placeholders

OF_A_NODE: Final = ("gpus", "cpus", "memory", "exclusive")
"""Every other need is a token of `limits`, or a resource that the cluster file gives nodes."""
RESERVED: Final = (*OF_A_NODE, "among", "slots", "tokens")
"""What can't be the name of such a resource."""

MOST: Final = 1_000_000_000
MOST_MEMORY: Final = 1 << 60  # what any machine has, and far from what a journal holds
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


class Needs(Model):
    """What a task needs of a node, each by attempt: the last amount stays. Memory is in bytes; a text has
    placeholders. Empty: not asked for."""

    renamed: ClassVar[dict[str, str]] = {"tokens": "NAME"}
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
        description="Any name of `limits`: the number of its tokens. Any other name: as many of what nodes offer by "
        "`resources` in the cluster file.",
        examples=[1],
    )
    resources: dict[str, tuple[Amount, ...]] = dataclasses.field(default_factory=dict)
    """Those of the other names that are no limit."""


class Keep(Model):
    """What is fetched from a node that does not share the lab's folder."""

    globs: tuple[str, ...] | None = documented(
        default=None,
        description="Globs relative to `{output}`, by default everything; `**` spans folders, and a folder brings all "
        "that is in it. Outputs, and files that `metrics` and `rows` read, are always fetched.",
        examples=["*.csv", ["*.csv", "plots/**"]],
    )
    most: int = documented(
        default_factory=lambda: 2 << 30,
        description="Most data to fetch of a task, by default 2G; the rest stays on the node.",
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
    if text.startswith("-") and _NUMBER.fullmatch(text[1:]):
        raise NeedError(name, f'"{name}" must be at least 0, not {text}')
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


def too_many(name: str, count: int | float, limit: int) -> str:
    """Return why a task can never run that needs more of a token than there is."""
    return f"a task needs {count} {name}, and the run has {limit}"
