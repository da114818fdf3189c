"""When attempts start, how long each may take, and after what they start again."""

from __future__ import annotations

import itertools

import pytest

from tests.workbench import Workbench


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", "needs: {cpus: 1}\n", "setup: sleep 1\n", "retries: 1\n"])
def test_a_pause_between_starts(workbench: Workbench, more: str) -> None:
    text = "command: date +%s.%N; echo {x}\nparameters: {x: [1, 2, 3, 4]}\nstagger: 300ms\n"
    if "retries" in more:
        text = text.replace("echo {x}", "test {x}{attempt} -ge 12")
    workbench.run_text(text + more, slots=4)
    files = workbench.experiment().path.glob("tasks/0/*/stdout*")
    times = sorted(float(path.read_text().split()[0]) for path in files)
    assert len(times) == 4 + ("retries" in more)
    # The programs tell the time, each a moment after its start.
    assert times[-1] - times[0] > 0.3 * (len(times) - 1) - 0.1
    assert all(later - sooner > 0.1 for sooner, later in itertools.pairwise(times))


@pytest.mark.slow
def test_which_exit_statuses_are_tried_again(workbench: Workbench) -> None:
    text = """\
command: 'test {attempt} -ge {x} || {how}'
parameters: {x: [2, 4], how: [exit 75, exit 3, 'kill -9 $$']}
retries: 2
retry_on: [75, signal]
"""
    workbench.run_text(text.replace("{how}", "{how:raw}"), code=None)
    found = {(task["x"], task["how"]): (task["state"], task["attempts"]) for task in workbench.tasks()}
    assert found == {
        (2, "exit 75"): ("done", 2),
        (2, "exit 3"): ("failed", 1),
        (2, "kill -9 $$"): ("done", 2),
        (4, "exit 75"): ("failed", 3),
        (4, "exit 3"): ("failed", 1),
        (4, "kill -9 $$"): ("failed", 3),
    }


@pytest.mark.slow
def test_a_limit_of_time_for_each_attempt(workbench: Workbench) -> None:
    text = "command: 'test {attempt} = 3 || sleep 1000'\nparameters: {x: [1]}\nretries: 2\n"
    workbench.run_text(text + "timeout: [200ms, '0.{x}s', '{x}h']\n")
    assert [event.get("reason") for event in workbench.events("finished")] == ["timeout", "timeout", None]
