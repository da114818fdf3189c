"""`repeat: {min, max, until}`: what is read, and what is wrong with it, at its place."""

from __future__ import annotations

import pytest

from tui_lab.experiment.expressions.until import check
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.load import load_text
from tui_lab.experiment.model import Repeat
from tui_lab.experiment.yaml.problem import SpecError

MEASURED = [fact.name for fact in FACTS.values() if fact.measured]
METRICS = """command: ./main.py {lr}
parameters: {lr: [0.1, 0.2]}
metrics: {acc: 'acc (@float@)', hits: 'hits (@int@)', word: 'word (.*)',
  "val-acc": 'val (@float@)', n: {json: a, path: $}}
"""


def test_a_range_of_repeats() -> None:
    experiment = load_text(METRICS + "repeat: {min: 3, max: 30, until: 'ci95(acc) < 0.01 * mean(acc)'}\n")
    assert experiment.repeat == Repeat(min=3, max=30, until="ci95(acc) < 0.01 * mean(acc)")
    assert experiment.repeats == 30
    assert load_text(METRICS + "repeat: {max: 5, until: n() > 2}\n").repeat == Repeat(min=3, max=5, until="n() > 2")
    assert load_text(METRICS + "repeat: 4\n").repeats == 4


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("ci95(acc) < 0.01 * mean(acc)", ("acc",)),
        ("n(acc) >= 5 AND sd(HITS) / mean(hits) < 0.1 OR max(duration) > 60", ("acc", "hits", "duration")),
        ('se("val-acc") < 1', ("val-acc",)),
        ("median(acc) FILTER (WHERE hits > 3) > 0.5", ("acc", "hits")),
        ("count(DISTINCT acc) > 3 AND count(*) > 1", ("acc",)),
        ("least(sd(acc), sd(hits)) < 1", ("acc", "hits")),
        ("n(n) > 3", ("n",)),
        ("list_max(list_transform([mean(acc), mean(hits)], lambda x: x + 1)) > 2", ("acc", "hits")),
    ],
)
def test_conditions(condition: str, names: tuple[str, ...]) -> None:
    assert set(check(condition, load_text(METRICS).metrics)) == set(names)


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [
        (
            "{max: 5, until: ci95(ac) < 1}",
            '5:30: there is no metric "ac"; did you mean "acc"?',
        ),
        (
            "{max: 5, until: mean(lr) < 1}",
            '5:30: there is no metric "lr"; there are acc, hits, word, val-acc, n, ' + ", ".join(MEASURED),
        ),
        (
            "{max: 5, until: mean(val-acc) < 1}",
            '5:30: there is no metric "val"; write "val-acc" in double quotes',
        ),
        (
            "{max: 5, until: acc < 1}",
            '5:25: "acc" has a value for each repeat, but the condition needs one; write mean(acc), ci95(acc), max(acc), ...',  # noqa: E501
        ),
        (
            "{max: 5, until: mean(acc)}",
            "5:25: a condition must be true or false, but this is of type DOUBLE; write a comparison, as in: ci95(loss) < 0.1",  # noqa: E501
        ),
        (
            "{max: 5, until: mean(word) > 1}",
            '5:25: the metric "word" holds text, not numbers; find numbers with @float@ or @int@, or give it type: float',  # noqa: E501
        ),
        (
            "{max: 5, until: ci(acc) < 1}",
            "5:25: there is no function ci(); there are n, sd, se, ci95, mean, median, ...",
        ),
        (
            "{max: 5, until: ci95(mean(acc)) < 1}",
            "5:30: mean() stands inside ci95(), which aggregates already",
        ),
        (
            "{max: 5, until: ci95(acc) FILTER (hits > 1) < 1}",
            "5:25: ci95() takes no FILTER, DISTINCT or OVER; write ci95(CASE WHEN condition THEN value END)",
        ),
        (
            "{max: 5, until: 1 < 2}",
            "5:25: the condition aggregates no metric; for example: ci95(loss) < 0.01 * mean(loss)",
        ),
        (
            "{max: 5, until: mean(acc) > random()}",
            "5:37: random would give a different plan each time",
        ),
        (
            "{max: 5, until: ci95(acc < 1}",
            "5:36: a bracket is opened but not closed",
        ),
        (
            "{max: 5, until: (SELECT 1) > 1}",
            "5:25: a subquery is not possible in an expression",
        ),
        (
            "{max: 5, until: sum(acc) OVER () > 1}",
            "5:25: a window function is not possible in an expression: it sees one row at a time",
        ),
        (
            "{max: 5}",
            '5:1: "repeat" needs "until", the condition that ends the repeats; add until: \'ci95(METRIC) < 0.1\', or write repeat: 5',  # noqa: E501
        ),
        (
            "{until: n() > 3}",
            '5:1: "repeat" needs "max", because the condition may never be true; add, for instance, max: 30',
        ),
        (
            "{min: 6, max: 5, until: n() > 3}",
            '5:15: "min" (6) is larger than "max" (5)',
        ),
        (
            "{max: 2, until: n() > 3}",
            '5:15: "min" (3) is larger than "max" (2)',
        ),
        (
            "{max: 5, untill: n() > 3}",
            '5:18: "untill" is no key of "repeat"; did you mean "until"?',
        ),
        (
            "{max: 0, until: n() > 3}",
            '5:15: "max" must be at least 1, not 0',
        ),
        (
            "{max: x, until: n() > 3}",
            '5:15: "max" must be a whole number, not text ("x")',
        ),
    ],
)
def test_mistakes(repeat: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(f"{METRICS}repeat: {repeat}\n", "e")
    assert [str(problem).removeprefix("e:") for problem in caught.value.problems] == [expected]
