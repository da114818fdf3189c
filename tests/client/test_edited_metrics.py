"""Metrics that a file gets after its experiment has run."""

from __future__ import annotations

from pathlib import Path

from tests.results.conftest import LabOnDisk
from tui_lab.client.edited_metrics import edited_metrics, read_edited
from tui_lab.results.tables import refresh
from tui_lab.store.returned_names import ReturnedNames
from tui_lab.tui.app.followers import WatchedExperiment


def test_outputs_are_read_by_the_metrics_of_the_present_file(tmp_path: Path) -> None:
    disk = LabOnDisk(tmp_path)
    text = "command: ./run {n}\nparameters: {n: [1, 2, 3]}\n"
    folder = disk.submit(text)
    file = disk.sources / "grid.yaml"
    for task in (0, 1):
        disk.run(folder, task, f"loss: 0.{task + 1}\n" if task else "nothing\n")
    watched = WatchedExperiment(folder)
    before = watched.take_snapshot(active=False).revision
    assert read_edited(disk.lab, file) is None, "nothing has changed"

    file.write_text(f"name: grid\n{text}metrics:\n  loss: {{pattern: 'loss: (@float@)', goal: min}}\n")
    said = read_edited(disk.lab, file)
    assert said == "grid: the outputs of 2 tasks were read again: loss in 1"
    assert refresh(folder).tasks["loss"].to_list() == [None, 0.2, None]
    assert watched.take_snapshot(active=False).revision != before, "the panes of a screen read them anew"
    assert watched.take_snapshot(active=False) is watched.take_snapshot(active=False)
    assert edited_metrics(folder) is None and read_edited(disk.lab, file) is None

    copy = disk.sources / "copy.yaml"
    copy.write_text(file.read_text().replace("loss:", "other:"))
    assert read_edited(disk.lab, copy) is None, "another file of that name is another experiment"


def test_what_a_function_returned_is_no_edit_of_its_file(tmp_path: Path) -> None:
    disk = LabOnDisk(tmp_path)
    (tmp_path / "fit.py").write_text("def fit(n):\n    return {'acc': n}\n")
    folder = disk.submit("function: fit.py::fit\nparameters: {n: [1, 2]}\n")
    ReturnedNames(metrics=["acc"]).write(folder.path)
    assert "acc" in folder.spec().metrics
    assert edited_metrics(folder) is None
