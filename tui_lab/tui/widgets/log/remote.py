"""The output of a task that runs on another machine, as far as it was fetched: kept in a temporary file, not in the
lab."""

from __future__ import annotations

import base64
import os
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from tui_lab.engine.client import EngineClient, read_there
from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

TAIL: Final = 1 << 18  # bytes that are asked for at once
PATIENCE: Final = 5.0
"""Seconds that the engine may take to answer."""

Ask = Callable[[ReadFile], Piece]
"""The engine's `request`."""


class RemoteFile:
    """The end of an output, and more of it as it is shown. `fetch` blocks, and belongs in a thread."""

    def __init__(self, experiment: str, task: int, attempt: int, name: str) -> None:
        self.name = name
        self.start = 0
        self.size = 0
        self._key = (experiment, task, attempt)
        self._held = tempfile.TemporaryFile(prefix="tui-lab-log-")  # noqa: SIM115
        self._told = 0
        self._began = False
        self.whole = False  # all that it was is here, when it was last looked at

    def read(self, offset: int, count: int) -> bytes:
        """Return the bytes from an offset on that were fetched."""
        offset = max(offset, self.start)
        return os.pread(self._held.fileno(), min(count, max(0, self.size - offset)), offset)

    def refresh(self) -> bool:
        """Return whether more was fetched since the last call."""
        before, self._told = self._told, self.size
        return before != self.size

    def fetch(self, ask: Ask) -> None:
        """Take in what is new. Raises LabError; LookupError where no other machine has it."""
        if not self._began:
            answer = ask(ReadFile(*self._key, self.name, 0, 0))
            if answer.data is None:
                raise LookupError(self.name)
            self.start = self.size = max(0, answer.total - TAIL)
            self._began = True
        self._take(ask, self.size, TAIL)

    def fetch_before(self, ask: Ask) -> None:
        """Take in what comes before the part that is here. Raises LabError."""
        if self._began and self.start > 0:
            start = max(0, self.start - TAIL)
            data = self._bytes(ask, start, self.start - start)
            if len(data) == self.start - start:
                os.pwrite(self._held.fileno(), data, start)
                self.start = start

    def _take(self, ask: Ask, offset: int, most: int) -> None:
        data = self._bytes(ask, offset, most)
        os.pwrite(self._held.fileno(), data, offset)
        self.size = offset + len(data)
        self.whole = self.start == 0 and len(data) < most

    def _bytes(self, ask: Ask, offset: int, most: int) -> bytes:
        return base64.b64decode(ask(ReadFile(*self._key, self.name, offset, most)).data or "")

    def close(self) -> None:
        """Remove the local copy."""
        self._held.close()


class OtherMachines:
    """Asks the engine of a lab for outputs that are not in it, or, of a lab on another machine, its other side. Threads
    wait for each other."""

    def __init__(self, lab: Callable[[], Lab | None]) -> None:
        """lab: gives the present one."""
        self._lab = lab
        self._engine: EngineClient | None = None
        self._lock = threading.Lock()

    def connect(self) -> Ask | None:
        """Return what can be asked; None where nothing can be. Blocks. Raises LabError."""
        lab = self._lab()
        side = mirrors.other_side(lab.path) if lab is not None else None
        if side is not None:
            return partial(read_there, side)
        with self._lock:
            if self._engine is not None and (lab is None or self._engine.lab.path != lab.path):
                self._engine.close()
                self._engine = None
            if self._engine is None and lab is not None:
                self._engine = EngineClient.connect(lab)
            return None if self._engine is None else self._ask

    def _ask(self, command: ReadFile) -> Piece:
        with self._lock:
            if self._engine is None:
                raise LabError("the engine has gone")
            try:
                return self._engine.request(command, patience=PATIENCE)
            except LabError:
                self._engine.close()
                self._engine = None
                raise

    def close(self) -> None:
        """Leave the engine."""
        if self._engine is not None:
            self._engine.close()
