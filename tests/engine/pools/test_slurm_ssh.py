"""Experiments in allocations that are asked for on a login node, by SSH."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.machine import can_hide
from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm
from tests.workbench import Workbench, until
from tui_lab.experiment.cluster.pools.pool import FLOOR

pytestmark = service.MARKS

TEXT = """\
name: e
stages:
  prepare:
    command: 'sh prog.sh {output}'
    code: prog.sh
    inputs: data.bin
    outs: ['deep/*']
    uses: []
  train:
    command: |
      cat {prepare.output}/deep/copy | tee {output}/model; cksum < {prepare.output}/deep/copy >&2
      echo $SLURM_JOB_NAME; test {n} != 3
      test -e LAB && echo it sees the lab
      true
    keep: {globs: model}
parameters: {n: [1, 2, 3, 4, 5, 6]}
"""


@pytest.fixture
def away(tmp_path: Path) -> Iterator[PrivateSlurm]:
    """A Slurm whose nodes don't see the folder of the test."""
    service.need()
    if not can_hide():
        pytest.skip("needs root and the right to mount: nodes that don't see a folder")
    with PrivateSlurm(nodes=2, hidden=tmp_path) as one:
        yield one


def test_stages_and_files_through_a_login_node(workbench: Workbench, away: PrivateSlurm, fleet: Fleet) -> None:
    """Nothing but the login node is reached from here, and nodes see nothing of this machine's folder."""
    login = fleet.node("login", bashrc=f"echo Welcome\nexport SLURM_CONF={away.conf} PATH={service.PATH}\n")
    data = random.Random(1).randbytes(3 << 20)
    (workbench.folder / "data.bin").write_bytes(data)
    workbench.write(
        "prog.sh", "mkdir $1/deep; cp data.bin $1/deep/copy; touch $1/deep/empty; ln -s copy $1/deep/link\n"
    )
    workbench.write("e.yaml", TEXT.replace("LAB", str(workbench.lab_path)))
    keys = ("host", "port", "user", "key", "known_hosts")
    entry = {key: value for key, value in login.entry.items() if key in keys}
    pool = {"partition": "main", "max": 2, "every": 0.2, "idle": 1}
    spool = away.folder / "of-nodes"
    cluster = {"nodes": [{"name": "big", "slots": 2, **entry, "spool": str(spool), "slurm": pool}]}
    workbench.write("c.yaml", yaml.safe_dump(cluster))
    env = fleet.environment(workbench, **{FLOOR: "0.1"})
    workbench.process("--run", "e.yaml", "--cluster", "c.yaml", env=env, code=1)
    rows = workbench.tasks()
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done", "done", "done"]
    for row in rows:
        folder = workbench.experiment().task_folder(row["task_id"])
        said = (folder / "stdout").read_bytes()
        assert said.startswith(data) and said[len(data) :].startswith(b"tl-") and b"sees" not in said
        assert (folder / "model").read_bytes() == data
    (prepared,) = (workbench.experiment().path / "stages" / "prepare").iterdir()
    assert hashlib.sha256((prepared / "deep" / "copy").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert (prepared / "deep" / "empty").read_bytes() == b"" and (prepared / "deep" / "link").readlink() == Path("copy")
    until(lambda: not away.queue() and not away.steps(), 30)
    until(lambda: not [*spool.glob("tl-*")])
    (home,) = spool.iterdir()
    code = {path for kept in ("code", "objects") for path in (home / kept).rglob("*")}
    assert not [path for path in {*home.rglob("*")} - code if path.is_file()], "outputs have left the nodes"
