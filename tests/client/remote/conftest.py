"""A machine with labs of its own: reached by a real sshd, it hides its folder from here, and the test's from itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.nodes.fleet import Fleet, Node, fleet
from tests.engine.nodes.proxy import Proxy
from tests.workbench import Result, checked
from tui_lab.client.remote.address import RemoteAddress
from tui_lab.client.remote.connection import Progress, RemoteLab
from tui_lab.store.lab import Lab

__all__ = ["fleet"]

PROGRAM = Path(__file__).parents[3]


class Far:
    """The machine, and its lab."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        shown = tuple(dict.fromkeys([PROGRAM, Path(sys.prefix)]))
        path = f"{fleet.folder}/far/bin:/usr/bin:/bin"
        self.node: Node = fleet.node("far", shared=False, shown=shown, path=path, latency=0.001)
        self.program("tui-lab", f'PYTHONPATH={PROGRAM} exec {sys.executable} -m tui_lab "$@"')
        self.place = f"/tmp/{fleet.folder.name}-work"
        """The folder of the project there."""
        self.folder = self.node.machine.tmp / Path(self.place).name
        """Where that is reached from here."""
        self.folder.mkdir()
        self.environment = fleet.environment()
        self.open: list[RemoteLab] = []

    @property
    def proxy(self) -> Proxy:
        """What stands between here and there."""
        assert self.node.machine.proxy is not None
        return self.node.machine.proxy

    @property
    def lab(self) -> Lab:
        """The lab itself, behind the machine's back."""
        return Lab.open(self.folder / "lab")

    def __call__(self, *words: object, code: int | None = 0) -> Result:
        """Run `tui-lab` there."""
        machine = self.node.machine
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(machine.home),
            "FLEET_NODE": str(machine.folder),
            "PATH": machine.options.path,
        }
        inside = [
            "nsenter",
            "-t",
            str(machine.pid),
            "-m",
            "sh",
            "-c",
            f'cd {self.place}; exec "$@"',
            "sh",
            sys.executable,
            "-m",
            "tui_lab",
        ]
        done = subprocess.run(
            [*inside, *map(str, words)],
            env=environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=100,
            check=False,
        )
        return checked(Result(done.returncode, done.stdout, done.stderr), code)

    def program(self, name: str, script: str) -> None:
        """Install a program there."""
        path = self.node.machine.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def connect(self, path: str = "", told: Progress | None = None) -> RemoteLab:
        """Open the lab from here. told: hears how far that is."""
        remote = RemoteLab(RemoteAddress("far", path or f"{self.place}/lab"), self.environment)
        self.open.append(remote)
        remote.open(told)
        return remote


@pytest.fixture
def far(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    far = Far(fleet)
    for name in ("HOME", "PATH", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, far.environment[name])
    try:
        yield far
    finally:
        for remote in far.open:
            remote.close()
