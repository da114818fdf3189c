"""A lab on another machine, from here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from textual.content import Content

from tests.client.remote.conftest import Far
from tests.tui.panes.tasks.test_foreground import panel_of, tried
from tests.tui.panes.tasks.test_pane import Screen, screen
from tests.workbench import until
from tui_lab.cli.commands import Screen as ScreenOf
from tui_lab.cli.main import main
from tui_lab.client.remote.connection import RemoteLab
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import AskStatus, Stop
from tui_lab.results.charts.model import Chart
from tui_lab.results.live import LiveReader
from tui_lab.results.tables import refresh
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import Finished
from tui_lab.store.journal import read
from tui_lab.store.lab import Lab
from tui_lab.tui.app.frame.lab_line import LabLine
from tui_lab.tui.comparing.screen import Comparing
from tui_lab.tui.panes.experiment.launch import LaunchDialog
from tui_lab.tui.panes.experiment.pane import ExperimentPane
from tui_lab.tui.panes.experiment.trial import Asked, Outputs, asked_at, try_out
from tui_lab.tui.panes.results.pane import SettingsTable
from tui_lab.tui.tasks.pictures import TaskPictures
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.picture.picture import Picture
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.process import ProcessPanel

RUN = """\
name: grid
command: 'echo "loss: 0.{x}"; seq 3 >{output}/n; head -c 6000000 /dev/zero >{output}/big.png; only-there {x}'
parameters: {x: [1, 2, 3]}
metrics: {loss: {pattern: 'loss: (@float@)', take: all}}
"""
WAITS = """\
name: slow
command: |
  echo '{"step": 3, "loss": 0.5}' >>$TUI_LAB_METRICS
  echo "acc: 0.7"
  while ! test -e FOLDER/go; do sleep 0.05; done
  echo "acc: 0.8"
