"""A process that imports the module of a function once, and forks for each call.

It is asked for calls as a shim is for programs (`starter`). It says `ready`; `unfit` where a fork of it would not be
what a new process is; `stale` in the place of a call where the code has changed since the import."""

import _signal  # type: ignore[import-not-found]  # `signal` makes names of numbers, which takes its time
import atexit
import builtins
import gc
import importlib.machinery
import io
import json
import os
import resource  # noqa: F401 (`os.wait4` imports it)
import signal
import socket
import sys
import time

from ..starter import HANDLED, MARKS, Starter, mark
from . import failure, values  # noqa: F401 (a child has no time to import them)
from .main import find, load_module, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from .main import Loaded


TEXT = (sys.getfilesystemencoding(), "surrogateescape")  # how Python reads variables
ATTEMPT = ("TUI_LAB_OUTPUT", "TUI_LAB_ATTEMPT")
ENV_START = 47  # of what follows the name of the program in /proc/self/stat
OWN = "lib-dynload"  # the folder of the libraries of Python itself
DEVICES = ("/dev/nvidia", "/dev/kfd")  # open once a GPU is in use
WRITING = frozenset("wax+")  # in the mode of a file
RECENT = 2.0  # seconds: bytecode holds the second of its source only, so it may be that of a version before
KEPT = 1 << 20  # bytes of what an import prints


def serve(text: str) -> None:
    """Serve calls of the function that the JSON describes; the channel is standard input, the lock standard output."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(0))
    lock, errors = os.dup(1), os.dup(2)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    mark(lock, b"%d\n" % os.getpid())
    call = json.loads(text)
    code = Code(call["folder"])
    marks = Marks()
    shared = {name: value for name, value in os.environ.items() if name.startswith("TUI_LAB_")}
    before = dict(os.environb)
    printed = Printed()
    try:
        module = code.watch(lambda: load_module(call))
        why, leave = unfit(), leaving()
    except BaseException:  # noqa: BLE001 (each call imports it then, and shows what is wrong)
        module, why, leave = None, "", None
    texts = printed.end()
    os.dup2(errors, 2)
    own = {name: os.environb.get(name) for name in set(before) | set(os.environb)}
    changed = {name for name, value in own.items() if value != before.get(name)}
    calls = Calls(module, texts, changed, marks, shared, leave)
    server = Server(channel, lock, errors, code, calls)
    if why is not None:
        server.tell("unfit", "the import of %s %s" % (call["text"], why) if why else "")
        channel.setblocking(True)
        server.send()
        os._exit(0)
    server.tell("ready", 0)
    server.send()
    gc.collect()
    calls.choose(text.encode(*TEXT))
    ending = ending_of(server)
    if ending is None:
        os._exit(0)
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()  # novermin: at the end, the collector closes what the import has opened
    if ending.error is not None:
        raise ending.error
    sys.exit(ending.code)


def ending_of(server: "Server") -> "Ending | None":
    """Run a server to its end, and return None; in a child that the interpreter has to take apart, return how it
    ends."""
    try:
        server.run()
    except Ending as ending:
        return ending.with_traceback(None)
    return None


def unfit() -> "str | None":
    """Return what the import does so that a fork of this process would not be what a new one is; None where it would
    be."""
    if active_threads() > 1 or has_threads():
        return "starts threads"
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as file:
            if file.read().split():
                return "starts processes"
    except OSError:
        pass  # not every kernel has that file
    torch = sys.modules.get("torch")  # type: Any
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        return "uses the GPU"
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith(DEVICES):
                return "uses the GPU"
        except OSError:
            pass  # that of the listing
    return None


def active_threads() -> int:
    """Return how many threads Python knows of. A fork has more to do once `threading` is imported, so it isn't here."""
    threading = sys.modules.get("threading")  # type: Any
    return 1 if threading is None else threading.active_count()


def has_threads() -> bool:
    """Return whether there are threads that a fork leaves behind. A library that is made for forks ends its own before
    one, and starts them when it needs them, as OpenBLAS does below NumPy."""
    if len(os.listdir("/proc/self/task")) == 1:
        return False
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return len(os.listdir("/proc/self/task")) > 1


