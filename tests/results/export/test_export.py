"""Tables that leave the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tui_lab.results.export.described import METADATA, describe_columns, paper_table, write_described, write_parquet
from tui_lab.results.export.output import OutputError
from tui_lab.results.statistics.report import make
from tui_lab.results.tables import Results, refresh

SWEEP = """\
command: ./train.py {lr}
parameters:
  lr: [0.1, 0.01]
repeat: 3
metrics:
  acc: {pattern: 'acc (@float@)', goal: max}
  speed: {pattern: 'speed (@quantity@)', unit: MB/s, goal: max}
"""


def swept(disk: Any) -> Results:
    folder = disk.submit(SWEEP)
    disk.run_all(folder, lambda task: f"acc {0.5 + (task < 3) / 10 + task % 3 / 100}\nspeed {task} MB/s\n")
    return refresh(folder)


def test_parquet_says_what_its_columns_are(disk: Any, tmp_path: Path) -> None:
    results = swept(disk)
    file = tmp_path / "grid.parquet"
    columns = describe_columns(results, results.grid.columns)
    write_described(results.grid, None, file, {"experiment": "grid"}, columns)
    assert pl.read_parquet(file).equals(results.grid), "types stay as they are"
    about = json.loads(pl.read_parquet_metadata(file)[METADATA])
    assert (about["schema_version"], about["experiment"]) == (1, "grid")
    assert about["columns"]["lr"] == {"kind": "parameter"}
    assert about["columns"]["duration"] == {"kind": "fact", "unit": "s"}
    assert about["columns"]["speed"] == {
        "kind": "metric",
        "name": "speed",
        "unit": "MB/s",
        "goal": "max",
        "read": {"pattern": "speed (@quantity@)"},
    }
    assert not list(tmp_path.glob(".*partial"))


def test_a_file_that_cannot_be_written(disk: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_parquet(pl.DataFrame({"a": [1]}), tmp_path / "no" / "x.parquet", {}, {})


def test_a_table_for_a_paper(disk: Any, tmp_path: Path) -> None:
    table = paper_table(make(swept(disk)))
    assert table.to_dicts() == [
        {"lr": 0.1, "acc": "**0.610 ± 0.025**", "speed [MB/s]": "1.0 ± 2.5", "n": 3},
        {"lr": 0.01, "acc": "0.510 ± 0.025", "speed [MB/s]": "**4.0 ± 2.5**", "n": 3},
    ]
    file = tmp_path / "t.md"
    write_described(table, None, file, {}, {})
    assert file.read_text().splitlines() == [
        "| lr | acc | speed [MB/s] | n |",
        "| ---: | --- | --- | ---: |",
        "| 0.1 | **0.610 ± 0.025** | 1.0 ± 2.5 | 3 |",
        "| 0.01 | 0.510 ± 0.025 | **4.0 ± 2.5** | 3 |",
    ]
