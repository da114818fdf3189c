"""Runs of stages in plans: which tasks share one, and what an edit has run again."""

from __future__ import annotations

import polars as pl

from tests.store.planner import Planner, Submission
from tui_lab.store.plan import LINK, Plan

TEXT = """\
stages:
  prepare: {command: './prepare {data}', uses: [data]}
  train: {command: './train {prepare.output} [lr] {seed}'}
  test: {command: './test {train.output}'}
parameters: {data: [a, b], lr: [0.1, 0.2, 0.3]}
repeat: 2
"""


def ids(submission: Submission, stage: str) -> list[int]:
    plan = submission.planned.plan
    return plan.runs.filter(pl.col("stage") == stage)["task_id"].to_list()


def test_tasks_share_runs_of_what_they_agree_in(planner: Planner) -> None:
    one = planner.submit(TEXT)
    plan = one.planned.plan
    assert (len(one.ids), len(ids(one, "prepare")), len(ids(one, "train"))) == (12, 2, 12)
    assert sorted([*one.ids, *plan.runs["task_id"]]) == list(range(26)), "all have ids of one kind"
    for row in range(plan.tasks.height):
        values = plan.parameters(row)
        prepare = plan.run_behind(one.ids[row], "prepare")
        assert prepare is not None
        assert plan.of_stage("prepare").parameters(plan.of_stage("prepare").row(prepare) or 0)["data"] == values["data"]
    assert plan.tasks_behind(ids(one, "prepare")[0], "prepare") == [0, 1, 2, 3, 4, 5]
    written = Plan.read(planner.folder.plans, plan.number)
    assert written.tasks.equals(plan.tasks) and written.runs.equals(plan.runs) and written.stages == plan.stages


def test_a_grown_grid_and_more_repeats_keep_what_is_there(planner: Planner) -> None:
    first = planner.submit(TEXT)
    grown = planner.submit(TEXT.replace("0.3]", "0.3, 0.4]").replace("repeat: 2", "repeat: 3"))
    assert ids(grown, "prepare") == ids(first, "prepare")
    assert set(ids(first, "train")) < set(ids(grown, "train")) and len(ids(grown, "train")) == 24
    assert len(grown.new) == 12
    new = {*grown.new, *ids(grown, "train")} - set(ids(first, "train"))
    assert min(new) >= 26 and len(new) == 24, "no id is given twice"
    assert planner.submit(TEXT).new == []


def test_an_edited_stage_runs_again_with_what_follows(planner: Planner) -> None:
    first = planner.submit(TEXT)
    edited = planner.submit(TEXT.replace("./train", "./train2"))
    assert ids(edited, "prepare") == ids(first, "prepare")
    assert not set(ids(edited, "train")) & set(ids(first, "train"))
    assert len(edited.new) == 12
    assert edited.reasons == {"stage train changed": 12}
    last = planner.submit(TEXT.replace("./test", "./test2"))
    assert ids(last, "train") == ids(first, "train") and len(last.new) == 12


def test_the_value_of_a_parameter_that_a_stage_does_not_use_is_no_part_of_it(planner: Planner) -> None:
    with_more = TEXT.replace("[lr] {seed}", "[lr] {seed} {size}").replace("lr: [", "size: [1], lr: [")
    first, second = planner.submit(TEXT), planner.submit(with_more)
    assert ids(first, "prepare") == ids(second, "prepare")
    runs = second.planned.plan.runs
    assert runs.filter(pl.col("stage") == "prepare")[LINK + "prepare"].null_count() == 2


def test_seeds_pair_settings_and_are_given_to_stages_that_take_them(planner: Planner) -> None:
    plan = planner.submit(TEXT).planned.plan
    train = plan.of_stage("train").tasks
    assert train["seed"].n_unique() == 2 and plan.of_stage("prepare").tasks["seed"].null_count() == 2
    assert plan.tasks["seed"].n_unique() == 2, "the seed of a repeat is a column of the results"
    own = planner.submit(TEXT + "seed: {base: 1, per: task}\n").planned.plan
    assert own.of_stage("train").tasks["seed"].n_unique() == 12
    (planner.path / "f.py").write_text("def f(data): ...\ndef g(f, lr): ...\n")
    calls = "stages: {f: {function: f.py::f}, g: {function: f.py::g}}\nparameters: {data: [a, b], lr: [1, 2]}\n"
    plan = planner.submit(calls).planned.plan
    assert plan.of_stage("f").tasks["seed"].n_unique() == 2 and plan.tasks["seed"].n_unique() == 4, "of their keys"


def test_files_version_and_inputs_of_a_stage_are_parts_of_it(planner: Planner) -> None:
    (planner.path / "in.txt").write_text("1")
    (planner.path / "in.tmpl").write_text("{data}")
    text = TEXT.replace("uses: [data]", "files: {x: in.tmpl}, inputs: in.txt, version: 2")
    first = planner.submit(text)
    assert first.planned.plan.of_stage("prepare").tasks["version"].to_list() == [2, 2]
    (planner.path / "in.txt").write_text("2")
    second = planner.submit(text)
    assert not set(ids(first, "prepare")) & set(ids(second, "prepare"))
    (planner.path / "in.tmpl").write_text("{data}!")
    third = planner.submit(text)
    assert not set(ids(second, "prepare")) & set(ids(third, "prepare"))
    assert planner.folder.spec(first.planned.plan.number).of_stage("prepare").templates == {"x": "{data}"}


def test_the_key_of_a_task_has_those_of_its_other_last_stages(planner: Planner) -> None:
    text = """\
    stages:
      build: {command: make}
      check: {command: 'make check', after: build}
      bench: {command: 'make bench SIZE={n} {seed}', after: build}
    parameters: {n: [1, 2]}
    repeat: 2
    """
    first = planner.submit(text)
    assert [key.hex()[:8] for key in first.planned.plan.tasks["key"]] == [
        "7e181d27",
        "da4c487e",
        "9c109921",
        "3e653fc2",
    ]
    edited = planner.submit(text.replace("make check", "make -j check"))
    assert ids(edited, "build") == ids(first, "build") and len(edited.new) == 4


def test_a_run_that_collects_is_known_by_what_it_collects(planner: Planner) -> None:
    text = TEXT.replace("parameters:", "  mean: {command: './mean {collected}', collect: seed}\nparameters:")
    first = planner.submit(text)
    plan = first.planned.plan
    assert len(ids(first, "mean")) == 6
    assert [key.hex()[:8] for key in plan.of_stage("mean").tasks["key"][:2]] == ["6fe33642", "3232a9e8"]
    assert plan.tasks_behind(ids(first, "mean")[0], "mean") == [0, 1]
    # Another order of values changes no run; another value has a run of its own; more repeats make all of them anew.
    turned = planner.submit(text.replace("[a, b]", "[b, a]"))
    assert sorted(ids(turned, "mean")) == ids(first, "mean")
    grown = planner.submit(text.replace("0.3]", "0.3, 0.4]"))
    assert {*ids(first, "mean")} < {*ids(grown, "mean")} and len(ids(grown, "mean")) == 8
    more = planner.submit(text.replace("repeat: 2", "repeat: 3"))
    assert not {*ids(more, "mean")} & {*ids(grown, "mean")} and len(more.new) == 6
    assert planner.submit(TEXT).new == [], "tasks do not depend on what collects them"
    across = planner.submit(text.replace("collect: seed", "collect: [repeat, lr]"))
    assert len(ids(across, "mean")) == 2 and not across.new
