"""What each transport has to do for an experiment: as few runs as can show it all."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.contract.places import Place, nothing_is_left
from tests.workbench import until

WORK = """\
def fit(x):
    print("fitted", x)
    return {"y": 2 * x}
"""

TEXT = """\
name: e
setup: 'export SET_UP=$$'
env: {TRUTH: TRUTH_FOLDER}
code: '*.py'
grace: 0.3
stages:
  files:
    command: |
      mkdir {output}/deep; : > {output}/empty; ln -s deep/bytes {output}/link; ln -s /nowhere/at/all {output}/dangling
      head -c 100000 /dev/urandom > {output}/deep/bytes; printf '\\000\\377\\r\\n' >> {output}/deep/bytes
    uses: []
  fit: {function: 'work.py::fit', uses: x}
  last:
    command: |
      echo begun on $TUI_LAB_NODE $SET_UP
      cksum < {files.output}/link; test -e {files.output}/empty && cat {fit.output}/stdout
      case {x} in
        [01]) touch $TRUTH/met-{x}; until test -e $TRUTH/met-0 && test -e $TRUTH/met-1; do sleep 0.02; done ;;
        2) trap 'echo not yet' TERM; touch $TRUTH/deaf; while :; do sleep 0.05; done ;;
      esac
      if test {x} = 1; then exit 3; fi
      echo '{"step": 1, "loss": 0.5}' >> $TUI_LAB_METRICS; printf 'no newline'
      until test {x} != 0 -o -e $TRUTH/go; do sleep 0.02; done
      head -c 20000000 /dev/urandom > {output}/large; echo; cksum < {output}/large
    keep: large
