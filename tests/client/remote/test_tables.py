"""Tables of results on their way to a mirror."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from tui_lab.client.remote.tables import TableSender, take
from tui_lab.results import cache

METRICS = {"metrics": {"loss": ["loss", "print", "float"]}, "again": []}


def write(path: Path, losses: dict[int, float | None], mtime: int) -> None:
    tasks = list(losses)
    attempts = pl.Series([1 if losses[task] is not None else None for task in tasks], dtype=pl.Int32)
    frame = pl.DataFrame({"task_id": tasks, "attempt": attempts, "loss": list(losses.values()), "state": "x"})
    cache.write(path, frame.with_columns(pl.col("loss").cast(pl.Float64)), METRICS)
    os.utime(path, ns=(mtime, mtime))


def values(path: Path) -> dict[int, float | None]:
    found = cache.read(path)
    assert found is not None
    return dict(found[0].select("task_id", "loss").rows())


def test_only_rows_of_tasks_that_differ_are_sent(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    there, here = tmp_path / "there" / "results.parquet", tmp_path / "here" / "results.parquet"
    sender = TableSender()
    many = {task: float(task) for task in range(10_000)}
    write(there, {**many, 10_000: None}, 1000)
    first = sender.news(there, "e/results.parquet", 0)
    assert first is not None
    take(here, *first)
    assert values(here) == many, "tasks without an attempt have no values"
    found = cache.read(here)
    assert found is not None and found[1]["metrics"] == METRICS["metrics"]
    assert sender.news(there, "e/results.parquet", 1000) is None
    write(there, {**many, 7: 0.5, 10_000: 1.5}, 2000)
    second = sender.news(there, "e/results.parquet", 1000)
    assert second is not None
    assert second[0].changed == [[7, 7], [10_000, 10_000]]
    assert len(second[1]) < len(first[1]) / 10
    take(here, *second)
    assert values(here) == {**many, 7: 0.5, 10_000: 1.5}
    assert list(values(here)) == sorted(values(here))


def test_rows_of_another_table_are_not_taken(tmp_path: Path) -> None:
    there, here = tmp_path / "results.parquet", tmp_path / "here.parquet"
    sender = TableSender()
    write(there, {1: 1.0}, 1000)
    assert sender.news(there, "f", 0) is not None
    write(there, {1: 2.0}, 2000)
    news = sender.news(there, "f", 1000)
    assert news is not None
    write(here, {1: 3.0}, 500)
    take(here, *news)
    assert not here.exists(), "all rows come the next time"
    whole = sender.news(there, "f", 0)
    assert whole is not None and whole[0].base == 0
