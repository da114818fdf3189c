"""Becoming what was asked for: a relay to the daemon, which it starts where none is alive, or a server of files."""

import fcntl
import os
import select
import socket
import sys
import time

from tui_lab.engine.agent.places import Address, private, spool_path
from tui_lab.engine.agent.processes import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 16
PATIENCE = 20.0  # seconds that an agent may take to come up


def main(spool: str, mode: str) -> None:
    """Raises SystemExit with one line where the node can't do it."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("the agent needs Linux, this is %s" % sys.platform)
    try:
        if mode == "files":
            from tui_lab.engine.agent.files import FileServer

            FileServer(0, 1).run()
        else:
            relay(reach(spool_path(spool)))
    except OSError as error:
        raise SystemExit("%s: %s" % (error.filename or spool, error.strerror))


def relay(channel: socket.socket) -> None:
    """Copy between standard input and output and the agent's socket until either side ends."""
    ends: Any = [0, channel]
    while True:
        readable, _, _ = select.select(ends, [], [])
        if 0 in readable:
            data = os.read(0, CHUNK)
            if not data:
                return
            channel.sendall(data)
        if channel in readable:
            data = channel.recv(CHUNK)
            if not data:
                return
            while data:
                data = data[os.write(1, data) :]


def reach(spool: str) -> socket.socket:
    """A connection to the agent of this spool; starts it where none is alive."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            private(spool)
            channel = connect(spool)
            if channel is not None:
                return channel
            lock = hold_lock(spool)
        except FileNotFoundError:
            continue  # a dying agent has just removed the folder
        if lock is None:
            time.sleep(0.02)
            continue
        check_boot(spool)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(read_end)
                serve(spool, lock, write_end)
            except BaseException:  # noqa: BLE001 (the child of a fork must not go on as the relay)
                import traceback  # late: it would take its time from every start

                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(write_end)
        os.close(lock)
        os.waitpid(child, 0)
        started = os.read(read_end, 1)
        os.close(read_end)
        if not started:
            break
    from tui_lab.engine.agent.leaving import is_held  # late: it would take its time from every start

    if is_held(os.path.join(spool, "lock")):
        raise SystemExit("its agent does not answer")
    raise SystemExit("the agent did not start: %s" % last_word(os.path.join(spool, "agent.log")))


def connect(spool: str):
    """A connection to the agent of a spool, None where none is alive, or it takes no more of them."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(PATIENCE)  # to an agent that is stopped, connections pile up
    try:
        with Address(spool) as address:
            channel.connect(address)
        channel.settimeout(None)
    except OSError:
        channel.close()
        return None
    return channel


def hold_lock(spool: str):
    """The right to be the agent of a spool, as an open file; None where someone else has it."""
    path = os.path.join(spool, "lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(lock).st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)  # another relay is starting an agent, or a dying one has just removed this file
    return None


def check_boot(spool: str) -> None:
    """A ledger from an earlier boot of this machine says nothing about its processes: they are gone."""
    path = os.path.join(spool, "boot")
    here = os.uname().nodename + " " + boot_id()
    try:
        with open(path) as file:
            written = file.read() or here
    except OSError:
        written = here
    host, _, boot = written.partition(" ")
    if boot != boot_id():
        if host != os.uname().nodename:
            raise SystemExit("%s is in use by the machine %s (if that is gone for good, remove it)" % (spool, host))
        for name in os.listdir(spool):
            if name != "lock":
                os.unlink(os.path.join(spool, name))
    with open(path, "w") as file:
        file.write(here)


def serve(spool: str, lock: int, ready: int) -> None:
    """The daemon's life: detach, listen, tell the relay, loop. The lock stays open, and so held, until its
    end."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())  # for people
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(os.path.join(spool, "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (output, 2)):
        os.dup2(source, target)
    from tui_lab.engine.agent.shim import Shim

    shim = Shim(spool)  # before what makes this process large
    from tui_lab.engine.agent.daemon import Agent
    from tui_lab.engine.agent.link import listen

    with Address(spool) as address:
        listener = listen(address)
    agent = Agent(spool, shim)
    os.write(ready, b"1")
    os.close(ready)
    if agent.run(listener):
        remove_spool(spool)
    os._exit(0)


def remove_spool(spool: str) -> None:
    for name in os.listdir(spool):
        try:
            os.unlink(os.path.join(spool, name))
        except OSError:
            pass
    try:
        os.rmdir(spool)
    except OSError:
        pass


def last_word(path: str) -> str:
    try:
        with open(path, "rb") as file:
            lines = file.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no word from it"
    except OSError:
        return "no word from it"
