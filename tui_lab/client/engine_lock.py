"""The lab's lock, for commands that change files which only the engine may change otherwise."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from tui_lab.engine.client import EngineClient, EngineGone
from tui_lab.engine.lock import EngineLock
from tui_lab.protocol.control import AskStatus
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

ENDING: Final = 10.0  # seconds that an engine may take to end once nothing is left to run


def take_lock(lab: Lab) -> EngineLock:
    """Take the lab's lock; waits for an engine that has nothing left to run. Raises LabError where it has."""
    lock = EngineLock(lab)
    deadline = time.monotonic() + ENDING
    while not lock.take():
        active: list[str] = []
        client = EngineClient.connect(lab)
        if client is not None:
            with contextlib.suppress(EngineGone), contextlib.closing(client):
                active = client.request(AskStatus()).active
        if active or time.monotonic() > deadline:
            raise LabError("an experiment of this lab is running", "wait for it, or `tui-lab stop` it first")
        time.sleep(0.05)
    return lock