metrics: {acc: 'acc: (@float@)'}
repeat: 4
"""


def counts(lab: Lab, name: str) -> dict[str, int]:
    return lab.experiment(name).state().counts_by_name()


def same_journal(far: Far, remote: RemoteLab, name: str) -> bool:
    return (far.lab.path / name / "journal.jsonl").read_bytes() == (remote.lab / name / "journal.jsonl").read_bytes()


def title(s: Screen) -> str:
    line = s.app.screen_stack[0].query_one(LabLine).render()
    assert isinstance(line, Content)
    return line.plain


async def test_its_results_are_read_its_file_is_edited_and_runs_there(far: Far) -> None:
    far.write("e.yaml", RUN)
    far.program("only-there", "test $1 != 3")
    far("--run", "e.yaml", "--node", "localhost", "2", code=1)
    remote = far.connect()
    lab = Lab.open(remote.lab)
    assert not Path(far.place).exists(), "its folder is hidden from here"
    assert lab.experiments() == ["grid"]
    assert counts(lab, "grid")["done"] == 2
    found = refresh(lab.experiment("grid"))
    assert found.tasks["loss"].to_list() == [0.1, 0.2, 0.3]
    assert found.steps["loss"].to_list() == [0.1, 0.2, 0.3]
    assert not (remote.lab / "grid/tasks").exists(), "no output came along"
    assert remote.read("grid", 1, 1, "stdout", 2, 1 << 20) == (b"ss: 0.2\n", 10)
    async with screen(remote.lab, (120, 40)) as s:
        await s.until(lambda: s.pane.table.frame["loss"].to_list() == [0.1, 0.2, 0.3])
        await s.until(lambda: "loss: 0.1" in s.log())
        await s.press("j")
        await s.until(lambda: "loss: 0.2" in s.log())
        assert "far:" in title(s)
        await s.press("i")
        picture = s.app.query_one(TaskPictures).query(Picture).first()
        await s.until(lambda: picture.note == "big.png is on far: p loads 5.7 MiB")
        far.proxy.freeze()
        await s.press("p")
        await s.until(lambda: picture.note == "loading big.png from far: 0 B of 5.7 MiB")
        await s.press("escape")
        await s.until(lambda: picture.note == "big.png is on far: p loads 5.7 MiB")
        far.proxy.thaw()
        assert not (remote.lab / "grid/tasks/0/1/big.png").exists()
        await s.press("p")
        await s.until((remote.lab / "grid/tasks/0/1/big.png").exists)
        assert (remote.lab / "grid/tasks/0/1/big.png").read_bytes() == bytes(6_000_000)
        await s.until(lambda: "is on far" not in picture.note)
        await s.press("i")
        await s.press("4")
        await s.until(lambda: s.app.query_one(SettingsTable).frame.height >= 2)
        await s.press("space", "j", "space", "c")
        compared = await s.until(lambda: isinstance(s.app.screen, Comparing) and s.app.screen)
        logs = [compared.query_one(f"#compare-{letter}", LogPanel) for letter in "AB"]
        await s.until(lambda: all("loss: 0." in log.view.text for log in logs))
        assert {log.view.text.strip() for log in logs} < {"loss: 0.1", "loss: 0.2", "loss: 0.3"}
        assert isinstance(await s.until(lambda: compared.query_one(Plot).chart), Chart)
        await s.press("escape", "3")
        await s.until(lambda: s.pane.table.has_focus)
        panel = await tried(s)  # the second task, there
        await s.until(lambda: not panel.running)
        assert "loss: 0.2" in panel.text and "✓ done" in panel.text
        await s.press("escape")
        await s.until(lambda: not s.app.query(ProcessPanel))
        s.app.stream("tui-lab status", ("tui_lab", "status"))
        await s.until(lambda: s.app.query(ProcessPanel) and "grid" in panel_of(s).text)
        await s.until(lambda: not panel_of(s).running)
        await s.press("escape")
        await s.until(lambda: not s.app.query(ProcessPanel))
        await s.press("1")
        pane = await s.until(lambda: s.app.query_one(ExperimentPane))
        await s.until(lambda: pane.side.text == RUN)
        trial = try_out(lab, cast(Asked, asked_at(pane.side.file.path, RUN, 3)), Outputs())
        assert trial.found and trial.outputs == 2 and trial.task is not None, "its output is fetched"
        assert (remote.lab / f"grid/tasks/0/{trial.task[0]}/n").read_text() == "1\n2\n3\n", "and its files"
        pane.side.replace_text(RUN.replace("all}}", "all}, twice: 'loss: (@float@)'}"))
        await s.press("ctrl+s")  # a metric more: what has been printed is read there
        await s.press("3")
        await s.until(lambda: "twice" in s.pane.table.frame.columns)
        await s.press("1")
        pane.side.replace_text(RUN.replace("3]", "3, 4]"))
        await s.press("ctrl+s")
        await s.until(lambda: "3, 4]" in (far.folder / "e.yaml").read_text())
        far.write("e.yaml", RUN.replace("3]", "3, 5]"))  # by another program, there
        await s.until(lambda: "3, 5]" in pane.side.text)
        await s.press("ctrl+r")
        dialog = await s.until(lambda: isinstance(s.app.screen, LaunchDialog) and s.app.screen)
        assert "Run 2 tasks of grid" in said(dialog, "#question")
        assert "environment of a login there" in said(dialog, "#about Static")
        await s.press("enter")
        await s.until(lambda: counts(lab, "grid")["done"] == 3)
        await s.until(lambda: s.pane.table.frame["loss"].to_list() == [0.1, 0.2, 0.3, 0.5])
        detail = s.pane.log_panel.detail
        shown = detail.commands[0] if detail else ""
        assert far.place in shown and "cache" not in shown
        far.fleet.kill_sessions("far")
        far.write("e.yaml", RUN.replace("3]", "3, 5, 6]"))
        await asyncio.to_thread(far, "--run", "e.yaml", "--node", "localhost", "2", code=1)
        await s.until(lambda: s.pane.table.frame["loss"].to_list() == [0.1, 0.2, 0.3, 0.5, 0.6])
    remote.close()
    assert same_journal(far, far.connect(), "grid")
    with pytest.raises(LabError, match="no lab here"):
        far.connect("nowhere")


def said(dialog: Any, selector: str) -> str:
    return str(dialog.query_one(selector).render())


def test_its_engine_takes_commands_and_connections_break(far: Far) -> None:
    far.write("e.yaml", WAITS.replace("FOLDER", far.place))
    far("--run", "e.yaml", "--node", "localhost", "2", "--detach")
    remote = far.connect()
    lab = Lab.open(remote.lab)
    client = EngineClient.connect(lab)
    assert client is not None
    until(lambda: counts(lab, "slow")["running"] == 2)
    assert client.request(AskStatus()).active == ["slow"]
    assert client.request(Stop("slow", [[3, 4]])).stopped == 1
    live = LiveReader(remote.lab / "slow", lab.experiment("slow").spec())
    found = until(lambda: (found := live.read([(0, 1), (1, 1)])) and len(found[1].last) == 2 and found)
    assert [(found[task].last, found[task].step) for task in (0, 1)] == [({"loss": 0.5, "acc": 0.7}, 3)] * 2
    far.fleet.kill_sessions("far")
    with pytest.raises(StorageError):
        while True:
            client.request(AskStatus())
    (far.folder / "go").touch()
    until(lambda: counts(lab, "slow")["done"] == 3, 30)
    until(lambda: live.read([(0, 1)])[0].last["acc"] == 0.8, 30)
    assert live.ends([(0, 1), (2, 1)]) == [3, 3]
    until(lambda: same_journal(far, remote, "slow"))
    ends = [event for event, _ in read(remote.lab / "slow" / "journal.jsonl") if isinstance(event, Finished)]
    assert sorted(event.task for event in ends) == [0, 1, 2, 3], "nothing came twice"
    until(lambda: not remote.trouble)
    started = EngineClient.start(lab)
    assert started.request(AskStatus()).active == []
    started.close()
    remote.close()
    opened: list[Path] = []

    def show(path: Path, *_: object) -> int:
        opened.append(path)
        return len(Lab.open(path).experiments())

    assert main([f"far:{far.place}/lab"], ScreenOf(show, lambda *_: 3)) == 1
    assert opened == [remote.lab]
