"""Which nodes have their homes in one file system: what one of them was sent need not be sent to another."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Final

from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transports.failures import ChannelError

MARKER: Final = "shared-by"  # a file in the home, whose content no other node can know

_Life = tuple[str, str]
"""A node, and the identity of its agent's ledger: another one after a restart of the machine."""


class SharedHomes:
    """Finds out whether a node sees the home of another, by a file in it."""

    def __init__(self, files: FileChannelPool) -> None:
        self.files = files
        self._texts: dict[_Life, str] = {}  # of the markers
        self._known: dict[tuple[_Life, _Life], bool] = {}
        self._turn = asyncio.Lock()

    async def sees(self, node: NodeConnection, other: NodeConnection) -> bool:
        """Return whether a node sees the home of another; not where one of them can't be reached."""
        mine, theirs = (node.name, node.spool), (other.name, other.spool)
        async with self._turn:
            if (mine, theirs) not in self._known:
                try:
                    text = self._texts.get(theirs) or await self._mark(other)
                    self._texts[theirs] = text
                    self._known[mine, theirs] = await self._reads(node, other, text)
                except (TransferError, ChannelError, OSError):
                    return False
            return self._known[mine, theirs]

    async def _mark(self, node: NodeConnection) -> str:
        text = f"{node.name} {secrets.token_hex(16)}"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            async with self.files.channel(node) as channel:
                await channel.put_files(node.home, node.home, [(MARKER, Path(file.name))])
        return text

    async def _reads(self, node: NodeConnection, other: NodeConnection, text: str) -> bool:
        try:
            async with self.files.channel(node) as channel:
                found, _ = await channel.read(other.home, f"{other.home}/{MARKER}", 0, 2 * len(text))
        except TransferError as error:
            if error.lost:
                raise
            return False
        return found == text.encode()
