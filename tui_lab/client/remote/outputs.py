"""The outputs of a lab on another machine, asked for as those of a node are."""

from __future__ import annotations

import base64
from collections.abc import Callable

from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.store.mirrors import OtherSide


def reader(side: OtherSide) -> Callable[[ReadFile], Piece]:
    """Return what answers as the engine does, also for tasks that have ended. It raises LabError."""

    def read(asked: ReadFile) -> Piece:
        data, total = side.read(asked.experiment, asked.task, asked.attempt, asked.name, asked.offset, asked.most)
        return Piece(None if data is None else base64.b64encode(data).decode(), total)

    return read
