"""The shim: the parent of the programs of an agent's tasks.

It only starts programs and waits for them, and it outlives the agent, so it can record their exit statuses. (The idea
is that of containerd's shims.) It is forked while the agent is still small: the kernel lets a program inherit its
parent's peak memory, below which the program's own can't be measured.

Both sides exchange frames of `marshal` over a socket; the same Python runs at both ends. A request carries the
program's two output files.
"""

import array
import fcntl
import marshal
import os
import select
import signal
import socket
import struct
import sys
import time

from tui_lab.engine.agent.processes import process_stat, reap_children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEAD = struct.Struct("=I")  # length of a frame
CHUNK = 1 << 16
CLOSE_TIMEOUT = 5.0  # seconds that a shim has to notice that its agent is gone
RETRY = 1.0  # seconds between attempts to write to a full disk
CLOSED = b"closed\n"  # last line in the file of a shim that starts no more programs
NAME = "shim-%d"  # a shim's file in the spool, locked for as long as the shim lives
HANDLED = tuple(getattr(signal, "SIG" + name) for name in "HUP INT TERM QUIT PIPE CHLD ALRM USR1 USR2".split())


class Shim:
    """The agent's end: starts the process and exchanges messages with it."""

    def __init__(self, spool: str) -> None:
        """Fork a new shim. Raises OSError."""
        self.path, lock = create_file(spool)
        self.channel, other = socket.socketpair()
        self.channel.setblocking(False)
        self.unsent: Any = []  # [rest of a frame, files that go with it]
        self.unread = bytearray()
        self.alive = True
        self.number = 0  # of the last request
        self.waiting: Any = {}  # number of a request -> what it is for
        self.last_heard = 0.0  # monotonic: of its last message, or of a request that came when none was waiting
        self.pid = os.fork()
        if self.pid == 0:
            try:
                serve(other, lock)
            except BaseException:  # noqa: BLE001 (the child of a fork must not go on as the agent)
                import traceback  # late: it would make the shim larger

                traceback.print_exc()
            finally:
                os._exit(1)
        other.close()
        os.close(lock)

    def start(self, what, request: tuple, outputs: list) -> None:
        """Request the start of a program.

        what: kept in `waiting` until the answer arrives. request: (name of the step, file for its status, working
        folder, executable, words, environment, umask or None), all texts as bytes. outputs: open files, which are
        closed once they are sent."""
        if not self.waiting:
            self.last_heard = time.monotonic()
        self.number += 1
        self.waiting[self.number] = what
        data = marshal.dumps((self.number,) + request)
        self.unsent.append([memoryview(HEAD.pack(len(data)) + data), outputs])
        self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes."""
        while self.unsent and self.alive:
            frame = self.unsent[0]
            data, files = frame
            try:
                if files:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
                    sent = self.channel.sendmsg([data], rights)
                else:
                    sent = self.channel.send(data)
            except BlockingIOError:
                return
            except OSError:
                return  # the shim is dead, which `receive` handles
            for file in files:
                os.close(file)
            frame[0], frame[1] = data[sent:], []
            if not frame[0]:
                del self.unsent[0]

    def silent_for(self) -> float:
        """Return how many seconds an answer has been waited for."""
        return time.monotonic() - self.last_heard if self.waiting else 0.0

    def receive(self) -> list:
        """Return the messages that have arrived: ("started", number, pid, start time, monotonic), ("refused", number,
        whether the working folder was the reason, errno, text), ("ended", pid, exit status, CPU seconds, peak memory in
        bytes or 0)."""
        try:
            data = self.channel.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        self.last_heard = time.monotonic()
        self.unread += data
        return split_frames(self.unread)

    def close(self) -> None:
        """Close the socket, and the files that were still to be sent."""
        self.alive = False
        self.channel.close()
        for _, files in self.unsent:
            for file in files:
                os.close(file)
        self.unsent = []


def create_file(spool: str) -> tuple:
    """Create a new shim's file and lock it; return its path and descriptor."""
    number = 1
    while True:
        path = os.path.join(spool, NAME % number)
        try:
            lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            return path, lock
        except FileExistsError:
            number += 1


def split_frames(unread: bytearray) -> list:
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


# --- The shim's end


def serve(channel: socket.socket, lock: int) -> None:
    """Run the shim's process."""
    os.setsid()
    mark(lock, b"%d\n" % os.getpid())
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which programs would inherit
    keep = {0, 1, 2, channel.fileno(), lock}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    ShimProcess(channel, lock).run()
    os._exit(0)


def mark(lock: int, text: bytes) -> None:
    """Append to the shim's file; a full disk is ignored."""
    try:
        os.write(lock, text)
    except OSError:
        pass  # a full disk


