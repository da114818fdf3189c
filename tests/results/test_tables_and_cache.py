"""The tables of an experiment, and the cache that knows when it is old."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import stat
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workbench import alive, until
from tui_lab.experiment.facts import FACTS
from tui_lab.results import cache
from tui_lab.results.export.output import WRITERS
from tui_lab.results.extraction.sources.run import TIMEOUT
from tui_lab.results.sql.database import query
from tui_lab.results.tables import Results, refresh
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.naming import column_names

SWEEP = """command: ./run {lr} {act}
parameters: {lr: [0.1, 0.2], act: [relu, tanh]}
metrics:
  acc: {pattern: 'acc=(@float@)', goal: max}
  steps: {pattern: 'step', take: count}
"""


@pytest.fixture
def grid(disk: Any) -> ExperimentFolder:
    folder: ExperimentFolder = disk.submit(SWEEP)
    disk.run_all(folder, lambda task: f"step\nstep\nacc={task / 10}\n")
    return folder


def metrics(folder: ExperimentFolder, text: str) -> None:
    """What `parse` does: other metrics for the outputs that are there."""
    before = (folder.plans / f"{folder.plan().number}.yaml").read_text()
    folder.metrics_file.write_text(before.split("metrics:")[0] + "metrics:\n" + text)


def test_columns_types_and_order(grid: ExperimentFolder) -> None:
    table = refresh(grid).tasks
    assert table.columns == ["lr", "act", "acc", "steps", *FACTS]
    assert table.select("lr", "act", "acc", "steps", "task_id", "ended_at").dtypes == [
        pl.Float64(), pl.String(), pl.Float64(), pl.Int64(), pl.Int64(), pl.Datetime("us", "UTC"),
    ]  # fmt: skip
    assert table["acc"].to_list() == [0.0, 0.1, 0.2, 0.3]
    assert table["steps"].to_list() == [2, 2, 2, 2]


def test_the_grid_holds_done_tasks_of_the_plan(disk: Any) -> None:
    folder = disk.submit(SWEEP)
    disk.run(folder, 0, "acc=1")
    disk.run(folder, 1, "acc=2", state="failed", reason="exit")
    disk.start(folder, 2, {"stdout": "acc=3\n"})
    results = refresh(folder)
    assert results.grid["task_id"].to_list() == [0]
    assert results.tasks["acc"].to_list() == [1.0, 2.0, None, None]
    assert results.tasks["state"].to_list() == ["done", "failed", "running", "pending"]
    assert refresh(folder, live=True).tasks["acc"].to_list() == [1.0, 2.0, 3.0, None]
    assert refresh(folder).read == 0  # what was read live is not in the cache
    # A smaller plan: the task is still there, and no longer in the grid.
    disk.submit(SWEEP.replace("[0.1, 0.2]", "[0.2]"))
    results = refresh(disk.lab.experiment("grid"))
    assert results.grid.height == 0
    assert results.tasks.height == 4
    assert results.tasks["planned"].to_list() == [False, False, True, True]


def test_outputs_are_read_once(disk: Any) -> None:
    folder = disk.submit(SWEEP)
    disk.run(folder, 0, "acc=0")
    assert refresh(folder).read == 1
    disk.run(folder, 1, "acc=1")
    disk.run(folder, 2, "acc=2")
    assert refresh(folder).read == 2
    again = refresh(disk.lab.experiment("grid"))
    assert again.read == 0
    assert again.tasks["acc"].to_list() == [0.0, 1.0, 2.0, None]
    assert refresh(folder, force=True).read == 3


def test_a_new_attempt_is_read(disk: Any) -> None:
    folder = disk.submit(SWEEP)
    disk.run(folder, 0, "acc=1", state="failed", reason="exit", again=1.0)
    assert refresh(folder).tasks["acc"][0] == 1.0
    disk.run(folder, 0, "acc=2")
    results = refresh(folder)
    assert results.read == 1
    assert results.tasks["acc"][0] == 2.0
    assert results.tasks["attempt"][0] == 2


def test_changed_patterns_are_read_again_and_others_are_not(grid: ExperimentFolder) -> None:
    refresh(grid)
    (grid.task_folder(0) / "stdout").write_text("step\nacc=7\n")
    metrics(grid, "  acc: {pattern: 'acc=(@float@)', goal: max}\n  n: {pattern: step, take: count}\n")
    results = refresh(grid)
    assert list(results.metrics) == ["acc", "n"]
    assert results.tasks["acc"][0] == 0.0  # from the cache
    assert results.tasks["n"].to_list() == [1, 2, 2, 2]
    metrics(grid, "  acc: {pattern: 'acc=(@float@)', goal: min}\n")
    assert refresh(grid).read == 0  # what is better changes no value
    metrics(grid, "  acc: {pattern: 'acc=(@float@)', take: first}\n")
    results = refresh(grid)
    assert results.read == 4
    assert results.tasks["acc"][0] == 7.0


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "other", "folder", "version"])
def test_a_damaged_cache_is_built_again(grid: ExperimentFolder, damage: str) -> None:
    expected = refresh(grid).tasks
    file = grid.path / "results.parquet"
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-200])
    elif damage == "other":
        pl.DataFrame({"task_id": [0]}).write_parquet(file)
    elif damage == "version":
        frame, about = cache.read(file) or (None, None)
        assert frame is not None
        assert about is not None
        frame.write_parquet(file, metadata={"tui_lab": '{"format": 999}'})
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(b"" if damage == "empty" else b"hello")
    results = refresh(grid)
    assert results.read == 4
    assert results.tasks.equals(expected)
    assert refresh(grid).read == (4 if damage == "folder" else 0)


def test_the_cache_is_a_table_for_others(grid: ExperimentFolder) -> None:
    results = refresh(grid)
    assert pl.read_parquet(grid.path / "results.parquet").equals(results.tasks)
    assert not list(grid.path.glob("*.partial")) + list(grid.path.glob(".*.partial"))


def hold(path: str, ready: Any, go: Any) -> None:
    with cache.writing(Path(path)) as may_write:
        ready.put(may_write)
        go.wait(30)


def test_one_process_writes_and_others_do_without(grid: ExperimentFolder) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Queue(), context.Event()
    other = context.Process(target=hold, args=(str(grid.path), ready, go))
    other.start()
    try:
        assert ready.get(timeout=30) is True
        results = refresh(grid)
        assert results.tasks["acc"].to_list() == [0.0, 0.1, 0.2, 0.3]
        assert not (grid.path / "results.parquet").exists()
    finally:
        go.set()
        other.join()
    refresh(grid)
    assert (grid.path / "results.parquet").exists()


def test_two_threads_of_one_process_do_not_both_write(grid: ExperimentFolder) -> None:
    with cache.writing(grid.path) as first, cache.writing(grid.path) as second:
        assert (first, second) == (True, False)
    with cache.writing(grid.path) as third:
        assert third


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_lab_that_may_not_be_written(grid: ExperimentFolder) -> None:
    grid.path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert refresh(grid).tasks["acc"].to_list() == [0.0, 0.1, 0.2, 0.3]
    finally:
        grid.path.chmod(0o755)


def test_a_cache_that_cannot_be_written_is_no_error(grid: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    assert refresh(grid).tasks["acc"].to_list() == [0.0, 0.1, 0.2, 0.3]


def test_a_file_that_comes_later_is_read_then(disk: Any) -> None:
    folder = disk.submit("command: ./run\nmetrics: {v: {json: r.json, path: $.v}, w: 'w=(@int@)'}\n")
    disk.run(folder, 0, "w=1")
    assert refresh(folder).tasks["v"].to_list() == [None]
    (folder.task_folder(0) / "r.json").write_text('{"v": 3}')
    assert refresh(folder).tasks["v"].to_list() == [3]
    assert refresh(folder).read == 0


def test_values_of_another_kind_change_the_column(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {v: {json: stdout, path: $.v}}\n")
    disk.run(folder, 0, '{"v": 1}')
    assert refresh(folder).tasks["v"].dtype == pl.Int64
    disk.run(folder, 1, '{"v": 2.5}')
    assert refresh(folder).tasks["v"].to_list() == [1.0, 2.5, None]
    disk.run(folder, 2, '{"v": "x"}')
    assert refresh(folder).tasks["v"].to_list() == ["1", "2.5", '"x"']
    assert refresh(folder).tasks["v"].to_list() == ["1", "2.5", '"x"']


def test_computed_metrics(disk: Any) -> None:
    folder = disk.submit(
        """command: ./run {n}
