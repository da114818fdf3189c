"""A follower's line to the engine of a lab: starts one where none is alive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tui_lab.engine.place import EngineFacts
from tui_lab.engine.recipe import inherited_environment
from tui_lab.store import layout
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.lab import Lab, storage_error

START_LIMIT: Final = 30.0  # seconds


class EngineGone(LabError):
    """The engine ended while a follower was talking to it."""


class EngineClient:
    """One connection. Every method raises EngineGone where the engine has ended, LabError where it refuses."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._file = channel.makefile("rb")

    @classmethod
    def connect(cls, lab: Lab) -> EngineClient | None:
        """A line to the engine that is running, None where none is. Raises LabError for one on another host."""
        facts = EngineFacts.read(lab)
        if facts is None or _moved(lab, facts):
            return None
        if not facts.here:
            raise StorageError(
                f"{lab.path}: an engine on {facts.host} (pid {facts.pid}) works on this lab",
                f"run tui-lab on {facts.host}; if that machine is gone for good, remove {layout.ENGINE_FILE}",
            )
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.connect(facts.socket)
        except OSError:
            channel.close()
            return None
        return cls(channel)

    @classmethod
    def start(cls, lab: Lab) -> EngineClient:
        """A line to the lab's engine; starts it, detached, where none is alive. Raises StorageError."""
        deadline = time.monotonic() + START_LIMIT
        process: subprocess.Popen[bytes] | None = None
        while time.monotonic() < deadline:
            client = cls.connect(lab)
            if client is not None:
                return client
            if process is None:
                process = _launch(lab)
            elif process.poll() is not None:
                if process.returncode != 0:
                    raise StorageError(f"the engine did not start: {_last_line(lab.path / layout.ENGINE_LOG)}")
                facts = EngineFacts.read(lab)
                if facts is not None and _moved(lab, facts):
                    what = f"{lab.path}: was moved from {facts.lab} while its engine runs (pid {facts.pid})"
                    raise LabError(what, "move it back until the run is over, or end that engine")
                process = None  # another engine had the lock, or was just ending
            time.sleep(0.01)
        raise StorageError("the engine did not answer in time", f"see {lab.path / layout.ENGINE_LOG}")

    def request(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send one command; its answer."""
        try:
            # json, not orjson: an environment may hold bytes that are no UTF-8
            self._channel.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
            line = self._file.readline()
        except OSError:
            line = b""
        if not line:
            raise EngineGone("the engine has ended", "start the same command again: nothing is lost")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise LabError(answer["error"], answer.get("hint", ""))
        return answer

    def close(self) -> None:
        self._file.close()
        self._channel.close()


def _moved(lab: Lab, facts: EngineFacts) -> bool:
    """Whether engine.json came here with a lab that was copied or moved: that engine serves another place."""
    return bool(facts.lab) and facts.lab != str(lab.path.resolve())


def _launch(lab: Lab) -> subprocess.Popen[bytes]:
    path = lab.path / layout.ENGINE_LOG
    try:
        with open(path, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tui_lab.cli.engine", str(lab.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=own_environment(os.environ),
                start_new_session=True,
            )
    except OSError as error:
        raise storage_error(path, error) from error


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the engine itself needs: nothing that marks a surrounding task, or its end would be the engine's."""
    return inherited_environment(environment)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "no word from it"
