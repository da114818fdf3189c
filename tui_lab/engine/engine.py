"""The engine: one per lab, asyncio, detached. It feeds events to the scheduler, carries out the
effects, and ends when nothing is left."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.effects import (
    Acknowledge,
    Assign,
    Commit,
    Discard,
    DropCopy,
    DropOutputs,
    Effect,
    Extend,
    Fetch,
    Send,
    SendContext,
    Stage,
    Stopped,
    WakeAt,
)
from tui_lab.engine.core.events import (
    AgentMessages,
    AssignRefused,
    DiskFree,
    DiskFull,
    Event,
    InputsGone,
    LatencyMeasured,
    NodeDisconnected,
    NodeWelcomed,
    OutputsBlocked,
    OutputsFetched,
    Recorded,
    RunFailed,
    RunLoaded,
    RunRemoved,
    Staged,
    StartSent,
    StartsRefused,
    Tick,
    UnstartedAbandoned,
    Woken,
)
from tui_lab.engine.core.model import AttemptKey, Moment, RunSettings
from tui_lab.engine.core.scheduler import ASLEEP, SUPPLIED_IN, TICK, Scheduler
from tui_lab.engine.discarding import Discarding
from tui_lab.engine.durability import Durability
from tui_lab.engine.extending import Extending, More
from tui_lab.engine.node_facts import KnownFacts, NodeFacts, record
from tui_lab.engine.output_staging import OutputStaging
from tui_lab.engine.outputs import IncomingOutputs, OutputFetcher, write_piece
from tui_lab.engine.pools.pools import Pools
from tui_lab.engine.registry import NodeRegistry
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.samples import Samples
from tui_lab.engine.staging import CodeStaging
from tui_lab.engine.starting import Starting
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.protocol.agent import (
    Ack,
    Finished,
    FromAgent,
    Notice,
    Output,
    Pong,
    Sample,
    Start,
    Started,
    ToAgent,
    Welcome,
    WireKey,
)
from tui_lab.store import ranges
from tui_lab.store.errors import LabError
from tui_lab.store.events import KnownEvent
from tui_lab.store.lab import Lab

log = logging.getLogger(__name__)

LINGER: Final = 0.2  # seconds that an idle engine waits for another command


def moment() -> Moment:
    """Return the present time."""
    return Moment(time.monotonic(), time.time())


class Engine:
    """The shell around the scheduler. more: finds the repeats that an experiment still needs; called in a thread."""

    def __init__(self, lab: Lab, epoch: int, more: More | None = None) -> None:
        self.lab = lab
        self.scheduler = Scheduler(moment())
        self.runs: dict[str, RunFiles] = {}
        self.refused: dict[str, str] = {}  # experiments that can't be read, and why
        self.files = FileChannelPool()
        self.registry = NodeRegistry(lab, epoch, self.scheduler, self.feed, self.files, self)
        self.nodes = self.registry.nodes
        self.samples = Samples(lab)
        self.outputs = OutputFetcher(self.files, self._on_fetched, lambda blocked: self.feed(OutputsBlocked(blocked)))
        self.staging = CodeStaging(self.files, self._stage)
        self.discarding = Discarding()
        self.durability = Durability(
            self.runs,
            self._send,
            written=lambda name: self.feed(DiskFree(name)),
            discard=lambda run, needless: self._guard(run, self.discarding.discard, needless),
        )
        self.facts = NodeFacts(self.files, self._on_facts)
        self.output_staging = OutputStaging(
            self.files, self.scheduler, self.durability.sync, self._start, self._refuse, self._make_again
        )
        self.starting = Starting(self.nodes, self.staging, self.output_staging, self.feed)
        self.extending = Extending(self.runs, more, self.feed)
        self._inbox: deque[Event] = deque()
        self._feeding = False
        self._timer: asyncio.Handle | None = None
        self.pools = Pools(lab, self.scheduler, self.registry, self.feed, self.durability.sync)
        self.stopped = 0  # the scheduler's answer to `StopRequested`
        self._ticked = time.monotonic()
        self._wake = asyncio.Event()
        self._needed = 0
        self._ending = False
        self._stop = False

    # --- The scheduler

    def feed(self, event: Event) -> None:
        """Pass an event to the scheduler, and carry out the effects."""
        self._inbox.append(event)
        if self._feeding:
            return  # it is its turn after what is being carried out
        self._feeding = True
        try:
            while self._inbox:
                for effect in self.scheduler.handle(self._inbox.popleft(), moment()):
                    self._carry_out(effect)
        finally:
            self._feeding = False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Commit(experiment=name, events=events):
                self._commit(self.runs[name], events)
            case Assign(experiment=name):
                self._assign(self.runs[name], effect)
            case Send(node=name, message=message):
                self._send(name, message)
            case Acknowledge(experiment=name, node=node, key=key, kept=kept):
                self.durability.acknowledge(self.runs[name], effect)
                if kept:
                    self.output_staging.keep(self.runs[name], self.nodes[node], key)
            case Stage(experiment=name, node=node, submission=submission):
                self._stage(self.runs[name], self.nodes[node], submission)
            case SendContext(experiment=name, node=node, submission=submission):
                self._guard(self.runs[name], self.starting.send_context, self.nodes[node], submission)
            case Fetch(experiment=name, node=node, message=message):
                self.outputs.fetch(IncomingOutputs(self.runs[name], self.nodes[node], message))
            case DropOutputs(node=name):
                if name in self.nodes:
                    self.samples.note(self.nodes[name])
                self.outputs.forget(lambda incoming: incoming.node.name == name)
            case DropCopy(experiment=name, node=node, run=one):
                if node in self.nodes:
                    self.output_staging.drop(self.runs[name], self.nodes[node], one)
            case Discard(experiment=name, runs=runs):
                self.durability.discard_later(self.runs[name], ranges.each(runs))
                self._drop_whole(self.runs[name], ranges.each(runs))
            case Extend(experiment=name):
                self.extending.begin(self.runs[name])
            case Stopped(count=count):
                self.stopped = count
            case WakeAt(moment=at):
                self._wake_at(at)

    def _drop_whole(self, run: RunFiles, runs: Iterable[int]) -> None:
        """Remove the files of runs of stages from the nodes that made them."""
        for one in runs:
            made = run.state.columns["node"][one]
            node = self.nodes.get(run.state.nodes[made]) if made >= 0 else None
            if node is not None and not node.shared:
                self.output_staging.drop(run, node, one, whole=True)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop, delay = asyncio.get_running_loop(), at - time.monotonic()
        self._timer = loop.call_later(delay, self._woken) if delay > 0 else loop.call_soon(self._woken)

    def _woken(self) -> None:
        self._timer = None
        if not self._ending:
            self.feed(Woken())
        self.wake()

    def _guard(self, run: RunFiles, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function for one run. An error ends that run, and no other."""
        try:
            call(run, *arguments)
        except (LabError, SpecError) as error:
            self.feed(RunFailed(run.name, str(error)))
        except Exception as error:
            log.exception("%s", run.name)
            self.feed(RunFailed(run.name, f"the engine failed: {error!r}; see {self.lab.path}/engine.log"))

    def _commit(self, run: RunFiles, events: Sequence[KnownEvent]) -> None:
        if not run.append(events):
            self._on_full(run)

    def _on_full(self, run: RunFiles) -> None:
        self.durability.on_full(run)
        self.feed(DiskFull(run.name))

    def _assign(self, run: RunFiles, effect: Assign) -> None:
        """Write ahead that attempts are assigned to a node, then start them."""
        if not run.append_now(effect.events):
            self._on_full(run)
            self.feed(AssignRefused(run.name, effect.node, effect.keys))
            return
        self._guard(run, self.starting.hand_over, effect)

    def _start(self, run: RunFiles, node: NodeConnection, message: Start) -> None:
        """Start an attempt whose files had to be sent first, unless it was stopped meanwhile."""
        node.send(message)
        self.feed(StartSent(run.name, node.name, (message.task, message.attempt)))

    def _refuse(self, run: RunFiles, node: NodeConnection, key: AttemptKey, why: str) -> None:
        """End an attempt that can't start."""
        self.feed(StartsRefused(run.name, node.name, [(key, why)]))

    def _make_again(self, run: RunFiles, node: NodeConnection, key: AttemptKey, runs: Sequence[int]) -> None:
        """Have the outputs made again that an attempt needs, and that are gone."""
        self.feed(InputsGone(run.name, node.name, key, runs))

    def _stage(self, run: RunFiles, node: NodeConnection, submission: int) -> None:
        """Report that tasks of a submission can start on a node, or prepare that."""
        self._guard(run, self._stage_now, node, submission)

    def _stage_now(self, run: RunFiles, node: NodeConnection, submission: int) -> None:
        if node.ready and self.staging.paths(run, node, submission) is not None:
            self.feed(Staged(run.name, node.name, submission))

    def _send(self, name: str, message: ToAgent) -> None:
        if name in self.nodes:
            self.nodes[name].send(message)

    def _on_fetched(self, arrivals: list[IncomingOutputs]) -> None:
        self.feed(OutputsFetched([one.fetched() for one in arrivals]))

    # --- What connections tell

    def on_welcome(self, node: NodeConnection, message: Welcome) -> None:
        """The agent of a node has answered."""
        self.staging.forget(node)
        self.output_staging.forget(node)
        memory = node.entry.get("memory") or message.memory or message.facts.get("memory", 0)
        self.feed(NodeWelcomed(node.name, message, memory, node.entry.get("resources") or {}))
        self.facts.learn(node)

    def on_disconnected(self, node: NodeConnection, why: str, *, fatal: bool, silent: bool) -> None:
        """The connection to a node has ended, or could not be made."""
        if self.nodes.get(node.name) is not node:
            return
        failed = node.tries + 1 if why else node.tries
        self.feed(NodeDisconnected(node.name, why, fatal=fatal, silent=silent, tries=failed))
        if why:
            self.samples.note(node)
        self.wake()

    def on_dropped(self, node: NodeConnection) -> None:
        """A node was removed."""
        self.facts.forget(node)
        self.staging.forget(node)
        self.output_staging.forget(node)

    def on_messages(self, node: NodeConnection, messages: list[FromAgent]) -> None:
        """Take messages that arrived together: notices are kept here, all others go to the scheduler."""
        if self.nodes.get(node.name) is not node:
            return
        changed: dict[WireKey, str] = {}
        for message in messages:
            match message:
                case Started(key=key):
                    if node.shared and (note := self._program_change(key)):
                        changed[key] = note
                case Finished():
                    node.tries = 0  # the channel is of use
                case Output():
                    self._write_output(message)
                case Sample():
                    self.samples.take(node, message)
                    node.ping()
                case Pong():
                    latency = node.on_pong(message)
                    if latency is not None:
                        self.feed(LatencyMeasured(node.name, latency))
                    self.samples.note(node)
                case Notice(text=text):
                    node.notice = text
                case _:
                    pass
        self.feed(AgentMessages(node.name, messages, changed))

    def _open_run(self, key: WireKey) -> RunFiles | None:
        """Return the run of an open attempt."""
        run = self.scheduler.run_of(key[0])
        return self.runs[run.name] if run is not None and key[1:] in run.in_flight else None

    def _program_change(self, key: WireKey) -> str:
        run = self._open_run(key)
        try:
            return run.program_change(key[1]) if run is not None else ""
        except (LabError, SpecError) as error:
            log.warning("%s: %s", key[0], error)
            return ""

    def _write_output(self, message: Output) -> None:
        run = self._open_run(message.key)
        if run is not None:
            try:
                write_piece(run.folder, message)
            except (OSError, ValueError) as error:
                log.warning("%s: %s", run.name, error)

    def _on_facts(self, node: NodeConnection, facts: KnownFacts) -> None:
        """Record the facts of a node in the experiments that run on it, or have just ended there."""
        for run in self.runs.values():
            home = node.entry.get("pool") or node.name
            if run.environment is not None and any(entry["name"] == home for entry in run.nodes):
                event = record(run, home, facts)
                if event is not None:
                    self.feed(Recorded(run.name, [event]))
        self.wake()

    # --- Life

    async def serve(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run until nothing is left, then call `close`. What an earlier engine left open is taken up
        first."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_mistake)
        loop.add_signal_handler(signal.SIGTERM, self.shutdown)
        self._recover()
        syncing = asyncio.create_task(self.durability.keep())
        abandoning = loop.call_later(SUPPLIED_IN, self.abandon_unstarted)
        idle_since: float | None = time.monotonic() + SUPPLIED_IN - LINGER
        while not self._stop:
            if self._busy():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= LINGER:
                break
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), LINGER if idle_since is not None else TICK)
            except TimeoutError:
                pass
            if time.monotonic() - self._ticked >= TICK:
                self._check_health()
        await close()
        self._ending = True
        abandoning.cancel()
        await self.facts.close()
        await self.outputs.close()
        await self.output_staging.close()
        await self.staging.close()
        await self.durability.sync()
        await self.discarding.close()
        await self.pools.close(at_once=self._stop)
        await self.registry.close(at_once=self._stop)  # what is being stopped ends meanwhile, and is acknowledged
        syncing.cancel()
        for run in self.runs.values():
            self.durability.save(run)
            run.journal.close()

    def wake(self) -> None:
        """Check at once whether anything is left to do."""
        self._wake.set()

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Keep the engine running during a long command."""
        self._needed += 1
        try:
            yield
        finally:
            self._needed -= 1
            self._wake.set()

    def _busy(self) -> bool:
        """Return whether there is work, or will be."""
        here = self.outputs.busy or self.facts.busy or self.extending.busy or self.pools.busy or self._needed > 0
        return here or self.scheduler.busy(moment())

    def shutdown(self) -> None:
        """End at once. Running tasks continue under their agents, and the next engine takes them up."""
        self._stop = True
        self._wake.set()

    def _on_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take an exception that was not caught: an engine in an unknown state must not continue, nor hang. The journal
        has the truth, and a client starts the next engine. The arguments are those of asyncio's handler."""
        log.error("%s", context.get("message"), exc_info=context.get("exception"))
        if context.get("exception") is not None and "handle" in context:
            self.shutdown()

    def _recover(self) -> None:
        for name in self.lab.experiments():
            try:
                if any(self.lab.experiment(name).state().columns["assigned"]):
                    run = self.load(name)
                    entries = run.entries()
                    for node in sorted(set(self.scheduler.runs[name].in_flight.values())):
                        if not self.pools.pool_of(node, entries):
                            self.registry.connect(entries.get(node, {"name": node}), {})
            except (LabError, SpecError) as error:
                log.error("%s: %s", name, error)
                self.refused[name] = str(error)
        self.pools.recover()

    def abandon_unstarted(self) -> None:
        """Give up attempts of an earlier engine that have not started: no client has supplied their environment."""
        self.feed(UnstartedAbandoned())

    def _check_health(self) -> None:
        """Find folders that were removed, nodes that are lost, and runs that have no node left."""
        passed = time.monotonic() - self._ticked
        self._ticked += passed
        self.registry.listen(passed - TICK if passed > ASLEEP else 0.0)
        for run in list(self.runs.values()):
            if run.journal.removed:
                self._forget(run)
        self.feed(Tick())

    # --- Runs

    def load(self, name: str, *, new: bool = False) -> RunFiles:
        """Return the run of an experiment. new: it need not exist yet. Raises LabError, StorageError."""
        run = self.runs.get(name)
        if run is not None and run.journal.removed:
            self._forget(run)
            run = None
        if run is None:
            run = RunFiles(self.lab.new_experiment(name) if new else self.lab.experiment(name))
            self.runs[name] = run
            self.feed(RunLoaded(name, run.state, self._open_settings(run)))
        return run

    def _open_settings(self, run: RunFiles) -> RunSettings | None:
        """Return the settings of the attempts that an earlier engine left open, and of stages, whose order a command
        may need; None where there are none, or the file can't be read."""
        try:
            wanted = any(run.state.columns["assigned"]) or (run.state.stages and any(run.state.columns["queued"]))
            return run.settings(extends=False) if wanted else None
        except (LabError, SpecError) as error:
            log.error("%s: %s", run.name, error)
            self.refused[run.name] = str(error)
            return None

    def submitted(self, name: str) -> RunFiles:
        """Return the run of an experiment that has a submission. Raises LabError, StorageError."""
        run = self.load(name)
        run.require_submission()
        return run

    def _forget(self, run: RunFiles) -> None:
        """Stop the tasks of an experiment whose folder was removed."""
        self.feed(RunRemoved(run.name))
        self.runs.pop(run.name, None)
        self.durability.forget(run)
        # How these have ended is of no interest any more.
        ended = [(one.node.name, one.message.key) for one in self.outputs.forget(lambda one: one.run is run)]
        ended += [(one.node, (run.wire_name, *one.key)) for one in run.unacknowledged]
        for name, key in ended:
            self._send(name, Ack([key]))
        run.journal.close()
        self._wake.set()
