"""The command as a user has it, in a folder of its own, with the real engine and agent.

What starts tasks, and all that is asked of the process itself, is a process. A command that only looks at a lab or
asks its engine for something is called in this process, which takes a tenth of the time: only the start differs, and
tests/cli/test_interrupts.py and tests/test_docs.py start them as people do.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from tui_lab.cli.main import main
from tui_lab.engine.lock import EngineFacts
from tui_lab.store import layout
from tui_lab.store.lab import Lab

BESIDE: Final = frozenset(
    {
        *("plan", "check", "schema", "status", "nodes", "logs", "show", "stop", "pause", "history", "diff", "clean"),
        *("parse", "query", "draw", "stats", "export"),
    }
)
"""Commands that may be called in the process of the tests."""
WIDTH: Final = frozenset({"COLUMNS", "LINES"})
"""Of the environment: what a command asks for when it is called, not when Python starts."""
UNSEEN: Final = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
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


class Bench:
    """A folder to work in. Call it with the words behind `tui-lab`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TUI_LAB_", "COLUMNS", "NO_COLOR", "FORCE_COLOR"))
        }
        self.environment["TERM"] = "xterm"
        self.environment.pop("XDG_RUNTIME_DIR", None)

    @property
    def lab(self) -> Path:
        return self.folder / "lab"

    def write(self, name: str, text: str, executable: bool = False) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if executable:
            path.chmod(0o755)
        return path

    def start(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a command and go on."""
        return subprocess.Popen(
            [sys.executable, "-m", "tui_lab", *words],
            cwd=options.pop("cwd", self.folder),
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            encoding="utf-8",
            errors="replace",
            **options,
        )

    def __call__(self, *words: str, code: int | None = 0, **options: Any) -> Result:
        """Run a command to its end; its exit status must be `code` (None: any), and it never shows a
        traceback."""
        if words and words[0] in BESIDE and options.keys() <= {"cwd", "env"} and options.get("env", {}).keys() <= WIDTH:
            result = self.inside(*words, code=code, **options)
            assert "mistake of this program" not in result.err, result.err
            return result
        return self.process(*words, code=code, **options)

    def process(self, *words: str, code: int | None = 0, **options: Any) -> Result:
        """The same, in a process of its own."""
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=100)
        result = Result(process.returncode, out or "", err or "")
        assert "Traceback" not in result.out + result.err, result.out + result.err
        assert "mistake of this program" not in result.err, result.err
        assert code is None or result.code == code, f"exit {result.code}\n{result.out}\n{result.err}"
        return result

    def run(self, *words: str, code: int | None = 0, **options: Any) -> Result:
        """`tui-lab --run WORDS...`"""
        return self("--run", *words, code=code, **options)

    def inside(
        self, *words: str, code: int | None = 0, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Result:
        """The same, in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        before = Path.cwd(), sys.stdin, sys.stdout, sys.stderr
        environment = {"COLUMNS": "80", "LINES": "24", **self.environment, **(env or {})}
        os.chdir(cwd or self.folder)
        try:
            with (
                open(os.devnull, encoding="utf-8") as nothing,
                mock.patch.dict(os.environ, environment, clear=True),
                warnings.catch_warnings(record=True) as warned,
            ):
                sys.stdin, sys.stdout, sys.stderr = nothing, out, err
                try:
                    found = main(words)
                except SystemExit as end:
                    found = int(end.code or 0)
        finally:
            os.chdir(before[0])
            sys.stdin, sys.stdout, sys.stderr = before[1:]
        printed = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
        seen = [warning for warning in warned if not issubclass(warning.category, UNSEEN)]
        assert not seen, seen
        assert code is None or found == code, f"exit {found}\n{printed[0]}\n{printed[1]}"
        return Result(found, *printed)

    def stdout(self, task: int, experiment: str = "grid") -> str:
        """What a task printed."""
        return (self.lab / experiment / "tasks" / "0" / str(task) / "stdout").read_text(encoding="utf-8")

    def table(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query."""
        result = self.inside("query", sql, "--format", "json")
        rows: list[dict[str, Any]] = json.loads(result.out)
        return rows

    @property
    def python(self) -> Path:
        """The interpreter that has tui_lab."""
        return Path(sys.executable)

    def until(self, ready: Callable[[], bool], patience: float = 60.0) -> None:
        """Wait until something is so; fails where it takes too long."""
        deadline = time.monotonic() + patience
        while not ready():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)

    def clean(self) -> None:
        """End what is left of this folder's engines, agents and tasks, and remove their sockets and
        spools."""
        marks = [os.fsencode(self.folder)]
        markers = [path.read_text() for path in self.folder.rglob("lab.json")]
        identities = [name for text in markers for name in re.findall(r"[0-9a-f]{16}", text)]
        marks += [identity.encode() for identity in identities]
        quiet = 0
        while quiet < 3:  # a process may be between two programs, and have no words for a moment
            pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
            found = {pid for pid in pids if _mentions(pid, marks)} | self._engines()
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            quiet = 0 if found else quiet + 1
            time.sleep(0.02)
        for place in Path(f"/tmp/tui-lab-{os.getuid()}").glob("*"):
            if any(place.name.startswith(identity) for identity in identities):
                shutil.rmtree(place) if place.is_dir() else place.unlink()

    def _engines(self) -> set[int]:
        """Pids of the engines of this folder's labs."""
        engines = set()
        for path in self.folder.rglob(layout.ENGINE_FILE):
            facts = EngineFacts.read(Lab(path.parent, ""))
            if facts is not None and facts.alive:
                engines.add(facts.pid)
        return engines


def _mentions(pid: int, marks: list[bytes]) -> bool:
    """Whether a living process other than this one was started for this folder."""
    if pid == os.getpid():
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    output = b"".join(line for line in variables if line.startswith(b"TUI_LAB_OUTPUT="))
    return any(mark in words or mark in output for mark in marks)
