"""What is said of reading that takes long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workbench import Workbench
from tui_lab.cli.main import main
from tui_lab.results.terminal.guard import Guarded


class _Passed:
    """A timer whose time is over as soon as it starts."""

    def __init__(self, _: float, function: Callable[[], None]) -> None:
        self.start = function

    def cancel(self) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["plan", "e.yaml"], "e.yaml"),
        (["show", "0"], "e/0"),
        (["logs", "0"], "e/0"),
        (["query", "SELECT 1"], "lab"),
        (["retry"], "lab"),
        (["explore", "--experiment", "e.yaml", "-y"], "e.yaml"),
    ],
)
def test_a_command_that_reads_for_long_says_so(
    words: list[str],
    name: str,
    workbench: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workbench.write("e.yaml", "command: echo {a}\nparameters: {a: [1]}\n")
    workbench("--run", "e.yaml")
    monkeypatch.chdir(workbench.folder)
    monkeypatch.setattr("tui_lab.client.reading.threading.Timer", _Passed)
    monkeypatch.setattr(Guarded, "isatty", lambda _: True)
    assert main([*words, "--lab", str(workbench.lab_path)]) == 0
    assert f"reading {name} …" in capsys.readouterr().err