parameters: {x: [0, 1, 2, 3]}
metrics: {y: {stage: fit}}
"""

LATE = """\
name: late
command: "trap '' TERM; echo hanging; while :; do sleep 0.05; done"
timeout: 0.5
grace: 0.2
"""


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return subprocess.run(["cksum"], stdin=file, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_an_experiment_from_its_start_to_its_end(place: Place) -> None:
    workbench, cluster = place.workbench, place.cluster(2, 1)
    workbench.write("work.py", WORK)
    files = [workbench.write("e.yaml", TEXT.replace("TRUTH_FOLDER", str(place.truth))), workbench.write("f.yaml", LATE)]
    run = workbench.start("--run", *files, "--cluster", cluster)

    until(lambda: (place.truth / "deaf").exists() or run.poll() is not None, 60)
    workbench("stop", "e/2")
    until(lambda: workbench.tasks()[2]["state"] == "stopped", 60)
    follower = workbench.start("logs", "-f", "e/0")
    assert follower.stdout is not None and follower.stdout.readline().startswith("begun on")  # while it runs
    metrics = workbench.lab_path / "e" / "tasks" / "0" / "0" / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.read_text().endswith("\n"), 60)
    assert json.loads(metrics.read_text()) == {"step": 1, "loss": 0.5}
    follower.kill()
    samples = workbench.lab_path / "nodes.jsonl"
    until(lambda: samples.exists() and '"load":' in samples.read_text(), 60)
    (place.truth / "go").touch()
    said = run.communicate(timeout=120)
    assert run.returncode == 1, said

    rows = workbench.tasks()
    assert [(row["state"], row["exit_code"]) for row in rows if row["state"] != "stopped"] == [
        *[("done", 0), ("failed", 3), ("done", 0)]
    ]
    assert workbench.table("SELECT x, y FROM e ORDER BY x") == [{"x": 0, "y": 0}, {"x": 3, "y": 6}]
    assert [(one["state"], one["reason"]) for one in workbench.tasks("late")] == [("failed", "timeout")]
    assert "hanging" in workbench.output(0, name="late") and "not yet" in workbench.output(2)

    (made,) = (workbench.experiment().path / "stages" / "files").iterdir()
    assert (made / "empty").stat().st_size == 0 and (made / "deep" / "bytes").stat().st_size == 100_004
    assert str((made / "link").readlink()) == "deep/bytes" and str((made / "dangling").readlink()) == "/nowhere/at/all"
    for task in (0, 3):
        begun, first, fitted, _, last = workbench.output(task).splitlines()
        folder = workbench.experiment().task_folder(task)
        assert begun.split()[2] == rows[task]["node"] and fitted == f"fitted {task}"
        assert first == checksum(made / "deep" / "bytes") and last == checksum(folder / "large")
        assert (folder / "large").stat().st_size == 20_000_000
    assert workbench.output(1).splitlines()[1] == checksum(made / "deep" / "bytes"), "on another node"
    if type(place).kind != "local":
        assert rows[0]["node"] != rows[1]["node"]
    setups = [workbench.output(task).split()[3] for task in range(4)]
    assert len(set(setups)) == len({row["node"] for row in rows}), "one for each node"
    nothing_is_left(place)


WAIT = """\
name: e
command: 'echo {p} >> TRUTH/ran; until test -e TRUTH/go; do sleep 0.02; done'
parameters: {p: [0, 1, 2, 3, 4]}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_workers_die_and_the_engine_is_killed(place: Place) -> None:
    """What ran with a worker runs again, at the cost of a loss if the worker has failed, and at none if the allocation
    was over. What an engine that was killed has left, the next one goes on with, if it can."""
    workbench = place.workbench
    cluster = place.cluster(4, 1) if place.pool else place.cluster(2, 2)
    text = WAIT.replace("TRUTH", str(place.truth))
    workbench.process("--run", workbench.write("e.yaml", text), "--cluster", cluster, "--detach")
    until(lambda: len(workbench.events("started")) == 4, 60)
    nodes = {task["task_id"]: task["node"] for task in workbench.tasks() if task["state"] == "running"}
    hit: dict[str, str] = {}
    for cause, act in place.acts().items():
        node = next(node for node in nodes.values() if node not in hit)
        hit[node] = cause
        act(node)

    def lost() -> dict[tuple[int, int], str]:
        ends = [one for one in workbench.events("finished") if one["state"] == "lost"]
        return {(one["task"], one["attempt"]): one["reason"] for one in ends}

    causes = {task: hit[node] for task, node in nodes.items() if node in hit and place.loses}
    until(lambda: lost().keys() >= {(task, 1) for task in causes}, 90)
    assert {task: lost()[task, 1] for task in causes} == causes
    if place.pool:
        until(lambda: Counter(task["state"] for task in workbench.tasks())["running"] == 4, 60)  # in new allocations

    workbench.kill_engine()
    until(lambda: workbench.engine_pid() is None)
    lost_before = lost()  # with the fifth, where it was assigned to one of the nodes
    workbench.process("resume", "e", "--detach")
    (place.truth / "go").touch()
    until(lambda: workbench.events("ended"), 90)
    tasks = workbench.tasks()
    assert Counter(task["state"] for task in tasks) == {"done": 5}
    # A task that was lost may have been handed to a node that was hit next.
    losses = Counter(task for task, _ in lost())
    if place.survives:
        assert lost() == lost_before
        assert [task["attempts"] for task in tasks] == [1 + losses[task] for task in range(5)]
    again = [one["again"] for one in workbench.events("finished") if one["state"] == "lost"]
    spent = list(workbench.experiment().state().columns["spent"])
    assert sum(again) == sum(spent) == list(lost().values()).count("node-lost")
    begun = {(one["task"], one["attempt"]) for one in workbench.events("started")}
    # What began and ended while no engine listened is reported once, by its end.
    begun |= {(one["task"], one["attempt"]) for one in workbench.events("finished") if one["state"] == "done"}
    assert Counter((place.truth / "ran").read_text().split()) == Counter(str(task) for task, _ in begun), "each once"
    nothing_is_left(place)
