"""Talks the protocol to a real agent process, as an engine would."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.workbench import alive, until
from tui_lab.engine.transports.channel import GREETING, Mode, boot_command, boot_input
from tui_lab.protocol.agent import decode

PATIENCE = 20.0  # seconds


def interpreters() -> list[str]:
    """One Python of each version from 3.6 on: of pyenv, else on PATH."""
    found = [sys.executable]
    for minor in range(6, 15):
        if sys.version_info[:2] == (3, minor):
            continue
        own = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}"))
        path = str(own[-1]) if own else shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


class Talk:
    """An engine's end of the channel. One spool; any number of connections, one after the other."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = python
        self.spool = folder / "spool"
        self.spool_name = str(self.spool)  # as the agent is told
        self.mode: Mode = "relay"
        self.environment = dict(os.environ)  # of the agent
        self.body = b""  # the bytes behind the last message
        self.relay: subprocess.Popen[bytes] | None = None
        self.pid = 0  # of the agent
        self.unread = b""

    # --- The channel

    def open(self) -> None:
        self.hang_up()
        self.relay = subprocess.Popen(
            boot_command(self.python, self.spool_name, self.mode),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.unread = b""
        assert self.relay.stdin is not None
        assert self._read_to(b"\n") == GREETING
        self.relay.stdin.write(boot_input())

    def connect(self, *, epoch: int = 1, slots: int = 2, **more: Any) -> dict[str, Any]:
        """Open a channel and greet; the answer."""
        self.open()
        self.send({"type": "hello", "epoch": epoch, "lab": "lab", "node": "here", "slots": slots, **more})
        welcome = self.receive()
        self.pid = welcome.get("pid", self.pid)
        return welcome

    def send(self, *messages: dict[str, Any]) -> None:
        assert self.relay is not None
        assert self.relay.stdin is not None
        self.relay.stdin.write("".join(json.dumps(message) + "\n" for message in messages).encode())

    def receive(self, *kinds: str) -> dict[str, Any]:
        """The next message, or the next of some kinds."""
        while True:
            message: dict[str, Any] = json.loads(self._read_to(b"\n"))
            self.body = self._read(message.get("size", 0))
            check_names(message)
            if not kinds or message["type"] in kinds:
                return message

    def receive_end(self) -> str:
        """What a relay that ends says on its standard error."""
        assert self.relay is not None
        self.relay.wait(PATIENCE)
        assert self.relay.stderr is not None
        return self.relay.stderr.read().decode()

    def _read_to(self, end: bytes) -> bytes:
        while end not in self.unread:
            self._read_more()
        line, _, self.unread = self.unread.partition(end)
        return line + end

    def _read(self, size: int) -> bytes:
        while len(self.unread) < size:
            self._read_more()
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    def _read_more(self) -> None:
        assert self.relay is not None
        assert self.relay.stdout is not None
        readable, _, _ = select.select([self.relay.stdout], [], [], PATIENCE)
        assert readable, "the agent says nothing"
        data = os.read(self.relay.stdout.fileno(), 1 << 16)
        assert data, self.receive_end()
        self.unread += data

    def hang_up(self) -> None:
        if self.relay is not None:
            for stream in (self.relay.stdin, self.relay.stdout, self.relay.stderr):
                assert stream is not None
                stream.close()
            self.relay.wait(PATIENCE)
            self.relay = None

    # --- Messages

    def context(self, **more: Any) -> None:
        """What the tasks have in common: by default one unnamed step in the folder."""
        context = {
            "type": "context",
            "id": "c",
            "environment": dict(os.environ),
            "workdir": str(self.folder),
            "shell": None,
            "setup": None,
            "ok_exit_codes": [0],
            "steps": [{"name": None, "script": None}],
            "umask": None,
        }
        self.send({**context, **more})

    def start(self, task: int, *scripts: str, attempt: int = 1, **more: Any) -> list[Any]:
        """Start a task that runs scripts, a step each; its key."""
        message = {
            "type": "start",
            "experiment": "e",
            "task": task,
            "attempt": attempt,
            "context": "c",
            "folder": str(self.output(task)),
            "steps": len(scripts),
            "scripts": {str(step): script for step, script in enumerate(scripts)},
            "env": {"TUI_LAB_OUTPUT": str(self.output(task)), "TUI_LAB_ATTEMPT": str(attempt)},
            "grace": 5.0,
            "timeout": None,
            "ok": [0],
        }
        self.send({**message, **more})
        return ["e", task, attempt]

    def stop(self, key: list[Any], grace: float = 5.0, reason: str = "stopped") -> None:
        self.send({"type": "stop", "key": key, "reason": reason, "grace": grace})

    def ack(self, *keys: list[Any]) -> None:
        self.send({"type": "ack", "keys": list(keys)})

    def output(self, task: int) -> Path:
        return self.folder / "tasks" / str(task)

    def records(self) -> list[dict[str, Any]]:
        """The ledger."""
        return [json.loads(line) for line in (self.spool / "ledger.jsonl").read_text().splitlines()]

    # --- Ends

    def kill(self) -> None:
        """kill -9 of the agent."""
        os.kill(self.pid, signal.SIGKILL)
        wait_gone(self.pid)

    def close(self) -> None:
        self.hang_up()
        pids = [self.pid]
        if (self.spool / "ledger.jsonl").exists():
            pids += [-record["pid"] for record in self.records() if record["record"] == "pid"]
        for pid in pids:
            if pid not in (0, -1, 1):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass


def check_names(message: dict[str, Any]) -> None:
    """The agent has no types: whatever it says must be a message as the engine's types have it, with no other
    members."""
    decoded = decode(json.dumps(message).encode())
    assert message.keys() - {"type"} <= set(decoded.__struct_fields__), message


def wait_gone(pid: int) -> None:
    """Wait until a process has ended."""
    until(lambda: not alive(pid), PATIENCE)
