"""What every channel to an agent has in common: the command that starts it, and the source that travels
first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import resources
from typing import Final, Protocol

GREETING: Final = b"tui-lab agent, send the source\n"

# Runs on the node before anything of ours is there: prints the greeting (what a noisy login shell printed
# before it is skipped), reads the source from descriptor 0, and becomes it.
_BOOT: Final = (
    "import os;os.write(1,{greeting!r});s=b''\n"
    "while len(s)<{size}:\n"
    " c=os.read(0,{size}-len(s))\n"
    " if not c:raise SystemExit(1)\n"
    " s+=c\n"
    "exec(compile(s,'tui-lab-agent','exec'))"
)


def agent_source() -> bytes:
    return resources.files("tui_lab.engine").joinpath("agent.py").read_bytes()


def boot_command(python: str, spool: str) -> list[str]:
    """The program that becomes the relay to the agent of a spool."""
    boot = _BOOT.format(greeting=GREETING, size=len(agent_source()))
    return [python, "-S", "-E", "-c", boot, spool]


class ChannelError(Exception):
    """A node that can't be reached. One line that names what is wrong."""


@dataclass
class Channel:
    """A byte stream to an agent, past the bootstrap."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def last_words(self) -> str:
        """Why the agent is not there, in a line; once the stream has ended."""
        return "the agent hung up before it said anything"

    async def close(self) -> None:
        self.writer.close()


class Transport(Protocol):
    """A way to a node."""

    async def open(self) -> Channel:
        """A new channel to the node's agent, which is started where none is alive. Raises ChannelError."""
        ...
