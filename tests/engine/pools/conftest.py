from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine.nodes.fleet import fleet
from tests.services.dask import dask
from tests.services.slurm import PrivateSlurm, slurm
from tests.workbench import Workbench, until
from tui_lab.experiment.cluster.pools.pool import FLOOR

__all__ = ["dask", "fleet", "slurm"]


@pytest.fixture
def bench(workbench: Workbench, slurm: PrivateSlurm) -> Iterator[Workbench]:
    """A workbench whose commands lead to the Slurm of the tests."""
    workbench.environment |= {**slurm.environment, FLOOR: "0.1"}
    write_cluster(workbench)
    yield workbench
    slurm.run("scancel", f"--user={os.getuid()}", check=False)


def write_cluster(bench: Workbench, more: str = "") -> None:
    """Write c.yaml, with a pool of at most two jobs of two slots."""
    keys = f"{{partition: main, max: 2, every: 0.2, idle: 1, leave: 60{more}}}"
    bench.write("c.yaml", f"nodes: [{{name: big, slots: 2, slurm: {keys}}}]\n")


def nothing_is_left(slurm: PrivateSlurm) -> None:
    until(lambda: not slurm.queue() and not slurm.steps(), 30)
