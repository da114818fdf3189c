"""Several machines to run tasks on, for tests: real SSH servers on this machine.

    def test_something(workbench, fleet):
        fleet.node("tower", slots=2)                       # sees the lab's folder
        fleet.node("attic", shared=False, tags=["gpu"])    # has a /tmp of its own: does not see it
        workbench("--run", "e.yaml", "--cluster", fleet.cluster_file(), env=fleet.environment(workbench))

The fixture is imported where it is needed: `from tests.engine.nodes.fleet import Fleet, fleet  # noqa: F401`. It
hides the test's `tmp_path` from nodes with `shared=False` (root alone can have these; else the test is skipped).

- `fleet.node(NAME, ...)` starts a node: a `Node`. Its `entry` is the dictionary of a submission event, its
  `words` are `--node NAME SLOTS TAG...`, which needs `fleet.environment()`: there `~/.ssh/config` knows all nodes.
- `fleet.cluster_file()` writes a cluster.yaml of all nodes and returns its path; it needs no environment.
- `fleet.kill_sessions(NAME)`: the connections die, sshd lives. `stop`, `start`: sshd with its connections.
  `drop`, `restore`: silence, on a node made with `droppable=True`. `power_off`: agent and tasks, too.
- `node.machine.tmp` is the node's /tmp as it is reached from here, `node.machine.home` its HOME,
  `node.machine.processes()` what runs on it, `node.spools()` the spools in it, `node.agent_pid()` its agent.

Nodes are OpenSSH's sshd. Where there is none, or TUI_LAB_TESTS_SSHD=asyncssh is in the environment, they are asyncssh's
own servers; a test that needs what these can't do is skipped, and the end of the test run says so. In CI a missing sshd
is a failure. `fleet.node(NAME, server="asyncssh")` has one in any case.

A keepalive goes every second (`ServerAliveInterval` of `fleet.home/.ssh/config`), so that a silent node is noticed
after about four seconds, where the environment is the fleet's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from getpass import getuser
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from tests.engine.nodes.machine import Machine, Options, can_hide
from tests.engine.nodes.openssh import NEEDS, SAID, chosen_server
from tests.workbench import Workbench, alive
from tui_lab.experiment.cluster.entry import NodeEntry

_ENTRY = ("workdir", "python", "setup", "ahead", "lost_after", "spool", "gpus", "memory")


class Node:
    """A node: its machine, and how it is called in a lab."""

    def __init__(self, machine: Machine, entry: NodeEntry) -> None:
        self.machine = machine
        self.entry = entry  # as in a submission event

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def words(self) -> list[str]:
        return ["--node", self.name, str(self.entry["slots"]), *self.entry["tags"]]

    def spools(self) -> list[Path]:
        """The spools of the test's labs for this node, as they are reached from here."""
        return [path for path in self._spools() if self.machine.private or path.name[:16] in labs(self.machine.hidden)]

    def agent_pid(self) -> int | None:
        """The agent that is alive there."""
        texts = []
        for spool in self._spools():
            with suppress(FileNotFoundError):  # it goes with its agent
                texts.append((spool / "lock").read_text().strip())
        running = self.machine.processes()
        return next((int(text) for text in texts if text and int(text) in running and alive(int(text))), None)

    def _spools(self) -> list[Path]:
        place = self.machine.tmp / f"tui-lab-{os.getuid()}"
        name = re.compile(r"[0-9a-f]{16}-" + re.escape(self.name))
        return [path for path in place.glob("*") if name.fullmatch(path.name)]


