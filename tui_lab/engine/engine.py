"""The engine: one per lab, asyncio, detached. Gives tasks to nodes, writes what happens, ends when nothing is left."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tui_lab.engine.node import Message, Node
from tui_lab.engine.place import spool_folder
from tui_lab.engine.run import ExperimentRun, Key
from tui_lab.engine.transports.local import LocalTransport
from tui_lab.store import ranges
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

log = logging.getLogger(__name__)

LINGER: Final = 0.2  # seconds that an idle engine waits for one more command
FIRST_COMMAND: Final = 10.0  # seconds that a new engine waits for its first
FULL_RETRY: Final = 1.0  # seconds between tries to write to a full disk


class Engine:
    def __init__(self, lab: Lab, epoch: int) -> None:
        self.lab = lab
        self.epoch = epoch
        self.runs: dict[str, ExperimentRun] = {}
        self.nodes: dict[str, Node] = {}
        self.node_tasks: dict[str, asyncio.Task[None]] = {}
        self.active: set[str] = set()  # experiments with a run that has not ended
        self.arrivals = 0
        self.notice = ""  # what followers should be told, besides the journal
        self._wake = asyncio.Event()
        self._dirty = asyncio.Event()
        self._dispatch_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._stop = False

    # Life.

    async def serve(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run until nothing is left, then call `close`. What an earlier engine left open is taken up first."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.leave_everything)
        self.recover()
        syncing = asyncio.create_task(self._keep_durable())
        idle_since: float | None = time.monotonic() + FIRST_COMMAND
        while not self._stop:
            if self.active or any(run.flight or run.unwritten for run in self.runs.values()):
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= LINGER:
                break
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), LINGER if idle_since is not None else 5.0)
            except TimeoutError:
                pass
        await close()
        syncing.cancel()
        await self._sync()
        if not self._stop:
            for node in self.nodes.values():
                node.leave()
            await asyncio.wait(self.node_tasks.values(), timeout=5) if self.node_tasks else None
        for task in self.node_tasks.values():
            task.cancel()
        await asyncio.gather(*self.node_tasks.values(), return_exceptions=True)
        for run in self.runs.values():
            run.journal.close()

    def leave_everything(self) -> None:
        """End at once; what runs goes on under the agents, and the next engine takes it up."""
        self._stop = True
        self._wake.set()

    def recover(self) -> None:
        for name in self.lab.experiments():
            folder = self.lab.experiment(name)
            if any(folder.state().columns["assigned"]):
                run = self.load(name)
                for node in set(run.flight.values()):
                    self.connect(node, 0)

    def load(self, name: str) -> ExperimentRun:
        """The run of an experiment. Raises LabError, StorageError."""
        if name not in self.runs:
            self.runs[name] = ExperimentRun(self.lab.new_experiment(name))
        return self.runs[name]

    def connect(self, name: str, slots: int) -> Node:
        """The node of a name; connects to it where that is new. slots 0: as many as it has cores."""
        node = self.nodes.get(name)
        if node is None:
            transport = LocalTransport(spool_folder(self.lab, name))
            node = Node(
                name, slots, transport, lab=self.lab.identity, on_welcome=self.on_welcome, on_messages=self.on_messages
            )
            node.epoch = self.epoch
            self.nodes[name] = node
            self.node_tasks[name] = asyncio.create_task(node.keep_connected())
        elif slots and slots != node.slots:
            node.slots = slots
            node.send({"type": "slots", "slots": slots})
        return node

    # Commands of followers; each raises LabError for what can't be done.

    def submit(self, event: dict[str, Any], environment: dict[str, str]) -> int:
        """Take a submission; its index."""
        run = self.load(event["experiment"])
        self.arrivals += 1
        run.submit(event, environment, self.arrivals)
        for node in event["nodes"]:
            self.connect(node["name"], node["slots"])
        self.begin(run)
        return run.submission

    def requeue(
        self, name: str, tasks: ranges.Ranges, environment: dict[str, str], changes: dict[str, Any]
    ) -> int:
        """Ask for tasks again: `retry`. changes: what differs from the file this time, as `timeout` in seconds."""
        run = self.load(name)
        if not run.state.submissions:
            raise LabError(f'nothing of "{name}" was submitted yet')
        self.arrivals += 1
        run.requeue(tasks, environment, changes, self.arrivals)
        for node in run.state.submissions[-1]["nodes"]:
            self.connect(node["name"], node["slots"])
        self.begin(run)
        return run.submission

    def resume(self, name: str, environment: dict[str, str]) -> None:
        """Go on with what was asked for, after an engine's death or a pause."""
        run = self.load(name)
        self.arrivals += 1
        run.resume(environment, self.arrivals)
        for node in run.state.submissions[-1]["nodes"]:
            self.connect(node["name"], node["slots"])
        self.begin(run)

    def begin(self, run: ExperimentRun) -> None:
        self.active.add(run.name)
        self.plan_dispatch()

    def pause(self, name: str) -> None:
        """Start nothing more of an experiment until someone resumes it; what runs may finish."""
        run = self.load(name)
        run.record([run.pause_asked()])
        self.take_back(run)
        self.plan_dispatch()

    def drain(self, name: str) -> None:
        """Start nothing more of an experiment; what runs may finish."""
        run = self.load(name)
        run.record([{"event": "drained"}])
        self.take_back(run)
        self.plan_dispatch()

    def stop(self, name: str, tasks: set[int] | None, interrupt: bool) -> int:
        """Stop tasks, or all of an experiment; how many. interrupt: they go back to pending instead of stopped."""
        run = self.load(name)
        count = 0
        if interrupt:
            run.record([{"event": "drained"}])
            self.take_back(run)
        else:
            waiting = run.stop_waiting(tasks)
            if waiting is not None:
                run.record([waiting])
                count += ranges.count(waiting["tasks"])
        grace = run.recipe().experiment.grace
        for key, node_name in run.flight.items():
            if tasks is not None and key[0] not in tasks:
                continue
            count += 1
            if interrupt:
                run.interrupted.add(key)
            node = self.nodes.get(node_name)
            if node is not None:
                node.send({"type": "stop", "key": [name, *key], "reason": "stopped", "grace": grace})
        self.plan_dispatch()
        return count

    def take_back(self, run: ExperimentRun) -> None:
        """Ask nodes for the attempts that have not begun."""
        started = run.state.columns["state"]
        for node in self.nodes.values():
            keys = [[run.name, *key] for key, where in run.flight.items() if where == node.name and started[key[0]] != 1]
            if keys:
                node.send({"type": "return", "keys": keys})

    # What nodes say.

    def on_welcome(self, node: Node, message: Message) -> None:
        """Settle every attempt that is open on this node: known to the agent, to be sent again, or lost."""
        node.spool = message["spool"]
        known = {(name, task, attempt) for name, task, attempt in message["open"]}
        for name in {name for name, _, _ in known}:
            self.load(name)
        node.open = set()
        for run in self.runs.values():
            same_spool = run.state.spools.get(node.name) == node.spool
            for key in [key for key, where in run.flight.items() if where == node.name]:
                if (run.name, *key) in known:
                    node.open.add((run.name, *key))
                    self.send_context(run, node, run.state.columns["submission"][key[0]])
                elif not same_spool:
                    run.record([run.on_finished(key, {"state": "lost", "reason": "node-lost"})])
                elif run.environment is not None:
                    self.hand_over(run, node, [key])  # it never arrived
                else:
                    run.record([run.on_returned([key])])
        node.send({"type": "ready"})
        self.plan_dispatch()

    def on_messages(self, node: Node, messages: list[Message]) -> None:
        """Record what happened; acknowledgements follow once it is durable."""
        events: dict[str, list[dict[str, Any]]] = {}
        ended = 0
        for message in messages:
            kind = message["type"]
            if kind == "returned":
                for name, task, attempt in message["keys"]:
                    node.open.discard((name, task, attempt))
                    events.setdefault(name, []).append(self.runs[name].on_returned([(task, attempt)]))
                continue
            name, task, attempt = message["key"]
            run = self.load(name)
            key = (task, attempt)
            if kind == "started":
                events.setdefault(name, []).append(run.on_started(key, message["ago"]))
            elif kind == "finished":
                node.open.discard((name, task, attempt))
                ended += 1
                if key in run.flight:
                    events.setdefault(name, []).append(run.on_finished(key, message))
                run.unacknowledged.append((node.name, key))
        for name, happened in events.items():
            run = self.runs[name]
            run.record(happened)
            pause = run.pause_after_failures()
            if pause is not None:
                run.record([pause])
                self.take_back(run)
        if ended:
            node.measure(ended)
            self._dirty.set()
        self.plan_dispatch()

    # Giving out work.

    def plan_dispatch(self) -> None:
        """Give out work once everything that has arrived is dealt with."""
        if not self._dispatch_planned:
            self._dispatch_planned = True
            asyncio.get_running_loop().call_soon(self.dispatch)

    def dispatch(self) -> None:
        self._dispatch_planned = False
        for run in sorted(self.runs.values(), key=lambda run: (-run.priority, run.arrival)):
            if run.name not in self.active:
                continue
            if run.unwritten:
                self.on_full(run)
                continue
            for entry in run.state.submissions[-1]["nodes"]:
                node = self.nodes[entry["name"]]
                while node.window > 0 and (keys := run.take(node.window)):
                    if not run.assign(keys, node.name, node.spool):
                        self.on_full(run)
                        break
                    self.hand_over(run, node, keys)
            if run.over:
                self.finish(run)
        self.set_timer()
        self._wake.set()

    def hand_over(self, run: ExperimentRun, node: Node, keys: list[Key]) -> None:
        recipe = run.recipe()
        self.send_context(run, node, run.submission)
        messages = []
        for task, attempt in keys:
            node.open.add((run.name, task, attempt))
            row = recipe.plan.row(task)
            try:
                if row is None:
                    raise ValueError("the task is not in the plan any more")
                messages.append(recipe.start(row, attempt, node.name, run.state.changes.get(task, {})))
            except ValueError as error:
                node.open.discard((run.name, task, attempt))
                failure = {"state": "failed", "reason": "start", "message": str(error)}
                run.record([run.on_finished((task, attempt), failure)])
        node.send(*messages)

    def send_context(self, run: ExperimentRun, node: Node, submission: int) -> None:
        recipe = run.recipe(submission)
        if recipe.identity not in node.contexts and run.environment is not None:
            node.contexts.add(recipe.identity)
            node.send(recipe.context(run.environment))

    def on_full(self, run: ExperimentRun) -> None:
        """The disk takes nothing: start nothing more, and try again."""
        self.notice = f"{run.folder.path}: no room to write; waiting until there is"
        asyncio.get_running_loop().call_later(FULL_RETRY, self.write_again, run)

    def write_again(self, run: ExperimentRun) -> None:
        if run.unwritten and not run.write_again():
            self.on_full(run)
            return
        self.notice = ""
        self._dirty.set()
        self.plan_dispatch()

    def set_timer(self) -> None:
        """Wake up for the next retry."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [run.next_retry for run in self.runs.values() if run.next_retry is not None]
        if due:
            delay = max(0.0, min(due) - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self.plan_dispatch)

    def finish(self, run: ExperimentRun) -> None:
        if run.record([run.end()]):
            self.active.discard(run.name)
            log.info("%s ended: %s", run.name, run.counts())

    # Durability.

    async def _keep_durable(self) -> None:
        """Make what was appended durable, in groups, and only then acknowledge it."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._sync()

    async def _sync(self) -> None:
        for run in list(self.runs.values()):
            if not run.unacknowledged or run.unwritten:
                continue
            keys, run.unacknowledged = run.unacknowledged, []
            try:
                await asyncio.to_thread(run.journal.sync)
            except OSError as error:
                log.error("%s: %s", run.journal.path, error)
                run.unacknowledged = keys + run.unacknowledged
                continue
            for node in self.nodes.values():
                mine = [[run.name, *key] for name, key in keys if name == node.name]
                if mine:
                    node.send({"type": "ack", "keys": mine})
