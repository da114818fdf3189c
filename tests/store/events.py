"""Events with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from tui_lab.store.events import Submitted
from tui_lab.store.ranges import Ranges

AT = 1_700_000_000.0


def submitted(planned: Ranges, queued: Ranges = (), *, plan: int = 1, **more: Any) -> Submitted:
    """A submission of a plan."""
    facts: dict[str, Any] = {"id": "", "at": AT, "experiment": "grid", "nodes": [], "reasons": {}, "adopted": []}
    facts |= {"argv": [], "cwd": "", "user": "", "host": "", "scripts": {}, "keep_going": False}
    return Submitted(plan=plan, planned=planned, queued=queued, **(facts | more))
