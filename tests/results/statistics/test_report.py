"""Settings, comparisons, importance and Pareto fronts over labs on disk."""

from __future__ import annotations

import math
import random
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from tests.store.events import AT
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.frame import frame
from tui_lab.results.statistics.importance import importance
from tui_lab.results.statistics.pareto import front
from tui_lab.results.statistics.report import MetricReport, Options, Report, make
from tui_lab.results.statistics.sample import Sample, describe
from tui_lab.results.statistics.settings import settings
from tui_lab.results.statistics.table import metric_lines
from tui_lab.results.statistics.text import aligned, brackets, interval, joined, means_and_intervals, number, plus_minus
from tui_lab.results.statistics.warnings import warnings
from tui_lab.results.tables import Results, refresh
from tui_lab.store.events import Assigned

SWEEP = """\
command: ./train.py {lr} {opt}
parameters:
  lr: [0.1, 0.01]
  opt: [sgd, adam]
repeat: 5
metrics:
  acc: {pattern: 'acc (@float@)', goal: max}
  time: {pattern: 'time (@float@)', unit: s}
"""
NOISE = [0.00, 0.01, -0.01, 0.02, -0.02]


def swept(disk: Any, text: str = SWEEP) -> Results:
    folder = disk.submit(text)
    for row in folder.tasks().iter_rows(named=True):
        good = {("sgd", 0.1): 0.9, ("adam", 0.1): 0.91, ("sgd", 0.01): 0.5, ("adam", 0.01): 0.6}
        value = good[row["opt"], row["lr"]] + NOISE[row["repeat"]] * (1 if row["opt"] == "sgd" else 1.5)
        disk.run(folder, row["task_id"], f"acc {value:.4f}\ntime {10 * row['lr'] + 1}\n")
    return refresh(folder)


def metric(report: Report, name: str = "acc") -> MetricReport:
    return next(one for one in report.metrics if one.name == name)


def labels(report: Report, places: list[int]) -> list[str]:
    return ["{lr} {opt}".format(**report.settings.label(place)) for place in places]


# --- Settings


def test_a_row_for_each_setting_best_first(disk: Any) -> None:
    report = make(swept(disk))
    acc = metric(report)
    assert report.settings.by == ("lr", "opt")
    assert labels(report, acc.order) == ["0.1 adam", "0.1 sgd", "0.01 adam", "0.01 sgd"]
    assert [acc.tied(place) for place in acc.order] == [True, True, False, False]
    table = frame(report).filter(pl.col("metric") == "acc")
    assert table.columns[:5] == ["lr", "opt", "metric", "unit", "goal"]
    first = table.row(0, named=True)
    assert (first["n"], first["best"], first["median"]) == (5, True, 0.91)
    assert first["sd"] == pytest.approx(np.std([0.015 * x / 0.01 for x in NOISE], ddof=1), rel=1e-9)
    assert metric(report, "time").best is None, "no goal, no best"
    assert frame(report).filter(pl.col("metric") == "time")["unit"].unique().to_list() == ["s"]


def test_a_parameter_named_seed_makes_repeats(disk: Any) -> None:
    text = SWEEP.replace("repeat: 5\n", "").replace("  opt: [sgd", "  seed: [1, 2, 3, 4, 5]\n  opt: [sgd")
    folder = disk.submit(text)
    for row in folder.tasks().iter_rows(named=True):
        disk.run(folder, row["task_id"], f"acc {row['seed'] + (row['opt'] == 'adam') / 10}\n")
    report = make(refresh(folder), Options(baseline="lr=0.1,opt=sgd"))
    assert report.settings.by == ("lr", "opt")
    assert report.paired
    found = dict(zip(labels(report, [0, 1, 2, 3]), metric(report).comparisons, strict=True))
    adam = found["0.1 adam"]
    assert adam is not None
    assert (adam.pairs, adam.rank_test) == (5, "wilcoxon")
    assert adam.difference == pytest.approx(0.1)
    assert adam.verdict("max", 0.95) == "better", "equal seeds show what their scatter hides"
    unpaired = make(refresh(folder), Options(baseline="lr=0.1,opt=sgd", pairing="unpaired"))
    assert [one.verdict("max", 0.95) for one in metric(unpaired).comparisons if one] == ["can't tell"] * 3