parameters: {n: [1, 2]}
metrics:
  half: {sql: ratio / 2}
  size: 'size=(@int@)'
  ratio: {sql: size / n + duration}
  loop: {sql: loop2}
  loop2: {sql: loop}
  wrong: {sql: "cast('x' || size as int)"}
"""
    )
    disk.run(folder, 0, "size=10")
    results = refresh(folder)
    assert results.tasks["ratio"].to_list() == [11.5, None]
    assert results.tasks["half"].to_list() == [5.75, None]
    warnings = {hint.metric: str(hint) for hint in results.warnings}
    assert "'x10'" in warnings["wrong"]
    assert set(warnings) == {"loop", "loop2", "wrong"}


def test_names_that_meet() -> None:
    assert column_names(["lr", "Loss"], ["loss", "node", "x"], ["task_id", "node"]) == (
        {"Loss": "in_Loss"},
        {"loss": "out_loss", "node": "out_node", "x": "x"},
    )
    assert column_names(["a", "in_a"], ["A"], []) == ({"a": "in_a_"}, {"A": "out_A"})
    assert column_names(["seed"], ["x"], ["task_id"]) == ({}, {"x": "x"})


def test_colliding_names_in_tables(disk: Any) -> None:
    folder = disk.submit(
        "command: ./run {loss}\nparameters: {loss: [mse], node: [a]}\n"
        "metrics: {Loss: 'l=(@float@)', twice: {sql: 2 * loss}}\n"
    )
    disk.run(folder, 0, "l=0.5")
    table = refresh(folder).tasks
    assert table.columns[:4] == ["in_loss", "in_node", "out_Loss", "twice"]
    assert table.row(0)[:4] == ("mse", "a", 0.5, 1.0)
    assert table["node"].to_list() == ["here"]


def test_metrics_of_commands(disk: Any) -> None:
    folder = disk.submit(
        """command: ./run {n}
