"""What a task left on its node: shown, fetched, and asked for by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.stand_in import standing_in
from tests.workbench import Workbench, rewritten
from tui_lab.client.elsewhere import bring, left_on_nodes
from tui_lab.store.environment import capture

GRID = "command: echo {x}\nparameters: {x: [1, 2, 3]}\n"
LEFT: list[dict[str, Any]] = [
    {"name": "model.pt", "size": 4},
    {"name": "ckpt/last.pt", "size": 3 << 20},
    {"name": "odd[1].bin", "size": 5},
]


def ran(workbench: Workbench, **more: Any) -> None:
    """A run whose first task left files on its node."""
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")

    def with_left(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for event in events:
            if event["event"] == "finished" and event["task"] == 0:
                event |= {"left": LEFT, **more}
        return events

    with standing_in(workbench.lab_path):  # the engine has ended
        rewritten(workbench.lab_path / "grid" / "journal.jsonl", with_left)
        (workbench.lab_path / "grid" / "state.parquet").unlink(missing_ok=True)


def come(workbench: Workbench) -> Any:
    """An engine's answer: the files come."""

    def fetch(request: dict[str, Any]) -> dict[str, Any]:
        sizes = {one["name"].replace("[", "[[]"): one["size"] for one in LEFT}
        for name in request["globs"]:
            path = workbench.lab_path / "grid" / "tasks" / "0" / "0" / name.replace("[[]", "[")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(bytes(sizes[name]))
        return {"files": len(request["globs"]), "bytes": sum(sizes[name] for name in request["globs"])}

    return fetch


def test_a_name_that_a_node_gave_leads_to_no_file_of_ours(workbench: Workbench) -> None:
    place = workbench.lab_path / "grid" / "tasks" / "0" / "0"
    outside = workbench.lab_path / "outside"
    names = ["../../../../outside", str(outside)]
    ran(workbench, left=[{"name": name, "size": 4} for name in names])
    outside.write_text("ours")
    assert (place / names[0]).resolve() == outside.resolve()
    found = workbench.inside("show", "0", "--json").json()
    assert [(one["name"], one["home"]) for one in found["left"]] == [(name, False) for name in names]


@pytest.mark.slow
def test_show_lists_what_stayed_and_fetch_brings_it(workbench: Workbench) -> None:
    ran(workbench)
    text = workbench.inside("show", "0").out
    assert "stayed on localhost: 3 files, 3.0 MiB; `tui-lab fetch grid/0` fetches them" in text
    assert "       4 B  model.pt" in text
    place = workbench.lab_path / "grid" / "tasks" / "0" / "0"
    with standing_in(workbench.lab_path, fetch=come(workbench)) as engine:
        left = left_on_nodes(place, (".pt",))
        assert [(one.name, one.size, one.host) for one in left[:1]] == [("model.pt", 4, "localhost")]
        bring(place, left[0], {}, lambda _: None)
        assert (place / "model.pt").read_bytes() == bytes(4)
        (place / "model.pt").unlink()
        engine.requests.clear()
        assert workbench("fetch", "0", "**/*.pt").err == "grid/0: 2 files, 3.0 MiB from localhost\n"
        asked = {"experiment": "grid", "task": 0, "attempt": 1, "globs": ["model.pt", "ckpt/last.pt"]}
        assert engine.asked("fetch") == [asked]
        assert "PATH" in engine.requests[-1]["environment"]
    found = workbench.inside("show", "0", "--json").json()
    assert [(one["name"], one["home"]) for one in found["left"]] == [
        ("model.pt", True),
        ("ckpt/last.pt", True),
        ("odd[1].bin", False),
    ]
    assert "1 file, 5 B" in workbench.inside("show", "0").out
    with standing_in(workbench.lab_path, fetch=come(workbench)) as engine:
        fetched = workbench("fetch", "grid", "--json").json()["fetched"]
        assert engine.asked("fetch")[0]["globs"] == ["odd[[]1].bin"]
    assert fetched == [{"experiment": "grid", "task": 0, "attempt": 1, "node": "localhost", "files": 1, "bytes": 5}]
    assert "stayed on" not in workbench.inside("show", "0").out
    assert "all these files are here already" in workbench("fetch", "0", code=0).err


@pytest.mark.slow
def test_mistakes(workbench: Workbench) -> None:
    ran(workbench)
    assert "grid/1: nothing stayed on a node" in workbench.inside("fetch", "1", code=0).err
    told = workbench.inside("fetch", "0", "*.txt", code=2).err
    assert "grid/0 left no file that matches *.txt; what stayed: model.pt, ckpt/last.pt, odd[1].bin" in told
    assert "nothing stayed" in workbench.inside("fetch", "0.7", code=0).err
    assert "has no task 9" in workbench.inside("fetch", "9", code=2).err
    refused = {"ok": False, "error": "node localhost: can't be reached", "storage": True}
    with standing_in(workbench.lab_path, fetch=refused):
        assert workbench("fetch", "0", code=3).err == "tui-lab: node localhost: can't be reached\n"


@pytest.mark.slow
def test_more_than_the_journal_lists(workbench: Workbench) -> None:
    ran(workbench, left_more={"files": 2000, "size": 5 << 30})
    assert "stayed on localhost, too: 2,000 further files, 5.0 GiB" in workbench.inside("show", "0").out
    with standing_in(workbench.lab_path, fetch={"files": 2003, "bytes": 5 << 30}) as engine:
        assert "2,003 files, 5.0 GiB" in workbench("fetch", "0").err
        workbench("fetch", "0", "x/*")
        assert [one["globs"] for one in engine.asked("fetch")] == [["**"], ["x/*"]]


def test_show_names_the_facts_of_the_node(workbench: Workbench) -> None:
    workbench.write("grid.yaml", GRID)
    workbench.run("grid.yaml")
    facts = {"os": "Debian GNU/Linux 12", "kernel": "6.1.0", "cpu": "EPYC 7763", "cores": 64, "python": "3.11.2"}
    with standing_in(workbench.lab_path):
        digest = capture(workbench.lab_path / "grid", facts)
        known = {"event": "environment", "at": 1.0, "node": "localhost", "digest": digest}
        rewritten(
            workbench.lab_path / "grid" / "journal.jsonl",
            lambda events: [known, *(event for event in events if event["event"] != "environment")],
        )
        (workbench.lab_path / "grid" / "state.parquet").unlink(missing_ok=True)
    text = workbench.inside("show", "1").out
    assert "node localhost: Debian GNU/Linux 12, 6.1.0, EPYC 7763 (64 cores), Python 3.11.2" in text
    assert workbench.inside("show", "1", "--json").json()["node_facts"] == facts
