"""Labs on disk, made by the same code that plans and journals runs, with outputs that a test writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.store.events import AT, submitted
from tui_lab.experiment.combinations import expand
from tui_lab.experiment.load import load
from tui_lab.store import ranges
from tui_lab.store.events import Assigned, EndState, Finished, KnownEvent, Started
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab
from tui_lab.store.planning import make_plan

Files = Mapping[str, str | bytes]


class LabOnDisk:
    """A lab whose tasks "run" by being handed their files."""

    def __init__(self, path: Path) -> None:
        self.lab = Lab.create(path / "lab")
        self.sources = path
        self.clock = 1_700_000_000.0

    def submit(self, text: str, name: str = "grid") -> ExperimentFolder:
        """Submit an experiment file; its tasks are pending."""
        file = self.sources / f"{name}.yaml"
        file.write_text(f"name: {name}\n{text}" if "name:" not in text.split("\n")[0] else text)
        experiment = load(file)
        folder = self.lab.new_experiment(name)
        number = folder.next_plan_number()
        planned = make_plan(
            experiment,
            expand(experiment),
            number=number,
            plans=folder.plans,
            previous=folder.plan() if folder.exists() and number > 1 else None,
            state=folder.state(),
            seed="none",
        )
        planned.plan.write(folder.plans, file.read_text())
        tasks = ranges.to_ranges(planned.plan.tasks["task_id"].to_numpy())
        queued = ranges.to_ranges(planned.plan.tasks.filter(~planned.known)["task_id"].to_numpy())
        self.journal(folder, submitted(tasks, queued, plan=number))
        return folder

    def journal(self, folder: ExperimentFolder, *events: KnownEvent) -> None:
        """Write events down, a moment after each other."""
        journal = Journal(folder.journal)
        journal.append([structs.replace(event, at=self._tick()) for event in events])
        journal.close()

    def start(self, folder: ExperimentFolder, task: int, files: Files, attempt: int | None = None) -> int:
        """Begin an attempt (the next one) and write its files; returns its number."""
        attempt = attempt or folder.state().columns["attempts"][task] + 1
        place = folder.task_folder(task)
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            streams = name in ("stdout", "stderr") or name.endswith((".stdout", ".stderr"))
            path = place / (f"{name}.{attempt}" if streams and attempt > 1 else name)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.journal(
            folder,
            Assigned(AT, "here", [(task, attempt)]),
            Started(AT, task, attempt),
        )
        return attempt

    def finish(self, folder: ExperimentFolder, task: int, attempt: int, state: EndState = "done", **facts: Any) -> None:
        facts = {"exit_code": 0 if state == "done" else 1, "duration": 1.5, **facts}
        self.journal(folder, Finished(AT, task, attempt, state, **facts))

    def run(
        self, folder: ExperimentFolder, task: int, files: Files | str, state: EndState = "done", **facts: Any
    ) -> int:
        """A whole attempt of a task; `files` by name, or its stdout."""
        given = {"stdout": files} if isinstance(files, str) else files
        attempt = self.start(folder, task, given)
        self.finish(folder, task, attempt, state, **facts)
        return attempt

    def run_all(self, folder: ExperimentFolder, output: Callable[[int], Files | str]) -> None:
        for task in folder.tasks()["task_id"]:
            self.run(folder, task, output(task))

    def _tick(self) -> float:
        self.clock += 1
        return self.clock


@pytest.fixture
def disk(tmp_path: Path) -> LabOnDisk:
    return LabOnDisk(tmp_path)
