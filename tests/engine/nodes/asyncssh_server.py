"""asyncssh's own server in the place of OpenSSH's sshd.

    python asyncssh_server.py start.sh sshd_config

It obeys the same file, as far as it goes (`UNDERSTOOD`), and is built alike: one process listens, each connection has
a process of its own, which is called sshd, too, and a command is a session that outlives it. start.sh makes the
surroundings, in which this program's own libraries may be out of sight: so it runs after all of them are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import select
import shlex
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh

UNDERSTOOD = {
    *("Port", "ListenAddress", "HostKey", "HostCertificate", "AuthorizedKeysFile"),
    *("MaxSessions", "Banner", "ForceCommand", "SetEnv"),
}
ME = pwd.getpwuid(os.getuid())


class Config:
    """What the file says: for each keyword its values."""

    def __init__(self, path: str) -> None:
        self.values: dict[str, list[str]] = {}
        for line in Path(path).read_text().splitlines():
            keyword, _, value = line.partition(" ")
            self.values.setdefault(keyword, []).append(value)

    def get(self, keyword: str, default: str = "") -> str:
        """The first value counts."""
        return self.values.get(keyword, [default])[0]


class Session(asyncssh.SSHServerProcess[bytes]):
    """One channel for a command."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.run, None, 3, False)
        self.server = server
        server.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.sessions.discard(self)
        super().connection_lost(exc)

    def subsystem_requested(self, subsystem: str) -> bool:
        return False


class Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sessions: set[Session] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn

    def begin_auth(self, username: str) -> bool:
        if banner := self.config.get("Banner"):
            self.connection.send_auth_banner(Path(banner).read_text())
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = Path(self.config.get("AuthorizedKeysFile")).read_text().splitlines()
        mine = key.export_public_key().decode().split()[:2]
        return username == ME.pw_name and mine in [line.split()[:2] for line in known]

    def auth_completed(self) -> None:
        say(f"Accepted publickey for {ME.pw_name}")

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True

    def session_requested(self) -> Session:
        if len(self.sessions) >= int(self.config.get("MaxSessions", "10")):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return Session(self)

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """A command, through the login shell."""
        say(f"Starting session: command for {ME.pw_name}")
        variables = self.variables()
        command = process.command
        if forced := self.config.get("ForceCommand"):
            variables["SSH_ORIGINAL_COMMAND"] = command or ""
            command = forced
        shell = ME.pw_shell or "/bin/sh"
        stdin, theirs = socket.socketpair()  # as sshd does: by this bash knows that it is to read .bashrc
        program = subprocess.Popen(
            [shell] if command is None else [shell, "-c", command],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=ME.pw_dir if Path(ME.pw_dir).is_dir() else "/",
            env=variables,
            start_new_session=True,
        )
        theirs.close()
        feeding = asyncio.create_task(feed(process.stdin, stdin))
        # The end of one stream would end the channel for the other, too.
        await process.redirect(stdout=program.stdout, stderr=program.stderr, send_eof=False)
        status = await asyncio.to_thread(program.wait)
        with contextlib.suppress(OSError):  # the client has left
            await process.stdout.drain()
            await process.stderr.drain()
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)
        await feeding

    def variables(self) -> dict[str, str]:
        """The environment of a command: nothing of this process, nothing that the client sends."""
        host, port = self.connection.get_extra_info("peername")[:2]
        address, own = self.connection.get_extra_info("sockname")[:2]
        return {
            "USER": ME.pw_name,
            "LOGNAME": ME.pw_name,
            "HOME": ME.pw_dir,
            "SHELL": ME.pw_shell,
            "SSH_CLIENT": f"{host} {port} {own}",
            "SSH_CONNECTION": f"{host} {port} {address} {own}",
            **dict(word.split("=", 1) for word in shlex.split(self.config.get("SetEnv"))),
        }


async def feed(source: asyncssh.SSHReader[bytes], stdin: socket.socket) -> None:
    """What the client sends, to its end or the program's. (`redirect` would lose the last of it at times, as asyncio's
    pipes do when they are given more and closed while they say that there is room.)"""
    _, writer = await asyncio.open_unix_connection(sock=stdin)
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def serve(line: socket.socket, config: Config) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(256))  # each command is waited for
    try:
        connection = await asyncssh.run_server(
            line,
            server_factory=lambda: Server(config),
            server_host_keys=config.values["HostKey"],
            server_host_certs=config.values.get("HostCertificate", ()),
            encoding=None,
            line_editor=False,
        )
        await connection.wait_closed()
    except (asyncssh.Error, OSError) as error:
        say(f"Connection closed: {error}")
    os._exit(0)  # without waiting for its commands: they live on


def main(surroundings: str, path: str) -> None:
    Path("/proc/self/comm").write_text("sshd")
    subprocess.run(["/bin/sh", surroundings, "true"], check=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    config = Config(path)
    listeners = [
        socket.create_server(
            (address, int(config.get("Port"))), family=socket.AF_INET6 if ":" in address else socket.AF_INET
        )
        for address in config.values.get("ListenAddress", ["0.0.0.0"])
    ]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for connections
    while True:
        for listener in select.select(listeners, [], [])[0]:
            line, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for other in listeners:
                    other.close()
                asyncio.run(serve(line, config))
            line.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
