"""The parent of the processes of tasks: starts them when an agent asks for it, records how they end, and outlives the
agent.

It is the agent's shim, which starts programs, or a server that forks calls of Python functions. Both ends exchange
frames of `marshal` over a socket, in a version that every Python reads. A request carries two output files.
"""

import array
import marshal
import os
import select
import signal
import socket
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

HEAD = struct.Struct("=I")  # length of a frame
CHUNK = 1 << 16
RETRY = 1.0  # seconds between attempts to write to a full disk
CLOSED = b"closed\n"  # last line in the file of one that starts nothing more
MARSHAL = 2  # the version of the format
CALL = "TUI_LAB_CALL"  # a variable: the call of a function, as JSON (see `function.main`)
FUNCTION = "TUI_LAB_FUNCTION"  # a variable: what it calls, for readers
SERVER = "TUI_LAB_SERVER"  # a variable: set where a process is to serve calls
MARKS = "TUI_LAB_MARKS"  # a variable that makes room for those by which the processes of an attempt are found
HANDLED = tuple(getattr(signal, "SIG" + name) for name in "HUP INT TERM QUIT PIPE CHLD ALRM USR1 USR2".split())


def frame(message: "Any") -> bytes:
    """Return a message as it is sent."""
    data = marshal.dumps(message, MARSHAL)
    return HEAD.pack(len(data)) + data


def split_frames(unread: bytearray) -> "list[Any]":
    """Remove the complete frames from the received bytes, and return their values."""
    found, start = [], 0
    while len(unread) >= start + HEAD.size:
        (size,) = HEAD.unpack_from(unread, start)
        end = start + HEAD.size + size
        if len(unread) < end:
            break
        found.append(marshal.loads(bytes(unread[start + HEAD.size : end])))
        start = end
    del unread[:start]
    return found


def mark(lock: int, text: bytes) -> None:
    """Append to the shim's file; a full disk is ignored."""
    try:
        os.write(lock, text)
    except OSError:
        pass  # a full disk


