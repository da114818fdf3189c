"""Repeats until an interval is narrow: which tasks are asked for, on a lab that a test plays the engine of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.results.conftest import LabOnDisk
from tests.store.events import AT
from tui_lab.client.submission import Choice, Prepared, prepare, submit_event
from tui_lab.experiment.model import Experiment
from tui_lab.results.statistics.report import make
from tui_lab.results.statistics.warnings import warnings
from tui_lab.results.tables import refresh
from tui_lab.results.until import more, unreached
from tui_lab.store import ranges
from tui_lab.store.events import Extended
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.spare import counts_without_spare

SWEEP = """\
command: echo {opt}
parameters: {opt: [calm, wild, sick]}
repeat: {min: 3, max: 6, until: 'ci95(acc) < 0.05 * mean(acc)'}
metrics: {acc: {pattern: 'acc (@float@)', goal: max}}
"""
NOISE = [0.0, 0.01, -0.01, 0.012, -0.012, 0.011]


def output(row: dict[str, Any]) -> str:
    """Calm repeats agree, wild ones don't, and sick ones diverge."""
    if row["opt"] == "sick":
        return "acc nan\n"
    return f"acc {1 + NOISE[row['repeat'] % 6] * (1 if row['opt'] == 'calm' else 30)}\n"


class Played:
    """A run without an engine: what is asked for is run in this process."""

    def __init__(self, disk: LabOnDisk, text: str, name: str = "grid") -> None:
        self.disk, self.name, self.note = disk, name, ""
        self.file = Path(disk.sources) / f"{name}.yaml"
        self.file.write_text(text)

    @property
    def folder(self) -> ExperimentFolder:
        return self.disk.lab.experiment(self.name)

    def prepare(self, **choice: Any) -> Prepared:
        return prepare(self.disk.lab, self.file, Choice(**choice))

    def submit(self, **choice: Any) -> list[int]:
        """Submit; the tasks asked for."""
        prepared = self.prepare(**choice)
        event = submit_event(prepared, [], False)
        self.disk.journal(ExperimentFolder(prepared.folder.path), event)
        return prepared.queued.to_list()

    def run(self, tasks: list[int], put: Callable[[dict[str, Any]], str | None] = output) -> None:
        """Run tasks; those without an output fail."""
        table = {row["task_id"]: row for row in self.folder.tasks().iter_rows(named=True)}
        for task in tasks:
            printed = put(table[task])
            self.disk.run(self.folder, task, printed or "", "failed" if printed is None else "done")

    def extend(self) -> list[int]:
        """What a run that would be over asks for."""
        tasks, self.note = more(self.folder)
        if tasks:
            self.disk.journal(self.folder, Extended(AT, ranges.to_ranges(tasks)))
        return tasks

    def whole(self, put: Callable[[dict[str, Any]], str | None] = output, **choice: Any) -> list[list[int]]:
        """A run to its end: the tasks of each round."""
        rounds = [self.submit(**choice)]
        while rounds[-1]:
            self.run(rounds[-1], put)
            rounds.append(self.extend())
        return rounds[:-1]

    def repeats(self) -> dict[str, int]:
        """Done tasks of each setting."""
        found = self.folder.tasks().filter(self.folder.tasks()["state"] == "done")
        return {opt: int((found["opt"] == opt).sum()) for opt in ("calm", "wild", "sick")}


def test_settings_run_until_their_condition_is_true_or_their_repeats_are_used_up(disk: Any) -> None:
    played = Played(disk, SWEEP)
    # Three repeats of each setting to begin with; then one more of each that needs it.
    assert played.whole() == [[0, 1, 2, 6, 7, 8, 12, 13, 14], [9, 15], [10, 16], [11, 17]]
    assert played.repeats() == {"calm": 3, "wild": 6, "sick": 6}
    counts, spare = counts_without_spare(played.folder.state())
    assert (counts["done"], counts["pending"], spare) == (15, 0, 3)
    assert played.submit() == [], "and again: nothing is missing"
    results = refresh(played.folder)
    assert not any("not in it" in line for line in warnings(make(results))), "spare repeats are not missing"


