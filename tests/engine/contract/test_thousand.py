"""One experiment with stages, files and failures over each transport: the same tables, also where workers and engines
die, and allocations end."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

import pytest

from tests.engine.contract.places import PLACES, Place, nothing_is_left
from tests.workbench import Workbench, until

GROUPS: Final = 10
TEXT: Final = """\
name: e
stages:
  prepare: {command: 'seq {group} 500 > {output}/numbers', uses: group, outs: numbers}
  work:
    command: |
      i=$(expr 1 + {group} '*' 1000 + {n})
      echo $TUI_LAB_ATTEMPT >> TRUTH/$i
      if test -e TRUTH/slow; then sleep 0.3; fi
      cat {prepare.output}/numbers | cksum; echo value $i; seq $i > {output}/made
      if test $(expr $i % 17) = 3; then echo broken >&2; exit 4; fi
    keep: made
parameters: {group: {range: [0, GROUPS]}, n: {range: [0, MANY]}}
metrics: {value: 'value (@int@)', sum: '^(@int@) ', last: {pattern: '(@int@)\\n*\\Z', from: made}}
"""
OF_NODES: Final = ("node", "duration", "started_at", "ended_at", "peak_rss", "cpu_time")
OF_LOSSES: Final = ("attempt", "attempts", "version", "task_id", "run_id")


def table(workbench: Workbench, *without: str) -> list[dict[str, Any]]:
    """All tasks and runs of stages, in order, without some columns."""
    tasks = workbench.table('SELECT * FROM e_tasks WHERE planned ORDER BY "group", n')
    runs = workbench.table('SELECT * FROM e_stages WHERE planned ORDER BY stage, "group"')
    return [{key: value for key, value in row.items() if key not in without} for row in tasks + runs]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(
    "place",
    [pytest.param(kind, marks=kind.marks or pytest.mark.long, id=kind.kind) for kind in PLACES],
    indirect=True,
)
def test_the_same_tables_whatever_happens(place: Place, request: pytest.FixtureRequest) -> None:
    workbench, count = place.workbench, 1000 if request.config.getoption("--long") else 120
    text = TEXT.replace("GROUPS", str(GROUPS)).replace("MANY", str(count // GROUPS)).replace("TRUTH", str(place.truth))
    file, cluster = workbench.write("e.yaml", text), place.cluster(3, 2)
    workbench.process("--run", file, "--cluster", cluster, "--keep-going", code=1, timeout=600)
    found = table(workbench, *OF_NODES)
    here = Workbench(workbench.folder / "here")
    here.folder.mkdir()
    here.write("e.yaml", text)
    try:
        here.process("--run", "e.yaml", "--node", "localhost", 4, "--keep-going", code=1, timeout=600)
        assert found == table(here, *OF_NODES)
    finally:
        here.close()
    states = Counter(row["state"] for row in workbench.tasks())
    assert states == {"done": count - states["failed"], "failed": states["failed"]} and states["failed"] > count / 20
    nothing_is_left(place)

    # Again, and this time nothing is spared.
    for path in place.truth.iterdir():
        path.unlink()
    (place.truth / "slow").touch()
    before = len(workbench.events())

    def ended() -> int:
        return sum(event["event"] == "finished" for event in workbench.events()[before:])

    workbench.process("--run", file, "--cluster", cluster, "--rerun", "--keep-going", "--detach")
    acts = [*place.acts().values()]
    for number in range(2 * len(acts)):
        until(lambda: ended() >= count * (number + 1) // (3 * len(acts)), 300)
        if number % 2:
            workbench.kill_engine()
            until(lambda: workbench.engine_pid() is None)
            workbench.process("resume", "e", "--detach")
        else:
            acts[number // 2](until(lambda: a_node(workbench), 60))
    (place.truth / "slow").unlink()
    until(lambda: any(event["event"] == "ended" for event in workbench.events()[before:]), 600)
    assert table(workbench, *OF_NODES, *OF_LOSSES) == [
        {key: value for key, value in row.items() if key not in OF_LOSSES} for row in found
    ]
    events = workbench.events()[before:]
    ends = Counter(event["task"] for event in events if event["event"] == "finished" and event["state"] != "lost")
    assert len(ends) == count + GROUPS and set(ends.values()) == {1}, "each has ended once"
    assigned = sum(len(event["attempts"]) for event in events if event["event"] == "assigned")
    ran = sum(len(path.read_text().split()) for path in place.truth.iterdir())
    assert count <= ran <= assigned, "nothing runs that the journal does not know"
    nothing_is_left(place)


def a_node(workbench: Workbench) -> str:
    """A node on which a task runs now."""
    time.sleep(0.01)
    return next((task["node"] for task in workbench.tasks() if task["state"] == "running"), "")
