"""The end of an engine, as clients that are connected meet it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tui_lab.engine.control import Control
from tui_lab.engine.engine import Engine
from tui_lab.protocol.control import AskStatus, FetchFiles, decode_answer, encode_command
from tui_lab.store.lab import Lab


async def test_an_engine_that_is_ending_begins_nothing(tmp_path: Path) -> None:
    """It is saying goodbye to its nodes: a command would lose its way to them, and fail."""
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o700)
    control = Control(Engine(Lab.create(tmp_path / "lab"), 1), folder / "s")
    await control.open()
    talks = [await asyncio.open_unix_connection(control.path) for _ in range(2)]
    for reader, writer in talks:
        writer.write(encode_command(1, AskStatus()))
        assert decode_answer(await reader.readline(), 1, AskStatus.answer_type())
    (before, sends_before), (after, sends_after) = talks
    fetch = encode_command(2, FetchFiles("e", 0, {}))
    sends_before.write(fetch)  # it has arrived, and was not read
    await control.close()
    sends_after.write(fetch)
    for reader in (before, after):
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):  # a client takes that as the end, too
                assert await reader.read() == b"", "the client starts the next engine"
    for writer in (sends_before, sends_after):
        writer.close()
