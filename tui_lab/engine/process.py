"""The engine as a process: takes the lab's lock, serves until nothing is left, releases it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from tui_lab.engine.control import Control
from tui_lab.engine.engine import Engine
from tui_lab.engine.extending import More
from tui_lab.engine.lock import EngineFacts, EngineLock
from tui_lab.engine.paths import runtime_folder
from tui_lab.store.errors import LabError, storage_error
from tui_lab.store.lab import Lab

LOG_LIMIT: Final = 1 << 22  # bytes of engine.log, beyond which it begins anew
LOCK_WAIT: Final = 10.0  # seconds to wait for an engine that is ending


def main(lab_path: Path, more: More | None = None) -> int:
    """Run an engine; return the exit status: 0 at the end or if another engine runs, 3 if it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        lab = Lab.open(lab_path)
        lock = EngineLock(lab)
        deadline = time.monotonic() + LOCK_WAIT
        while not lock.take():
            facts = EngineFacts.read(lab)
            if (facts is not None and facts.alive) or time.monotonic() > deadline:
                return 0
            time.sleep(0.02)  # it is just ending: its socket has gone, its lock has not
        lab = lab.settled()
        socket = runtime_folder() / f"{lab.identity}.sock"
        if os.fstat(2).st_size > LOG_LIMIT:
            os.ftruncate(2, 0)
        asyncio.run(_serve(lab, lock, socket, more))
    except LabError as error:
        return _cannot(str(error))
    except OSError as error:
        return _cannot(str(storage_error(lab_path, error)))
    return 0


def _cannot(why: str) -> int:
    """Report an error to the process that started this one, and to the log, for which the disk may have no room."""
    for stream in (sys.stdout, sys.stderr):
        try:
            print(why, file=stream, flush=True)
        except (OSError, ValueError):
            pass
    return 3


async def _serve(lab: Lab, lock: EngineLock, socket: Path, more: More | None) -> None:
    engine = Engine(lab, lock.epoch, more)
    control = Control(engine, socket)
    await control.open()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # the process that started us need not listen any longer
    os.close(null)
    try:
        await engine.serve(control.close)
    finally:
        await control.close()
        lock.release()
