"""A Ray of the tests' own, on loopback: a head without CPUs, and nodes that are raylets of their own on this machine.

Each `ray start` stays in the foreground as a child of the tests, and is ended by pid. Ray replaces 127.0.0.1 by the
address of the machine, but leaves 127.0.0.2 and others alone: each node has one. Tests that use it are marked so, at
the top of their file:

    pytestmark = ray.MARKS

Without Ray they are skipped; in CI that is a failure. `python -m tests.services.ray` keeps one until its standard input
ends, and says its address.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.services.slurm import end_process, free_ports, wait_for

MARKS: Final = [pytest.mark.service, pytest.mark.slow, pytest.mark.xdist_group("ray")]
"""Of each test that uses it: `make services` runs them on one worker, and so on one Ray."""
TRIES: Final = 3
"""A port that was free may be taken before Ray binds it."""
HEAD: Final = "127.0.0.2"
ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


class PrivateRay:
    """A head that grants nothing, and nodes n1, n2, ..."""

    def __init__(self, nodes: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie below
        self.count = nodes
        self.address = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment |= ENVIRONMENT
        self._number = 2  # of the last address that was given

    def start(self) -> PrivateRay:
        """Start everything, and return when all nodes have registered."""
        for left in reversed(range(TRIES)):
            try:
                self._start_head()
                break
            except RuntimeError as error:
                if not left or "in use" not in str(error):
                    self.stop()
                    raise
        try:
            for number in range(1, self.count + 1):
                self.start_node(f"n{number}")
        except BaseException:
            self.stop()
            raise
        return self

    def _start_head(self) -> None:
        port = free_ports(1)[0]
        self.address = f"{HEAD}:{port}"
        words = ["--head", f"--node-ip-address={HEAD}", f"--port={port}", "--num-cpus=0", "--num-gpus=0"]
        words += ["--include-dashboard=false", f"--temp-dir={self.folder}/r", "--ray-client-server-port=0"]
        self._spawn("head", *words[:-1])

    def start_node(self, name: str, *, cpus: int = 2, gpus: int = 0, resources: dict[str, float] | None = None) -> str:
        """Start a node, and wait until it has registered. Return its address."""
        self._number += 1
        ip = f"127.0.0.{self._number}"
        words = [f"--address={self.address}", f"--node-ip-address={ip}", f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
        self._spawn(name, *words, f"--resources={json.dumps(resources or {})}", f"--memory={1 << 30}")
        return ip

    def _spawn(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes[name] = process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *words, *ALWAYS],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )

        def ready() -> object:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            return "runtime started" in self.log(name)

        wait_for(lambda: f"{name} starts\n{self.log(name)}", ready, 90)

    def raylet(self, ip: str) -> int:
        """Return the raylet of a node, by the node's address."""
        (pid,) = (
            pid
            for pid, words in self._processes()
            if words[0].endswith("/raylet") and f"--node_ip_address={ip}" in words
        )
        return pid

    def end_node(self, name: str) -> None:
        """End a node in order."""
        end_process(self.processes.pop(name))

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _processes(self) -> Iterator[tuple[int, list[str]]]:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")

    def left(self) -> list[int]:
        """Return processes of this Ray: their words name its folder or its port."""
        marks = (str(self.folder), self.address)
        return [pid for pid, words in self._processes() if any(mark in word for word in words for mark in marks)]

    def stop(self) -> None:
        """End everything, the head last."""
        for name in sorted(self.processes, key=lambda name: name == "head"):
            end_process(self.processes.pop(name))
        end = time.monotonic() + 10
        while self.left() and time.monotonic() < end:
            time.sleep(0.1)
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PrivateRay:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


ALWAYS: Final = ("--disable-usage-stats", "--object-store-memory=80000000", "--block")


def need() -> None:
    """Skip a test where Ray is not installed; in CI it fails."""
    if importlib.util.find_spec("ray") is None:
        why = "not installed: ray; pip install -e '.[test,ray]'"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(scope="session")
def ray() -> Iterator[PrivateRay]:
    """A head, and a node with two CPUs."""
    need()
    with PrivateRay() as one:
        yield one


if __name__ == "__main__":
    with PrivateRay() as served:
        print(served.address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
