"""A place of each kind, which ends with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.contract.places import PLACES, Place
from tests.engine.nodes.fleet import fleet
from tests.services.dask import dask
from tests.services.ray import ray
from tests.services.slurm import slurm

__all__ = ["dask", "fleet", "ray", "slurm"]


@pytest.fixture(params=[pytest.param(kind, marks=kind.marks, id=kind.kind) for kind in PLACES])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made: Place = request.param(request)
    try:
        yield made
    finally:
        made.workbench.close()
        made.close()
