"""A Dask of the tests' own, on loopback: a scheduler, and workers in processes of their own.

Everything runs in the foreground as a child of the tests, and is ended by pid. Tests that use it are marked so, at the
top of their file:

    pytestmark = dask.MARKS

Without Dask they are skipped; in CI that is a failure.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.services.slurm import end_process, free_ports, wait_for

MARKS: Final = [pytest.mark.service, pytest.mark.slow, pytest.mark.xdist_group("dask")]
"""Of each test that uses it: `make services` runs them on one worker, and so on one Dask."""
NEEDED: Final = ("distributed", "dask_jobqueue")
TRIES: Final = 3
"""A port that was free may be taken before the scheduler binds it."""


class PrivateDask:
    """A scheduler and workers, each with a thread; w1, w2, ... by default. hidden: a folder that workers don't see."""

    def __init__(self, workers: int = 2, *, hidden: Path | None = None) -> None:
        self.hidden = hidden
        self.folder = Path(tempfile.mkdtemp(prefix="dask-"))
        self.count = workers
        self.address = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}

    def start(self) -> PrivateDask:
        """Start everything, and return when the workers have registered."""
        for left in reversed(range(TRIES)):
            try:
                self.start_scheduler()
                break
            except RuntimeError as error:
                if not left or "Address already in use" not in str(error):
                    self.stop()
                    raise
        try:
            for number in range(1, self.count + 1):
                self.start_worker(f"w{number}")
        except BaseException:
            self.stop()
            raise
        return self

    def start_scheduler(self) -> None:
        port = int(self.address.rpartition(":")[2]) if self.address else free_ports(1)[0]
        self._spawn("scheduler", "dask_scheduler", "--host=127.0.0.1", f"--port={port}")
        self._until_said("scheduler", "Scheduler at:")
        self.address = f"tcp://127.0.0.1:{port}"

    def start_worker(self, name: str, *, resources: str = "", nanny: bool = False, threads: int = 1) -> None:
        """Start a worker, and wait until it has registered. resources: as in `GPU=1`."""
        words = [self.address, f"--name={name}", "--host=127.0.0.1", f"--nthreads={threads}", "--memory-limit=1GiB"]
        words += [f"--local-directory={self.folder}", "--death-timeout=20", "--nanny" if nanny else "--no-nanny"]
        self._spawn(name, "dask_worker", *words, *([f"--resources={resources}"] * bool(resources)))
        self._until_said(name, "Registered to:")

    def kill(self, name: str) -> None:
        """End a worker, or the scheduler, by KILL."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end_worker(self, name: str) -> None:
        """End a worker in order."""
        end_process(self.processes.pop(name))

    def _spawn(self, name: str, program: str, *words: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard", *words]
        if self.hidden is not None and name != "scheduler":
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["unshare", "-m", "--propagation", "private", "sh", "-c", hide, str(self.hidden), *command]
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )

    def _until_said(self, name: str, words: str) -> None:
        process = self.processes[name]

        def ready() -> object:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            return words in self.log(name)

        wait_for(lambda: f"{name}: {words}\n{self.log(name)}", ready)

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """End everything: the workers first."""
        for name in sorted(self.processes, key=lambda name: name == "scheduler"):
            end_process(self.processes.pop(name))
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PrivateDask:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def left(prefix: str) -> list[str]:
    """What is left of leases whose names begin so: processes with their words, and folders."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [words] * (prefix in words)
    return found + [str(path) for path in Path(f"/tmp/tui-lab-{os.getuid()}").glob(f"{prefix}*")]


def missing() -> list[str]:
    """The packages that are not installed here."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def need() -> None:
    """Skip a test where Dask is not installed; in CI it fails."""
    if lacking := missing():
        why = f"not installed: {', '.join(lacking)}; pip install -e '.[test,dask]'"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(scope="session")
def dask() -> Iterator[PrivateDask]:
    """Two workers with a thread each."""
    need()
    with PrivateDask() as one:
        yield one


if __name__ == "__main__":
    with PrivateDask() as served:
        print(served.address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
