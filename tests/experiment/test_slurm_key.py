"""`slurm` in a cluster file: options of sbatch, as they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiment.test_schema import fits
from tui_lab.engine.transports import is_pool
from tui_lab.experiment.cluster.pools.slurm import walltime
from tui_lab.experiment.cluster.reader import load_cluster
from tui_lab.experiment.cluster.schema import cluster_json_schema, cluster_reference
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError


def entry(text: str) -> Any:
    """The entry of a node with such a key."""
    file = f"nodes:\n  - name: big\n    slurm: {text}\n"
    (found,) = load_cluster(Path("/there/cluster.yaml"), file).entries()
    assert fits(parse(file, "").value, cluster_json_schema())
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        entry(text)
    return sorted(str(problem).removeprefix("/there/cluster.yaml:") for problem in caught.value.problems)


def test_options_are_passed_on_as_they_are_written() -> None:
    found = entry(
        '{partition: gpu, time: "4:00:00", gres: [gpu:1, nvme:1], exclusive: true, contiguous: false, mem: 4G, '
        "constraint: a100&nvlink, container-image: nvidia/cuda, nice: 100, idle: 2m, requeue: true, max: 8, "
        "min: 1, leave: 1h}"
    )
    json.dumps(found)
    assert found["transport"] == "slurm" and is_pool(found)
    assert found["slurm"] == {
        "min": 1,
        "max": 8,
        "idle": 120.0,
        "every": 30,
        "leave": 3600.0,
        "time": "4:00:00",
        "walltime": 14400.0,
        "requeue": True,
        "nodes": 1,
        "array": False,
        "options": {
            "partition": "gpu",
            "gres": ["gpu:1", "nvme:1"],
            "exclusive": True,
            "mem": "4G",
            "constraint": "a100&nvlink",
            "container-image": "nvidia/cuda",
            "nice": "100",
        },
    }
    assert entry("")["slurm"]["options"] == {} == entry("{}")["slurm"]["options"]


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("90", 5400),
        ("90:30", 5430),
        ("4:00:00", 14400),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("2-12:30:15", 217815),
        ("UNLIMITED", None),
    ],
)
def test_times_of_slurm(text: str, seconds: float | None) -> None:
    assert walltime(text) == seconds


def test_mistakes_are_told_where_they_are() -> None:
    text = """
      partiton: gpu
      cpus_per_task: 4
      --mem: 4G
      queue: gpu
      output: x.log
      array: 1-9
      ntasks: 2
      time: 4h
      every: 1s
      min: 9
      max: 3
      gres: {gpu: 1}
"""
    assert problems(text) == sorted(
        [
            '12:14: "every" must be at least 30 s: each question is work for the engine',
            '13:12: "min" is 9, and "max" is 3',
            '4:7: "partiton" is no option of sbatch; did you mean "partition"?',
            '5:7: "cpus_per_task" is no option of sbatch; did you mean "cpus-per-task"?',
            '6:7: "--mem" is no option of sbatch; did you mean "mem"?',
            '7:7: "queue" is no option of sbatch; did you mean "partition"?',
            '8:7: "output" can\'t be given; outputs of tasks are in the lab',
            '9:14: "array" must be true or false, not text ("1-9")',
            '10:7: "ntasks" can\'t be given; slots says how many tasks run at once in an allocation',
            '11:13: "4h" is no time of Slurm; as in 90 (minutes), 4:00:00, 2-12 (days and hours) or 2-12:30:00',
            '15:13: "gres" must be text, not a mapping',
        ]
    )
    assert problems("gpu") == [
        '3:12: "slurm" must be a mapping with options of sbatch, such as {partition: gpu}, not text ("gpu")'
    ]


def test_the_reference_has_its_keys() -> None:
    text = cluster_reference()
    assert "### Keys of `slurm`" in text and "| `idle` | `2m` | `300` |" in text and "`constraint: a100`" in text
