"""The connection to a lab on another machine: a thread with a loop of its own feeds the mirror, and reconnects."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shlex
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias, TypeVar

from tui_lab import __version__
from tui_lab.client.formatting import transferred
from tui_lab.client.remote import files
from tui_lab.client.remote.address import RemoteAddress
from tui_lab.client.remote.mirror import Mirror
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.transport import SshReader, SshWriter
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.remote import (
    GREETING,
    LINE,
    Appended,
    Bring,
    Content,
    Done,
    Ended,
    Engine,
    Failed,
    Follow,
    Found,
    FromHelper,
    Hello,
    Launch,
    Launched,
    Outputs,
    Parse,
    Parsed,
    Pieces,
    Ping,
    Printed,
    Read,
    RemoteError,
    Removed,
    Replaced,
    Rows,
    Run,
    Sent,
    Stop,
    Sum,
    Synced,
    Tail,
    Tails,
    ToHelper,
    Verify,
    Write,
    Written,
    encode,
    from_helper,
    size_of,
)
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.experiment import ExperimentFolder

if TYPE_CHECKING:
    from tui_lab.client.submission import Choice
    from tui_lab.engine.transports.ssh.pool import Pool

T = TypeVar("T")
M = TypeVar("M", Done, Content, Sent, Pieces, Found, Written, Launched, Parsed)

log = logging.getLogger(__name__)

AGAIN: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before each further try
GREETED: Final = 60.0  # seconds for the login and the helper's start
ALIVE: Final = (2.0, 3)  # seconds without a byte after which sshd is asked for a sign of life; how often, in vain
QUIET: Final = 10.0  # seconds without a byte after which the helper is asked for a sign of life, and has for that
NOISE: Final = 1 << 22  # bytes that a login shell may print before the greeting
LAST_WORDS: Final = 1 << 14  # bytes of its standard error that are kept
NOT_FOUND: Final = 127  # exit status of a shell for a command that is nowhere
FETCHED: Final = 1 << 20  # bytes of a file that are fetched at once, at most
FIRST: Final = 1 << 16  # bytes of the first piece of a file
PIECE: Final = 0.5  # seconds that a piece is to take, so that its progress is seen
TICK: Final = 0.25  # seconds between looks whether an answer is still wanted
TRIES: Final = 3  # to open it at first
TRIED: Final = 20.0  # seconds after which the first opening is not tried again
PATIENCE: Final = 60.0  # seconds that a change waits for the connection

# Every login shell must read it alike in single quotes (sh, fish, csh): no newline, single quote or exclamation mark.
_SCRIPT: Final = 'PATH="$PATH:$HOME/.local/bin"; export PATH; exec tui-lab remote-helper "$0"'


class AwayError(StorageError):
    """Raised where the machine can't be reached now."""


Answer: TypeAlias = "asyncio.Future[tuple[FromHelper, bytes]]"


@dataclass
class _Waiting:
    """Requests without an answer, by number."""

    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    answers: dict[int, Answer] = field(default_factory=dict)

    def settle(self, number: int, message: FromHelper, body: bytes) -> None:
        answer = self.answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result((message, body))

    def fail(self, error: Exception) -> None:
        answers, self.answers = self.answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(error)


