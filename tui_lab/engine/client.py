"""A follower's line to the engine of a lab: starts one where none is alive."""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tui_lab.engine.early import EarlyEngine
from tui_lab.engine.place import EngineFacts, elsewhere
from tui_lab.engine.recipe import inherited_environment
from tui_lab.store import layout
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.lab import Lab

START_LIMIT: Final = 30.0  # seconds
MOVED_LIMIT: Final = 10.0  # seconds that the engine of a lab which was moved may take to end
# Commands that begin work. Each may be given twice: a submission has an id, and what is asked for is asked
# for.
BEGINNING: Final = ("submit", "requeue", "resume", "fetch", "clean_nodes")


class EngineGone(LabError):  # noqa: N818
    """The engine ended while a follower was talking to it."""


class EngineSilent(LabError):  # noqa: N818
    """The engine is there and does not answer: stopped by a signal, or on a disk that hangs."""


class EngineClient:
    """One connection. Every method raises EngineGone where the engine has ended, LabError where it
    refuses."""

    def __init__(self, channel: socket.socket, lab: Lab) -> None:
        self.lab = lab
        self._channel = channel
        self._unread = b""
        self._numbers = itertools.count(1)

    @classmethod
    def connect(cls, lab: Lab) -> EngineClient | None:
        """A line to the engine that is running, None where none is. Raises LabError for one on another
        host."""
        facts = EngineFacts.read(lab)
        if facts is None or _moved(lab, facts):
            return None
        if not facts.here:
            raise elsewhere(lab, facts.host, facts.pid)
        channel = _reach(facts)
        return None if channel is None else cls(channel, lab)

    @classmethod
    def start(cls, lab: Lab, early: EarlyEngine | None = None) -> EngineClient:
        """A line to the lab's engine; starts it, detached, where none is alive: the early one, if there is one. Raises
        StorageError."""
        return cls(_start(lab, early), lab)

    def request(self, command: str, *, patience: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send one command; its answer. patience: seconds to wait, then EngineSilent is raised.

        A command that begins work starts another engine where this one has just ended.
        """
        if command in BEGINNING:
            fields.setdefault("umask", _umask())
        for last in (False, True):
            try:
                answer = self._exchange(command, fields, patience)
                break
            except EngineGone:
                if last or command not in BEGINNING:
                    raise
                self._channel.close()
                self._channel, self._unread = _start(self.lab), b""
        if not answer["ok"]:
            raise _refusal(answer)
        return answer

    def _exchange(self, command: str, fields: Mapping[str, Any], patience: float | None) -> dict[str, Any]:
        number = next(self._numbers)
        deadline = None if patience is None else time.monotonic() + patience
        try:
            # json, not orjson: an environment may hold bytes that are no UTF-8
            self._channel.settimeout(patience)
            self._channel.sendall(json.dumps({"command": command, "id": number, **fields}).encode() + b"\n")
            while True:
                line = self._line(deadline)
                answer: dict[str, Any] = json.loads(line)
                if answer.get("id") in (
                    number,
                    None,
                ):  # else it belongs to a question that we no longer wait for
                    return answer
        except TimeoutError:
            raise EngineSilent("the engine does not answer", f"see {self.lab.path / layout.ENGINE_LOG}") from None
        except OSError:
            raise EngineGone("the engine has ended", "start the same command again: nothing is lost") from None

    def _line(self, deadline: float | None) -> bytes:
        while b"\n" not in self._unread:
            if deadline is not None:
                self._channel.settimeout(max(0.01, deadline - time.monotonic()))
            data = self._channel.recv(1 << 16)
            if not data:
                raise OSError("closed")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def wait(self, seconds: float) -> bool:
        """Wait a while; True, at once, where the engine has ended meanwhile."""
        readable, _, _ = select.select([self._channel], [], [], seconds)
        if not readable:
            return False
        try:
            self._channel.settimeout(0.0)
            return not self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self._channel.close()


def _moved(lab: Lab, facts: EngineFacts) -> bool:
    """Whether engine.json came here with a lab that was copied or moved: that engine serves another place."""
    return bool(facts.lab) and facts.lab != str(lab.path.resolve())


def _refusal(answer: dict[str, Any]) -> LabError:
    kind = StorageError if answer.get("storage") else LabError
    return kind(answer["error"], answer.get("hint", ""))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _reach(facts: EngineFacts) -> socket.socket | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(facts.socket)
    except OSError:
        channel.close()
        return None
    return channel


def _start(lab: Lab, early: EarlyEngine | None = None) -> socket.socket:
    began = time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    while time.monotonic() - began < START_LIMIT:
        client = EngineClient.connect(lab)
        if client is not None:
            return client._channel
        if process is None:
            process, early = (_launch(lab), None) if early is None else (early.serve(), None)
        elif process.poll() is not None:
            if process.returncode != 0:
                raise StorageError(_why(process, lab))
            process = None  # another engine had the lock
            facts = EngineFacts.read(lab)
            if facts is not None and not facts.here:
                raise elsewhere(lab, facts.host, facts.pid)
            if facts is not None and _moved(lab, facts):  # that engine ends when it sees it
                if time.monotonic() - began > MOVED_LIMIT:
                    what = f"{lab.path}: was moved from {facts.lab} while its engine runs (pid {facts.pid})"
                    raise LabError(what, "move it back until the run is over, or end that engine")
                time.sleep(0.2)
        time.sleep(0.005)
    raise StorageError("the engine did not answer in time", f"see {lab.path / layout.ENGINE_LOG}")


def _launch(lab: Lab) -> subprocess.Popen[bytes]:
    path = lab.path / layout.ENGINE_LOG
    try:
        with open(path, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tui_lab.cli.engine", str(lab.path)],
                stdin=subprocess.DEVNULL,
                # for the line that says why it can't begin: the log's disk may be full
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=inherited_environment(os.environ),
                start_new_session=True,
            )
    except OSError as error:
        raise storage_error(path, error) from error


def _why(process: subprocess.Popen[bytes], lab: Lab) -> str:
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace").strip().splitlines()
    if said:
        return said[-1]
    try:
        lines = (lab.path / layout.ENGINE_LOG).read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"the engine did not start: {lines[-1] if lines else 'no word from it'}"
