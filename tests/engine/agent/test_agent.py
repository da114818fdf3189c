"""The agent, as an engine meets it: a real process, under every Python that is here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tui_lab.engine.agent
from tests.engine.agent.talk import Talk, wait_gone
from tests.workbench import alive, until
from tui_lab.engine.agent.processes import is_during_exec, process_stat
from tui_lab.engine.agent.terminator import LEFTOVER_GRACE
from tui_lab.engine.agent.timers import Timers
from tui_lab.engine.lock import process_start


def test_the_source_needs_no_more_than_python_3_6() -> None:
    source = str(Path(tui_lab.engine.agent.__file__).parent)
    vermin = "import sys, vermin; sys.exit(vermin.main())"
    command = [sys.executable, "-c", vermin, "--target=3.6-", "--no-tips", source]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- Under every Python


def test_runs_a_task_and_leaves_nothing_behind(any_talk: Talk) -> None:
    talk = any_talk
    welcome = talk.connect()
    assert welcome["type"] == "welcome"
    assert welcome["open"] == []
    talk.context()
    key = talk.start(7, "echo out; echo err >&2; exit 0")
    assert talk.receive()["type"] == "started"
    finished = talk.receive()
    assert finished["key"] == key
    assert finished["state"] == "done"
    assert finished["exit_code"] == 0
    assert finished["duration"] > 0
    assert finished["cpu_time"] >= 0
    assert (talk.output(7) / "stdout").read_text() == "out\n"
    assert (talk.output(7) / "stderr").read_text() == "err\n"
    talk.ack(key)
    talk.send({"type": "bye"})
    assert talk.receive_end() == ""
    until(lambda: not talk.spool.exists())


def test_tasks_get_the_signals_that_programs_expect(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context()
    talk.start(0, "grep ^Sig[IB] /proc/self/status; sh -c 'kill -PIPE $$'")
    finished = talk.receive("finished")
    masks = dict(line.split() for line in (talk.output(0) / "stdout").read_text().splitlines())
    assert int(masks["SigBlk:"], 16) == 0
    assert int(masks["SigIgn:"], 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's own
    assert (finished["state"], finished["reason"], finished["signal"]) == ("failed", "signal", signal.SIGPIPE)


def test_a_task_that_ignores_term_is_killed_after_the_grace(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context()
    stopped = talk.start(0, "trap '' TERM; echo go; while :; do sleep 0.05; done")
    timed_out = talk.start(1, "trap '' TERM; while :; do sleep 0.05; done", timeout=0.2, grace=0.2)
    until(lambda: (talk.output(0) / "stdout").exists() and (talk.output(0) / "stdout").read_text())
    talk.stop(stopped, grace=0.1)
    ended = {message["key"][1]: message for message in (talk.receive("finished"), talk.receive("finished"))}
    assert (ended[0]["state"], ended[0]["reason"]) == ("stopped", "stopped")
    assert (ended[1]["state"], ended[1]["reason"]) == ("failed", "timeout")
    assert timed_out == ended[1]["key"]


@pytest.mark.fault
def test_running_tasks_of_a_killed_agent_are_adopted(any_talk: Talk) -> None:
    talk = any_talk
    spool = talk.connect(slots=3)["spool"]
    steps = [{"name": "one", "script": None}, {"name": "two", "script": None}]
    talk.context(steps=steps)
    go = talk.folder / "go"
    keys = [talk.start(task, f"while ! test -e {go}; do sleep 0.02; done; exit {task}", "true") for task in range(2)]
    keys.append(talk.start(2, "exit 5", "true"))
    assert talk.receive("finished")["key"] == keys[2]
    talk.kill()
    go.touch()  # they may end while no agent is there
    welcome = talk.connect(epoch=2, slots=3)
    assert welcome["spool"] == spool
    assert sorted(welcome["open"]) == keys
    ended: dict[int, dict[str, Any]] = {}
    while set(ended) != {1, 2}:
        message = talk.receive("finished")
        ended[message["key"][1]] = message
    assert (ended[1]["state"], ended[1]["reason"], ended[1]["exit_code"]) == ("failed", "exit", 1)
    assert (ended[2]["state"], ended[2]["exit_code"]) == ("failed", 5)
    assert "peak_rss" not in ended[1]
    talk.context(steps=steps)
    finished = talk.receive("finished")  # its first step went well: the second needs the context
    assert (finished["key"], finished["state"], len(finished["steps"])) == (keys[0], "done", 2)


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_that_was_set_changes_no_duration(talk: Talk, step: float) -> None:
    """The machine's clock went hours forwards or backwards while no agent was there."""
    talk.connect()
    talk.context()
    go = talk.folder / "go"
    talk.start(0, f"while ! test -e {go}; do sleep 0.02; done")
    talk.receive("started")
    talk.kill()
    records = talk.records()
    for record in records:
        if record["record"] == "pid":
            record["started"] += step
    (talk.spool / "ledger.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    talk.connect(epoch=2)
    go.touch()
    finished = talk.receive("finished")
    assert 0 <= finished["duration"] < 3600
    assert 0 <= finished["ago"] < 3600


def test_an_experiment_that_has_gone_does_not_come_back(talk: Talk) -> None:
    """Its lab was moved or removed while attempts were on their way."""
    talk.connect()
    talk.context()
    gone_place = talk.folder / "lab" / "e"
    talk.start(0, "true", folder=str(gone_place / "tasks" / "0" / "0"))
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"]) == ("failed", "start")
    assert "its experiment has gone" in finished["message"]
    assert not (talk.folder / "lab").exists()


# --- Under this one


def test_an_attempt_is_never_started_twice(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = talk.start(0, "echo once")
    talk.start(0, "echo once")
    assert talk.receive("finished")["key"] == key
    talk.start(0, "echo once")
    assert talk.receive("finished")["key"] == key  # said again, not done again
    assert (talk.output(0) / "stdout").read_text() == "once\n"


@pytest.mark.fault
def test_what_is_not_acknowledged_is_said_again(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = talk.start(0, "exit 3")
    first = talk.receive("finished")
    again = []
    for epoch in (2, 3):
        assert talk.connect(epoch=epoch)["open"] == [key]
        again.append(talk.receive("finished"))
    talk.kill()
    assert talk.connect(epoch=4)["open"] == [key]
    again.append(talk.receive("finished"))
    for message in again:
        assert {**message, "ago": 0} == {**first, "ago": 0}
    talk.ack(key)
    talk.kill() if talk.connect(epoch=5)["open"] == [] else pytest.fail("still open after its ack")
    assert talk.connect(epoch=6)["open"] == []


def test_only_the_highest_epoch_is_obeyed(talk: Talk) -> None:
    assert talk.connect(epoch=5)["type"] == "welcome"
    assert talk.connect(epoch=4) == {"type": "refused", "reason": "epoch", "epoch": 5}
    talk.kill()
    assert talk.connect(epoch=4)["type"] == "refused"
    assert talk.connect(epoch=5)["type"] == "welcome"


def test_slots_are_respected_and_what_waits_can_be_taken_back(talk: Talk) -> None:
    talk.connect(slots=2)
    talk.context()
    keys = [talk.start(task, "echo $TUI_LAB_SLOT; sleep 60") for task in range(4)]
    assert [talk.receive("started")["key"] for _ in range(2)] == keys[:2]
    talk.send({"type": "return", "keys": keys})
    assert talk.receive("returned")["keys"] == keys[2:]
    assert not talk.output(2).exists()
    until(lambda: all((talk.output(task) / "stdout").exists() for task in (0, 1)))
    slots = {until(lambda: (talk.output(task) / "stdout").read_text()) for task in (0, 1)}
    assert slots == {"0\n", "1\n"}
    for key in keys[:2]:
        talk.stop(key)
    assert {talk.receive("finished")["reason"] for _ in range(2)} == {"stopped"}


@pytest.mark.fault
def test_what_had_not_begun_is_forgotten_with_a_dead_agent(talk: Talk) -> None:
    """The engine then hands it over again: it can't have run."""
    talk.connect(slots=1)
    talk.context()
    running, _ = talk.start(0, "sleep 60"), talk.start(1, "true")
    assert talk.receive("started")["key"] == running
    talk.kill()
    assert talk.connect(epoch=2, slots=1)["open"] == [running]


def shims(talk: Talk) -> list[int]:
    """Pids of the shims that live."""
    files = [file.read_text().split() for file in talk.spool.glob("shim-*")]
    return [int(words[0]) for words in files if alive(int(words[0]))]


@pytest.mark.fault
def test_a_lost_exit_status_is_said_to_be_lost(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = talk.start(0, "sleep 60")
    program = talk.receive("started")["pid"]
    (shim,) = shims(talk)
    talk.kill()
    os.kill(shim, signal.SIGKILL)
    wait_gone(shim)
    os.killpg(program, signal.SIGKILL)
    wait_gone(program)
    assert talk.connect(epoch=2)["open"] == [key]
    assert (lost := talk.receive("finished"))["state"] == "lost", lost


@pytest.mark.fault
def test_a_task_outlives_its_agent_and_its_shim(talk: Talk) -> None:
    talk.connect()
    talk.context()
    go = talk.folder / "go"
    key = talk.start(0, f"while ! test -e {go}; do sleep 0.02; done; echo over")
    program = talk.receive("started")["pid"]
    (shim,) = shims(talk)
    talk.kill()
    os.kill(shim, signal.SIGKILL)
    assert talk.connect(epoch=2)["open"] == [key]
    assert alive(program)
    go.touch()
    assert talk.receive("finished")["state"] == "lost"  # nobody was there to see its status
    assert (talk.output(0) / "stdout").read_text() == "over\n"


@pytest.mark.fault
def test_a_shim_that_someone_kills(talk: Talk) -> None:
    """Its programs come to the agent, with their statuses and what they used; the next one has a new shim."""
    talk.connect(slots=3)
    talk.context()
    go = talk.folder / "go"
    loop = f"while ! test -e {go}; do sleep 0.02; done"
    first, second = talk.start(0, f"{loop}; exit 5"), talk.start(1, f"{loop}; kill -9 $$")
    for _ in range(2):
        talk.receive("started")
    (shim,) = shims(talk)
    os.kill(shim, signal.SIGKILL)
    wait_gone(shim)
    third = talk.start(2, loop)
    talk.receive("started")
    assert len(shims(talk)) == 1
    go.touch()
    ended = {tuple(message["key"]): message for message in [talk.receive("finished") for _ in range(3)]}
    assert [ended[tuple(key)].get("exit_code") for key in (first, second, third)] == [5, 137, 0]
    assert all(message["cpu_time"] > 0 for message in ended.values())


@pytest.mark.fault
def test_shims_that_are_killed_again_and_again(talk: Talk) -> None:
    """Each attempt ends, and none runs twice; what a dying shim was just asked for may be lost."""
    talk.connect(slots=4)
    talk.context()
    truth = talk.folder / "truth"
    keys = [talk.start(task, f"echo {task} >>{truth}; sleep 0.01; exit 3") for task in range(200)]
    ended: dict[tuple[str, int, int], dict[str, Any]] = {}
    while len(ended) < len(keys):
        message = talk.receive("finished")
        ended[tuple(message["key"])] = message
        if len(ended) % 20 == 10:
            for shim in shims(talk):
                os.kill(shim, signal.SIGKILL)
    ran = Counter(truth.read_text().split())
    assert set(ran.values()) == {1}
    for (_, task, _), message in ended.items():
        if message["state"] == "lost":
            continue
        assert (message["state"], message["exit_code"]) == ("failed", 3)
        assert ran[str(task)] == 1
    assert sum(message["state"] == "lost" for message in ended.values()) <= 40


@pytest.mark.slow
@pytest.mark.fault
def test_a_shim_that_stands_still_is_not_waited_for(talk: Talk) -> None:
    """What it was asked for, and can't be known to run, must not begin later."""
    talk.connect(slots=1)
    talk.context()
    (shim,) = shims(talk)
    os.kill(shim, signal.SIGSTOP)
    key = talk.start(0, f"echo ran >>{talk.folder / 'truth'}")
    until(lambda: len(talk.records()) == 1)  # the intent
    talk.kill()
    assert talk.connect(epoch=2, slots=1)["open"] == [key]
    assert talk.receive("finished")["state"] == "lost"
    wait_gone(shim)
    assert not (talk.folder / "truth").exists()


@pytest.mark.slow
def test_a_shim_that_stands_still_is_said(talk: Talk) -> None:
    talk.connect(slots=1)
    talk.context()
    (shim,) = shims(talk)
    os.kill(shim, signal.SIGSTOP)
    talk.start(0, "true")
    until(lambda: len(talk.records()) == 1)
    talk.send({"type": "ping", "id": 1})
    while f"the process {shim}, " not in talk.receive("pong", "notice").get("text", ""):
        time.sleep(0.1)
        talk.send({"type": "ping", "id": 1})
    os.kill(shim, signal.SIGCONT)
    assert talk.receive("finished")["state"] == "done"


def test_an_agent_waits_for_nothing_but_programs(talk: Talk) -> None:
    """A stop that comes before the shim has answered holds for the program that it then starts."""
    talk.connect(slots=1)
    talk.context()
    (shim,) = shims(talk)
    os.kill(shim, signal.SIGSTOP)
    key = talk.start(0, "sleep 60")
    until(lambda: len(talk.records()) == 1)
    talk.stop(key)
    talk.send({"type": "ping", "id": 1})
    assert talk.receive("pong")["id"] == 1
    os.kill(shim, signal.SIGCONT)
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"], finished["exit_code"]) == ("stopped", "stopped", 143)


def test_a_pid_of_another_process_is_not_believed(talk: Talk) -> None:
    talk.connect()
    talk.context()
    talk.start(0, "sleep 60")
    program = talk.receive("started")["pid"]
    began = process_start(program)
    (shim,) = shims(talk)
    talk.kill()
    os.kill(shim, signal.SIGKILL)
    os.killpg(program, signal.SIGKILL)
    wait_gone(program)
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    while process_start(other.pid) == began:  # all this took less than a tick of the kernel's clock
        other.kill()
        other.wait()
        other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    ledger = talk.spool / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace(f'"pid": {program},', f'"pid": {other.pid},'))
    try:
        talk.connect(epoch=2)
        assert talk.receive("finished")["state"] == "lost"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.fault
def test_a_program_whose_pid_never_reached_the_ledger_is_found(talk: Talk) -> None:
    talk.connect()
    talk.context()
    go = talk.folder / "go"
    key = talk.start(0, f"while ! test -e {go}; do sleep 0.02; done; exit 9")
    talk.receive("started")
    until(lambda: len(talk.records()) == 2)
    talk.kill()
    ledger = talk.spool / "ledger.jsonl"
    ledger.write_text(ledger.read_text().splitlines(keepends=True)[0])
    assert talk.connect(epoch=2)["open"] == [key]
    go.touch()
    assert talk.receive("finished")["exit_code"] == 9


@pytest.mark.fault
def test_the_ledger_may_be_cut_anywhere(talk: Talk) -> None:
    """A torn record is no record; the next agent appends behind whole ones."""
    talk.connect()
    talk.context()
    keys = [talk.start(task, "true") for task in range(2)]
    for _ in keys:
        talk.receive("finished")
    until(lambda: len(talk.records()) == 6)
    talk.kill()
    ledger = talk.spool / "ledger.jsonl"
    whole = ledger.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    step = 1 if len(whole) - last < 40 else (len(whole) - last) // 12
    for end in [*range(last, len(whole), step), len(whole)]:
        ledger.write_bytes(whole[:end])
        shutil.copy(talk.spool / "exits-1", talk.folder / "exits")
        assert sorted(talk.connect(epoch=2)["open"]) == keys
        ended = {talk.receive("finished")["key"][1]: "done" for _ in keys}
        assert ended == {0: "done", 1: "done"}
        talk.kill()
        assert all(json.loads(line) for line in ledger.read_text().splitlines())


@pytest.mark.fault
def test_after_a_reboot_nothing_old_is_believed(talk: Talk) -> None:
    spool = talk.connect()["spool"]
    talk.context()
    talk.start(0, "sleep 60")
    program = talk.receive("started")["pid"]
    talk.kill()
    (talk.spool / "boot").write_text(os.uname().nodename + " 0000-another-boot pid:[1]")
    welcome = talk.connect(epoch=2)
    assert welcome["open"] == []
    assert welcome["spool"] != spool
    assert alive(program)  # its number may be anyone's now: it is let be
    os.killpg(program, signal.SIGKILL)


def test_a_spool_of_another_machine_is_an_error(talk: Talk) -> None:
    talk.connect()
    talk.kill()
    (talk.spool / "boot").write_text("elsewhere 0000-another-boot pid:[1]")
    talk.open()
    assert "in use by the machine elsewhere" in talk.receive_end()


def test_a_spool_that_can_not_be_made_is_a_clear_line(talk: Talk) -> None:
    talk.spool.write_text("a file")
    talk.open()
    said = talk.receive_end()
    assert str(talk.spool) in said
    assert "Traceback" not in said


def test_a_process_without_an_environment_may_be_amid_an_exec() -> None:
    with subprocess.Popen(["sleep", "60"], env={}) as process:
        facts = process_stat(process.pid)
        assert facts is not None
        assert is_during_exec(process.pid, facts[4])
        until(lambda: not is_during_exec(process.pid, facts[4]))
        process.kill()
    own = process_stat(os.getpid())
    assert own is not None
    assert not is_during_exec(os.getpid(), own[4])


def test_leftovers_that_keep_starting_others_without_an_environment_are_stopped(talk: Talk) -> None:
    talk.connect(slots=1)
    talk.context()
    loop = "while :; do (setsid env -i sleep 0.5 &); sleep 0.02; done"
    talk.start(0, f"setsid sh -c '{loop}' & echo $! >{talk.folder}/pid; sleep 0.1")
    assert talk.receive("finished")["state"] == "done"
    assert not alive(int((talk.folder / "pid").read_text()))


def test_leftovers_are_stopped_and_counted(talk: Talk) -> None:
    talk.connect(slots=4)
    talk.context()
    pids = talk.folder / "pids"
    scripts = [
        f"sleep 61 & echo $! >>{pids}",
        f"setsid sleep 62 & echo $! >>{pids}; sleep 0.1",
        f"(setsid sh -c 'echo $$ >>{pids}; trap \"\" TERM; exec sleep 63' &) ; sleep 0.1",
        f"set -m; sleep 64 & echo $! >>{pids}",
    ]
    keys = [talk.start(task, script) for task, script in enumerate(scripts)]
    ended = [talk.receive("finished") for _ in keys]
    assert [(message["state"], message["leftover"]) for message in ended] == [("done", 1)] * 4
    assert len(pids.read_text().split()) == 4
    for pid in pids.read_text().split():
        assert not alive(int(pid))


def test_a_neighbours_daemon_is_let_be(talk: Talk) -> None:
    talk.connect()
    talk.context()
    pid = talk.folder / "pid"
    key = talk.start(0, f"(setsid sleep 60 & echo $! >{pid}); sleep 60")
    until(lambda: pid.exists() and pid.read_text())
    talk.start(1, "true")
    assert "leftover" not in talk.receive("finished")
    assert alive(int(pid.read_text()))
    talk.stop(key)
    assert talk.receive("finished")["reason"] == "stopped"
    assert not alive(int(pid.read_text()))


NAMELESS = "(env -i setsid sh -c 'echo $$ >>{pids}; exec sleep 1000' &) ; until test -s {pids}; do sleep 0.01; done"


def test_a_daemon_that_says_nothing_of_its_origin_is_stopped_with_its_task(talk: Talk) -> None:
    talk.connect()
    talk.context()
    pids = talk.folder / "pids"
    talk.start(0, NAMELESS.format(pids=pids))
    assert talk.receive("finished")["leftover"] == 1
    assert not alive(int(pids.read_text()))


def test_a_nameless_daemon_that_may_be_a_neighbours_waits_for_the_neighbour(talk: Talk) -> None:
    talk.connect()
    talk.context()
    pids, go = talk.folder / "pids", talk.folder / "go"
    talk.start(0, f"until test -e {go}; do sleep 0.01; done")
    until(lambda: talk.output(0).exists())
    talk.start(1, NAMELESS.format(pids=pids))
    message = talk.receive("finished")
    assert (message["key"][1], message.get("leftover")) == (1, None)
    assert alive(int(pids.read_text()))
    go.touch()
    message = talk.receive("finished")
    assert (message["key"][1], message["leftover"]) == (0, 1)
    assert not alive(int(pids.read_text()))


def test_a_daemon_of_the_setup_serves_all_tasks(talk: Talk) -> None:
    talk.connect()
    pids = talk.folder / "pids"
    talk.context(setup=NAMELESS.format(pids=pids))
    talk.start(0, "true")
    assert "leftover" not in talk.receive("finished")
    pid = int(pids.read_text())
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_term_reaches_each_process_once(talk: Talk) -> None:
    talk.connect()
    talk.context()
    seen = talk.folder / "seen"
    key = talk.start(0, f"trap 'echo t >>{seen}' TERM; echo go; while ! test -e {seen}; do sleep 0.02; done; sleep 0.2")
    until(lambda: (talk.output(0) / "stdout").exists() and (talk.output(0) / "stdout").read_text())
    talk.stop(key)
    assert talk.receive("finished")["reason"] == "stopped"
    assert seen.read_text() == "t\n"


def test_a_child_has_its_grace_when_the_shell_has_died_of_term(talk: Talk) -> None:
    """Longer than what is merely left behind would have."""
    talk.connect()
    talk.context()
    seen = talk.folder / "seen"
    script = f"""if True:
        import signal, time
        def save(*_):
            with open({str(seen)!r}, "a") as file:
                file.write("asked ")
            time.sleep({LEFTOVER_GRACE} + 0.5)
            with open({str(seen)!r}, "a") as file:
                file.write("saved")
            raise SystemExit
        signal.signal(signal.SIGTERM, save)
        print("go", flush=True)
        time.sleep(60)
    """
    key = talk.start(0, f"{sys.executable} -c '{script.replace(chr(39), chr(34))}'; echo not reached")
    until(lambda: (talk.output(0) / "stdout").exists() and (talk.output(0) / "stdout").read_text())
    talk.stop(key, grace=30)
    assert talk.receive("finished")["reason"] == "stopped"
    assert seen.read_text() == "asked saved"


def test_the_reason_of_a_stop_outlives_the_agent(talk: Talk) -> None:
    talk.connect()
    talk.context()
    go = talk.folder / "go"
    key = talk.start(0, f"trap '' TERM; echo go; while ! test -e {go}; do sleep 0.02; done; exit 3")
    until(lambda: (talk.output(0) / "stdout").exists() and (talk.output(0) / "stdout").read_text())
    talk.stop(key, grace=60, reason="interrupted")
    until(lambda: any(record["record"] == "stopping" for record in talk.records()))
    talk.kill()
    go.touch()
    talk.connect(epoch=2)
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"], finished["exit_code"]) == ("stopped", "interrupted", 3)


def test_the_exit_status_of_a_program_that_got_many_signals(talk: Talk) -> None:
    talk.connect()
    talk.context()
    program = """if True:
        import signal, sys
        numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]
        numbers += [signal.SIGINT, signal.SIGQUIT, signal.SIGALRM]
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        print("go", flush=True)
        while numbers:
            numbers.remove(signal.sigwait(numbers))
        sys.exit(7)
    """
    talk.start(0, "", argv=[[sys.executable, "-c", program]])
    program = talk.receive("started")["pid"]
    until(lambda: (talk.output(0) / "stdout").exists() and (talk.output(0) / "stdout").read_text())
    for number in (
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGALRM,
    ):
        os.killpg(program, number)
    assert talk.receive("finished")["exit_code"] == 7


def test_a_message_that_is_no_message_ends_the_channel_not_the_agent(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = talk.start(0, "sleep 60")
    talk.receive("started")
    assert talk.relay is not None
    assert talk.relay.stdin is not None
    talk.relay.stdin.write(b"no json\n")
    talk.receive_end()
    before = talk.pid
    assert talk.connect(epoch=2)["open"] == [key]
    assert talk.pid == before


@pytest.mark.fault
def test_a_full_spool_holds_tasks_back_and_then_goes_on(talk: Talk) -> None:
    talk.spool.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", talk.spool], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        talk.connect()
        talk.context()
        with open(talk.spool / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        key = talk.start(0, "echo once", env={"BIG": "x" * 8192})
        notice = talk.receive()
        assert (notice["type"], "No space left on device" in notice["text"]) == ("notice", True)
        assert (talk.output(0) / "stdout").read_text() == ""
        (talk.spool / "ballast").unlink()
        assert talk.receive("finished")["key"] == key
        assert (talk.output(0) / "stdout").read_text() == "once\n"
    finally:
        if talk.pid:
            talk.kill()
        subprocess.run(["umount", "-l", talk.spool], check=True)


def test_setup_is_run_once_and_its_variables_are_inherited(talk: Talk) -> None:
    talk.connect()
    talk.context(setup="echo run >>setups; export FROM_SETUP='a b'")
    for task in range(3):
        talk.start(task, 'echo "$FROM_SETUP"')
    assert {talk.receive("finished")["state"] for _ in range(3)} == {"done"}
    assert (talk.output(2) / "stdout").read_text() == "a b\n"
    assert (talk.folder / "setups").read_text() == "run\n"


def test_a_setup_is_run_once_for_all_stages_of_a_submission(talk: Talk) -> None:
    talk.connect()
    setup = "echo run >>setups; until [ -e go ]; do sleep 0.02; done; export FROM_SETUP='a b'"
    for number, context in enumerate(("e/1", "e/1:first", "e/1:other", "e/2")):
        talk.context(id=context, setup=setup if context != "e/1:other" else f"{setup}; true")
        talk.start(number, 'echo "$FROM_SETUP"', context=context)
    until(lambda: (talk.folder / "setups").exists() and (talk.folder / "setups").read_text() == "run\n" * 3)
    (talk.folder / "go").touch()
    assert {talk.receive("finished")["state"] for _ in range(4)} == {"done"}
    assert (talk.output(1) / "stdout").read_text() == "a b\n"
    assert (talk.folder / "setups").read_text() == "run\n" * 3


@pytest.mark.parametrize(
    ("setup", "said"), [("echo oh no; exit 4", "exited with 4: oh no"), ("exit 0", "left no environment")]
)
def test_a_setup_that_fails_fails_the_tasks_with_its_words(talk: Talk, setup: str, said: str) -> None:
    talk.connect()
    talk.context(setup=setup)
    talk.start(0, "true")
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"]) == ("failed", "start")
    assert said in finished["message"]


def test_the_timers_of_ended_tasks_are_dropped() -> None:
    timers = Timers()
    for _ in range(5000):
        timers.cancel([timers.after(7200, print)])
    assert len(timers.waiting) < 2500


@pytest.mark.parametrize(
    "more",
    [
        {"context": ["c"]},
        {"folder": None},
        {"steps": "two"},
        {"env": None},
        {"env": {"A": 5}},
        {"grace": None},
        {"timeout": "long"},
        {"ok": None},
        {"argv": 4},
        {"argv": [["a", 1]]},
        {"scripts": {"0": 5}},
        {"files": 3},
        {"workdir": 7},
        {"needs": {"cpus": "many"}},
        {"needs": [1]},
        {"collect": {"keep": 5, "home": 7}},
    ],
    ids=str,
)
def test_a_start_that_is_none_fails_alone(talk: Talk, more: dict[str, Any]) -> None:
    talk.connect()
    talk.context()
    bad, good = talk.start(0, "true", **more), talk.start(1, "true")
    ended = {message["key"][1]: message for message in (talk.receive("finished"), talk.receive("finished"))}
    assert [ended[0]["key"], ended[1]["key"]] == [bad, good]
    assert (ended[0]["state"], ended[0]["reason"], ended[1]["state"]) == ("failed", "start", "done")
    name, value = next(iter(more.items()))
    assert ended[0]["message"] == f"a malformed start message: {name}: {value!r}"
    assert alive(talk.pid)


@pytest.mark.parametrize(
    "more",
    [
        {"environment": {"A": 5}},
        {"extra": ["A"]},
        {"workdir": None},
        {"shell": 5},
        {"setup": 5},
        {"setup_timeout": "long"},
        {"umask": 1 << 40},
        {"steps": [None]},
        {"steps": [{"name": 1, "script": "true"}]},
    ],
    ids=str,
)
def test_a_context_that_is_none_fails_with_its_tasks(talk: Talk, more: dict[str, object]) -> None:
    talk.connect()
    talk.context(id="bad", **more)
    talk.context()
    talk.start(0, "true", context="bad")
    talk.start(1, "true")
    ended = {message["key"][1]: message for message in (talk.receive("finished"), talk.receive("finished"))}
    assert (ended[0]["state"], ended[0]["reason"], ended[1]["state"]) == ("failed", "start", "done")
    name, value = next(iter(more.items()))
    assert ended[0]["message"] == f"a malformed context message: {name}: {value!r}"
    assert alive(talk.pid)


@pytest.mark.parametrize(
    "more",
    [
        {"setup": "true", "workdir": "/a\0b"},
        {"setup": "true", "shell": "/bin/\0sh"},
        {"setup": "true", "environment": {"A=B": "1", "": "2"}},
        {"setup": "true", "extra": {"A\0": "1"}},
        {"steps": [{"name": None, "script": None}] * 2},
        {"steps": [{"name": None, "script": None}], "scripts": {}},
    ],
    ids=str,
)
def test_what_no_program_can_be_started_from_fails_alone(talk: Talk, more: dict[str, Any]) -> None:
    talk.connect()
    start = {"scripts": more["scripts"]} if "scripts" in more else {}
    talk.context(id="bad", **{name: value for name, value in more.items() if name != "scripts"})
    talk.context()
    talk.start(0, "true", context="bad", **start)
    talk.start(1, "true")
    ended = {message["key"][1]: message for message in (talk.receive("finished"), talk.receive("finished"))}
    assert (ended[0]["state"], ended[0]["reason"], ended[1]["state"]) == ("failed", "start", "done")
    assert alive(talk.pid)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hello", "epoch": 1, "lab": "lab", "node": "here", "slots": "two"},
        {"type": "hello", "epoch": 1, "lab": "lab", "node": "here", "slots": 1 << 60},
        {"type": "hello", "epoch": "1", "lab": "lab", "node": "here", "slots": 2},
        {"type": "hello", "epoch": 1, "lab": "lab", "node": "here", "slots": 2, "sample": "often"},
        {"type": "hello", "epoch": 1, "lab": "lab", "node": "here", "slots": 2, "marker": {"path": 1}},
        {"type": "hello", "epoch": 1, "lab": "lab", "node": "here", "slots": 2, "gpus": [[0]]},
        {"type": "slots", "slots": -1},
        {"type": "slots", "slots": [2]},
        {"type": "stop", "key": ["e", 0, 1], "reason": "stopped", "grace": "long"},
        {"type": "context"},
        {"type": ["hello"]},
        {"type": "ping", "id": 1, "size": -20},
        {"type": "ping", "id": 1, "size": "5"},
    ],
    ids=str,
)
def test_messages_that_are_none_end_the_connection_alone(talk: Talk, message: dict[str, object]) -> None:
    talk.connect()
    talk.context()
    talk.start(0, "sleep 1000")
    talk.receive("started")
    pid = talk.pid
    talk.send(message)
    assert talk.receive_end() == ""
    assert talk.connect()["open"] == [["e", 0, 1]] and talk.pid == pid


def test_a_marker_that_is_no_path_is_not_seen(talk: Talk) -> None:
    assert talk.connect(marker={"path": "/a\0b", "text": "x"})["shared"] is False


def test_an_attempt_goes_on_behind_steps_whose_outputs_are_in_the_folder(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context(steps=[{"name": "one", "script": None}, {"name": "two", "script": None}])
    scripts = "echo once >>$TUI_LAB_OUTPUT/ran; echo one; echo {} >$TUI_LAB_OUTPUT/metrics.jsonl", "exit 3"
    talk.start(0, *scripts)
    first = talk.receive("finished")
    assert first["step_ends"][0]["sizes"] == [4, 0, 3]
    resume = {"attempt": 1, "steps": first["steps"][:1], "ends": first["step_ends"][:1]}
    (talk.output(0) / "metrics.jsonl").write_text("{}\n{}\n")  # by the step that failed
    files = {"ran": "anew", "params.json": "{}"}
    talk.start(0, *scripts, attempt=2, resume=resume, files=files)
    second = talk.receive("finished")
    assert (second["first_step"], second["step"], second["steps"][0]) == (1, 1, first["steps"][0])
    found = {path.name: path.read_text() for path in talk.output(0).iterdir()}
    assert (found["one.stdout.2"], found["metrics.jsonl.2"], found["params.json"]) == ("one\n", "{}\n", "{}")
    assert found["ran"] == "once\n"  # it is as the done steps have left it

    # The outputs of the second attempt are damaged: a third can't go on from them.
    (talk.output(0) / "one.stdout.2").unlink()
    (talk.output(0) / "one.stdout.2").symlink_to("one.stdout")
    talk.start(0, *scripts, attempt=3, resume=dict(resume, attempt=2))
    third = talk.receive("finished")
    assert ("first_step" in third, third["step_ends"][0]["attempt"]) == (False, 3)
    assert (talk.output(0) / "ran").read_text() == "once\nonce\n"
    talk.start(1, *scripts, attempt=2, resume=dict(resume, steps=first["steps"], ends=first["step_ends"]))
    assert talk.receive("finished")["message"] == "resume: all 2 steps are done"


def test_a_step_keeps_its_own_duration_where_its_agent_dies(talk: Talk) -> None:
    talk.connect()
    steps = [{"name": "one", "script": None}, {"name": "two", "script": None}]
    talk.context(steps=steps)
    go = talk.folder / "go"
    talk.start(0, "sleep 0.5", f"echo >{go}.two; while ! test -e {go}; do sleep 0.02; done")
    until(lambda: (talk.folder / "go.two").exists())
    talk.kill()
    go.touch()
    talk.connect(epoch=2)
    finished = talk.receive("finished")
    assert finished["steps"][0][1] >= 0.5
    assert finished["duration"] - finished["steps"][1][1] >= 0.5
