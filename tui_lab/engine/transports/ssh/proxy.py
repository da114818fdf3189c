"""The program of a ProxyCommand: its standard input and output lead to a machine's sshd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from typing import Final

WORDS: Final = 4096  # bytes of its standard error that are kept
FD_PATIENCE: Final = 20.0  # seconds for a program that is to hand over a connection (ProxyUseFdpass)


class ProxyCommand:
    """Run by the user's shell, as ssh does. `socket` is our end; the program ends with it."""

    def __init__(self, process: asyncio.subprocess.Process, ours: socket.socket) -> None:
        self.socket = ours
        self.ended = False
        self._process = process
        self._words = b""
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, command: str, environment: Mapping[str, str], *, hands_over: bool) -> ProxyCommand:
        """hands_over: the program sends an open socket and ends. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            shell = environment.get("SHELL") or "/bin/sh"
            process = await asyncio.create_subprocess_exec(
                *(shell, "-c", f"exec {command}"),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=PIPE,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        proxy = cls(process, ours)
        if hands_over:
            try:
                proxy.socket = await asyncio.to_thread(_receive, ours)
            except BaseException:
                proxy.end()
                raise
        proxy.socket.setblocking(False)
        return proxy

    def end(self) -> None:
        """End the program, and what it has started."""
        if not self.ended:
            self.ended = True
            self.socket.close()
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGHUP)  # as ssh does
                    os.killpg(self._process.pid, signal.SIGTERM)  # where `nohup` has it ignore the other

    async def why(self) -> str:
        """Why it ended by itself, in its own words or by its exit status; empty where it has not failed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._listening)
                await self._process.wait()
        lines = self._words.decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        status = self._process.returncode
        if status is None or (status == 0 and not said):
            return ""
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        return f"{said[-1]} ({how})" if said else how

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(WORDS):
            self._words = (self._words + data)[-WORDS:]


def _receive(ours: socket.socket) -> socket.socket:
    """The socket that the program hands over. Raises OSError."""
    ours.settimeout(FD_PATIENCE)
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    if not descriptors:
        raise OSError("ProxyUseFdpass is on, and the ProxyCommand handed over no connection")
    return socket.socket(fileno=descriptors[0])
