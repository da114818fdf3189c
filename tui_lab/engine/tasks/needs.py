"""What one attempt of a task needs of its node and of the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tui_lab.engine.core.model import AttemptNeeds
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.needs import OF_A_NODE, Amount, NeedError, Resolved, amount, too_many
from tui_lab.experiment.shell.template import fill


def needs_of(
    experiment: Experiment, values: Mapping[str, Value], attempt: int, changes: Mapping[str, Resolved] | None = None
) -> AttemptNeeds:
    """What one attempt needs: `gpus`, `cpus`, `memory` in bytes, `exclusive`, resources of the cluster file by name,
    and `tokens` by name of a limit; only what is asked for. `values`: parameters and built-in placeholders. `changes`:
    what a retry put in the place of the file's, resolved. Raises NeedError where a placeholder gives what can't be
    read.
    """
    asked = experiment.needs
    found: dict[str, Resolved] = {}
    for name in OF_A_NODE:
        found[name] = _of_attempt(name, getattr(asked, name), values, attempt)
    for name, amounts in (*asked.tokens.items(), *asked.resources.items()):
        found[name] = _of_attempt(name, amounts, values, attempt)
    found.update(changes or {})
    needs = {name: found[name] for name in (*OF_A_NODE, *asked.resources) if found.get(name)}
    tokens = {name: count for name, count in found.items() if name not in (*OF_A_NODE, *asked.resources) and count}
    for name, count in tokens.items():
        if count > experiment.limits.get(name, 0):
            raise NeedError(name, too_many(name, count, experiment.limits.get(name, 0)))
    return cast(AttemptNeeds, {**needs, "tokens": tokens} if tokens else needs)


def _of_attempt(name: str, amounts: tuple[Amount, ...], values: Mapping[str, Value], attempt: int) -> Resolved:
    if not amounts:
        return 0
    chosen = amounts[min(attempt, len(amounts)) - 1]
    return amount(name, fill(chosen, values)) if isinstance(chosen, str) else chosen