def test_averages_pair_by_what_is_averaged_over(disk: Any) -> None:
    report = make(swept(disk), Options(by=("opt",), baseline="opt = 'sgd'"))
    assert report.settings.averaged == ("lr",)
    found = next(one for one in metric(report).comparisons if one)
    assert found.pairs == 10
    values = metric(report).samples
    theirs = stats.ttest_rel(values[1].values, values[0].values)
    assert (found.t, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_what_follows_from_a_setting_breaks_no_pairs(disk: Any) -> None:
    folder = disk.submit(
        "command: ./x {a} {b} {h}\nparameters: {a: [1, 2], b: [5, 6, 7]}\nderive: {h: 2 * a}\nrepeat: 2\n"
        "metrics: {m: {pattern: 'm (@float@)', goal: max}}\n"
    )
    for row in folder.tasks().iter_rows(named=True):
        disk.run(folder, row["task_id"], f"m {10 * row['b'] + row['a'] + row['repeat'] / 10 + row['task_id'] / 1000}\n")
    report = make(refresh(folder), Options(by=("a",), baseline="a=1"))
    assert report.settings.averaged == ("b",)
    found = next(one for one in metric(report, "m").comparisons if one)
    assert found.pairs == 6 and found.verdict("max", 0.95) == "better"
    table = report.settings.table
    shares = importance(table, ["a", "b", "h"], table["m"])
    assert shares is not None and list(shares.parameters) == ["b", "a = h"]


def test_only_tasks_that_fulfil_a_condition(disk: Any) -> None:
    results = swept(disk)
    report = make(results, Options(where="lr < 0.1"))
    acc = metric(report)
    assert [report.settings.label(place) for place in acc.order] == [{"opt": "adam"}, {"opt": "sgd"}]
    assert acc.standing(acc.order[0]) == "best"
    assert [one.asked for one in acc.asked] == [5, 5], "what is left out is not missing"
    assert not any("not in it" in line for line in warnings(report))
    for where, told in (("lrr < 1", 'did you mean "lr"'), ("lr > 5", "no finished task of grid fulfils lr > 5")):
        with pytest.raises(StatisticsError, match=told):
            make(results, Options(where=where))


def test_a_baseline_whose_value_looks_like_an_option(disk: Any) -> None:
    folder = disk.submit(
        "command: ./x {march}\nparameters: {march: [-march=native, -O2]}\nrepeat: 2\nmetrics: {m: 'm (@float@)'}\n"
    )
    for task in range(4):
        disk.run(folder, task, f"m {task}\n")
    report = make(refresh(folder), Options(baseline="march=-march=native"))
    assert report.baseline == 0


def test_a_diverged_setting_is_not_the_best(disk: Any) -> None:
    folder = disk.submit(
        "command: ./x {lr}\nparameters: {lr: [1, 10, 100]}\nrepeat: 6\n"
        "metrics: {loss: {pattern: 'loss (@float@)', goal: min}}\n"
    )
    for task in range(6):
        disk.run(folder, task, f"loss {0.5 + task / 100}\n")
        disk.run(folder, 6 + task, "loss 0.01\n" if task == 0 else "loss nan\n")
        disk.run(folder, 12 + task, "loss 0.02\n", "done" if task < 2 else "failed")
    report = make(refresh(folder))
    loss = metric(report, "loss")
    assert [report.settings.label(place)["lr"] for place in loss.order] == [1, 10, 100]
    assert [loss.standing(place) for place in loss.order] == ["best", "incomplete", "incomplete"]
    lines = "\n".join(line.plain for line in metric_lines(report, loss, 120, 0))
    assert "1/6" in lines and "2/6" in lines and "! incomplete" in lines
    told = " / ".join(warnings(report))
    assert "loss of 0.01 is not called the best, because lr=10 has 1 of 6 values (5 NaN) and 1 more like it" in told
    row = frame(report).row(1, named=True)
    assert (row["n"], row["asked"], row["n_nan"], row["standing"]) == (1, 6, 5, "incomplete")
    assert metric(make(refresh(folder), Options(allow_incomplete=True)), "loss").best == 1


def test_missing_nan_and_infinite_values_are_left_out_and_counted(disk: Any) -> None:
    folder = disk.submit("command: ./x {p}\nparameters: {p: [1, 2]}\nrepeat: 4\nmetrics: {m: 'm (@float@)'}\n")
    for task, out in enumerate(["m 1", "m nan", "m inf", "", "m 1", "m 2", "m 3"]):
        disk.run(folder, task, out)
    disk.run(folder, 7, "m 1000", "failed")
    report = make(refresh(folder))
    first, second = metric(report, "m").summaries
    assert (first.n, first.n_null, first.n_nan, first.n_infinite, first.mean) == (1, 1, 2, 1, 1.0)
    assert (second.n, second.mean) == (3, 2.0), "the failed task does not count"
    told = " / ".join(warnings(report))
    assert "1 of 8 planned tasks are not included: 1 failed" in told
    assert "1 of 2 settings has a single value" in told
    assert "m: left out 1 without a value, 1 NaN and 1 infinite" in told


def test_groups_on_different_nodes_are_told(disk: Any) -> None:
    folder = disk.submit(
        "command: ./x {p}\nparameters: {p: [1, 2]}\nrepeat: 2\nmetrics: {m: {pattern: 'm (@int@)', goal: min}}\n"
    )
    for task in range(4):
        attempt = disk.start(folder, task, {"stdout": f"m {task}"})
        disk.journal(folder, Assigned(AT, "abcd"[task // 2], [(task, attempt)]))
        disk.finish(folder, task, attempt)
    assert any("other nodes than the best m" in line for line in warnings(make(refresh(folder))))


# --- Comparisons


def test_differences_from_a_baseline(disk: Any) -> None:
    report = make(swept(disk), Options(baseline="lr=0.01 opt=sgd", correction="bonferroni"))
    acc = metric(report)
    assert not report.paired, "the command takes no seed"
    assert labels(report, [report.baseline or 0]) == ["0.01 sgd"]
    place = next(place for place in range(4) if labels(report, [place]) == ["0.01 adam"])
    found = acc.comparisons[place]
    assert found is not None and report.baseline is not None
    a, b = acc.samples[place].values, acc.samples[report.baseline].values
    t, u = stats.ttest_ind(a, b, equal_var=False), stats.mannwhitneyu(a, b)
    assert (found.t, found.p, found.df) == pytest.approx((t.statistic, t.pvalue, t.df))
    assert (found.low, found.high) == pytest.approx(tuple(t.confidence_interval(0.95)))
    assert (found.statistic, found.p_rank) == pytest.approx((u.statistic, u.pvalue))
    assert found.p_adjusted == pytest.approx(3 * t.pvalue)
    assert found.difference == pytest.approx(0.1)
    assert found.ratio == pytest.approx(1.2)
    assert found.ratio_low is not None and found.ratio_high is not None and 1 < found.ratio_low < 1.2 < found.ratio_high
    assert found.delta == 1.0
    assert found.verdict("max", 0.95) == "better" and found.verdict("min", 0.95) == "worse"
    assert acc.comparisons[report.baseline] is None
    row = frame(report).filter((pl.col("metric") == "acc") & (pl.col("lr") == 0.01) & (pl.col("opt") == "adam"))
    assert row["verdict"].item() == "better"
    # What is said of two settings stands where these two alone are compared; another pair is judged by itself.
    pair = report.chosen(acc, [place, report.baseline], 1)
    assert (pair.of_all, pair.tests) == (True, 3) and pair.comparisons == [found, None]
    assert acc.best is not None
    top = report.chosen(acc, [place, acc.best], 1)
    first = top.comparisons[0]
    assert (top.of_all, top.tests) == (True, 3) and first is not None and first.p is not None
    assert first.p < (first.p_adjusted or 0.0) == acc.p_best[place]
    second = acc.order[1]
    own = report.chosen(acc, [place, second], 1)
    assert (own.of_all, own.tests) == (False, 1) and own.comparisons[0] is not None
    assert own.comparisons[0].p_adjusted == own.comparisons[0].p


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(by=("opts",)), 'no parameter "opts"; did you mean "opt"?'),
        (Options(metrics=("ac",)), 'no metric "ac"; did you mean "acc"?'),
        (Options(metrics=("node",)), '"node" holds text, not numbers'),
        (Options(baseline="lr=0.1"), "2 settings have lr=0.1; say opt, too"),
        (Options(baseline="lr=0.3 opt=sgd"), "no setting has lr=0.3 opt=sgd; a setting is e.g. lr=0.1 opt=sgd"),
        (Options(baseline="lrr=0.1"), 'did you mean "lr"?'),
        (Options(baseline="lr=fast opt=sgd"), '"lr" is a number'),
        (Options(baseline="lr > "), "--baseline: "),
        (Options(metrics=("acc@best",)), 'no values by step of "acc"'),
    ],
)
def test_mistakes_are_told(disk: Any, options: Options, words: str) -> None:
    results = swept(disk)
    with pytest.raises(StatisticsError) as caught:
        make(results, options)
    assert words in str(caught.value)


def test_summaries_of_values_by_step(disk: Any) -> None:
    folder = disk.submit(
        "command: ./x {p}\nparameters: {p: [1, 2]}\n"
        "metrics: {loss: {pattern: 'step (?P<step>@int@) loss (?P<value>@float@)', take: all, goal: min}}\n"
    )
    for task in (0, 1):
        lines = [f"step {step} loss {abs(step - 3) + task}" for step in range(6)]
        disk.run(folder, task, "\n".join(lines))
    names = ("loss@last", "loss@best", "loss@first", "loss@2", "loss@max", "loss@mean", "loss@99")
    report = make(refresh(folder), Options(metrics=names))
    assert [one.summaries[1].mean for one in report.metrics] == [3.0, 1.0, 4.0, 2.0, 4.0, 2.5, None]
    assert metric(report, "loss@best").goal == "min"
    with pytest.raises(StatisticsError, match='did you mean "last"'):
        make(refresh(folder), Options(metrics=("loss@lst",)))


# --- Importance and Pareto


def unbalanced() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = [
        (a, b, c, 2.0 * a + (b == "y") - 0.5 * c + rng.normal(0, 0.3))
        for a in range(3)
        for b in "xy"
        for c in range(2)
        for _ in range(1 + (a + c) % 3)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "c", "v"])


