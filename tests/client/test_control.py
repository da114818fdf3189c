"""Operations on what runs: what they say first, what they do, and what undoes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.workbench import Workbench, until
from tui_lab.client import control
from tui_lab.client.control import Operation
from tui_lab.engine.client import EngineClient
from tui_lab.protocol.control import Answer, ListNodes, NodeStatus
from tui_lab.store.errors import LabError
from tui_lab.store.events import Assigned, Finished, JournalBegun, Started, Submitted
from tui_lab.store.fold import State

ENVIRONMENT: dict[str, str] = {"PATH": "/usr/bin:/bin"}
GATED = """
name: gated
command: 'while [ ! -e open-{x} ]; do sleep 0.02; done; echo {x} >>$TRUTH'
parameters: {x: [0, 1, 2, 3]}
"""


def state_of(tasks: int) -> State:
    """Two tasks run, since 40 and 20 s; one is done, the others wait."""
    state = State()
    texts = dict.fromkeys(("cwd", "user", "host", "id"), "")
    lists: dict[str, Any] = {name: [] for name in ("nodes", "adopted", "argv")}
    about: dict[str, Any] = {name: {} for name in ("reasons", "scripts")} | lists | texts
    planned = [[0, tasks - 1]]
    state.apply(JournalBegun(1))
    state.apply(Submitted(at=0, experiment="e", plan=1, planned=planned, queued=planned, keep_going=False, **about))
    state.apply(Assigned(0, "n", [(0, 1), (1, 1), (2, 1)]))
    for task, at in ((0, 1), (1, 60), (2, 80)):
        state.apply(Started(at, task, 1))
    state.apply(Finished(50, 0, 1, "done"))
    return state


def test_what_is_open_is_counted_and_said() -> None:
    work = control.open_work(state_of(700), now=100)
    assert (work.running, work.pending, work.seconds, len(work.ids)) == (2, 697, 60, 699)
    assert str(work) == "2 running and 697 pending tasks"
    assert str(control.open_work(state_of(700), [0, 2, 5_000])) == "1 running task"
    assert str(control.open_work(state_of(3), [0])) == ""


def test_nodes_say_what_happens_to_what_runs_there() -> None:
    node = NodeStatus(name="n1", state="up", slots=4, used=3)
    fewer = control.set_slots(node, 2).preview()
    assert fewer.words == "n1 runs 2 tasks at once; those that run now may finish"
    assert fewer.undo is not None and fewer.undo.make().command == control.set_slots(node, 4).command
    alone = control.drain_node(node, [node, NodeStatus(name="n2", state="drained")]).preview()
    assert alone.words == "n1 gets no more tasks; its 3 running tasks may finish"
    assert alone.warnings == ("no other node takes tasks: nothing more starts",)
    assert not control.drain_node(node, [node, NodeStatus(name="n2", state="up")]).preview().warnings
    assert control.resume_node(NodeStatus(name="n1", state="quarantined")).preview().undo is None


@pytest.mark.slow
def test_each_is_undone(workbench: Workbench) -> None:
    workbench.write("gated.yaml", GATED)
    workbench.run("gated.yaml", "--detach", "--node", "localhost", "2")
    folder = workbench.experiment("gated")
    until(lambda: control.open_work(folder.state()).running == 2)
    engine = EngineClient.connect(workbench.lab)
    assert engine is not None

    def carry_out(operation: Operation) -> Callable[[], Answer]:
        """Do it; return what undoes it."""
        undo = operation.preview().undo
        engine.request(operation.command)
        assert undo is not None

        def undone() -> Answer:
            answer: Answer = engine.request(undo.make().command)
            return answer

        return undone

    def node() -> NodeStatus:
        return engine.request(ListNodes()).nodes[0]

    environment = {**ENVIRONMENT, "TRUTH": str(workbench.truth)}
    pause = control.pause(folder, environment)
    assert pause.preview().words == "nothing more of gated starts: 2 running tasks may finish, 2 wait"
    undo = carry_out(pause)
    assert folder.state().paused is not None
    undo()
    assert folder.state().paused is None

    for change, then in ((control.set_slots(node(), 3), (3, "up")), (control.drain_node(node()), (2, "drained"))):
        undo = carry_out(change)
        assert (node().slots, node().state) == then
        undo()
        assert (node().slots, node().state) == (2, "up")

    # A task that ends by itself meanwhile is not run again.
    (workbench.folder / "open-3").touch()
    stop = control.stop(folder, environment)
    preview = stop.preview()
    assert preview.words.endswith("pending tasks are stopped") and "lost" in preview.warnings[0]
    assert preview.undo is not None and "running ones begin anew" in preview.undo.words
    carry_out(control.stop(folder, environment, [0, 1]))
    until(lambda: list(folder.state().columns["assigned"]) == [0, 0, 1, 0])
    answer = engine.request(stop.command)
    assert stop.outcome(answer) == "stopping 1 task"
    again = preview.undo.make()  # once they have ended
    for task in range(4):
        (workbench.folder / f"open-{task}").touch()
    engine.request(again.command)
    until(lambda: folder.state().ended)
    assert sorted(workbench.lines()) == ["0", "1", "2", "3"]
    with pytest.raises(LabError, match="none of these tasks was stopped"):
        preview.undo.make()
    assert control.resume(folder, environment).preview().words == "gated goes on: 0 tasks left"
    assert control.stop(folder, environment).preview() == control.Preview("nothing is running or pending")
