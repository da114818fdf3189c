"""A process that imports the module of a function once, and forks for each call.

It is asked for calls as a shim is for programs (`starter`). It says `ready`; `unfit` where a fork of it would not be
what a new process is; `stale` in the place of a call where the code has changed since the import."""

import atexit
import gc
import inspect  # noqa: F401 (as below)
import json
import os
import signal
import socket
import sys
import tempfile
import threading

from ..starter import HANDLED, MARKS, Starter, mark
from . import failure, hints  # noqa: F401 (a child has no time to import them)
from .main import load, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DEVICES = ("/dev/nvidia", "/dev/kfd")  # open once a GPU is in use
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
    marks = Marks()
    before = dict(os.environb)
    printed = Printed()
    try:
        loaded = load(call)
        why = unfit()
    except BaseException:  # noqa: BLE001 (each call imports it then, and shows what is wrong)
        loaded, why = None, ""
    texts = printed.end()
    os.dup2(errors, 2)
    own = {name: os.environb.get(name) for name in set(before) | set(os.environb)}
    changed = {name for name, value in own.items() if value != before.get(name)}
    server = Server(channel, lock, errors, Code(call["folder"]), marks)
    if loaded is None or why is not None:
        server.tell("unfit", "the import of %s %s" % (call["text"], why) if why else "")
        channel.setblocking(True)
        server.send()
        os._exit(0)
    server.tell("ready", 0)
    server.send()
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()  # novermin: else each child copies the pages that the collector writes to
    child = forked(server)
    if child is None:
        os._exit(0)
    begin(child, texts, changed)
    try:
        code = run(call, os.environ, loaded)
    finally:
        if hasattr(gc, "unfreeze"):
            gc.unfreeze()  # novermin: at the end, the collector closes what the import has opened
    end(code, marks.leave)


def forked(server: "Server") -> "Forked | None":
    """Run a server to its end, and return None; in a child, return its call at once."""
    try:
        server.run()
    except Forked as child:
        return child.with_traceback(None)
    return None


def unfit() -> "str | None":
    """Return what the import does so that a fork of this process would not be what a new one is; None where it would
    be."""
    if threading.active_count() > 1 or has_threads():
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
        self.files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        for number, file in enumerate(self.files, 1):
            os.dup2(file.fileno(), number)

    def end(self) -> "list[bytes]":
        """Return what went to standard output and to standard error."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass  # closed, or replaced
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read(KEPT))
            file.close()
        return texts


class Code:
    """The files of the modules that were imported from a folder, as they were."""

    def __init__(self, folder: str) -> None:
        base = os.path.join(os.path.realpath(folder), "")
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        paths = {os.path.realpath(file) for file in files if isinstance(file, str)}
        own = [path for path in paths if path.startswith(base)]
        self.files = {path: state(path) for path in own if "-packages" + os.sep not in path}

    def has_changed(self) -> bool:
        """Return whether any of them is another by now."""
        return any(state(path) != before for path, before in self.files.items())


def state(path: str) -> "tuple[int, int, int] | None":
    """Return what changes with a file; None where it is gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class Marks:
    """The variables by which the processes of an attempt are found. The kernel shows the environment that a process was
    started with, so a child writes them into that place.

    leave: C's `exit`, where this Python can call it."""

    def __init__(self) -> None:
        self.leave = None  # type: Any
        self.place = 0
        self.room = len(os.environ.get(MARKS, ""))
        try:
            import ctypes
        except ImportError:
            return  # such a Python was built without it
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        self.move = ctypes.memmove
        self.leave = ctypes.PyDLL(None).exit
        if self.room:
            self.place = (getenv(MARKS.encode()) or 0) - len(MARKS) - 1
        os.environ.pop(MARKS, None)

    def write(self, environment: "Mapping[bytes, bytes | None]") -> None:
        """Write those of a call."""
        names = (b"TUI_LAB_OUTPUT", b"TUI_LAB_ATTEMPT")
        text = b"".join(b"%s=%s\0" % (name, environment.get(name) or b"") for name in names)
        if self.place > 0 and len(text) <= self.room:
            self.move(self.place, text, len(text))


class Forked(BaseException):
    """This process is the child that makes a call."""

    def __init__(self, workdir: str, environment: "dict[bytes, bytes | None]") -> None:
        super().__init__()
        self.workdir = workdir
        self.environment = environment


class Server(Starter):
    """Forks a child for each call."""

    def __init__(self, channel: socket.socket, lock: int, errors: int, code: Code, marks: Marks) -> None:
        super().__init__(channel, lock)
        self.errors = errors
        self.code = code
        self.marks = marks
        self.handler = None  # type: Any
        self.mask = set()  # type: set[signal.Signals]

    def run(self) -> None:
        """Run the loop of the process. Raises Forked in a child."""
        # Blocked, not handled: a child has less to restore.
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, set(HANDLED) - {signal.SIGCHLD})  # type: ignore[assignment]
        self.handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        super().run()

    def start(self, request: "tuple[Any, ...]", outputs: "list[int]") -> None:
        """Start a call, unless the code has changed."""
        if not self.code.has_changed():
            super().start(request, outputs)
            return
        for output in outputs:
            os.close(output)
        self.tell("stale", request[0])

    def launch(
        self, executable: bytes, words: "list[bytes]", environment: "dict[bytes, bytes | None]", outputs: "list[int]"
    ) -> int:
        """Fork. environment: what differs from that of this process. Raises OSError, and Forked in the child."""
        pid = os.fork()
        if pid:
            return pid
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if self.handler is None else self.handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        self.channel.close()
        for number, output in enumerate(outputs, 1):
            os.dup2(output, number)
        for file in [self.lock, self.errors] + self.wake + [file for files in self.files for file in files]:
            os.close(file)
        self.marks.write(environment)
        raise Forked(os.getcwd(), environment)

    def start_time(self, pid: int) -> int:
        """Return the start time of a child that was not reaped yet."""
        with open("/proc/%d/stat" % pid, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])

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


def begin(child: Forked, texts: "list[bytes]", changed: "set[bytes]") -> None:
    """Make this child what the process of a task is. texts: what the import has printed. changed: the variables that
    it has set."""
    os.chdir(child.workdir)
    for name, value in child.environment.items():
        if name not in changed:
            if value is not None:
                os.environb[name] = value
            elif name in os.environb:
                del os.environb[name]
    for number, text in enumerate(texts, 1):
        while text:
            text = text[os.write(number, text) :]


def end(code: int, leave: "Any") -> None:
    """End this child as the interpreter would, but without taking it apart, where nothing is lost by that. leave: C's
    `exit`."""
    files = len(os.listdir("/proc/self/fd")) - 1  # that of the listing
    if leave is None or files > 3 or threading.active_count() > 1:
        sys.exit(code)  # an open file may have something to write
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    leave(code)
