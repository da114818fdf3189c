"""Workers of Dask that are jobs of Slurm, by dask-jobqueue."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.services import dask as dask_service
from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm
from tests.workbench import Workbench, until

pytestmark = service.MARKS


@pytest.fixture
def bench(workbench: Workbench, slurm: PrivateSlurm) -> Workbench:
    """A workbench whose commands lead to the Slurm of the tests."""
    dask_service.need()
    workbench.environment |= {**slurm.environment, "SLURM_JOB_ID": "1", "SBATCH_PARTITION": "nope"}
    keys = "jobqueue: slurm, cores: 2, memory: 400MB, nanny: false, scheduler_options: {host: 127.0.0.1}"
    more = "worker_extra_args: [--host, 127.0.0.1, --no-dashboard], max: 2, idle: 1"
    workbench.write("c.yaml", f"nodes: [{{name: pool, dask: {{{keys}, {more}}}}}]\n")
    return workbench


def nothing_is_left(bench: Workbench, slurm: PrivateSlurm) -> None:
    until(lambda: not slurm.queue() and not slurm.steps(), 30)
    until(lambda: not dask_service.left(f"tl-{bench.lab.identity}-"), 30)
    until(lambda: not dask_service.left("--name SLURMCluster-"), 30)


def test_jobs_come_and_go(bench: Workbench, slurm: PrivateSlurm) -> None:
    bench.write(
        "e.yaml",
        """\
        name: e
        command: 'echo $SLURM_JOB_ID $SLURM_CPUS_ON_NODE; until [ -e go ]; do sleep 0.05; done; test {p} != 7'
        parameters: {p: {range: [0, 12]}}
        """,
    )
    run = bench.start("--run", "e.yaml", "--cluster", "c.yaml")
    until(lambda: len(bench.events("started")) == 4, 90)
    assert slurm.queue() == [f"tl-{bench.lab.identity}"] * 2
    (bench.folder / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 1
    nothing_is_left(bench, slurm)
    rows = bench.tasks()
    assert Counter(row["state"] for row in rows) == {"done": 11, "failed": 1}
    jobs = {bench.output(row["task_id"]).split()[0] for row in rows}
    assert len(jobs) == 2 and len({row["node"] for row in rows}) == 2


def test_jobs_end_with_an_engine_that_is_killed(bench: Workbench, slurm: PrivateSlurm) -> None:
    bench.write("e.yaml", "name: e\ncommand: 'until [ -e go ]; do sleep 0.05; done'\nparameters: {p: [1, 2, 3]}\n")
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", "--detach")
    until(lambda: len(bench.events("started")) == 3, 90)
    bench.kill_engine()
    until(lambda: not slurm.queue(), 60)
    (bench.folder / "go").touch()
    bench.process("resume", "e")
    assert [row["state"] for row in bench.tasks()] == ["done"] * 3
    nothing_is_left(bench, slurm)


def test_times_of_batch_systems() -> None:
    jobs = pytest.importorskip("tui_lab.engine.transports.dask.jobs")
    known = {
        ("slurm", "00:30:00"): 1800,
        ("slurm", "2-12"): 216_000,
        ("slurm", "90"): 5400,
        ("slurm", "soon"): None,
        ("pbs", "4:00:00"): 14_400,
        ("pbs", "90"): 90,
        ("moab", "1:00"): 60,
        ("sge", "00:30:00"): 1800,
        ("lsf", "00:30"): 1800,
        ("lsf", "90"): 5400,
        ("oar", "00:30:00"): 1800,
        ("oar", "1:30"): 5400,
        ("oar", "2"): 7200,
        ("htcondor", "1:00:00"): None,
        ("pbs", ""): None,
        ("pbs", "1:x"): None,
    }
    assert {one: jobs.seconds_of(*one) for one in known} == known


def test_the_time_of_a_job_is_up(bench: Workbench, slurm: PrivateSlurm, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("takes its time: --long")
    bench.write("c.yaml", (bench.folder / "c.yaml").read_text().replace("max: 2", 'max: 1, walltime: "00:01:00"'))
    # It could end in the minute that the first job has, as far as anybody knows, and then in no job.
    bench.write(
        "e.yaml", "name: e\ngrace: 1\ncommand: 'echo $TUI_LAB_DEADLINE; sleep {p}'\nparameters: {p: [1, 100]}\n"
    )
    bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=1)
    assert [(row["state"], row["reason"]) for row in bench.tasks()] == [("done", None), ("failed", "walltime")]
    assert list(bench.experiment().state().columns["spent"]) == [0, 0]
    nothing_is_left(bench, slurm)


def test_a_partition_that_is_not_there(bench: Workbench, slurm: PrivateSlurm) -> None:
    text = (bench.folder / "c.yaml").read_text().replace("max: 2", "queue: nope")
    bench.write("c.yaml", text)
    bench.write("e.yaml", "name: e\ncommand: 'true'\n")
    result = bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=3)
    assert "Dask: dask-jobqueue: sbatch: error: Batch job submission failed: Invalid partition" in result.err
    nothing_is_left(bench, slurm)
