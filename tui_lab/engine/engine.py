"""The engine: one per lab, asyncio, detached. Gives tasks to nodes, writes what happens, ends when nothing is
left."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from msgspec import structs

from tui_lab.engine.captures import Captures
from tui_lab.engine.dispatch import Dispatch
from tui_lab.engine.durable import Durability
from tui_lab.engine.files import NodeFiles
from tui_lab.engine.hearing import Hearing
from tui_lab.engine.node import Node
from tui_lab.engine.outputs import Outputs
from tui_lab.engine.reach import UNREACHABLE, Reach
from tui_lab.engine.run import ExperimentRun, Key, entries_of, now
from tui_lab.engine.samples import Samples
from tui_lab.engine.staging import CodeStaging
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import ranges
from tui_lab.store.errors import LabError
from tui_lab.store.events import Drained, Paused, Submitted
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab

log = logging.getLogger(__name__)
T = TypeVar("T")

LINGER: Final = 0.2  # seconds that an idle engine waits for one more command
LOOK: Final = 1.0  # seconds between looks at what nobody tells us
ASLEEP: Final = 5.0  # seconds of silence of our own, from which on they don't count against nodes
FIRST_COMMAND: Final = 10.0  # seconds that a new engine waits for its first, and open attempts for an environment

# Which further tasks of an experiment are to be run, now that those that were asked for have ended.
More = Callable[[ExperimentFolder], tuple[Sequence[int], str]]


class Engine:
    """Holds runs and nodes together. more: finds the repeats that an experiment needs still; called in a thread."""

    def __init__(self, lab: Lab, epoch: int, more: More | None = None) -> None:
        self.lab = lab
        self.epoch = epoch
        self.more = more
        self.runs: dict[str, ExperimentRun] = {}
        self.reach = Reach(self)
        self.nodes = self.reach.nodes
        self.active: set[str] = set()  # experiments with a run that has not ended
        self.refused: dict[str, str] = {}  # experiments that can't be read, and why
        self.files = NodeFiles()
        self.samples = Samples(lab)
        self.outputs = Outputs(self.files, self._on_arrived)
        self.staging = CodeStaging(self.files, self._on_place)
        self.disk = Durability(self.runs, self.nodes, self._on_place)
        self.facts = Captures(self)
        self.dispatch = Dispatch(self, self.staging)
        self.hearing = Hearing(self, self.outputs, self.samples)
        self._extending: set[asyncio.Task[None]] = set()
        self._arrivals = 0
        self._begun = self._looked = time.monotonic()
        self._wake = asyncio.Event()
        self._needed = 0
        self._stop = False

    def _on_arrived(self, arrivals: list[Any]) -> None:
        self.hearing.on_arrived(arrivals)

    def _on_place(self) -> None:
        for run in self.runs.values():
            for node in self.nodes.values():
                self.dispatch.logged(run, self.dispatch.send_contexts, run, node)
        self.dispatch.plan()

    # Life.

    async def serve(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run until nothing is left, then call `close`. What an earlier engine left open is taken up
        first."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_mistake)
        loop.add_signal_handler(signal.SIGTERM, self.shutdown)
        self._recover()
        syncing = asyncio.create_task(self.disk.keep())
        abandoning = loop.call_later(FIRST_COMMAND, self.abandon_unstarted)
        idle_since: float | None = time.monotonic() + FIRST_COMMAND - LINGER
        while not self._stop:
            if self._busy():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= LINGER:
                break
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), LINGER if idle_since is not None else LOOK)
            except TimeoutError:
                pass
            if time.monotonic() - self._looked >= LOOK:
                self.check_health()
        await close()
        abandoning.cancel()
        await self.facts.close()
        await self.outputs.close()
        await self.dispatch.output_staging.close()
        await self.staging.close()
        await self.disk.sync()
        await self.reach.close(at_once=self._stop)  # what is being stopped ends meanwhile, and is acknowledged
        syncing.cancel()
        for run in self.runs.values():
            self.disk.save(run)
            run.journal.close()

    def wake(self) -> None:
        self._wake.set()

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Stay while a command takes its time."""
        self._needed += 1
        try:
            yield
        finally:
            self._needed -= 1
            self._wake.set()

    @property
    def waited_long(self) -> bool:
        """Whoever resumes what an earlier engine left would have come by now."""
        return time.monotonic() - self._begun > FIRST_COMMAND

    def _busy(self) -> bool:
        """Something is going on, or will."""
        if self.active or self.outputs.busy or self.facts.busy or self._extending or self._needed:
            return True
        return any(
            run.unwritten
            or any(
                self.nodes[node].failing_for() < UNREACHABLE for node in set(run.flight.values()) if node in self.nodes
            )
            for run in self.runs.values()
        )

    def shutdown(self) -> None:
        """End at once; what runs goes on under the agents, and the next engine takes it up."""
        self._stop = True
        self._wake.set()

    def _on_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody caught: an engine in an unknown state must not go on, nor hang. The
        journal holds the truth; a follower starts the next engine."""
        log.error("%s", context.get("message"), exc_info=context.get("exception"))
        if context.get("exception") is not None and "handle" in context:
            self.shutdown()

    def _recover(self) -> None:
        for name in self.lab.experiments():
            try:
                if any(self.lab.experiment(name).state().columns["assigned"]):
                    run = self.load(name)
                    entries = entries_of(run)
                    for node in set(run.flight.values()):
                        self.reach.connect(entries.get(node, {"name": node}), {})
                    run.hold_tokens_in_flight()
            except (LabError, SpecError) as error:
                log.error("%s: %s", name, error)
                self.refused[name] = str(error)

    # Runs and nodes.

    def load(self, name: str, *, new: bool = False) -> ExperimentRun:
        """The run of an experiment. new: it need not be there yet. Raises LabError, StorageError."""
        run = self.runs.get(name)
        if run is not None and run.journal.removed:
            self._forget(run)
            run = None
        if run is None:
            folder = self.lab.new_experiment(name) if new else self.lab.experiment(name)
            run = self.runs[name] = ExperimentRun(folder)
            run.sharing = self._at_work
        return run

    def _at_work(self) -> list[ExperimentRun]:
        """The runs that have attempts, or will have: they share the tokens of their limits."""
        return [run for run in self.runs.values() if run.flight or run.name in self.active]

    def submitted(self, name: str) -> ExperimentRun:
        """The run of an experiment that has a submission. Raises LabError, StorageError."""
        run = self.load(name)
        run.require_submission()
        return run

    def run_of(self, wire_name: str) -> ExperimentRun | None:
        """The run that agents call by this name; None where its folder has gone."""
        run = self.runs.get(wire_name.partition("@")[0])
        return run if run is not None and run.wire_name == wire_name else None

    def nodes_of(self, run: ExperimentRun) -> list[Node]:
        """The nodes that the newest submission runs on."""
        return [self.nodes[entry["name"]] for entry in run.nodes if entry["name"] in self.nodes]

    def _forget(self, run: ExperimentRun) -> None:
        """Someone has removed an experiment's folder: end what still runs of it."""
        log.warning("%s: its journal was removed; its tasks are stopped", run.name)
        for key, name in run.flight.items():
            if name in self.nodes:
                self.nodes[name].send({"type": "stop", "key": [run.wire_name, *key], "reason": "stopped", "grace": 1.0})
        self.runs.pop(run.name, None)
        self.active.discard(run.name)
        self.disk.full.pop(run.name, None)
        ended = [(arrival.node.name, arrival.key) for arrival in self.outputs.forget(lambda one: one.run is not run)]
        for name, key in ended + run.unacknowledged:  # nobody wants to know any more how these have ended
            if name in self.nodes:
                self.nodes[name].send({"type": "ack", "keys": [[run.wire_name, *key]]})
        run.journal.close()
        self._wake.set()

    # Commands of followers; each raises LabError for what can't be done.

    def submit(self, event: Submitted, seen: int, environment: dict[str, str], umask: int | None) -> int:
        """Take a submission; its index. One that was taken before is not taken twice. seen: how far whoever planned it
        had read the journal."""
        run = self.load(event.experiment, new=True)
        for index, before in enumerate(run.state.submissions):
            if before.id == event.id:
                if run.environment is None and run.state.ended is None:
                    self._begin(run, environment, umask)
                    run.queue_up()
                return index
        self.reach.check(event.nodes)
        if run.name in self.active:
            event = structs.replace(event, joins=True)
        run.submit(event, seen)
        self._begin(run, environment, umask)
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
        self.reach.check(run.nodes)
        run.requeue(tasks, changes)
        self._begin(run, environment, umask)
        return run.submission

    def resume(self, name: str, environment: dict[str, str], umask: int | None) -> None:
        """Go on with what was asked for, after an engine's death or a pause."""
        run = self.submitted(name)
        self.reach.check(run.nodes)
        run.resume()
        self._begin(run, environment, umask)

    def _begin(self, run: ExperimentRun, environment: dict[str, str], umask: int | None) -> None:
        """Make a run active, with the environment that its tasks inherit."""
        self._arrivals += 1
        run.environment, run.umask, run.arrival = environment, umask, self._arrivals
        run.spare({node.name for node in self.nodes.values() if node.ready})
        for entry in run.nodes:
            node = self.reach.connect(entry, environment)
            node.drained = entry["name"] in run.drained_nodes
            self.dispatch.count_needs(run, node)
            self.dispatch.send_contexts(run, node)
            self.facts.write_down(node)
        self.active.add(run.name)
        self.dispatch.plan()

    def pause(self, name: str) -> None:
        """Start nothing more of an experiment until someone resumes it; what runs goes on."""
        run = self.submitted(name)
        if run.state.paused is None:
            run.record([Paused(now(), "asked", run.finished_since[1])])
        self.dispatch.take_back(run)
        self.dispatch.plan()

    def drain(self, name: str) -> None:
        """Start nothing more of an experiment; what runs may finish, then its run is over."""
        run = self.submitted(name)
        if not run.state.drained:
            run.record([Drained(now())])
        self.dispatch.take_back(run)
        if run.state.ended is None:
            self.active.add(name)
        self.dispatch.plan()

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
                count += ranges.count(waiting.tasks)
        keys = run.stop_open(tasks, "interrupted" if interrupt else "stopped")
        for key in keys:
            node = self.nodes.get(run.flight[key])
            if node is not None:
                self.send_stop(run, node, key)
        self.dispatch.plan()
        return count + len(keys)

    def send_stop(self, run: ExperimentRun, node: Node, key: Key) -> None:
        grace = run.recipe().experiment.grace
        node.send({"type": "stop", "key": [run.wire_name, *key], "reason": run.stopping[key], "grace": grace})

    def abandon_unstarted(self) -> None:
        """No client has supplied the environment of what an earlier engine left: what has not started
        never will."""
        for run in self.runs.values():
            if run.environment is None and run.flight:
                submissions = {run.state.columns["submission"][task] for task, _ in run.flight}
                contexts = [f"{run.wire_name}/{number}" for number in submissions]
                for node in self.nodes.values():
                    node.send({"type": "forsake", "contexts": contexts})

    # What nobody tells us.

    def check_health(self) -> None:
        """Folders that were removed, nodes that can't be reached, runs that no node is left for."""
        passed = time.monotonic() - self._looked
        self._looked += passed
        if passed > ASLEEP:
            self.reach.asleep_for(passed - LOOK)
        self.reach.listen()
        for run in list(self.runs.values()):
            if run.journal.removed:
                self._forget(run)
            elif run.unwritten:
                self.disk.on_full(run)
        self._lose_nodes()
        for name in list(self.active):
            run = self.runs[name]
            why = self.reach.stuck(run)
            if why:
                self.give_up(run, "no_node", why)

    def _lose_nodes(self) -> None:
        """What is open on a node that stayed away too long runs elsewhere."""
        for node in self.reach.too_long_away():
            self.samples.note(node)
            self.outputs.forget(lambda arrival, gone=node: arrival.node is not gone)  # type: ignore[misc]
            for run in self.runs.values():
                events = run.lose(node.name)
                if events and not run.record(events):
                    self.disk.on_full(run)
            self.dispatch.plan()

    # The end of a run.

    def finish(self, run: ExperimentRun) -> None:
        """What was asked for has ended. Where an experiment wants further repeats, they are asked for next."""
        if self.more is not None and not run.held and not isinstance(run.recipe().experiment.repeat, int):
            if not run.extending:
                run.extending = True
                task = asyncio.create_task(self._extend(run, self.more))
                self._extending.add(task)
                task.add_done_callback(self._extending.discard)
            return
        self._end(run)

    async def _extend(self, run: ExperimentRun, more: More) -> None:
        try:
            tasks, note = await _apart(more, run.folder)
        except (LabError, SpecError) as error:
            self.give_up(run, "error", str(error))
            return
        finally:
            run.extending = False
        if self.runs.get(run.name) is not run or run.name not in self.active or not run.over:
            return
        if len(tasks) and not run.held:
            run.extend(tasks, note)
            self.dispatch.plan()
        else:
            self._end(run)

    def _end(self, run: ExperimentRun) -> None:
        self.active.discard(run.name)
        if not run.record([run.end()]):
            self.disk.on_full(run)
        log.info("%s ended: %s", run.name, run.counts())
        self._wake.set()

    def give_up(self, run: ExperimentRun, reason: str, message: str) -> None:
        """End a run that can't go on. What of it is open somewhere stays open, for the next engine to
        settle."""
        log.error("%s: %s", run.name, message)
        if run.name in self.active:
            run.record([Paused(now(), reason, 0, message)])
            self.dispatch.take_back(run)
            self._end(run)
        self._wake.set()


async def _apart(call: Callable[..., T], *arguments: Any) -> T:
    """What a call returns or raises, made in a thread that nobody waits for: it may take long, and the engine can end
    meanwhile."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():  # whoever asked has gone
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failure = None, None
        try:
            value = call(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, daemon=True).start()
    return await answer
