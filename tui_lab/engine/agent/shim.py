"""The shim: the parent of the programs of an agent's tasks.

It only starts programs and waits for them, and it outlives the agent, so it can record their exit statuses. (The idea
is that of containerd's shims.) It is forked while the agent is still small: the kernel lets a program inherit its
parent's peak memory, below which the program's own can't be measured.

What both ends of its channel say is in `tui_lab.portable.starter`.
"""

import array
import fcntl
import os
import signal
import socket
import sys
import time

from tui_lab.engine.agent.processes import process_stat, reap_children
from tui_lab.portable.starter import CHUNK, CLOSED, HANDLED, Starter, frame, mark, split_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

CLOSE_TIMEOUT = 5.0  # seconds that a shim has to notice that its agent is gone
NAME = "shim-%d"  # the file in the spool of a shim or server, locked for as long as that lives


class StarterEnd:
    """The agent's end of the channel to a process that starts others, which is one of its children."""

    def __init__(self, path: str, channel: socket.socket, pid: int) -> None:
        self.path = path
        self.channel = channel
        self.channel.setblocking(False)
        self.pid = pid
        self.unsent: Any = []  # [rest of a frame, files that go with it]
        self.unread = bytearray()
        self.alive = True
        self.number = 0  # of the last request
        self.waiting: Any = {}  # number of a request -> what it is for
        self.last_heard = 0.0  # monotonic: of its last message, or of a request that came when none was waiting

    def start(self, what, request: tuple, outputs: list) -> None:
        """Request the start of a program.

        what: kept in `waiting` until the answer arrives. request: (name of the step, file for its status, working
        folder, executable, words, environment, umask or None), all texts as bytes. outputs: open files, which are
        closed once they are sent."""
        if not self.waiting:
            self.last_heard = time.monotonic()
        self.number += 1
        self.waiting[self.number] = what
        self.unsent.append([memoryview(frame((self.number,) + request)), outputs])
        self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes."""
        while self.unsent and self.alive:
            first = self.unsent[0]
            data, files = first
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
            first[0], first[1] = data[sent:], []
            if not first[0]:
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


class Shim(StarterEnd):
    """The agent's end of a shim: starts the process, and exchanges messages with it."""

    def __init__(self, spool: str, bound: bool = False, leash: int = -1) -> None:
        """Fork a new shim. bound, leash: see ShimProcess. Raises OSError."""
        path, lock = create_file(spool)
        channel, other = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            channel.close()
            try:
                serve(other, lock, spool if bound else "", leash)
            except BaseException:  # noqa: BLE001 (the child of a fork must not go on as the agent)
                import traceback  # late: it would make the shim larger

                traceback.print_exc()
            finally:
                os._exit(1)
        other.close()
        os.close(lock)
        super().__init__(path, channel, pid)


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


# --- The shim's end


def serve(channel: socket.socket, lock: int, spool: str, leash: int) -> None:
    """Run the shim's process."""
    os.setsid()
    mark(lock, b"%d\n" % os.getpid())
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which programs would inherit
    keep = {0, 1, 2, channel.fileno(), lock, leash}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    shim = ShimProcess(channel, lock, spool, leash)
    shim.run()
    if spool:
        shim.remove_spool()
    os._exit(0)


class ShimProcess(Starter):
    """Starts programs.

    spool: where nothing may outlive the agent, that has stayed in a process of somebody else. leash: a descriptor whose
    end means the same; -1 for none."""

    def __init__(self, channel: socket.socket, lock: int, spool: str, leash: int) -> None:
        super().__init__(channel, lock)
        self.spool = spool
        self.leash = leash

    def agent_is_gone(self) -> None:
        """Kill all that the agent has started, where nothing may outlive it."""
        if self.spool:
            from tui_lab.engine.agent.orphans import kill_orphans  # late: it would make the shim larger

            kill_orphans(self.spool, set(self.names))

    def remove_spool(self) -> None:
        """Remove the spool of an agent that was killed."""
        from tui_lab.engine.agent.spool import acquire_lock, remove_spool  # late, likewise

        try:
            if acquire_lock(self.spool) is not None:
                remove_spool(self.spool)
        except OSError:
            pass  # the agent has removed it

    def launch(self, executable: bytes, words: list, environment: dict, outputs: list) -> int:
        """Start a program, and return its pid. Raises OSError, ValueError."""
        return spawn(executable, words, environment, outputs)

    def start_time(self, pid: int) -> int:
        """Return the start time of a program that was not reaped yet."""
        return process_stat(pid)[4]

    def ended(self):
        """Reap the programs that have ended."""
        return reap_children()


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


def living_shims(spool: str, own: "Container[str]") -> list:
    """Return the files of the shims of dead agents that still live; those of dead shims are removed.

    own: the files of this agent's."""
    found = []
    for name in os.listdir(spool):
        path = os.path.join(spool, name)
        if not name.startswith("shim-") or path in own:
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


def close_old_shims(spool: str, own: "Container[str]") -> None:
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