class ShimProcess:
    """Starts programs and records how they end, until the agent is gone and the last program has ended."""

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

    def run(self) -> None:
        """Run the loop of the process."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        self.channel.setblocking(False)
        while self.listening or self.names:
            reading: Any = [wake_read]
            writing: Any = []
            if self.listening:
                reading.append(self.channel)
                if self.unsent:
                    writing.append(self.channel)
            readable, _, _ = select.select(reading, writing, [], RETRY if self.unwritten else None)
            if wake_read in readable:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
            self.reap()
            if self.channel in readable:
                self.receive()
            self.write()
            self.send()
        self.write()

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
            self.listening = False
            self.unsent = bytearray()
            mark(self.lock, CLOSED)
            return
        self.unread += data
        for request in split_frames(self.unread):
            self.start(request, self.files.pop(0))

    def start(self, request: tuple, outputs: list) -> None:
        """Start a program, and tell the agent whether that worked."""
        number, name, exits, workdir, executable, words, environment, umask = request
        if umask is not None and umask != self.umask:
            self.umask = umask
            os.umask(umask)
        folder = True
        try:
            os.chdir(workdir)
            folder = False
            pid = spawn(executable, words, environment, outputs)
        except (OSError, ValueError) as error:
            self.tell(
                "refused", number, folder, getattr(error, "errno", None) or 0, getattr(error, "strerror", str(error))
            )
            return
        finally:
            for output in outputs:
                os.close(output)
            os.chdir("/")
        start_time = process_stat(pid)[4]  # it exists until it is reaped
        self.names[pid] = (name, exits)
        self.note(exits, b"started %d %d %s" % (pid, start_time, name))
        self.tell("started", number, pid, start_time, time.monotonic())

    def reap(self) -> None:
        """Record how programs have ended, and tell the agent."""
        for pid, code, cpu_time, peak_rss in reap_children():
            name, exits = self.names.pop(pid, (None, None))
            if name is not None:
                self.note(exits, b"ended %d %s" % (code, name))
                self.tell("ended", pid, code, cpu_time, peak_rss)

    # --- Messages and exit statuses

    def tell(self, *message) -> None:
        """Queue a message to the agent."""
        if self.listening:
            data = marshal.dumps(message)
            self.unsent += HEAD.pack(len(data)) + data

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


def spawn(executable: bytes, words: list, environment: dict, outputs: list) -> int:
    """Start a program in a process group of its own, as shells do with a job, and return its pid. Raises OSError,
    ValueError.

    Not in a session of its own: a program may call setpgid, which the leader of a session may not. It reads from
    /dev/null, as this process does."""
    if sys.version_info >= (3, 8):
        return os.posix_spawn(  # novermin
            executable,
            words,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, output, number) for number, output in enumerate(outputs, 1)],
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
        )
    import subprocess

    process = subprocess.Popen(
        words, executable=executable, env=environment, stdout=outputs[0], stderr=outputs[1], preexec_fn=os.setpgrp
    )
    process.returncode = 0  # reaped by our own loop, not by Popen
    return process.pid


# --- Shims of earlier agents


def living_shims(spool: str, own: str) -> list:
    """Return the files of the shims of dead agents that still live; those of dead shims are removed.

    own: the file of this agent's shim."""
    found = []
    for name in os.listdir(spool):
        path = os.path.join(spool, name)
        if not name.startswith("shim-") or path == own:
            continue
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.unlink(path)
        except OSError:
            found.append(path)
        finally:
            os.close(file)
    return found


def close_old_shims(spool: str, own: str) -> None:
    """Wait until nothing that a dead agent has requested can be started any more.

    A shim notices at once that its agent is gone, unless it is stopped or blocked: then it is killed, and the exit
    statuses of its programs are lost."""
    deadline = time.monotonic() + CLOSE_TIMEOUT
    while True:
        late = time.monotonic() > deadline
        open_ones = 0
        for path in living_shims(spool, own):
            try:
                with open(path, "rb") as file:
                    text = file.read()
                if text.endswith(CLOSED):
                    continue
                open_ones += 1
                if late:
                    os.kill(int(text.split()[0]), signal.SIGKILL)
            except (OSError, ValueError, IndexError):
                pass
        if not open_ones or late:
            return
        time.sleep(0.01)


def read_exits(path: str) -> tuple:
    """Return what shims have written to a file: {name of a step: (pid, start time)}, {name of a step: exit status}."""
    started: Any = {}
    ended: Any = {}
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    kind, rest = line.rstrip(b"\n").split(b" ", 1)
                    if kind == b"started":
                        pid, start_time, name = rest.split(b" ", 2)
                        started[name] = (int(pid), int(start_time))
                    elif kind == b"ended":
                        status, name = rest.split(b" ", 1)
                        ended[name] = int(status)
                except ValueError:
                    pass  # cut off by a full disk
    except OSError:
        pass
    return started, ended
