"""Connections to a lab on another machine that break, at any time: nothing is lost, and nothing done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.client.remote.conftest import Far
from tests.workbench import until
from tui_lab.client.remote import connection
from tui_lab.client.remote.connection import Copied, RemoteLab
from tui_lab.client.submission import Choice
from tui_lab.engine import client
from tui_lab.engine.client import EngineClient
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.control import Requeue, Stop
from tui_lab.results.sql import saved_queries
from tui_lab.store.errors import StorageError
from tui_lab.store.events import Event, Finished, Requeued, Submitted
from tui_lab.store.journal import read
from tui_lab.store.lab import Lab
from tui_lab.tui.app.app import LabApp

WAITS = """\
name: slow
command: 'while ! test -e FOLDER/go{x}; do sleep 0.05; done'
parameters: {x: [0, 1]}
"""
QUICK = "name: quick\ncommand: 'true'\nparameters: {x: [1, 2]}\n"
LOCALHOST: NodeEntry = {"name": "localhost", "slots": 3, "tags": []}


@pytest.fixture
def slow(far: Far) -> Far:
    """Two tasks that run there until they may end, two that have ended, and a file that takes a while to copy."""
    far.write("slow.yaml", WAITS.replace("FOLDER", far.place))
    far.write("quick.yaml", QUICK)
    far("--run", "quick.yaml", "--node", "localhost", "3")
    (far.folder / "long.txt").write_text("\n".join(str(number**5) for number in range(40_000)))
    far("--run", "slow.yaml", "--node", "localhost", "3", "--detach")
    return far


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param((1, 100_000), id="at-once-and-while-it-copies"),
        pytest.param((2_500, 5_000), id="at-the-login-and-the-greeting", marks=pytest.mark.long),
        pytest.param((8_000, 300_000), id="at-the-first-files-and-the-last", marks=pytest.mark.long),
    ],
)
def test_it_is_opened_although_the_connection_breaks(slow: Far, cuts: tuple[int, ...]) -> None:
    slow.proxy.cuts[:] = cuts
    told: list[Copied] = []
    remote = slow.connect(told=told.append)
    assert slow.proxy.accepted == len(cuts) + 1
    assert any(one.words("far").endswith("; connecting to far again") for one in told)
    assert any(one.words("far").startswith("copying from far: ") for one in told)
    assert told[-1].came == told[-1].total > 100_000
    for file in ("long.txt", "slow.yaml", "lab/slow/journal.jsonl"):
        until(lambda file=file: (remote.lab.parent / file).read_bytes() == (slow.folder / file).read_bytes())  # type: ignore[misc]


@pytest.mark.parametrize("way", ["there", "back"])
def test_what_is_asked_for_is_done_once(slow: Far, way: str) -> None:
    remote = slow.connect()
    lab = Lab.open(remote.lab)
    client = EngineClient.connect(lab)
    assert client is not None
    until(lambda: counts(lab, "slow")["running"] == 2)
    assert client.request(Stop("slow", [[1, 1]])).stopped == 1
    until(lambda: counts(lab, "slow")["stopped"] == 1)
    quick, other = remote.lab.parent / "quick.yaml", remote.lab.parent / "other.yaml"
    with asked(
        slow,
        way,
        lambda: remote.launch(quick, [LOCALHOST], False, Choice(rerun=True)),
        lambda: remote.write(other, b"command: x"),
        lambda: client.request(Requeue("slow", [[1, 1]], {})),
        lambda: saved_queries.save(lab, "best", "SELECT 1"),
    ) as futures:
        if way == "back":
            until(lambda: kinds(slow, "quick")[Finished] == 4)
            until(lambda: (slow.folder / "other.yaml").exists())
            until(lambda: kinds(slow, "slow")[Requeued] == 1)
    assert futures[0].result(60) == ("quick", 2), "those that ended meanwhile are not run again"
    for future in futures[1:]:
        future.result(60)
    assert other.read_text() == (slow.folder / "other.yaml").read_text() == "command: x"
    assert saved_queries.saved(lab) == saved_queries.saved(slow.lab) == {"best": "SELECT 1\n"}
    saved_queries.save(lab, "best", "SELECT 2")
    assert saved_queries.read(slow.lab, "best") == "SELECT 2\n"
    until(lambda: counts(lab, "slow")["running"] == 2)
    with asked(slow, way, lambda: client.request(Stop("slow", [[1, 1]]))) as (stopped,):
        if way == "back":
            until(lambda: counts(slow.lab, "slow")["stopped"] == 1)
    stopped.result(60)
    slow.folder.joinpath("go0").touch()
    until(lambda: counts(lab, "slow")["done"] == 1 and counts(lab, "slow")["stopped"] == 1, 30)
    until(lambda: counts(lab, "quick")["done"] == 2 and kinds(slow, "quick")[Finished] == 4)
    for name, submissions in (("slow", 1), ("quick", 2)):
        found = kinds(slow, name)
        assert (found[Submitted], found[Requeued]) == (submissions, 2 - submissions), "each is taken once"
        until(lambda name=name: [one for one, _ in read(lab.experiment(name).journal)] == events(slow, name))  # type: ignore[misc]


def counts(lab: Lab, name: str) -> dict[str, int]:
    return lab.experiment(name).state().counts_by_name()


@contextmanager
def asked(far: Far, way: str, *calls: Callable[[], object]) -> Iterator[list[Future[object]]]:
    """Ask for something, whose question (there) or answer (back) is lost at the end of the block."""
    (far.proxy.freeze if way == "there" else far.proxy.hold_answers)()
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(call) for call in calls]
        yield futures
        assert not any(one.done() for one in futures)
        far.proxy.cut()
        far.proxy.thaw()


def events(far: Far, name: str) -> list[Event]:
    return [event for event, _ in read(far.lab.path / name / "journal.jsonl")]


def kinds(far: Far, name: str) -> Counter[type]:
    return Counter(map(type, events(far, name)))


def test_while_it_is_away_a_line_says_so(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.1, 0.2, 0.4))
    monkeypatch.setattr(connection, "TRIED", 1.0)
    far.write("quick.yaml", QUICK)
    far("--run", "quick.yaml", "--node", "localhost", "2")
    remote: RemoteLab = far.connect()
    output = tmp_path / "output"
    run = remote.run(("http.server", "0"), output, 80)
    until(lambda: output.exists() and "Serving" in output.read_text())
    far.proxy.refusing = 1000
    far.proxy.cut()
    until(lambda: remote.trouble and run.poll() == 1)
    assert "to far broke, and it was ended there" in output.read_text()
    told: list[str] = []
    monkeypatch.setattr(LabApp, "tell", lambda _, text, *__: told.append(text))
    LabApp(remote.lab).tell_away()
    assert told == ["it waits for the connection to far"]
    monkeypatch.setattr(client, "RECONNECTED", 0.5)
    with pytest.raises(
        StorageError, match=r"^no connection to far: .*; what runs there goes on, and it is tried again$"
    ):
        EngineClient.connect(Lab.open(remote.lab))
    with pytest.raises(StorageError, match=r"far:.*: .*hangs up"):
        far.connect()
    monkeypatch.setattr(connection, "ALIVE", (0.3, 3))
    far.proxy.refusing = 0
    until(lambda: not remote.trouble, 30)
    far.proxy.freeze()  # and nobody is told
    until(lambda: remote.trouble == "the SSH connection is gone: no sign of life", connection.QUIET)
    far.proxy.thaw()
    until(lambda: not remote.trouble, 30)
