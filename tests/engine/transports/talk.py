"""What an engine says to an agent, over a channel."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tui_lab.engine.transports.channel import Channel


class Talk:
    """A conversation with an agent, of an engine."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def send(self, kind: str, **members: Any) -> None:
        self.channel.writer.write(json.dumps({"type": kind, **members}).encode() + b"\n")

    async def hello(self, epoch: int = 1) -> dict[str, Any]:
        self.send("hello", epoch=epoch, lab="l" * 16, node="big.1", slots=0)
        return await self.hear("welcome")

    def start(self, folder: Path, script: str, task: int = 0, **needs: float) -> None:
        self.send("context", id="c", environment=None, extra={}, umask=None, workdir="/tmp", shell="/bin/sh", setup=None, ok_exit_codes=[0], steps=[{"name": None, "script": None}])  # fmt: skip  # noqa: E501
        self.send("start", experiment="e@1", task=task, attempt=1, context="c", folder=f"{folder}/{task}", steps=1, env={}, grace=1.0, timeout=None, ok=[0], scripts={"0": script}, **({"needs": needs} if needs else {}))  # fmt: skip  # noqa: E501

    async def hear(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                message: dict[str, Any] = json.loads(await self.channel.reader.readline())
                if message["type"] == kind:
                    return message
