"""Whether a task is run again after the end of an attempt, and when."""

from __future__ import annotations

from typing import Final

from tui_lab.engine.core.model import RunSettings
from tui_lab.store.events import Finished
from tui_lab.store.fold import FAULTLESS, State

LOSS_BUDGET: Final = 3  # lost attempts of a task that use none of its retries
BACKOFF: Final = 1.0  # seconds before the first retry; doubles
BACKOFF_LIMIT: Final = 60.0


def next_attempt_in(state: State, settings: RunSettings | None, event: Finished, *, interrupted: bool) -> float | None:
    """Return the seconds until the next attempt of a task whose last one ended so; None if there is none. interrupted:
    it was stopped, but not by a person who named the task."""
    task, columns = event.task, state.columns
    if interrupted:
        return 0.0
    if not columns["planned"][task] or not columns["queued"][task] or event.state == "stopped":
        return None
    if event.state == "lost":
        if event.reason in FAULTLESS:
            return 0.0
        return BACKOFF if columns["spent"][task] < LOSS_BUDGET else None
    if event.state != "failed" or settings is None:
        return None
    tries = event.attempt - columns["base"][task] - columns["losses"][task]
    status = event.exit_code if event.reason in ("exit", "signal", "exception") else None
    own = (settings.retries, settings.retry_on)
    retries, retry_on = settings.stage_retries.get(state.stage(task) or "", own)
    if (event.reason in retry_on or status in retry_on) and tries <= retries:
        delay: float = min(BACKOFF_LIMIT, BACKOFF * 2 ** (tries - 1))
        return delay
    return None
