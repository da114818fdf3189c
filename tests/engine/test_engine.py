"""Runs as a person meets them: slots, order, pauses, interrupts, several followers, a disk that is full."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.workbench import Workbench, alive, until
from tui_lab.client.submission import Choice, prepare, submit_event
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import Answer, AskStatus, Command, Requeue, Resume, Stop, Submit
from tui_lab.store.errors import LabError
from tui_lab.store.plan import file_crc

TRUTH = "echo {task_id} >>$TRUTH"
WAIT = "while ! test -e go; do sleep 0.02; done"


def began(workbench: Workbench, count: int = 1) -> bool:
    return len(workbench.lines()) >= count


def states(workbench: Workbench, name: str = "e") -> Counter[str]:
    return Counter(task["state"] for task in workbench.tasks(name))


@pytest.mark.smoke("local")
def test_slots_are_kept_busy_and_never_exceeded(workbench: Workbench) -> None:
    script = "echo b >>$TRUTH; sleep 0.05; echo e >>$TRUTH"
    workbench.run_text(f"command: '{script}'\nrepeat: 24\n", slots=3)
    level, levels = 0, []
    for line in workbench.lines():
        level += 1 if line == "b" else -1
        levels.append(level)
    assert max(levels) == 3
    assert level == 0
    assert states(workbench) == {"done": 24}


@pytest.mark.parametrize("order", ["interleaved", "listed", "shuffled", "shuffled-rounds"])
def test_order(workbench: Workbench, order: str) -> None:
    text = f"command: {TRUTH}\nparameters: {{x: [a, b, c, d]}}\nrepeat: 3\norder: {order}\n"
    workbench.run_text(text, slots=1)
    ran = [int(line) for line in workbench.lines()]
    listed = list(range(12))
    expected = {"interleaved": sorted(listed, key=lambda task: task % 3), "listed": listed}
    if order in expected:
        assert ran == expected[order]
    else:
        assert ran != listed
        assert sorted(ran) == listed
        assert order == "shuffled" or [task % 3 for task in ran] == sorted(task % 3 for task in ran)


def test_ten_failures_and_nothing_else_pause_the_run(workbench: Workbench) -> None:
    text = f"command: '{TRUTH}; exit 3'\nrepeat: 40\n"
    paused = workbench.run_text(text, code=1)
    assert "first 1" in paused.err
    counts = states(workbench)
    assert 10 <= counts["failed"] < 20
    assert workbench.events("paused")[0]["reason"] == "first_failures"
    workbench.run_text(text, "--keep-going", code=1)
    assert states(workbench) == {"failed": 40}


def test_max_failures_stops_the_experiment(workbench: Workbench) -> None:
    text = f"command: '{TRUTH}; test {{repeat}} -lt 5'\nrepeat: 60\nmax_failures: 3\norder: listed\n"
    workbench.run_text(text, slots=1, code=1)
    counts = states(workbench)
    assert counts["done"] == 5
    assert 3 <= counts["failed"] <= 5
    assert workbench.events("paused")[0]["reason"] == "max_failures"


@pytest.mark.slow
def test_the_first_interrupt_lets_tasks_finish_and_the_same_command_goes_on(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 8\n")
    command = ("--run", file, "--node", "localhost", 2)
    run = workbench.start(*command)
    until(lambda: began(workbench, 2))
    run.send_signal(signal.SIGINT)
    until(lambda: workbench.events("drained"))
    (workbench.folder / "go").touch()
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    counts = states(workbench)
    assert counts["running"] == 0
    assert counts["done"] == len(workbench.lines()) < 8
    assert counts["pending"] == 8 - counts["done"]
    workbench.process(*command)
    assert sorted(map(int, workbench.lines())) == list(range(8))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["two interrupts", "SIGTERM"])
def test_a_second_interrupt_stops_the_tasks_which_are_pending_again(workbench: Workbench, how: str) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; test -e go || sleep 60'\nrepeat: 3\n")
    command = ("--run", file, "--node", "localhost", 2)
    run = workbench.start(*command)
    until(lambda: began(workbench, 2))
    if how == "SIGTERM":
        run.send_signal(signal.SIGTERM)
    else:
        run.send_signal(signal.SIGINT)
        until(lambda: workbench.events("drained"))
        run.send_signal(signal.SIGINT)
    assert run.wait(20) == 130
    assert states(workbench) == {"pending": 3}
    assert {event["reason"] for event in workbench.events("finished")} == {"stopped"}
    (workbench.folder / "go").touch()
    workbench.process(*command)
    assert states(workbench) == {"done": 3}
    assert len(workbench.lines()) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_right_after_the_submission_is_heard(workbench: Workbench, number: signal.Signals) -> None:
    file = workbench.write("e.yaml", f"command: '{WAIT}'\nrepeat: 6\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: workbench.events("submitted"))
    run.send_signal(number)
    until(lambda: workbench.events("drained"))
    (workbench.folder / "go").touch()
    assert run.wait(30) == 130
    until(lambda: workbench.events("ended"))
    assert states(workbench)["pending"] >= 2


@pytest.mark.slow
def test_a_lost_terminal_stops_nothing(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 6\n")
    run = workbench.start("--run", file, "--node", "localhost", 2, start_new_session=True)
    until(lambda: began(workbench))
    os.killpg(run.pid, signal.SIGHUP)
    assert run.wait(20) == -signal.SIGHUP
    (workbench.folder / "go").touch()
    until(lambda: workbench.engine_pid() is None and workbench.events("ended"))
    assert states(workbench) == {"done": 6}


@pytest.mark.slow
def test_stopped_tasks_wait_for_retry(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", "command: 'test -e go || sleep 60'\nrepeat: 4\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: len(workbench.events("started")) == 2)
    workbench("stop", "0")
    until(lambda: len(workbench.events("started")) == 3)
    workbench("stop")
    run.wait(20)
    assert states(workbench) == {"stopped": 4}
    assert {task["reason"] for task in workbench.tasks()} == {"stopped"}
    (workbench.folder / "go").touch()
    assert workbench("--run", file, code=None).code in (0, 1)
    assert states(workbench) == {"stopped": 4}
    workbench("retry", "e")
    assert states(workbench) == {"done": 4}


@pytest.mark.slow
def test_pause_and_resume(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 20\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 2))
    workbench.process("pause", "e")
    client = EngineClient.connect(workbench.lab)
    assert client is not None
    until(lambda: client.request(AskStatus()).nodes[0].open == 2)  # what had not begun came back
    (workbench.folder / "go").touch()
    until(lambda: client.request(AskStatus()).nodes[0].open == 0)
    assert run.poll() is None
    assert states(workbench) == {"done": 2, "pending": 18}
    workbench.process("resume", "e")
    assert run.wait(20) == 0
    assert sorted(map(int, workbench.lines())) == list(range(20))


def test_what_ends_while_a_submission_is_made_does_not_run_again(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 6\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 2))
    with workbench.lab.submitting():
        prepared = prepare(workbench.lab, file, Choice())
        assert prepared.queued.to_list() == list(range(6))
        event = submit_event(prepared, [{"name": "localhost", "slots": 2, "tags": []}], False)
        (workbench.folder / "go").touch()
        assert run.wait(20) == 0
        client = EngineClient.start(workbench.lab)
        client.request(Submit(event, prepared.seen, workbench.environment))
    until(lambda: len(workbench.events("ended")) == 2)
    assert states(workbench) == {"done": 6}
    assert sorted(map(int, workbench.lines())) == list(range(6))


@pytest.mark.slow
def test_a_plan_that_makes_no_sense_ends_its_run_and_no_other(workbench: Workbench) -> None:
    other = workbench.write("o.yaml", f"command: '{TRUTH}; {WAIT}'\n")
    run = workbench.start("--run", other, "--node", "localhost", 2)
    until(lambda: began(workbench))
    file = workbench.write("e.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\nrepeat: 4\n")
    with workbench.lab.submitting():
        prepared = prepare(workbench.lab, file, Choice())
        event = submit_event(prepared, [{"name": "localhost", "slots": 2, "tags": []}], False)
        with pytest.raises(LabError):  # of the table for people, which comes last
            replace(prepared.plan, values={"x": []}).write(prepared.folder.plans, prepared.text)
        # It was written so: whoever damages it later is found by its checksum.
        event = structs.replace(event, plan_crc=file_crc(prepared.folder.plans / "1.parquet"))
        client = EngineClient.start(workbench.lab)
        client.request(Submit(event, prepared.seen, workbench.environment))
    until(lambda: workbench.events("ended"))
    (paused,) = workbench.events("paused")
    assert paused["reason"] == "error" and "the engine failed" in paused["message"]
    assert workbench.experiment().state().counts_by_name()["pending"] == 8
    (workbench.folder / "go").touch()
    assert run.wait(20) == 0
    until(lambda: workbench.engine_pid() is None)


@pytest.mark.slow
def test_two_followers_and_a_second_run_share_one_engine(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", f"command: '{TRUTH}; sleep 0.05'\nparameters: {{x: [0, 1, 2, 3]}}\nrepeat: 6\n")
    other = workbench.write("o.yaml", "command: 'true'\nrepeat: 4\n")
    first = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 2))
    engine = workbench.engine_pid()
    runs = [
        workbench.start("--run", file, "x=1"),
        workbench.start("--run", file),
        workbench.start("--run", other),
    ]
    assert [run.wait(30) for run in (first, *runs)] == [0, 0, 0, 0]
    assert sorted(map(int, workbench.lines())) == list(range(24))
    assert states(workbench) == {"done": 24}
    assert states(workbench, "o") == {"done": 4}
    log = (workbench.lab_path / "engine.log").read_text()
    assert engine is not None
    assert "Traceback" not in log


@pytest.mark.slow
def test_engines_that_start_at_the_same_instant(workbench: Workbench) -> None:
    """One serves; every task runs once."""
    files = [workbench.write(f"e{i}.yaml", f"command: 'echo {i}/{{task_id}} >>$TRUTH'\nrepeat: 5\n") for i in range(4)]
    runs = [workbench.start("--run", file, "--node", "localhost", 2) for file in files]
    ended = [(run.wait(60), run.stderr.read() if run.stderr else "") for run in runs]
    assert [status for status, _ in ended] == [0, 0, 0, 0], ended
    assert sorted(workbench.lines()) == [f"{i}/{task}" for i in range(4) for task in range(5)]


@pytest.mark.slow
def test_priority_goes_before_arrival(workbench: Workbench) -> None:
    low = workbench.write("low.yaml", f"command: 'echo low >>$TRUTH; {WAIT}'\nrepeat: 20\n")
    high = workbench.write("high.yaml", "command: 'echo high >>$TRUTH'\nrepeat: 5\npriority: 1\n")
    run = workbench.start("--run", low, "--node", "localhost", 1)
    until(lambda: began(workbench))
    workbench("--run", high, "--node", "localhost", 1, "--detach")
    (workbench.folder / "go").touch()
    assert run.wait(30) == 0
    until(lambda: workbench.events("ended", "high"))
    order = workbench.lines()
    assert len(order) == 25
    assert order.index("high") < 5  # behind what was handed over already
    assert order[-1] == "low"


@pytest.mark.slow
def test_another_priority_acts_at_once_and_outlives_the_engine(workbench: Workbench) -> None:
    first = workbench.write("first.yaml", f"command: 'echo first >>$TRUTH; {WAIT}'\nrepeat: 20\n")
    workbench.run(first, "--node", "localhost", 1, "--detach")
    until(lambda: began(workbench))
    later = workbench.write("later.yaml", "command: 'echo later >>$TRUTH'\nrepeat: 5\n")
    workbench.run(later, "--node", "localhost", 1, "--detach")
    said = workbench("priority", "later", -1)
    assert said.err == "later: priority -1 from now on, until its next submission\n"
    assert "later: priority 2 " in workbench("priority", "later", 2).err
    client = EngineClient.connect(workbench.lab)
    assert client is not None
    until(lambda: (client.request(AskStatus()).nodes[0].open or 0) <= 2)  # what had not begun of the first came back
    workbench.kill_engine()
    workbench("resume", "--detach")
    (workbench.folder / "go").touch()
    until(lambda: workbench.events("ended", "first") and workbench.events("ended", "later"))
    order = workbench.lines()
    assert order == ["first"] + 5 * ["later"] + 19 * ["first"]
    assert [event["priority"] for event in workbench.events("prioritized", "later")] == [-1, 2]
    assert "later is not running" in workbench("priority", "later", 3).err
    assert "a whole number" in workbench("priority", "later", "high", code=2).err
    workbench.run(later, "--node", "localhost", 1, "--rerun")
    assert workbench.experiment("later").state().prioritized is None


# --- What is wrong with the world


@pytest.mark.slow
def test_a_node_that_can_not_be_reached_ends_the_run_with_a_clear_line(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", "command: 'true'\n")
    workbench("--run", file)
    identity = workbench.lab.identity
    until(lambda: not workbench.spool.exists() and workbench.engine_pid() is None)
    workbench.spool.write_text("in the way")
    try:
        ended = workbench("--run", file, "--rerun", timeout=40, code=None)
    finally:
        workbench.spool.unlink()
    assert ended.code == 3, ended.err
    assert "node localhost" in ended.err
    assert identity in ended.err
    assert "Traceback" not in ended.err
    until(lambda: workbench.engine_pid() is None)
    workbench("--run", file)
    assert states(workbench)["done"] == 2


@pytest.mark.slow
def test_a_folder_that_is_removed_under_its_run(workbench: Workbench) -> None:
    import shutil

    file = workbench.write("e.yaml", "command: 'echo $$ >>$TRUTH; sleep 60'\nrepeat: 2\n")
    run = workbench.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workbench, 2))
    shutil.rmtree(workbench.lab_path / "e")
    _, err = run.communicate(timeout=30)
    assert run.returncode in (2, 3), err
    assert "removed" in err
    until(lambda: not any(alive(int(pid)) for pid in workbench.lines()))
    until(lambda: workbench.engine_pid() is None)
    workbench.truth.unlink()
    file.write_text("command: 'echo {task_id} >>$TRUTH'\nrepeat: 2\n")
    workbench("--run", file)
    assert sorted(workbench.lines()) == ["0", "1"]


def test_a_damaged_plan_is_said_and_hangs_nobody(workbench: Workbench) -> None:
    file = workbench.write("e.yaml", "command: 'sleep 60'\nrepeat: 2\n")
    run = workbench.start("--run", file, "--node", "localhost", 1)
    until(lambda: workbench.events("started"))
    pid = workbench.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for plan in (workbench.lab_path / "e/plans").glob("*.parquet"):
        plan.write_bytes(b"no plan")
    _, err = run.communicate(timeout=30)
    assert run.returncode in (2, 3), err
    assert "1.parquet" in err
    assert "Traceback" not in err


class Dance(Command[Answer], frozen=True, tag="dance"):
    """A command that no engine knows."""


def test_commands_for_what_is_not_there(workbench: Workbench) -> None:
    run = workbench.start("--run", workbench.write("e.yaml", "command: sleep 60\n"), "--node", "localhost", 1)
    until(lambda: workbench.lab_path.exists() and workbench.events("started"))
    client = EngineClient.start(workbench.lab)
    for command in (Stop("nothing"), Resume("nothing", {}), Requeue("e", [[0, 99]], {}), Dance()):
        sent: Command[Any] = command
        with pytest.raises(LabError):
            client.request(sent)
    assert client.request(Stop("e", [[0, 0], [55, 99]])).stopped == 1
    assert run.wait(20) is not None
    assert not (workbench.lab_path / "nothing").exists()
