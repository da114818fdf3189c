"""The first start: an empty folder, a pasted command, the example."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench, until
from tui_lab.experiment.load import load_text
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.experiment.pane import ExperimentPane
from tui_lab.tui.panes.welcome.command import experiment_text, find_parameters
from tui_lab.tui.panes.welcome.pane import example_folder, running_labs, write_example, write_new
from tui_lab.tui.widgets.dialogs import Confirm
from tui_lab.tui.widgets.menu import Menu

COMMANDS = {
    "python train.py --lr 0.1 --layers 3": (
        "python train.py --lr {lr} --layers {layers}",
        {"lr": "0.1", "layers": "3"},
    ),
    "./main.py 5 relu fast": ("./main.py {arg1} relu fast", {"arg1": "5"}),
    "./fit 1e-3 2": ("./fit {arg1} {arg2}", {"arg1": "1e-3", "arg2": "2"}),
    "python -m pkg.train --lr=0.1 --fast": ("python -m pkg.train --lr={lr} --fast", {"lr": "0.1"}),
    "python train.py optim.lr=0.1 model=big": (
        "python train.py optim.lr={optim_lr} model={model}",
        {"optim_lr": "0.1", "model": "big"},
    ),
    "CUDA_VISIBLE_DEVICES=0 python3.11 a.py --batch-size 32": (
        "CUDA_VISIBLE_DEVICES=0 python3.11 a.py --batch-size {batch_size}",
        {"batch_size": "32"},
    ),
    "sim --shift -5 'a b' --name 'c d'": ("sim --shift {shift} 'a b' --name {name}", {"shift": "-5", "name": "c d"}),
    "sort -n data.txt | head -n 3 > out.txt": (
        "sort -n {n} | head -n {n_2} > out.txt",
        {"n": "data.txt", "n_2": "3"},
    ),
    "fit --in $HOME/x --files *.csv --seed 1": ("fit --in $HOME/x --files *.csv --seed {seed}", {"seed": "1"}),
    "fit 2>&1 3": ("fit 2>&1 {arg1}", {"arg1": "3"}),
    "fit --output out/model.pt --save-dir runs": ("fit --output {output}/model.pt --save-dir {output}", {}),
    "bash -c 'echo 3' 4": ("bash -c 'echo 3' {arg1}", {"arg1": "4"}),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_numbers_and_values_of_options_become_parameters(command: str) -> None:
    found = find_parameters(command)
    assert (found.command, found.parameters) == COMMANDS[command]


@pytest.mark.parametrize(
    "command", [*COMMANDS, "echo", "a: b # c", "fit --x 'it''s: {y}'", "x --a 007 --b yes --c null"]
)
def test_what_becomes_of_a_command_is_a_good_file(command: str) -> None:
    experiment = load_text(experiment_text(command))
    assert experiment.name


def test_values_keep_their_types() -> None:
    found = load_text(experiment_text("x --a 007 --b yes --c null --d 1e-3 --e 2 --f 'g h'"))
    values = {name: domain.listing()[0] for name, domain in found.parameters[0].items()}
    assert values == {"a": "007", "b": "yes", "c": "null", "d": 0.001, "e": 2, "f": "g h"}


def test_the_example_comes_with_the_program(tmp_path: Path) -> None:
    file = write_example(tmp_path)
    assert load_text(file.read_text()).name == "grid"
    assert os.access(file.parent / "main.py", os.X_OK)
    file.write_text("name: mine\n")
    assert write_example(tmp_path).read_text() == "name: mine\n"  # what is there stays
    assert (example_folder() / "main.py").read_bytes() == (file.parent / "main.py").read_bytes()


def test_a_new_file_takes_a_free_name(tmp_path: Path) -> None:
    names = [write_new(tmp_path / "experiment.yaml", "x").name for _ in range(3)]
    assert names == ["experiment.yaml", "experiment-2.yaml", "experiment-3.yaml"]


async def test_an_empty_folder_offers_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = LabApp(Path("lab"))
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.focused is not None)
        assert app.pane is not None and app.pane.NAME == "welcome"
        await pilot.press("e")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment")
        assert app.file == tmp_path / "basic_usage" / "experiment.yaml"


async def test_a_pasted_command_becomes_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = LabApp(Path("lab"))
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.focused is not None)
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: app.screen.query("#preview"))
        await pilot.press(*"fit", "space", "minus", "minus", *"lr", "space", *"0.1", "enter")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment")
        assert "command: fit --lr {lr}" in (tmp_path / "experiment.yaml").read_text()
        pane = app.query_one(ExperimentPane)
        await wait_until(pilot, lambda: "w makes a sweep of it: lr: [0.01, 0.1, 1.0]" in said(pane))
        await pilot.press("w", "w")  # before it is checked again
        await wait_until(pilot, lambda: "  lr: [0.001, 0.01, 0.1, 1.0, 10.0]" in pane.side.text)
        await pilot.press("u", "u")
        await wait_until(pilot, lambda: "  lr: [0.1]" in pane.side.text)
        pane.side.editor.focus()
        await wait_until(pilot, lambda: said(pane).startswith("alt+w makes a sweep"))
        await pilot.press("alt+w")
        await wait_until(pilot, lambda: "  lr: [0.01, 0.1, 1.0]" in pane.side.text and "makes a" not in said(pane))


def said(pane: ExperimentPane) -> str:
    """What is said below the text."""
    line = pane.query_one("#said", Static)
    return str(line.render()) if line.display else ""


def test_the_first_screen(snap_compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_cursor_blink: None) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui_lab.tui.panes.welcome.pane.running_labs", lambda besides: ())
    assert snap_compare(LabApp(Path("lab")), terminal_size=(80, 24))


async def test_a_run_of_this_machine_is_attached_to(
    workbench: Workbench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workbench.write(
        "long.yaml", f"name: long\ncommand: until [ -e {workbench.folder}/go ]; do sleep 0.05; done\n"
    )  # fmt: skip
    workbench("--run", file, "--detach")
    until(workbench.engine_pid)
    assert workbench.lab_path in running_labs(Path("/nowhere"))
    assert workbench.lab_path not in running_labs(workbench.lab_path)
    monkeypatch.setattr("tui_lab.tui.panes.welcome.pane.running_labs", lambda besides: (workbench.lab_path,))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    app = LabApp(Path("lab"))
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.query_one(Menu).option_count == 4)
        await pilot.press("a")
        await wait_until(pilot, lambda: app.current == "long" and app.pane is not None and app.pane.NAME == "tasks")
        assert app.lab_path == workbench.lab_path
    (workbench.folder / "go").touch()


@pytest.mark.parametrize(("key", "wanted"), [("y", True), ("enter", True), ("n", False), ("escape", False)])
async def test_a_question_is_answered_by_a_key(key: str, wanted: bool) -> None:
    app: App[None] = App()
    answers: list[bool | None] = []
    async with app.run_test() as pilot:
        app.push_screen(Confirm("Stop 3 tasks?", "They run.", "Stop"), answers.append)
        await pilot.pause()
        await pilot.press(key)
        await wait_until(pilot, lambda: answers == [wanted])
