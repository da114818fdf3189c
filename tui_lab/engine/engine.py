"""The engine: one per lab, asyncio, detached. Gives tasks to nodes, writes what happens, ends when nothing is
left."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tui_lab.engine.node import Message, Node
from tui_lab.engine.place import spool_folder
from tui_lab.engine.run import ExperimentRun, Key, now
from tui_lab.engine.transports.local import LocalTransport
from tui_lab.spec.problem import SpecError
from tui_lab.store import checkpoint, ranges
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.lab import Lab

log = logging.getLogger(__name__)

LINGER: Final = 0.2  # seconds that an idle engine waits for one more command
FIRST_COMMAND: Final = 10.0  # seconds that a new engine waits for its first, and open attempts for an environment
FULL_RETRY: Final = 1.0  # seconds between tries to write to a full disk
UNREACHABLE: Final = 5.0  # seconds of failed tries after which a local node is given up
SYNC_EVERY: Final = 0.05  # seconds of events that one fdatasync makes durable
CHECKPOINT: Final = 64 << 20  # bytes of journal between two checkpoints


class Engine:
    def __init__(self, lab: Lab, epoch: int) -> None:
        self.lab = lab
        self.epoch = epoch
        self.runs: dict[str, ExperimentRun] = {}
        self.nodes: dict[str, Node] = {}
        self.node_tasks: dict[str, asyncio.Task[None]] = {}
        self.active: set[str] = set()  # experiments with a run that has not ended
        self.full: dict[str, str] = {}  # experiments that the disk has no room for, and what it said
        self.refused: dict[str, str] = {}  # experiments that can't be read, and why
        self.arrivals = 0
        self.begun = time.monotonic()
        self._checkpoints: dict[str, int] = {}  # size of the journal at the newest checkpoint
        self._wake = asyncio.Event()
        self._dirty = asyncio.Event()
        self._dispatch_planned = False
        self._full_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._stop = False

    # Life.

    async def serve(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run until nothing is left, then call `close`. What an earlier engine left open is taken up
        first."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.on_mistake)
        loop.add_signal_handler(signal.SIGTERM, self.leave_everything)
        self.recover()
        syncing = asyncio.create_task(self._keep_durable())
        forsaking = loop.call_later(FIRST_COMMAND, self.forsake)
        idle_since: float | None = time.monotonic() + FIRST_COMMAND - LINGER
        while not self._stop:
            if self.busy():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= LINGER:
                break
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), LINGER if idle_since is not None else 1.0)
            except TimeoutError:
                self.look_around()
        await close()
        forsaking.cancel()
        syncing.cancel()
        await self._sync()
        await self._leave_nodes()
        for run in self.runs.values():
            self.save(run)
            run.journal.close()

    def busy(self) -> bool:
        """Something is going on, or will."""
        if self.active:
            return True
        return any(
            run.unwritten
            or any(
                self.nodes[node].failing_for() < UNREACHABLE for node in set(run.flight.values()) if node in self.nodes
            )
            for run in self.runs.values()
        )

    async def _leave_nodes(self) -> None:
        """Let agents that have nothing left end; an agent that still works goes on alone."""
        if not self._stop:
            working = {node for run in self.runs.values() for node in run.flight.values()}
            leaving = [node for node in self.nodes.values() if node.ready and node.name not in working]
            for node in leaving:
                node.leave()
            if leaving:
                await asyncio.wait([self.node_tasks[node.name] for node in leaving], timeout=5)
        for task in self.node_tasks.values():
            task.cancel()
        await asyncio.gather(*self.node_tasks.values(), return_exceptions=True)

    def leave_everything(self) -> None:
        """End at once; what runs goes on under the agents, and the next engine takes it up."""
        self._stop = True
        self._wake.set()

    def on_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody caught: an engine in an unknown state must not go on, nor hang. The
        journal holds the truth; a follower starts the next engine."""
        log.error("%s", context.get("message"), exc_info=context.get("exception"))
        if context.get("exception") is not None and "handle" in context:
            self.leave_everything()

    def recover(self) -> None:
        for name in self.lab.experiments():
            try:
                if any(self.lab.experiment(name).state().columns["assigned"]):
                    run = self.load(name)
                    slots = {node["name"]: node["slots"] for node in run.nodes}
                    for node in set(run.flight.values()):
                        self.connect(node, slots.get(node, 0))
            except (LabError, SpecError) as error:
                log.error("%s: %s", name, error)
                self.refused[name] = str(error)

    def load(self, name: str, *, new: bool = False) -> ExperimentRun:
        """The run of an experiment. new: it need not be there yet. Raises LabError, StorageError."""
        run = self.runs.get(name)
        if run is not None and run.journal.removed:
            self.forget(run)
            run = None
        if run is None:
            folder = self.lab.new_experiment(name) if new else self.lab.experiment(name)
            run = self.runs[name] = ExperimentRun(folder)
        return run

    def submitted(self, name: str) -> ExperimentRun:
        """The run of an experiment that has a submission. Raises LabError, StorageError."""
        run = self.load(name)
        run.require_submission()
        return run

    def run_of(self, wire_name: str) -> ExperimentRun | None:
        """The run that agents call by this name; None where its folder has gone."""
        run = self.runs.get(wire_name.partition("@")[0])
        return run if run is not None and run.wire_name == wire_name else None

    def forget(self, run: ExperimentRun) -> None:
        """Someone has removed an experiment's folder: end what still runs of it."""
        log.warning("%s: its journal was removed; its tasks are stopped", run.name)
        for key, name in run.flight.items():
            if name in self.nodes:
                self.nodes[name].send({"type": "stop", "key": [run.wire_name, *key], "reason": "stopped", "grace": 1.0})
        self.runs.pop(run.name, None)
        self.active.discard(run.name)
        self.full.pop(run.name, None)
        run.journal.close()
        self._wake.set()

    def connect(self, name: str, slots: int) -> Node:
        """The node of a name; connects to it where that is new. slots 0: as many as it has cores."""
        node = self.nodes.get(name)
        if node is None:
            node = Node(
                name,
                slots,
                LocalTransport(spool_folder(self.lab, name)),
                lab=self.lab.identity,
                on_welcome=self.on_welcome,
                on_messages=self.on_messages,
                on_trouble=self.on_trouble,
            )
            node.epoch = self.epoch
            self.nodes[name] = node
            self.node_tasks[name] = asyncio.create_task(node.keep_connected())
        elif slots and slots != node.slots:
            node.slots = slots
            node.send({"type": "slots", "slots": slots})
        return node

    # Commands of followers; each raises LabError for what can't be done.

    def submit(self, event: dict[str, Any], environment: dict[str, str], umask: int | None) -> int:
        """Take a submission; its index. One that was taken before is not taken twice."""
        run = self.load(event["experiment"], new=True)
        for index, before in enumerate(run.state.submissions):
            if before.get("id") == event["id"]:
                if run.environment is None and run.state.ended is None:
                    self.begin(run, environment, umask)
                    run.queue_up()
                return index
        if run.name in self.active:
            event["joins"] = True
        if not run.submit(event):
            raise StorageError(
                f"{run.journal.path}: {run.journal.trouble}", "make room, then give the same command again"
            )
        self.begin(run, environment, umask)
        return run.submission

    def requeue(
        self,
        name: str,
        tasks: ranges.Ranges,
        environment: dict[str, str],
        umask: int | None,
        changes: dict[str, Any],
    ) -> int:
        """Ask for tasks again: `retry`. changes: what differs from the file this time, as `timeout` in
        seconds."""
        run = self.submitted(name)
        run.requeue(tasks, changes)
        self.begin(run, environment, umask)
        return run.submission

    def resume(self, name: str, environment: dict[str, str], umask: int | None) -> None:
        """Go on with what was asked for, after an engine's death or a pause."""
        run = self.submitted(name)
        run.resume()
        self.begin(run, environment, umask)

    def begin(self, run: ExperimentRun, environment: dict[str, str], umask: int | None) -> None:
        """Make a run active, with the environment that its tasks inherit."""
        self.arrivals += 1
        run.environment, run.umask, run.arrival = environment, umask, self.arrivals
        for entry in run.nodes:
            node = self.connect(entry["name"], entry["slots"])
            for key in [key for key, where in run.flight.items() if where == node.name]:
                self.send_context(run, node, run.state.columns["submission"][key[0]])
        self.active.add(run.name)
        self.plan_dispatch()

    def pause(self, name: str) -> None:
        """Start nothing more of an experiment until someone resumes it; what runs goes on."""
        run = self.submitted(name)
        if run.state.paused is None:
            run.record([{"event": "paused", "at": now(), "reason": "asked", "failed": run.finished_since[1]}])
        self.take_back(run)
        self.plan_dispatch()

    def drain(self, name: str) -> None:
        """Start nothing more of an experiment; what runs may finish, then its run is over."""
        run = self.submitted(name)
        if not run.state.drained:
            run.record([{"event": "drained", "at": now()}])
        self.take_back(run)
        if run.state.ended is None:
            self.active.add(name)
        self.plan_dispatch()

    def stop(self, name: str, tasks: set[int] | None, interrupt: bool) -> int:
        """Stop tasks, or all of an experiment; how many. interrupt: they go back to pending instead of
        stopped."""
        run = self.submitted(name)
        count = 0
        if interrupt:
            self.drain(name)
        else:
            waiting = run.stop_waiting(tasks)
            if waiting is not None:
                run.record([waiting])
                count += ranges.count(waiting["tasks"])
        for key, node_name in run.flight.items():
            if tasks is not None and key[0] not in tasks:
                continue
            count += 1
            run.stopping[key] = "interrupted" if interrupt else "stopped"
            node = self.nodes.get(node_name)
            if node is not None:
                self.send_stop(run, node, key)
        self.plan_dispatch()
        return count

    def send_stop(self, run: ExperimentRun, node: Node, key: Key) -> None:
        grace = run.recipe().experiment.grace
        node.send({"type": "stop", "key": [run.wire_name, *key], "reason": run.stopping[key], "grace": grace})

    def take_back(self, run: ExperimentRun) -> None:
        """Ask nodes for the attempts that have not begun."""
        started = run.state.columns["state"]
        for node in self.nodes.values():
            keys = [[run.wire_name, *key] for key, at in run.flight.items() if at == node.name and started[key[0]] != 1]
            if keys:
                node.send({"type": "return", "keys": keys})

    # What nodes say.

    def on_welcome(self, node: Node, message: Message) -> None:
        """Settle every attempt that is open on this node: known to the agent, never arrived there, or
        lost."""
        node.spool = message["spool"]
        node.open = set()
        known = {(name, task, attempt) for name, task, attempt in message["open"]}
        for name, task, attempt in known:
            run = self.run_of(name)
            if run is None or (task, attempt) not in run.flight:
                # Nobody asks for it: its experiment has gone, or it was given up and ran elsewhere. The first
                # result wins.
                node.send({"type": "stop", "key": [name, task, attempt], "reason": "stopped", "grace": 1.0})
        for run in list(self.runs.values()):
            self.guarded(run, self._settle, run, node, known)
        self.plan_dispatch()

    def _settle(self, run: ExperimentRun, node: Node, known: set[tuple[str, int, int]]) -> None:
        events = []
        same_spool = run.state.spools.get(node.name) == node.spool
        for key in [key for key, where in run.flight.items() if where == node.name]:
            if (run.wire_name, *key) in known:
                node.open.add((run.wire_name, *key))
                self.send_context(run, node, run.state.columns["submission"][key[0]])
                if key in run.stopping:
                    self.send_stop(run, node, key)
            elif same_spool:
                events.append(run.on_returned([key]))  # it never arrived
            else:
                events.append(run.on_finished(key, {"state": "lost", "reason": "node-lost"}))
        if events:
            run.record(events)
        if run.environment is None and time.monotonic() - self.begun > FIRST_COMMAND:
            self.forsake()

    def forsake(self) -> None:
        """Nobody has come with the environment of what an earlier engine left: what has not begun never
        will."""
        for run in self.runs.values():
            if run.environment is None and run.flight:
                submissions = {run.state.columns["submission"][task] for task, _ in run.flight}
                contexts = [f"{run.wire_name}/{number}" for number in submissions]
                for node in self.nodes.values():
                    node.send({"type": "forsake", "contexts": contexts})

    def on_messages(self, node: Node, messages: list[Message]) -> None:
        """Record what happened; acknowledgements follow once it is durable."""
        events: dict[str, list[dict[str, Any]]] = {}
        ended = 0
        strange = []
        for message in messages:
            kind = message["type"]
            if kind == "notice":
                node.notice = message["text"]
            elif kind == "returned":
                for name, task, attempt in message["keys"]:
                    node.open.discard((name, task, attempt))
                    run = self.run_of(name)
                    if run is not None and (task, attempt) in run.flight:
                        events.setdefault(run.name, []).append(run.on_returned([(task, attempt)]))
            elif kind in ("started", "finished"):
                name, task, attempt = message["key"]
                key = (task, attempt)
                run = self.run_of(name)
                if kind == "finished":
                    node.open.discard((name, task, attempt))
                    ended += 1
                if run is None:
                    if kind == "finished":
                        strange.append(message["key"])  # of an experiment that is gone
                elif kind == "started":
                    if key in run.flight:
                        events.setdefault(run.name, []).append(run.on_started(key, message["ago"]))
                else:
                    if key in run.flight:
                        events.setdefault(run.name, []).append(run.on_finished(key, message))
                    run.unacknowledged.append((node.name, key))
        if strange:
            node.send({"type": "ack", "keys": strange})
        for name, happened in events.items():
            run = self.runs[name]
            if not run.record(happened):
                self.on_full(run)
            self.guarded(run, self.pause_where_needed, run)
        if ended:
            node.measure(ended)
            self._dirty.set()
        self.plan_dispatch()

    def on_trouble(self, node: Node) -> None:
        self._wake.set()
        self.look_around()

    def look_around(self) -> None:
        """What nobody tells us: folders that were removed, nodes that can't be reached."""
        for run in list(self.runs.values()):
            if run.journal.removed:
                self.forget(run)
        for name in list(self.active):
            run = self.runs[name]
            nodes = [self.nodes[entry["name"]] for entry in run.nodes]
            if nodes and all(node.tries >= 3 and node.failing_for() > UNREACHABLE for node in nodes):
                self.give_up(run, "no_node", "; ".join(f"node {node.name}: {node.error}" for node in nodes))

    # Giving out work.

    def plan_dispatch(self) -> None:
        """Give out work once everything that has arrived is dealt with."""
        if not self._dispatch_planned:
            self._dispatch_planned = True
            asyncio.get_running_loop().call_soon(self.dispatch)

    def dispatch(self) -> None:
        self._dispatch_planned = False
        for run in sorted(self.runs.values(), key=lambda run: (-run.priority, run.arrival)):
            if run.name in self.active:
                self.guarded(run, self.give_out, run)
        self.set_timer()
        self._wake.set()

    def guarded(self, run: ExperimentRun, call: Callable[..., None], *arguments: Any) -> None:
        """Call for one run; what goes wrong with it is that run's end, and touches no other."""
        try:
            call(*arguments)
        except (LabError, SpecError) as error:
            self.give_up(run, "error", str(error))
        except Exception as error:
            log.exception("%s", run.name)
            self.give_up(run, "error", f"a mistake of this program: {error!r}; see {self.lab.path}/engine.log")

    def give_out(self, run: ExperimentRun) -> None:
        if run.unwritten:
            self.on_full(run)
            return
        for entry in run.nodes:
            node = self.nodes[entry["name"]]
            while node.hungry and (keys := run.take(node.window)):
                if not run.assign(keys, node.name, node.spool):
                    self.on_full(run)
                    return
                self.hand_over(run, node, keys)
        if run.over:
            self.finish(run)

    def hand_over(self, run: ExperimentRun, node: Node, keys: list[Key]) -> None:
        recipe = run.recipe()
        self.send_context(run, node, run.submission)
        messages, failures = [], []
        for key in keys:
            row = recipe.plan.row(key[0])
            try:
                if row is None:
                    raise ValueError("the task is not in the plan any more")
                messages.append(
                    recipe.start(row, key[1], node.name, run.state.changes.get(key[0])) | {"experiment": run.wire_name}
                )
                node.open.add((run.wire_name, *key))
            except ValueError as error:
                failures.append(run.on_finished(key, {"state": "failed", "reason": "start", "message": str(error)}))
        if messages:
            node.send(*messages)
        if failures:
            run.record(failures)
            self.pause_where_needed(run)

    def send_context(self, run: ExperimentRun, node: Node, submission: int) -> None:
        if run.environment is None or not node.ready:
            return
        recipe = run.recipe(submission)
        if recipe.identity not in node.contexts:
            node.contexts.add(recipe.identity)
            node.send(recipe.context(run.environment) | {"umask": run.umask})

    def pause_where_needed(self, run: ExperimentRun) -> None:
        """Start nothing more where too much has failed."""
        pause = run.pause_after_failures()
        if pause is not None:
            run.record([pause])
            self.take_back(run)

    def on_full(self, run: ExperimentRun) -> None:
        """The disk takes nothing: start nothing more, and try again."""
        if run.name not in self.full:
            log.warning("%s: %s", run.journal.path, run.journal.trouble)
        self.full[run.name] = run.journal.trouble
        if not self._full_planned:
            self._full_planned = True
            asyncio.get_running_loop().call_later(FULL_RETRY, self.write_again)

    def write_again(self) -> None:
        self._full_planned = False
        for name in list(self.full):
            run = self.runs[name]
            if run.unwritten and not run.write_again():
                self.on_full(run)
                continue
            del self.full[name]  # where it is full still, the next `assigned` says so
            self._dirty.set()
        self.plan_dispatch()

    @property
    def notice(self) -> str:
        """What followers should be told, besides the journal."""
        full = [f"{self.lab.path / name}: {why}; waiting until there is room" for name, why in self.full.items()]
        held = [f"node {node.name}: {node.notice}" for node in self.nodes.values() if node.notice]
        return "; ".join(full + held)

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
        self.active.discard(run.name)
        if not run.record([run.end()]):
            self.on_full(run)
        log.info("%s ended: %s", run.name, run.counts())

    def give_up(self, run: ExperimentRun, reason: str, message: str) -> None:
        """End a run that can't go on. What of it is open somewhere stays open, for the next engine to
        settle."""
        log.error("%s: %s", run.name, message)
        if run.name in self.active:
            run.record([{"event": "paused", "at": now(), "reason": reason, "message": message, "failed": 0}])
            self.take_back(run)
            self.finish(run)
        self._wake.set()

    # Durability.

    async def _keep_durable(self) -> None:
        """Make what was appended durable, in groups, and only then acknowledge it."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(SYNC_EVERY)
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
                asyncio.get_running_loop().call_later(FULL_RETRY, self._dirty.set)
                continue
            for node in self.nodes.values():
                mine = [[run.wire_name, *key] for name, key in keys if name == node.name]
                if mine:
                    node.send({"type": "ack", "keys": mine})
            if run.journal.end - self._checkpoints.setdefault(run.name, run.journal.end) > CHECKPOINT:
                self.save(run)

    def save(self, run: ExperimentRun) -> None:
        """Write a checkpoint of a run's state."""
        self._checkpoints[run.name] = run.journal.end
        if not run.unwritten and not run.journal.removed:
            checkpoint.write(run.state, run.folder.path)
