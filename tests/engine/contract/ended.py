"""The pool of processes of `tests/made_up`, with allocations that a test ends.

Why it has ended one stands in NAME.cause. NAME.ends says when one ends, as seconds since 1970, and `seconds` how long
each lasts.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tests.made_up.supply import ProcessSupply
from tui_lab.engine.transports.supply import Cause, Offer, Supply


class EndedSupply(ProcessSupply):
    def offer(self, name: str) -> Offer:
        found, cause = super().offer(name), self.folder / f"{name}.cause"
        if found.state == "ended":
            said = cause.read_text() if cause.exists() else "node-lost" if self.ends(name) is None else "walltime"
            return dataclasses.replace(found, cause=cast(Cause, said))
        left = self.ends(name) if found.state == "up" else None
        if left is not None and left <= 0:
            os.kill(int(found.id), signal.SIGTERM)
        return dataclasses.replace(found, ends_in=left)

    def ends(self, name: str) -> float | None:
        """The seconds that are left of an allocation."""
        ends, seconds = self.folder / f"{name}.ends", Path(self.folder / "seconds")
        if ends.exists():
            return float(ends.read_text()) - time.time()
        began = (self.folder / f"{name}.pid").stat().st_mtime
        return float(seconds.read_text()) - (time.time() - began) if seconds.exists() else None


def make(entry: Mapping[str, Any], lab: object, environment: Mapping[str, str]) -> Supply:
    return EndedSupply(entry)
