"""Completion in the text of an experiment, and what its keys mean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workbench import Workbench
from tui_lab.experiment.domains.kinds import KINDS as DOMAINS
from tui_lab.experiment.keys import KEYS, stage_keys
from tui_lab.experiment.keys.results import metric_keys
from tui_lab.tui.panes.experiment.completion import Known, complete, files_beside, meaning

KNOWN = Known(("lr", "width"), ("train.py", "data/a.csv"))

PLACES = {
    "re|": ["repeat: ", "resumes: ", "retries: ", "retry_on: ", "per_repeat: "],
    "repeat: 3\nrep|": ["per_repeat: "],
    "rep|: 3": ["repeat", "per_repeat"],
    "para|": ["parameters: "],
    "need|": ["needs:\n  "],
    "order: sh|": ["shuffled", "shuffled-rounds"],
    "per_repeat: t|": ["true"],
    "seed: {per: |": ["repeat", "task"],
    "command: ./x {wi|\n": ["width"],
    "command: ./x [wi|\n": ["width"],
    "command: ./x ${wi|\n": [],
    "command: |-\n  echo {l|": ["lr"],
    "command:\n  - ./x {l|": ["lr"],
    "command: python tr|": ["train.py"],
    "env: {A: '{l|": ["lr"],
    "code: tr|": ["train.py"],
    "where: lr < 1 and w|": ["width"],
    "zip: [[l|": ["lr"],
    "parameters:\n  lr: geo|": ["{geomspace: "],
    "parameters:\n  lr: {ge|": ["geomspace: "],
    "parameters:\n- lr: {geo|": ["geomspace: "],
    "metrics:\n  loss:\n    go|": ["goal: "],
    "metrics:\n  loss: {pattern: 'x: {', go|": ["goal: "],
    "metrics:\n  loss: {pattern: x, goal: m|": ["min", "max"],
    "stages:\n  a:\n    comm|": ["command: "],
    "# re|": [],
    "zz|": [],
}


def at(text: str) -> tuple[str, int]:
    index = text.rindex("|")
    return text[:index] + text[index + 1 :], index


@pytest.mark.parametrize("text", PLACES)
def test_what_is_offered_at_a_place(text: str) -> None:
    plain, index = at(text)
    found = complete(plain, index, KNOWN)
    assert [candidate.text for candidate in found.candidates] == PLACES[text]
    assert found.start <= index <= found.end


def test_every_key_and_every_kind_is_completed() -> None:
    owners: dict[str, Iterable[str]] = {
        "{}": KEYS,
        "metrics:\n  a:\n    {}": metric_keys(),
        "stages:\n  a:\n    {}": stage_keys(),
        "parameters:\n  a: {{{}": DOMAINS.own,
    }
    for owner, names in owners.items():
        for name in names:
            text = owner.format(name[:-1])
            found = complete(text, len(text), KNOWN)
            assert name in [one.label for one in found.candidates], name
            assert meaning(owner.format(name).split("\n"), owner.count("\n"), len(owner.split("\n")[-1]))


@given(st.text("ab:-{}[]'\"|>#, \n", max_size=40), st.integers(0, 40))
def test_any_text_can_be_completed(text: str, index: int) -> None:
    index = min(index, len(text))
    found = complete(text, index, KNOWN)
    assert 0 <= found.start <= index <= found.end <= len(text)
    lines = text.split("\n")
    row = text.count("\n", 0, index)
    meaning(lines, row, index - (text.rfind("\n", 0, index) + 1))


def test_what_a_key_means() -> None:
    lines = ["repeat: {min: 3, until: x}", "metrics:", "  loss: {pattern: x, goal: max}"]
    assert meaning(lines, 0, 2).startswith("repeat: How often each combination runs")
    assert meaning(lines, 0, 18).startswith("until: ")
    assert meaning(lines, 2, 24) == "goal: Which values are better: small or large ones."
    assert meaning(lines, 2, 3) == ""


def test_files_beside_an_experiment(workbench: Workbench) -> None:
    for name in ("train.py", ".hidden", "data/a.csv", "lab/lab.json", "data/deep/b.csv"):
        path = Path(workbench.folder) / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert files_beside(workbench.folder / "here") == ("train.py", "data/a.csv")
