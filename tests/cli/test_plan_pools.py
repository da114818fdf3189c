"""`tui-lab plan` and `--run` with a cluster file that names a Slurm: what can never run there is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workbench import Workbench

SINFO = "main*|1:00:00|4:00:00|8|16000|gpu:2"
FAKES = {
    "sinfo": f'echo "{SINFO}"',
    "sbatch": 'case "$*" in *=nope*) echo "sbatch: error: invalid partition specified: nope" >&2; exit 1;; esac',
}


@pytest.fixture
def bench(workbench: Workbench, tmp_path: Path) -> Workbench:
    """A workbench where commands called as Slurm's say what a small cluster has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, lines in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    workbench.environment["PATH"] = f"{folder}:{workbench.environment['PATH']}"
    return workbench


def plan(bench: Workbench, more: str, keys: str = "", slots: int = 4, code: int = 2, command: str = "plan") -> str:
    """What a plan prints. more: lines of the experiment. keys: of the pool."""
    bench.write("c.yaml", f"nodes: [{{name: big, slots: {slots}, slurm: {{partition: main{keys}}}}}]\n")
    bench.write("e.yaml", f"name: e\ncommand: echo {{p}}\nparameters: {{p: [1, 2, 16]}}\n{more}\n")
    done = bench.process(command, "e.yaml", "--cluster", "c.yaml", code=code)
    return done.err if code else done.out


@pytest.mark.parametrize("command", ["plan", "--run"])
def test_a_timeout_that_no_allocation_has_is_an_error(bench: Workbench, command: str) -> None:
    said = plan(bench, "timeout: 2h", command=command)
    assert "e.yaml:4:10: an attempt may take 2 h, and an allocation has less time: big 1 h" in said
    assert "resumes: true" in said
    assert not (bench.lab_path / "e").exists()


def test_where_the_timeout_is(bench: Workbench) -> None:
    assert "e.yaml:4:16: an attempt may take 5 h" in plan(bench, "timeout: [10m, 5h]", keys=', time: "4:00:00"')
    assert "e.yaml:4:10: an attempt may take 16 h" in plan(bench, "timeout: '{p}h'")
    assert "would run 3 tasks" in plan(bench, "timeout: 2h\nresumes: true", code=0)
    assert "would run 3 tasks" in plan(bench, "timeout: 2h", keys=', time: "4:00:00"', code=0)
    stages = "stages: {make: {command: 'echo {p}', timeout: 5h}, use: {command: 'echo {p}', after: make}}"
    bench.write("s.yaml", f"name: s\nparameters: {{p: [1]}}\n{stages}\n")
    assert "s.yaml:3:47: an attempt may take 5 h" in bench.process("plan", "s.yaml", "--cluster", "c.yaml", code=2).err
    with_local = bench.process("plan", "e.yaml", "--cluster", "c.yaml", "--node", "big", "--node", "localhost").out
    assert "would run 3 tasks" in with_local, "it may run here"


def test_needs_that_no_allocation_meets_are_an_error(bench: Workbench) -> None:
    assert "e.yaml:4:15: a task needs cpus: 16, and an allocation of big has 8" in plan(bench, "needs: {cpus: '{p}'}")
    assert "a task needs memory: 20.0 GiB, and an allocation of big has 15.6 GiB" in plan(bench, "needs: {memory: 20G}")
    assert "a task needs gpus: 2, and an allocation of big has 1" in plan(bench, "needs: {gpus: 2}", keys=", gpus: 1")
    assert "would run 3 tasks" in plan(bench, "needs: {cpus: 8, gpus: 2}", slots=8, code=0)


def test_what_slurm_refuses_is_an_error_at_once(bench: Workbench) -> None:
    bench.write("c.yaml", "nodes: [{name: big, slurm: {partition: nope}}]\n")
    bench.write("e.yaml", "name: e\ncommand: echo\n")
    refused = bench.process("plan", "e.yaml", "--cluster", "c.yaml", code=2).err
    assert "big: Slurm refuses it: invalid partition specified: nope" in refused
    bench.write("c.yaml", "nodes: [{name: big, slurm: {time: 9-0}}]\n")
    longer = bench.process("--run", "e.yaml", "--cluster", "c.yaml", code=2).err
    assert 'big: "time" is 216 h, and the partition main grants 4 h at most' in longer
