"""What a submission runs: grids that grow and shrink, edits, repeats, sweeps, versions, adoption, added
combinations."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest

from tests.store.planner import Planner
from tui_lab.store.plan import Plan

SIX = "command: echo {a}\nparameters: {a: [1, 2, 3, 4, 5, 6]}\n"
EIGHT = SIX.replace("6]", "6, 7, 8]")


def test_a_grown_grid_runs_only_what_is_new(planner: Planner) -> None:
    before = planner.submit(SIX)
    after = planner.submit(EIGHT)
    assert before.ids == [0, 1, 2, 3, 4, 5]
    assert after.new == [6, 7]
    assert after.ids == [0, 1, 2, 3, 4, 5, 6, 7]
    assert after.reasons == {}
    assert planner.plan(EIGHT).new == []


def test_a_shrunk_grid_keeps_its_tasks_and_grows_back_into_them(planner: Planner) -> None:
    first = planner.submit(EIGHT)
    small = planner.submit("command: echo {a}\nparameters: {a: [7, 2]}\n")
    assert small.ids == [first.id(a=7), first.id(a=2)]
    assert planner.folder.tasks().height == 8
    assert planner.folder.tasks()["planned"].sum() == 2
    again = planner.submit(EIGHT)
    assert again.ids == first.ids
    assert again.new == []


def test_order_of_values_and_parameters_changes_no_task(planner: Planner) -> None:
    first = planner.submit("command: echo {a} {b}\nparameters: {a: [1, 2], b: [x, y]}\n")
    turned = planner.submit("command: echo {a} {b}\nparameters: {b: [y, x], a: [2, 1]}\n")
    assert turned.new == []
    assert sorted(turned.ids) == first.ids
    assert turned.id(a=2, b="y") == first.id(a=2, b="y")


def test_more_repeats_are_new_tasks_beside_the_old(planner: Planner) -> None:
    first = planner.submit(SIX + "repeat: 2\n")
    more = planner.submit(SIX + "repeat: 3\n")
    assert more.new == [12, 13, 14, 15, 16, 17]
    assert more.id(a=4, repeat=1) == first.id(a=4, repeat=1)
    assert planner.submit(SIX).ids == [first.id(a=a, repeat=0) for a in range(1, 7)]


def test_a_task_id_is_never_given_twice(planner: Planner) -> None:
    seen: dict[bytes, int] = {}
    for values in ([1, 2], [3], [2, 4], [1, 5], [6, 1, 3], [7]):
        submission = planner.submit(f"command: echo {{a}}\nparameters: {{a: {values}}}\n")
        for key, task in zip(submission.keys, submission.ids, strict=True):
            assert seen.setdefault(key, task) == task
    assert sorted(seen.values()) == list(range(7))


def test_a_plan_that_the_journal_never_named_does_not_count(planner: Planner) -> None:
    planner.submit(SIX)
    lost = planner.plan(EIGHT.replace("8]", "8, 9]"), again=True)
    lost.planned.plan.write(planner.folder.plans, EIGHT)
    after = planner.plan(EIGHT)
    assert after.planned.plan.number == 3
    assert after.new == [6, 7]
    assert after.planned.plan.tasks["version"].to_list() == [1] * 8


@pytest.mark.parametrize(
    ("edited", "why"),
    [
        (SIX.replace("echo", "echo -n"), "command changed"),
        (SIX.replace("echo {a}", "{run: 'echo {a}'}"), "command changed"),
        (SIX + "version: 2\n", "version changed"),
        (SIX.replace("a}", "b}").replace("{a:", "{b:"), 'command changed and "a" is now called "b"'),
    ],
)
def test_an_edit_runs_everything_again_and_says_why(planner: Planner, edited: str, why: str) -> None:
    first = planner.submit(SIX)
    after = planner.plan(edited)
    assert after.new == [6, 7, 8, 9, 10, 11]
    assert after.reasons == {why: 6}
    planner.submit(edited)
    assert planner.plan(SIX).ids == first.ids  # undone


def test_only_what_was_done_runs_again(planner: Planner) -> None:
    planner.submit(SIX, done=False)
    planner.finish([0, 1])
    planner.finish([2], "failed")
    assert planner.plan(SIX.replace("echo", "printf")).reasons == {"command changed": 2}


def test_several_reasons_are_said_together(planner: Planner, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("1")
    (tmp_path / "t.txt").write_text("{a}")
    text = SIX + "inputs: in.txt\nfiles: {o.txt: t.txt}\n"
    planner.submit(text)
    assert planner.plan(text).new == []
    (tmp_path / "in.txt").write_text("2")
    assert planner.plan(text).reasons == {"inputs changed": 6}
    (tmp_path / "t.txt").write_text("{a}\n")
    assert planner.plan(text).reasons == {"template changed and inputs changed": 6}


def test_what_only_reads_results_changes_no_task(planner: Planner) -> None:
    planner.submit(SIX)
    text = (
        SIX
        + "metrics: {m: 'x (@float@)'}\norder: shuffled\ntimeout: 3s\ntags: [t]\n"
        + "description: d\nenv: {A: '1'}\n"
    )
    assert planner.plan(text).new == []


def test_equal_combinations_of_several_sweeps_are_one_task(planner: Planner) -> None:
    text = "command: echo {a} {b}\nparameters: [{a: [1, 2]}, {b: [5, 6]}]\ndefaults: {a: 1, b: 5}\n"
    union = planner.submit(text)
    assert [union.planned.plan.parameters(row) for row in range(3)] == [
        {"a": 1, "b": 5},
        {"a": 2, "b": 5},
        {"a": 1, "b": 6},
    ]
    grid = planner.submit("command: echo {a} {b}\nparameters: {a: [1, 2], b: [5, 6]}\n")
    assert grid.new == [3]


def test_typed_values_are_different_tasks(planner: Planner) -> None:
    text = "command: echo {a}\nparameters:\n  - {a: [true, 1, '1']}\n  - {a: [1.0]}\n"
    submission = planner.submit(text)
    assert len(submission.ids) == 4
    read = Plan.read(planner.folder.plans, 1)
    values = [read.parameters(row)["a"] for row in range(4)]
    assert [(type(value), value) for value in values] == [(bool, True), (int, 1), (str, "1"), (float, 1.0)]
    assert planner.folder.tasks()["a"].to_list() == ["true", "1", '"1"', "1.0"]


def test_no_number_and_infinity_survive(planner: Planner) -> None:
    submission = planner.submit("command: echo {a}\nparameters: {a: [.nan, .inf, -.inf, -0.0, 0.0]}\n")
    assert len(submission.ids) == 4
    values = [Plan.read(planner.folder.plans, 1).parameters(row)["a"] for row in range(4)]
    assert math.isnan(values[0])  # type: ignore[arg-type]
    assert values[1:] == [math.inf, -math.inf, 0.0]
    assert math.copysign(1, values[3]) == 1  # type: ignore[arg-type]
    table = planner.folder.tasks()["a"]
    assert table.dtype == pl.Float64
    assert math.isnan(table[0])
    written = (planner.folder.plans / "1.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in written[1:]] == ["NaN", "inf", "-inf", "0.0"]
    assert planner.plan("command: echo {a}\nparameters: {a: [-.inf, .nan]}\n").new == []


def test_names_and_values_of_any_kind(planner: Planner) -> None:
    text = (
        "command: echo {early-stop} {model.lr} {seed} {repeat} {node} [x]\n"
        "parameters:\n"
        "  early-stop: [true, false]\n  model.lr: [0.1]\n  seed: [5, 6]\n"
        "  repeat: [a]\n  node: ['n\\u00e9']\n"
        "  x: [\"line\\nbreak\", 'it''s \"quoted\", yes', '\U0001f600', [1, 'a b'], null]\n"
    )
    submission = planner.submit(text)
    assert len(submission.ids) == 20
    table = planner.folder.tasks()
    assert table.columns[:6] == ["early-stop", "model.lr", "seed", "in_repeat", "in_node", "x"]
    assert table["seed"].to_list() == ([5] * 5 + [6] * 5) * 2
    assert table.columns.count("seed") == 1
    assert table["x"].to_list()[:5] == ["line\nbreak", 'it\'s "quoted", yes', "\U0001f600", '[1,"a b"]', None]
    written = pl.read_csv(planner.folder.plans / "1.csv")
    assert written["x"].to_list()[:3] == table["x"].to_list()[:3]
    assert planner.plan(text).new == []


def test_a_sweep_without_parameters_has_one_task(planner: Planner) -> None:
    submission = planner.submit("command: date\nrepeat: 3\n")
    assert submission.ids == [0, 1, 2]
    assert planner.folder.tasks().columns[0] == "task_id"
    assert planner.submit("command: date\nrepeat: 4\n").new == [3]


def test_seeds_join_the_key_where_they_are_used_or_given(planner: Planner) -> None:
    planner.submit(SIX)
    used = SIX.replace("{a}", "{a} {seed}", 1)
    planner.submit(used)
    changed = planner.plan(used + "seed: 5\n")
    assert len(changed.new) == 6
    assert changed.reasons == {"seed changed": 6}
    assert planner.plan(used + "seed: {base: 0, per: task}\n").reasons == {"seed changed": 6}


@pytest.mark.parametrize("program", [SIX, SIX.replace("{a}", '{a} "$TUI_LAB_SEED"', 1)])
def test_a_seed_that_the_file_gives_counts_as_used(planner: Planner, program: str) -> None:
    """A program may read TUI_LAB_SEED without a word of it in the file."""
    first = planner.submit(program + "seed: 1\n")
    assert planner.plan(program + "seed: 1\n").new == []
    second = planner.submit(program + "seed: 2\n")
    assert len(second.new) == 6 and second.reasons == {"seed changed": 6}
    seeds = planner.folder.tasks().group_by("task_id").agg("seed")
    assert seeds.height == 12
    back = planner.plan(program + "seed: 1\n")
    assert back.new == [] and back.ids == first.ids
    assert back.planned.plan.tasks["seed"].to_list() == first.planned.plan.tasks["seed"].to_list()


def test_the_seed_that_was_there_unsaid_may_be_said(planner: Planner) -> None:
    planner.submit(SIX)
    assert planner.plan(SIX + "seed: 0\n").new == []
    assert planner.plan(SIX + "seed: 5\n").reasons == {"seed changed": 6}


@pytest.mark.parametrize("seed", ["1", "{base: 1, per: task}"])
def test_tasks_whose_keys_are_without_the_seed_stay_where_it_is_theirs(planner: Planner, seed: str) -> None:
    planner.given_seeds_count = False
    first = planner.submit(SIX + f"seed: {seed}\n")
    planner.given_seeds_count = True
    same = planner.submit(SIX.replace("6]", "6, 7]") + f"seed: {seed}\n")
    assert same.ids[:6] == first.ids and same.new == [6]
    # A plan that gave old outputs a new seed does not make it theirs.
    planner.given_seeds_count = False
    assert planner.submit(SIX + "seed: 2\n").new == []
    planner.given_seeds_count = True
    assert len(planner.plan(SIX + "seed: 2\n").new) == 6
    assert planner.plan(SIX + f"seed: {seed}\n").new == []


def test_seeds_pair_settings_or_differ_by_task(planner: Planner) -> None:
    text = SIX.replace("{a}", "{a} {seed}", 1) + "repeat: 2\n"
    tasks = planner.plan(text).planned.plan.tasks
    assert tasks["seed"].n_unique() == 2
    assert planner.plan(text + "seed: {per: task}\n").planned.plan.tasks["seed"].n_unique() == 12


def test_an_old_null_parameter_changes_no_key(planner: Planner) -> None:
    planner.submit("command: run [x] {a}\nparameters: {a: [1, 2]}\ndefaults: {x: null}\n")
    more = planner.plan("command: run [x] {a}\nparameters: {a: [1, 2], x: [null, 3]}\n")
    assert len(more.new) == 2


# --- Versions


def test_rerun_gives_done_tasks_the_next_version(planner: Planner) -> None:
    planner.submit(SIX)
    again = planner.submit(SIX, again=True)
    assert again.new == [6, 7, 8, 9, 10, 11]
    assert again.reasons == {"--rerun": 6}
    third = planner.submit(SIX, again=True)
    assert third.new == [12, 13, 14, 15, 16, 17]
    table = planner.folder.tasks()
    assert table["version"].to_list() == [1] * 6 + [2] * 6 + [3] * 6
    assert table.filter("planned")["task_id"].to_list() == third.ids
    assert planner.submit(SIX).ids == third.ids


def test_rerun_leaves_what_is_not_done(planner: Planner) -> None:
    planner.submit(SIX, done=False)
    planner.finish([0, 1])
    assert planner.submit(SIX, again=True, done=False).ids == [6, 7, 2, 3, 4, 5]
    assert planner.submit(SIX, again=True).ids == [6, 7, 2, 3, 4, 5]


def test_rerun_of_chosen_values(planner: Planner) -> None:
    planner.submit(SIX)
    again = planner.submit(SIX, {"a": [2, 9]}, again=True)
    assert again.chosen == [6, 7]
    assert again.ids == [0, 6, 2, 3, 4, 5, 7]
    assert planner.folder.tasks().filter(pl.col("a") == 2)["version"].to_list() == [1, 2]


def test_a_version_runs_everything_also_after_rerun(planner: Planner) -> None:
    planner.submit(SIX)
    again = planner.submit(SIX, again=True)
    assert len(planner.submit(SIX + "version: 2\n").new) == 6
    assert planner.plan(SIX + "version: 2\n").new == []
    assert planner.plan(SIX).ids == again.ids


# Combinations of `name=value`.


def test_values_of_the_command_line_add_and_never_shrink(planner: Planner) -> None:
    planner.submit(SIX)
    more = planner.submit(SIX, {"a": [2, 9]})
    assert more.chosen == [1, 6]
    assert more.ids == [0, 1, 2, 3, 4, 5, 6]
    assert planner.submit(SIX, {"a": [10]}).ids == [0, 1, 2, 3, 4, 5, 6, 7]
    assert planner.plan(SIX + "timeout: 5s\n").ids == [0, 1, 2, 3, 4, 5, 6, 7]


def test_added_combinations_stay_when_the_file_changes(planner: Planner) -> None:
    planner.submit(SIX)
    planner.submit(SIX, {"a": [9]})
    grown = planner.submit(EIGHT)
    assert len(grown.ids) == 9 and 6 in grown.ids and 6 not in grown.new
    assert planner.submit(EIGHT, {"a": [9]}).new == []
    assert len(planner.submit(EIGHT.replace("echo", "printf")).new) == 9, "they run again as all others do"


def test_added_combinations_leave_when_they_are_told_to(planner: Planner) -> None:
    planner.submit(SIX, {"a": [9]})
    assert len(planner.plan(SIX).ids) == 7
    assert len(planner.submit(SIX, without_added=True).ids) == 6
    assert len(planner.plan(SIX).ids) == 6
    assert planner.plan(SIX, {"a": [9]}).new == [], "their results are still there"


def test_added_combinations_that_the_file_lists_are_its_own(planner: Planner) -> None:
    text = "command: echo {a}\nparameters: {a: [1, 2]}\n"
    planner.submit(text, {"a": [9]})
    ids = planner.submit(text.replace("2]", "2, 9]")).ids
    assert ids == [0, 1, 2]
    assert planner.submit(text).ids == [0, 1]


def test_added_combinations_take_on_what_the_file_says_now(planner: Planner) -> None:
    text = "command: echo {a} {b}\nparameters: {a: [1, 2]}\nderive: {b: 2 * a}\n"
    planner.submit(text, {"a": [9]})

    def rows(text: str) -> list[dict[str, object]]:
        return planner.plan(text).planned.plan.typed().to_dicts()

    assert {"a": 9, "b": 27} in rows(text.replace("2 * a", "3 * a"))
    assert {"a": 9} in rows("command: echo {a}\nparameters: {a: [1, 2]}\n"), "b is none any more"
    assert {"a": 9, "c": 5, "b": 18} in rows(text.replace("2]", "2], c: 5"))
    assert {"a": 9, "c": 4, "b": 18} in rows(text.replace("2]}", "2], c: [4, 5]}\ndefaults: {c: 4}"))
    for changed, why in (
        (text.replace("2]", "2], c: [4, 5]"), 'leaves the plan: they have no value of the parameter "c"'),
        (text + "where: b < 10\n", 'leaves the plan: "where" is not true for them'),
    ):
        plan = planner.plan(changed)
        assert 9 not in plan.planned.plan.typed()["a"].to_list()
        assert why in plan.planned.notices[0]


def test_an_added_value_of_another_type_leaves_derived_ones_alone(planner: Planner) -> None:
    text = "command: echo {a} {b}\nparameters: {a: [1, 2]}\nderive: {b: 2 * a}\n"
    planner.submit(text)
    more = planner.submit(text, {"a": [0.5]})
    assert more.new == [2]
    assert more.ids == [0, 1, 2]
    assert planner.folder.tasks()["b"].to_list() == [2, 4, 1]


# --- Unhashed parameters


def test_unhashed_parameters_change_no_task(planner: Planner) -> None:
    text = "command: run {a} -j {threads}\nparameters: {a: [1, 2], threads: 4}\nunhashed: threads\n"
    planner.submit(text, done=False)
    planner.finish([0])
    faster = planner.submit(text.replace("4", "8"))
    assert faster.new == []
    # What is done keeps the value with which it ran.
    assert planner.folder.tasks()["threads"].to_list() == [4, 8]
    assert planner.submit(text.replace("4", "16"), {"threads": [32]}, done=False).ids == [0, 1]
    assert planner.folder.tasks()["threads"].to_list() == [4, 32]


def test_values_that_differ_only_in_unhashed_ones_are_one_task(planner: Planner) -> None:
    text = "command: run {a} -j {threads}\nparameters: {a: [1, 2], threads: [4, 8]}\nunhashed: [threads]\n"
    assert planner.submit(text).ids == [0, 1]


# --- Adoption


def test_an_edited_command_is_adopted(planner: Planner) -> None:
    first = planner.submit(SIX)
    edited = SIX.replace("echo", "echo -n")
    adopted = planner.submit(edited, adopt=True)
    assert adopted.ids == first.ids
    assert adopted.planned.adopted.to_list() == first.ids
    assert adopted.planned.notices == ("--adopt: 6 done tasks adopted, though command changed",)
    assert planner.plan(edited).new == []
    assert planner.plan(SIX).ids == first.ids


def test_a_renamed_parameter_is_adopted(planner: Planner) -> None:
    planner.submit("command: run {lr} {n}\nparameters: {lr: [0.1, 0.2], n: [1, 2]}\n")
    renamed = "command: run {rate} {n}\nparameters: {n: [1, 2, 3], rate: [0.1, 0.2]}\n"
    adopted = planner.submit(renamed, adopt=True)
    assert len(adopted.new) == 2
    assert adopted.id(n=2, rate=0.1) == 1
    assert planner.folder.tasks().columns[:2] == ["n", "rate"]


def test_a_new_parameter_is_adopted_at_its_default(planner: Planner) -> None:
    planner.submit("command: run {a}\nparameters: {a: [1, 2]}\n")
    grown = "command: run {a} {b}\nparameters: {a: [1, 2], b: [5, 6]}\n"
    refused = planner.plan(grown, adopt=True)
    assert len(refused.new) == 4
    assert refused.planned.notices == ('--adopt: "b" is new, and `defaults` does not say what it was before',)
    adopted = planner.submit(grown + "defaults: {b: 6}\n", adopt=True)
    assert [adopted.id(a=1, b=6), adopted.id(a=2, b=6)] == [0, 1]
    assert len(adopted.new) == 2


def test_only_done_tasks_are_adopted(planner: Planner) -> None:
    planner.submit(SIX, done=False)
    planner.finish([0, 1])
    planner.finish([2], "failed")
    adopted = planner.submit(SIX.replace("echo", "printf"), adopt=True)
    assert adopted.ids == [0, 1, 6, 7, 8, 9]


def test_tasks_of_older_plans_are_adopted_too(planner: Planner) -> None:
    planner.submit(EIGHT)
    planner.submit("command: echo {a}\nparameters: {a: [3]}\n")
    assert planner.plan(EIGHT.replace("echo", "printf"), adopt=True).new == []


def test_nothing_that_could_be_adopted_is_said(planner: Planner) -> None:
    planner.submit(SIX)
    other = planner.plan("command: run {a}\nparameters: {a: [7, 8]}\n", adopt=True)
    assert len(other.new) == 2
    assert other.planned.notices == ("--adopt: no done task of the previous plan has the same setting as a new one",)
    gone = planner.plan("command: run\n", adopt=True)
    assert gone.planned.notices == ('--adopt: "a" is gone, and it had several values',)
    assert planner.plan(SIX, adopt=True).planned.notices == ("--adopt: nothing to adopt, for every task is known",)


def test_each_task_is_adopted_once(planner: Planner) -> None:
    planner.submit("command: run {a} {b}\nparameters: {a: [1], b: [2]}\n")
    planner.submit("command: run {a}\nparameters: {a: [1]}\n", adopt=True)
    assert planner.folder.tasks().height == 1
    text = "command: run {a}\nparameters: {a: [1, 1.0]}\n"
    assert planner.submit(text, adopt=True).ids == [1]


def test_parameters_that_become_unhashed_are_adopted(planner: Planner) -> None:
    text = "command: run {a} {t}\nparameters: {a: [1, 2], t: [4, 8]}\n"
    planner.submit(text)
    adopted = planner.submit(text + "unhashed: t\n", adopt=True)
    assert adopted.ids == [0, 2]


# --- Files that a plan leaves behind


def test_values_of_several_plans_stand_in_one_table(planner: Planner) -> None:
    planner.submit("command: run {a}\nparameters: {a: [true]}\n")
    planner.submit("command: run {a} {b}\nparameters: {a: [1], b: [x]}\n")
    table = planner.folder.tasks()
    assert table["a"].to_list() == ["true", "1"]
    assert table["b"].to_list() == [None, "x"]
    assert planner.folder.parameters() == ["a", "b"]
