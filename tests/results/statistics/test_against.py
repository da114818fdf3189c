"""Two experiments, versions or files against each other, checked with scipy."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tui_lab.results.statistics.against import Against, MetricComparison, compare, document, frame
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.report import Options
from tui_lab.results.statistics.sides import side_of, side_of_file
from tui_lab.results.tables import refresh

RNG = np.random.default_rng(7)
ACC = Options(metrics=("acc",), goals={"acc": "max"})


def against(a: dict[str, Any], b: dict[str, Any], options: Options = ACC) -> Against:
    first, second = (side_of_file(Path(f"{name}.csv"), pl.DataFrame(table)) for name, table in (("a", a), ("b", b)))
    return compare(first, second, options)


def only(found: Against) -> MetricComparison:
    (metric,) = found.metrics
    return metric


def test_without_seeds_each_setting_is_welchs_test_and_settings_add_up() -> None:
    values = {(side, x): RNG.normal(x + side, 1 + x, 5 + side) for side in (0, 1) for x in (1, 2, 3)}
    tables = [
        {"x": [x for x in (1, 2, 3) for _ in values[side, x]], "acc": [v for x in (1, 2, 3) for v in values[side, x]]}
        for side in (0, 1)
    ]
    found = only(against(tables[0], tables[1]))
    assert found.keys["x"].to_list() == [1, 2, 3] and not found.paired
    tests = [stats.ttest_ind(values[0, x], values[1, x], equal_var=False) for x in (1, 2, 3)]
    for compared, test, x in zip(found.comparisons, tests, (1, 2, 3), strict=True):
        assert compared.p == pytest.approx(test.pvalue)
        assert compared.p_rank == pytest.approx(stats.mannwhitneyu(values[0, x], values[1, x]).pvalue)
        interval = test.confidence_interval()
        assert (compared.low, compared.high) == pytest.approx((interval.low, interval.high))
    ordered = sorted(range(3), key=lambda place: tests[place].pvalue)
    largest = 0.0
    for rank, place in enumerate(ordered):
        largest = max(largest, min(1.0, tests[place].pvalue * (3 - rank)))
        assert found.comparisons[place].p_adjusted == pytest.approx(largest)
    errors = [values[0, x].var(ddof=1) / 5 + values[1, x].var(ddof=1) / 6 for x in (1, 2, 3)]
    assert found.overall is not None
    mean = np.mean([values[0, x].mean() - values[1, x].mean() for x in (1, 2, 3)])
    assert found.overall.difference == pytest.approx(mean)
    assert found.overall.t == pytest.approx(mean / (math.sqrt(sum(errors)) / 3))


def test_equal_seeds_pair_and_their_means_over_settings_are_what_is_independent() -> None:
    seeds = [11, 22, 33, 44, 55, 66]
    shared = {seed: RNG.normal() for seed in seeds}
    rows: dict[int, list[tuple[int, int, float]]] = {0: [], 1: []}
    for side in rows:
        for x in (1, 2):
            rows[side] += [(x, s, x + shared[s] + 0.1 * side + RNG.normal(0, 0.05)) for s in seeds]
    tables = [dict(zip(("x", "seed", "acc"), zip(*rows[side], strict=True), strict=True)) for side in (0, 1)]
    found = only(against(tables[0], tables[1]))
    assert found.paired
    arrays = [np.array([row[2] for row in rows[side]]).reshape(2, 6) for side in (0, 1)]
    for place in (0, 1):
        test = stats.ttest_rel(arrays[0][place], arrays[1][place])
        assert found.comparisons[place].p == pytest.approx(test.pvalue)
        assert found.comparisons[place].pairs == 6
    whole = stats.ttest_rel(arrays[0].mean(axis=0), arrays[1].mean(axis=0))
    assert found.overall is not None and found.overall.p == pytest.approx(whole.pvalue)
    assert found.verdict(found.overall) == "worse"
    apart = only(against(tables[0], tables[1], Options(metrics=("acc",), goals={"acc": "max"}, pairing="unpaired")))
    welch = stats.ttest_ind(arrays[0].mean(axis=0), arrays[1].mean(axis=0), equal_var=False)
    assert apart.overall is not None and apart.overall.p == pytest.approx(welch.pvalue)
    assert not apart.paired and apart.comparisons[0].p == pytest.approx(
        stats.ttest_ind(*(array[0] for array in arrays), equal_var=False).pvalue
    )


def test_single_values_are_compared_over_settings() -> None:
    a, b = RNG.normal(size=8), RNG.normal(1, size=8)
    found = only(against({"x": range(8), "acc": a}, {"x": range(8), "acc": b}))
    assert all(one.p is None and found.verdict(one) is None for one in found.comparisons)
    assert found.overall is not None and found.overall.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert "as if these were drawn" in found.method


def test_shares_equal_values_and_programs_that_do_not_scatter() -> None:
    wins = only(against({"x": [1] * 20, "acc": [1] * 18 + [0] * 2}, {"x": [1] * 20, "acc": [1] * 7 + [0] * 13}))
    assert wins.comparisons[0].p == pytest.approx(stats.fisher_exact(np.array([[18, 2], [7, 13]])).pvalue)
    assert wins.overall is None
    coins = only(against({"acc": [1, 1, 1]}, {"acc": [0, 0, 0]}))
    assert coins.comparisons[0].p == pytest.approx(0.1), "three heads are no certainty"
    same = only(against({"x": [1] * 4, "acc": [0.97] * 4}, {"x": [1] * 4, "acc": [0.97, 0.98, 0.97, 0.98]}))
    assert same.verdict(same.comparisons[0]) == "can't tell"
    fixed = only(against({"x": [1, 2] * 5, "acc": [0.5, 0.25] * 5}, {"x": [1, 2] * 5, "acc": [0.5, 0.125] * 5}))
    assert fixed.known.deterministic
    assert [fixed.verdict(one) for one in fixed.comparisons] == ["can't tell", "better"]
    assert fixed.overall is not None and (fixed.overall.p, fixed.overall.difference) == (None, 0.0625)


def test_what_does_not_match_is_left_out_told_or_refused() -> None:
    a = {"x": [1, 1, 2, 2, 3, 3], "acc": [0.1, 0.2, 0.3, 0.4, 0.5, math.nan], "opt": ["sgd"] * 6}
    b = {"x": [2.0, 2.0, 3.0, 3.0, 4.0, 4.0], "acc": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "opt": ["adam"] * 6}
    found = against(a, b)
    assert only(found).keys["x"].to_list() == [2, 3], "2 and 2.0 are one value"
    notes = "\n".join(found.notes)
    assert "opt is sgd in a.csv and adam in b.csv" in notes
    assert "1 setting is in a.csv alone" in notes and "1 setting is in b.csv alone" in notes
    assert "1 values are NaN, infinite or missing" in notes
    for change, options, said in (
        ({"x": [7, 7, 8, 8, 9, 9]}, ACC, "no setting is in both: x is 1, 2, 3 in a.csv and 7, 8, 9 in b.csv"),
        ({}, Options(metrics=("los",)), 'a.csv has no column "los"'),
        ({}, Options(), "no metric is in both"),
        ({}, Options(by=("y",), metrics=("acc",)), '--by: "y" is no parameter of both'),
        ({}, Options(metrics=("acc",), where="x > 9"), "no finished task of a.csv fulfils x > 9"),
        ({}, Options(metrics=("acc",), pairing="paired"), "--paired: some tasks of a setting have equal repeats"),
    ):
        with pytest.raises(StatisticsError) as error:
            against(a, {**b, **change}, options)
        assert said in str(error.value)


def test_names_of_patas_and_of_columns_of_the_table() -> None:
    a = {"in_scope": [1, 1, 2, 2], "in_mean_1": ["u"] * 4, "out_acc": [1.5, 1.25, 3.0, 3.5], "repeat_id": [0, 1, 0, 1]}
    found = against(a, {**a, "out_acc": [0.0, 0.25, 1.0, 1.5]}, Options())
    assert only(found).keys["scope"].to_list() == [1, 2]
    table = frame(found)
    assert table["in_scope"].to_list() == [1, 2, None] and table["scope"].to_list() == ["setting", "setting", "overall"]
    assert json.loads(json.dumps(document(found)))["rows"][2]["difference"] == pytest.approx(1.625)


def test_an_overall_difference_is_seldom_found_where_there_is_none() -> None:
    """Seeds that all settings share make their errors alike: settings are no repeats."""
    found = 0
    for _ in range(200):
        seeds = RNG.normal(size=(2, 5))
        tables = [
            {
                "x": np.repeat([1, 2, 3, 4], 5),
                "seed": np.tile(np.arange(5) + 100 * side, 4),
                "repeat": np.tile(np.arange(5), 4),
                "acc": np.tile(seeds[side], 4) + RNG.normal(0, 0.2, 20),
            }
            for side in (0, 1)
        ]
        overall = only(against(tables[0], tables[1])).overall
        found += overall is not None and overall.p is not None and overall.p < 0.05
    assert found <= 20, f"{found} of 200, where 10 are due"


def test_seeds_of_two_exported_files_do_not_say_that_the_command_takes_them() -> None:
    tables = [
        {
            "x": np.repeat([1, 2], 6),
            "seed": np.tile(np.arange(6) + 100, 2),
            "repeat": np.tile(np.arange(6), 2),
            "acc": RNG.normal(side, 1, 12),
        }
        for side in (0, 1)
    ]
    assert only(against(tables[0], tables[1])).paired, "a file of one's own, with seeds in it"
    exported = [{**table, "task_id": np.arange(12), "version": np.ones(12, int)} for table in tables]
    found = against(exported[0], exported[1])
    assert not only(found).paired and any("--paired" in note for note in found.notes)
    assert only(against(exported[0], exported[1], replace(ACC, pairing="paired"))).paired


def test_experiments_and_versions(disk: Any) -> None:
    text = "command: ./run {x}\nparameters: {x: [1, 2]}\nrepeat: 3\n"
    text += "metrics: {acc: {pattern: 'acc (@float@)', goal: max}}\n"
    for name, shift in (("old", 0.0), ("new", 1.0)):
        folder = disk.submit(text, name)
        disk.run_all(folder, lambda task, shift=shift: f"acc {task // 3 + shift + (task * 7 % 5) / 100}")
    new, old = (side_of(refresh(disk.lab.new_experiment(name))) for name in ("new", "old"))
    found = only(compare(new, old, Options()))
    assert [found.verdict(one) for one in found.comparisons] == ["better", "better"]
    assert found.overall is not None and found.overall.difference == pytest.approx(1.0)
    with pytest.raises(StatisticsError, match="new and new@1 have the same tasks"):
        compare(new, side_of(refresh(disk.lab.new_experiment("new")), 1), Options())
    with pytest.raises(StatisticsError, match=r'--goal ac: .*did you mean "acc"'):
        compare(new, old, Options(goals={"ac": "max"}))
    with pytest.raises(StatisticsError, match=r"new@2 has no tasks; there are new@1"):
        side_of(refresh(disk.lab.new_experiment("new")), 2)