parameters: {n: [1, "two words"]}
metrics:
  size: {run: "wc -c < data.bin; echo n={n} of {task_id}", pattern: '^(@int@)$'}
  name: {run: "echo n={n}", pattern: 'n=(.*)'}
  broken: {run: "echo oh no >&2; exit 3", pattern: 'n=(.*)'}
  loss: {run: "echo >>runs; cat log", pattern: '(?P<step>@int@): (?P<value>@float@)', take: all}
  least: {run: "echo >>runs; cat log", pattern: ': (@float@)', take: min}
"""
    )
    log = "10: 4.5\n20: {}.5\n30: 1,5\n40: 3\n"
    disk.run_all(folder, lambda task: {"stdout": "", "data.bin": b"x" * (5 + task), "log": log.format(task)})
    results = refresh(folder)
    assert results.tasks["size"].to_list() == [5, 6]
    assert results.tasks["name"].to_list() == ["1", "two words"]
    assert results.tasks["broken"].to_list() == [None, None]
    assert results.tasks.select("loss", "least").rows() == [(3.0, None)] * 2
    assert refresh(folder).read == 0
    (hint,) = [hint for hint in results.warnings if hint.metric == "broken"]
    assert "the command ended with 3: oh no" in str(hint)

    # All values of `take: all`, as of other sources, from the same run of the command.
    wanted = [(n, step, loss) for n in range(2) for step, loss in ((10, 4.5), (20, n + 0.5), (30, None), (40, 3.0))]
    for _ in range(2):
        assert results.steps.select("task_id", "step", "loss").rows() == wanted
        assert 'grid_steps.loss: 2 of 8 values were not read as numbers (first: "1,5"' in str(
            [*map(str, results.all_warnings)]
        )
        (folder.path / "results.steps.parquet").unlink()
        results = refresh(folder)
    runs = folder.path / "tasks" / "0" / "0" / "runs"
    assert runs.read_text() == "\n"
    (kept,) = folder.path.glob("results.run.*.jsonl")
    kept.unlink()
    assert results.steps.height == 8
    assert runs.read_text() == "\n\n", "what was kept is gone"
    assert refresh(folder, force=True).steps.height == 8
    assert runs.read_text() == "\n" * 3


def test_commands_that_leave_something_behind(disk: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    folder = disk.submit(
        f"""command: ./run
