"""`dask` in a cluster file: an address, and what a lease takes of a worker."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiment.test_schema import fits
from tui_lab.engine.transports import is_pool
from tui_lab.experiment.cluster.reader import load_cluster
from tui_lab.experiment.cluster.schema import cluster_json_schema, cluster_reference
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def entry(text: str) -> Any:
    """The entry of a node with such a key."""
    file = f"nodes:\n  - dask: {text}\n"
    (found,) = load_cluster(Path("/there/cluster.yaml"), file).entries()
    assert fits(parse(file, "").value, cluster_json_schema())
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        entry(text)
    return sorted(str(problem).removeprefix("/there/cluster.yaml:") for problem in caught.value.problems)


def test_an_address_alone_or_with_more() -> None:
    found = entry("tcp://127.0.0.1:8786")
    json.dumps(found)
    assert (found["name"], found["slots"], found["transport"], is_pool(found)) == ("dask", 1, "dask", True)
    usual = {"min": 0, "max": 64, "idle": 10, "every": 1, "leave": 600, "chunk": 600, "options": {}}
    assert found["dask"] == {**usual, "address": "tcp://127.0.0.1:8786", "resources": {}}
    more = "max: 8, min: 1, idle: 2m, every: 5s, chunk: 1h"
    given = f"{{address: 'tls://login1:8786', resources: {{GPU: gpus, SEAT: 0.5}}, {more}}}"
    assert entry(given)["dask"] == {
        "min": 1,
        "max": 8,
        "idle": 120.0,
        "every": 5.0,
        "leave": 600,
        "chunk": 3600.0,
        "options": {},
        "address": "tls://login1:8786",
        "resources": {"GPU": "gpus", "SEAT": 0.5},
    }
    assert entry("localhost:8786\n    slots: 4")["slots"] == 4
    found = entry("{address: 'a:1', resources: {SCOPE: scope}}\n    resources: {scope: 2}")
    assert (found["resources"], found["dask"]["resources"]) == ({"scope": 2}, {"SCOPE": "scope"})


def test_jobs_of_a_batch_system() -> None:
    found = entry(
        "{jobqueue: slurm, queue: main, cores: 4, memory: 8GB, walltime: '1:00:00', nanny: false, max: 3, "
        "scheduler_options: {host: login1}, job_extra_directives: [--exclusive]}"
    )
    assert found["slots"] == 4 and found["dask"] == {
        "min": 0,
        "max": 3,
        "idle": 300.0,
        "every": 1,
        "leave": 600,
        "chunk": 600,
        "address": "",
        "resources": {},
        "jobqueue": "slurm",
        "options": {
            "queue": "main",
            "cores": 4,
            "memory": "8GB",
            "walltime": "1:00:00",
            "nanny": False,
            "scheduler_options": {"host": "login1"},
            "job_extra_directives": ["--exclusive"],
        },
    }
    assert problems("{jobqueue: slrm, processes: 2, job-cpu: 4, address: 'a:1'}") == [
        '2:22: "slrm" is no value of "jobqueue"; did you mean "slurm"?',
        '2:28: "processes" can\'t be given; each job has one worker, and slots says how many tasks run there at once',
        '2:42: "job-cpu" is no option of dask-jobqueue; did you mean "job_cpu"?',
        "2:54: with jobqueue, the scheduler is started, and has no address yet",
    ]


def test_mistakes_are_told_where_they_are() -> None:
    text = """
      adress: tcp://a:1
      resources: {GPU: many, SEAT: 0, DISK: [1]}
      max: 0
    host: tower
"""
    assert problems(text) == [
        '3:7: "adress" is no key of "dask"; did you mean "address"?',
        '4:24: "many" is no amount; a number, or one of cpus, memory, gpus',
        "4:36: an amount is above 0, and this is 0",
        '4:45: "DISK" must be a number, not a list',
        '5:12: "max" must be at least 1, not 0',
    ]
    assert problems("tcp://a") == [
        '2:11: "tcp://a" is no address of a scheduler; as in dask: tcp://127.0.0.1:8786',
    ]
    assert problems("") == ["2:5: there is no address of a scheduler; as in dask: tcp://127.0.0.1:8786"]
    assert problems("{max: 1}") == [
        "2:5: there is no address of a scheduler; as in {address: tcp://127.0.0.1:8786}, or {jobqueue: pbs}"
    ]
    assert problems("[a]") == ['2:11: "dask" must be the address of a scheduler, or a mapping with one, not a list']
    assert problems("tcp://a:1\n    host: b") == ['3:5: "dask" says where it is, so this node has no "host"']


def test_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = "2:5: \"dask\" needs distributed, which Python does not find here; pip install 'tui-lab[dask]'"
    assert problems("tcp://127.0.0.1:8786") == [said]


def test_the_reference_has_its_keys() -> None:
    assert "### Keys of `dask`" in cluster_reference()
