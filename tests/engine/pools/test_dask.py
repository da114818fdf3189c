"""Experiments whose tasks run beside workers of Dask, from the command line."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.services import dask as service
from tests.services.dask import PrivateDask
from tests.workbench import Workbench

pytestmark = service.MARKS


@pytest.fixture
def bench(workbench: Workbench, dask: PrivateDask) -> Workbench:
    """A workbench with a cluster that is the Dask of the tests."""
    workbench.write("c.yaml", f"nodes: [{{name: pool, slots: 2, dask: {{address: '{dask.address}', idle: 1}}}}]\n")
    return workbench


@pytest.mark.smoke("dask")
def test_an_experiment_of_fifty_tasks(bench: Workbench, dask: PrivateDask) -> None:
    bench.write(
        "e.yaml",
        """\
        name: e
        command: 'echo y={p}; echo $PYTHONHASHSEED; test {p} != 7'
        parameters: {p: {range: [0, 50]}}
        metrics: {y: {pattern: 'y=(\\d+)'}}
        """,
    )
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    rows = bench.tasks()
    assert Counter(row["state"] for row in rows) == {"done": 49, "failed": 1}
    assert sorted(int(row["y"]) for row in bench.table("SELECT y FROM e")) == [y for y in range(50) if y != 7]
    print(Counter(row["node"] for row in rows))
