"""Stages that collect: what they collect, in which order they stand, and mistakes."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tui_lab.experiment.load import load_text
from tui_lab.experiment.stages import REPEATS
from tui_lab.experiment.yaml.problem import SpecError

GRAPH = """\
stages:
  table: {command: 'x {collected}', collect: all, after: mean}
  plot: {command: 'x {table.output}'}
  mean: {command: 'x {collected} {lr}', collect: [seed, n]}
  prepare: {command: 'make {n}', unhashed: [n]}
  spread: {command: 'x {prepare.output} {collected}', collect: repeat, after: train}
  train: {command: 'x {prepare.output} {lr} {seed}'}
  test: {command: 'x {train.output} {n}'}
  check: {command: 'x {train.output}'}
parameters: {lr: [1, 2], n: [1]}
repeat: 2
"""


def test_what_collects_stands_apart_from_what_tasks_are_made_of() -> None:
    experiment = load_text(GRAPH, "f.yaml")
    assert experiment.stage == "check" and experiment.beside == ("test",)
    assert experiment.apart == ("spread", "mean", "table", "plot")
    assert experiment.stage_order == ("prepare", "train", "test", "check", "spread", "mean", "table", "plot")
    mean, spread, table = (experiment.stages[name] for name in ("mean", "spread", "table"))
    assert (mean.collected, mean.collect, mean.over) == ("check", ("seed", "n"), frozenset({REPEATS, "n"}))
    assert (spread.collected, spread.single, spread.over) == ("train", ("prepare",), frozenset({REPEATS}))
    assert (table.collected, table.collect) == ("mean", ("lr",)), "what is left to differ in"
    assert not any(experiment.stages[name].repeated for name in experiment.apart)
    assert sorted(experiment.from_stage("test") or ()) == ["test"]
    assert sorted(experiment.from_stage("check") or ()) == ["check", "mean", "plot", "table"]


P = "parameters: {lr: [1, 2], n: [1]}\n"
MISTAKES = [
    ("{a: {command: 'x {lr}'}, s: {command: y, collect: lrr}}", '52: there is no parameter "lrr"; did you mean "lr"?'),
    (
        "{a: {command: 'x {lr}'}, s: {command: y, collect: [lr, n]}}",
        '57: the runs of "a" do not differ in "n"; name a stage in "after" that uses n',
    ),
    (
        "{a: {command: 'x {lr}', unhashed: [lr]}, s: {command: y, collect: lr}}",
        '68: the runs of "a" do not differ in "lr"; "lr" is unhashed: tasks that differ in it alone are one task',
    ),
    (
        "{a: {command: 'x {lr}'}, s: {command: y, collect: seed}}",
        '52: the runs of "a" do not differ in "seed"; a stage before must use {seed} or {repeat}, or say per_repeat',
    ),
    (
        "{a: {command: 'x {lr} {n}'}, s: {command: 'y {lr}', collect: [n, lr]}}",
        '67: the stage "s" uses {lr} itself, so it can\'t collect runs that differ in it',
    ),
    (
        "{a: {command: 'x {lr} {seed}'}, s: {command: 'y {repeat}', collect: [seed]}}",
        '71: the stage "s" uses {seed} itself, so it can\'t collect runs that differ in it',
    ),
    (
        "{a: {command: 'x {lr}'}, s: {command: 'y {a.output}', collect: lr}}",
        '40: {a.output} is one folder, and the stage "s" collects several; {collected} is a file that lists them',
    ),
    (
        "{a: {command: 'x {lr}'}, b: {command: '{a.output}'}, s: {command: y, after: [a, b], collect: lr}}",
        '55: "a" and "b" both differ in what is collected: a stage collects the runs of one',
    ),
    ("{s: {command: y, collect: lr}}", '28: there is no stage whose runs "s" could collect'),
    (
        "{a: {command: 'x {lr}'}, s: {command: 'y {n}', collect: lr}}",
        '27: only the stage "s" uses "n", so tasks do not differ in it; add it to the "uses" of a stage before',
    ),
    ("{a: {command: 'x {lr}'}, s: {command: y, collect: []}}", '52: "collect" is empty'),
    (
        "{a: {command: 'x {lr}'}, s: {command: y, collect: lr}, d: {command: '{s.output} {a.output}'}}",
        '57: "d" can\'t come after "a", whose runs are the tasks, but only collect them',
    ),
    (
        "{a: {command: 'x {seed}'}, s: {command: y, collect: seed}}\nrepeat: {until: m < 1, max: 9}",
        '45: nothing can be collected with "until" of "repeat": how many repeats there are is not known before',
    ),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_mistakes_are_reported_at_their_place(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(f"stages:\n {text}\n{P}", "f.yaml")
    assert any(str(one).startswith(f"f.yaml:2:{said}") for one in caught.value.problems), caught.value


def test_a_stage_that_collects_what_does_not_differ_is_reported() -> None:
    text = dedent("""\
        stages:
          a: {command: 'x {lr}'}
          s: {command: 'x {lr}', collect: all}
        parameters: {lr: [1]}
        """)
    with pytest.raises(SpecError, match='the runs of "a" differ in nothing that "s" does not use itself'):
        load_text(text, "f.yaml")
