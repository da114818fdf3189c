"""Shared fixtures: a lab of its own for each test, whose engine, agents and tasks end with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.nodes.openssh import pytest_terminal_summary  # noqa: F401
from tui_lab.engine.lock import EngineFacts, process_start
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab

# The tests start hundreds of processes of this program: each would compile it anew where this is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# DuckDB and Polars take pyarrow for much where it is installed. It is no dependency: nothing may need it.
sys.modules["pyarrow"] = None  # type: ignore[assignment]

# How fast an example is says nothing on a machine that is busy. Whether a change lands is not left to luck: the
# examples are the same in each run, and --long draws others, and more of them.
settings.register_profile("usual", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=500)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the longer mode of tests that have one")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "usual")


# Files of these take long and mostly wait: they come first, so that no worker is left with one when the others have
# ended, and in turn with those that compute.
WAITING = ("tests/test_", "tests/nodes/", "tests/cli/", "tests/engine/")


def mixed(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which their files are given to the workers."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    waiting = sorted(
        (name for name in files if name.startswith(WAITING)),
        key=lambda name: next(rank for rank, start in enumerate(WAITING) if name.startswith(start)),
    )
    computing = reversed([name for name in files if not name.startswith(WAITING)])  # those of the screen first
    return [item for pair in zip_longest(waiting, computing) for name in pair if name for item in files[name]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = mixed(items)
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip("takes its time: --long"))


def below(folder: Path) -> list[str]:
    """What is in a folder, while someone may be removing it."""
    found = [Path(place, name) for place, folders, files in os.walk(folder) for name in folders + files]
    return sorted(os.path.relpath(path, folder) for path in found)


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Write a journal anew, with other events behind the first, each with the checksum that it needs."""
    first, *rest = (json.loads(line) for line in path.read_text().splitlines())
    for event in rest:
        del event["sum"]
    path.unlink()
    journal = Journal(path, first["id"])
    journal.append_lines([json.dumps(event, separators=(",", ":")).encode() for event in change(rest)])
    journal.close()


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something holds, and return it; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.005)
    return found


class Workshop:
    """A folder with experiment files and a lab, and the command line to use them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab_path = folder / "lab"
        self.truth = folder / "truth"  # tasks append a line here: what really happened
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "TRUTH": str(self.truth), "COLUMNS": "200", **more}

    def start(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        """`tui-lab WORDS...` in the folder, going on by itself."""
        options.setdefault("env", self.environment())
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_lab", *map(str, words)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.processes.append(process)
        return process

    def call(self, *words: object, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        """`tui-lab WORDS...` to its end."""
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, text: str, *words: object, slots: int = 2, **options: Any) -> subprocess.CompletedProcess[str]:
        """Write experiment.yaml, called `e`, and run it."""
        file = self.write("experiment.yaml", "name: e\n" + textwrap.dedent(text))
        return self.call("--run", file, "--node", "localhost", slots, *words, **options)

    # What is on disk.

    @property
    def lab(self) -> Lab:
        return Lab.open(self.lab_path)

    def experiment(self, name: str = "e") -> ExperimentFolder:
        return self.lab.experiment(name)

    def tasks(self, name: str = "e") -> list[dict[str, Any]]:
        """The table of all tasks, as dictionaries."""
        return self.experiment(name).tasks().to_dicts()

    def events(self, kind: str | None = None, name: str = "e") -> list[dict[str, Any]]:
        """What the journal holds."""
        path = self.lab_path / name / "journal.jsonl"
        if not path.exists():
            return []
        found = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return [event for event in found if kind is None or event["event"] == kind]

    def output(self, task: int, file: str = "stdout", name: str = "e") -> str:
        return (self.experiment(name).task_folder(task) / file).read_text()

    def lines(self) -> list[str]:
        """The ground truth so far."""
        return self.truth.read_text().splitlines() if self.truth.exists() else []

    # Processes.

    @property
    def spool(self) -> Path:
        return Path(f"/tmp/tui-lab-{os.getuid()}") / f"{self.lab.identity}-localhost"

    def engine_pid(self) -> int | None:
        facts = EngineFacts.read(self.lab)
        return facts.pid if facts is not None and facts.alive else None

    def agent_pid(self) -> int | None:
        try:
            pid = int((self.spool / "lock").read_text())
        except (OSError, ValueError):
            return None
        return pid if process_start(pid) is not None else None

    def close(self) -> None:
        """End everything that the lab started, and remove what it left outside of the folder."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        try:
            spool, engine = self.spool, self.engine_pid()
        except LabError:
            return
        pids = [self.agent_pid(), engine]
        for line in (spool / "ledger.jsonl").read_text().splitlines() if (spool / "ledger.jsonl").exists() else []:
            record = json.loads(line)
            if record["record"] == "pid" and process_start(record["pid"]) == record["start_time"]:
                pids.append(-record["pid"])
        for pid in pids:
            if pid is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        until(lambda: not any(pid and pid > 0 and alive(pid) for pid in pids))
        shutil.rmtree(spool, ignore_errors=True)
        spool.with_name(f"{self.lab.identity}.sock").unlink(missing_ok=True)


def searching(pid: int) -> int | None:
    """The helper of a process that searches for a slow pattern now, and has done so for a while."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and b"tui_lab.results.extraction.slow_search" in (folder / "cmdline").read_bytes():
                spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                if fields[0] == "R" and spent > 0.5:
                    return int(folder.name)
    return None


def alive(pid: int) -> bool:
    """A process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """One for all tests of a file."""
    shop = Workshop(tmp_path_factory.mktemp("workshop"))
    try:
        yield shop
    finally:
        shop.close()
