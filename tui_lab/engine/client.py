"""A client's connection to the engine of a lab; starts one where none is alive."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from msgspec import structs

from tui_lab.engine.agent.processes import process_stat
from tui_lab.engine.agent.spool import is_private
from tui_lab.engine.lock import EngineFacts, elsewhere
from tui_lab.engine.paths import peer_uid, require_linux
from tui_lab.engine.standby import StandbyEngine
from tui_lab.engine.tasks.environment import inherited_environment
from tui_lab.protocol.control import (
    A,
    AskStatus,
    CleanNodes,
    Command,
    FetchFiles,
    ListNodes,
    Piece,
    ProtocolError,
    ReadFile,
    Refusal,
    Requeue,
    Resume,
    Submit,
    Taken,
    decode_answer,
    encode_command,
)
from tui_lab.store import events, journal, layout, mirrors, trust
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.lab import Lab

START_LIMIT: Final = 30.0  # seconds
LOOK: Final = 1.0  # seconds between looks at an engine that has not answered yet
TICK: Final = 0.1  # seconds between looks at what it does meanwhile
SIGN_OF_LIFE: Final = 10.0  # seconds without an answer after which it is asked for a sign of life, and has for that
ENDING_LIMIT: Final = 2.0  # seconds that a process may take to end after its connections
MOVED_LIMIT: Final = 10.0  # seconds that the engine of a lab which was moved may take to end
# Commands that begin work. Each may be given twice: a submission has an id, and what is asked for is asked for.
BEGINNING: Final = (Submit, Requeue, Resume, FetchFiles, CleanNodes)
ASKING: Final = (AskStatus, ListNodes, ReadFile)  # commands that change nothing
RECONNECTED: Final = 30.0  # seconds that a command waits for another machine


class EngineGone(StorageError):  # noqa: N818
    """The engine ended while a client was talking to it."""


class EngineSilent(StorageError):  # noqa: N818
    """The engine runs, but does not answer: it was stopped by a signal, or waits for a disk."""


class EngineClient:
    """One connection. Every method raises EngineGone where the engine has ended, EngineSilent where it does not answer,
    and LabError where it refuses."""

    def __init__(self, channel: socket.socket, lab: Lab, facts: EngineFacts) -> None:
        self.lab = lab
        self.facts = facts
        self._channel = channel
        self._channel.setblocking(False)
        self._unread = b""
        self._numbers = itertools.count(1)

    @classmethod
    def connect(cls, lab: Lab, *, wait: bool = False) -> EngineClient | None:
        """Connect to the running engine; None where none runs. wait: for the machine of the lab, where that is away, as
        for what the user has asked for. Raises StorageError for one on another host, or of another user."""
        side = mirrors.other_side(lab.path)
        if side is not None:
            return _through(side, lab, start=False, patience=RECONNECTED if wait else 0.0)
        facts = EngineFacts.read(lab)
        if facts is None or _moved(lab, facts):
            return None
        if not facts.here:
            raise elsewhere(lab, facts.host, facts.pid)
        channel = _reach(lab, facts)
        return None if channel is None else cls(channel, lab, facts)

    @classmethod
    def start(cls, lab: Lab, standby: StandbyEngine | None = None) -> EngineClient:
        """Connect to the lab's engine. Where none is alive, start one, detached: `standby`, if it is given. Raises
        StorageError."""
        return _start(lab, standby)

    def request(
        self, command: Command[A], *, patience: float | None = None, watch: Callable[[], None] | None = None
    ) -> A:
        """Send a command; return its answer. patience: seconds until EngineSilent is raised; by default there is no
        limit while the engine is alive. watch: called several times a second until the answer is here; what it raises
        ends the waiting, and the engine ends a transfer once the connection is closed. A command that begins work
        starts another engine if this one has just ended."""
        side = mirrors.other_side(self.lab.path)
        if side is not None and isinstance(command, ReadFile):
            return cast(A, read_there(side, command))
        if isinstance(command, Submit | Requeue | Resume) and command.umask is None:
            command = cast(Command[A], structs.replace(command, umask=_umask() if side is None else side.umask))
        known = self._journal_size(command) if side is not None else 0
        for last in (False, True):
            try:
                answer = self._exchange(command, patience, watch)
                break
            except EngineGone:
                if last or isinstance(command, ASKING) or not (side or isinstance(command, BEGINNING)):
                    raise
                self._channel.close()
                self._connect_again(side, command)
                if isinstance(command, Requeue) and (taken := self._requeued(command, known)) is not None:
                    return cast(A, taken)
        if isinstance(answer, Refusal):
            raise answer.exception()
        if isinstance(command, Submit | Requeue | Resume) and side is None:
            with contextlib.suppress(StorageError):
                trust.trust(self.lab.path)  # who runs a lab trusts it
        return answer

    def _connect_again(self, side: mirrors.OtherSide | None, command: Command[A]) -> None:
        """Connect to the engine that there is now; to another machine as soon as that can be reached. Raises
        EngineGone where none runs, and the command does not begin work."""
        if side is None:
            again = _start(self.lab)
        else:
            found = _through(side, self.lab, start=isinstance(command, BEGINNING), patience=RECONNECTED)
            if found is None:
                raise EngineGone(f"{side.name}: the engine ended before it answered", "nothing is lost")
            again = found
        self._channel, self.facts, self._unread = again._channel, again.facts, b""

    def _journal_size(self, command: Command[A]) -> int:
        """Return how far the journal is known of the experiment that is to be retried."""
        if not isinstance(command, Requeue):
            return 0
        try:
            return self.lab.experiment(command.experiment).journal.stat().st_size
        except OSError:
            return 0

    def _requeued(self, command: Requeue, known: int) -> Taken | None:
        """Return the answer to a retry that the journal has behind a place: what was retried once, and may have ended
        again, is not run once more."""
        folder = self.lab.experiment(command.experiment)
        for event, _ in journal.read(folder.journal, known, [events.Requeued]):
            if isinstance(event, events.Requeued) and (event.queued, event.step) == (command.tasks, command.step):
                return Taken(len(folder.state().submissions) - 1)
        return None

    def _exchange(
        self, command: Command[A], patience: float | None, watch: Callable[[], None] | None = None
    ) -> A | Refusal:
        number = next(self._numbers)
        deadline = None if patience is None else time.monotonic() + patience
        rest = memoryview(encode_command(number, command))
        try:
            while rest:
                self._until(select.POLLOUT, deadline, watch)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[self._channel.send(rest) :]
            while True:
                answer = decode_answer(self._line(deadline, watch), number, command.answer_type())
                if answer is not None:  # else it belongs to a question that we no longer wait for
                    return answer
        except OSError:
            if self._side is not None:
                raise EngineGone(f"{self._side.name}: the connection broke before the engine answered") from None
            self._await_end()
            what = f"the engine (pid {self.facts.pid}) ended before it answered"
            raise EngineGone(what, "run the same command again; nothing is lost, and tasks that run go on") from None
        except ProtocolError as error:
            hint = "an engine of another tui-lab version may be running"
            raise LabError(f"the engine's answer makes no sense: {error}", hint) from None

    def _line(self, deadline: float | None, watch: Callable[[], None] | None) -> bytes:
        while b"\n" not in self._unread:
            self._until(select.POLLIN, deadline, watch)
            try:
                data = self._channel.recv(1 << 16)
            except BlockingIOError:
                continue
            if not data:
                raise OSError("closed")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _until(self, what: int, deadline: float | None, watch: Callable[[], None] | None) -> None:
        """Wait for the channel. Raises EngineSilent at a deadline; without one, if the engine is not alive."""
        most = LOOK if watch is None else TICK
        channel = select.poll()
        channel.register(self._channel, what)
        heard = time.monotonic()
        while True:
            now = time.monotonic()
            left = most if deadline is None else min(most, max(0.01, deadline - now))
            if channel.poll(left * 1000):
                return
            if watch is not None:
                watch()
            now = time.monotonic()
            if self._is_stopped() or (deadline is not None and now >= deadline):
                raise self._silent()
            if deadline is None and now - heard >= SIGN_OF_LIFE:
                self._ask_for_a_sign()
                heard = time.monotonic()

    def _await_end(self) -> None:
        """Wait until the process of an engine that has closed the connection is gone: until then, a killed one still
        takes connections."""
        deadline = time.monotonic() + ENDING_LIMIT
        while self.facts.alive and time.monotonic() < deadline:
            time.sleep(0.005)

    def _ask_for_a_sign(self) -> None:
        """Check that the engine is alive, over another connection: a long command is answered late. Raises
        EngineSilent."""
        other = _reach(self.lab, self.facts) if self._side is None else self._side.engine(start=False)
        if other is not None:
            with contextlib.closing(EngineClient(other, self.lab, self.facts)) as client:
                client.request(AskStatus(), patience=SIGN_OF_LIFE)

    @property
    def _side(self) -> mirrors.OtherSide | None:
        """The other machine, if the engine runs there: its processes can't be seen from here."""
        return mirrors.other_side(self.lab.path)

    def _is_stopped(self) -> bool:
        if self._side is not None:
            return False
        found = process_stat(self.facts.pid) if self.facts.alive else None
        return found is not None and found[0] in "Tt"

    def _silent(self) -> EngineSilent:
        if self._side is not None:
            hint = "it may have been taken: what is shown once it answers tells"
            return EngineSilent(f"{self._side.name}: the engine there does not answer", hint)
        return silent(self.lab, self.facts, stopped=self._is_stopped())

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds. Return True at once if the engine ends."""
        readable, _, _ = select.select([self._channel], [], [], seconds)
        if not readable:
            return False
        try:
            return not self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _moved(lab: Lab, facts: EngineFacts) -> bool:
    """Return whether engine.json was copied or moved here with its lab: that engine serves another folder."""
    return bool(facts.lab) and facts.lab != str(lab.path.resolve())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def silent(lab: Lab, facts: EngineFacts, *, stopped: bool) -> EngineSilent:
    """Return the error that says how to end an engine that does not answer."""
    how = "is stopped by a signal" if stopped else "does not answer"
    wake = f"`kill -CONT {facts.pid}` lets it go on; else " if stopped else f"see {lab.path / layout.ENGINE_LOG}; "
    return EngineSilent(
        f"{lab.path}: the engine (pid {facts.pid} on {facts.host}) {how}",
        f"{wake}`kill -9 {facts.pid}`, then the same command again: nothing is lost",
    )


def _reach(lab: Lab, facts: EngineFacts) -> socket.socket | None:
    """Connect to an engine of this user; None where none listens there. Raises StorageError for another user's,
    EngineSilent where it takes no more connections."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.setblocking(False)
    deadline = time.monotonic() + SIGN_OF_LIFE
    try:
        while True:
            try:
                channel.connect(facts.socket)
                break
            except BlockingIOError:  # its queue is full
                if time.monotonic() > deadline:
                    raise silent(lab, facts, stopped=False) from None
                time.sleep(0.05)
            except OSError:
                channel.close()
                return None
        uid = peer_uid(channel)
        if uid != os.getuid() or not is_private(str(Path(facts.socket).parent)):
            what = f"{lab.path / layout.ENGINE_FILE}: names a socket of another user (uid {uid})"
            raise StorageError(what, "nothing was sent there; work in a lab that only you can write to")
    except BaseException:
        channel.close()
        raise
    return channel