def test_importance_in_an_unbalanced_grid_is_the_average_over_all_orders() -> None:
    data = unbalanced()
    table = pl.DataFrame({name: data[name].tolist() for name in data.columns})
    found = importance(table, ["a", "b", "c"], table["v"])
    assert found is not None
    shares = dict.fromkeys("abc", 0.0)
    for order in permutations("abc"):
        before = 0.0
        for count in (1, 2, 3):
            terms = " + ".join(f"C({name})" for name in order[:count])
            explained = ols(f"v ~ {terms}", data).fit().rsquared
            shares[order[count - 1]] += (explained - before) / 6
            before = explained
    assert found.parameters == pytest.approx(shares)
    saturated = ols("v ~ C(a) * C(b) * C(c)", data).fit().rsquared
    assert found.repeats == pytest.approx(1 - saturated)
    assert sum(found.parameters.values()) + found.interactions + found.repeats == pytest.approx(1)


def test_importance_in_a_full_grid_is_eta_squared() -> None:
    rng = np.random.default_rng(6)
    rows = [(a, b, 1e9 + a + 0.2 * b + rng.normal()) for a in range(4) for b in (1, 2, 3) for _ in range(3)]
    data = pd.DataFrame(rows, columns=["a", "b", "v"])
    found = importance(
        pl.DataFrame(rows, schema=["a", "b", "v"], orient="row"), ["a", "b"], pl.Series(data["v"].tolist())
    )
    assert found is not None
    centred = data.assign(v=data["v"] - 1e9)
    squares = anova_lm(ols("v ~ C(a) * C(b)", centred).fit())["sum_sq"]
    eta = squares / squares.sum()
    assert found.parameters == pytest.approx({"a": eta["C(a)"], "b": eta["C(b)"]})
    assert found.interactions == pytest.approx(eta["C(a):C(b)"])


