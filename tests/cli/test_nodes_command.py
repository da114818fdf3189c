"""`tui-lab nodes`, `status --nodes`, `clean --nodes`: what they ask of the engine, and what they show."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.cli.stand_in import standing_in
from tests.workbench import Workbench
from tui_lab.cli.output.node_table import facts_line
from tui_lab.protocol.agent import Facts
from tui_lab.store.lab import Lab

GIB = 1 << 30
UP = {
    "name": "tower",
    "state": "up",
    "slots": 16,
    "used": 3,
    "open": 19,
    "load": 2.25,
    "memory": 64 * GIB,
    "memory_used": 12.2 * GIB,
    "gpus": [{"index": 0, "used": 80, "memory_used": 5.5 * GIB, "memory": 24 * GIB}],
    "latency": 0.035,
    "clock_offset": -3.0,
    "host": "192.0.2.9",
    "error": "",
    "tasks": [["grid", number, 1 + number // 6] for number in range(7)],
    "tags": ["gpu"],
    "facts": {},
}
DOWN: dict[str, Any] = {
    **UP,
    "name": "a-node-with-quite-a-long-name",
    **dict.fromkeys(("load", "memory", "memory_used", "latency", "clock_offset")),
    "state": "quarantined",
    "error": "the host key of 192.0.2.10 is another than the one in known_hosts",
    "gpus": [],
    "tasks": [],
    "used": 0,
    "open": 0,
}


def test_the_table(workbench: Workbench) -> None:
    with standing_in(workbench.lab_path, nodes={"nodes": [UP, DOWN]}):
        text = workbench("nodes", env={"COLUMNS": "120"}).out
        narrow = workbench("nodes", env={"COLUMNS": "80"}).out
    lines = text.splitlines()
    assert lines[0].split() == ["node", "state", "slots", "load", "memory", "GPUs", "latency", "clock", "tasks"]
    tower = next(line for line in lines if line.startswith("tower"))
    assert tower.split("  ")[0] == "tower"
    for cell in ("up", "3/16", "2.2", "12/64G", "80% 5.5/24G", "35 ms", "-3 s", "19"):
        assert cell in tower
    assert "  tower has grid/0, grid/1, grid/2, grid/3, grid/4 and 2 more" in lines
    assert "! a-node-with-quite-a-long-name: the host key of 192.0.2.10 is another" in text
    table = [line for line in narrow.splitlines() if not line.startswith(("!", "  tower"))]
    assert max(map(len, table)) <= 80
    for cell in ("quarantined", "3/16", "12/64G", "35 ms", "-3 s", "19"):
        assert any(cell in line for line in table), narrow


def test_columns_without_anything_in_them_are_left_out(workbench: Workbench) -> None:
    with standing_in(
        workbench.lab_path, nodes={"nodes": [{"name": "here", "state": "up", "slots": 2, "used": 0, "open": 0}]}
    ):
        assert workbench("nodes").out.splitlines() == ["node state slots tasks", "here up      0/2     0"]


def test_several_gpus_are_summed_up_and_told_one_by_one(workbench: Workbench) -> None:
    cards = [{"index": i, "used": 40 * i, "memory_used": i * GIB, "memory": 80 * GIB} for i in range(3)]
    with standing_in(workbench.lab_path, nodes={"nodes": [{**UP, "name": "gpu-node-17.cluster", "gpus": cards}]}):
        text = workbench("nodes").out
    assert "3 x 40% 3.0/240G" in text
    assert "  gpu-node-17.cluster GPUs 0: 0% 0.0/80G, 1: 40% 1.0/80G, 2: 80% 2.0/80G\n" in text
    assert max(map(len, text.splitlines()[:2])) <= 80


AWAY = {
    **{name: value for name, value in DOWN.items() if name not in ("load", "memory_used", "latency", "clock_offset")},
    "name": "far",
    "state": "away",
    "error": "no way to 192.0.2.10",
    "slots": 2,
    "open": 3,
    "tasks": [["grid", 7, 1], ["grid", 8, 1]],
    "away_for": 40.2,
    "lost_in": 559.8,
    "stopping": 0,
    "memory": 64 * GIB,
}


def test_a_node_that_is_away_says_since_when_and_what_becomes_of_its_tasks(workbench: Workbench) -> None:
    since = "! far: away for 40 s (no way to 192.0.2.10)"
    for nodes, said in (
        ([UP, AWAY], since + "; lost in 9 min 20 s, then its 3 tasks run elsewhere"),
        ([AWAY], since + "; lost in 9 min 20 s, then its 3 tasks are pending again"),
        ([UP, {**AWAY, "open": 1}], since + "; lost in 9 min 20 s, then its 1 task runs elsewhere"),
        (
            [UP, {**AWAY, "stopping": 1}],
            since + "; lost in 9 min 20 s, then its 3 tasks run elsewhere, but 1 to be stopped",
        ),
        (
            [UP, {**AWAY, "stopping": 3}],
            since + "; its 3 tasks will be stopped when it is back; the engine waits 9 min 20 s more",
        ),
        ([UP, {**AWAY, "open": 0, "tasks": []}], since),
        ([UP, {**AWAY, "state": "lost", "lost_in": None}], since.replace("away", "lost, away")),
        (
            [UP, {**AWAY, "state": "failed", "open": 0}],
            "! far: no way to 192.0.2.10; after a repair: tui-lab nodes reconnect far",
        ),
    ):
        with standing_in(workbench.lab_path, nodes={"nodes": nodes}):
            lines = workbench.inside("nodes").out.splitlines()
        assert said in lines, lines
    row = next(line for line in lines if line.startswith("far"))
    assert row.split() == ["far", "failed", "0/2", "64G", "0"]  # nothing of the past


def test_stop_says_where_tasks_can_not_be_stopped_now(workbench: Workbench) -> None:
    there = {"experiment": "grid", "node": "near", "tasks": 2, "error": ""}
    away = {"experiment": "grid", "node": "far", "tasks": 3, "error": "no way", "away_for": 5.0, "lost_in": 595.0}
    going = {"active": ["grid"], "notice": "", "nodes": [], "pid": 1}
    with standing_in(workbench.lab_path, status=going, stop={"stopped": 9, "stopping": [there, away]}):
        lines = workbench("stop").err.splitlines()
    assert lines[0] == "grid: stopping 9 tasks"
    assert lines[1].startswith("grid: 3 tasks on far, which is away (no way): they are stopped as soon as it is back.")
    assert lines[1].endswith(", for 9 min 55 s; `tui-lab nodes` shows its state")
    assert len(lines) == 2


def test_json_is_what_the_engine_says(workbench: Workbench) -> None:
    with standing_in(workbench.lab_path, nodes={"nodes": [UP, DOWN]}):
        found = workbench("nodes", "--json").json()
        assert (found["schema_version"], found["engine"]) == (1, True)
        for nodes in (found["nodes"], workbench("status", "--nodes", "--json").json()["nodes"]):
            assert [one["name"] for one in nodes] == [UP["name"], DOWN["name"]]
            assert [one["node"] for one in nodes] == [UP["name"], DOWN["name"]]
            for one, known in zip(nodes, (UP, DOWN), strict=True):
                cards = zip(one.get("gpus") or [], known.get("gpus") or [], strict=True)
                assert all(said.items() >= card.items() for said, card in cards), "what a card does not tell is null"
                plain = {key: value for key, value in known.items() if key != "gpus"}
                assert {key: one.get(key) for key in plain} == plain


@pytest.mark.slow
def test_status_shows_the_same_table(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\n")
    workbench.run("grid.yaml")
    with standing_in(workbench.lab_path, nodes={"nodes": [UP]}):
        table = workbench("nodes", env={"COLUMNS": "100"}).out
        text = workbench("status", "--nodes", env={"COLUMNS": "100"}).out
    assert "grid" in text.splitlines()[1]
    assert text.endswith("\n" + table)


def test_without_an_engine_the_last_samples_are_shown(workbench: Workbench) -> None:
    Lab.create(workbench.lab_path)
    assert workbench("nodes").out == "no engine is running\n"
    samples = [{"node": "tower", "at": time.time() - 7200, "state": "up", "slots": 16, "used": used} for used in (1, 2)]
    (workbench.lab_path / "nodes.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    text = workbench("nodes").out
    assert text.startswith("no engine is running; the last known state of its nodes:\n")
    assert "2/16" in text and "2 h ago" in text and "1/16" not in text
    facts = {"cores": 64, "python": "3.11.2", "memory": 64 * GIB, "memory_used": GIB, "load": 2.5, "latency": 0.1}
    gpus = [{"index": 0, "used": 80, "memory_used": 5 * GIB, "memory": 24 * GIB}]
    last = {"node": "big", "at": time.time() - 3600, "state": "away", "error": "no way", "gpus": gpus, **facts}
    with (workbench.lab_path / "nodes.jsonl").open("a") as file:
        file.write(json.dumps(last) + "\n")
    for width in (120, 50):  # of the past the age is told before all else
        text = workbench("nodes", env={"COLUMNS": str(width)}).out
        assert "1 h ago" in text and "2 h ago" in text and "! big: no way" in text
        assert max(map(len, text.splitlines()[1:4])) <= width
    assert "64 3.11.2" in workbench("nodes", env={"COLUMNS": "120"}).out
    found = workbench("nodes", "--json").json()
    assert found["engine"] is False and found["nodes"][0]["used"] == 2


def test_changes_are_asked_of_the_engine(workbench: Workbench) -> None:
    names = ("node_set", "node_drain", "node_resume", "node_reconnect", "node_add")
    there = [{**UP, "name": name} for name in ("tower", "localhost")]
    answers: dict[str, Any] = {**{name: {} for name in names}, "node_add": {"experiments": ["grid"]}}
    with standing_in(workbench.lab_path, nodes={"nodes": there}, **answers) as engine:
        assert "8 tasks at once" in workbench("nodes", "set", "tower", "slots=8").err
        assert "tui-lab nodes resume tower" in workbench("nodes", "drain", "tower", "big").err
        workbench("nodes", "resume", "tower")
        done = workbench("nodes", "reconnect", "tower", "--json").json()["done"]
        assert done == [{"command": "node_reconnect", "node": "tower", "state": "up", "error": ""}]
        said = workbench("nodes", "add", "--node", "localhost", "3", "gpu").err
        assert said == "localhost: joins all running experiments\nlocalhost: is up\n"
        assert engine.asked("node_set") == [{"node": "tower", "slots": 8}]
        assert engine.asked("node_drain") == [{"node": "tower"}, {"node": "big"}]
        assert engine.asked("node_resume") == engine.asked("node_reconnect") == [{"node": "tower"}]
        added = engine.asked("node_add")[0]
        assert all("PATH" in one["environment"] for one in engine.requests if one["command"] == "node_add")
        assert added["experiments"] is None
        assert added["entry"]["name"] == "localhost" and added["entry"]["slots"] == 3
        assert added["entry"]["tags"] == ["gpu"]


def test_what_the_engine_refuses_is_said(workbench: Workbench) -> None:
    refused = {"ok": False, "error": 'there is no node "towr"', "hint": 'did you mean "tower"?'}
    with standing_in(workbench.lab_path, node_drain=refused):
        told = workbench("nodes", "drain", "towr", code=2).err
    assert told == 'tui-lab: there is no node "towr"; did you mean "tower"?\n'


def test_mistakes(workbench: Workbench) -> None:
    Lab.create(workbench.lab_path)
    for words, message in {
        ("drian", "tower"): 'nodes: there is no "drian"; did you mean "drain"?',
        ("set", "tower"): "as in: tui-lab nodes set tower slots=8",
        ("set", "tower", "8"): "as in: tui-lab nodes set tower slots=8",
        ("set", "tower", "slots=0"): "`tui-lab nodes drain tower` gives it no tasks",
        ("drain",): "nodes drain: which node?",
        ("add",): "nodes add: which node?",
        ("--node", "x"): "tui-lab nodes add --node",
        ("drain", "tower", "--node", "x"): "--node and --cluster belong to add",
        ("add", "nothing", "--node", "localhost"): 'there is no experiment "nothing"',
        ("drain", "tower"): "no engine is running",
    }.items():
        assert message in workbench.inside("nodes", *words, code=2).err


def test_clean_of_nodes(workbench: Workbench) -> None:
    Lab.create(workbench.lab_path)
    assert "nothing has run" in workbench("clean", "--nodes").out
    workbench.write("grid.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\n")
    workbench.run("grid.yaml")
    assert workbench("clean", "--nodes").out == (
        "would remove the lab's agents, spools and homes on localhost; --yes does it\n"
    )
    nodes = [{"name": "localhost", "removed": ["/tmp/a", "/tmp/b"], "error": ""}, {"name": "big", "removed": []}]
    with standing_in(workbench.lab_path, clean_nodes={"nodes": nodes}):
        assert workbench("clean", "--nodes", "--yes").out.splitlines() == [
            "localhost: removed /tmp/a, /tmp/b",
            "big: nothing was left",
        ]
    nodes[1]["error"] = "can't be reached"
    with standing_in(workbench.lab_path, clean_nodes={"nodes": nodes}):
        assert "! big: can't be reached" in workbench("clean", "--nodes", "--yes", code=3).err
    going = {"active": ["grid"], "notice": "", "nodes": [], "pid": 1}
    with standing_in(workbench.lab_path, status=going):
        assert "grid is running in this lab" in workbench("clean", "--nodes", "--yes", code=2).err
    assert "whole lab" in workbench("clean", "grid", "--nodes", code=2).err
    assert "which experiment" in workbench("clean", "--state", "failed", code=2).err


def test_a_node_in_a_line() -> None:
    facts: Facts = {
        "os": "Debian GNU/Linux 12", "kernel": "6.1.0", "cpu": "EPYC", "cores": 64, "memory": 256 * GIB,
        "python": "3.11.2", "gpus": [{"index": i, "name": "A100"} for i in range(2)],
    }  # fmt: skip
    assert facts_line(facts) == ("Debian GNU/Linux 12, 6.1.0, EPYC (64 cores), 256G of memory, 2 x A100, Python 3.11.2")
    assert facts_line({"cores": 1}) == "1 core"
    assert facts_line({}) == ""
