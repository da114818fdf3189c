"""What an agent does on a node that is not the engine's machine: facts, GPUs, needs, outputs that go home."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.agent.talk import Talk, wait_gone
from tests.workbench import below, until
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.agent.collect import INLINE
from tui_lab.engine.agent.facts import kill_user_processes, system_name
from tui_lab.portable.globs import matcher

UUIDS = ("GPU-aa", "GPU-bb", "GPU-cc")


def install_nvidia_smi(talk: Talk, *, foreign: str = "", then: str = "") -> None:
    """A program of that name for the agent: three cards. foreign: processes and cards of others; then: what it does at
    the second call."""
    folder = talk.folder / "bin"
    folder.mkdir()
    cards = "\n".join(f"{i}, {uuid}, 16384, {100 * i}, {i}0, NVIDIA Test, {i}" for i, uuid in enumerate(UUIDS))
    script = f"""#!/bin/sh
case "$*" in
*compute-apps*) printf '%s' '{foreign}'; exit;;
esac
if test -e '{folder}/called'; then {then or ":"}; fi
touch '{folder}/called'
cat <<'END'
{cards}
END
"""
    (folder / "nvidia-smi").write_text(script)
    (folder / "nvidia-smi").chmod(0o755)
    talk.environment["PATH"] = f"{folder}:{talk.environment['PATH']}"


def collected(talk: Talk, task: int, *scripts: str, keep: Any = None, most: int = 1 << 30, **more: Any) -> list[Any]:
    """Start a task whose outputs must be fetched."""
    return talk.start(task, *scripts, collect={"keep": keep, "most": most}, **more)


def inline(talk: Talk, finished: dict[str, Any]) -> dict[str, bytes]:
    """The contents that came with an event, by name; call it before the next message is read."""
    found, position = {}, 0
    for file in finished["files"]:
        if file.get("inline"):
            found[file["name"]] = talk.body[position : position + file["size"]]
            position += file["size"]
    assert position == len(talk.body)
    return found


# --- Under every Python


def test_a_node_says_what_it_is(any_talk: Talk) -> None:
    talk = any_talk
    install_nvidia_smi(talk)
    talk.environment["XDG_CACHE_HOME"] = str(talk.folder / "cache")
    marker = talk.folder / "marker"
    marker.write_text("this lab")
    there = {"path": str(marker), "text": "this lab"}
    welcome = talk.connect(marker=there, gpus="all", sample=0.05)
    assert welcome["protocol"] == PROTOCOL
    assert welcome["shared"] is True
    assert welcome["home"] == str(talk.folder / "cache/tui-lab/lab-here")
    assert not Path(welcome["home"]).exists()
    assert welcome["gpus"] == [0, 1, 2]
    facts = welcome["facts"]
    assert facts["gpus"][1] == {"index": 1, "name": "NVIDIA Test, 1", "memory": 16 << 30}
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["memory"] > 1 << 20
    assert facts["kernel"] == os.uname().release
    assert facts["host"] == os.uname().nodename
    assert all(facts[name] for name in ("os", "cpu", "python", "clock"))
    sample = talk.receive("sample")
    assert sample["gpus"][2] == {"index": 2, "used": 20, "memory_used": 200 << 20, "memory": 16 << 30}
    assert 0 < sample["memory_used"] < sample["memory"]
    assert (sample["running"], sample["slots"]) == (0, 2)
    assert sample["load"] >= 0
    talk.send({"type": "ping", "id": 7})
    pong = talk.receive("pong")
    assert (pong["id"], pong["time"] >= facts["clock"]) == (7, True)


def test_declared_outputs_go_home_whatever_their_size(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context()
    script = "mkdir deep; head -c 3000000 /dev/zero >deep/a.pt; echo >b; ln -s deep/a.pt last; ln -s /etc/passwd away"
    for task, outs in enumerate((["last"], ["b", "away", "c*"])):
        talk.output(task).mkdir(parents=True)
        where = str(talk.output(task))
        collected(talk, task, script, workdir=where, keep=["b"], most=1000, outs=outs)
    ends = [talk.receive("finished"), talk.receive("finished")]
    done, failed = sorted(ends, key=lambda event: event["key"][1])
    assert [file["name"] for file in done["files"]] == ["stderr", "stdout", "b", "deep/a.pt", "last"]
    assert [file["name"] for file in done["left"]] == ["away"]
    assert (failed["state"], failed["reason"], failed["exit_code"]) == ("failed", "outs", 0)
    assert failed["message"] == 'it left no file that matches "away", "c*"', "a link that leads nowhere elsewhere"


def test_outputs_go_home(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context()
    script = f"""echo out; echo err >&2; mkdir -p sub/empty; echo x >sub/'a b'; ln -s sub link; umask 077; touch secret
        head -c {INLINE + 1} /dev/zero >big; head -c 3000000 /dev/zero >huge; echo m >"$TUI_LAB_OUTPUT/metrics.jsonl"
        printf y >"$(printf 'l\\351')"; printf z >"$(printf 'n\\nl')"; mkfifo fifo
        echo 0 >stdout.0; echo 1 >stdout.1; echo 2 >stderr.2"""
    talk.output(0).mkdir(parents=True)
    key = collected(talk, 0, script, workdir=str(talk.output(0)), most=2_000_000)
    finished = talk.receive("finished")
    assert finished["state"] == "done", finished
    assert finished["folder"] == str(talk.output(0))
    files = {file["name"]: file for file in finished["files"]}
    names = ["metrics.jsonl", "stderr", "stdout", "big", "link", "l\udce9", "n\nl", "secret"]
    names += ["stderr.2", "stdout.0", "stdout.1", "sub/a b"]  # no attempt has written these
    assert [file["name"] for file in finished["files"]] == names
    assert files["big"] == {"name": "big", "size": INLINE + 1, "mode": 0o600}
    assert files["link"] == {"name": "link", "link": "sub"}
    assert finished["left"] == [{"name": "huge", "size": 3_000_000}]
    contents = inline(talk, finished)
    assert contents["stdout"] == b"out\n"
    assert contents["l\udce9"] == b"y"
    assert contents["sub/a b"] == b"x\n"
    assert "big" not in contents
    talk.ack(key)
    until(lambda: sorted(path.name for path in talk.output(0).iterdir()) == ["fifo", "huge"])


LINKS = {
    "link": 'rm -rf "$O"; ln -s "$TRAP" "$O"',
    "file": 'rm -rf "$O"; ln -s "$TRAP/precious" "$O"',
    "beside": 'mv "$O" "$O-moved"; ln -s "$O-moved" "$O"',
    "gone": 'rm -rf "$O"',
    "a file": 'rm -rf "$O"; echo x >"$O"',
    "new": 'rm -rf "$O"; mkdir "$O"; echo x >"$O/x"',
    "inner": 'ln -s "$TRAP" "$O/d"; ln -s "$TRAP/precious" "$O/f"; ln -s "$O/stdout" "$O/own"',
    "above": 'mv "${O%/*}" "${O%/*}-moved"; ln -s "$TRAP" "${O%/*}"',
}


def test_nothing_behind_a_tasks_link_is_carried_or_removed(any_talk: Talk) -> None:
    talk = any_talk
    trap, home = talk.folder / "trap", talk.folder / "home"
    (trap / "0").mkdir(parents=True)
    (trap / "precious").write_text("precious")
    (trap / "0/precious").write_text("precious")
    talk.connect(slots=1)
    talk.context()
    for number, (name, script) in enumerate(LINKS.items()):
        folder = home / f"tasks/{number}/0"
        collect = {"keep": None, "most": 1 << 30, "home": str(home)}
        env = {"O": str(folder), "TRAP": str(trap), "TUI_LAB_OUTPUT": str(folder), "TUI_LAB_ATTEMPT": "1"}
        key = talk.start(number, script, folder=str(folder), collect=collect, env=env)
        finished = talk.receive("finished")
        assert finished["state"] == "done", finished
        links = {"link": str(trap), "file": str(trap / "precious"), "beside": f"{folder}-moved"}
        assert finished.get("folder_link") == links.get(name), name
        troubles = {"gone": "its folder is gone", "a file": "its folder is a file"}
        troubles["above"] = "its folder can't be read: a folder above it is not a folder any more"
        assert finished.get("folder_trouble") == troubles.get(name), name
        carried = {file["name"]: file.get("link") for file in finished["files"]}
        own = {"stderr": None, "stdout": None}
        inner = own | {"d": str(trap), "f": str(trap / "precious"), "own": "stdout"}
        assert carried == {"new": {"x": None}, "inner": inner}.get(name, {}), name
        talk.ack(key)
        talk.send({"type": "ping", "id": number})
        talk.receive("pong")
        left = {"a file": ["0"], "beside": ["0-moved"], "above": None}.get(name, [])
        if left is not None:
            assert [path.name for path in folder.parent.iterdir()] == left
        assert below(trap) == ["0", "0/precious", "precious"]


def trapped(talk: Talk) -> Path:
    """Connect for tasks of two steps; a folder that they must not touch."""
    trap = talk.folder / "trap"
    trap.mkdir()
    (trap / "precious").write_text("precious")
    talk.connect(slots=1)
    talk.context(steps=[{"name": None, "script": None}] * 2)
    return trap


def test_an_attempt_writes_into_new_files(any_talk: Talk) -> None:
    """Whatever bears their names, of an earlier attempt or of a copied lab."""
    talk, trap = any_talk, trapped(any_talk)
    folder = talk.output(0)
    folder.mkdir(parents=True)
    (folder / "stdout").write_text("of another attempt\n")
    (folder / "stderr").symlink_to(trap / "precious")
    (folder / "metrics.jsonl").write_text("{}\n")
    (folder / "in").symlink_to(trap)
    os.link(trap / "precious", folder / "hard")
    files = {"in/put": "filled", "hard": "filled", "./plain": "filled"}
    talk.start(0, "echo one; echo oops >&2", "echo two", files=files)
    assert talk.receive("finished")["state"] == "done"
    assert (folder / "stdout").read_text() == "one\ntwo\n"
    assert (folder / "stderr").read_text() == "oops\n"
    assert not (folder / "metrics.jsonl").exists()
    assert [(folder / name).read_text() for name in files] == ["filled"] * 3
    assert {path.name: path.read_text() for path in trap.iterdir()} == {"precious": "precious"}


def test_a_step_does_not_write_where_the_one_before_leads(any_talk: Talk) -> None:
    talk, trap = any_talk, trapped(any_talk)
    env = {"O": str(talk.output(0)), "TRAP": str(trap), "TUI_LAB_OUTPUT": "", "TUI_LAB_ATTEMPT": "1"}
    talk.start(0, 'rm "$O/stdout"; ln -s "$TRAP/precious" "$O/stdout"', "echo two", env=env)
    assert talk.receive("finished")["state"] == "done"
    assert (talk.output(0) / "stdout").read_text() == "two\n"
    talk.start(2, 'echo one; ln "$O/stdout" "$O/log"', "echo two", env={**env, "O": str(talk.output(2))})
    assert talk.receive("finished")["state"] == "done"
    assert (talk.output(2) / "log").read_text() == "one\ntwo\n"  # it is its own
    talk.start(1, 'rm -rf "$O"; ln -s "$TRAP" "$O"', "echo two", env={**env, "O": str(talk.output(1))})
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"]) == ("failed", "start")
    assert finished["message"] == f"{talk.output(1)}: is a symbolic link, not a folder"
    assert {path.name: path.read_text() for path in trap.iterdir()} == {"precious": "precious"}


def test_a_task_gets_the_gpus_that_it_needs(any_talk: Talk) -> None:
    talk = any_talk
    install_nvidia_smi(talk)
    assert talk.connect(slots=4, gpus=[1, 2])["gpus"] == [1, 2]
    talk.context(environment={"PATH": os.environ["PATH"]})
    script = 'echo "$CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS"; while ! test -e go; do sleep 0.02; done'
    first = talk.start(0, script, needs={"gpus": 1, "cpus": 1})
    second = talk.start(1, script, needs={"gpus": 0.5})
    third = talk.start(2, script, needs={"gpus": 0.5})
    fourth = talk.start(3, script, needs={"gpus": 1})
    fifth = talk.start(4, "true")
    started = [talk.receive("started")["key"] for _ in range(4)]
    assert started == [first, second, third, fifth]
    assert talk.receive("finished")["key"] == fifth
    for task in range(3):
        until(lambda: (talk.output(task) / "stdout").exists() and (talk.output(task) / "stdout").read_text())
    assert [(talk.output(task) / "stdout").read_text() for task in range(3)] == ["1 1\n", "2 \n", "2 \n"]
    talk.kill()
    talk.connect(epoch=2, slots=4, gpus=[1, 2])
    talk.context()
    talk.start(3, script, needs={"gpus": 1})
    talk.start(5, "true")
    while (message := talk.receive("started"))["key"] != ["e", 5, 1]:
        assert message["key"] != fourth  # no card is free: the new agent knows what is in use
    (talk.folder / "go").touch()
    while (message := talk.receive())["key"] != fourth or message["type"] != "finished":
        pass
    assert message["state"] == "done"


ROCM = """Some words before
{"card0": {"Unique ID": "0xa1", "VRAM Total Memory (B)": "68702699520", "VRAM Total Used Memory (B)": "10960896",
"GPU use (%)": "0", "Card Series": "AMD INSTINCT MI250"}, "card1": {"Unique ID": "0xb2", "GPU use (%)": "99"},
"card2": {"Unique ID": "0xc3", "VRAM Total Used Memory (B)": "20000000000", "GPU use (%)": "0"}, "system": {}}
"""


def install_rocm_smi(talk: Talk) -> None:
    folder = talk.folder / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "rocm-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{ROCM}END\n")
    (folder / "rocm-smi").chmod(0o755)
    talk.environment["PATH"] = f"{folder}:{talk.environment['PATH']}"


SEEN = "echo $CUDA_VISIBLE_DEVICES/$CUDA_DEVICE_ORDER/$ROCR_VISIBLE_DEVICES/$HIP_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("variables", "wanted", "offered", "seen"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2,1"}, None, [2, 1], "2/PCI_BUS_ID//"),
        ({"CUDA_VISIBLE_DEVICES": " 1 , 7, 0"}, None, [1], "1/PCI_BUS_ID//"),  # as CUDA: nothing behind what is none
        ({"CUDA_VISIBLE_DEVICES": UUIDS[2][:12]}, "all", [2], "2/PCI_BUS_ID//"),
        ({"CUDA_VISIBLE_DEVICES": "MIG-a/1/0,MIG-b"}, None, ["MIG-a/1/0", "MIG-b"], "MIG-a/1/0///"),
        ({"CUDA_VISIBLE_DEVICES": "1,2"}, [0, 1], [1], "1/PCI_BUS_ID//"),
        ({"CUDA_VISIBLE_DEVICES": "1,2"}, "free", [2], "2/PCI_BUS_ID//"),
        ({}, ["MIG-c"], ["MIG-c"], "MIG-c///"),
        ({}, [UUIDS[1]], [1], "1/PCI_BUS_ID//"),
        *(({"CUDA_VISIBLE_DEVICES": none}, None, [], "") for none in ("", "-1", "NoDevFiles", "x")),
    ],
)
def test_only_what_the_environment_grants(
    talk: Talk, variables: dict[str, str], wanted: Any, offered: list[Any], seen: str
) -> None:
    install_nvidia_smi(talk, foreign=f"999999999, {UUIDS[1]}\n")
    check_granted(talk, variables, wanted, offered, seen)


@pytest.mark.parametrize(
    ("variables", "wanted", "offered", "seen"),
    [
        ({}, None, [0, 1, 2], "//0/"),
        ({}, "free", [0], "//0/"),
        ({"ROCR_VISIBLE_DEVICES": "2,GPU-a1"}, None, [2, 0], "//2/"),
        ({"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}, None, [2], "//2/"),
        ({"HIP_VISIBLE_DEVICES": "2,0"}, [0, 1], [0], "//0/"),
        ({"ROCR_VISIBLE_DEVICES": ""}, None, [], ""),
        ({"HIP_VISIBLE_DEVICES": "-1"}, None, [], ""),
    ],
)
def test_cards_of_amd(talk: Talk, variables: dict[str, str], wanted: Any, offered: list[Any], seen: str) -> None:
    install_rocm_smi(talk)
    check_granted(talk, variables, wanted, offered, seen)


@pytest.mark.parametrize(
    ("variables", "offered", "seen"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, [2, 3], "2/PCI_BUS_ID//"),
        ({"ROCR_VISIBLE_DEVICES": "2,3"}, [2, 3], "//2/"),
        ({"HIP_VISIBLE_DEVICES": "3"}, [3], "//3/"),
        ({"HIP_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "2,3"}, [3], "//3/"),
        ({"ROCR_VISIBLE_DEVICES": ""}, [], ""),
    ],
)
def test_an_allocation_where_no_program_tells_of_cards(
    talk: Talk, variables: dict[str, str], offered: list[Any], seen: str
) -> None:
    check_granted(talk, variables, None, offered, seen)


def check_granted(talk: Talk, variables: dict[str, str], wanted: Any, offered: list[Any], seen: str) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        talk.environment.pop(name, None)
    talk.environment.update(variables)
    assert talk.connect(gpus=wanted)["gpus"] == offered
    talk.context(environment=None)
    talk.start(0, SEEN, needs={"gpus": 1})
    finished = talk.receive("finished")
    if seen:
        assert (talk.output(0) / "stdout").read_text() == seen + "\n"
    else:
        assert "needs gpus: 1, the node offers 0" in finished["message"]


def test_each_submitter_has_the_gpus_of_its_own_environment(talk: Talk) -> None:
    install_nvidia_smi(talk)
    talk.environment["CUDA_VISIBLE_DEVICES"] = "0"
    talk.connect(slots=4)
    path = {"PATH": os.environ["PATH"]}
    talk.context(id="other", environment={**path, "CUDA_VISIBLE_DEVICES": "2"})
    talk.context(id="all", environment=path)
    talk.start(0, SEEN, context="other", needs={"gpus": 1})
    talk.receive("finished")
    talk.start(1, SEEN, context="all", needs={"gpus": 3})
    talk.receive("finished")
    talk.start(2, SEEN, context="other", needs={"gpus": 2})
    assert "the node offers 1 to what its environment grants" in talk.receive("finished")["message"]
    assert (talk.output(0) / "stdout").read_text().startswith("2/")
    assert sorted((talk.output(1) / "stdout").read_text()[:5]) == sorted("0,1,2")


# --- Facts


def test_gpus_that_others_use_are_not_free(talk: Talk) -> None:
    install_nvidia_smi(talk, foreign=f"999999999, {UUIDS[1]}\n{os.getpid()}, {UUIDS[2]}\n")
    assert talk.connect(gpus="free")["gpus"] == [0, 2]
    assert talk.connect(epoch=2, gpus=None)["gpus"] == [0, 1, 2]


def test_a_node_without_gpus(talk: Talk) -> None:
    welcome = talk.connect(gpus="all", sample=0.05)
    assert (welcome["gpus"], welcome["facts"]["gpus"]) == ([], [])
    assert talk.receive("sample")["gpus"] == []
    talk.context()
    talk.start(0, "true", needs={"gpus": 1})
    finished = talk.receive("finished")
    assert (finished["state"], finished["reason"]) == ("failed", "start")
    assert "needs gpus: 1, the node offers 0" in finished["message"]


def test_a_hanging_nvidia_smi_holds_nothing_up(talk: Talk) -> None:
    install_nvidia_smi(talk, then="echo $$ >../hangs; exec sleep 60")
    (talk.folder / "bin/nvidia-smi").write_text(
        (talk.folder / "bin/nvidia-smi").read_text().replace("../hangs", f"{talk.folder}/hangs")
    )
    talk.connect(sample=0.05)
    until(lambda: (talk.folder / "hangs").exists() and (talk.folder / "hangs").read_text())
    talk.context()
    key = talk.start(0, "true")
    assert talk.receive("finished")["key"] == key
    os.kill(int((talk.folder / "hangs").read_text()), signal.SIGKILL)
    assert talk.receive("sample")["gpus"] == []


def test_a_lab_that_is_elsewhere_is_not_shared(talk: Talk) -> None:
    marker = talk.folder / "marker"
    assert talk.connect(marker={"path": str(marker), "text": "x"})["shared"] is False
    marker.write_text("another lab")
    assert talk.connect(epoch=2, marker={"path": str(marker), "text": "x"})["shared"] is False
    assert talk.connect(epoch=3)["shared"] is False


def test_places_are_the_nodes_own(talk: Talk) -> None:
    talk.environment["HOME"] = str(talk.folder)
    talk.environment["ONLY_THERE"] = "yes"
    talk.environment["TUI_LAB_OUTPUT"] = "of a surrounding task"
    talk.spool_name = "~/" + "deep/" * 30 + "spool"  # longer than the address of a socket
    talk.spool = Path(talk.spool_name.replace("~", str(talk.folder)))
    assert talk.connect(data="~/data")["home"] == f"{talk.folder}/data/lab-here"
    (talk.folder / "work").mkdir()
    talk.context(environment=None, extra={"MORE": "a b"}, workdir="~/work")
    talk.start(0, 'pwd; echo "$ONLY_THERE $MORE ${TUI_LAB_OUTPUT-none}"', folder="~/out/0", env={})
    assert talk.receive("finished")["state"] == "done"
    assert (talk.folder / "out/0/stdout").read_text() == f"{talk.folder}/work\nyes a b none\n"


def test_a_bare_name_is_a_spool_in_the_users_folder(talk: Talk) -> None:
    talk.spool_name = f"test-{os.getpid()}"
    talk.spool = Path(f"/tmp/tui-lab-{os.getuid()}") / talk.spool_name
    talk.connect()
    assert (talk.spool / "lock").exists()
    assert talk.spool.parent.stat().st_mode & 0o077 == 0
    talk.send({"type": "bye"})
    assert talk.receive_end() == ""
    until(lambda: not talk.spool.exists())


def test_a_file_beside_it_does_not_take_the_place_of_a_module(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "socket", "tui_lab"):
        (talk.folder / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(talk.folder)
    assert talk.connect()["type"] == "welcome"


def test_a_logind_that_ends_a_users_processes_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd"
    assert not kill_user_processes(str(tmp_path))
    (folder / "logind.conf.d").mkdir(parents=True)
    (folder / "logind.conf").write_text("[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n")
    assert kill_user_processes(str(tmp_path))
    (folder / "logind.conf.d/50-mine.conf").write_text("[Login]\nKillUserProcesses = no\n")
    assert not kill_user_processes(str(tmp_path))


def test_the_name_of_the_system() -> None:
    assert system_name('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"\n') == "Debian GNU/Linux 12"
    assert system_name("") == "Linux"


# --- Needs


def test_small_tasks_go_past_a_big_one_that_does_not_fit_yet(talk: Talk) -> None:
    talk.connect(slots=3, memory=1000)
    talk.context()
    go = talk.folder / "go"
    wait = f"while ! test -e {go}; do sleep 0.02; done"
    first = talk.start(0, wait, needs={"memory": 600})
    big = talk.start(1, "true", needs={"memory": 800})
    small = talk.start(2, "true", needs={"memory": 300})
    alone = talk.start(3, "true", needs={"exclusive": True})
    never = talk.start(4, "true", needs={"memory": 1001})
    messages = [talk.receive() for _ in range(4)]
    assert {(message["type"], message["key"][1]) for message in messages} == {
        ("started", 0),
        ("started", 2),
        ("finished", 2),
        ("finished", 4),
    }
    assert "the node offers" in next(m["message"] for m in messages if m["key"] == never)
    assert small != big
    go.touch()
    ended = [talk.receive("finished")["key"] for _ in range(3)]
    assert ended == [first, big, alone]


def test_slots_that_change(talk: Talk) -> None:
    talk.connect(slots=1)
    talk.context()
    keys = [talk.start(task, "sleep 60") for task in range(4)]
    assert talk.receive("started")["key"] == keys[0]
    talk.send({"type": "slots", "slots": 3})
    assert [talk.receive("started")["key"] for _ in range(2)] == keys[1:3]
    talk.send({"type": "slots", "slots": 1})
    for key in keys[:2]:
        talk.stop(key)
        talk.receive("finished")
    talk.send({"type": "ping", "id": 1})
    assert talk.receive("started", "pong")["type"] == "pong"  # one runs still
    talk.stop(keys[2])
    assert talk.receive("started")["key"] == keys[3]


def test_a_stop_of_what_is_not_known_is_ignored(talk: Talk) -> None:
    talk.connect()
    talk.stop(["e", 99, 1])
    talk.send({"type": "ping", "id": 1})
    assert talk.receive()["type"] == "pong"


def test_bytes_behind_a_message_are_skipped_over(talk: Talk) -> None:
    talk.connect()
    assert talk.relay is not None
    assert talk.relay.stdin is not None
    talk.relay.stdin.write(b'{"type":"of a later engine","size":100000}\n' + b"\n{}\0\xff" * 20000)
    talk.send({"type": "ping", "id": 1})
    assert talk.receive()["type"] == "pong"


# --- Outputs


def test_only_what_is_kept_goes_home(talk: Talk) -> None:
    talk.connect()
    talk.context(steps=[{"name": "train", "script": None}])
    talk.output(0).mkdir(parents=True)
    script = "mkdir -p plots/x data; touch a.csv a.pt plots/x/b.png data/c.csv train.stderr.7 stdout"
    key = collected(talk, 0, script, attempt=2, keep=["*.csv", "plots"], workdir=str(talk.output(0)))
    finished = talk.receive("finished")
    names = [file["name"] for file in finished["files"]]
    assert names == ["train.stderr.2", "train.stdout.2", "a.csv", "plots/x/b.png"]
    assert [file["name"] for file in finished["left"]] == ["a.pt", "data/c.csv", "stdout", "train.stderr.7"]
    talk.ack(key)
    left = ["a.pt", "data", "data/c.csv", "stdout", "train.stderr.7"]
    until(lambda: below(talk.output(0)) == left)


@pytest.mark.parametrize(
    ("globs", "path", "matches"),
    [
        (["*.csv"], "a.csv", True),
        (["*.csv"], "x/a.csv", False),
        (["**/*.csv"], "a.csv", True),
        (["**/*.csv"], "x/y/a.csv", True),
        (["plots/**"], "plots/x/y", True),
        (["plots/"], "plots/x/y", True),
        (["plots"], "plots2", False),
        (["a?[0-9].[!x]"], "ab1.y", True),
        (["a?[0-9].[!x]"], "ab1.x", False),
        (["a[*]"], "a*", True),
        (["a[*]"], "ab", False),
        (["[[]x]"], "[x]", True),
        ([], "a", False),
        (None, "a", True),
        (["*"], "line\nbreak", True),
    ],
)
def test_globs(globs: list[str] | None, path: str, matches: bool) -> None:
    assert bool(matcher(globs)(path)) is matches


def test_an_event_with_outputs_is_told_again_until_it_is_acknowledged(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = collected(talk, 0, "echo once")
    talk.receive("finished")
    (talk.output(0) / "late").write_text("from the disk, as it is now")
    talk.connect(epoch=2)
    assert inline(talk, talk.receive("finished"))["late"] == b"from the disk, as it is now"
    talk.kill()
    assert talk.connect(epoch=3)["open"] == [key]
    finished = talk.receive("finished")
    assert inline(talk, finished) == {"late": b"from the disk, as it is now", "stdout": b"once\n", "stderr": b""}
    talk.ack(key)
    until(lambda: not talk.output(0).exists())
    assert talk.connect(epoch=4)["open"] == []


def test_an_acknowledgement_takes_nothing_from_another_attempt(talk: Talk) -> None:
    talk.connect()
    talk.context()
    first = collected(talk, 0, 'echo one; touch "$TUI_LAB_OUTPUT/checkpoint"')
    assert talk.receive("finished")["key"] == first
    second = collected(talk, 0, "echo two; sleep 60", attempt=2)
    assert talk.receive("started")["key"] == second
    until(lambda: (talk.output(0) / "stdout.2").exists() and (talk.output(0) / "stdout.2").read_text())
    talk.ack(first)
    until(lambda: not (talk.output(0) / "stdout").exists())
    assert (talk.output(0) / "checkpoint").exists()
    talk.stop(second)
    finished = talk.receive("finished")
    assert set(inline(talk, finished)) == {"checkpoint", "stdout.2", "stderr.2"}
    talk.ack(second)
    until(lambda: not talk.output(0).exists())


def test_what_rides_in_events_is_bounded(talk: Talk) -> None:
    """However much has ended while nobody listened."""
    talk.connect(slots=4)
    talk.context()
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do head -c 60000 /dev/zero >$i; done"
    keys = [collected(talk, task, f'cd "$TUI_LAB_OUTPUT"; {script}') for task in range(40)]
    told = 0
    while told < len(keys):
        finished = talk.receive("finished")
        assert finished["state"] == "done", finished
        assert len(talk.body) <= 1 << 20
        assert len(finished["files"]) == 22
        told += 1
    talk.connect(epoch=2)
    for _ in keys:
        assert len(talk.receive("finished")["files"]) == 22
    peak = [line for line in Path(f"/proc/{talk.pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    assert int(peak[0].split()[1]) < 60_000


@pytest.mark.slow
def test_live_metrics_are_sent_while_a_task_runs(talk: Talk) -> None:
    talk.connect()
    talk.context()
    script = """echo '{"step": 1}' >>"$TUI_LAB_OUTPUT/metrics.jsonl"; while ! test -e go; do sleep 0.02; done
        echo '{"step": 2}' >>"$TUI_LAB_OUTPUT/metrics.jsonl"; sleep 60"""
    key = collected(talk, 0, script)
    message = talk.receive("output")
    assert (message["key"], message["name"], message["offset"]) == (key, "metrics.jsonl", 0)
    assert talk.body == b'{"step": 1}\n'
    (talk.folder / "go").touch()
    message = talk.receive("output")
    assert (message["offset"], talk.body) == (12, b'{"step": 2}\n')
    talk.connect(epoch=2)
    assert talk.receive("output")["offset"] == 0
    assert len(talk.body) == 24


def test_outputs_of_a_task_that_never_began(talk: Talk) -> None:
    talk.connect()
    talk.context(workdir=str(talk.folder / "nowhere"))
    collected(talk, 0, "true")
    finished = talk.receive("finished")
    assert (finished["state"], finished["left"]) == ("failed", [])
    assert {file["name"]: file["size"] for file in finished["files"]} == {"stderr": 0, "stdout": 0}


def test_a_program_that_never_reached_the_ledger_keeps_its_gpus(talk: Talk) -> None:
    talk.connect(gpus=[0], slots=2)
    talk.context()
    go = talk.folder / "go"
    key = talk.start(0, f"while ! test -e {go}; do sleep 0.02; done", needs={"gpus": 1})
    program = talk.receive("started")["pid"]
    until(lambda: len(talk.records()) == 2)
    talk.kill()
    ledger = talk.spool / "ledger.jsonl"
    ledger.write_text(ledger.read_text().splitlines(keepends=True)[0])
    assert json.loads(ledger.read_text())["allocation"] == {"gpus": [0]}
    talk.connect(epoch=2, gpus=[0], slots=2)
    talk.context()
    other = talk.start(1, "true", needs={"gpus": 1})
    talk.start(2, "true")
    assert talk.receive("finished")["key"][1] == 2
    go.touch()
    assert [talk.receive("finished")["key"] for _ in range(2)] == [key, other]
    wait_gone(program)