class Printed:
    """What the import prints, which each call prints as well."""

    def __init__(self) -> None:
        self.files = [unnamed_file(), unnamed_file()]
        for number, file in enumerate(self.files, 1):
            os.dup2(file, number)

    def end(self) -> "list[bytes]":
        """Return what went to standard output and to standard error."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass  # closed, or replaced
        texts = []
        for file in self.files:
            os.lseek(file, 0, os.SEEK_SET)
            texts.append(os.read(file, KEPT))
            os.close(file)
        return texts


def unnamed_file() -> int:
    """Return a descriptor of a new file that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("printed")  # novermin
    import tempfile  # late: it brings much along, which makes each fork slower

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Code:
    """The files in a folder that an import reads, as they were before: its modules, and what it opens."""

    def __init__(self, folder: str) -> None:
        self.base = os.path.join(os.path.realpath(folder), "")
        self.files = {}  # type: dict[str, Any]

    def add(self, file: "Any") -> None:
        """Add a file that is about to be read, if it is in the folder."""
        try:
            path = os.path.realpath(os.fsdecode(file))
        except (TypeError, ValueError):
            return  # a descriptor, or no path at all
        if path.startswith(self.base) and "-packages" + os.sep not in path and path not in self.files:
            self.files[path] = state(path)

    def watch(self, work: "Callable[[], Any]") -> "Any":
        """Import something. Return and raise what that does."""
        loader = importlib.machinery.SourceFileLoader  # type: Any
        path_stats, plain_open = loader.path_stats, builtins.open

        def noted_path_stats(own: "Any", path: str) -> "Any":
            self.add(path)
            found = path_stats(own, path)
            if time.time() < found["mtime"] + RECENT:
                raise OSError  # then the loader neither reads nor writes bytecode
            return found

        noted_open = NotedOpen(self, plain_open)  # type: Any
        loader.path_stats, builtins.open, io.open = noted_path_stats, noted_open, noted_open
        try:
            return work()
        finally:
            loader.path_stats, builtins.open, io.open = path_stats, plain_open, plain_open
            noted_open.code = None
            for module in list(sys.modules.values()):
                self.add(getattr(module, "__file__", None))  # also a library

    def has_changed(self) -> bool:
        """Return whether any of them is another by now."""
        return any(state(path) != before for path, before in self.files.items())


class NotedOpen:
    """What `open` is while an import is watched. Modules may keep it, so it goes on to work.

    No function: as the attribute of a class, that would become a method."""

    def __init__(self, code: Code, plain_open: "Any") -> None:
        self.code: "Code | None" = code
        self.plain_open = plain_open

    def __call__(self, file: "Any", mode: str = "r", *more: "Any", **named: "Any") -> "Any":
        """Open a file. Raises what `open` does."""
        if self.code is not None and not WRITING.intersection(mode):
            self.code.add(file)
        return self.plain_open(file, mode, *more, **named)


