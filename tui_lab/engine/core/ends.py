"""The journal's event for the end of an attempt: as its agent reports it, or as the engine concludes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tui_lab.engine.core.model import AttemptKey, Moment
from tui_lab.protocol.agent import Finished, OutputFile
from tui_lab.store.events import EndState, LeftFile
from tui_lab.store.events import Finished as AttemptFinished

NAMED: Final = 3  # files that a note names


def ended_event(key: AttemptKey, state: EndState, reason: str, now: Moment) -> AttemptFinished:
    """Return the event of an attempt whose end no agent reports."""
    return AttemptFinished(now.at(), *key, state, reason=reason)


def finished_event(
    key: AttemptKey,
    message: Finished,
    now: Moment,
    not_fetched: Sequence[OutputFile] = (),
    trouble: str = "",
    *,
    late: bool = False,
) -> AttemptFinished:
    """Return the event of an attempt as its agent reports it. not_fetched: files that stayed on the node. trouble: why
    all did. late: it counted as lost before."""
    left = message.left
    missing = left or message.left_more or not_fetched or trouble or message.folder_trouble
    is_whole = not missing and message.folder_link is None
    notes = []
    if message.folder_link is not None:
        notes.append(f"its folder is a symbolic link to {message.folder_link}: the files behind it are not read")
    if trouble := trouble or message.folder_trouble or "":
        notes.append(f"{trouble}; nothing of it was fetched")
    if not_fetched:
        left = [*(left or ()), *(LeftFile(one["name"], one["size"], error=one["error"]) for one in not_fetched)]
        named = "; ".join(f"{one['name']}: {one['error']}" for one in not_fetched[:NAMED])
        notes.append(f"{len(not_fetched)} of its files could not be fetched, and stayed there ({named})")
    return AttemptFinished(
        now.at(message.ago),
        *key,
        message.state,
        reason=message.reason,
        exit_code=message.exit_code,
        signal=message.signal,
        step=message.step,
        steps=message.steps,
        duration=message.duration,
        cpu_time=message.cpu_time,
        peak_rss=message.peak_rss,
        leftover=message.leftover,
        message=message.message,
        note="; ".join(notes) or None,
        left=left,
        left_more=message.left_more,
        late=late,
        first_step=message.first_step,
        raised=message.raised,
        step_ends=message.step_ends if is_whole else None,
    )
