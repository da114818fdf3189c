"""The code that calls functions, as it is sent: it runs on every Python from 3.6 on, without anything installed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.agent.talk import interpreters
from tui_lab.engine.tasks.function_call import FunctionCall
from tui_lab.experiment.load import load

MODULE = """\
import enum, random, sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union
import tui_lab

class Mode(enum.Enum):
    FAST = "f"

def fit(x: float, mode: Mode, hidden: List[int], pair: Tuple[int, float] = (1, 2.0), place: Optional[Path] = None,
        either: "Mode | int | str | None" = 1, unknown: "Nowhere" = None, more: Dict[str, float] = {}, seed: int = 0):
    tui_lab.log(step=0, x=x)
    if x > 5:
        raise KeyError("large")
    assert sys.argv == ["train.py"] and __name__ == "train" and type(pair) is tuple
    return {"x": x, "mode": mode, "first": hidden[0], "pair": list(pair), "place": place, "seed": seed,
            "either": either, "more": more["a"], "random": random.random()}
"""


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_it_calls_and_reports_on_every_python(python: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(MODULE)
    values: dict[str, Any] = {"x": 1, "mode": "f", "hidden": [3], "pair": [4, 5], "place": "p", "either": "s"}
    experiment = load(
        tmp_path / "e.yaml", f"function: train.py::fit\npython: {python}\ndefaults: {json.dumps(values)}\n"
    )
    call = FunctionCall(experiment)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    task = {"output": str(tmp_path), "task_id": "0", "repeat": "0", "seed": "7", "attempt": "1", "slot": "0"}
    task |= {"experiment": "e", "node": "n", "metrics": str(tmp_path / "metrics.jsonl")}
    environment |= {f"TUI_LAB_{name.upper()}": value for name, value in task.items()}
    environment |= call.variables(str(tmp_path))

    def run(parameters: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        given = {**environment, "TUI_LAB_PARAMS": json.dumps(parameters)}
        # -I: without what is installed for the user, and without the folder of this test.
        command = call.script(None).replace(" -c ", " -I -c ")
        return subprocess.run(["sh", "-c", command], env=given, capture_output=True, text=True, check=False)

    done = run({**values, "more.a": 2})
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "returned.json").read_text())["metrics"]
    assert 0 <= found.pop("random") < 1
    assert found == {"x": 1.0, "mode": "f", "first": 3, "place": "p", "seed": 7, "either": "s", "more": 2.0}
    steps = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in steps] == [
        {"step": 0, "x": 1.0},
        {"pair": 4, "step": 0},
        {"pair": 5.0, "step": 1},
    ]
    failed = run({**values, "x": 9, "more.a": 2})
    assert failed.returncode == 1 and failed.stderr.splitlines()[-1] == "KeyError: 'large'"
    assert json.loads((tmp_path / "exception.json").read_text()) == {
        "type": "KeyError",
        "message": "'large'",
        "at": "train.py:13 in fit",
    }
    assert not (tmp_path / "returned.json").exists()
    unfit = run({**values, "hidden": ["a"]})
    assert unfit.stderr.endswith('TypeError: train.py::fit: hidden: "a" is not a whole number\n')
