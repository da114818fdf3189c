"""cluster.yaml: what it means, and what is said of its mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiment.test_schema import fits
from tui_lab.experiment.cluster.model import Cluster, ClusterNode
from tui_lab.experiment.cluster.reader import load_cluster
from tui_lab.experiment.cluster.schema import cluster_json_schema, cluster_reference
from tui_lab.experiment.cluster.transports import KEYS
from tui_lab.experiment.record import keys_of
from tui_lab.experiment.schema import flow
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError

SCHEMA = cluster_json_schema()
FULL = """\
name: wespa
lost_after: 30m
nodes:
  - {slots: 2}
  - name: tower
    host: 192.0.2.9
    port: 2222
    user: ana
    key: keys/id_lab
    known_hosts: /etc/hosts_of_lab
    slots: 16
    tags: [x86, fast]
    gpus: [0, 1]
    memory: 48G
    resources: {scope: 2}
    workdir: ~/exp
    python: ~/venv/bin/python
    setup: [module load cuda, ulimit -c 0]
    env: {OMP_PROC_BIND: true}
    ahead: 8h
    lost_after: 1h
    spool: /scratch/ana
  - {host: gpu1, gpus: free, ahead: 500, tags: gpu}
"""


def cluster(text: str) -> Cluster:
    return load_cluster(Path("/there/cluster.yaml"), text)


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        cluster(text)
    return [str(problem).removeprefix("/there/cluster.yaml:") for problem in caught.value.problems]


def test_every_key_becomes_an_entry() -> None:
    here, tower, gpu = cluster(FULL).entries()
    assert here == {"name": "localhost", "slots": 2, "tags": [], "lost_after": 1800}
    assert tower == {
        "name": "tower",
        "host": "192.0.2.9",
        "port": 2222,
        "user": "ana",
        "key": "/there/keys/id_lab",
        "known_hosts": "/etc/hosts_of_lab",
        "slots": 16,
        "tags": ["x86", "fast"],
        "gpus": [0, 1],
        "memory": 48 << 30,
        "resources": {"scope": 2},
        "workdir": "~/exp",
        "python": "~/venv/bin/python",
        "setup": "module load cuda\nulimit -c 0",
        "env": {"OMP_PROC_BIND": "true"},
        "ahead": {"seconds": 28800},
        "lost_after": 3600,
        "spool": "/scratch/ana",
    }
    assert gpu == {
        "name": "gpu1",
        "host": "gpu1",
        "slots": 0,
        "tags": ["gpu"],
        "gpus": "free",
        "ahead": 500,
        "lost_after": 1800,
    }
    json.dumps(cluster(FULL).entries())
    assert fits(parse(FULL, "").value, SCHEMA)


def test_localhost_is_this_machine_unless_ssh_is_meant() -> None:
    assert "host" not in cluster("nodes: [{host: localhost}]").entries()[0]
    assert cluster("nodes: [{host: localhost, port: 2222}]").entries()[0]["host"] == "localhost"
    assert cluster("nodes: [{host: '::1', user: ana, name: x}]").entries()[0]["host"] == "::1"


def test_all_mistakes_are_told_at_once_and_where() -> None:
    text = """\
nmae: x
nodes:
  - {name: tower, hots: 192.0.2.9, slots: 0}
  - {name: tower, host: ana@tower}
  - {name: big, host: login1, slot: 2}
  - {name: a b, port: 99999, gpus: 2, ahead: soon}
  - {hostname: h, workers: 3, private_key: k}
