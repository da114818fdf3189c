"""The engine as a process: takes the lab's lock, serves until nothing is left, releases it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from tui_lab.engine.control import Control
from tui_lab.engine.engine import Engine
from tui_lab.engine.place import EngineLock, runtime_folder
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab


def main(lab_path: Path) -> int:
    """Exit status: 0 at the end or where another engine is already there, 3 where it could not begin."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        lab = Lab.open(lab_path)
        lock = EngineLock(lab)
        if not lock.take():
            return 0
        lab = lab.settled()
        socket = runtime_folder() / f"{lab.identity}.sock"
    except LabError as error:
        print(error, file=sys.stderr)
        return 3
    asyncio.run(_serve(lab, lock, socket))
    return 0


async def _serve(lab: Lab, lock: EngineLock, socket: Path) -> None:
    engine = Engine(lab, lock.epoch)
    control = Control(engine, socket)
    await control.open()
    try:
        await engine.serve(control.close)
    finally:
        await control.close()
        lock.release()
