"""One node of a fleet: an SSH server with a home of its own, where possible in namespaces of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.engine.nodes import asyncssh_server
from tests.engine.nodes.openssh import chosen_server, find_sshd
from tests.engine.nodes.proxy import Proxy
from tests.workbench import alive, until


@functools.cache
def can_hide() -> bool:
    """Whether a node may have mounts of its own."""
    return _works("unshare", "-m", "true")


@functools.cache
def can_network() -> bool:
    """Whether a node may have a network of its own."""
    return _works("unshare", "-n", "ip", "link", "add", "tl0", "type", "veth", "peer", "name", "tl1")


def _works(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@dataclass
class Options:
    """How a node's machine is. See `Fleet.node`."""

    shared: bool = True
    droppable: bool = False
    latency: float = 0.0
    max_sessions: int = 10
    max_startups: str = "100:30:200"
    shell: str = ""
    bashrc: str = ""
    banner: str = ""
    tmp_size: str = ""
    path: str = "/usr/local/bin:/usr/bin:/bin"
    sshd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    server: str = field(default_factory=chosen_server)
    shown: tuple[Path, ...] = ()

    def beyond_asyncssh(self) -> list[str]:
        """The words of sshd's configuration that its stand-in does not know."""
        named = [line.split()[0] for line in self.sshd]
        named += ["MaxStartups"] * (self.max_startups != Options.max_startups)
        return [word for word in named if word not in asyncssh_server.UNDERSTOOD]


