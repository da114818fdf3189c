"""What engine and bridge say to each other: frames with a kind, a number and a payload.

The number is that of a call, or of a channel; the engine chooses both. A channel is opened by the call `open`, and may
be closed by either end. Its bytes are counted: each end sends at most WINDOW that the other has not taken.
"""

from __future__ import annotations

import struct
from asyncio import IncompleteReadError, StreamReader
from enum import IntEnum
from typing import Any, Final

import orjson

HEAD: Final = struct.Struct("!BIQ")  # kind, number, length of the payload
WINDOW: Final = 1 << 20
"""Bytes of a channel on their way."""


class Kind(IntEnum):
    """What a frame is."""

    CALL = 1  # to the bridge: JSON, the name of a method and its arguments
    ANSWER = 2  # to the engine: JSON
    REFUSAL = 3  # to the engine, instead of an answer: JSON, a message and whether asking again is of no use
    DATA = 4  # of a channel, both ways
    END = 5  # of the stream in that direction; to the engine: JSON, exit status and last words
    BROKEN = 6  # to the engine: the channel is lost; a text says why
    TAKEN = 7  # so many bytes of a channel were taken: decimal
    CLOSE = 8  # to the bridge: the channel is not needed any more


def frame(kind: Kind, number: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return HEAD.pack(kind, number, len(payload)) + payload


def text_frame(kind: Kind, number: int, content: Any) -> bytes:
    """Return a frame with JSON."""
    return frame(kind, number, orjson.dumps(content))


async def read_frame(reader: StreamReader) -> tuple[Kind, int, bytes] | None:
    """Return the next frame, None at the end. Raises OSError."""
    try:
        kind, number, length = HEAD.unpack(await reader.readexactly(HEAD.size))
        return Kind(kind), number, await reader.readexactly(length)
    except IncompleteReadError:
        return None
