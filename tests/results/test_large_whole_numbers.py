"""Whole numbers beyond 2^53 (hashes, nanoseconds since 1970) give one answer everywhere: that of their differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.results.statistics.test_until import Played
from tui_lab.results.sql.database import Database
from tui_lab.results.sql.table_file import read_table
from tui_lab.results.statistics.against import compare, frame
from tui_lab.results.statistics.importance import importance
from tui_lab.results.statistics.report import Options, make
from tui_lab.results.statistics.sides import Side, side_of, side_of_file
from tui_lab.results.tables import refresh
from tui_lab.tui.panes.history.compare import compare_results

OPTS = ("calm", "wild", "sick")
SWEEP = """\
command: echo {opt} {seed}
parameters: {opt: [calm, wild, sick]}
repeat: {min: 2, max: 4, until: 'ci95(m) < 6 AND sd(m) < 4 AND se(m) < 3'}
metrics: {m: {pattern: 'm=(@int@)', goal: max}}
"""
VALUES = st.lists(st.lists(st.integers(2, 9), min_size=4, max_size=4), min_size=6, max_size=6)
SOME = [[2, 3, 4, 5], [5, 5, 5, 5], [2, 9, 2, 9], [3, 4, 5, 6], [6, 6, 7, 6], [9, 9, 9, 9]]
NUMBER = itertools.count()
small_ones: dict[str, list[Any]] = {}
"""What was said of values without an offset, by these values: several examples have the same."""


def answers(disk: Any, offset: int, values: list[list[int]]) -> dict[str, Any]:
    """What every way to ask says of two experiments with these values (of three settings each), without `offset`."""
    names = [f"e{next(NUMBER)}" for _ in range(2)]
    rounds, found = [], []
    for place, name in enumerate(names):
        of = dict(zip(OPTS, values[3 * place :], strict=False))
        played = Played(disk, SWEEP, name)
        rounds.append(played.whole(lambda row, of=of: f"m={offset + of[row['opt']][row['repeat']]}\n"))  # type: ignore[misc]
        found.append(refresh(played.folder))
    metric = make(found[0], Options(baseline="opt=calm")).metrics[0]
    with Database(disk.lab, names[0]) as database:
        summed = database.query(
            "SELECT opt, n(m) AS n, sd(m), se(m), ci95(m), ci95(m + 3) AS other, sd(m + 0.5) AS moved, "
            "sd(m::DECIMAL(38, 1)) AS decimal FROM results GROUP BY opt ORDER BY opt"
        ).to_dicts()
        best = database.query("SELECT opt, n, ci95, standing FROM best('m')").to_dicts()
        both = database.query(
            f"SELECT opt, n_1, n_2, m_difference, m_ci95_1, m_ci95_2 FROM compare('{names[0]}', '{names[1]}')"
        ).to_dicts()
    told = ("difference", "low", "high", "p", "p_adjusted", "p_rank", "t", "df", "g", "sd_1", "sd_2")
    options = Options(goals={"m": "max"}, metrics=("m",))
    sides = [side_of(one) for one in found]
    files = []
    for name, one in zip(names, found, strict=True):
        file = disk.sources / f"{name}.csv"
        table = one.grid.select("opt", "repeat", "m").with_columns(pl.col("m").cast(pl.String))
        table.write_csv(file)
        files.append(side_of_file(file, read_table(file)))
    shares = importance(found[0].grid, ["opt"], found[0].grid["m"])
    history = compare_results((found[0].folder, 1), (found[1].folder, 1)).frame
    return {
        "rounds": rounds,
        "sd": [one.sd for one in metric.summaries],
        "half": [one.half for one in metric.summaries],
        "standing": [metric.standing(place) for place in range(3)],
        "p": metric.p_best,
        "differences": [one and one.difference for one in metric.comparisons],
        "sql": summed,
        "best": best,
        "compare": both,
        "against": frame(compare(sides[0], sides[1], options)).select(told).to_dicts(),
        "of files": frame(compare(files[0], files[1], options)).select(told).to_dicts(),
        "of both": frame(compare(sides[0], files[1], options)).select(told).to_dicts(),
        "history": history.select("opt", "n_1", "n_2", "change", "p").to_dicts(),
        "importance": shares and [shares.parameters, shares.repeats],
    }


@settings(
    max_examples=2 if settings().derandomize else 10,  # each takes seconds
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(offset=10**18, further=0, values=SOME)
@example(offset=10**30, further=1, values=SOME)
@example(offset=10**12, further=1, values=[[2] * 4] * 6)
@example(offset=2**53, further=1, values=[[2] * 4] * 6)
@example(offset=2**63, further=7, values=[[2, 4, 3, 7], [3, 3, 4, 5], *SOME[:4]])
@given(
    offset=st.sampled_from([10**12, 2**53, 10**18, 2**63, -(10**18), 10**30]),
    further=st.integers(1, 10**6),
    values=VALUES,
)
def test_every_way_to_ask_judges_the_differences(disk: Any, offset: int, further: int, values: list[list[int]]) -> None:
    if (key := str(values)) not in small_ones:
        small_ones[key] = list(flat(answers(disk, 0, values)))
    large, small = list(flat(answers(disk, offset + further, values))), small_ones[key]
    assert large == [pytest.approx(one, rel=1e-9, abs=1e-9) if isinstance(one, float) else one for one in small]


def flat(found: Any) -> Iterator[Any]:
    """Each number and text of an answer, one after the other."""
    if isinstance(found, dict):
        found = [part for item in found.items() for part in item]
    if not isinstance(found, list):
        yield found
        return
    for one in found:
        yield from flat(one)


@pytest.mark.parametrize("offset", [10**18, 10**30])
def test_all_digits_of_means_are_told(disk: Any, offset: int) -> None:
    from tui_lab.results.statistics.against_table import against_lines

    sides: list[Side] = []
    for name, more in (("a", 0), ("b", 3)):
        played = Played(disk, SWEEP, name)
        played.whole(lambda row, more=more: f"m={offset + 11 + more + row['repeat'] % 2}\n")  # type: ignore[misc]
        sides.append(side_of(refresh(played.folder)))
    found = compare(sides[0], sides[1], Options(goals={"m": "max"}))
    text = "\n".join(line.plain for line in against_lines(found, 160, 0))
    assert f"{offset + 11}.3" in text and f"{offset + 14}.3" in text, text
    assert found.metrics[0].comparisons[0].ratio == pytest.approx(1)
    assert not any("2^53" in note for note in found.notes)
    assert set(frame(found)["mean_1"].drop_nulls()) == {float(offset)}, "the nearest float"


def test_numbers_of_which_only_texts_hold_all_digits(disk: Any) -> None:
    """They are not judged: nothing stops for them, and what SQL says of them is exact."""
    played = Played(disk, SWEEP, "huge")
    played.run(played.submit(), lambda row: f"m={10**40 + row['repeat']}\n")
    assert len(played.extend()) == 3, "one more of each setting"
    assert "no done task has a number for m" in played.note
    with Database(disk.lab) as database:
        found = database.query("SELECT sd(m) AS sd, max(ci95(m)) OVER () AS half FROM huge GROUP BY opt").to_dicts()
    assert all(one["sd"] == pytest.approx(0.5**0.5) and one["half"] > 1 for one in found)


def test_numbers_too_far_apart_for_their_differences_are_floats(disk: Any) -> None:
    """No digit is told that is not known."""
    played = Played(disk, SWEEP, "far")
    of = {"calm": 9007199254740993, "wild": 18446744073709551615, "sick": 18446744073709551616}
    played.whole(lambda row: f"m={of[row['opt']]}\n")
    metric = make(refresh(played.folder)).metrics[0]
    assert metric.offset == 0
    assert [one.mean for one in metric.summaries] == [float(of[opt]) for opt in OPTS]
    assert metric.standing(0) == "worse" and metric.tied(1) and metric.tied(2)


def test_repeats_that_turned_out_not_to_be_needed_are_not_missing(disk: Any) -> None:
    sides: list[Side] = []
    for name in ("a", "b"):
        played = Played(disk, SWEEP, name)
        assert len(played.whole(lambda row: f"m={row['repeat']}\n")) == 1
        sides.append(side_of(refresh(played.folder)))
    assert not any("lacks" in note for note in compare(sides[0], sides[1], Options()).notes)


def test_whole_floats_beside_large_whole_numbers_are_whole(disk: Any) -> None:
    a = pl.DataFrame({"x": [1, 1, 1], "m": [10**18 + 1, 10**18 + 2, 10**18 + 4]})
    b = pl.DataFrame({"x": [1, 1, 1], "m": [1e18, 1e18, 1e18 + 256]})
    tables = [side_of_file(disk.sources / f"{name}.csv", table) for name, table in (("a", a), ("b", b))]
    (metric,) = compare(tables[0], tables[1], Options(metrics=("m",))).metrics
    assert metric.comparisons[0].difference == pytest.approx(7 / 3 - 256 / 3)
    assert not metric.known.deterministic
    broken = b.with_columns(pl.Series("m", [0.5, 1e18, float("nan")]))
    found = compare(tables[0], side_of_file(disk.sources / "b.csv", broken), Options(metrics=("m",)))
    assert any("both are rounded" in note for note in found.notes)
