"""One experiment, asked in every way: the summary of a run, `stats`, `best` and SQL say the same."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import polars as pl
import pytest

from tui_lab.cli.output.summary import best_settings
from tui_lab.results.sql.database import Database
from tui_lab.results.statistics.frame import frame
from tui_lab.results.statistics.report import Options, judge, make
from tui_lab.results.statistics.table import mean_texts
from tui_lab.results.statistics.warnings import warnings
from tui_lab.results.tables import refresh

SETTINGS, REPEATS = 3, 6
SWEEP = """command: run {s}
parameters: {s: [0, 1, 2]}
repeat: %d
metrics:
  m: {pattern: 'm=(@float@)'%s}
"""

Value = Callable[[int, int, random.Random], str | None]
KINDS: dict[str, tuple[str, Value]] = {
    "shares": ("max", lambda s, r, rng: str(int(rng.random() < [0.9, 0.5, 0.2][s]))),
    "rounded": ("max", lambda s, r, rng: "0.97" if s == 0 else f"{0.97 + rng.gauss(0, 0.02):.2f}"),
    "diverged": ("min", lambda s, r, rng: "nan" if s == 0 and r else f"{s + rng.gauss(0, 0.3):.6f}"),
    "crashed": ("min", lambda s, r, rng: None if s == 0 and r > 1 else f"{s + rng.gauss(0, 0.3):.6f}"),
    "silent": ("min", lambda s, r, rng: "none" if r % 2 else f"{s + rng.gauss(0, 1):.6f}"),
    "constant from 0": ("min", lambda s, r, rng: f"{s * 1.5}"),
    "all the same": ("min", lambda s, r, rng: "5"),
    "far from 0": ("min", lambda s, r, rng: f"{1e9 + 1e-6 * (10 * s + rng.randrange(8)):.6f}"),
    "negative": ("min", lambda s, r, rng: f"{s - 5 + rng.gauss(0, 0.5):.6f}"),
    "skewed": ("min", lambda s, r, rng: f"{math.exp(rng.gauss(s / 5, 1)):.6f}"),
    "more is better": ("max", lambda s, r, rng: f"{s + rng.gauss(0, 0.7):.6f}"),
    "no goal": ("", lambda s, r, rng: f"{s + rng.gauss(0, 0.7):.6f}"),
    "whole": ("min", lambda s, r, rng: str(rng.choice([1, 2, 3]))),
    "errors, mostly none": ("min", lambda s, r, rng: "0" if s == 0 else str(rng.choice([2, 17, 23]))),
    "huge": ("min", lambda s, r, rng: f"{(s + 1) * 1e307 * (1 + rng.random() / 9):.6e}"),
    "tiny": ("min", lambda s, r, rng: f"{(s + 1) * 1e-300 * (1 + rng.random() / 9):.6e}"),
}


@pytest.mark.parametrize("repeats", [REPEATS, 3, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_ask_gives_the_same(disk: Any, kind: str, repeats: int) -> None:
    goal, value = KINDS[kind]
    folder = disk.submit(SWEEP % (repeats, f", goal: {goal}" if goal else ""))
    rng = random.Random(kind)
    for row in folder.tasks().iter_rows(named=True):
        printed = value(row["s"], row["repeat"], rng)
        disk.run(folder, row["task_id"], f"m={printed}\n", "failed" if printed is None else "done")

    results = refresh(folder)
    told = frame(make(results)).to_dicts()
    keys = ("s", "n", "asked", "mean", "min", "max", "standing")
    with Database(disk.lab) as database:
        best = database.query("FROM best('m')").to_dicts()
        assert [[row[key] for key in keys] for row in best] == [[row[key] for key in keys] for row in told]
        by_sql = database.query("SELECT s, n(m) AS n, sd(m), se(m), ci95(m) FROM grid GROUP BY s").to_dicts()
        of = {row["s"]: row for row in by_sql}
        assert list(by_sql[0]) == ["s", "n", "sd(m)", "se(m)", "ci95(m)"], "columns are named as they were typed"
        narrow = {row["s"] for row in database.query("SELECT s FROM grid GROUP BY s HAVING ci95(m) < 1").to_dicts()}
    for row, beside in zip(told, best, strict=True):
        half = None if row["low"] is None else (row["high"] - row["low"]) / 2
        near = None if half is None else pytest.approx(half, rel=1e-9, abs=4 * math.ulp(row["high"]))
        assert beside["ci95"] == near
        assert (of[row["s"]]["n"], of[row["s"]]["sd(m)"], of[row["s"]]["se(m)"]) == (row["n"], row["sd"], row["se"])
        assert of[row["s"]]["ci95(m)"] == beside["ci95"]
        assert (row["s"] in narrow) == (half is not None and half < 1)
    summary = best_settings(results)
    if not goal:
        assert summary is None
        return
    assert summary is not None
    listed = [(one["parameters"]["s"], one["mean"], one["low"], one["standing"]) for one in summary["settings"]]
    assert listed == [(row["s"], row["mean"], row["low"], row["standing"]) for row in told if row["n"]]


def test_a_value_of_the_same_name_is_another(disk: Any) -> None:
    """What is known of a metric is not taken for what an inner query calls by its name."""
    folder = disk.submit(SWEEP % (3, ""))
    for row in folder.tasks().iter_rows(named=True):
        disk.run(folder, row["task_id"], f"m={0.5 if row['s'] == 0 else 0.5 + row['task_id'] / 10:.2f}\n")
    with Database(disk.lab) as database:
        inner = "FROM (SELECT s, m * 100 AS m FROM grid) GROUP BY s ORDER BY s"
        wide = database.query(f"SELECT ci95(m) AS half {inner}")["half"].to_list()
        narrow = database.query("SELECT ci95(m * 100) AS half FROM grid GROUP BY s ORDER BY s")["half"].to_list()
        assert wide == narrow
        plain = database.query('SELECT ci95(t."m") AS half FROM grid t GROUP BY s ORDER BY s')["half"].to_list()
        assert plain[0] > 2 * narrow[0] / 100, "values that are all equal scatter as those of other settings do"


def test_numbers_that_floats_do_not_tell_apart_are_told(disk: Any) -> None:
    folder = disk.submit(SWEEP.replace("@float@", "@int@") % (6, ", goal: min"))
    for row in folder.tasks().iter_rows(named=True):
        disk.run(folder, row["task_id"], f"m={row['s'] * 2**60 + row['task_id']}\n")
    assert any("2^53" in line for line in warnings(make(refresh(folder))))


@pytest.mark.parametrize("offset", [2**53 + 1, 2**60 + 1, -(2**62), 2**63, 10**30])
def test_large_whole_numbers_are_judged_as_their_differences(disk: Any, offset: int) -> None:
    folder = disk.submit(SWEEP.replace("@float@", "@int@") % (6, ", goal: max"))
    for row in folder.tasks().iter_rows(named=True):
        value = row["s"] * 7 + (row["repeat"] * 5) % 6
        disk.run(folder, row["task_id"], f"m={offset + value}\n")
    report = make(refresh(folder), Options(baseline="s=0"))
    large = report.metrics[0]
    values = pl.Series("m", [value - offset + 2 for value in report.results.grid["m"]])
    usual = judge("m", report.settings.samples(values), "max", baseline=report.baseline)
    assert [one.sd for one in large.summaries] == [one.sd for one in usual.summaries]
    assert [one.half for one in large.summaries] == pytest.approx([one.half for one in usual.summaries])
    assert [large.standing(place) for place in large.order] == [usual.standing(place) for place in usual.order]
    assert [one and one.difference for one in large.comparisons] == [
        one and one.difference for one in usual.comparisons
    ]
    assert [one and one.ratio for one in large.comparisons if one] == pytest.approx([1.0] * (len(large.order) - 1))
    assert [one.min for one in large.summaries] == [offset + int(one.min or 0) - 2 for one in usual.summaries]
    assert not any("2^53" in line for line in warnings(report))
    best = large.order[0]
    assert mean_texts(large, [best])[0].startswith(f"{Context(60).add(Decimal(offset), Decimal('16.5'))} ")


def test_two_large_whole_numbers_are_no_shares(disk: Any) -> None:
    folder = disk.submit(SWEEP.replace("@float@", "@int@") % (6, ", goal: max"))
    for row in folder.tasks().iter_rows(named=True):
        disk.run(folder, row["task_id"], f"m={2**60 + 1 + row['repeat'] % 2}\n")
    metric = make(refresh(folder)).metrics[0]
    assert not metric.known.binary
    assert not metric.known.deterministic