"""
    assert problems(text) == [
        '1:1: "nmae" is no key of a cluster; did you mean "name"?',
        '3:19: "hots" is no key of a node; did you mean "host"?',
        '3:43: "slots" must be at least 1, not 0',
        '4:25: "ana@tower" is more than a host; write user: ana, host: tower',
        '5:31: "slot" is no key of a node; did you mean "slots"?',
        '6:12: "a b" can\'t be the name of a node; a name has letters, digits and _ . @ % + -, as in: tower',
        '6:17: "port" is for a machine reached by SSH, and this node has no "host"',
        "6:23: a port lies between 1 and 65535, and this is 99999",
        '6:36: "gpus" takes indices, all or free, not the number 2; as in gpus: [0, 1]',
        '6:46: "ahead" takes a number of tasks or a time, not "soon"; as in ahead: 8h, or ahead: 500',
        '7:6: "hostname" is no key of a node; did you mean "host"?',
        '7:19: "workers" is no key of a node; did you mean "slots"?',
        '7:31: "private_key" is no key of a node; did you mean "key"?',
    ]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "the file is empty; it needs nodes"),
        ("- a\n", "must be a mapping with nodes, not a list"),
        ("name: x\n", 'there is no "nodes"; add them'),
        ("hosts: []\n", '"hosts" is no key of a cluster; did you mean "nodes"?'),
        ("nodes: []\n", "a cluster has one node at least"),
        ("nodes: {tower: 1}\n", '"nodes" must be a list of nodes, not a mapping'),
        ("nodes: [tower]\n", "must be a node, such as {name: tower, host: 192.0.2.9}"),
        ("nodes: [{slots: 1}, {slots: 2}]\n", 'two nodes are called "localhost"'),
        ("nodes: [{host: tower:22}]\n", "write host: tower, port: 22"),
        ("nodes: [{host: '[::1]:22'}]\n", "write host: ::1, port: 22"),
        (
            'nodes: [{host: a, user: "LAB\\ana"}]\n',
            "a control character; a backslash in double quotes begins an escape",
        ),
        ("nodes: [{host: a b}]\n", '"a b" is no host'),
        ("nodes: [{host: a, workdir: exp}]\n", '"exp" must begin with / or ~/; it is a folder on the node'),
        ("nodes: [{host: a, python: bin/python}]\n", '"bin/python" must be a name, or begin with / or ~/'),
        ("nodes: [{host: a, spool: tmp}]\n", '"tmp" must begin with / or ~/'),
        ("nodes: [{host: a, tags: [not x]}]\n", '"not x" is no tag'),
        ("nodes: [{host: a, gpus: [x]}]\n", '"gpus" must be a whole number'),
        ("nodes: [{host: a, memory: 4}]\n", 'the memory "4" has no unit'),
        ("nodes: [{resources: {cpus: 4}}]\n", '"cpus" can\'t be the name of a resource; each node says itself'),
        ("nodes: [{resources: {scope: 0}}]\n", "must be at least 1"),
        ("nodes: [{host: a, lost_after: never}]\n", '"never" is no time'),
        ("nodes: [{host: a, env: {TUI_LAB_NODE: x}}]\n", "is set for every task already"),
        ("nodes: [{host: a, env: {PATH: '/x:$PATH'}}]\n", "setup may do that: `export PATH="),
        ("lost_after: x\nnodes: [{host: a}]\n", '"x" is no time'),
        (f"nodes: [{{host: {'a' * 60}}}]\n", "is too long for a node"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    assert said in "\n".join(problems(text))


@pytest.mark.parametrize("key", list(keys_of(ClusterNode)))
def test_examples_load_and_fit(key: str) -> None:
    for example in keys_of(ClusterNode)[key].examples or []:
        text = f"nodes: [{{host: h, {key}: {flow(example)}}}]\n" if key != "host" else f"nodes: [{{host: {example}}}]\n"
        cluster(text)
        assert fits(parse(text, "").value, SCHEMA), text


def test_empty_values_are_none() -> None:
    for key in keys_of(ClusterNode):
        text = f"nodes: [{{host: h, {key}: }}]\n" if key != "host" else "nodes: [{host: }]\n"
        assert set(cluster(text).entries()[0]) == {"name", "slots", "tags"} | ({"host"} if key != "host" else set())
        assert fits(parse(text, "").value, SCHEMA), text


@pytest.mark.parametrize(
    "line", ["slots: 0", "port: 70000", "gpus: 2", "workdir: x", "slot: 1", "host: a@b", "name: a b"]
)
def test_editors_see_these_mistakes(line: str) -> None:
    text = f"nodes: [{{{line}}}]\n"
    assert problems(text)
    assert not fits(parse(text, "").value, SCHEMA)


def test_schema_and_reference_are_whole() -> None:
    node: dict[str, Any] = SCHEMA["properties"]["nodes"]["items"]
    assert list(node["properties"]) == [*keys_of(ClusterNode), *KEYS.own]
    assert all(schema["description"] for schema in node["properties"].values())
    lines = cluster_reference().splitlines()
    for key in (*keys_of(Cluster), *keys_of(ClusterNode)):
        assert any(line.startswith(f"| `{key}` |") for line in lines)
