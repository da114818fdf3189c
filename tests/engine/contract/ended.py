"""The pool of processes of `tests/made_up`, with allocations that a test ends.

Why it has ended one stands in NAME.cause. When one is to end, as seconds since 1970, in NAME.ends; in `ends` for all.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, cast

from tests.made_up.supply import ProcessSupply
from tui_lab.engine.transports.supply import Cause, Offer, Supply


class EndedSupply(ProcessSupply):
    def offer(self, name: str) -> Offer:
        found, cause, ends = super().offer(name), self.folder / f"{name}.cause", self.folder / f"{name}.ends"
        if found.state == "ended" and (cause.exists() or ends.exists()):
            return dataclasses.replace(found, cause=cast(Cause, cause.read_text() if cause.exists() else "walltime"))
        if not ends.exists():
            ends = self.folder / "ends"
        if found.state != "up" or not ends.exists():
            return found
        left = float(ends.read_text()) - time.time()
        if left <= 0:
            os.kill(int(found.id), signal.SIGTERM)
        return dataclasses.replace(found, ends_in=left)


def make(entry: Mapping[str, Any], lab: object, environment: Mapping[str, str]) -> Supply:
    return EndedSupply(entry)
