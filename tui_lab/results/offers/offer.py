"""One metric that is offered, and what a name says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tui_lab.experiment.metric import Goal
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.extraction.values import Scalar

Definition = str | Mapping[str, Any]
"""A metric as the file has it: a pattern, or a mapping."""

_LESS_WORDS: Final = """
loss error errors err wer cer mse mae rmse mape nll perplexity ppl cost time took elapsed latency duration seconds secs
ms memory mem rss size misses failed failures warnings real user sys bytes resident regret gap
"""
_MORE_WORDS: Final = """
acc accuracy score f1 auc auroc precision recall bleu rouge reward return throughput speed iou map r2 passed fps ips qps
bandwidth speedup top1 top5 ndcg mrr dice ssim psnr
"""
_PROGRESS_WORDS: Final = "epoch epochs step steps iter iters iteration iterations batch batches progress"
_LESS: Final = frozenset(_LESS_WORDS.split())
_MORE: Final = frozenset(_MORE_WORDS.split())
_PROGRESS: Final = frozenset(_PROGRESS_WORDS.split())


@dataclass(frozen=True)
class Candidate:
    """A value that one output seems to have. The same key in another output means the same value."""

    key: tuple[str, ...]
    name: str
    definitions: tuple[Definition, ...]
    """Ways to read it, the simplest first."""
    value: float
    """The last one."""
    where: str
    """The line, or the file, in which it stands."""
    rank: int
    """How sure it is that the name belongs to the value: the smallest is best."""
    at: int = 0
    """The line of the last value."""
    count: int = 1
    """How often it stands there."""


@dataclass(frozen=True)
class Offer:
    """A metric that was proven: its definition gives this value for an output that there is."""

    name: str
    definition: Definition
    value: Scalar
    """In the output that was read first."""
    where: str
    """The line, or the file, in which it stands."""
    goal: Goal | None = None
    """What its name says of it."""
    varies: bool = False
    """Whether the outputs have different values."""
    values: tuple[Scalar | None, ...] = field(default=(), repr=False)

    @property
    def unit(self) -> str:
        """The unit of the value, if it is written with one."""
        return "" if isinstance(self.definition, str) else str(self.definition.get("unit", ""))

    def with_goal(self, goal: Goal | None) -> Definition:
        """Return the definition with a goal."""
        if goal is None:
            return self.definition
        if isinstance(self.definition, str):
            return {PatternSource.kind: self.definition, "goal": goal}
        return {**self.definition, "goal": goal}


def slug(words: str) -> str:
    """Return a name of a metric for words of a program; empty where they have no letter."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", words)).strip("_").lower()
    name = re.sub(r"^[0-9_]+", "", name)
    return name[:40].rstrip("_")


def guessed_goal(name: str) -> Goal | None:
    """Return the values that are better, by a name."""
    parts = name.lower().split("_")
    if "per" in parts:
        return "max" if parts[-1] in ("s", "sec", "second", "min", "h") else "min"
    if "rate" in parts and {"error", "loss", "failure", "miss"}.isdisjoint(parts):
        return None
    if not _LESS.isdisjoint(parts):
        return "min"
    return None if _MORE.isdisjoint(parts) else "max"


def is_progress(name: str) -> bool:
    """Whether a name is that of a count that only says how far a program is."""
    return not _PROGRESS.isdisjoint(name.split("_"))
