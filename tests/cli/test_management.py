"""pause, resume, history, diff, clean: looking after a lab."""

from __future__ import annotations

from pathlib import Path

from tests.cli.bench import Bench

GATED = """
name: gated
command: while [ ! -e {gate} ]; do sleep 0.02; done; echo {x}
parameters: {x: [1, 2, 3, 4]}
defaults: {gate: GATE}
"""

FAILING = """
name: grid
command: echo {x}; test {x} -lt 3
parameters: {x: [1, 2, 3, 4]}
metrics: {v: '(@int@)'}
"""


def counts(bench: Bench, name: str) -> dict[str, int]:
    """Tasks by state, those in no state left out."""
    found = bench("status", name, "--json").json()["experiments"][0]["counts"]
    return {state: count for state, count in found.items() if count}


def test_pause_lets_running_tasks_finish_and_resume_goes_on(bench: Bench) -> None:
    gate = bench.folder / "open"
    bench.write("gated.yaml", GATED.replace("GATE", str(gate)))
    bench.run("gated.yaml", "--detach", "--node", "localhost", "2")
    bench.until(lambda: counts(bench, "gated").get("running") == 2)
    assert "paused" in bench("pause").err
    gate.touch()
    bench.until(lambda: counts(bench, "gated") == {"pending": 2, "done": 2})
    assert "tui-lab resume" in bench("status").out
    bench("resume")
    assert counts(bench, "gated") == {"done": 4}
    assert "nothing" in bench("resume").err


def test_history_and_the_difference_of_two_submissions(bench: Bench) -> None:
    bench.write("grid.yaml", FAILING)
    bench.run("grid.yaml", code=1)
    bench.write("grid.yaml", FAILING.replace("[1, 2, 3, 4]", "[1, 2, 5]"))
    bench.run("grid.yaml", "--new", code=1)
    text = bench("history", env={"COLUMNS": "200"}).out
    assert "grid#1" in text and "grid#2" in text and "--new" in text
    submissions = bench("history", "grid", "--json").json()["submissions"]
    assert [one["asked"] for one in submissions] == [4, 1]
    assert submissions[1]["counts"]["done"] == 2
    difference = bench("diff", "grid#1", "grid#2").out
    assert "-parameters: {x: [1, 2, 3, 4]}" in difference and "+parameters: {x: [1, 2, 5]}" in difference
    assert "2 tasks in both, 1 added, 2 gone" in difference
    assert "no grid#9" in bench("diff", "grid#1", "grid#9", code=2).err
    assert "grid@1 means a version" in bench("diff", "grid@1", "grid@2", code=2).err


def test_the_difference_of_two_tasks(bench: Bench) -> None:
    bench.write("grid.yaml", FAILING)
    bench.run("grid.yaml", code=1)
    text = bench("diff", "0", "grid/3").out
    assert "x          1 -> 4" in text or ("x " in text and "1 -> 4" in text)
    assert "state" in text and "done -> failed" in text
    assert "-1" in text and "+4" in text


def test_clean_says_what_it_would_do_and_does_it(bench: Bench) -> None:
    bench.write("grid.yaml", FAILING)
    bench.run("grid.yaml", code=1)
    folders = [bench.lab / "grid" / "tasks" / "0" / str(task) for task in range(4)]
    told = bench("clean", "grid", "--state", "failed")
    assert "would remove 2 tasks" in told.out and "--yes" in told.out
    assert all(folder.exists() for folder in folders)
    assert "removed 2 tasks" in bench("clean", "grid", "--state", "failed", "--yes").out
    assert [folder.exists() for folder in folders] == [True, True, False, False]
    assert counts(bench, "grid") == {"pending": 2, "done": 2}
    bench.run("grid.yaml", code=1)
    assert counts(bench, "grid") == {"failed": 2, "done": 2}
    assert (folders[2] / "stdout.2").read_text() == "3\n", "numbers of attempts are never used again"


def test_clean_of_files_by_a_metric_and_of_attempts(bench: Bench) -> None:
    bench.write("grid.yaml", FAILING.replace("echo {x};", "echo {x}; echo big > {output}/model.pt;") + "retries: 1\n")
    bench.run("grid.yaml", code=1)
    bench("clean", "grid", "--files", "*.pt", "--where", "v < 2", "--yes")
    models = sorted(path.parent.name for path in (bench.lab / "grid" / "tasks").rglob("model.pt"))
    assert models == ["1", "2", "3"]
    bench("clean", "grid", "--attempts", "--yes")
    outputs = sorted(str(path.relative_to(bench.lab / "grid" / "tasks" / "0")) for path in _outputs(bench))
    assert outputs == ["0/stdout", "1/stdout", "2/stdout.2", "3/stdout.2"]


def _outputs(bench: Bench) -> list[Path]:
    return list((bench.lab / "grid" / "tasks").rglob("stdout*"))


def test_clean_needs_a_condition_and_an_idle_lab(bench: Bench) -> None:
    gate = bench.folder / "open"
    bench.write("gated.yaml", GATED.replace("GATE", str(gate)))
    bench.run("gated.yaml", "--detach")
    assert "say what is to go" in bench("clean", "gated", code=2).err
    assert "a run is going" in bench("clean", "gated", "--state", "done", "--yes", code=2).err
    assert 'no state "fialed"; did you mean "failed"?' in bench("clean", "gated", "--state", "fialed", code=2).err
    gate.touch()
    bench.run("gated.yaml")


def test_a_retry_with_another_timeout(bench: Bench) -> None:
    bench.write("slow.yaml", "command: sleep 0.6; echo {x}\nparameters: {x: [1, 2]}\ntimeout: 200ms\n")
    bench.run("slow.yaml", code=1)
    assert {row["reason"] for row in bench.table("SELECT reason FROM slow_tasks")} == {"timeout"}
    bench("retry", "reason = 'timeout'", "timeout=20s")
    assert counts(bench, "slow") == {"done": 2}
    assert "timeout=soon" in bench("retry", "slow", "timeout=soon", code=2).err