def read_there(side: mirrors.OtherSide, asked: ReadFile) -> Piece:
    """Return a piece of an output of a lab on another machine, which may be there or on a node. Raises LabError."""
    data, total = side.read(asked.experiment, asked.task, asked.attempt, asked.name, asked.offset, asked.most)
    return Piece(None if data is None else base64.b64encode(data).decode(), total)


def _through(side: mirrors.OtherSide, lab: Lab, *, start: bool, patience: float = 0.0) -> EngineClient | None:
    """Connect to the engine of a lab on another machine. patience: seconds to wait for that. Raises LabError."""
    channel = side.engine(start, patience)
    facts = EngineFacts.read(lab) or EngineFacts(0, 0, side.name, "")
    return None if channel is None else EngineClient(channel, lab, facts)


def _start(lab: Lab, standby: StandbyEngine | None = None) -> EngineClient:
    side = mirrors.other_side(lab.path)
    if side is not None:
        there = _through(side, lab, start=True, patience=RECONNECTED)
        if there is None:
            raise StorageError(f"{side.name}: the engine did not answer")
        return there
    require_linux()
    began = time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    while time.monotonic() - began < START_LIMIT:
        client = EngineClient.connect(lab)
        if client is not None:
            return client
        if process is None:
            process, standby = (_launch(lab), None) if standby is None else (standby.serve(), None)
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
                [sys.executable, "-m", "tui_lab.client.engine", str(lab.path)],
                stdin=subprocess.DEVNULL,
                # for the line that says why it can't begin: the log's disk may be full
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=inherited_environment(os.environ),
                start_new_session=True,
            )
    except OSError as error:
        raise storage_error(Path(error.filename or path), error) from error


def _why(process: subprocess.Popen[bytes], lab: Lab) -> str:
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace").strip().splitlines()
    if said:
        return said[-1]
    try:
        lines = (lab.path / layout.ENGINE_LOG).read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    status = process.returncode
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return f"the engine did not start: {lines[-1] if lines else f'it printed nothing ({how})'}"