def state(path: str) -> "tuple[int, int, int] | None":
    """Return what changes with a file; None where it is gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class Marks:
    """The variables by which the processes of an attempt are found. The kernel shows the environment that a process was
    started with, so a child writes them into that place."""

    def __init__(self) -> None:
        self.place = 0
        text = b"%s=%s" % (MARKS.encode(), os.environb.pop(MARKS.encode(), b""))
        self.room = len(text)
        with open("/proc/self/environ", "rb") as file:
            before, found, _ = file.read().partition(text)
        with open("/proc/self/stat", "rb") as file:
            start = int(file.read().rpartition(b")")[2].split()[ENV_START])
        if found and start:
            try:
                write_memory(start + len(before), text)
                self.place = start + len(before)
            except OSError:
                pass  # not every kernel allows it

    def write(self, given: "Mapping[str, str]") -> None:
        """Write those of a call. given: its variables."""
        text = ("".join(["%s=%s\0" % (name, given.get(name, "")) for name in ATTEMPT])).encode(*TEXT)
        if self.place and len(text) <= self.room:
            write_memory(self.place, text)


def write_memory(place: int, data: bytes) -> None:
    """Write to an address of this process. Raises OSError."""
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    try:
        os.pwrite(memory, data, place)
    finally:
        os.close(memory)


class Ending(BaseException):
    """This process is the child of a call, and ends: with an exit status, or with what was raised."""

    def __init__(self, code: int, error: "BaseException | None" = None) -> None:
        super().__init__()
        self.code = code
        self.error = error


class Calls:
    """What children do: calls of functions of one module."""

    def __init__(
        self,
        module: "Any",
        texts: "list[bytes]",
        changed: "set[bytes]",
        marks: Marks,
        shared: "dict[str, str]",
        leave: "Callable[[int], Any] | None",
    ) -> None:
        """texts: what the import has printed. changed: the variables that it has set. shared: those of this package
        that all calls have. leave: how the process ends."""
        self.module = module
        self.texts = texts
        self.changed = changed
        self.marks = marks
        self.shared = shared
        self.leave = leave
        self.variables = os.environb._data  # type: ignore[attr-defined]
        self.modules = 0
        self.known: "dict[bytes, tuple[dict[str, Any], Loaded | None]]" = {}
        self.call: "dict[str, Any]" = {}
        self.loaded: "Loaded | None" = None

    def choose(self, text: bytes) -> None:
        """Choose the call that the next child makes, and work out what is the same for each time. text: JSON."""
        if text not in self.known:
            call = json.loads(text.decode(*TEXT))
            try:
                loaded: "Loaded | None" = find(call, self.module)
                loaded.prepare()  # type: ignore[union-attr]
            except Exception:  # noqa: BLE001 (the child meets it again, and shows it)
                loaded = None
            if call.get("keeps") or call.get("before"):
                from . import values  # noqa: F401 (a child has no time to import it)
            self.known[text] = (call, loaded)
            self.modules = len(sys.modules)
            if hasattr(gc, "freeze"):
                gc.freeze()  # novermin: else each child copies the pages that the collector writes to
        self.call, self.loaded = self.known[text]

    def run(self, environment: bytes) -> int:
        """Make this child what the process of a task is, and call the function. Return the exit status.

        environment: as `Server.launch` has it."""
        given, changed, data, put = self.shared, self.changed, self.variables, os.putenv
        for variable in environment.split(b"\0") if environment else ():
            name, is_set, value = variable.partition(b"=")
            if name not in changed:
                if is_set:
                    put(name, value)
                    data[name] = value
                else:
                    os.environb.pop(name, None)
            if name.startswith(b"TUI_LAB_"):
                if is_set:
                    given[name.decode(*TEXT)] = value.decode(*TEXT)
                else:
                    given.pop(name.decode(*TEXT), None)
        self.marks.write(given)
        for number, text in enumerate(self.texts, 1):
            while text:
                text = text[os.write(number, text) :]
        return run(self.call, given, lambda call: self.loaded or find(call, self.module))

    def end(self, code: int) -> None:
        """End this child as the interpreter would, but without taking it apart, where nothing is lost by that; else
        return."""
        leave = self.leave if len(sys.modules) == self.modules else leaving()
        files = len(os.listdir("/proc/self/fd")) - 1  # that of the listing
        if leave is None or files > 3 or active_threads() > 1:
            return  # an open file may have something to write
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()  # type: ignore[union-attr]
            except (OSError, ValueError, AttributeError):
                pass
        leave(code)


def leaving() -> "Callable[[int], Any] | None":
    """Return what ends a process without taking the interpreter apart; None where there is nothing.

    That is C's `exit`, which lets libraries end. Those of Python itself have nothing to do then."""
    files = [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
    libraries = [file for file in files if file.endswith(".so") and os.path.basename(os.path.dirname(file)) != OWN]
    if not libraries and "ctypes" not in sys.modules and not os.environ.get("LD_PRELOAD"):
        return os._exit
    try:
        import ctypes
    except ImportError:
        return None  # such a Python was built without it
    return ctypes.PyDLL(None).exit


class Server(Starter):
    """Forks a child for each call."""

    def __init__(self, channel: socket.socket, lock: int, errors: int, code: Code, calls: Calls) -> None:
        super().__init__(channel, lock)
        self.errors = errors
        self.code = code
        self.calls = calls
        self.detach = super(socket.socket, channel).detach
        self.closes = [lock, errors]
        self.handler = None  # type: Any
        self.mask = set()  # type: set[int]

    def run(self) -> None:
        """Run the loop of the process. Raises Ending in a child."""
        # Blocked, not handled: a child has less to restore.
        self.mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, set(HANDLED) - {signal.SIGCHLD})
        handler = _signal.signal(_signal.SIGCHLD, lambda *_: None)
        self.handler = _signal.SIG_DFL if handler is None else handler
        super().run()

    def start(self, request: "tuple[Any, ...]", outputs: "list[int]") -> None:
        """Start a call, unless the code has changed."""
        if not self.code.has_changed():
            super().start(request, outputs)
            return
        for output in outputs:
            os.close(output)
        self.tell("stale", request[0])

    def launch(self, executable: bytes, words: "list[bytes]", environment: bytes, outputs: "list[int]") -> int:
        """Fork. executable: the call. environment: what differs from that of this process, as `NAME=VALUE`, or `NAME`
        of what is not there. Raises OSError, and Ending in the child."""
        self.calls.choose(executable)
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, self.handler)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)
            for number, output in enumerate(outputs, 1):
                os.dup2(output, number)
                os.close(output)
            os.close(self.detach())
            for file in self.closes:
                os.close(file)
            for file in self.wake:
                os.close(file)
            for files in self.files:
                for file in files:
                    os.close(file)
            code = self.calls.run(environment)
            self.calls.end(code)
        except BaseException as error:  # noqa: BLE001 (a child must not go on as the server)
            raise Ending(1, error)
        raise Ending(code)

    def start_time(self, pid: int) -> int:
        """Return the start time of a child that was not reaped yet."""
        file = os.open("/proc/%d/stat" % pid, os.O_RDONLY)
        try:
            return int(os.read(file, 4096).rpartition(b")")[2].split()[19])
        finally:
            os.close(file)

    def ended(self) -> "Iterator[tuple[int, int, float, int]]":
        """Reap the children that have ended."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            yield pid, code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
