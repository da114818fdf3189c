"""Runs as a person meets them: slots, order, pauses, interrupts, several followers, a disk that is full."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace

import pytest
from msgspec import structs

from tests.conftest import Workshop, alive, until
from tui_lab.client.submission import Choice, prepare, submit_event
from tui_lab.engine.client import EngineClient
from tui_lab.store.errors import LabError
from tui_lab.store.plan import file_crc

TRUTH = "echo {task_id} >>$TRUTH"
WAIT = "while ! test -e go; do sleep 0.02; done"


def began(shop: Workshop, count: int = 1) -> bool:
    return len(shop.lines()) >= count


def states(shop: Workshop, name: str = "e") -> Counter[str]:
    return Counter(task["state"] for task in shop.tasks(name))


def test_slots_are_kept_busy_and_never_exceeded(workshop: Workshop) -> None:
    script = "echo b >>$TRUTH; sleep 0.05; echo e >>$TRUTH"
    assert workshop.run(f"command: '{script}'\nrepeat: 24\n", slots=3).returncode == 0
    level, levels = 0, []
    for line in workshop.lines():
        level += 1 if line == "b" else -1
        levels.append(level)
    assert max(levels) == 3
    assert level == 0
    assert states(workshop) == {"done": 24}


@pytest.mark.parametrize("order", ["interleaved", "listed", "shuffled"])
def test_order(workshop: Workshop, order: str) -> None:
    text = f"command: {TRUTH}\nparameters: {{x: [a, b, c, d]}}\nrepeat: 3\norder: {order}\n"
    assert workshop.run(text, slots=1).returncode == 0
    ran = [int(line) for line in workshop.lines()]
    listed = list(range(12))
    expected = {"interleaved": sorted(listed, key=lambda task: task % 3), "listed": listed}
    if order in expected:
        assert ran == expected[order]
    else:
        assert ran != listed
        assert sorted(ran) == listed


def test_ten_failures_and_nothing_else_pause_the_run(workshop: Workshop) -> None:
    text = f"command: '{TRUTH}; exit 3'\nrepeat: 40\n"
    paused = workshop.run(text)
    assert paused.returncode == 1
    assert "first 1" in paused.stderr
    counts = states(workshop)
    assert 10 <= counts["failed"] < 20
    assert workshop.events("paused")[0]["reason"] == "first_failures"
    assert workshop.run(text, "--keep-going").returncode == 1
    assert states(workshop) == {"failed": 40}


def test_max_failures_stops_the_experiment(workshop: Workshop) -> None:
    text = f"command: '{TRUTH}; test {{repeat}} -lt 5'\nrepeat: 60\nmax_failures: 3\norder: listed\n"
    assert workshop.run(text, slots=1).returncode == 1
    counts = states(workshop)
    assert counts["done"] == 5
    assert 3 <= counts["failed"] <= 5
    assert workshop.events("paused")[0]["reason"] == "max_failures"


def test_the_first_interrupt_lets_tasks_finish_and_the_same_command_goes_on(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 8\n")
    command = ("--run", file, "--node", "localhost", 2)
    run = workshop.start(*command)
    until(lambda: began(workshop, 2))
    run.send_signal(signal.SIGINT)
    until(lambda: workshop.events("drained"))
    (workshop.folder / "go").touch()
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    counts = states(workshop)
    assert counts["running"] == 0
    assert counts["done"] == len(workshop.lines()) < 8
    assert counts["pending"] == 8 - counts["done"]
    assert workshop.call(*command).returncode == 0
    assert sorted(map(int, workshop.lines())) == list(range(8))


@pytest.mark.parametrize("how", ["two interrupts", "SIGTERM"])
def test_a_second_interrupt_stops_the_tasks_which_are_pending_again(workshop: Workshop, how: str) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; test -e go || sleep 60'\nrepeat: 3\n")
    command = ("--run", file, "--node", "localhost", 2)
    run = workshop.start(*command)
    until(lambda: began(workshop, 2))
    if how == "SIGTERM":
        run.send_signal(signal.SIGTERM)
    else:
        run.send_signal(signal.SIGINT)
        until(lambda: workshop.events("drained"))
        run.send_signal(signal.SIGINT)
    assert run.wait(20) == 130
    assert states(workshop) == {"pending": 3}
    assert {event["reason"] for event in workshop.events("finished")} == {"stopped"}
    (workshop.folder / "go").touch()
    assert workshop.call(*command).returncode == 0
    assert states(workshop) == {"done": 3}
    assert len(workshop.lines()) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_right_after_the_submission_is_heard(workshop: Workshop, number: signal.Signals) -> None:
    file = workshop.write("e.yaml", f"command: '{WAIT}'\nrepeat: 6\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: workshop.events("submitted"))
    run.send_signal(number)
    until(lambda: workshop.events("drained"))
    (workshop.folder / "go").touch()
    assert run.wait(30) == 130
    until(lambda: workshop.events("ended"))
    assert states(workshop)["pending"] >= 2


def test_a_lost_terminal_stops_nothing(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 6\n")
    run = workshop.start("--run", file, "--node", "localhost", 2, start_new_session=True)
    until(lambda: began(workshop))
    os.killpg(run.pid, signal.SIGHUP)
    assert run.wait(20) == -signal.SIGHUP
    (workshop.folder / "go").touch()
    until(lambda: workshop.engine_pid() is None and workshop.events("ended"))
    assert states(workshop) == {"done": 6}


def test_stopped_tasks_wait_for_retry(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", "command: 'test -e go || sleep 60'\nrepeat: 4\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: len(workshop.events("started")) == 2)
    assert workshop.call("stop", "0").returncode == 0
    until(lambda: len(workshop.events("started")) == 3)
    assert workshop.call("stop").returncode == 0
    run.wait(20)
    assert states(workshop) == {"stopped": 4}
    assert {task["reason"] for task in workshop.tasks()} == {"stopped"}
    (workshop.folder / "go").touch()
    assert workshop.call("--run", file).returncode in (0, 1)
    assert states(workshop) == {"stopped": 4}
    assert workshop.call("retry", "e").returncode == 0
    assert states(workshop) == {"done": 4}


def test_pause_and_resume(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 20\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 2))
    assert workshop.call("pause", "e").returncode == 0
    client = EngineClient.connect(workshop.lab)
    assert client is not None
    until(lambda: client.request("status")["nodes"][0]["open"] == 2)  # what had not begun came back
    (workshop.folder / "go").touch()
    until(lambda: client.request("status")["nodes"][0]["open"] == 0)
    assert run.poll() is None
    assert states(workshop) == {"done": 2, "pending": 18}
    assert workshop.call("resume", "e").returncode == 0
    assert run.wait(20) == 0
    assert sorted(map(int, workshop.lines())) == list(range(20))


def test_what_ends_while_a_submission_is_made_does_not_run_again(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; {WAIT}'\nrepeat: 6\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 2))
    with workshop.lab.submitting():
        prepared = prepare(workshop.lab, file, Choice())
        assert prepared.queued.to_list() == list(range(6))
        event = submit_event(prepared, [{"name": "localhost", "slots": 2, "tags": []}], False)
        (workshop.folder / "go").touch()
        assert run.wait(20) == 0
        client = EngineClient.start(workshop.lab)
        client.request("submit", event=event, seen=prepared.seen, environment=workshop.environment())
    until(lambda: len(workshop.events("ended")) == 2)
    assert states(workshop) == {"done": 6}
    assert sorted(map(int, workshop.lines())) == list(range(6))


def test_a_plan_that_makes_no_sense_ends_its_run_and_no_other(workshop: Workshop) -> None:
    other = workshop.write("o.yaml", f"command: '{TRUTH}; {WAIT}'\n")
    run = workshop.start("--run", other, "--node", "localhost", 2)
    until(lambda: began(workshop))
    file = workshop.write("e.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\nrepeat: 4\n")
    with workshop.lab.submitting():
        prepared = prepare(workshop.lab, file, Choice())
        event = submit_event(prepared, [{"name": "localhost", "slots": 2, "tags": []}], False)
        with pytest.raises(LabError):  # of the table for people, which comes last
            replace(prepared.plan, values={"x": []}).write(prepared.folder.plans, prepared.text)
        # It was written so: whoever damages it later is found by its checksum.
        event = structs.replace(event, plan_crc=file_crc(prepared.folder.plans / "1.parquet"))
        client = EngineClient.start(workshop.lab)
        client.request("submit", event=event, seen=prepared.seen, environment=workshop.environment())
    until(lambda: workshop.events("ended"))
    (paused,) = workshop.events("paused")
    assert paused["reason"] == "error" and "the engine failed" in paused["message"]
    assert workshop.experiment().state().counts_by_name()["pending"] == 8
    (workshop.folder / "go").touch()
    assert run.wait(20) == 0
    until(lambda: workshop.engine_pid() is None)


def test_two_followers_and_a_second_run_share_one_engine(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", f"command: '{TRUTH}; sleep 0.05'\nparameters: {{x: [0, 1, 2, 3]}}\nrepeat: 6\n")
    other = workshop.write("o.yaml", "command: 'true'\nrepeat: 4\n")
    first = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 2))
    engine = workshop.engine_pid()
    runs = [
        workshop.start("--run", file, "x=1"),
        workshop.start("--run", file),
        workshop.start("--run", other),
    ]
    assert [run.wait(30) for run in (first, *runs)] == [0, 0, 0, 0]
    assert sorted(map(int, workshop.lines())) == list(range(24))
    assert states(workshop) == {"done": 24}
    assert states(workshop, "o") == {"done": 4}
    log = (workshop.lab_path / "engine.log").read_text()
    assert engine is not None
    assert "Traceback" not in log


def test_engines_that_start_at_the_same_instant(workshop: Workshop) -> None:
    """One serves; every task runs once."""
    files = [workshop.write(f"e{i}.yaml", f"command: 'echo {i}/{{task_id}} >>$TRUTH'\nrepeat: 5\n") for i in range(4)]
    runs = [workshop.start("--run", file, "--node", "localhost", 2) for file in files]
    ended = [(run.wait(60), run.stderr.read() if run.stderr else "") for run in runs]
    assert [status for status, _ in ended] == [0, 0, 0, 0], ended
    assert sorted(workshop.lines()) == [f"{i}/{task}" for i in range(4) for task in range(5)]


def test_priority_goes_before_arrival(workshop: Workshop) -> None:
    low = workshop.write("low.yaml", f"command: 'echo low >>$TRUTH; {WAIT}'\nrepeat: 20\n")
    high = workshop.write("high.yaml", "command: 'echo high >>$TRUTH'\nrepeat: 5\npriority: 1\n")
    run = workshop.start("--run", low, "--node", "localhost", 1)
    until(lambda: began(workshop))
    assert workshop.call("--run", high, "--node", "localhost", 1, "--detach").returncode == 0
    (workshop.folder / "go").touch()
    assert run.wait(30) == 0
    until(lambda: workshop.events("ended", "high"))
    order = workshop.lines()
    assert len(order) == 25
    assert order.index("high") < 5  # behind what was handed over already
    assert order[-1] == "low"


# What is wrong with the world.


def test_a_node_that_can_not_be_reached_ends_the_run_with_a_clear_line(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", "command: 'true'\n")
    assert workshop.call("--run", file).returncode == 0
    identity = workshop.lab.identity
    until(lambda: not workshop.spool.exists() and workshop.engine_pid() is None)
    workshop.spool.write_text("in the way")
    try:
        ended = workshop.call("--run", file, "--rerun", timeout=40)
    finally:
        workshop.spool.unlink()
    assert ended.returncode == 3, ended.stderr
    assert "node localhost" in ended.stderr
    assert identity in ended.stderr
    assert "Traceback" not in ended.stderr
    until(lambda: workshop.engine_pid() is None)
    assert workshop.call("--run", file).returncode == 0
    assert states(workshop)["done"] == 2


def test_a_folder_that_is_removed_under_its_run(workshop: Workshop) -> None:
    import shutil

    file = workshop.write("e.yaml", "command: 'echo $$ >>$TRUTH; sleep 60'\nrepeat: 2\n")
    run = workshop.start("--run", file, "--node", "localhost", 2)
    until(lambda: began(workshop, 2))
    shutil.rmtree(workshop.lab_path / "e")
    _, err = run.communicate(timeout=30)
    assert run.returncode in (2, 3), err
    assert "removed" in err
    until(lambda: not any(alive(int(pid)) for pid in workshop.lines()))
    until(lambda: workshop.engine_pid() is None)
    workshop.truth.unlink()
    file.write_text("command: 'echo {task_id} >>$TRUTH'\nrepeat: 2\n")
    assert workshop.call("--run", file).returncode == 0
    assert sorted(workshop.lines()) == ["0", "1"]


def test_a_damaged_plan_is_said_and_hangs_nobody(workshop: Workshop) -> None:
    file = workshop.write("e.yaml", "command: 'sleep 60'\nrepeat: 2\n")
    run = workshop.start("--run", file, "--node", "localhost", 1)
    until(lambda: workshop.events("started"))
    pid = workshop.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for plan in (workshop.lab_path / "e/plans").glob("*.parquet"):
        plan.write_bytes(b"no plan")
    _, err = run.communicate(timeout=30)
    assert run.returncode in (2, 3), err
    assert "1.parquet" in err
    assert "Traceback" not in err


def test_commands_for_what_is_not_there(workshop: Workshop) -> None:
    run = workshop.start("--run", workshop.write("e.yaml", "command: sleep 60\n"), "--node", "localhost", 1)
    until(lambda: workshop.lab_path.exists() and workshop.events("started"))
    client = EngineClient.start(workshop.lab)
    for command, fields in {
        "stop": {"experiment": "nothing"},
        "resume": {"experiment": "nothing", "environment": {}},
        "requeue": {"experiment": "e", "tasks": [[0, 99]], "environment": {}},
        "dance": {},
    }.items():
        with pytest.raises(LabError):
            client.request(command, **fields)
    assert client.request("stop", experiment="e", tasks=[[0, 0], [55, 99]])["stopped"] == 1
    assert run.wait(20) is not None
    assert not (workshop.lab_path / "nothing").exists()
