"""A scratch lab with a project in which commands are run, and what tests wait for and look at."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from tui_lab.cli.main import main
from tui_lab.engine.lock import EngineFacts, process_start
from tui_lab.store import layout
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab

REPOSITORY: Final = Path(__file__).resolve().parent.parent
IN_PROCESS: Final = frozenset(
    {
        *("plan", "check", "schema", "status", "nodes", "logs", "show", "stop", "pause", "history", "diff", "clean"),
        *("parse", "query", "draw", "stats", "export", "--run", "retry"),
    }
)
"""Commands that may be called in the process of the tests."""
READ_LATE: Final = frozenset({"COLUMNS", "LINES", "HOME", "PATH", "SSH_AUTH_SOCK"})
"""Variables that a command reads when it is called, not when Python starts."""
IGNORED_WARNINGS: Final = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that a user does not see."""


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> Any:
        """The last line, as JSON."""
        return json.loads(self.lines[-1])


class Workbench:
    """A folder with a project and a lab. Call it with the words behind `tui-lab` to run a command there.

    Engine, agent and tasks are processes, as for a user. The command itself runs in this process, where it can, which
    takes a tenth of the time: `process` and `start` give it one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab_path = folder / "lab"
        self.truth = folder / "truth"  # tasks append lines to it: what really happened
        self.processes: list[subprocess.Popen[str]] = []
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TUI_LAB_", "COLUMNS", "NO_COLOR", "FORCE_COLOR"))
        }
        self.environment |= {"TERM": "xterm", "COLUMNS": "200", "TRUTH": str(self.truth)}
        self.environment.pop("XDG_RUNTIME_DIR", None)

    def write(self, name: str, text: str, executable: bool = False) -> Path:
        """Write a file in the folder. The text may be indented as a whole."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        if executable:
            path.chmod(0o755)
        return path

    # Commands. env: variables besides those of `environment`. code: the exit status that is right, None for any.

    def start(self, *words: object, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a command and go on. options: of `subprocess.Popen`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_lab", *map(str, words)],
            cwd=options.pop("cwd", self.folder),
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            encoding="utf-8",
            errors="replace",
            **options,
        )
        self.processes.append(process)
        return process

    def __call__(self, *words: object, code: int | None = 0, **options: Any) -> Result:
        """Run a command to its end."""
        in_process = str(words[0]) in IN_PROCESS and options.keys() <= {"cwd", "env"} if words else False
        changed = dict(options.get("env") or {}).items() - self.environment.items()
        if in_process and {name for name, _ in changed} <= READ_LATE:
            return self.inside(*words, code=code, **options)
        return self.process(*words, code=code, **options)

    def process(self, *words: object, code: int | None = 0, timeout: float = 100, **options: Any) -> Result:
        """Run a command to its end, in a process of its own."""
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=timeout)
        return checked(Result(process.returncode, out or "", err or ""), code)

    def inside(
        self, *words: object, code: int | None = 0, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Result:
        """Run a command to its end, in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        before = Path.cwd(), sys.argv, sys.stdin, sys.stdout, sys.stderr
        environment = {"LINES": "24", **self.environment, **(env or {})}
        os.chdir(cwd or self.folder)
        try:
            with (
                open(os.devnull, encoding="utf-8") as nothing,
                mock.patch.dict(os.environ, environment, clear=True),
                warnings.catch_warnings(record=True) as warned,
            ):
                sys.argv = ["tui-lab", *map(str, words)]
                sys.stdin, sys.stdout, sys.stderr = nothing, out, err
                try:
                    status = main(list(map(str, words)))
                except SystemExit as end:
                    status = int(end.code or 0)
        finally:
            os.chdir(before[0])
            sys.argv, sys.stdin, sys.stdout, sys.stderr = before[1:]
        printed = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]
        seen = [warning for warning in warned if not issubclass(warning.category, IGNORED_WARNINGS)]
        assert not seen, seen
        return checked(Result(status, *printed), code)

    def run(self, *words: object, code: int | None = 0, **options: Any) -> Result:
        """`tui-lab --run WORDS...`"""
        return self("--run", *words, code=code, **options)

    def run_text(self, text: str, *words: object, slots: int = 2, code: int | None = 0, **options: Any) -> Result:
        """Write an experiment `e` to experiment.yaml, and run it on this machine."""
        file = self.write("experiment.yaml", "name: e\n" + textwrap.dedent(text))
        return self.run(file, "--node", "localhost", slots, *words, code=code, **options)

    # --- What is on disk

    @property
    def lab(self) -> Lab:
        return Lab.open(self.lab_path)

    def experiment(self, name: str = "e") -> ExperimentFolder:
        return self.lab.experiment(name)

    def tasks(self, name: str = "e") -> list[dict[str, Any]]:
        """The table of all tasks, as dictionaries."""
        return self.experiment(name).tasks().to_dicts()

    def table(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query."""
        rows: list[dict[str, Any]] = json.loads(self.inside("query", sql, "--format", "json").out)
        return rows

    def events(self, kind: str | None = None, name: str = "e") -> list[dict[str, Any]]:
        """The events in the journal of an experiment."""
        path = self.lab_path / name / "journal.jsonl"
        if not path.exists():
            return []
        found = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return [event for event in found if kind is None or event["event"] == kind]

    def output(self, task: int, file: str = "stdout", name: str = "e") -> str:
        """The text of an output file of a task."""
        return (self.experiment(name).task_folder(task) / file).read_text(encoding="utf-8")

    def lines(self) -> list[str]:
        """The lines that tasks have appended to `truth`."""
        return self.truth.read_text().splitlines() if self.truth.exists() else []

    # --- Processes

    @property
    def spool(self) -> Path:
        """The spool of the agent on this machine."""
        return Path(f"/tmp/tui-lab-{os.getuid()}") / f"{self.lab.identity}-localhost"

    def engine_pid(self) -> int | None:
        facts = EngineFacts.read(self.lab)
        return facts.pid if facts is not None and facts.alive else None

    def kill_engine(self) -> None:
        """kill -9 of the engine, once there is one."""
        os.kill(until(self.engine_pid), signal.SIGKILL)

    def agent_pid(self) -> int | None:
        try:
            pid = int((self.spool / "lock").read_text())
        except (OSError, ValueError):
            return None
        return pid if process_start(pid) is not None else None

    def close(self) -> None:
        """End what is left of the folder's commands, engines, agents and tasks; remove their sockets and spools."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        texts = [path.read_text() for path in self.folder.rglob("lab.json")]
        identities = {identity for text in texts for identity in re.findall(r"[0-9a-f]{16}", text)}
        if not identities and not self.processes:
            return
        marks = [os.fsencode(self.folder), *(identity.encode() for identity in identities)]
        quiet = 0
        while quiet < 3:  # during an exec, a process has no words for a moment
            pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
            found = {pid for pid in pids if belongs(pid, marks)} | self._engines()
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            quiet = 0 if found else quiet + 1
            time.sleep(0.01)
        for path in Path(f"/tmp/tui-lab-{os.getuid()}").glob("*"):
            if path.name[:16] in identities:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _engines(self) -> set[int]:
        """Pids of the engines of the labs below the folder."""
        facts = [EngineFacts.read(Lab(path.parent, "")) for path in self.folder.rglob(layout.ENGINE_FILE)]
        return {found.pid for found in facts if found is not None and found.alive}


def checked(result: Result, code: int | None) -> Result:
    """A result whose exit status is right, without a traceback or the report of a bug."""
    printed = f"exit {result.code}\n{result.out}\n{result.err}"
    assert "Traceback" not in result.err and "internal error" not in result.err, printed
    assert code is None or result.code == code, printed
    return result


def belongs(pid: int, marks: list[bytes]) -> bool:
    """Whether a living process other than this one has one of these in its words, or as its task's output."""
    if pid == os.getpid():
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    output = b"".join(line for line in variables if line.startswith(b"TUI_LAB_OUTPUT="))
    return any(mark in words or mark in output for mark in marks)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def searching(pid: int, spent: float = 0.5) -> list[int]:
    """The helpers of a process that search for a slow pattern now, and have spent so many seconds of CPU time."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and b"tui_lab.results.extraction.slow_search" in (folder / "cmdline").read_bytes():
                taken = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                if fields[0] == "R" and taken >= spent:
                    found.append(int(folder.name))
    return found


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something holds, and return it; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.005)
    return found


def below(folder: Path) -> list[str]:
    """The paths of all that is in a folder, while someone may be removing it."""
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
