"""What failed tasks share: planted conditions are found, and noise is not taken for one."""

from __future__ import annotations

import random
import time

import polars as pl
import pytest
from scipy.stats import hypergeom

from tui_lab.results.failures.clusters import Failure, clusters
from tui_lab.results.failures.shared import Condition, between, shared

COLUMNS = ["lr", "act", "width", "drop", "node", "repeat"]


def made_lab(seed: int, repeats: int = 3) -> pl.DataFrame:
    draw = random.Random(seed)
    rows = [
        {"lr": lr, "act": act, "width": width, "drop": draw.random(), "node": draw.choice("ab"), "repeat": repeat}
        for lr in (0.01, 0.1, 1.0, 6.0, 10.0)
        for act in ("relu", "gelu", "tanh")
        for width in (16, 32, 64)
        for repeat in range(repeats)
    ]
    return pl.DataFrame(rows).with_row_index("task_id")


def failing(frame: pl.DataFrame, where: pl.Expr) -> tuple[pl.DataFrame, list[int]]:
    state = pl.when(where).then(pl.lit("failed")).otherwise(pl.lit("done")).alias("state")
    frame = frame.with_columns(state)
    return frame, frame.filter(state="failed")["task_id"].to_list()


PLANTED = {
    "lr >= 6": pl.col("lr") >= 6,
    "lr = 10": pl.col("lr") == 10,
    "lr <= 0.1": pl.col("lr") <= 0.1,
    "act IN ('gelu', 'tanh')": pl.col("act") != "relu",
    "act = 'relu'": pl.col("act") == "relu",
    "node = 'b'": pl.col("node") == "b",
    "drop >= 0.9": pl.col("drop") >= 0.9,
    "lr >= 6 AND act = 'relu'": (pl.col("lr") >= 6) & (pl.col("act") == "relu"),
}


@pytest.mark.parametrize("condition", PLANTED)
def test_a_planted_condition_is_found(condition: str) -> None:
    frame, tasks = failing(made_lab(1), PLANTED[condition])
    first = shared(frame, tasks, COLUMNS)[0]
    assert first.certain and {part.column for part in first.conditions} <= set(condition.replace("(", " ").split())
    assert (first.failed_inside, first.inside) == (len(tasks), len(tasks))
    if "drop" not in condition:
        assert first.sql == condition
    found = pl.SQLContext(t=frame).execute(f"SELECT task_id FROM t WHERE {first.sql}", eager=True)["task_id"]
    assert sorted(found) == tasks


def test_what_is_said() -> None:
    frame, tasks = failing(made_lab(1), pl.col("lr") >= 6)
    assert shared(frame, tasks, COLUMNS)[0].words == "all 54 with lr >= 6; none of 81 below"
    some = frame.with_columns(
        pl.when(pl.col("task_id") == tasks[0]).then(pl.lit("done")).otherwise("state").alias("state")
    )
    assert shared(some, tasks[1:], COLUMNS)[0].words == "all 53 with lr >= 6, where 1 is done; none of 81 below"
    assert Condition("lr", ">=", (0.0398107170553497,)).words == "lr >= 0.0398107"
    assert Condition("lr", "<=", (0.0398107170553497,)).words == "lr <= 0.0398108", "it holds for its own limit"
    more = [*tasks, 0, 1]
    assert shared(frame, more, COLUMNS)[0].words == "54 of 56 with lr >= 6; 2 of 81 below"
    assert shared(frame, tasks[:2], COLUMNS) == []  # two tell nothing
    assert shared(frame.filter(state="failed"), tasks, COLUMNS) == []  # none did better
    late = frame.with_columns(pl.when(pl.col("task_id") == 134).then(pl.lit("done")).otherwise("state").alias("state"))
    assert shared(late, tasks[:-1], ["repeat"]) == []  # each repeat failed as often as the others: that is chance
    waiting = frame.with_columns(pl.lit("pending").alias("state"))
    assert shared(waiting, tasks, COLUMNS) == []


def test_noise_is_not_taken_for_a_condition(request: pytest.FixtureRequest) -> None:
    """A claim is made in fewer than one in twenty labs in which tasks fail by chance."""
    count = 2000 if request.config.getoption("--long") else 150
    claims = 0
    for seed in range(count):
        draw = random.Random(seed)
        frame = made_lab(seed, repeats=2).with_columns(pl.lit("done").alias("state"))
        tasks = draw.sample(range(frame.height), draw.choice([3, 5, 9, 27]))
        found = shared(frame, tasks, COLUMNS)
        claims += any(one.certain for one in found)
        assert all(one.certain or one.words.endswith("; may be chance") for one in found)
    assert claims < 0.05 * count


def test_odd_values() -> None:
    nan = float("nan")
    frame = pl.DataFrame(
        {
            "task_id": range(40),
            "state": ["failed"] * 8 + ["done"] * 32,
            "x": [nan] * 8 + [1.0, 2.0, None, float("inf")] * 8,
            "same": [1] * 40,
            "deep": [[1]] * 40,
            'a "b"': ["it's"] * 8 + ["no"] * 32,
            "on": [True] * 8 + [False] * 32,
            "gone": [None] * 8 + ["a"] * 32,
        }
    )
    for column, sql in {
        "x": "x = CAST('nan' AS DOUBLE)",
        'a "b"': '"a ""b""" = \'it\'\'s\'',
        "on": '"on" = true',
        "gone": "gone IS NULL",
    }.items():
        first = shared(frame, range(8), [column])[0]
        assert (first.sql, first.inside, first.failed_inside) == (sql, 8, 8)
    assert shared(frame, range(8), ["same", "deep", "no such column"]) == []


def test_fisher_is_exact() -> None:
    frame, tasks = failing(made_lab(1), pl.col("act") == "relu")
    one = shared(frame, tasks, ["act"])[0]
    looked_at = 3
    assert one.p == pytest.approx(looked_at * hypergeom.sf(44, 135, 45, 45), rel=1e-6)


def test_limits_have_few_digits() -> None:
    assert between(0.123456, 0.098765) == 0.1
    assert between(6.02, 5.97) == 6.0
    assert between(3, 1) == 3
    assert 0.3 < between(0.30000000000000004, 0.3) <= 0.30000000000000004


def test_twenty_thousand_failures() -> None:
    """In time that stays far below what a person waits."""
    failures = [
        Failure(task, 1, "exit 1", f"word{task % 977:x} of {task:x}{'abc'[task % 3]} failed") for task in range(20_000)
    ]
    began = time.process_time()
    assert sum(len(kind.tasks) for kind in clusters(failures)) == 20_000
    frame, tasks = failing(made_lab(1, repeats=444), pl.col("lr") >= 6)
    assert shared(frame, tasks, COLUMNS)[0].sql == "lr >= 6"
    assert time.process_time() - began < 20
