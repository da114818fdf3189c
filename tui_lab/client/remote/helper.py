"""The helper: the process beside a lab that feeds the mirror of a screen on another machine, and acts for it there.

It speaks over its standard input and output, and ends with the first. Only the engine that it starts outlives it.
"""

from __future__ import annotations

import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from tui_lab import __version__
from tui_lab.client.remote import files
from tui_lab.protocol.remote import (
    GREETING,
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
    Have,
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
    Run,
    Sent,
    Stop,
    Sum,
    Synced,
    Tail,
    Tails,
    Verify,
    Write,
    Written,
    encode,
    size_of,
    to_helper,
)
from tui_lab.store import layout, ranges
from tui_lab.store.errors import LabError, StorageError, storage_error

if TYPE_CHECKING:
    from tui_lab.client.remote.tables import TableSender
    from tui_lab.engine.client import EngineClient
    from tui_lab.store.events import Submitted
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab

LOOK: Final = 0.2  # seconds between looks at the lab
WALK: Final = 2.0  # seconds between looks at the files of projects
PIECE: Final = 1 << 20  # bytes of a file that are sent at once
PRINTED: Final = 1 << 16  # bytes of what a program prints that are sent at once
LISTED: Final = 200  # larger files that are named
MOST: Final = 1 << 22  # bytes of an output in one answer


def main(path: str, source: BinaryIO, target: BinaryIO) -> int:
    """Serve the lab in a folder until the other side hangs up; return the exit status."""
    from tui_lab.store.lab import Lab

    channel = Channel(target)
    target.write(GREETING + b"\n")
    try:
        lab = Lab.open(Path(path).expanduser())
    except LabError as error:
        channel.fail(0, error)
        return 2
    mask = os.umask(0o077)
    os.umask(mask)
    channel.send(
        Hello(
            version=__version__,
            lab=str(lab.path),
            identity=lab.identity,
            host=os.uname().nodename,
            environment=dict(os.environ),
            umask=mask,
        )
    )
    helper = Helper(lab, channel)
    try:
        while line := source.readline():
            helper.take(line, source.read(size_of(line)))
    except (OSError, RemoteError) as error:
        print(f"tui-lab: {error}", file=sys.stderr)
    finally:
        helper.close()
    return 0


def end_process(process: subprocess.Popen[bytes], kill: bool = False) -> None:
    """Ask a program to end: what it has started is ended by itself."""
    with suppress(OSError):
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)


