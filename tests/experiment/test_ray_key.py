"""`ray` in a cluster file: an address, and what a lease takes of a node."""

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
    file = f"nodes:\n  - ray: {text}\n"
    (found,) = load_cluster(Path("/there/cluster.yaml"), file).entries()
    assert fits(parse(file, "").value, cluster_json_schema())
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        entry(text)
    return [str(problem).removeprefix("/there/cluster.yaml:") for problem in caught.value.problems]


def test_an_address_alone_or_with_more() -> None:
    found = entry("auto")
    json.dumps(found)
    assert (found["name"], found["slots"], found["transport"], is_pool(found)) == ("ray", 1, "ray", True)
    usual = {"min": 0, "max": 64, "idle": 10, "every": 1, "leave": 600}
    assert found["ray"] == {**usual, "address": "auto", "resources": {}}
    given = "{num_cpus: 4, num_gpus: 0.5, memory: 2G, resources: {disk: 2, TPU: tpu}, max: 8, idle: 2m, every: 5s}"
    assert entry(given)["ray"] == {
        **usual,
        "max": 8,
        "idle": 120.0,
        "every": 5.0,
        "address": "auto",
        "num_cpus": 4,
        "num_gpus": 0.5,
        "memory": 2 << 30,
        "resources": {"disk": 2, "TPU": "tpu"},
    }
    for address in ("192.0.2.7:6379", "head:6379", "ray://head:10001", "'[2001:db8::1]:6379'"):
        assert entry(f"{{address: {address}}}")["ray"]["address"] == address.strip("'")
    assert entry("head:6379\n    slots: 4")["slots"] == 4


def test_mistakes_are_told_where_they_are() -> None:
    text = """
      adress: auto
      num_cpus: -1
      num_gpus: 1.5
      memory: 16
      resources: {GPU: 1, disk: 0, TPU: gpus, tape: [1], a b: x y}
      max: 0
    host: tower
"""
    assert problems(text) == [
        '3:7: "adress" is no key of "ray"; did you mean "address"?',
        "4:17: an amount is 0 or more, and this is -1",
        "5:17: above 1, Ray has whole numbers only, and this is 1.5",
        '6:15: the memory "16" has no unit; write 500M, 4G or 1.5T',
        '7:19: "GPU" has a key of its own; num_gpus of ray',
        "7:33: an amount is above 0, and this is 0",
        '7:41: "gpus" is asked for anyway; here stand amounts, and names of other needs',
        '7:53: "tape" must be a number, not a list',
        '7:63: "x y" can\'t be a name; names begin with a letter or _ and continue with letters, digits, _ . -',
        '8:12: "max" must be at least 1, not 0',
    ]
    assert problems("here") == [
        '2:10: "here" is no address of a Ray; auto for the Ray of this machine, or as in ray: 192.0.2.7:6379',
    ]
    assert problems("") == [
        "2:5: there is no address of a Ray; auto for the Ray of this machine, or as in ray: 192.0.2.7:6379"
    ]
    assert problems("[a]") == ['2:10: "ray" must be auto, the address of a Ray, or a mapping, not a list']
    assert problems("auto\n    host: b") == ['3:5: "ray" says where it is, so this node has no "host"']


def test_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = "2:5: \"ray\" needs ray, which Python does not find here; pip install 'tui-lab[ray]'"
    assert problems("auto") == [said]


def test_the_reference_has_its_keys() -> None:
    assert "### Keys of `ray`" in cluster_reference()
