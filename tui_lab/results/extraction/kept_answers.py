"""What something that ran for tasks has found, kept beside the tables: it runs once for a task's attempt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from tui_lab.results.extraction.extractor import Task

Answer: TypeAlias = dict[str, Any]
"""What was found for a task; JSON can hold it."""


class KeptAnswers:
    """A file with a line for each attempt of a task, or of a run of a stage: no two of these have the same number.

    folder: of the experiment. prefix: of the names of such files. name: what runs. version: of it; only one is kept."""

    def __init__(self, folder: Path, prefix: str, name: str, version: str) -> None:
        self._folder = folder
        self._all = f"{prefix}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.*.jsonl"
        self.path = folder / self._all.replace("*", version)

    def forget(self) -> None:
        """Forget all answers, of any version."""
        for path in self._folder.glob(self._all):
            with contextlib.suppress(OSError):
                path.unlink()

    def known(self) -> dict[Task, Answer]:
        """Return the answers so far."""
        found: dict[Task, Answer] = {}
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            for line in file:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    answer = json.loads(line)
                    found[int(answer.pop("task")), int(answer.pop("attempt"))] = answer
        return found

    @contextlib.contextmanager
    def keeping(self) -> Iterator[Callable[[Task, Answer], None]]:
        """Open the file; what is given is kept there, in place of the answers of other versions. Where that is not
        possible, they are asked for again."""
        file = -1
        with contextlib.suppress(OSError):
            if not self.path.exists():
                self.forget()
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

        def keep(task: Task, answer: Answer) -> None:
            with contextlib.suppress(OSError):
                os.write(file, json.dumps({"task": task[0], "attempt": task[1], **answer}).encode() + b"\n")

        try:
            yield keep
        finally:
            if file >= 0:
                os.close(file)