def test_a_failed_repeat_counts_as_one(disk: Any) -> None:
    played = Played(disk, SWEEP)
    rounds = played.whole(lambda row: None if row["opt"] == "calm" and row["repeat"] < 2 else output(row))
    assert [task for tasks in rounds for task in tasks if task < 6] == [0, 1, 2, 3, 4], "of three, two failed"
    assert played.submit() == [0, 1], "failures run again when asked anew"


def test_a_tighter_condition_goes_on_where_the_last_stopped(disk: Any) -> None:
    played = Played(disk, SWEEP)
    played.whole()
    played.file.write_text(SWEEP.replace("0.05 *", "0.015 *"))
    prepared = played.prepare()
    assert prepared.queued.to_list() == [3], "the calm setting needs more"
    assert prepared.spare.to_list() == [4, 5]
    assert prepared.counts["done"] == 15
    assert played.whole() == [[3], [4]]
    played.file.write_text(SWEEP.replace("max: 6", "max: 8"))
    played.whole()
    assert played.repeats() == {"calm": 5, "wild": 8, "sick": 8}, "a larger max, and the old condition again"


def test_what_was_asked_for_and_did_not_run_comes_first(disk: Any) -> None:
    played = Played(disk, SWEEP)
    played.run(played.submit())
    assert played.extend() == [9, 15]
    played.run([9])  # 15 was drained
    assert played.submit() == [10, 15]


def test_a_selection_extends_what_it_selects(disk: Any) -> None:
    played = Played(disk, SWEEP)
    assert played.whole(only="opt = 'wild' AND repeat < 5") == [[6, 7, 8], [9], [10]]
    assert played.repeats() == {"calm": 0, "wild": 5, "sick": 0}
    counts, spare = counts_without_spare(played.folder.state())
    assert (counts["pending"], spare) == (13, 0)


def test_other_metrics_than_submitted(disk: Any) -> None:
    """A condition over a metric that is new in the file reads it from the outputs that are there."""
    played = Played(disk, SWEEP)
    played.whole()
    text = SWEEP.replace("acc: {p", "other: '^a(?:cc) (@float@)', acc: {p").replace(
        "ci95(acc) <", "n(other) >= 5 AND 0 <"
    )
    played.file.write_text(text)
    assert played.prepare().queued.to_list() == [3]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n(acc) >= 2 AND n() >= 4", {"calm": 4, "wild": 4, "sick": 6}),
        ("n() >= 5", {"calm": 5, "wild": 5, "sick": 5}),
        ("sd(acc) < 0.1", {"calm": 3, "wild": 6, "sick": 6}),
        ("max(duration) > 1 AND count(*) > 3", {"calm": 4, "wild": 4, "sick": 4}),
        ("mean(acc) > 1 OR mean(acc) IS NULL", {"calm": 4, "wild": 4, "sick": 3}),
    ],
)
def test_conditions_are_sql(disk: Any, condition: str, expected: dict[str, int]) -> None:
    played = Played(disk, SWEEP.replace("ci95(acc) < 0.05 * mean(acc)", condition))
    played.whole()
    assert played.repeats() == expected


def test_a_parameter_named_seed_makes_repeats(disk: Any) -> None:
    text = SWEEP.replace("[calm, wild, sick]", "[calm, wild], seed: [7, 8]").replace("max: 6", "max: 4")
    played = Played(disk, text.replace("min: 3", "min: 1"))

    def put(row: dict[str, Any]) -> str:
        return f"acc {1 + row['seed'] / 1000 if row['opt'] == 'calm' else (row['repeat'] + 2) * row['seed']}\n"

    rounds = played.whole(put)
    assert [len(tasks) for tasks in rounds] == [4, 1, 1, 1, 1, 1, 1]
    # Both seeds of the wild setting are repeats of it: one further task at a time.
    assert played.repeats()["calm"] == 2
    assert played.repeats()["wild"] == 8


def told(played: Played) -> str:
    return unreached(played.folder, refresh(played.folder))


def test_a_deterministic_program_stops_also_where_it_gives_0(disk: Any) -> None:
    played = Played(disk, SWEEP.replace("ci95(acc) < 0.05 * mean(acc)", "ci95(acc) < 0.1"))
    played.whole(lambda row: f"acc {0 if row['opt'] == 'calm' else 2.5}\n")
    assert played.repeats() == {"calm": 3, "wild": 3, "sick": 3}


