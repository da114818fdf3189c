"""The engine's control socket: takes the commands of clients. Only the user who owns the engine may connect."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Final, assert_never

from tui_lab.engine.agent.spool import is_private
from tui_lab.engine.engine import Engine
from tui_lab.engine.lock import EngineFacts, touch_heartbeat
from tui_lab.engine.node_commands import NodeCommands
from tui_lab.engine.paths import peer_uid, runtime_folder
from tui_lab.engine.run_commands import RunCommands
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.protocol.control import (
    AddNode,
    Answer,
    AnyCommand,
    AskStatus,
    CleanNodes,
    Drain,
    DrainNode,
    FetchFiles,
    ListNodes,
    NodeAdded,
    NodeList,
    NodesCleaned,
    Pause,
    ReadFile,
    Received,
    ReconnectNode,
    Refusal,
    Requeue,
    Resume,
    ResumeNode,
    SetPriority,
    SetSlots,
    Status,
    Stop,
    StopTaken,
    Submit,
    Taken,
    decode_command,
    encode_answer,
)
from tui_lab.store import layout, ranges
from tui_lab.store.errors import LabError, OutdatedPlanError, StorageError

log = logging.getLogger(__name__)

LEFT: Final = 0.2  # seconds between looks whether a client still waits
LINE_LIMIT = 1 << 26  # bytes: an environment and the ranges of a large plan fit


class Control:
    """The server of the engine's socket: it carries out what clients request."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.nodes = NodeCommands(engine)
        self.runs = RunCommands(engine)
        self.path = path
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._facts: EngineFacts | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen, and write the address to engine.json."""
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
        """Listen again if the socket was removed: a runtime folder is removed when its user logs out."""
        while True:
            await asyncio.sleep(5)
            changed = [run.journal.path for run in self.engine.runs.values() if run.journal.changed]
            if self.taken_over or changed:
                log.error("%s: another process works on it; ending", changed[0] if changed else self.engine.lab.path)
                self.engine.shutdown()
                return
            touch_heartbeat(self.engine.lab)
            self._stay_known()
            if not self.path.exists():
                try:
                    await self._listen()
                except (OSError, StorageError) as error:
                    log.warning("%s: %s", self.path, error)

    def _stay_known(self) -> None:
        """Write engine.json again if it was removed or damaged."""
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
        """Take no more commands, also from clients that are connected: the next engine does. An engine that is ending
        says goodbye to its nodes, and what is begun now would lose its connection to them."""
        self._closed = True
        for client in self._clients:
            client.cancel()
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
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while uid == os.getuid() and (line := await reader.readline()) and not self._closed:
                received = decode_command(line)
                transfers = isinstance(received.command, FetchFiles)
                answer = await (self._unless_left(received, reader) if transfers else self.answer(received))
                writer.write(encode_answer(received.id, answer))
                await writer.drain()
        except (OSError, ValueError) as error:  # a follower that left, or speaks another language
            log.warning("control: %s", error)
        except asyncio.CancelledError:
            pass  # the engine is ending; raising it on only makes noise in the log
        finally:
            self._clients.discard(task)
            writer.close()

    async def _unless_left(self, received: Received, reader: asyncio.StreamReader) -> Answer | Refusal:
        """Return the answer to a command that takes long, and give it up where its client leaves: what has come of a
        file stays, and the next transfer goes on there. Raises OSError."""
        answering = asyncio.ensure_future(self.answer(received))
        try:
            while not (await asyncio.wait({answering}, timeout=LEFT))[0]:
                if reader.at_eof():
                    raise ConnectionResetError(f"{received.name} was given up")
            return answering.result()
        finally:
            if answering.cancel():
                await asyncio.wait({answering})

    async def answer(self, received: Received) -> Answer | Refusal:
        """Return the answer to a command. Never raises."""
        try:
            if received.command is None:
                raise LabError(
                    f"the engine can't carry out {received.name}: {received.wrong}",
                    "an engine of another tui-lab version is running",
                )
            return await self._carry_out(received.command)
        except LabError as error:
            storage, outdated = isinstance(error, StorageError), isinstance(error, OutdatedPlanError)
            return Refusal(error.message, error.hint, storage, outdated)
        except SpecError as error:
            return Refusal("; ".join(map(str, error.problems)))
        except Exception as error:  # a client gets the error, the log the traceback
            log.exception("command %s", received.name)
            return Refusal(f"the engine failed: {error!r}", f"see {self.engine.lab.path}/engine.log")

    async def _carry_out(self, command: AnyCommand) -> Answer:
        engine, nodes = self.engine, self.nodes
        match command:
            case Submit():
                return Taken(self.runs.submit(command.event, command.seen, command.environment, command.umask))
            case Requeue():
                name, tasks, environment = command.experiment, command.tasks, command.environment
                return Taken(self.runs.requeue(name, tasks, environment, command.umask, command.changes, command.step))
            case Resume():
                self.runs.resume(command.experiment, command.environment, command.umask)
            case Pause():
                self.runs.pause(command.experiment)
            case Drain():
                self.runs.drain(command.experiment)
            case SetPriority():
                self.runs.set_priority(command.experiment, command.priority)
            case Stop():
                chosen = None if command.tasks is None else set(ranges.each(command.tasks))
                stopped = self.runs.stop(command.experiment, chosen, command.interrupt)
                return StopTaken(stopped, nodes.stopping(command.experiment))
            case AskStatus():
                return self._status()
            case ListNodes():
                return NodeList(nodes.listing())
            case SetSlots():
                nodes.set_slots(command.node, command.slots)
            case DrainNode():
                nodes.drain(command.node, True)
            case ResumeNode():
                nodes.drain(command.node, False)
            case ReconnectNode():
                nodes.reconnect(command.node, command.environment)
            case AddNode():
                return NodeAdded(nodes.add(command.entry, command.experiments, command.environment))
            case ReadFile() | FetchFiles() | CleanNodes():
                with engine.needed():
                    return await self._from_nodes(command)
            case _:
                assert_never(command)
        return Answer()

    async def _from_nodes(self, command: ReadFile | FetchFiles | CleanNodes) -> Answer:
        match command:
            case ReadFile():
                return await self.nodes.tail(command)
            case FetchFiles():
                return await self.nodes.fetch(command)
            case CleanNodes():
                return NodesCleaned(await self.nodes.clean(command.environment))

    def _status(self) -> Status:
        engine = self.engine
        return Status(
            pid=os.getpid(),
            active=sorted(engine.scheduler.active),
            notice=self.nodes.notice(),
            full=sorted(engine.durability.full),
            nodes=self.nodes.listing(),
            stopping=self.nodes.stopping(),
            refused=engine.refused,
        )
