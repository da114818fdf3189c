"""The entry point: a relay to the agent, which it starts where none is running, or a file server."""

import os
import select
import socket
import sys
import time

from tui_lab.engine.agent.spool import (
    SocketAddress,
    acquire_lock,
    is_locked,
    make_private,
    prepare_spool,
    remove_spool,
    spool_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 16
START_TIMEOUT = 20.0  # seconds that an agent may take to come up


def main(spool: str, mode: str) -> None:
    """Run in the mode `relay` or `files`. Raises SystemExit with one line of text where the node can't do it."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("the agent needs Linux, this is %s" % sys.platform)
    try:
        if mode == "files":
            from tui_lab.engine.agent.files import FileServer

            FileServer(0, 1).run()
        else:
            relay(connect_or_start(spool_path(spool)))
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


def connect_or_start(spool: str) -> socket.socket:
    """Return a connection to the agent of a spool; start one where none is running. Raises SystemExit, OSError."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            make_private(spool)
            channel = connect(spool)
            if channel is not None:
                return channel
            lock = acquire_lock(spool)
        except FileNotFoundError:
            continue  # a dying agent has just removed the folder
        if lock is None:
            time.sleep(0.02)
            continue
        prepare_spool(spool)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(read_end)
                serve(spool, lock, write_end)
            except BaseException:  # noqa: BLE001 (the child of a fork must not go on as the relay)
                import traceback  # late: it would slow down every start

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
    if is_locked(spool):
        raise SystemExit("its agent does not answer")
    raise SystemExit("the agent did not start: %s" % last_line(os.path.join(spool, "agent.log")))


def connect(spool: str):
    """Return a connection to the agent of a spool; None where no agent runs, or it takes no more connections."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(START_TIMEOUT)  # to an agent that is stopped, connections pile up
    try:
        with SocketAddress(spool) as address:
            channel.connect(address)
        channel.settimeout(None)
    except OSError:
        channel.close()
        return None
    return channel


def serve(spool: str, lock: int, ready: int) -> None:
    """Become the agent: detach from the session, listen, report to the relay, run the loop.

    The lock stays open until the process ends."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())  # for those who read the file
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(os.path.join(spool, "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (output, 2)):
        os.dup2(source, target)
    from tui_lab.engine.agent.shim import Shim

    shim = Shim(spool)  # before the imports that make this process large
    from tui_lab.engine.agent.connection import listen
    from tui_lab.engine.agent.daemon import Agent

    with SocketAddress(spool) as address:
        listener = listen(address)
    agent = Agent(spool, shim)
    os.write(ready, b"1")
    os.close(ready)
    if agent.run(listener):
        remove_spool(spool)
    os._exit(0)


def last_line(path: str) -> str:
    """Return the last line of a log."""
    try:
        with open(path, "rb") as file:
            lines = file.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"
    except OSError:
        return "it printed nothing"
