"""What is too large is an error at its place, whatever it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_lab.experiment.cluster.reader import load_cluster
from tui_lab.experiment.load import load, load_text
from tui_lab.experiment.yaml.parser import LARGEST
from tui_lab.experiment.yaml.problem import SpecError

BASE = "command: echo {x}\nparameters: {x: [1]}\n"


def said(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_text(text)
    return str(caught.value.problems[0])


@pytest.mark.parametrize("key", ["retries", "max_failures", "priority"])
def test_counts_have_an_end(key: str) -> None:
    text = f'experiment.yaml:3:{len(key) + 3}: "{key}" must be at most 1,000,000,000, not 1{"0" * 30}'
    assert said(f"{BASE}{key}: 1{'0' * 30}\n") == text


def test_tokens_have_an_end() -> None:
    assert said(f"{BASE}limits: {{license: 1000000001}}\n").startswith(
        'experiment.yaml:3:19: "license" must be at most'
    )


def test_seeds_have_none() -> None:
    assert load_text(f"{BASE}seed: 1{'0' * 30}\n").seed is not None


@pytest.mark.parametrize("slots", ["1000001", "9" * 40])
def test_slots_end_where_those_of_an_agent_do(tmp_path: Path, slots: str) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(SpecError) as caught:
        load_cluster(file, f"nodes: [{{name: a, host: a, slots: {slots}}}]\n")
    assert str(caught.value.problems[0]) == f'{file}:1:35: "slots" must be at most 1,000,000, not {slots}'
    assert load_cluster(file, "nodes: [{name: a, host: a, slots: 1000000}]\n").nodes[0].slots == 1_000_000


def test_a_command_that_is_nested_too_deep() -> None:
    command = "echo " + "$(" * 20_000 + "1" + ")" * 20_000
    assert "the command is nested too deep to be read" in said(f"command: '{command}'\nparameters: {{x: [1]}}\n")


def test_files_have_an_end(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(BASE)
    os.truncate(file, LARGEST + 1)
    endless = tmp_path / "endless.yaml"
    endless.symlink_to("/dev/zero")
    for path in (file, endless):
        with pytest.raises(SpecError, match="is larger than 16 MiB"):
            load(path)


def test_an_expression_that_is_nested_too_deep() -> None:
    assert "the expression is nested too deep" in said(f"{BASE}where: '{'(' * 5000}x = 1{')' * 5000}'\n")
