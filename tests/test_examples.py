"""The examples run as they stand, in a copy."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.workbench import REPOSITORY, Workbench


@pytest.mark.slow
def test_python_functions(workbench: Workbench) -> None:
    shutil.copytree(REPOSITORY / "examples" / "python_functions", workbench.folder, dirs_exist_ok=True)
    run = workbench.run("experiment.yaml", "chain.yaml")
    assert "functions: ✓ 21 done" in run.err and "chain: ✓ 8 done" in run.err
    assert "highest acc" in run.err and "lowest error" in run.err
    columns = "max(acc) < 1 AS low, min(weights) AS weights, count(DISTINCT seed) AS seeds"
    assert workbench.table(f"SELECT {columns} FROM functions") == [{"low": True, "weights": 4096, "seeds": 3}]
    assert workbench.table("SELECT count(*) AS n, count(loss) AS losses FROM functions_steps") == [
        {"n": 105, "losses": 105}
    ]
    rows = workbench.table('SELECT task_id, model, error, fit_time, experiment, "data.n" AS n FROM chain')
    assert len(rows) == len({row["error"] for row in rows}) == 8
    assert all(0 <= row["fit_time"] < 5 and row["experiment"] == row["task_id"] for row in rows)
    folder = workbench.experiment("chain").task_folder(0)
    config = json.loads((folder / "config.json").read_text())
    assert config == {
        "model": "mean",
        "data": {"n": 10, "noise": 0.5},
        "experiment_id": 0,
        "run_id": 0,
        "out_path": str(folder),
    }
    # Help from the signature, and the same checks on the command line.
    said = workbench("--run", "experiment.yaml", "--help").out
    assert "Train, and return what came of it." in said
    assert "units of each layer" in said and "Literal['relu', 'tanh'] = 'relu'" in said and "[64, 64]" in said
    err = workbench.run("experiment.yaml", "opt.lr=high", code=2).err
    assert err.startswith('opt.lr="high": "high" is not a number; train.py::fit has opt: Adam | Sgd')


@pytest.mark.slow
def test_pipeline(workbench: Workbench) -> None:
    shutil.copytree(REPOSITORY / "examples" / "pipeline", workbench.folder, dirs_exist_ok=True)
    run = workbench.run("experiment.yaml", "functions.yaml")
    assert "pipeline: ✓ 48 done" in run.err and "functions: ✓ 16 done" in run.err
    runs = workbench.table(
        "SELECT stage, count(*) AS runs, min(tasks) AS tasks FROM pipeline_stages GROUP BY 1 ORDER BY 1"
    )
    assert runs == [{"stage": "fit", "runs": 24, "tasks": 2}, {"stage": "prepare", "runs": 8, "tasks": 6}]
    worst = "max(abs(error - fit_error)) FILTER (\"on\" = 'seen')"
    assert workbench.table(f"SELECT {worst} < 1e-9 AS same FROM pipeline") == [{"same": True}]
    assert workbench.table(f"SELECT {worst} < 1e-9 AS same FROM functions") == [{"same": True}]
    means = (
        'SELECT abs(mean(error) - any_value(mean_error)) < 1e-9 AS same FROM functions GROUP BY points, degree, "on"'
    )
    assert workbench.table(means) == [{"same": True}] * 8
    (fits,) = (
        one
        for one in workbench("stats", "pipeline", "--metric", "fit_error", "--json").json()["settings"]
        if (one["points"], one["degree"], one["on"]) == (20, 1, "seen")
    )
    assert fits["n"] == 4


def test_live_curves(workbench: Workbench) -> None:
    shutil.copytree(REPOSITORY / "examples" / "live_curves", workbench.folder, dirs_exist_ok=True)
    workbench.run("experiment.yaml", "pause=0", code=1)
    states = workbench.table(
        "SELECT lr > 2 AS high, state, count(*) AS n FROM train_tasks WHERE pause = 0 GROUP BY ALL ORDER BY 1"
    )
    assert states == [{"high": False, "state": "done", "n": 18}, {"high": True, "state": "failed", "n": 6}]
    assert workbench.table("SELECT count(*) AS n FROM train_steps WHERE lr < 2") == [{"n": 18 * 60}]