class Machine:
    """An SSH server as an ordinary process, and all that was started through it."""

    def __init__(self, name: str, folder: Path, keys: Path, hidden: tuple[Path, ...], options: Options) -> None:
        self.name = name
        self.folder = folder  # of this node
        self.keys = keys  # authorized_keys, and the host's own
        self.hidden = hidden
        self.options = options
        self.home = folder / "home"
        self.private = not options.shared
        self.networked = options.droppable and not options.latency and can_network()
        self.tmp = folder / "tmp" if self.private else Path("/tmp")
        """The node's /tmp as it is reached from here."""
        self.proxy: Proxy | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.address = "127.0.0.1"
        self.port = 0  # where one connects to
        self._inner_port = 22
        self._interface = f"tl{secrets.token_hex(4)}"
        for path in (self.home, folder / "tmp"):
            path.mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        if options.bashrc:
            (self.home / ".bashrc").write_text(options.bashrc)
        if self.networked:
            self._choose_network()
        else:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = self._inner_port = free.getsockname()[1]
            if options.latency or options.droppable:
                self.proxy = Proxy(self._inner_port, options.latency)
                self.port = self.proxy.port

    # --- Life

    def start(self) -> None:
        """Start its sshd; returns when it answers."""
        (self.folder / "sshd_config").write_text(self._config())
        (self.folder / "start.sh").write_text(self._script())
        words = self._server()
        spaces = ["-m"] * self.private + ["-n"] * self.networked
        if spaces:
            words = ["unshare", *spaces, *(["--propagation", "private"] if self.private else []), *words]
        with open(self.folder / "sshd.log", "ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n", self.log()
        if self.networked:
            self._add_link(self.process.pid)
        self.process.stdin.write(b"\n")
        self.process.stdin.close()
        until(self._answers)

    def stop(self) -> None:
        """End its sshd and all connections to it; agent and tasks live on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)  # it accepts nobody between the two kills
            sessions = self._sessions()
            self.process.kill()
            self.process.wait()
            _kill(sessions)
            until(lambda: not any(map(alive, sessions)))
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def kill_sessions(self) -> None:
        """End the connections that are open, by SIGKILL to their processes on the node; sshd goes on."""
        sessions = self._sessions()
        _kill(sessions)
        until(lambda: not any(map(alive, sessions)))

    def session_pids(self) -> list[int]:
        """The processes of sshd that serve connections."""
        return self._sessions()

    def sessions(self) -> int:
        """How many connections are open."""
        return 0 if self.process is None else len(_children(self.process.pid))

    @property
    def pid(self) -> int:
        """Of its sshd; a way into its namespaces."""
        assert self.process is not None
        return self.process.pid

    def drop(self) -> None:
        """From now on nothing reaches the node and nothing comes from it, and nobody is told."""
        if self.proxy is not None:
            self.proxy.freeze()
        else:
            self._link("down")

    def restore(self) -> None:
        """Returns when the node answers: its neighbours may still take it for gone."""
        if self.proxy is not None:
            self.proxy.thaw()
        else:
            self._link("up")
            until(self._answers)

    def power_off(self) -> None:
        """SIGKILL to sshd, the agent and all tasks."""
        self.stop()
        until(lambda: not _kill(self.processes()))

    def close(self) -> None:
        self.power_off()
        if self.proxy is not None:
            self.proxy.close()
        if self.networked:
            subprocess.run(["ip", "link", "del", self._interface], check=False, capture_output=True)

    def processes(self) -> list[int]:
        """What runs on the node: agent, tasks, sessions."""
        mark = b"FLEET_NODE=" + os.fsencode(self.folder) + b"\0"
        found = []
        for pid in _pids():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes() + b"\0" and alive(pid):
                    found.append(pid)
        return found

    def log(self) -> str:
        """What sshd has said."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    # --- Pieces

    def _config(self) -> str:
        known = {"HOME": str(self.home), "FLEET_NODE": str(self.folder), "PATH": self.options.path}
        variables = {**known, **self.options.env}
        shell = self.options.shell
        lines = [
            *(self.options.sshd),
            f"Port {self._inner_port}",
            *([] if self.networked else ["ListenAddress 127.0.0.1", *self._second_address()]),
            f"HostKey {self.keys / self.name}",
            f"AuthorizedKeysFile {self.keys / 'authorized_keys'}",
            *("PidFile none", "UsePAM no", "StrictModes no", "UseDNS no", "PrintMotd yes", "LogLevel VERBOSE"),
            *("PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no"),
            f"MaxSessions {self.options.max_sessions}",
            f"MaxStartups {self.options.max_startups}",
            "Subsystem sftp internal-sftp",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in variables.items()),
        ]
        if self.options.banner:
            (self.folder / "banner").write_text(self.options.banner)
            lines.append(f"Banner {self.folder / 'banner'}")
        if shell:
            lines.append(f'ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"')
        return "\n".join(lines) + "\n"

    @staticmethod
    def _second_address() -> list[str]:
        return ["ListenAddress ::1"] if Path("/proc/net/if_inet6").exists() else []

    def _server(self) -> list[str]:
        """The command that makes the node's surroundings and serves in them."""
        script, config = str(self.folder / "start.sh"), str(self.folder / "sshd_config")
        if self.options.server == "asyncssh":
            return [sys.executable, "-P", asyncssh_server.__file__, script, config]
        return ["/bin/sh", script, find_sshd() or "sshd", "-D", "-e", "-f", config]

    def _script(self) -> str:
        """Makes the node's surroundings, waits for a line, and becomes what it is given."""
        lines = ["set -e"]
        if self.private:
            tmp, fleet = self.folder / "tmp", self.folder.parent
            if self.options.tmp_size:
                lines.append(f"mount -t tmpfs -o size={self.options.tmp_size},mode=1777 none {_quoted(tmp)}")
            lines += [f"mount -t tmpfs none {_quoted(path)}" for path in self.hidden if not _inside(path, Path("/tmp"))]
            if _inside(fleet, Path("/tmp")):  # it must be seen there, under its name
                place = tmp / fleet.relative_to("/tmp")
                lines += [f"mkdir -p {_quoted(place)}", f"mount --bind {_quoted(fleet)} {_quoted(place)}"]
            for shown in filter(lambda path: _inside(path, Path("/tmp")), self.options.shown):
                place = tmp / shown.relative_to("/tmp")
                lines += [f"mkdir -p {_quoted(place)}", f"mount --bind {_quoted(shown)} {_quoted(place)}"]
            lines.append(f"mount --rbind {_quoted(tmp)} /tmp")
        lines += ["echo up", "read answer || true", "exec </dev/null >/dev/null"]
        if self.networked:
            lines += [
                "ip link set dev lo up",
                f"ip addr add {self.address}/30 dev {self._interface}n",
                f"ip link set dev {self._interface}n up",
            ]
        lines.append('exec "$@"')
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        address = (self.address, self._inner_port)
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=5) as line:
            return line.recv(4) == b"SSH-"
        time.sleep(0.01)
        return False

    def _choose_network(self) -> None:
        """Two addresses that nobody else has."""
        taken = subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True, check=True).stdout
        while True:
            net = f"10.{secrets.randbelow(156) + 100}.{secrets.randbelow(256)}."
            if net not in taken:
                break
        self._outer, self.address, self.port = net + "1", net + "2", 22

    def _add_link(self, pid: int) -> None:
        outer, inner = self._interface, self._interface + "n"
        subprocess.run(["ip", "link", "del", outer], check=False, capture_output=True)
        for words in (
            ["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", str(pid)],
            ["ip", "addr", "add", self._outer + "/30", "dev", outer],
            ["ip", "link", "set", "dev", outer, "up"],
        ):
            subprocess.run(words, check=True, capture_output=True)

    def _link(self, state: str) -> None:
        assert self.process is not None
        words = ["nsenter", "-t", str(self.process.pid), "-n", "ip", "link", "set", "dev", self._interface + "n", state]
        subprocess.run(words, check=True, capture_output=True)

    def _sessions(self) -> list[int]:
        """The processes of sshd that serve connections."""
        assert self.process is not None
        return [pid for pid in _descendants(self.process.pid) if _name(pid).startswith("sshd")]


def _kill(pids: list[int]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _children(pid: int) -> list[int]:
    found = []
    for other in _pids():
        with contextlib.suppress(OSError, IndexError):
            if int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1]) == pid and alive(other):
                found.append(other)
    return found


def _descendants(pid: int) -> list[int]:
    children = _children(pid)
    return children + [below for child in children for below in _descendants(child)]


def _inside(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
