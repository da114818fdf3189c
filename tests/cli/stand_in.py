"""An engine that only answers: what a command asks it is noted, what it says is given."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.workbench import until
from tui_lab.engine.lock import EngineFacts, EngineLock, process_start
from tui_lab.store import layout
from tui_lab.store.lab import Lab

Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def standing_in(lab: Path, **answers: Answer) -> Iterator[StandIn]:
    """One for a while, in a lab that is made where there is none."""
    Lab.create(lab)
    engine = StandIn(lab, **answers)
    try:
        yield engine
    finally:
        engine.close()


class StandIn:
    """Serves the socket that engine.json of a lab names. An answer may be a function of the request."""

    def __init__(self, lab: Path, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {"status": {"active": [], "notice": "", "nodes": [], "pid": 1}, **answers}
        self.requests: list[dict[str, Any]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="tui-lab-test-"))  # short: an address holds 107 bytes
        path = self._folder / "socket"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._lab = Lab.open(lab)
        self._lock = EngineLock(self._lab)
        until(self._lock.take)  # the real one may be about to end
        pid = os.getpid()
        EngineFacts(pid, process_start(pid) or 0, os.uname().nodename, str(path), str(lab.resolve())).write(self._lab)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(channel,), daemon=True).start()

    def _talk(self, channel: socket.socket) -> None:
        with channel, channel.makefile("rwb") as stream:
            for line in stream:
                request = json.loads(line)
                self.requests.append(request)
                answer = self.answers.get(request["command"])
                if callable(answer):
                    answer = answer(request)
                known = {"ok": True, **answer} if answer is not None else {"ok": False, "error": "no such command"}
                stream.write(json.dumps({"id": request["id"], **known}).encode() + b"\n")
                stream.flush()

    def asked(self, command: str) -> list[dict[str, Any]]:
        """The requests of a kind, without what every request has."""
        hidden = ("command", "id", "environment", "umask")
        found = [request for request in self.requests if request["command"] == command]
        return [{name: value for name, value in one.items() if name not in hidden} for one in found]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        (self._lab.path / layout.ENGINE_FILE).unlink()
        self._lock.release()
        shutil.rmtree(self._folder)
