"""The Slurm of the tests does what it is asked, and leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm

pytestmark = service.MARKS


def test_it_grants_nodes_and_cards(slurm: PrivateSlurm) -> None:
    said = slurm.run("srun", "-N2", "-l", "--gres=gpu:2", "printenv", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES").stdout
    assert sorted(line.split()[1] for line in said.splitlines()) == ["0,1", "0,1", "n1", "n2"]


def test_nothing_is_left_by_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    service.need()
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # as if the tests were a job
    with PrivateSlurm() as one:
        assert "SLURM_JOB_ID" not in one.environment
        pids = [process.pid for process in one.processes.values()]
        one.run("sbatch", "-o", "/dev/null", "--wrap", f"exec sleep 600 # {one.folder}")
        service.wait_for(lambda: "the job runs", one.steps)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids) and not one.folder.exists()
    assert not any(str(one.folder).encode() in words for words in _all_words())


def _all_words() -> list[bytes]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found.append((entry / "cmdline").read_bytes() + (entry / "environ").read_bytes())
            except OSError:
                continue
    return found
