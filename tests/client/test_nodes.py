"""`--node`, `--cluster` and `run_on`: where tasks run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workbench import Workbench
from tui_lab.client.errors import UsageError
from tui_lab.client.nodes import read_nodes

TAGGED = "command: echo {x}\nparameters: {x: [1, 2]}\nrun_on: [gpu, not slow]\n"
CLUSTER = """\
nodes:
  - {name: here, slots: 2, tags: [gpu]}
  - {name: tower, host: 192.0.2.9, slots: 16}
"""


def test_tasks_run_where_the_tags_are(workbench: Workbench) -> None:
    workbench.write("tagged.yaml", TAGGED)
    workbench.run("tagged.yaml", "--node", "localhost", "2", "gpu", "fast")
    assert workbench.table("SELECT count(*) AS n FROM tagged") == [{"n": 2}]


def test_no_node_with_the_tags_is_told_at_its_place(workbench: Workbench) -> None:
    workbench.write("tagged.yaml", TAGGED)
    told = workbench.run("tagged.yaml", code=2).err
    assert "tagged.yaml:3:9: no node has these tags: localhost has none; tags are given as in" in told
    told = workbench.run("tagged.yaml", "--node", "localhost", "gpu", "slow", code=2).err
    assert "localhost has gpu, slow" in told
    workbench.write("tagged.yaml", TAGGED.replace("not slow", "a tag"))
    assert "'tagged.yaml:3:15: \"a tag\" is no tag'" in repr(workbench.run("tagged.yaml", code=2).err.split(";")[0])


def test_a_cluster_file_says_where(workbench: Workbench) -> None:
    workbench.write("tagged.yaml", TAGGED)
    workbench.write("c.yaml", CLUSTER)
    workbench.run("tagged.yaml", "--cluster", "c.yaml")
    assert workbench.table("SELECT DISTINCT node FROM tagged") == [{"node": "here"}]
    workbench.write("c.yaml", CLUSTER.replace("slots", "slot"))
    told = workbench.run("tagged.yaml", "--cluster", "c.yaml", code=2).err
    assert 'c.yaml:2:18: "slot" is no key of a node; did you mean "slots"?' in told
    assert "c.yaml:3:36" in told
    assert "nowhere.yaml" in workbench.run("tagged.yaml", "--cluster", "nowhere.yaml", code=2).err


def test_nodes_of_a_cluster_are_picked_by_name(workbench: Workbench) -> None:
    path = workbench.write("c.yaml", CLUSTER)
    here: dict[str, Any] = {"name": "here", "slots": 2, "tags": ["gpu"]}
    tower: dict[str, Any] = {"name": "tower", "slots": 16, "tags": [], "host": "192.0.2.9"}
    assert read_nodes([], [path]) == [here, tower]
    assert read_nodes([["tower"]], [path]) == [tower]
    assert read_nodes([["tower", "4", "fast"], ["new"]], [path]) == [
        {**tower, "slots": 4, "tags": ["fast"]},
        {"name": "new", "slots": 0, "tags": [], "host": "new"},
    ]
    assert read_nodes([["localhost", "3"]], [path]) == [{"name": "localhost", "slots": 3, "tags": []}]
    with pytest.raises(UsageError, match='the cluster has no node of this name; did you mean "tower"'):
        read_nodes([["towr"]], [path])
    with pytest.raises(UsageError, match="here is given twice"):
        read_nodes([], [path, path])


@pytest.mark.parametrize(
    "word, found",
    [
        ("localhost", {"name": "localhost"}),
        ("::1", {"name": "localhost"}),
        ("localhost:2222", {"name": "localhost-2222", "host": "localhost", "port": 2222}),
        ("ana@localhost", {"name": "ana@localhost", "host": "localhost", "user": "ana"}),
        ("tower", {"name": "tower", "host": "tower"}),
        ("ana@tower.example.org:22", {"name": "ana@tower.example.org-22", "port": 22}),
        ("ana@192.0.2.9", {"name": "ana@192.0.2.9", "host": "192.0.2.9", "user": "ana"}),
        ("[::1]:2222", {"name": "ip--1-2222", "host": "::1", "port": 2222}),
        ("2001:db8::7", {"name": "2001-db8--7", "host": "2001:db8::7"}),
        ("LAB\\ana@tower", {"name": "LAB-ana@tower", "host": "tower", "user": "LAB\\ana"}),
        ("ana@lab.example@tower:22", {"name": "ana@lab.example@tower-22", "host": "tower", "user": "ana@lab.example"}),
        ("ssh://ana@tower:2222", {"name": "ana@tower-2222", "host": "tower", "user": "ana", "port": 2222}),
        ("ssh://[::1]:2222", {"name": "ip--1-2222", "host": "::1", "port": 2222}),
        ("größe.example", {"name": "gr--e.example", "host": "größe.example"}),
        (".tower", {"name": "at.tower", "host": ".tower"}),
        ("[2001:db8::7]", {"name": "2001-db8--7", "host": "2001:db8::7"}),
    ],
)
def test_hosts(word: str, found: dict[str, Any]) -> None:
    (node,) = read_nodes([[word, "4", "gpu"]])
    assert node == {"slots": 4, "tags": ["gpu"], **node}
    assert {key: node.get(key) for key in found} == found
    assert ("host" in node) == (node["name"] != "localhost")


def test_slots_and_hosts_that_can_not_be_meant(workbench: Workbench) -> None:
    for words, said in (
        (["localhost", "0"], "at least one slot"),
        (["tower", "-2"], "at least one slot"),
        (["ana@"], "it is \\[USER@\\]HOST"),
        (["tower:ssh"], "it is \\[USER@\\]HOST"),
        (["tower:0"], "between 1 and 65535"),
        (["tower/lab"], "it is \\[USER@\\]HOST"),
        (["a" * 60], "too long for a name"),
    ):
        with pytest.raises(UsageError, match=said):
            read_nodes([words])
    workbench.write("x.yaml", "command: echo 1\n")
    assert "given twice" in workbench.run("x.yaml", "--node", "localhost", "1", "--node", "localhost", "2", code=2).err


def test_the_schema_of_clusters_is_printed(workbench: Workbench) -> None:
    schema = json.loads(workbench.inside("schema", "--cluster").out)
    assert schema["title"] == "cluster.yaml" and "nodes" in schema["properties"]
    assert "### Keys of a node" in workbench.inside("schema", "--cluster", "--reference").out