class Channel:
    """Sends whole messages, from any thread."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._lock = threading.Lock()

    def send(self, message: FromHelper, body: bytes = b"") -> None:
        """Send a message. Raises OSError where nothing listens any more."""
        with self._lock:
            self._target.write(encode(message, body))
            self._target.flush()

    def fail(self, number: int, error: Exception) -> None:
        """Say why something could not be done."""
        if isinstance(error, LabError):
            self.send(Failed(number, error.message, error.hint, isinstance(error, StorageError)))
        else:
            self.send(Failed(number, str(error) or type(error).__name__, storage=isinstance(error, OSError)))


class Helper:
    """Follows the lab in one thread, and does what it is asked in others."""

    def __init__(self, lab: object, channel: Channel) -> None:
        from tui_lab.store.lab import Lab

        assert isinstance(lab, Lab)
        self.lab = lab
        self.channel = channel
        self._tables = ThreadPoolExecutor(1, thread_name_prefix="tables")  # they take long
        self._rest = ThreadPoolExecutor(4, thread_name_prefix="requests")
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="changes")  # they are made to their end
        self._sender: TableSender | None = None  # in the thread of the tables
        self._ending = threading.Event()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._follower: threading.Thread | None = None

    def take(self, line: bytes, body: bytes) -> None:
        """Begin what a message asks for. Raises RemoteError."""
        message = to_helper(line)
        match message:
            case Follow():
                if self._follower is not None:
                    raise RemoteError("it follows already")
                follower = Follower(self.lab.path, self.channel, message.have)
                self._follower = threading.Thread(target=self._follow, args=(follower,), daemon=True)
                self._follower.start()
            case Bring():
                self._tables.submit(self._do, message.id, lambda: self._bring(message))
            case Read():
                self._rest.submit(self._do, message.id, lambda: self._read(message))
            case Tails():
                self._rest.submit(self._do, message.id, lambda: self._tails(message))
            case Outputs():
                self._rest.submit(self._do, message.id, lambda: self._outputs(message))
            case Engine():
                self._rest.submit(self._do, message.id, lambda: self._engine(message))
            case Write():
                self._changes.submit(self._do, message.id, lambda: self._write(message, body))
            case Launch():
                self._changes.submit(self._do, message.id, lambda: self._launch(message))
            case Run():
                threading.Thread(target=self._do, args=(message.id, lambda: self._run(message)), daemon=True).start()
            case Stop():
                if (process := self._running.get(message.id)) is not None:
                    end_process(process, kill=message.kill)
            case Verify():
                self._rest.submit(self._do, message.id, lambda: self._verify(message))
            case Parse():
                self._changes.submit(self._do, message.id, lambda: self._parse(message))
            case Ping():
                self.channel.send(Done(message.id))

    def close(self) -> None:
        """End all threads. What changes something is done to its end, whoever waits for it; no more is begun."""
        self._ending.set()
        for process in list(self._running.values()):
            end_process(process)  # it was for that screen
        for pool in (self._tables, self._rest):
            pool.shutdown(wait=False, cancel_futures=True)
        self._changes.shutdown(wait=True, cancel_futures=True)

    def _follow(self, follower: Follower) -> None:
        first = True
        while not self._ending.is_set():
            try:
                follower.look(first)
                if first:
                    self.channel.send(Synced())
                first = False
            except OSError as error:
                if not (self.lab.path / layout.LAB_FILE).exists():
                    with suppress(OSError):
                        self.channel.fail(0, StorageError(f"{self.lab.path}: the lab is gone: {error.strerror}"))
                    return
            except Exception as error:  # noqa: BLE001  (the screen says it, and connects again)
                with suppress(OSError):
                    self.channel.fail(0, error)
                return
            self._ending.wait(LOOK)

    def _do(self, number: int, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  (the screen says it)
            with suppress(OSError):  # it has hung up
                self.channel.fail(number, error)

    def _bring(self, message: Bring) -> None:
        from tui_lab.client.remote.tables import TableSender
        from tui_lab.results.tables import refresh

        if self._sender is None:
            self._sender = TableSender()

        folder = self.lab.experiment(message.experiment)
        found = refresh(folder)
        for kind in message.kinds:
            if kind == "steps":
                found.steps  # noqa: B018  (it is read, and kept in the cache)
            elif kind == "rows":
                found.rows  # noqa: B018
        for file in files.of_tables(self.lab.path, message.experiment):
            known = message.have.get(file)
            if not file.endswith(".parquet"):
                send_whole(self.channel, self.lab.path / file, file, known)
                continue
            with suppress(FileNotFoundError):
                news = self._sender.news(self.lab.path / file, file, known.mtime if known is not None else 0)
                if news is not None:
                    self.channel.send(*news)
        self.channel.send(Done(message.id))

    def _read(self, message: Read) -> None:
        tail = Tail(message.task, message.attempt, message.name, max(0, message.offset))
        with _Outputs(self.lab, message.experiment) as outputs:
            total, data = outputs.piece(tail, max(0, min(message.most, MOST)))
        self.channel.send(Content(message.id, total), data)

    def _tails(self, message: Tails) -> None:
        most, room = max(0, min(message.most, MOST)), MOST
        pieces: list[tuple[int, bytes]] = []
        with _Outputs(self.lab, message.experiment) as outputs:
            for tail in message.wanted:
                try:
                    pieces.append(outputs.piece(tail, min(most, room)))  # without room they say their sizes
                except (LabError, OSError):
                    pieces.append((-1, b""))
                room -= len(pieces[-1][1])
        found = [(total, len(data)) for total, data in pieces]
        self.channel.send(Pieces(message.id, found), b"".join(data for _, data in pieces))

    def _outputs(self, message: Outputs) -> None:
        from tui_lab.store.task_files import TaskFile, listed

        folder = self.lab.experiment(message.experiment)
        place = folder.task_folder(message.task)
        larger: list[tuple[str, int, int]] = []
        for name, facts in listed(place, deep=True):
            file = f"{message.experiment}/{folder.relative_folder(message.task)}/{name}"
            if message.endings and not name.lower().endswith(tuple(message.endings)):
                continue
            known = message.have.get(file)
            same = known is not None and (known.size, known.mtime) == (facts.st_size, facts.st_mtime_ns)
            if same or not files.is_text(name):
                continue
            if facts.st_size > message.most:
                larger.append((name, facts.st_size, facts.st_mtime_ns))
                continue
            with suppress(OSError), os.fdopen(TaskFile(str(place), name).open(), "rb") as stream:
                data = stream.read(message.most)
                self.channel.send(Replaced(file, len(data), facts.st_mtime_ns), zlib.compress(data, 1))
        self.channel.send(Sent(message.id, larger[:LISTED]))

    def _engine(self, message: Engine) -> None:
        from tui_lab.engine.client import EngineClient

        client = EngineClient.start(self.lab) if message.start else EngineClient.connect(self.lab)
        socket = ""
        if client is not None:
            socket = client.facts.socket
            client.close()
        self.channel.send(Found(message.id, socket))

    def _write(self, message: Write, body: bytes) -> None:
        if not message.file.startswith("/"):
            raise LabError(f"{message.file}: is no absolute path")
        path = Path(os.path.realpath(message.file))  # a link stays a link
        try:
            facts = path.stat()
        except FileNotFoundError:
            facts = None
        if (facts.st_mtime_ns if facts is not None else 0) != message.mtime:
            if facts is not None and facts.st_size == len(body) and path.read_bytes() == body:
                self.channel.send(Written(message.id, facts.st_mtime_ns))  # it is asked for again
                return
            raise LabError(f"{message.file}: was changed there since it was read")
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(partial, "xb") as stream:
                    stream.write(body)
                    stream.flush()
                    os.fsync(stream.fileno())
                if facts is not None:
                    partial.chmod(stat.S_IMODE(facts.st_mode))
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error
        self.channel.send(Written(message.id, path.stat().st_mtime_ns))

    def _launch(self, message: Launch) -> None:
        from tui_lab.client.submission import Choice, prepare, submit
        from tui_lab.experiment.yaml.problem import SpecError

        choice = Choice(new=message.new, rerun=message.rerun, adopt=message.adopt, replace=message.replace)
        try:
            with self.lab.submitting():
                prepared = prepare(self.lab, Path(message.file), choice)
                name = prepared.experiment.name
                if (taken := self._taken(prepared.folder, message.submission)) is not None:
                    self.channel.send(Launched(message.id, name, ranges.count(taken.queued)))
                    return
                asked = message.submission or None
                client, _ = submit(self.lab, [prepared], message.nodes, message.keep_going, os.environ, identity=asked)
        except SpecError as error:
            raise LabError("; ".join(map(str, error.problems))) from None
        if client is not None:
            client.close()
        self.channel.send(Launched(message.id, name, len(prepared.queued)))

    @staticmethod
    def _taken(folder: ExperimentFolder, submission: str) -> Submitted | None:
        """Return a submission that was taken before: its answer was lost."""
        known = folder.state().submissions if submission and folder.exists() else []
        return next((one for one in known if one.id == submission), None)

    def _run(self, message: Run) -> None:
        environment = {**os.environ, "COLUMNS": str(message.columns), "PYTHONUNBUFFERED": "1"}
        if message.module[:1] == ["tui_lab"]:  # else it is a task, which has an environment of its own
            environment["TUI_LAB_DIR"] = str(self.lab.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", *message.module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        self._running[message.id] = process
        try:
            while data := os.read(process.stdout.fileno(), PRINTED):
                self.channel.send(Printed(message.id), data)
            self.channel.send(Ended(message.id, process.wait()))
        finally:
            end_process(process)
            process.stdin.close()
            process.stdout.close()
            del self._running[message.id]

    def _verify(self, message: Verify) -> None:
        from tui_lab.client.retry import check_code

        check_code(self.lab.experiment(message.experiment))
        self.channel.send(Done(message.id))

    def _parse(self, message: Parse) -> None:
        from tui_lab.client.edited_metrics import read_edited
        from tui_lab.experiment.yaml.problem import SpecError

        try:
            found = read_edited(self.lab, Path(message.file))
        except SpecError:
            found = None  # the screen says what is wrong in it
        self.channel.send(Parsed(message.id, found or ""))


class _Outputs:
    """The outputs of the tasks of an experiment: here, or on the nodes where they run."""

    def __init__(self, lab: Lab, experiment: str) -> None:
        self._lab, self._name = lab, experiment
        self._folder = lab.experiment(experiment)
        self._client: EngineClient | None = None

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def piece(self, asked: Tail, most: int) -> tuple[int, bytes]:
        """Return the size of a file, -1 where it is nowhere, and bytes of it. Raises LabError, OSError."""
        from tui_lab.store.task_files import TaskFile

        try:
            file = TaskFile(str(self._folder.task_folder(asked.task)), asked.name).open()
        except FileNotFoundError:
            return self._from_node(asked, most)
        try:
            total = os.fstat(file).st_size
            start = max(0, total + asked.offset) if asked.offset < 0 else asked.offset
            return total, os.pread(file, most, start)
        finally:
            os.close(file)

    def _from_node(self, asked: Tail, most: int) -> tuple[int, bytes]:
        import base64

        from tui_lab.engine.client import EngineClient
        from tui_lab.protocol.control import ReadFile

        self._client = self._client or EngineClient.connect(self._lab)
        if self._client is None:
            return -1, b""
        key = (self._name, asked.task, asked.attempt, asked.name)
        start = asked.offset
        if start < 0:
            start = max(0, self._client.request(ReadFile(*key, 0, 0)).total + start)
        found = self._client.request(ReadFile(*key, start, most))
        return (-1, b"") if found.data is None else (found.total, base64.b64decode(found.data))


class Follower:
    """Sends what a mirror lacks. have: the files that it has."""

    def __init__(self, lab: Path, channel: Channel, have: Mapping[str, Have]) -> None:
        self.lab = lab
        self.channel = channel
        self._have = dict(have)
        self._identity: dict[str, tuple[int, int]] = {}  # of files that grow: device and inode
        self._seen: dict[str, tuple[int, int, int]] = {}  # what `_facts` said when all was sent
        self._projects: dict[str, Path] = {}  # the file of each experiment
        self._walked = -WALK  # monotonic

    def look(self, first: bool) -> None:
        """Send what has changed since the last look. first: tell how much it is. Raises OSError."""
        names = files.experiments(self.lab)
        sizes = {name: self._facts(name) for name in names}
        changed = [name for name in names if sizes[name] != self._seen.get(name)]
        if first:
            for name in names:
                self._find_file(name)
            self.channel.send(Sum(self._lacking(changed)))
        for file in files.of_lab(self.lab):
            if file != layout.ENGINE_FILE:
                self._bring(file)
        for name in changed:
            for file in files.of_experiment(self.lab, name):
                self._bring(file)
            if f"{name}/{layout.JOURNAL_FILE}" not in self._have:  # later it makes its own
                file = f"{name}/{layout.CHECKPOINT_FILE}"
                send_whole(self.channel, self.lab / file, file, None)
            self._grow(f"{name}/{layout.JOURNAL_FILE}", sizes[name][0])
            self._seen[name] = sizes[name]
            if not first:
                self._find_file(name)
        self._bring(layout.ENGINE_FILE)
        if changed or time.monotonic() - self._walked >= WALK:
            self._walked = time.monotonic()
            for file in self._around():
                self._bring(file)
        for file in [file for file in self._have if not self._is_there(file, names)]:
            del self._have[file]
            self._seen.pop(file.partition("/")[0], None)
            self.channel.send(Removed(file))

    def _find_file(self, name: str) -> None:
        """Find where the file of an experiment is, which a submission may change."""
        from tui_lab.store.experiment import ExperimentFolder

        with suppress(LabError, OSError, KeyError, ValueError):
            self._projects[name] = ExperimentFolder(self.lab / name).file()

    def _facts(self, name: str) -> tuple[int, int, int]:
        """Return size and time of a journal, and the time of other metrics, of which it has no event; zeros for what
        has just gone."""
        facts, metrics = (0, 0), 0
        with suppress(OSError):
            journal = (self.lab / name / layout.JOURNAL_FILE).stat()
            facts = journal.st_size, journal.st_mtime_ns
        with suppress(OSError):
            metrics = (self.lab / name / layout.PARSED_FILE).stat().st_mtime_ns
        return *facts, metrics

    def _is_there(self, file: str, names: list[str]) -> bool:
        name, slash, _ = file.partition("/")
        if slash and name:
            return name in names and (self.lab / file).exists()
        return (self.lab / file).exists()

    def _lacking(self, names: list[str]) -> int:
        """Return how many bytes differ."""
        total = 0
        for file in (*files.of_lab(self.lab), *self._of(names), *self._around()):
            known = self._have.get(file)
            with suppress(OSError):
                facts = (self.lab / file).stat()
                if files.grows(file):
                    total += max(0, facts.st_size - (known.size if known else 0))
                elif known is None or (known.size, known.mtime) != (facts.st_size, facts.st_mtime_ns):
                    total += facts.st_size
        for name in names:
            if f"{name}/{layout.JOURNAL_FILE}" not in self._have:
                with suppress(OSError):
                    total += (self.lab / name / layout.CHECKPOINT_FILE).stat().st_size
        return total

    def _around(self) -> Iterator[str]:
        """Yield the files around the lab: those of the programs."""
        projects = dict.fromkeys(self._projects.values())
        yield from dict.fromkeys(file for project in projects for file in files.of_project(project))

    def _of(self, names: list[str]) -> Iterator[str]:
        for name in names:
            yield from files.of_experiment(self.lab, name)
            yield f"{name}/{layout.JOURNAL_FILE}"

    def _bring(self, file: str) -> None:
        if files.grows(file):
            with suppress(FileNotFoundError):
                self._grow(file, (self.lab / file).stat().st_size)
            return
        sent = send_whole(self.channel, self.lab / file, file, self._have.get(file))
        if sent is not None:
            self._have[file] = sent

    def _grow(self, file: str, size: int) -> None:
        """Send what was appended to a file, up to a size."""
        path, known = self.lab / file, self._have.get(file)
        try:
            stream = open(path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return
        with stream:
            facts = os.fstat(stream.fileno())
            identity = facts.st_dev, facts.st_ino
            offset = known.size if known is not None else 0
            same = self._identity.get(file, identity) == identity and offset <= size
            if known is not None and same and file not in self._identity:
                same = files.tail_sum(path, offset) == known.tail
            self._identity[file] = identity
            if not same:
                offset = 0
            elif known is not None and offset == size:
                return
            while True:
                data = os.pread(stream.fileno(), min(PIECE, size - offset), offset)
                body = zlib.compress(data, 1)
                self.channel.send(Appended(file, offset, len(data), facts.st_mtime_ns), body)
                offset += len(data)
                self._have[file] = Have(offset, facts.st_mtime_ns)
                if offset >= size or not data:
                    return


def send_whole(channel: Channel, path: Path, file: str, known: Have | None) -> Have | None:
    """Send a file if it differs from the one that is known; return what tells of it, None where it is not there."""
    try:
        with open(path, "rb") as stream:
            facts = os.fstat(stream.fileno())
            found = Have(facts.st_size, facts.st_mtime_ns)
            if known is not None and (known.size, known.mtime) == (found.size, found.mtime):
                return found
            if not path.name.endswith(".parquet") and facts.st_size > files.LARGEST:
                return found
            data = stream.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    channel.send(Replaced(file, len(data), facts.st_mtime_ns), zlib.compress(data, 1))
    return found
