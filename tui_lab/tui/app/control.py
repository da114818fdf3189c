"""Keys of every pane that change what runs: pause, stop, priority, slots, drained nodes; and the key that undoes it.

Each says first what it will do. Only what loses work asks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from tui_lab.store.errors import LabError
from tui_lab.tui.base.pane import Host
from tui_lab.tui.base.workers import promised
from tui_lab.tui.widgets.dialogs import Ask, Choose, Decide

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from tui_lab.client.control import Operation, Preview, Undo
    from tui_lab.protocol.control import NodeStatus
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab
    from tui_lab.tui.base.snapshot import ExperimentSnapshot

PATIENCE: Final = 10.0  # seconds that the engine may take
REMEMBERED: Final = 20  # operations that can be undone, of each lab
NAMED: Final = 5  # experiments that the question names
THIS, ALL = "this", "all"
NOTHING_RUNS: Final = "nothing is running"
NO_ENGINE: Final = "no engine is running: that is for while something runs"


Key = Literal["pausing", "stopping", "priority", "draining", "slots", "undo"]


@dataclass(frozen=True)
class _Planned:
    """An operation that has read what it will do."""

    operation: Operation
    preview: Preview

    @property
    def words(self) -> str:
        """What it will do, and what of that users may not expect."""
        return "; ".join([self.preview.words, *self.preview.warnings])


@dataclass(frozen=True)
class _Done:
    """What can be undone, all of it at once. title: what it was, as `stop grid`."""

    title: str
    undos: tuple[Undo, ...]


class LabControl:
    """What the keys do, one after the other. Its coroutines run in workers of the app."""

    def __init__(self, app: Host) -> None:
        self._app = app
        self._turn = asyncio.Lock()
        self._done: dict[str, deque[_Done]] = {}  # by the lab's path

    async def act(self, what: Key, by: int, offered: str | None) -> None:
        """Do what a key stands for. by: more slots of a node. offered: the experiment of which a message says that it
        goes on by the key."""
        match what:
            case "pausing" if offered is not None:
                await self.pause(offered, goes_on=True)
            case "pausing":
                await self.pause()
            case "stopping":
                await self.stop()
            case "priority":
                await self.priority()
            case "draining":
                await self.drain()
            case "slots":
                await self.add_slots(by)
            case "undo":
                await self.undo()

    # --- Experiments

    async def pause(self, name: str | None = None, goes_on: bool | None = None) -> None:
        """Pause an experiment, by default the current one, or continue it where it is paused or interrupted. goes_on:
        which of both, if it is said."""
        name = name or self._experiment()
        if name is not None:
            await self.carry_out(partial(self._pause_or_resume, name, goes_on))

    async def stop(self, name: str | None = None) -> None:
        """Ask whether to stop an experiment, by default the current one, or all; and do so."""
        going = [one.name for one in self._app.snapshot.experiments if _is_going(one)]
        if not going:
            self._app.tell(NOTHING_RUNS, "warning")
            return
        name = name or self._experiment()
        try:
            plans = await self._app.before_question(asyncio.to_thread(self._plan_stop, going))
        except (LabError, OSError) as error:
            self._app.tell(str(error), "error")
            return
        if not plans:
            self._app.tell(NOTHING_RUNS, "warning")
            return
        chosen = [plan for plan in plans if plan.operation.subject == name]
        answers = [(THIS, "y", f"Stop {name}")] if chosen else []
        everything = "Stop all" if len(plans) > 1 else f"Stop {plans[0].operation.subject}"
        answers += [(ALL, "a", everything)] if len(plans) > 1 or not chosen else []
        title = f"Stop {name}?" if chosen else "Stop what runs?"
        also = {"a": THIS} if len(plans) == 1 and chosen else {}

        async def body() -> str:
            return self._of_stop(await asyncio.to_thread(self._plan_stop, going), name)

        answer = await self._app.ask(Decide(title, self._of_stop(plans, name), answers, also, body))
        if answer in (THIS, ALL):
            try:  # what runs is another now than when it was asked
                plans = await asyncio.to_thread(self._plan_stop, [name] if answer == THIS and name else going)
            except (LabError, OSError) as error:
                self._app.tell(str(error), "error")
                return
            if plans:
                await self._do(plans, start=True)
            else:
                self._app.tell(NOTHING_RUNS, "warning")

    def _of_stop(self, plans: Sequence[_Planned], name: str | None) -> str:
        """Return what stopping an experiment, or what runs, would do."""
        chosen = [plan for plan in plans if plan.operation.subject == name]
        body = "" if name is None else f"{name} is not running."
        if chosen:
            body = _lines(chosen, self._app.key("app.undo"))
        if others := [plan.operation.subject for plan in plans if plan not in chosen]:
            more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
            body += f"\n\na stops {', '.join(others[:NAMED])}{more}{', too' if chosen else ''}."
        return body.strip()

    async def priority(self) -> None:
        """Ask for another priority of the current experiment."""
        name = self._experiment()
        one = self._app.snapshot.experiment(name)
        if name is None or one is None:
            return
        if not one.active:
            self._app.tell(f"{name} is not running; `priority` in its file is for the next submission", "warning")
            return
        try:
            before = await self._app.before_question(asyncio.to_thread(self._priority_of, name))
        except (LabError, OSError) as error:
            self._app.tell(str(error), "error")
            return
        body = "Experiments with a higher one go first; equal ones first in, first out. Running tasks continue.\n"
        body += "It holds until the next submission."
        answer = await self._app.ask(Ask(f"Priority of {name}", body, value=str(before), check=_wrong_priority))
        if answer and int(answer) != before:
            await self.carry_out(partial(self._with_priority, name, int(answer)))

    def _experiment(self) -> str | None:
        """Return the experiment that the keys act on."""
        pane, app = self._app.pane, self._app
        name = (pane.experiment_here if pane is not None else None) or app.current
        if name is None:
            app.tell("there is no experiment yet", "warning")
        return name

    # --- Nodes

    async def drain(self) -> None:
        """Drain a node, or give it tasks again."""
        node = await self._node()
        if node is not None:
            await self.carry_out(partial(self._drain_or_resume, node))

    async def add_slots(self, by: int) -> None:
        """Change the slots of a node."""
        node = await self._node()
        if node is not None:
            await self.carry_out(partial(self._with_slots, node, by))

    async def _node(self) -> str | None:
        """Return the node that the keys act on: the one under the cursor, the only one, or one that is chosen."""
        app = self._app
        nodes = app.snapshot.engine.nodes if app.snapshot.engine is not None else ()
        if not nodes:
            app.tell(NO_ENGINE, "warning")
            return None
        here = app.pane.node_here if app.pane is not None else None
        if here is not None or len(nodes) == 1:
            return here or nodes[0].name
        return await app.ask(Choose("Which node?", [(one.name, f"{one.name}  {one.state}") for one in nodes]))

    # --- Another engine in place of one that died

    def start_engine(self) -> tuple[str, SeverityLevel]:
        """Start an engine where none is alive: what was going goes on, with the environment of this screen. Return the
        message for the user. Blocks."""
        from tui_lab.protocol.control import Resume

        app, snapshot = self._app, self._app.snapshot
        left = [one.name for one in snapshot.experiments if one.queued and not (one.ended or one.paused or one.drained)]
        if snapshot.lab is None or not left:
            return "nothing was running: the next run starts an engine", "information"
        try:
            engine = app.engine()
            try:
                for name in left:
                    engine.request(Resume(name, app.command_environment()))
            finally:
                engine.close()
        except LabError as error:
            return str(error), "error"
        return f"an engine is running again: {', '.join(left)}", "information"

    # --- Doing and undoing

    async def carry_out(self, make: Callable[[], Operation]) -> None:
        """Make an operation in a thread, say what it does, do it."""
        app = self._app
        async with self._turn:
            app.tell_away()
            try:
                plan = await asyncio.to_thread(self._plan, make)
            except (LabError, OSError) as error:
                app.tell(str(error), "error")
                return
            app.tell(self._offered(plan.words, plan.preview.undo))
            await self._send([plan], start=False, say=False)

    async def undo(self) -> None:
        """Undo the last operation."""
        app = self._app
        async with self._turn:
            done = self._done_here()
            if not done:
                app.tell("nothing to undo", "warning")
                return
            last = done.pop()
            app.tell(f"undo {last.title}: {last.undos[0].words}")
            try:
                plans = await asyncio.to_thread(lambda: [_planned(undo.make) for undo in last.undos])
            except (LabError, OSError) as error:
                app.tell(str(error), "error")
                return
            await self._send(plans, start=True, say=True, undoable=False)

    def brings_back(self, name: str) -> bool:
        """Return whether the last operation stopped an experiment: undo runs its tasks again."""
        done = self._done_here()
        return bool(done) and done[-1].title in (f"stop {name}", "stop all")

    async def _do(self, plans: Sequence[_Planned], *, start: bool) -> None:
        async with self._turn:
            await self._send(plans, start=start, say=True)

    async def _send(self, plans: Sequence[_Planned], *, start: bool, say: bool, undoable: bool = True) -> None:
        """Send commands to the engine, and say what came of them."""
        app = self._app
        app.tell_away()
        sent = asyncio.to_thread(self._request, [plan.operation for plan in plans], start)
        try:
            said = await asyncio.shield(sent)  # what was asked for is done
        except (LabError, OSError) as error:
            app.tell(str(error), "error")
            return
        undos = tuple(plan.preview.undo for plan in plans if plan.preview.undo is not None)
        if undos and undoable:
            title = plans[0].operation.title if len(plans) == 1 else f"{plans[0].operation.verb} all"
            self._done_here().append(_Done(title, undos))
        if say:
            app.tell(self._offered("\n".join(said), undos[0] if undos and undoable else None))
        app.refresh_snapshot()

    def _offered(self, words: str, undo: Undo | None) -> str:
        return f"{words}\n{self._app.key('app.undo')}: {undo.words}" if undo is not None else words

    def _done_here(self) -> deque[_Done]:
        return self._done.setdefault(str(self._app.lab_path), deque(maxlen=REMEMBERED))

    # --- In a thread; each raises LabError

    def _plan(self, make: Callable[[], Operation]) -> _Planned:
        from tui_lab.engine.client import EngineClient

        plan = _planned(make)
        engine = EngineClient.connect(self._lab(), wait=True)
        if engine is None:  # better said before than after what it would do
            raise LabError(NO_ENGINE)
        engine.close()
        return plan

    def _request(self, operations: Sequence[Operation], start: bool) -> list[str]:
        """Return a line for each operation, and what of it is left to be done."""
        from tui_lab.client.control import notes
        from tui_lab.engine.client import EngineClient

        said = []
        with promised():
            engine = self._app.engine() if start else EngineClient.connect(self._lab(), wait=True)
            if engine is None:
                raise LabError(NO_ENGINE)
            try:
                for operation in operations:
                    answer = engine.request(operation.command, patience=PATIENCE)
                    said += [f"{operation.subject}: {operation.outcome(answer)}", *notes(answer)]
            finally:
                engine.close()
        return said

    def _pause_or_resume(self, name: str, goes_on: bool | None) -> Operation:
        from tui_lab.client import control
        from tui_lab.client.failures import open_tasks
        from tui_lab.client.retry import check_code
        from tui_lab.engine.client import EngineClient
        from tui_lab.protocol.control import AskStatus

        folder = self._folder(name)
        state = folder.state()
        engine = EngineClient.connect(self._lab(), wait=True)
        active = engine.request(AskStatus(), patience=PATIENCE).active if engine is not None else []
        environment = self._app.command_environment()
        runs = name in active and state.paused is None and not state.drained
        if runs if goes_on is None else not goes_on:
            if name not in active:
                raise LabError(f"{name} is not running")
            return control.pause(folder, environment)
        if not (state.queued_tasks() or open_tasks(state)):
            raise LabError(f"{name}: nothing is running or waits")
        check_code(folder)
        if engine is None:
            self._app.engine().close()  # it ended, or died
        return control.resume(folder, environment)

    def _plan_stop(self, names: Sequence[str]) -> list[_Planned]:
        from tui_lab.client.control import stop

        environment = self._app.command_environment()
        plans = [_planned(partial(stop, self._folder(name), environment)) for name in names]
        return [plan for plan in plans if plan.preview.undo is not None]  # others have ended

    def _priority_of(self, name: str) -> int:
        from tui_lab.client.control import priority_of

        return priority_of(self._folder(name))

    def _with_priority(self, name: str, priority: int) -> Operation:
        from tui_lab.client.control import set_priority

        return set_priority(self._folder(name), priority)

    def _drain_or_resume(self, name: str) -> Operation:
        from tui_lab.client.control import drain_node, resume_node

        node, nodes = self._found_node(name)
        return resume_node(node) if node.state in ("drained", "quarantined") else drain_node(node, nodes)

    def _with_slots(self, name: str, by: int) -> Operation:
        from tui_lab.client.control import set_slots

        node, _ = self._found_node(name)
        if node.slots is None or node.slots + by < 1:
            raise LabError(f"{name} has {node.slots or 'no'} slots", "a drained node gets no tasks")
        return set_slots(node, node.slots + by)

    def _found_node(self, name: str) -> tuple[NodeStatus, Sequence[NodeStatus]]:
        """Return a node as it is now, and all."""
        from tui_lab.engine.client import EngineClient
        from tui_lab.protocol.control import ListNodes

        engine = EngineClient.connect(self._lab(), wait=True)
        if engine is None:
            raise LabError(NO_ENGINE)
        try:
            nodes = engine.request(ListNodes(), patience=PATIENCE).nodes
        finally:
            engine.close()
        for node in nodes:
            if node.name == name:
                return node, nodes
        raise LabError(f'the engine has no node "{name}"')

    def _folder(self, name: str) -> ExperimentFolder:
        return self._lab().experiment(name)

    def _lab(self) -> Lab:
        if self._app.lab is None:
            raise LabError("there is no lab yet")
        return self._app.lab


def _planned(make: Callable[[], Operation]) -> _Planned:
    operation = make()
    return _Planned(operation, operation.preview())


def _is_going(one: ExperimentSnapshot) -> bool:
    """Return whether there is something to stop: also without an engine, for tasks outlive it."""
    return one.active or bool(one.counts.get("running"))


def _lines(plans: Sequence[_Planned], undo: str) -> str:
    lines = []
    for plan in plans:
        lines += [f"{text}." for text in (plan.preview.words, *plan.preview.warnings)]
        if plan.preview.undo is not None:
            lines.append(f"{undo} {plan.preview.undo.words}.")
    return "\n".join(line[:1].upper() + line[1:] for line in lines)


def _wrong_priority(text: str) -> str:
    from tui_lab.experiment.yaml.reader import MOST

    try:
        found = int(text)
    except ValueError:
        return "a whole number, as in 10 or -1"
    return "" if abs(found) <= MOST else f"at most {MOST:,}"
