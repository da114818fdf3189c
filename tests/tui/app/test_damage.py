"""The screen is told of a damaged journal."""

from __future__ import annotations

from pathlib import Path

from tests.store.planner import Planner
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.app.followers import WatchedExperiment


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    planner = Planner(tmp_path)
    planner.submit("name: grid\ncommand: echo {a}\nparameters: {a: [1, 2]}\n")
    folder = planner.folder
    assert WatchedExperiment(folder).take_snapshot(active=False).damage == ""
    whole = folder.journal.read_bytes()
    folder.journal.write_bytes(whole.replace(b"finished", b"FINISHED", 1))
    said = WatchedExperiment(ExperimentFolder(folder.path)).take_snapshot(active=False).damage
    assert said.startswith(f"{folder.journal}:5: damaged")
    assert "tui-lab check" in said