class Starter:
    """Starts processes and records how they end, until the agent is gone and the last of them has ended.

    What starts and reaps them is the matter of those who inherit from this."""

    def __init__(self, channel: socket.socket, lock: int) -> None:
        self.channel = channel
        self.lock = lock
        self.listening = True
        self.names: Any = {}  # pid -> (name of the step, file for its status)
        self.files: Any = []  # received with frames, in their order
        self.unread = bytearray()
        self.unsent = bytearray()
        self.unwritten: Any = []  # (file, line), while the disk is full
        self.umask: Any = None
        self.wake: Any = []  # the ends of the pipe into which signals write
        self.leash = -1  # a descriptor whose end means that the agent is gone

    def run(self) -> None:
        """Run the loop of the process."""
        wake_read, wake_write = os.pipe()
        self.wake = [wake_read, wake_write]
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        self.channel.setblocking(False)
        poll = select.poll()
        poll.register(wake_read, select.POLLIN)
        channel = self.channel.fileno()
        poll.register(channel, select.POLLIN)
        if self.leash >= 0:
            poll.register(self.leash, select.POLLIN)
        while self.listening or self.names:
            waits = bool(self.unsent)
            if waits:
                poll.modify(channel, select.POLLIN | select.POLLOUT)
            ready = [file for file, _ in poll.poll(RETRY * 1000 if self.unwritten else None)]
            if waits:
                poll.modify(channel, select.POLLIN)
            if wake_read in ready:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
            self.reap()
            if self.listening:
                if channel in ready:
                    self.receive()
                elif self.leash in ready and not os.read(self.leash, CHUNK):
                    self.hang_up()
                if not self.listening:
                    poll.unregister(channel)
                    if self.leash >= 0:
                        poll.unregister(self.leash)
            self.write()
            self.send()
        self.write()

    # --- What starts processes

    def launch(self, executable: bytes, words: "list[bytes]", environment: "Any", outputs: "list[int]") -> int:
        """Start a process in the current folder, and return its pid. Raises OSError, ValueError."""
        raise NotImplementedError

    def start_time(self, pid: int) -> int:
        """Return the start time of a process that was not reaped yet, in clock ticks since boot."""
        raise NotImplementedError

    def ended(self) -> "Iterable[tuple[int, int, float, int]]":
        """Reap the processes that have ended. Yield (pid, exit status as shells have it, CPU seconds, peak memory in
        bytes or 0) of each."""
        raise NotImplementedError

    # --- Requests

    def receive(self) -> None:
        """Read requests, with the files that come with them."""
        space = socket.CMSG_SPACE(2 * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.channel.recvmsg(CHUNK, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files = array.array("i")
                files.frombytes(content[: len(content) - len(content) % files.itemsize])
                self.files.append(list(files))
        if not data:
            self.hang_up()
            return
        self.unread += data
        for request in split_frames(self.unread):
            self.start(request, self.files.pop(0))

    def hang_up(self) -> None:
        """Start nothing more: the agent is gone."""
        self.listening = False
        self.unsent = bytearray()
        mark(self.lock, CLOSED)
        self.agent_is_gone()

    def agent_is_gone(self) -> None:
        """What is to be done then: by default nothing, for the next agent asks for what runs."""

    def start(self, request: "tuple[Any, ...]", outputs: "list[int]") -> None:
        """Start a process, and tell the agent whether that worked."""
        number, name, exits, workdir, executable, words, environment, umask = request
        if umask is not None and umask != self.umask:
            self.umask = umask
            os.umask(umask)
        folder = True
        try:
            os.chdir(workdir)
            folder = False
            pid = self.launch(executable, words, environment, outputs)
        except (OSError, ValueError) as error:
            self.tell(
                "refused", number, folder, getattr(error, "errno", None) or 0, getattr(error, "strerror", str(error))
            )
            self.leave(outputs)
            return
        self.leave(outputs)
        start_time = self.start_time(pid)
        self.names[pid] = (name, exits)
        self.note(exits, b"started %d %d %s" % (pid, start_time, name))
        self.tell("started", number, pid, start_time, time.monotonic())

    def leave(self, outputs: "list[int]") -> None:
        """Leave the folder of a process, and close its files; a process that `launch` has forked keeps both."""
        for output in outputs:
            os.close(output)
        os.chdir("/")

    def reap(self) -> None:
        """Record how processes have ended, and tell the agent."""
        for pid, code, cpu_time, peak_rss in self.ended():
            name, exits = self.names.pop(pid, (None, None))
            if name is not None:
                self.note(exits, b"ended %d %s" % (code, name))
                self.tell("ended", pid, code, cpu_time, peak_rss)

    # --- Messages and exit statuses

    def tell(self, *message: "Any") -> None:
        """Queue a message to the agent."""
        if self.listening:
            self.unsent += frame(message)

    def send(self) -> None:
        """Send what is queued, as much as the socket takes."""
        if self.unsent and self.listening:
            try:
                del self.unsent[: self.channel.send(self.unsent)]
            except BlockingIOError:
                pass
            except OSError:
                self.unsent = bytearray()  # the agent is gone, which `receive` handles

    def note(self, path: bytes, line: bytes) -> None:
        """Queue a line for a file of exit statuses."""
        self.unwritten.append((path, line + b"\n"))

    def write(self) -> None:
        """Write the queued lines.

        This comes before the messages are sent, for the agent may not live to receive them."""
        while self.unwritten:
            path = self.unwritten[0][0]
            lines = []
            for other, line in self.unwritten:
                if other != path:
                    break
                lines.append(line)
            data = b"".join(lines)
            try:
                file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            except OSError:
                return
            try:
                size = os.fstat(file).st_size
                if os.write(file, data) < len(data):
                    os.ftruncate(file, size)
                    return
            except OSError:
                return
            finally:
                os.close(file)
            del self.unwritten[: len(lines)]
