"""What goes wrong between this machine and a file server."""

from __future__ import annotations

from typing import Any

Answer = dict[str, Any]
"""A line of the file server, or one for it, as docs/protocol.md has them: each request has members of its own."""


class TransferError(Exception):
    """What could not be carried, in a line.

    `lost`: the connection is gone; the same over another channel goes on where this one stopped.
    `storage`: this machine's disk is at fault. Else the node has said no: `missing` names objects that it lacks.
    `errno`: the number of the error, where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        lost: bool = False,
        storage: bool = False,
        errno: int | None = None,
        answer: Answer | None = None,
    ) -> None:
        super().__init__(message)
        self.lost = lost
        self.storage = storage
        self.answer = answer or {}
        self.errno: int | None = self.answer.get("errno", errno)
