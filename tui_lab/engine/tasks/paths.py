"""The folders of a node that tasks run in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tui_lab.protocol.agent import Collect
from tui_lab.store import layout


@dataclass(frozen=True)
class NodePaths:
    """Where tasks run: a node, with the folders there.

    outputs: folder of the folders of tasks and of runs of stages, as in `store.layout`. workdir: what stands for the
    experiment's folder. inherits: tasks get the submitter's environment (on another machine its PATH would mean
    nothing). env, setup, python: the node's own variables, setup lines and interpreter. collect: which of their files
    are fetched, see docs/protocol.md. runs: the runs of its own that the node has, by those of the plan.
    """

    node: str
    outputs: str
    workdir: str
    inherits: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    setup: str | None = None
    collect: Collect | None = None
    python: str | None = None
    runs: Mapping[int, int] = field(default_factory=dict)

    def run(self, one: int) -> int:
        """Return the id of a task, or of a run of a stage, on the node."""
        return self.runs.get(one, one)

    def folder(self, task_id: int, stage: str | None) -> str:
        """Return the folder of a task, or of a run of a stage, on the node."""
        return f"{self.outputs}/{layout.relative_folder(self.run(task_id), stage)}"

    def path(self, written: str) -> str:
        """Return a path of the file as it is on the node."""
        if self.inherits:
            written = str(Path(os.path.expandvars(written)).expanduser())
        return written if written.startswith(("/", "~")) else f"{self.workdir}/{written}"
