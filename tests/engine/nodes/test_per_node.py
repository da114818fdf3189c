"""Stages with `per: node`: each node makes what it needs of its own, once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import leftovers, remove_truth, table, truth_folder, write
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]

TEXT = """\
name: e
order: listed
stages:
  prepare: {command: 'echo prepare >> TRUTH_FOLDER/built; echo 7 > {output}/source', uses: []}
  build:
    command: |
      echo "$TUI_LAB_NODE {flags}" >> TRUTH_FOLDER/built
      if test {flags} = odd -a "$TUI_LAB_NODE" = two -a ! -e TRUTH_FOLDER/mended; then exit 3; fi
      echo "$TUI_LAB_NODE {flags} $(cat {prepare.output}/source)" > {output}/program
    per: node
  measure:
    command: |
      until test -e TRUTH_FOLDER/go; do sleep 0.05; done
      while test {flags} = small && test $(grep -c small TRUTH_FOLDER/built) -lt 2; do sleep 0.05; done
      echo "made: $(cat {build.output}/program)"; echo "used: $TUI_LAB_NODE {flags} 7"
      grep -c . TRUTH_FOLDER/built > /dev/null
    uses: [flags, n]
parameters: {flags: [fast, small, odd], n: {range: [0, 4]}}
metrics: {made: 'made: (.*)', used: 'used: (.*)', builder: {pattern: '(.+)', from: program, stage: build}}
"""


@pytest.mark.slow
@pytest.mark.fault
def test_each_node_compiles_each_variant_once(workbench: Workbench, fleet: Fleet) -> None:
    """One node sees the lab's folder, the other one does not. The engine is killed amid it. One variant can't be built
    on one node: the other node takes all of it."""
    file = write(workbench, TEXT)
    env = fleet.environment(workbench)
    built = truth_folder(workbench) / "built"
    nodes = [fleet.node("one", slots=1), fleet.node("two", slots=1, shared=False)]
    words = ["--run", file, *(word for node in nodes for word in node.words)]
    assert "stages: prepare 1, build 3 per node, measure 12" in workbench("plan", file).out
    assert "3 runs per node" in workbench("plan", "--graph", file).out
    workbench(*words, "--detach", env=env)
    until(lambda: built.exists() and Counter(built.read_text().split("\n"))["two fast"] == 1, 60)
    until(lambda: "one fast" in built.read_text(), 60)
    workbench.kill_engine()
    (truth_folder(workbench) / "go").touch()
    workbench(*words, env=env, code=None)  # 1 where the other node has tried the variant that it can't build
    rows = table(workbench, fleet, "SELECT flags, n, made, used, builder, node FROM e ORDER BY task_id")
    assert len(rows) == 12
    for row in rows:
        assert row["made"] == row["used"] == row["builder"] == f"{row['node']} {row['flags']} 7"
    counts = Counter(built.read_text().split("\n")[:-1])
    needed = {f"{row['node']} {row['flags']}" for row in rows}
    assert set(counts.values()) == {1}, "each node built each variant once"
    assert needed | {"prepare", "one fast", "two fast", "one small", "two small"} <= set(counts)
    runs = table(
        workbench, fleet, "SELECT stage, run_id, tasks, state, node, flags FROM e_stages WHERE stage = 'build'"
    )
    assert {f"{run['node']} {run['flags']}" for run in runs} == set(counts) - {"prepare"}
    used = Counter((row["node"], row["flags"]) for row in rows)
    assert all(run["tasks"] == used[run["node"], run["flags"]] for run in runs)
    assert "build 3 per node (" in workbench("plan", file, env=env).out
    until(lambda: not leftovers(fleet))

    # A node that joins later makes its own. Nothing that is done runs again.
    three = fleet.node("three", slots=1)
    more = ["--run", file, "n=7", *three.words]
    workbench(*more, env=env)
    again = Counter(built.read_text().split("\n")[:-1]) - counts
    assert again == Counter({"three fast": 1, "three small": 1, "three odd": 1})
    named = next(
        row["task_id"] for row in table(workbench, fleet, "SELECT task_id, node FROM e") if row["node"] == "three"
    )
    address = f"e/{named}:build@three"
    assert workbench("show", address).out.startswith(f"{address}: ✓ done\n  1 task of the plan needs it\n")
    assert workbench("show", f"e/{named}").out.count("stages/build") >= 2
    assert "has no run of build on four" in workbench("show", f"e/{named}:build@four", code=2).err
    # One run again, and what ran with it: a task.
    said = workbench("retry", f"e/{named}:build", env=env).err
    assert "1 task to run again, and 1 run of stages" in said
    assert Counter(built.read_text().split("\n")[:-1]) - counts - again == Counter({"three fast": 1})
    until(lambda: not leftovers(fleet))