metrics:
  size: {{run: "sleep 1000 & echo $! >{pid}; (sleep 0.1; echo 6) & echo 5", pattern: '(@int@)', take: last}}
  late: {{run: "exec >&- 2>&-; sleep 0.1; exit 3", pattern: '(@int@)'}}
"""
    )
    disk.run_all(folder, lambda task: {"stdout": ""})
    began = time.monotonic()
    results = refresh(folder)
    assert time.monotonic() - began < TIMEOUT / 2
    assert results.tasks["size"].to_list() == [6]
    assert "the command ended with 3" in str(results.warnings)
    until(lambda: not alive(int(pid.read_text())))


def test_what_commands_print_that_cannot_be_read(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.results.extraction.sources.run.LARGEST", 1 << 20)
    folder = disk.submit(
        """command: ./run {n}
parameters: {n: [1, 2]}
metrics:
  size: {run: "echo size: 1,23{n}", pattern: 'size: (@int@)'}
  some: {run: "echo {n}.5 | sed s/2.5/x/", pattern: '^(@float@)$'}
  endless: {run: "yes 5", pattern: '(@int@)'}
  quick: {run: "echo 7; sleep 100 >/dev/null 2>&1 &", pattern: '(@int@)'}
"""
    )
    disk.run_all(folder, lambda task: "")
    results = refresh(folder)
    assert results.tasks["quick"].to_list() == [7, 7], "what a command leaves behind is not waited for"
    assert [str(warning) for warning in results.warnings] == [
        (
            'metric "size": no value in any of 2 finished tasks; '
            'task 0: it matched "1,231", not an integer: write thousands: ","'
        ),
        "some: in 1 of 2 done tasks",
        'metric "endless": no value in any of 2 finished tasks; task 0: the command printed more than 1 MiB',
    ]


def test_progress_is_told(grid: ExperimentFolder) -> None:
    seen: list[tuple[int, int]] = []
    refresh(grid, progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(4, 4)]


def test_an_experiment_without_metrics_or_tasks_done(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2]}\n")
    results = refresh(folder)
    assert results.grid.height == 0
    assert results.tasks.height == 2
    assert results.steps.height == results.rows.height == 0
    assert results.warnings == ()


# --- Hints


def hint(results: Results) -> str:
    (found,) = results.warnings
    return str(found)


@pytest.mark.parametrize(
    ("metric", "output", "words"),
    [
        ("'Acuracy: (@float@)'", "Epoch 1\nTest Accuracy: 0.5\nbye\n",
        'the nearest line is "Test Accuracy: 0.5"'),
        ("'accuracy: (@float@)'", "Test Accuracy: 0.5\n", "begin it with (?i)"),
        ("'Test acc:(@float@)'", "Test acc: 0.5\n", 'spaces differ from "Test acc: 0.5": write them as they are there'),
        ("'Test acc: (@float@)'", "Test  acc : 0.5\n", 'only the spaces differ from "Test  acc : 0.5"'),
        ("'Test acc: +(@float@)'", "Test  acc:0.5\n", '0.5": Test\\s*acc:\\s*(@float@) finds it'),
        ("'test acc: (@float@)'", "Test  acc:0.5\n", 'only spaces and case differ from "Test  acc:0.5"'),
        ("'^acc +(@float@)$'", "\tacc\t0.5\n", '"acc\N{REPLACEMENT CHARACTER}0.5" (with a tab)'),
        ("'acc[ ]*= (@float@)'", "acc=\N{NO-BREAK SPACE}0.5\n", "(with a no-break space)"),
        ("'acc = (@float@)'", "bcc=0.5\n", 'line is "bcc=0.5"'),
        ("'v=(@int@)'", {"stdout": "x", "stderr": "v=3"}, "stderr matches: write `from: stderr`"),
        ("{pattern: 'v=(@int@)', from: stderr}", {"stdout": "v=3", "stderr": ""}, "stdout matches"),
        ("'v=(@int@)'", "", "stdout of task 0 is empty"),
        ("'v=(@int@)'", "x" * 9_000_000 + "\nthe end\n", 'the last line is "the end"'),
        ("{pattern: 'v=(\\S+)', type: float}", "v=fast", 'it matched "fast", not a number'),
        ("{pattern: 'v=(@quantity@)', unit: MB}", "v=3 ms", 'it matched "3 ms", not a number in MB'),
        ("{pattern: 'v=(@int@)', from: out.log}", {"stdout": "", "out.lgo": ""}, 'did you mean "out.lgo"?'),
        ("{json: r.json, path: $.a}", {"stdout": "", "r.json": '{"b": 1}'},
        "path $.a leads nowhere in r.json"),
        ("{json: r.json, path: $.a}", {"stdout": "", "r.json": "oops"}, "r.json of task 0: no JSON in it"),
        ("{csv: r.csv, column: los}", {"stdout": "", "r.csv": "loss\n1"}, 'did you mean "loss"?'),
    ],
)  # fmt: skip
def test_a_metric_that_is_nowhere_gets_a_hint(disk: Any, metric: str, output: Any, words: str) -> None:
    folder = disk.submit(f"command: ./run {{n}}\nparameters: {{n: [1, 2]}}\nmetrics:\n  m: {metric}\n")
    disk.run_all(folder, lambda _: output)
    assert words in hint(refresh(folder))
    assert words in hint(refresh(folder))  # from the cache, too


def test_no_hint_while_there_is_nothing_to_tell(disk: Any) -> None:
    folder = disk.submit(
        "command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {m: 'v=(@int@)', c: {pattern: z, take: count}}\n"
    )
    assert refresh(folder).warnings == ()
    disk.run(folder, 0, "x", state="failed", reason="exit")
    assert refresh(folder).warnings == ()  # the failure says it
    disk.run(folder, 1, "v=1")
    assert refresh(folder).warnings == ()
    assert refresh(folder).matched == {"m": 1, "c": 0}


def test_a_metric_that_some_done_tasks_lack_is_told(disk: Any) -> None:
    folder = disk.submit("command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {m: 'v=(@float@)'}\n")
    for task, text in enumerate(("v=1", "v=1,234", "v=2")):
        disk.run(folder, task, text)
    assert refresh(folder).matched == {"m": 2}
    told = 'm: in 2 of 3 done tasks; task 1: it matched "1,234", not a number: write thousands: ","'
    assert [str(warning) for warning in refresh(folder).warnings] == [told]
    disk.submit("command: ./other {n}\nparameters: {n: [1, 2]}\nmetrics: {m: 'v=(@float@)'}\n")
    assert refresh(folder).warnings == (), "the plan has no done task yet"
    disk.run(folder, 3, "v=1")
    assert refresh(folder).warnings == (), "tasks of earlier plans don't count"
    disk.run(folder, 4, "v=1,234")
    assert [str(warning) for warning in refresh(folder).warnings] == [
        told.replace("2 of 3", "1 of 2").replace("task 1", "task 4")
    ]
    assert refresh(folder).matched == {"m": 1}
    folder = disk.submit(
        "command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {j: {json: r, path: $.a}}\n", "other"
    )
    for task in range(3):
        disk.run(folder, task, {"r": '{"a": 1}'} if task else {})
    assert str(refresh(folder).warnings[0]) == "j: in 2 of 3 done tasks; r is missing; task 0 wrote no file"


def test_several_units_in_a_column(disk: Any) -> None:
    """What they have in common is the unit of all; where there is nothing, that is told."""
    spec = "command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {m: {pattern: 'v=(@quantity@)', goal: max}}\n"
    folder = disk.submit(spec)
    disk.run(folder, 0, "v=950 Mfoo/s")
    assert refresh(folder).grid["m"].to_list() == [950.0]
    disk.run(folder, 1, "v=3.4 Gfoo/s")
    disk.run(folder, 2, "v=5 foo/s")
    for _ in range(2):  # from the outputs, and from the cache
        results = refresh(folder)
        assert results.grid["m"].to_list() == [950e6, 3.4e9, 5.0]
        assert results.warnings == ()
    other = disk.submit(spec, "other")
    for task, text in enumerate(("v=3 MB", "v=4 s", "v=5 kB")):
        disk.run(other, task, text)
    assert "several units: MB (1), s (1), kB (1); give its unit" in str(refresh(other).warnings[0])


def test_integers_of_any_size_stay_what_they_are(disk: Any) -> None:
    spec = "command: ./run {n}\nparameters: {n: [1, 2, 3]}\nmetrics: {m: 'v=(@int@)', j: {json: r, path: $.a}}\n"
    for name, values in (("u", [2**64 - 1, 1, 0]), ("h", [-(10**37), 2**63, 1]), ("t", [10**60, 10**60 + 1, -1])):
        folder = disk.submit(spec, name)
        for task, number in enumerate(values):
            disk.run(folder, task, {"stdout": f"v={number}", "r": f'{{"a": {number}}}'})
            refresh(folder)  # one by one: columns become wider
        for _ in range(2):
            grid = refresh(folder).grid
            assert [int(number) for number in grid["m"]] == values
            assert [int(number) for number in grid["j"]] == values
        found = query(disk.lab, f'SELECT m::VARCHAR AS m FROM "{name}" ORDER BY task_id')
        assert found["m"].to_list() == list(map(str, values))
        written = io.BytesIO()
        WRITERS["json"](query(disk.lab, f'SELECT m FROM "{name}" ORDER BY task_id'), written)
        assert [int(row["m"]) for row in json.loads(written.getvalue())] == values


@pytest.mark.parametrize(
    ("values", "unit", "told"),
    [
        (("95%", "0.97"), None, "its values are in several units: % (1), none (1)"),
        (("900", "1.5 ms"), None, "its values are in several units"),
        (("900", "1.5 Mfoo/s", "2 Gfoo/s"), None, "its values are in several units"),
        (("95%", "0.97"), "1", ""),
        (("0", "1.5 ms"), None, ""),
        (("nan", "1.5 ms"), None, ""),
        (("900", "1.5k"), None, ""),
    ],
)
def test_bare_numbers_beside_a_unit_that_no_one_gave_are_told(
    disk: Any, values: tuple[str, ...], unit: str | None, told: str
) -> None:
    given = f", unit: '{unit}'" if unit else ""
    numbers = list(range(len(values)))
    folder = disk.submit(
        f"command: run {{n}}\nparameters: {{n: {numbers}}}\nmetrics: {{v: {{pattern: 'v (@quantity@)'{given}}}}}\n"
    )
    for task, value in enumerate(values):
        disk.run(folder, task, f"v {value}\n")
    found = " ".join(map(str, refresh(folder).all_warnings))
    assert told in found if told else not found