class Fleet:
    """Nodes that end with the test."""

    def __init__(self, hidden: Sequence[Path] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tui-lab-fleet-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.hidden = tuple(hidden)
        self.keys = self.folder / "keys"
        self.home = self.folder / "client"
        self.key = self.home / ".ssh" / "id_ed25519"
        self.known_hosts = self.home / ".ssh" / "known_hosts"
        self.nodes: dict[str, Node] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.keys.mkdir()
        self.key.parent.mkdir(parents=True, mode=0o700)
        make_key(self.key)
        self.known_hosts.touch()
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        if (real := shutil.which("ssh")) is not None:
            script = f'#!/bin/sh\ntest -e "$HOME/.ssh/config" && set -- -F "$HOME/.ssh/config" "$@"\nexec {real} "$@"\n'
            (self.programs / "ssh").write_text(script)
            (self.programs / "ssh").chmod(0o755)
        shutil.copy(self.key.with_suffix(".pub"), self.keys / "authorized_keys")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it to be there

    def node(
        self,
        name: str,
        slots: int = 2,
        *,
        shared: bool = True,
        tags: Sequence[str] = (),
        via: str = "",
        known: bool = True,
        start: bool = True,
        **options: Any,
    ) -> Node:
        """A new node. `shared`: it sees the lab's folder. `via`: the name of the node to jump through. `known`: its
        host key is in known_hosts.

        Further options: those of `machine.Options` (`droppable`, `latency` in seconds, `max_sessions`,
        `max_startups`, `shell`: the login shell, `bashrc`, `banner`, `tmp_size` of a node that is not shared, `path`,
        `sshd`: lines for its configuration, `env`: variables of its sessions, `server`: "openssh" or "asyncssh",
        `shown`: folders that one which is not shared sees nevertheless) and
        keys of an entry (`workdir`, `python`, `setup`, `ahead`, `lost_after`, `spool`, `gpus`; `variables` for `env`).
        """
        if not shared and not can_hide():
            pytest.skip("needs root and the right to mount: a node with a /tmp of its own")
        extra: Any = {key: options.pop(key) for key in _ENTRY if key in options}
        variables = options.pop("variables", None)
        how = Options(shared=shared, **options)
        if how.server == "asyncssh" and (words := how.beyond_asyncssh()):
            pytest.skip(f"{NEEDS}sshd: {', '.join(words)}")
        make_key(self.keys / name)
        machine = Machine(name, self.folder / name, self.keys, self.hidden, how)
        entry: NodeEntry = {
            "name": name,
            "slots": slots,
            "tags": list(tags),
            "host": machine.address,
            "port": machine.port,
            "user": getuser(),
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            **extra,
            **({"env": dict(variables)} if variables else {}),
        }
        node = self.nodes[name] = Node(machine, entry)
        if via:
            entry["host"] = name  # the alias, which has the jump
            del entry["port"]
        if known:
            self.know(name)
        self._write_config(via={name: via})
        if start:
            machine.start()
        return node

    def know(self, name: str) -> None:
        """Put the node's host key into known_hosts."""
        machine = self.nodes[name].machine
        public = (self.keys / f"{name}.pub").read_text().split()[:2]
        hosts = [f"[{host}]:{machine.port}" for host in (machine.address, "::1", "localhost")]
        if machine.port == 22:
            hosts = [machine.address]
        with self.known_hosts.open("a") as file:
            file.write(",".join(hosts) + " " + " ".join(public) + "\n")

    def new_host_key(self, name: str) -> None:
        """The node's host key changes, as that of a machine that was set up anew."""
        self.stop(name)
        for path in (self.keys / name, self.keys / f"{name}.pub"):
            path.unlink()
        make_key(self.keys / name)
        self.start(name)

    # --- For the command line

    def environment(self, workbench: Workbench | None = None, /, **more: str) -> dict[str, str]:
        """Variables for `tui-lab`: a HOME whose ~/.ssh knows the fleet, and an `ssh` that reads it, for OpenSSH's own
        takes the home from passwd."""
        base: Mapping[str, str] = os.environ if workbench is None else workbench.environment
        path = f"{self.programs}:{base.get('PATH', os.defpath)}"
        return {**base, "HOME": str(self.home), "SSH_AUTH_SOCK": "", "PATH": path, **more}

    def cluster_file(self, name: str = "cluster.yaml") -> Path:
        """A cluster.yaml with all nodes."""
        entries = [{key: value for key, value in node.entry.items() if value != []} for node in self.nodes.values()]
        path = self.folder / name
        path.write_text(yaml.safe_dump({"name": "fleet", "nodes": entries}, sort_keys=False))
        return path

    def _write_config(self, via: Mapping[str, str]) -> None:
        path = self.home / ".ssh" / "config"
        text = path.read_text() if path.exists() else "ServerAliveInterval 1\nServerAliveCountMax 3\n"
        for name, jump in via.items():
            machine = self.nodes[name].machine
            text += f"Host {name}\n  HostName {machine.address}\n  Port {machine.port}\n  User {getuser()}\n"
            text += f"  IdentityFile {self.key}\n  UserKnownHostsFile {self.known_hosts}\n"
            text += f"  ProxyJump {jump}\n" if jump else ""
        path.write_text(text)

    # --- What happens to nodes

    def start(self, name: str) -> None:
        self.nodes[name].machine.start()

    def stop(self, name: str) -> None:
        self.nodes[name].machine.stop()

    def kill_sessions(self, name: str) -> None:
        self.nodes[name].machine.kill_sessions()

    def drop(self, name: str) -> None:
        self.nodes[name].machine.drop()

    def restore(self, name: str) -> None:
        self.nodes[name].machine.restore()

    def power_off(self, name: str) -> None:
        self.nodes[name].machine.power_off()

    def close(self) -> None:
        """End all that was started, and remove what it left."""
        for process in self.processes:
            process.kill()
            process.wait()
        for node in self.nodes.values():
            node.machine.close()
        for node in self.nodes.values():
            for spool in node.spools():
                shutil.rmtree(spool, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def labs(folders: Sequence[Path]) -> set[str]:
    """The identities of all labs in some folders."""
    texts = [path.read_text() for folder in folders for path in folder.rglob("lab.json")]
    return {found for text in texts for found in re.findall(r"[0-9a-f]{16}", text)}


def make_key(path: Path, passphrase: str = "", kind: str = "ssh-ed25519") -> None:
    """A pair of keys: PATH and PATH.pub."""
    key = asyncssh.generate_private_key(kind, comment="test")
    path.touch(0o600)
    key.write_private_key(str(path))
    key.write_public_key(f"{path}.pub")
    if passphrase:  # asyncssh would need a further package
        words = ["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", str(path)]
        subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def fleet(tmp_path: Path, record_property: Callable[[str, str], None]) -> Iterator[Fleet]:
    if chosen_server() == "asyncssh":
        record_property(*SAID)
    it = Fleet([tmp_path])
    try:
        yield it
    finally:
        it.close()
