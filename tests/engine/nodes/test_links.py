"""Tasks that put links, and other things, in the place of their folder or of their files: nothing leaves the folder,
neither on the node nor at home, and no run waits for what never comes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import rooted
from tests.engine.nodes.fleet import Fleet, Node
from tests.engine.nodes.test_runs import leftovers, remove_truth, states, write
from tests.portable.test_beneath import digest
from tests.workbench import Result, Workbench, until

__all__ = ["remove_truth"]

pytestmark = rooted.only

TRAP = Path("/tmp/trap")  # there is one on each machine


@pytest.fixture
def traps(fleet: Fleet, tmp_path: Path) -> Iterator[list[Node]]:
    """Two nodes, each with a folder that nobody may touch, and one here."""
    TRAP.mkdir()  # the root is the test's own, or this fails
    nodes = [fleet.node(name, slots=2, shared=False) for name in ("one", "two")]
    places = [TRAP, *(node.machine.tmp / "trap" for node in nodes)]
    for place in places:
        (place / ".ssh").mkdir(parents=True)
        for name in ("precious", "result.json", ".ssh/authorized_keys"):
            (place / name).write_text(json.dumps({"score": 99}))
    before = [digest(place) for place in places]
    try:
        yield nodes
        assert [digest(place) for place in places] == before
    finally:
        for path in sorted(TRAP.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        TRAP.rmdir()


def run(workbench: Workbench, fleet: Fleet, nodes: list[Node], text: str, *words: str) -> Result:
    env = fleet.environment(workbench)
    named = [word for node in nodes for word in node.words]
    return workbench("--run", write(workbench, text), *named, *words, env=env, timeout=120, code=None)


def folder_of(workbench: Workbench, task: int = 0) -> Path:
    return workbench.lab_path / "e/tasks/0" / str(task)


def test_a_folder_that_has_become_a_link_is_carried_as_a_link(
    workbench: Workbench, fleet: Fleet, traps: list[Node]
) -> None:
    """A usual move on clusters."""
    text = """\
        name: e
        command: 'rm -rf {output}; ln -s /tmp/trap {output}'
        metrics: {score: {json: result.json, path: $.score}}
        repeat: 3
        """
    ran = run(workbench, fleet, traps, text)
    assert ran.code == 0, ran.err
    said = "its folder is a symbolic link to /tmp/trap: the files behind it are not read"
    assert said in ran.err
    for task in range(3):
        assert folder_of(workbench, task).readlink() == TRAP
        assert workbench.events("finished")[task]["note"] == said
    assert said in workbench("show", "e/0", code=None).out
    assert "is a symbolic link" in workbench("logs", "e/0", code=None).err
    found = json.loads(workbench("query", "SELECT score FROM e", "--json", code=None).out)
    assert {row["score"] for row in found["rows"]} == {None}  # what this machine has there is not the task's
    workbench("clean", "e", "--state", "done", "--yes")
    assert not os.path.lexists(folder_of(workbench))
    until(lambda: not leftovers(fleet))
    for node in traps:
        assert not [path for path in node.machine.home.rglob("tasks/*/*") if os.path.lexists(path)]


def test_a_node_writes_nowhere_but_into_the_tasks_folder(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    text = """\
        name: e
        command: |
          if [ {attempt} = 1 ]; then ln -s /tmp/trap/.ssh {output}/d; exit 1; fi
          mkdir -p {output}/d; echo mine > {output}/d/authorized_keys
          head -c 300000 /dev/zero > {output}/d/large
        repeat: 4
        retries: 1
        """
    ran = run(workbench, fleet, traps, text)
    assert ran.code == 0, ran.err
    for task in range(4):
        folder = folder_of(workbench, task) / "d"
        assert not folder.is_symlink()
        assert (folder / "authorized_keys").read_text() == "mine\n"
        assert (folder / "large").stat().st_size == 300_000


KINDS = {
    "nothing": "true",
    "file": "echo file > d",
    "large": "head -c 200000 /dev/zero > d",
    "folder": "mkdir d; echo inner > d/inner; head -c 100000 /dev/zero > d/large",
    "empty": "mkdir d",
    "link": "ln -s /tmp/trap d",
    "filelink": "ln -s /tmp/trap/precious d",
    "dangling": "ln -s /tmp/trap/new d",
    "inlink": "echo real > real; ln -s real d",
    "fifo": "mkfifo d",
}


def test_names_that_change_their_kind_between_attempts(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    cases = "; ".join(f"{name}) {script};;" for name, script in KINDS.items()).replace(";;; ", ";; ")
    text = f"""\
        name: e
        command: |
          make() {{ case $1 in {cases} esac; }}
          cd {{output}}
          if [ {{attempt}} = 1 ]; then make {{before}}; exit 1; fi
          rm -rf d; make {{after}}
        parameters:
          before: [{", ".join(KINDS)}]
          after: [{", ".join(KINDS)}]
        retries: 1
        """
    ran = run(workbench, fleet, traps, text, "--keep-going")
    assert ran.code == 0, ran.err
    assert states(workbench) == {"done": len(KINDS) ** 2}
    tasks = {(task["before"], task["after"]): task["task_id"] for task in workbench.tasks()}
    for before, after in itertools.product(KINDS, KINDS):
        place = folder_of(workbench, tasks[before, after]) / "d"
        kind = "link" if place.is_symlink() else "folder" if place.is_dir() else "file" if place.exists() else "nothing"
        carried = before if after in ("nothing", "empty", "fifo") else after  # what has no file is not fetched
        expected = {"large": "file", "filelink": "link", "dangling": "link", "inlink": "link"}
        expected |= dict.fromkeys(("empty", "fifo"), "nothing")
        assert kind == expected.get(carried, carried), (before, after)
        if after == "folder":
            assert (place / "inner").read_text() == "inner\n"
            assert (place / "large").stat().st_size == 100_000
        elif after == "file":
            assert place.read_text() == "file\n"
        elif after == "large":
            assert place.stat().st_size == 200_000
        elif after == "inlink":
            assert place.read_text() == "real\n"
        if before == "folder" and after not in ("folder", "nothing", "empty", "fifo"):
            assert (place.with_name("d.tui-lab-old") / "inner").read_text() == "inner\n"
        elif before == "file" and after in ("folder", "link", "filelink", "dangling", "inlink"):
            assert place.with_name("d.tui-lab-old").read_text() == "file\n"


def test_the_next_attempt_gets_a_folder_of_its_own(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    """The attempt before has put a link, a file or nothing in its place."""
    text = """\
        name: e
        command: |
          cd /
          if [ {attempt} = 1 ]; then rm -rf {output}; {do:raw}; exit 1; fi
          echo second; echo kept > {output}/file
        parameters:
          do: ['ln -s /tmp/trap {output}', 'ln -s /tmp/trap/precious {output}', 'echo x > {output}', 'true']
        retries: 1
        """
    text = text.replace("{do:raw}", 'eval "$(echo {do} | sed s:@:{output}:)"').replace("trap {output}", "trap @")
    text = text.replace("precious {output}'", "precious @'").replace("x > {output}'", "x > @'")
    ran = run(workbench, fleet, traps, text)
    assert ran.code == 0, ran.err
    for task in range(4):
        assert (folder_of(workbench, task) / "stdout.2").read_text() == "second\n"
        assert (folder_of(workbench, task) / "file").read_text() == "kept\n"


def test_names_that_are_no_text(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    text = """\
        name: e
        command: |
          cd {output}
          if [ {repeat} = 0 ]; then printf far > "$(printf 'l\\351x')"; exit; fi
          rm -rf {output}; ln -s "$(printf '/tmp/l\\351x\\033[31m')" {output}
        repeat: 2
        keep: []
        """
    ran = run(workbench, fleet, traps, text)
    assert ran.code == 0, ran.err
    assert "/tmp/l\N{REPLACEMENT CHARACTER}x: the files behind it" in ran.err
    assert os.fsencode(folder_of(workbench, 1).readlink()) == b"/tmp/l\xe9x\x1b[31m"
    workbench("show", "e/0", "e/1", "--json")
    workbench.process("fetch", "e/0", env=fleet.environment(workbench))
    assert (folder_of(workbench) / os.fsdecode(b"l\xe9x")).read_text() == "far"
    workbench("show", "e/0")


MOUNTS = {
    "whole": "mount -t tmpfs none {output}; echo x > {output}/x",
    "bound": "mount --bind /tmp/trap {output}",
    "below": "mkdir {output}/d; mount --bind /tmp/trap {output}/d",
    "file": "rm -rf {output}; echo x > {output}",
    "gone": "rm -rf {output}",
}


def test_what_can_not_come_home_is_said(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    cases = " ".join(f"{name}) {script};;" for name, script in MOUNTS.items())
    text = f"name: e\ncommand: |\n  case {{how}} in {cases} esac\nparameters: {{how: [{', '.join(MOUNTS)}]}}\n"
    ran = run(workbench, fleet, traps[:1], text)
    assert ran.code == 0, ran.err
    ended = {event["task"]: event for event in workbench.events("finished")}
    notes = {task: event.get("note", "") for task, event in ended.items()}
    mounted = "its folder can't be read: another file system is mounted there; nothing of it was fetched"
    assert notes[0] == notes[1] == mounted
    (left,) = ended[2]["left"]
    assert (left["name"], left["error"]) == ("d", "another file system is mounted there")
    assert notes[3] == "its folder is a file; nothing of it was fetched"
    assert notes[4] == "its folder is gone; nothing of it was fetched"
    assert "task 0: its folder can't be read" in ran.err


def test_clean_goes_on_where_it_is_stuck(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    text = "name: e\ncommand: mkdir {output}/m\nrepeat: 4\n"
    workbench("--run", write(workbench, text), "--node", "localhost", 2)
    mount = folder_of(workbench, 1) / "m"
    subprocess.run(["mount", "--bind", TRAP, mount], check=True)
    cleaned = workbench("clean", "e", "--state", "done", "--yes", code=3)
    assert f"! {mount}: another file system is mounted there" in cleaned.err
    assert [os.path.lexists(folder_of(workbench, task)) for task in range(4)] == [False, True, False, False]
    subprocess.run(["umount", mount], check=True)


def test_here_too(workbench: Workbench, fleet: Fleet, traps: list[Node]) -> None:
    """Tasks of this machine write into the lab itself."""
    text = """\
        name: e
        command: |
          if [ {attempt} = 1 ]; then
            case {how} in
            folder) rm -rf {output}; ln -s /tmp/trap {output};;
            stdout) ln -s /tmp/trap/precious {output}/stdout.2; ln -s /tmp/trap/new {output}/stderr.2;;
            hard) ln /tmp/trap/precious {output}/stdout.2;;
            file) ln -s /tmp/trap {output}/in;;
            esac
            exit 1
          fi
          echo second; cat {output}/in/put
        files: {in/put: {from: template}}
        parameters: {how: [folder, stdout, hard, file]}
        retries: 1
        """
    workbench.write("template", "how={how}\n")
    ran = workbench("--run", write(workbench, text), "--node", "localhost", 2, timeout=120)
    for task, how in enumerate(("folder", "stdout", "hard", "file")):
        assert workbench.output(task, "stdout.2") == f"second\nhow={how}\n"
    metrics = "metrics: {score: {json: r.json, path: $.score}}\n"
    linked = "name: l\ncommand: 'ln -s /tmp/trap/result.json {output}/r.json'\n" + metrics
    inside = "name: i\ncommand: 'echo [3] > {output}/x; ln -s {output}/x {output}/r.json'\n"
    ran = workbench("--run", workbench.write("l.yaml", linked), code=None)
    assert "r.json of task 0: is a symbolic link out of the task's folder" in ran.err
    workbench("--run", workbench.write("i.yaml", inside + metrics.replace("$.score", "'$[0]'")), code=None)
    assert "3" in workbench("query", "SELECT score FROM i", "--format", "csv", code=None).out
