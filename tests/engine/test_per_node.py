"""Stages with `per: node`, on one node: what fails, is retried and removed."""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest

from tests.workbench import Workbench, until
from tui_lab.client.submission import Choice, prepare, submit

TEXT = """\
name: e
order: by-stage
stages:
  build:
    command: |
      echo "build {flags}" >> $TRUTH; test {flags} != bad -o -e mended || exit 3
      until test {flags} != slow -o -e go; do sleep 0.05; done; echo {flags} > {output}/program
    per: node
  link: {command: 'echo "link {flags}" >> $TRUTH; cat {build.output}/program > {output}/linked', per: node}
  measure: {command: 'echo "measure {flags}" >> $TRUTH; cat {link.output}/linked', uses: [flags, n]}
parameters: {flags: [bad, good, slow], n: [1, 2]}
metrics: {flag: '(.+)'}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_what_a_node_makes_fails_and_is_retried_as_a_stage_is(workbench: Workbench) -> None:
    file = workbench.write("experiment.yaml", TEXT)
    words = ("--run", file, "--node", "localhost", 2)
    workbench(*words, "--detach")
    until(lambda: "build slow" in workbench.lines(), 60)
    until(lambda: workbench.events("dependency_failed"), 60)
    assert "measure good" not in workbench.lines(), "with by-stage, a node makes all before it measures"
    workbench.kill_engine()
    (workbench.folder / "go").touch()
    said = workbench(*words, code=1).err  # a failed build is tried again
    assert "2 tasks: dependency" in said and "1 run of build: exit 3" in said and "e/0:build@localhost" in said
    lines = workbench.lines()
    assert Counter(lines) == Counter(
        {"build bad": 2, "build good": 1, "build slow": 1, "link good": 1, "link slow": 1}
        | {"measure good": 2, "measure slow": 2}
    )
    assert lines.index("measure good") > max(lines.index("link good"), lines.index("link slow"))
    (workbench.folder / "mended").touch()
    workbench("retry", "e")
    assert Counter(workbench.lines()[len(lines) :]) == {"build bad": 1, "link bad": 1, "measure bad": 2}
    assert {row["state"] for row in workbench.tasks()} == {"done"}
    runs = workbench.table("SELECT stage, tasks, attempts, state, node, flags FROM e_stages ORDER BY run_id")
    assert {run["node"] for run in runs} == {"localhost"} and [run["tasks"] for run in runs] == [2] * 6
    assert {(run["stage"], run["flags"]): run["attempts"] for run in runs}["build", "bad"] == 3
    # One again: what another stage of the node made of it, and the tasks, too.
    before = len(workbench.lines())
    workbench("retry", "e/2:build")
    assert Counter(workbench.lines()[before:]) == {"build good": 1, "link good": 1, "measure good": 2}
    # Nothing is left of one, and a further task needs it.
    [one] = workbench.table("SELECT run_id FROM e_stages WHERE flags = 'slow' AND stage = 'link'")
    shutil.rmtree(workbench.experiment().path / "stages" / "link" / str(one["run_id"]))
    assert "1 run of link would run again: the outputs are gone" in workbench("plan", file, "n=3").out
    before = len(workbench.lines())
    workbench("--run", file, "n=3", "--node", "localhost", 2)
    assert Counter(workbench.lines()[before:]) == Counter(
        {"link slow": 1, "measure bad": 1, "measure good": 1, "measure slow": 1}
    )


def test_a_plan_is_made_again_if_a_node_has_taken_its_ids(workbench: Workbench) -> None:
    text = """\
        name: e
        stages:
          prepare: {command: 'until test -e go; do sleep 0.05; done'}
          build: {command: 'echo "build" >> $TRUTH; echo {flags}', per: node, after: prepare}
          measure: {command: 'echo "measure {n}" >> $TRUTH', after: build}
        parameters: {flags: [a], n: [1, 2]}
        """
    file = workbench.write("experiment.yaml", text)
    workbench("--run", file, "--node", "localhost", 1, "--detach")
    workbench.write("experiment.yaml", text.replace("[1, 2]", "[1, 2, 3]"))
    planned = prepare(workbench.lab, file, Choice())
    (workbench.folder / "go").touch()
    until(lambda: workbench.events("node_runs"), 60)  # with the id of the new task
    [node] = workbench.experiment().state().submissions[-1].nodes
    with workbench.lab.submitting():
        client, [accepted] = submit(workbench.lab, [planned], [node], False, {**os.environ, **workbench.environment})
    assert client is not None and accepted.number == 1
    client.close()
    workbench("--run", file, "--node", "localhost", 1)
    assert sorted(workbench.lines()) == ["build", "measure 1", "measure 2", "measure 3"]
    assert {row["state"] for row in workbench.tasks()} == {"done"}
    plans = {path.stem for path in workbench.experiment().plans.glob("*.parquet")}
    assert plans == {str(event.plan) for event in workbench.experiment().state().submissions}