def test_importance_of_drawn_and_odd_parameters() -> None:
    rng = np.random.default_rng(7)
    lr = rng.uniform(0, 1, 200)
    table = pl.DataFrame({"lr": lr, "id": [f"run{i}" for i in range(200)], "v": lr * 3 + rng.normal(0, 0.1, 200)})
    found = importance(table, ["lr", "id"], table["v"])
    assert found is not None
    assert (found.binned, found.left_out) == (("lr",), ("id",))
    assert found.parameters["lr"] > 0.9
    assert importance(table, ["lr"], pl.Series([1.0] * 200)) is None, "nothing varies"
    with_gaps = pl.Series([math.nan, None, *([1.0, 2.0] * 99)])
    assert importance(table, ["lr"], with_gaps) is not None


def test_pareto_front_against_its_definition() -> None:
    rng = random.Random(2)
    for goals in (("min", "max"), ("max", "max"), ("min", "min")):
        points = [(rng.randrange(6), rng.randrange(6)) for _ in range(40)]
        signs = [1 if goal == "min" else -1 for goal in goals]
        costs = [(signs[0] * a, signs[1] * b) for a, b in points]
        expected = [not any(x <= a and y <= b and (x, y) != (a, b) for x, y in costs) for a, b in costs]
        assert front(points, goals) == expected
    assert front([(1.0, None), (None, 1.0), (2.0, 2.0)], ("min", "min")) == [False, False, True]