class RemoteLab:
    """A lab on another machine, and its mirror here (see `mirrors.OtherSide`). environment: of the user, for SSH."""

    def __init__(self, address: RemoteAddress, environment: Mapping[str, str]) -> None:
        self.address = address
        self.trouble = ""  # why it can't be reached just now
        self.connections = 0  # how many were made so far
        self.environment: Mapping[str, str] = {}
        self.umask = 0o022
        self._ssh_environment = environment
        self._mirror: Mirror | None = None
        self._opened: Future[Path] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)
        self._progress: Progress = _say_nothing
        self._waiting = _Waiting()
        self._runs: dict[int, RemoteRun] = {}
        self._connected = False
        self._up = asyncio.Event()  # while connected
        self._hurry = asyncio.Event()  # someone waits for the connection
        self._pool: Pool | None = None
        self._line: Any = None  # of the pool
        self._writer: Any = None  # an SshWriter, while connected
        self._heard = 0.0  # monotonic
        self._known: dict[str, int] = {}  # when files around the lab were changed there, in ns

    @property
    def name(self) -> str:
        """How the user calls the lab."""
        return str(self.address)

    @property
    def host(self) -> str:
        """The machine, as the user calls it."""
        return self.address.host

    @property
    def lab(self) -> Path:
        """The mirror's folder, once the lab is open."""
        assert self._mirror is not None
        return self._mirror.lab

    def open(self, progress: Progress | None = None) -> Path:
        """Connect, and bring the mirror up to date; return its folder. Raises LabError, StorageError."""
        self._progress = progress or _say_nothing
        self._thread.start()
        return self._opened.result()

    def close(self) -> None:
        """Hang up. The mirror stays for the next time."""
        if self._mirror is not None:
            mirrors.remove(self.lab)
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)

    # --- What readers and commands ask for; each blocks

    def engine(self, start: bool, patience: float = 0.0) -> socket.socket | None:
        """Return a connection to the engine there; None where none runs, unless it is to be started. patience: seconds
        to wait for the machine."""
        found, _ = self._ask(lambda number: Engine(number, start), Found, patience=patience)
        return self._in_loop(self._connect_engine(found.socket)) if found.socket else None

    def bring(self, experiment: str, kinds: Sequence[str] = ()) -> None:
        """Bring the tables of an experiment up to date. What can't be reached leaves them as they are."""
        assert self._mirror is not None
        have = self._mirror.have_tables(experiment)
        self._ask(lambda number: Bring(number, experiment, have, kinds), Done)

    def read(
        self, experiment: str, task: int, attempt: int, name: str, offset: int, most: int
    ) -> tuple[bytes | None, int]:
        """Return a piece of an output, and the size of the whole; None where the machine has no such file."""
        found, body = self._ask(lambda number: Read(number, experiment, task, attempt, name, offset, most), Content)
        return (None, 0) if found.total < 0 else (body, found.total)

    def tails(self, experiment: str, wanted: Sequence[tuple[int, int, str, int]], most: int) -> list[tuple[int, bytes]]:
        """Return the sizes of several outputs, -1 for those that are nowhere, and bytes of each. wanted: task, attempt,
        name, and an offset, below 0 from the end."""
        asked = [Tail(*one) for one in wanted]
        found, body = self._ask(lambda number: Tails(number, experiment, asked, most), Pieces)
        at, pieces = 0, []
        for total, count in found.found:
            pieces.append((total, body[at : at + count]))
            at += count
        return pieces

    def fetch(
        self, experiment: str, task: int, most: int = files.SMALL, endings: Sequence[str] = ()
    ) -> Sequence[tuple[str, int, int]]:
        """Bring the files of a task into the mirror; return of the larger ones name, size and time. most: bytes of
        each, at most. endings: of their names, by default all, which is for a task that has ended."""
        assert self._mirror is not None
        folder = self._mirror.path(experiment)
        have = self._mirror.have_below(ExperimentFolder(folder).task_folder(task))
        sent, _ = self._ask(lambda number: Outputs(number, experiment, task, have, most, endings), Sent)
        return sent.larger

    def fetch_file(self, experiment: str, task: int, name: str, mtime: int, progress: Callable[[int], None]) -> None:
        """Bring a file of a task into the mirror. mtime: when it was changed, in ns. progress: hears how many bytes
        have come, several times a second; what it raises ends the transfer. It waits for a connection that breaks,
        and goes on where it was."""
        assert self._mirror is not None
        data, most = bytearray(), FIRST
        while True:
            at, began = len(data), time.monotonic()
            found, piece = self._ask(
                lambda number, at=at, most=most: Read(number, experiment, task, 0, name, at, most),  # type: ignore[misc]
                Content,
                patience=PATIENCE,
                watch=lambda at=at: progress(at),  # type: ignore[misc]
            )
            if found.total < 0:
                raise LabError(f"{name}: is no longer there")
            data += piece
            progress(len(data))
            if not piece or len(data) >= found.total:
                break
            took = time.monotonic() - began
            most = int(max(FIRST, min(FETCHED, len(piece) * PIECE / max(took, 0.001))))
        folder = ExperimentFolder(self._mirror.path(experiment)).task_folder(task)
        file = f"{folder.relative_to(self._mirror.lab)}/{name}"
        self._mirror.replace(Replaced(file, len(data), mtime), zlib.compress(bytes(data), 0))

    def run(self, module: Sequence[str], output: Path, columns: int) -> RemoteRun:
        """Run a module of Python beside the lab; it ends with the connection. module: its name and its words. output:
        where here to write what it prints."""
        run = RemoteRun(self, output)
        self._soon(lambda: self._begin_run(run, module, columns))
        return run

    def end_run(self, run: RemoteRun, kill: bool) -> None:
        """End what was started there."""
        self._soon(lambda: self._writer.write(encode(Stop(run.number, kill))) if run.number in self._runs else None)

    def _soon(self, call: Callable[[], object]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(call)

    def _begin_run(self, run: RemoteRun, module: Sequence[str], columns: int) -> None:
        if not self._connected:
            run.take_end(1, str(self._away()))
            return
        run.number = next(self._waiting.numbers)
        self._runs[run.number] = run
        self._writer.write(encode(Run(run.number, module, columns)))

    def verify(self, experiment: str) -> None:
        """Raises LabError where tasks have changed the program of the newest submission."""
        self._ask(lambda number: Verify(number, experiment), Done)

    def parse(self, path: Path) -> str:
        """Let the outputs of the experiment of a file be read there by the metrics that the file has now; return what
        was found, empty where nothing has changed. path: of the one here. Raises LabError."""
        assert self._mirror is not None
        file = self._mirror.there(path)
        parsed, _ = self._ask(lambda number: Parse(number, file), Parsed, patience=PATIENCE)
        return parsed.found

    def write(self, path: Path, data: bytes) -> None:
        """Write a file there and here. path: of the one here. It waits for a connection that breaks. Raises LabError
        where it was changed there meanwhile."""
        assert self._mirror is not None
        file = self._mirror.there(path)
        known = self._mtime_there(path, file)
        written, _ = self._ask(lambda number: Write(number, file, known), Written, data, PATIENCE)
        self._mirror.replace(Replaced(file, len(data), written.mtime), zlib.compress(data))
        self._known[file] = written.mtime

    def _mtime_there(self, path: Path, file: str) -> int:
        """Return when a file was changed there, as far as it is known here, in ns; 0 where it is not there. Of those
        around the lab, which other editors may have changed here, the time is kept."""
        assert self._mirror is not None
        if not path.absolute().is_relative_to(self._mirror.lab):
            return self._known.get(file, 0)
        try:
            return path.stat().st_mtime_ns
        except OSError:
            return 0

    def launch(self, path: Path, nodes: Sequence[NodeEntry], keep_going: bool, choice: Choice) -> tuple[str, int]:
        """Submit a file there, as it is here; return the experiment's name, and how many tasks will run. path: of the
        one here. It waits for a connection that breaks, and nothing is submitted twice. Raises LabError."""
        assert self._mirror is not None
        if not path.absolute().is_relative_to(self._mirror.root):
            what = f"{path}: is on this machine, and the lab is on {self.address.host}"
            raise LabError(what, "tasks start where their file is; copy it there, and open it beside the lab")
        file = self._mirror.there(path)
        if path.stat().st_mtime_ns != self._known.get(file):
            self.write(path, path.read_bytes())  # another editor has written it
        ticked = {"new": choice.new, "rerun": choice.rerun, "adopt": choice.adopt, "replace": choice.replace}
        submission = uuid.uuid4().hex
        launched, _ = self._ask(
            lambda number: Launch(number, file, nodes, submission, keep_going, **ticked), Launched, patience=PATIENCE
        )
        return launched.experiment, launched.count

    def _ask(
        self,
        make: Callable[[int], ToHelper],
        kind: type[M],
        body: bytes = b"",
        patience: float = 0.0,
        watch: Callable[[], None] | None = None,
    ) -> tuple[M, bytes]:
        """Send a request; return its answer. patience: seconds to wait for the connection, and to send it again where
        it broke. watch: called while it waits; what it raises ends that. Raises LabError where it is refused,
        StorageError where it is lost."""
        answer: FromHelper
        answer, body = self._in_loop(self._request(make, body, patience), watch)
        if isinstance(answer, Failed):
            raise (StorageError if answer.storage else LabError)(answer.error, answer.hint)
        if not isinstance(answer, kind):
            raise StorageError(f"{self.name}: an answer that makes no sense")
        return answer, body

    def _in_loop(self, call: Coroutine[Any, Any, T], watch: Callable[[], None] | None = None) -> T:
        assert self._loop is not None
        try:
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
            while watch is not None and not wait([future], TICK).done:
                try:
                    watch()
                except BaseException:
                    future.cancel()
                    raise
            return future.result()
        except (RuntimeError, CancelledError):
            call.close()
            raise self._away() from None

    def _away(self) -> AwayError:
        if not self.trouble:
            return AwayError(f"the connection to {self.host} is closed")
        return AwayError(
            f"no connection to {self.host}: {self.trouble}", "what runs there goes on, and it is tried again"
        )

    async def _request(
        self, make: Callable[[int], ToHelper], body: bytes, patience: float = 0.0
    ) -> tuple[FromHelper, bytes]:
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                if patience:
                    await self._await_connection(deadline)
                return await self._once(make, body)
            except AwayError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise

    async def _await_connection(self, deadline: float) -> None:
        """Wait until it is connected. Raises StorageError."""
        if self._connected:
            return
        self._hurry.set()
        try:
            async with asyncio.timeout_at(deadline):
                await self._up.wait()
        except TimeoutError:
            hint = "it may have been taken: what is shown once the connection is back tells"
            raise AwayError(self._away().message, hint) from None

    async def _once(self, make: Callable[[int], ToHelper], body: bytes) -> tuple[FromHelper, bytes]:
        if not self._connected:
            raise self._away()
        number: int = next(self._waiting.numbers)
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.answers[number] = answer
        self._writer.write(encode(make(number), body))
        return await answer

    async def _connect_engine(self, path: str) -> socket.socket:
        """Return a socket whose other end is the engine's, through a channel of the same connection."""
        import asyncssh

        if not self._connected:
            raise self._away()
        try:
            reader, writer = await self._line.connection.open_unix_connection(path, encoding=None)
        except (asyncssh.Error, OSError) as error:
            hint = "does its sshd forward sockets? See AllowStreamLocalForwarding in man sshd_config"
            raise StorageError(f"{self.name}: the engine's socket can't be reached: {error}", hint) from error
        ours, theirs = socket.socketpair()
        try:
            here = await asyncio.open_unix_connection(sock=ours)
        except OSError as error:
            ours.close()
            theirs.close()
            raise StorageError(f"{self.name}: {error}") from error
        both = asyncio.gather(_copy(reader, here[1]), _copy(here[0], writer))
        both.add_done_callback(lambda _: both.exception() if not both.cancelled() else None)
        return theirs

    # --- The connection

    def _run(self) -> None:
        try:
            asyncio.run(self._keep_connected())
        except asyncio.CancelledError:
            pass
        finally:
            if not self._opened.done():
                self._opened.set_exception(self._away())

    async def _keep_connected(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        tries = 0
        first = time.monotonic()
        while True:
            began = time.monotonic()
            for_good = tries + 1 >= TRIES or began - first > TRIED
            try:
                await self._serve()
                self.trouble = "the connection has ended"
            except StorageError as error:
                self._say(error, for_good)
            except LabError as error:
                self._say(error, True)
            except (ChannelError, OSError, RemoteError, TimeoutError, asyncio.IncompleteReadError) as error:
                what = "the connection broke" if isinstance(error, asyncio.IncompleteReadError) else str(error)
                never = for_good or (isinstance(error, ChannelError) and error.fatal)
                self._say(StorageError(f"{self.name}: {what or type(error).__name__}"), never)
            except Exception as error:
                log.exception("%s", self.name)
                self._say(StorageError(f"{self.name}: internal error: {error!r}"), True)
            finally:
                self._connected = False
                self._up.clear()
                self._waiting.fail(self._away())
                runs, self._runs = self._runs, {}
                for run in runs.values():
                    run.take_end(1, f"the connection to {self.address.host} broke, and it was ended there")
                pool, self._pool = self._pool, None
                if pool is not None:
                    await pool.close()
            if self._opened.done() and self._opened.exception() is not None:
                return
            tries = 0 if time.monotonic() - began > AGAIN[-1] else tries
            pause = AGAIN[min(tries, len(AGAIN) - 1)]
            tries += 1
            if not self._opened.done():
                self._progress(Copied(trouble=self.trouble))
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
                    await asyncio.sleep(min(pause, AGAIN[0]))  # a machine that starts again is not asked all the time

    def _say(self, error: LabError, for_good: bool) -> None:
        """Note why it can't be reached. Whoever opens it gets the error, if trying again does not help."""
        self.trouble = str(error).removeprefix(f"{self.name}: ")
        if for_good and not self._opened.done():
            self._opened.set_exception(error)

    async def _serve(self) -> None:
        from tui_lab.engine.transports.ssh.pool import Pool  # asyncssh takes a quarter of a second to import

        entry: NodeEntry = {"name": self.address.host, "slots": 0, "tags": [], "host": self.address.host}
        if self.address.user:
            entry["user"] = self.address.user
        if self.address.port:
            entry["port"] = self.address.port
        self._pool = Pool(entry, self._ssh_environment, most=1)
        command = f"exec sh -c {shlex.quote(_SCRIPT)} {shlex.quote(self.address.path)}"
        self._line, (stdin, stdout, stderr) = await self._pool.open(command)
        self._line.connection.set_keepalive(*ALIVE)  # what ~/.ssh/config says is for connections that may be quiet
        reader, self._writer = SshReader(stdout), SshWriter(stdin)
        said = asyncio.create_task(_last_words(SshReader(stderr)))
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(GREETED):
                await self._await_greeting(reader, said)
                hello, _ = await self._message(reader)
            self._begin(hello)
            assert self._mirror is not None
            have = await asyncio.to_thread(self._mirror.have)
            self._known = {file: one.mtime for file, one in have.items() if file.startswith("/")}
            self._writer.write(encode(Follow(have)))
            watching = asyncio.create_task(self._watch())
            copied = Copied()
            while True:
                message, body = await self._message(reader)
                if isinstance(message, Sum):
                    copied = Copied(0, message.bytes, time.monotonic())
                elif isinstance(message, Appended | Replaced) and not self._connected:
                    copied = replace(copied, came=copied.came + message.raw)
                    self._progress(copied)
                if isinstance(message, Rows):
                    await asyncio.to_thread(_take_rows, self._mirror.path(message.file), message, body)
                else:
                    self._take(self._mirror, message, body)
        except asyncio.IncompleteReadError:
            if self._line.connection.is_closed():
                raise StorageError(f"{self.name}: the connection broke") from None
            why = (await asyncio.wait_for(said, 2)).strip().splitlines() if not said.cancelled() else []
            raise StorageError(f"{self.name}: the helper there has ended" + (f": {why[-1]}" if why else "")) from None
        finally:
            said.cancel()
            if watching is not None:
                watching.cancel()

    async def _await_greeting(self, reader: SshReader, said: asyncio.Task[str]) -> None:
        """Skip what a login shell prints. Raises LabError where no helper comes up."""
        noise = 0
        while (line := await reader.readline()).rstrip(b"\r\n") != GREETING:
            noise += len(line)
            if not line or noise > NOISE:
                if not line:
                    if self._line.connection.is_closed():
                        raise StorageError(f"{self.name}: the connection broke")
                    await self._writer.channel.wait_closed()
                status = self._writer.channel.get_exit_status()
                lines = (await said).strip().splitlines() if not line else []
                if status == NOT_FOUND:
                    what = f"{self.name}: there is no tui-lab on that machine's PATH, nor in ~/.local/bin"
                    raise LabError(what, f"install it there: pip install tui-lab=={__version__}")
                last = f": {lines[-1]}" if lines else ""
                hint = f"it needs tui-lab {__version__}: pip install tui-lab=={__version__}"
                raise LabError(f"{self.name}: tui-lab did not start there{last}", hint)

    def _begin(self, hello: FromHelper) -> None:
        """Take in who is at the other end. Raises LabError."""
        if isinstance(hello, Failed):
            raise LabError(f"{self.name}: {hello.error}", hello.hint)
        if not isinstance(hello, Hello):
            raise RemoteError("the helper does not begin with a greeting")
        if _minor(hello.version) != _minor(__version__):
            what = f"{self.name}: tui-lab there is {hello.version}, this one {__version__}"
            raise LabError(what, f"install the same there: pip install tui-lab=={__version__}")
        self.environment, self.umask = hello.environment, hello.umask
        mirror = Mirror(self.name.removesuffix(self.address.path), hello)
        if self._mirror is None:
            self._mirror = mirror
            mirrors.add(mirror.lab, mirror.root, self)
        elif mirror.lab != self._mirror.lab:
            raise LabError(f"{self.name}: is another lab now", "open it again")

    async def _message(self, reader: SshReader) -> tuple[FromHelper, bytes]:
        """Read a message and its body. Raises RemoteError, IncompleteReadError."""
        line = await reader.readline()
        if not line.endswith(b"\n") or len(line) > LINE:
            raise asyncio.IncompleteReadError(line, None)
        self._heard = time.monotonic()
        left, pieces = size_of(line), []
        while left:
            if not (piece := await reader.read(left)):
                raise asyncio.IncompleteReadError(b"", left)
            self._heard = time.monotonic()  # a long body may take its time
            left -= len(piece)
            pieces.append(piece)
        return from_helper(line), b"".join(pieces)

    def _take(self, mirror: Mirror, message: FromHelper, body: bytes) -> None:
        match message:
            case Appended():
                mirror.append(message, body)
            case Replaced(file=file):
                mirror.replace(message, body)
                if file.startswith("/"):
                    self._known[file] = message.mtime
            case Removed(file=file):
                mirror.remove(file)
                self._known.pop(file, None)
            case Synced():
                self._connected, self.trouble = True, ""
                self.connections += 1
                self._up.set()
                if not self._opened.done():
                    self._opened.set_result(mirror.lab)
            case Printed(id=number) if number in self._runs:
                self._runs[number].take(body)
            case Ended(id=number) if number in self._runs:
                self._runs.pop(number).take_end(message.code)
            case Failed(id=number) if number in self._runs:
                self._runs.pop(number).take_end(1, message.error)
            case Failed(id=0):
                raise LabError(message.error, message.hint)
            case (
                Done(id=number)
                | Content(id=number)
                | Sent(id=number)
                | Pieces(id=number)
                | Found(id=number)
                | Written(id=number)
                | Launched(id=number)
                | Parsed(id=number)
                | Failed(id=number)
            ):
                self._waiting.settle(number, message, body)
            case _:
                pass

    async def _watch(self) -> None:
        """Hang up where the other side says nothing any more."""
        while True:
            await asyncio.sleep(QUIET / 2)
            if time.monotonic() - self._heard > 2 * QUIET:
                self._line.connection.abort()
                return
            if self._connected and time.monotonic() - self._heard > QUIET:
                self._writer.write(encode(Ping(0)))


@dataclass(frozen=True)
class Copied:
    """How far the first copy is: bytes that came, of how many, and since when (monotonic). trouble: why it begins once
    more."""

    came: int = 0
    total: int = 0
    since: float = 0.0
    trouble: str = ""

    def words(self, host: str) -> str:
        """Return what is going on, for the user; empty where there is nothing to say."""
        if self.trouble:
            return f"{self.trouble}; connecting to {host} again"
        if self.came >= self.total:
            return f"connected to {host}" if self.since else ""
        return f"copying from {host}: {transferred(self.came, self.total, time.monotonic() - self.since)}"


Progress: TypeAlias = Callable[[Copied], None]


def _say_nothing(_: Copied) -> None:
    pass


def remote_lab(lab: Path) -> RemoteLab | None:
    """Return the connection of a mirror; None for a lab of this machine."""
    side = mirrors.other_side(lab)
    return side if isinstance(side, RemoteLab) else None


def host_name(lab: Path) -> str:
    """Return the machine of a lab; empty if it is this one."""
    found = mirrors.other_side(lab)
    return "" if found is None else found.host


class RemoteRun:
    """A program that runs beside the lab (see `mirrors.Running`). number: of its request, once that is sent."""

    def __init__(self, lab: RemoteLab, output: Path) -> None:
        self.number = 0
        self._lab = lab
        self._code: int | None = None
        self._file: BinaryIO | None = open(output, "ab", buffering=0)  # noqa: SIM115

    def poll(self) -> int | None:
        """Return its exit status, below 0 for a signal; None while it runs."""
        return self._code

    def end(self, *, kill: bool = False) -> None:
        """Send it SIGTERM, or SIGKILL."""
        self._lab.end_run(self, kill)

    def close(self) -> None:
        """End it, where it still runs."""
        if self._code is None:
            self.end()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def take(self, data: bytes) -> None:
        """Write what it has printed."""
        with suppress(OSError, ValueError):  # a full disk; it is closed meanwhile
            if self._file is not None:
                self._file.write(data)

    def take_end(self, code: int, why: str = "") -> None:
        """It has ended. why: if not by itself."""
        if why:
            self.take(f"{why}\n".encode())
        self._code = code


def _take_rows(path: Path, message: Rows, body: bytes) -> None:
    from tui_lab.client.remote.tables import take

    take(path, message, body)


async def _copy(reader: Any, writer: Any) -> None:
    """Copy bytes until either end closes."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except Exception as error:  # noqa: BLE001  (asyncssh has errors of its own: the ends see a connection that closes)
        log.debug("%r", error)
    finally:
        with suppress(Exception):
            writer.close()


async def _last_words(errors: SshReader) -> str:
    """Return the end of what a program says on its standard error."""
    said = b""
    with suppress(OSError):
        while data := await errors.read(LAST_WORDS):
            said = (said + data)[-LAST_WORDS:]
    return said.decode(errors="replace")


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
