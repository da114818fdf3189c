"""The engine's control socket: one JSON object a line each way. Only the user who owns the engine may speak.

Requests carry `command`; an answer carries `ok`, and `error` (with `hint`) where it is false. See
docs/protocol.md.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from tui_lab.engine.agent.spool import is_private
from tui_lab.engine.engine import Engine
from tui_lab.engine.lock import EngineFacts, beat
from tui_lab.engine.node_commands import NodeCommands
from tui_lab.engine.paths import peer_uid, runtime_folder
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import layout, ranges
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import Submitted

log = logging.getLogger(__name__)

LINE_LIMIT = 1 << 26  # bytes: an environment and the ranges of a large plan fit


class Control:
    """The server of the engine's socket: it carries out what clients request."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.nodes = NodeCommands(engine)
        self.path = path
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._facts: EngineFacts | None = None

    async def open(self) -> None:
        """Listen, and say so in engine.json."""
        await self._listen()
        self._watch = asyncio.create_task(self._stay())

    async def _listen(self) -> None:
        """Raises StorageError where no socket can be made, OSError for engine.json."""
        if self._server is not None:
            self._server.close()
        if not is_private(str(self.path.parent)):  # it was removed, and someone else may have been quicker
            self.path = runtime_folder() / self.path.name
        try:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=LINE_LIMIT)
            self.path.chmod(0o600)
        except OSError as error:
            hint = "the engine's socket goes there; $XDG_RUNTIME_DIR names another folder"
            raise StorageError(f"{self.path}: {error.strerror or error}", hint) from error
        self._facts = EngineFacts.own(self.engine.lab, self.path)
        self._facts.write(self.engine.lab)

    async def _stay(self) -> None:
        """Listen again where someone removed the socket: a runtime folder goes when its user logs out."""
        while True:
            await asyncio.sleep(5)
            changed = [run.journal.path for run in self.engine.runs.values() if run.journal.changed]
            if self.taken_over or changed:
                log.error("%s: another process works on it; ending", changed[0] if changed else self.engine.lab.path)
                self.engine.shutdown()
                return
            beat(self.engine.lab)
            self._stay_known()
            if not self.path.exists():
                try:
                    await self._listen()
                except (OSError, StorageError) as error:
                    log.warning("%s: %s", self.path, error)

    def _stay_known(self) -> None:
        """Say again who serves this lab, where someone removed or damaged engine.json."""
        lab = self.engine.lab
        if self._facts is not None and EngineFacts.read(lab) is None and (lab.path / layout.LAB_FILE).exists():
            try:
                self._facts.write(lab)
            except OSError as error:
                log.warning("%s: %s", lab.path, error)

    @property
    def taken_over(self) -> bool:
        """Whether engine.json names another engine."""
        facts = EngineFacts.read(self.engine.lab)
        return facts is not None and facts != self._facts

    async def close(self) -> None:
        """Take no more commands; a follower that comes now starts the next engine."""
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)
        if not self.taken_over:
            (self.engine.lab.path / layout.ENGINE_FILE).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        uid = peer_uid(peer)
        try:
            while uid == os.getuid() and (line := await reader.readline()):
                request = json.loads(line)
                answer = {"id": request.get("id"), **await self.answer(request)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (
            OSError,
            ValueError,
            AttributeError,
        ) as error:  # a follower that left, or speaks another language
            log.warning("control: %s", error)
        except asyncio.CancelledError:
            pass  # the engine is ending; raising it on only makes noise in the log
        finally:
            writer.close()

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Never raises."""
        command = request.get("command")
        try:
            method = getattr(self, f"_{command}_command", None)
            if method is None:
                raise LabError(
                    f"the engine knows no command {command}",
                    "an engine of another tui-lab version is running",
                )
            found = method(request)
            if asyncio.iscoroutine(found):
                with self.engine.needed():
                    found = await found
            return {"ok": True, **found}
        except LabError as error:
            storage = isinstance(error, StorageError)
            return {"ok": False, "error": error.message, "hint": error.hint, "storage": storage}
        except SpecError as error:
            return {"ok": False, "error": "; ".join(map(str, error.problems)), "hint": ""}
        except Exception as error:  # a follower gets the error, the log the traceback
            log.exception("command %s", command)
            return {
                "ok": False,
                "error": f"the engine failed: {error!r}",
                "hint": f"see {self.engine.lab.path}/engine.log",
            }

    def _submit_command(self, request: dict[str, Any]) -> dict[str, Any]:
        event = msgspec.convert(request["event"], Submitted)
        environment, umask = request["environment"], request.get("umask")
        return {"submission": self.engine.submit(event, request["seen"], environment, umask)}

    def _requeue_command(self, request: dict[str, Any]) -> dict[str, Any]:
        submission = self.engine.requeue(
            request["experiment"],
            request["tasks"],
            request["environment"],
            request.get("umask"),
            request.get("changes", {}),
        )
        return {"submission": submission}

    def _resume_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.engine.resume(request["experiment"], request["environment"], request.get("umask"))
        return {}

    def _pause_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.engine.pause(request["experiment"])
        return {}

    def _drain_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.engine.drain(request["experiment"])
        return {}

    def _stop_command(self, request: dict[str, Any]) -> dict[str, Any]:
        tasks = request.get("tasks")
        chosen = None if tasks is None else set(ranges.each(tasks))
        count = self.engine.stop(request["experiment"], chosen, bool(request.get("interrupt")))
        return {"stopped": count, "stopping": self.nodes.stopping(request["experiment"])}

    def _status_command(self, request: dict[str, Any]) -> dict[str, Any]:
        engine = self.engine
        return {
            "pid": os.getpid(),
            "active": sorted(engine.scheduler.active),
            "notice": self.nodes.notice(),
            "full": sorted(engine.durability.full),
            "nodes": self.nodes.listing(),
            "stopping": self.nodes.stopping(),
            "refused": engine.refused,
        }

    # Nodes.

    def _nodes_command(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"nodes": self.nodes.listing()}

    def _node_set_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.nodes.set_slots(request["node"], int(request["slots"]))
        return {}

    def _node_drain_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.nodes.drain(request["node"], True)
        return {}

    def _node_resume_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.nodes.drain(request["node"], False)
        return {}

    def _node_reconnect_command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.nodes.reconnect(request["node"], request.get("environment", {}))
        return {}

    def _node_add_command(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "experiments": self.nodes.add(request["entry"], request.get("experiments"), request.get("environment", {}))
        }

    async def _tail_command(self, request: dict[str, Any]) -> dict[str, Any]:
        return await self.nodes.tail(request)

    async def _fetch_command(self, request: dict[str, Any]) -> dict[str, Any]:
        return await self.nodes.fetch(request, request.get("environment", {}))

    async def _clean_nodes_command(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"nodes": await self.nodes.clean(request.get("environment", {}))}
