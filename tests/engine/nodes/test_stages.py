"""Stages on machines that don't see the lab's folder: outputs are brought to what comes after."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import leftovers, remove_truth, table, truth_folder, write
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]

TEXT = """\
name: e
stages:
  prepare:
    command:
      - echo prepare >> TRUTH_FOLDER/ran; mkdir {output}/deep
      - seq 100000 > {output}/deep/data; ln -s data {output}/deep/newest
      - cp own {output}/own; echo waste > {output}/waste
    inputs: own
    keep: {globs: waste, most: 1K}
    outs: ['deep/newest', own]
    uses: []
  train:
    command: |
      echo train >> TRUTH_FOLDER/ran
      while test $(grep -c train TRUTH_FOLDER/ran) -lt 2; do sleep 0.05; done  # one on each node
      if test "$(ls {prepare.output})" != "$(printf 'deep\\nown')"; then ls {prepare.output} >&2; exit 1; fi
      tail -n {n} {prepare.output}/deep/newest > {output}/model
  test: {command: 'wc -l < {train.output}/model; cat {prepare.output}/own; echo $TUI_LAB_OUTPUT_TRAIN'}
parameters: {n: [10, 20, 30, 40]}
metrics: {lines: '^(@int@)$'}
"""


@pytest.mark.slow
def test_outputs_of_stages_are_brought_to_nodes_without_the_folder(workbench: Workbench, fleet: Fleet) -> None:
    file = write(workbench, TEXT)
    workbench.write("own", "of the project\n")
    nodes = [fleet.node("one", slots=1, shared=False), fleet.node("two", slots=1, shared=False)]
    words = [word for node in nodes for word in node.words]
    workbench("--run", file, *words, env=fleet.environment(workbench))
    rows = table(workbench, fleet, "SELECT n, lines, node FROM e ORDER BY n")
    assert [row["lines"] for row in rows] == [10, 20, 30, 40]
    assert "of the project" in workbench.output(0)
    prepared = next((workbench.experiment().path / "stages" / "prepare").iterdir())
    assert sorted(path.name for path in prepared.iterdir() if "std" not in path.name) == ["deep", "own", "waste"]
    assert Counter((truth_folder(workbench) / "ran").read_text().split()) == {"prepare": 1, "train": 4}
    used = {event["node"] for event in workbench.events("assigned")}
    assert len(used) > 1, "the test needs outputs that go from one machine to another"
    until(lambda: not leftovers(fleet))
