"""The entry point: a relay to the agent, which it starts where none is running; a file server; or the agent itself."""

import os
import select
import signal
import socket
import sys
import time

from tui_lab.engine.agent.spool import (
    STAYS,
    SocketAddress,
    acquire_lock,
    clear_spool,
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
NO_AGENT = 75  # exit status of a relay that found no agent (EX_TEMPFAIL)


def main(spool: str, mode: str = "relay", leave: str = "") -> None:
    """Run in a mode. Raises SystemExit with one line of text where the node can't do it.

    `relay`: to the agent, which is started where none is running. `attach`: likewise, but nothing is started. `files`:
    a server of files. `stay`: the agent itself, in this process; TERM ends it, or `leave` seconds without engine and
    work. `leash`: likewise, and it ends when its standard input does."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("the agent needs Linux, this is %s" % sys.platform)
    try:
        if mode == "files":
            from tui_lab.engine.agent.files import FileServer

            FileServer(0, 1).run()
        elif mode == "attach":
            relay(attach(spool_path(spool)))
        elif mode in ("stay", "leash"):
            stay(spool_path(spool), leave, os.dup(0) if mode == "leash" else -1)
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
                os.setsid()
                if os.fork():
                    os._exit(0)
                serve(spool, lock, ready=write_end)
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


def attach(spool: str) -> socket.socket:
    """Return a connection to the agent of a spool, which somebody else has started or is about to. Raises
    SystemExit."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        channel = connect(spool)
        if channel is not None:
            return channel
        time.sleep(0.05)
    sys.stderr.write("its agent does not answer\n" if is_locked(spool) else "there is no agent\n")
    raise SystemExit(NO_AGENT)


def stay(spool: str, leave: str, leash: int) -> None:
    """Be the agent of a spool, in this process. Raises SystemExit, OSError."""
    make_private(spool)
    lock = acquire_lock(spool)
    if lock is None:
        raise SystemExit("another agent runs there")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the agent handles it
    errors = os.dup(2)
    try:
        clear_spool(spool)  # nothing of an earlier agent runs any more
        prepare_spool(spool)
        with open(os.path.join(spool, STAYS), "w"):
            pass
        serve(spool, lock, leave=leave, leash=leash)
    except SystemExit:
        remove_spool(spool)
        raise
    except Exception as error:
        os.write(errors, ("%s: %s\n" % (type(error).__name__, error)).encode("utf-8", "replace"))
        raise  # the shim tidies up


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


def serve(spool: str, lock: int, ready: int = -1, leave=None, leash: int = -1) -> None:
    """Become the agent: listen, report to the relay that waits for it, run the loop.

    leave: where the agent stays in this process. The lock stays open until the process ends."""
    os.chdir("/")
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())  # for those who read the file
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(os.path.join(spool, "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (output, 2)):
        os.dup2(source, target)
    from tui_lab.engine.agent.shim import Shim

    stays = leave is not None
    shim = Shim(spool, stays, leash)  # before the imports that make this process large
    from tui_lab.engine.agent.connection import listen
    from tui_lab.engine.agent.daemon import IDLE_LIMIT, Agent
    from tui_lab.engine.agent.lease import OFFERS, Lease

    with SocketAddress(spool) as address:
        listener = listen(address)
    offers = os.environ.pop(OFFERS, "")
    agent = Agent(spool, shim, Lease(stays, leash, float(leave or IDLE_LIMIT), offers if stays else ""))
    if ready >= 0:
        os.write(ready, b"1")
        os.close(ready)
    if agent.run(listener) or stays:
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
