"""The samples of nodes: real types, whatever stands in the file."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import polars as pl
import pytest

from tui_lab.results.node_samples import COLUMNS, last_samples, node_samples

FIRST = {
    "node": "tower",
    "at": 1700000000.25,
    "state": "up",
    "slots": 16,
    "used": 3,
    "open": 19,
    "load": 2,
    "memory": 64 << 30,
    "memory_used": 12 << 30,
    "latency": 0.035,
    "clock_offset": -0.2,
    "gpus": [{"index": 0, "used": 80, "memory_used": 1 << 30, "memory": 24 << 30}],
}


def written(folder: Path, *lines: object) -> Path:
    path = folder / "nodes.jsonl"
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_real_types(tmp_path: Path) -> None:
    table = node_samples(written(tmp_path, FIRST, {"node": "here", "at": 1700000001, "state": "away"}))
    assert dict(table.schema) == COLUMNS
    first, second = table.rows(named=True)
    assert first["at"] == datetime.datetime(2023, 11, 14, 22, 13, 20, 250000, datetime.UTC)
    assert (first["load"], first["slots"], first["memory"]) == (2.0, 16, 64 << 30)
    assert json.loads(first["gpus"])[0]["used"] == 80
    assert (second["node"], second["state"], second["slots"], second["gpus"]) == ("here", "away", None, None)


def test_further_names_are_kept(tmp_path: Path) -> None:
    table = node_samples(written(tmp_path, FIRST, {**FIRST, "temperature": 71, "rack": "b"}))
    assert table.columns == [*COLUMNS, "temperature", "rack"]
    assert table["temperature"].to_list() == [None, 71]
    assert table["rack"].dtype == pl.String


def test_damage_is_passed_over(tmp_path: Path) -> None:
    torn = '{"node": "tower", "at": 17000'
    path = written(tmp_path, "nonsense\n", "[1]\n", {"node": 3, "at": "yesterday", "slots": "many", "load": True}, torn)
    assert node_samples(path).rows(named=True)[0] | {"node": None} == dict.fromkeys(COLUMNS) | {"load": 1.0}
    assert node_samples(written(tmp_path, {"at": 1e300}, {"at": float("nan")}))["at"].to_list() == [None, None]


@pytest.mark.parametrize("lines", [[], ["\n"]])
def test_no_samples_is_an_empty_table(tmp_path: Path, lines: list[str]) -> None:
    assert dict(node_samples(written(tmp_path, *lines)).schema) == COLUMNS
    assert node_samples(tmp_path / "missing").is_empty()


def test_the_last_of_each_node(tmp_path: Path) -> None:
    path = written(tmp_path, FIRST, {"node": "here"}, {**FIRST, "used": 9}, {"used": 1})
    assert [(one["node"], one.get("used")) for one in last_samples(path)] == [("tower", 9), ("here", None)]