def test_equal_values_are_no_reason_to_stop(disk: Any) -> None:
    """Wild repeats of a program that prints one decimal, and calm ones that all print the same."""
    played = Played(disk, SWEEP.replace("[calm, wild, sick]", "[calm, wild]"))
    played.whole(lambda row: f"acc {1.0 if row['opt'] == 'calm' else 1 + row['repeat'] / 10}\n")
    assert played.repeats()["calm"] > 3
    text = SWEEP.replace("[calm, wild, sick]", "[calm, wild]").replace(
        "ci95(acc) < 0.05 * mean(acc)", "ci95(acc) < 0.1"
    )
    coins = Played(disk, text, "coins")
    coins.whole(lambda row: f"acc {1 if row['opt'] == 'calm' else row['repeat'] % 2}\n")
    assert coins.repeats()["calm"] == 6, "three heads are no certainty"
    assert "is not true of 2 of 2 settings after all 6 repeats" in told(coins)
    sd = Played(disk, text.replace("ci95(acc) < 0.1", "sd(acc) < 0.1"), "shares")
    sd.whole(lambda row: f"acc {1 if row['opt'] == 'calm' else row['repeat'] % 2}\n")
    assert sd.repeats()["calm"] == 6


def test_a_deterministic_program_needs_no_further_repeats(disk: Any) -> None:
    played = Played(disk, SWEEP)
    assert played.whole(lambda row: f"acc {len(row['opt'])}\n") == [[0, 1, 2, 6, 7, 8, 12, 13, 14]]
    assert told(played) == ""


def test_a_condition_that_can_not_become_true_is_told(disk: Any) -> None:
    played = Played(disk, SWEEP)
    played.whole(lambda row: f"acc {-5 + NOISE[row['repeat'] % 6] * (1 if row['opt'] == 'calm' else 3)}\n")
    assert "not true of 3 of 3 settings after all 6 repeats; of 3 it can't become true" in told(played)
    mended = Played(disk, SWEEP.replace("* mean(acc)", "* abs(mean(acc))"), "mended")
    mended.whole(lambda row: f"acc {-5 + NOISE[row['repeat'] % 6]}\n")
    assert told(mended) == ""


def test_values_whose_squares_overflow(disk: Any) -> None:
    played = Played(disk, SWEEP)
    played.whole(lambda row: f"acc {1 + NOISE[row['repeat'] % 6]}e160\n")
    assert played.repeats() == {"calm": 3, "wild": 3, "sick": 3}


def test_an_experiment_without_a_condition_asks_for_no_more(disk: Any) -> None:
    played = Played(disk, SWEEP.replace("{min: 3, max: 6, until: 'ci95(acc) < 0.05 * mean(acc)'}", "2"))
    assert played.whole() == [[0, 1, 2, 3, 4, 5]]


def test_prepared_says_how_many(disk: Any) -> None:
    prepared = Played(disk, SWEEP).prepare()
    assert isinstance(prepared.experiment, Experiment)
    assert (len(prepared.queued), len(prepared.spare), prepared.plan.tasks.height) == (9, 9, 18)
    assert prepared.counts["new"] == 9


def test_a_hopeless_condition_is_told_when_repeats_are_asked_for(disk: Any) -> None:
    played = Played(disk, SWEEP.replace("[calm, wild, sick]", "[calm, wild]"))
    played.run(played.submit(), lambda row: f"acc {-5 - row['repeat'] if row['opt'] == 'calm' else 1.0}\n")
    assert played.extend()
    assert "can't become true of 1 of 2 settings" in played.note


def test_a_condition_that_may_become_true_is_not_called_hopeless(disk: Any) -> None:
    """Neither a mean of 1, nor a count that more repeats will reach."""
    for number, condition in enumerate(("ci95(acc) < 0.05 * mean(acc)", "n(acc) >= 5")):
        text = SWEEP.replace("[calm, wild, sick]", "[wild]").replace("ci95(acc) < 0.05 * mean(acc)", condition)
        played = Played(disk, text, f"e{number}")
        played.run(played.submit())
        assert played.extend()
        assert played.note == ""
