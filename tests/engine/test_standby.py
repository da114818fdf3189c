"""An engine process that is started before it is known what for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workbench import Workbench, alive, until
from tui_lab.engine.client import EngineClient
from tui_lab.engine.standby import StandbyEngine
from tui_lab.protocol.control import AskStatus
from tui_lab.store.lab import Lab


def test_it_serves_the_lab_that_it_is_given(workbench: Workbench) -> None:
    lab = Lab.create(workbench.lab_path)
    standby = StandbyEngine(lab.path)
    client = EngineClient.start(lab, standby)
    assert client.request(AskStatus()).pid == standby._process.pid
    second = StandbyEngine(lab.path)  # one engine is there: this one is not needed
    again = EngineClient.start(lab, second)
    assert again.request(AskStatus()).pid == standby._process.pid
    second.dismiss()
    assert second._process.wait(60) == 0
    again.close()
    client.close()


@pytest.mark.parametrize("name", ["plain", "with spaces\nand a line", "\N{GRINNING FACE} ü"])
def test_any_path_of_a_lab(tmp_path: Path, name: str) -> None:
    lab = Lab.create(tmp_path / name)
    standby = StandbyEngine(lab.path)
    client = EngineClient.start(lab, standby)
    assert client.request(AskStatus()).pid
    client.close()
    standby._process.terminate()
    standby._process.wait(60)


def test_it_ends_with_nothing_to_do(tmp_path: Path) -> None:
    standby = StandbyEngine(tmp_path / "lab")
    standby.dismiss()
    assert standby._process.wait(60) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.fault
def test_it_ends_with_a_follower_that_dies() -> None:
    code = """
from pathlib import Path
from tui_lab.engine.standby import StandbyEngine
print(StandbyEngine(Path("/nowhere"))._process.pid, flush=True)
input()
"""
    follower = subprocess.Popen([sys.executable, "-c", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert follower.stdout is not None
    pid = int(follower.stdout.readline())
    follower.kill()
    follower.communicate()
    until(lambda: not alive(pid), 60)


def test_a_mistake_in_the_file_leaves_no_engine_and_no_lab(workbench: Workbench) -> None:
    file = workbench.write("bad.yaml", "name: e\ncommand: echo\nparameters: 3\n")
    ended = workbench("--run", file, code=None)
    assert ended.code == 2 and "bad.yaml" in ended.err
    assert not workbench.lab_path.exists()