# --- For people


def test_digits_follow_the_interval() -> None:
    assert interval(0.90541, 0.00916) == "0.9054 ± 0.0092"
    assert interval(0.90541, 0.0996) == "0.91 ± 0.10"
    assert interval(123456, 2345) == "123500 ± 2300"
    assert interval(1.234e-9, 2.1e-11) == "1.234e-09 ± 0.021e-09"
    assert interval(3e12, 4e9) == "3.0000e+12 ± 0.0040e+12"
    assert plus_minus(0.031, 0.012, sign=True) == ("+0.031", "0.012")
    assert plus_minus(None, None) == ("", "")
    assert number(float("nan")) == "nan" and number(0.00001234) == "1.234e-05"
    assert aligned(["1.25", "10", ""]) == [" 1.25", "10   ", "     "]


def test_what_has_no_interval_is_as_short_as_it_is() -> None:
    assert interval(0.064, 0) == "0.064 ± 0"
    assert interval(0.064, None) == interval(0.064, float("nan")) == "0.064"
    assert interval(1234567, 0) == "1234567 ± 0" and interval(12.0, None) == "12"
    assert interval(1 / 3, 0) == "0.333333 ± 0" and interval(1.5e-9, None) == "1.5e-09"
    assert plus_minus(0.5, 0, sign=True) == ("+0.5", "0") and plus_minus(-2, None, sign=True) == ("-2", "")
    assert interval(0, 0) == "0 ± 0" and interval(-0.0, None) == "0"
    assert brackets(0.064, 0.064, 0.064) == ("0.064", "[0.064, 0.064]")
    assert brackets(0.5, None, None) == ("0.5", "")
    # In a column the points stand below each other.
    assert joined([plus_minus(0.9054, 0.0092), plus_minus(0.5, 0), plus_minus(12, None)]) == [
        " 0.9054 ± 0.0092",
        " 0.5    ± 0     ",
        "12              ",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_tables_fit_their_width(disk: Any, width: int) -> None:
    report = make(swept(disk), Options(baseline="lr=0.01 opt=sgd"))
    lines = [line.plain for line in metric_lines(report, metric(report), width, 0)]
    assert max(map(len, lines)) <= width or width == 40
    text = "\n".join(lines)
    assert "★ best" in text and "≈ tied" in text and "◆ base" in text
    assert "0.910 ± 0.029" in text.replace("  ", " ")


def test_settings_without_varying_parameters(disk: Any) -> None:
    folder = disk.submit("command: ./x\nrepeat: 3\nmetrics: {m: {pattern: 'm (@int@)', goal: min}}\n")
    for task in range(3):
        disk.run(folder, task, f"m {task}")
    results = refresh(folder)
    assert settings(results).count == 1
    report = make(results)
    assert metric(report, "m").summaries[0].mean == 1
    assert [line.plain for line in metric_lines(report, metric(report, "m"), 80, 0)][2].startswith("★ best")
    with pytest.raises(StatisticsError, match="single setting"):
        make(results, Options(baseline="p=1"))


def test_an_experiment_without_done_tasks(disk: Any) -> None:
    with pytest.raises(StatisticsError, match="no finished tasks"):
        make(refresh(disk.submit(SWEEP)))


def test_means_with_intervals_of_a_column_have_equally_many_places() -> None:
    assert means_and_intervals(
        [(0.9, 0.85, 0.95, 0.05), (0.5, 0.4995, 0.5005, 0.0005), (None, None, None, None)], 0.1
    ) == [
        "0.90000 ± 0.05000",
        "0.50000 ± 0.00050",
        " " * 17,
    ]
    shares = means_and_intervals([(0.5, 0.2, 0.8, 0.3), (0.9, 0.897, 0.902, 0.0025), (1.0, 0.31, 1.0, 0.35)], 1.0)
    assert shares == ["0.5000 [0.2000, 0.8000]", "0.9000 [0.8970, 0.9020]", "1.0000 [0.3100, 1.0000]"]
    signed = means_and_intervals([(0.25, 0.1, 0.6, 0.25), (-0.5, -0.6, 0.1, 0.35)], 1.0, sign=True)
    assert signed == ["+0.25 [0.10, 0.60]", "-0.50 [-0.60, 0.10]"]
    assert means_and_intervals([(1e12, 0.9e12, 1.2e12, 1.5e11), (0.5, 0.2, 0.9, 0.35)], 1.0)[1].endswith(
        "[0.20, 0.90]"
    )  # too far apart
    assert means_and_intervals([], 1.0) == []


def test_far_from_0_an_interval_keeps_its_width_and_a_mean_its_places() -> None:
    found = describe(Sample(tuple(1e9 + 1e-6 * k for k in (1, 2, 3, 4, 5))))
    assert found.half == pytest.approx(describe(Sample((1e-6, 2e-6, 3e-6, 4e-6, 5e-6))).half, rel=1e-9)
    assert plus_minus(found.mean, found.half) == ("1000000000.0000030", "0.0000020")
    assert means_and_intervals([found.ends], 1e-6) == ["1000000000.0000030 ± 0.0000020"]


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [
        (1099511627778.8, 3.8, ("1099511627778.8", "3.8")),
        (12345678.9, 0.01, ("12345678.900", "0.010")),
        (1234567890123.0, 120.0, ("1234567890120", "120")),
        (1.5e12, 3e9, ("1.5000e+12", "0.0030e+12")),
    ],
)
def test_large_means_that_are_known_to_many_digits_are_written_out(
    mean: float, half: float, expected: tuple[str, str]
) -> None:
    assert plus_minus(mean, half) == expected
