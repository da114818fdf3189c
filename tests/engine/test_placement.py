"""What tasks need, and what nodes and the run have: on this machine, with real programs."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.workbench import Workbench

SMI = """\
#!/bin/sh
# What a machine with two cards says.
case "$*" in
*query-gpu*) printf '0, GPU-a, Card, 8000, 0, 10\\n1, GPU-b, Card, 8000, 0, 10\\n' ;;
*) : ;;
esac
"""

# Each task writes when it began and when it ended, so that a test sees what ran at the same time.
TIMED = """\
command: |
  python3 -S -c 'import os,time;print("from", time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES"))'
  sleep 0.1
  python3 -S -c 'import time;print("to", time.monotonic())'
"""


def spans(workbench: Workbench, count: int, name: str = "e") -> list[tuple[float, float, str]]:
    found = []
    for task in range(count):
        first, last = workbench.output(task, name=name).splitlines()
        _, began, cards = first.split()
        found.append((float(began), float(last.split()[1]), cards))
    return found


def most_at_once(times: list[tuple[float, float, str]]) -> int:
    return max(sum(1 for begin, end, _ in times if begin <= moment < end) for moment, _, _ in times)


def test_limits_are_tokens_across_the_run(workbench: Workbench) -> None:
    text = TIMED + "repeat: 8\nneeds: {license: 1}\nlimits: {license: 2}\n"
    workbench.run_text(text, slots=6)
    assert most_at_once(spans(workbench, 8)) <= 2


def test_resources_of_the_cluster_file(workbench: Workbench) -> None:
    workbench.write("e.yaml", "name: e\n" + TIMED + "repeat: 6\nneeds: {scope: 1}\n")
    refused = workbench.process("--run", "e.yaml", "--node", "localhost", "4", code=2).err
    assert "e.yaml:7:9: a task needs scope: 1, and no node offers more than 0" in refused
    assert "note: tasks need scope: --cluster FILE names" in workbench.process("plan", "e.yaml").out
    workbench.write("c.yaml", "nodes: [{slots: 6, resources: {scope: 2}}]\n")
    workbench.process("--run", "e.yaml", "--cluster", "c.yaml")
    assert most_at_once(spans(workbench, 6)) <= 2


def test_tasks_wait_for_memory_and_some_fit_beside(workbench: Workbench) -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    total = int(next(line for line in lines if line.startswith("MemTotal")).split()[1])
    text = TIMED + f"repeat: 4\nneeds: {{memory: {int(total * 0.6)}K}}\n"
    workbench.run_text(text, slots=4)
    assert most_at_once(spans(workbench, 4)) == 1


def test_an_exclusive_task_is_alone(workbench: Workbench) -> None:
    text = TIMED + "parameters: {alone: [true, false, false, true, false, false]}\nneeds: {exclusive: '{alone}'}\n"
    workbench.run_text(text, slots=4)
    times = spans(workbench, 2)
    every = [*times]
    alone = [one for task, one in zip(workbench.tasks(), every, strict=False) if task["alone"]]
    for begin, end, _ in alone:
        assert sum(1 for other, last, _ in every if other < end and last > begin) == 1


def test_what_no_node_has_is_said_at_once(workbench: Workbench) -> None:
    workbench.run_text("command: 'true'\nrepeat: 3\nneeds: {gpus: 3}\n", env=without_cards(workbench), code=1)
    assert Counter(task["reason"] for task in workbench.tasks()) == {"start": 3}
    message = workbench.events("finished")[0]["message"]
    assert "localhost" in message and "gpu" in message


def without_cards(workbench: Workbench) -> dict[str, str]:
    return {}


@pytest.fixture
def cards(workbench: Workbench) -> dict[str, str]:
    """An environment with an nvidia-smi that knows two cards."""
    folder = workbench.folder / "bin"
    folder.mkdir()
    smi = workbench.write("bin/nvidia-smi", SMI)
    smi.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.slow
def test_each_task_sees_its_own_cards(workbench: Workbench, cards: dict[str, str]) -> None:
    workbench.run_text(TIMED + "repeat: 6\nneeds: {gpus: 1}\n", slots=4, env=cards)
    times = spans(workbench, 6)
    assert most_at_once(times) <= 2
    assert {cards for _, _, cards in times} == {"0", "1"}
    for begin, end, card in times:
        assert sum(1 for other, last, same in times if same == card and other < end and last > begin) == 1


@pytest.mark.slow
@pytest.mark.parametrize("where", ["shell", "file"])
def test_only_cards_that_are_left_to_this_shell(workbench: Workbench, cards: dict[str, str], where: str) -> None:
    env = {**cards, "CUDA_VISIBLE_DEVICES": "1"} if where == "shell" else cards
    text = TIMED + "repeat: 3\nneeds: {gpus: 1}\n" + "env: {CUDA_VISIBLE_DEVICES: '1'}\n" * (where == "file")
    workbench.run_text(text, slots=4, env=env)
    assert {card for _, _, card in spans(workbench, 3)} == {"1"}


@pytest.mark.slow
def test_two_tasks_share_a_card(workbench: Workbench, cards: dict[str, str]) -> None:
    workbench.run_text(TIMED + "repeat: 8\nneeds: {gpus: 0.5}\n", slots=8, env=cards)
    times = spans(workbench, 8)
    for card in ("0", "1"):
        assert most_at_once([one for one in times if one[2] == card] or times[:1]) <= 2


@pytest.mark.slow
def test_more_memory_on_the_second_attempt_and_by_retry(workbench: Workbench) -> None:
    text = "command: 'test {attempt} -ge 3'\nretries: 1\nneeds: {memory: [1K, 2K], cpus: 1}\n"
    workbench.run_text(text, code=1)
    workbench("retry", "e", "needs.memory=3K")
    assert workbench.events("requeued")[0]["changes"] == {"needs": {"memory": 3072}}
    assert json.dumps(workbench.tasks()[0]["state"]) == '"done"'
