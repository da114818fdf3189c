"""The Dask of the tests leaves nothing."""

from __future__ import annotations

from pathlib import Path

from tests.services import dask as service
from tests.services.dask import PrivateDask

pytestmark = service.MARKS


def test_nothing_is_left_by_its_end() -> None:
    service.need()
    with PrivateDask(1) as one:
        one.start_worker("nanny", nanny=True)  # which has a process below it
        pids = [process.pid for process in one.processes.values()]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids) and not one.folder.exists()
    assert not service.left(one.folder.name)
