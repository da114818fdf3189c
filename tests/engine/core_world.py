"""A world for the scheduler: nodes, connections, a disk and a clock that are made up. Only the scheduler is real.

`World(seed)` runs one experiment on a few nodes, and has happen what a random generator picks: connections break and
come back, agents and engines die (a journal may lose what was not durable yet), nodes are lost for good or return,
the disk is full for a while, messages are told twice or in another order, a person stops, pauses and resumes.
`World.settle()` then lets all come to an end, and `check` holds what must be true of every history.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tests.engine.core_pool import NAME as POOL
from tests.engine.core_pool import Pool
from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import (
    Acknowledge,
    Assign,
    Commit,
    DropCopy,
    DropOutputs,
    Effect,
    Extend,
    Fetch,
    Send,
    SendContext,
    Stage,
    WakeAt,
)
from tui_lab.engine.core.effects import Stopped as StoppedCount
from tui_lab.engine.core.events import (
    AgentMessages,
    AssignRefused,
    DiskFree,
    DiskFull,
    Event,
    FetchedAttempt,
    NodeAdded,
    NodeDisconnected,
    NodeDrained,
    NodeWelcomed,
    OutputsFetched,
    PauseRequested,
    PriorityRequested,
    Recorded,
    RunBegun,
    RunLoaded,
    SlotsSet,
    Staged,
    StopRequested,
    Tick,
    UnstartedAbandoned,
    Woken,
)
from tui_lab.engine.core.model import AttemptKey, AttemptNeeds, Moment, RunSettings, no_needs
from tui_lab.engine.core.node_runs import Edges, split
from tui_lab.engine.core.roster import PART
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.tags import fit
from tui_lab.protocol.agent import (
    AbandonUnstarted,
    Ack,
    Finished,
    FromAgent,
    Return,
    Returned,
    Slots,
    Started,
    Stop,
    ToAgent,
    Welcome,
    WireKey,
)
from tui_lab.store import ranges
from tui_lab.store.events import (
    Assigned,
    Changes,
    Cleaned,
    DependencyDone,
    DependencyFailed,
    DependencyRevived,
    EndState,
    JournalBegun,
    KnownEvent,
    OutputsDiscarded,
    Quarantined,
    Resumed,
    Stopped,
)
from tui_lab.store.events import Finished as AttemptFinished
from tui_lab.store.fold import DONE, FAULTLESS, REASONS, STATES, State

NAME = "e"
Handed = ToAgent | WireKey | str  # a message, an attempt to be started, or the name of a context


class Agent:
    """The agent of a node: what it knows outlives connections and engines."""

    def __init__(self, world: World, name: str, slots: int) -> None:
        self.world = world
        self.name = name
        self.slots = slots
        self.shared = world.chance(0.5)  # it sees the lab's folder
        self.lives = 0  # of its spool
        self.contexts: set[str] = set()
        self.waiting: dict[WireKey, str] = {}  # attempt -> its context
        self.running: dict[WireKey, str] = {}  # attempt -> why it is being stopped, or empty
        self.ended: dict[WireKey, Finished] = {}  # not acknowledged
        self.connected = False
        self.away_until = 0.0  # it can't be reached before
        self.inbox: deque[Handed] = deque()  # on the way to it
        self.outbox: deque[FromAgent] = deque()  # on the way from it

    @property
    def spool(self) -> str:
        return f"{self.name}-{self.lives}"

    def known(self) -> list[WireKey]:
        return [*self.waiting, *self.running, *self.ended]

    def say(self, message: FromAgent) -> None:
        if self.connected:
            self.outbox.append(message)

    # --- Its life

    def reboot(self) -> None:
        """The machine went down: nothing of it is left but its name."""
        self.lives += 1
        self.contexts, self.waiting, self.running, self.ended = set(), {}, {}, {}

    def die(self) -> None:
        """kill -9: the next agent has the ledger, which has what has begun. Some of that has ended unseen."""
        self.contexts, self.waiting = set(), {}
        for key in [key for key in self.running if self.world.chance(0.5)]:
            del self.running[key]
            self.ended[key] = Finished(key, "lost", reason="start")

    def welcome(self) -> Welcome:
        return Welcome(
            PROTOCOL,
            1,
            self.spool,
            "3.12.0",
            self.slots + 1,
            self.slots,
            [],
            self.shared,
            "/home",
            {},
            self.known(),
            "",
            None,
        )

    def tell_again(self) -> None:
        """What follows its welcome."""
        for finished in self.ended.values():
            self.say(finished)
        for key in self.running:
            self.say(Started(key, 0.0))

    # --- What it is told

    def take(self, message: Handed) -> None:
        match message:
            case str():
                self.contexts.add(message)
            case tuple():
                self.start(message)
            case Return(keys=keys):
                back = [key for key in keys if self.waiting.pop(key, None) is not None]
                self.say(Returned(back))
            case Stop(key=key, reason=reason):
                self.stop(key, reason)
            case Ack(keys=keys):
                for key in keys:
                    self.ended.pop(key, None)
            case Slots(slots=slots):
                self.slots = slots
            case AbandonUnstarted(contexts=contexts):
                back = [key for key, name in self.waiting.items() if name in contexts and name not in self.contexts]
                for key in back:
                    del self.waiting[key]
                self.say(Returned(back))
            case _:
                raise AssertionError(message)
        self.begin()

    def start(self, key: WireKey) -> None:
        self.world.check_written(key, self)
        if key in self.ended:
            self.say(self.ended[key])
        elif key not in self.waiting and key not in self.running:
            self.waiting[key] = f"{key[0]}/0"

    def stop(self, key: WireKey, reason: str) -> None:
        if self.waiting.pop(key, None) is not None:
            self.end(key, "stopped", reason)
        elif key in self.running and not self.running[key]:
            self.running[key] = reason

    def begin(self) -> None:
        """Start what there is room for."""
        for key in [key for key, name in self.waiting.items() if name in self.contexts]:
            if len(self.running) >= self.slots:
                return
            del self.waiting[key]
            self.running[key] = ""
            self.world.check_wanted(key)
            self.say(Started(key, 0.0))

    def finish(self, key: WireKey) -> None:
        """An attempt that runs comes to its end."""
        reason = self.running.pop(key)
        if reason:
            self.end(key, "stopped", reason)
        elif self.world.chance(self.world.failing):
            self.end(key, "failed", "exit")
        else:
            self.end(key, "done", None)
        self.begin()

    def end(self, key: WireKey, state: EndState, reason: str | None) -> None:
        carried = state == "done" and self.world.carried and self.world.chance(0.5)
        finished = Finished(
            key,
            state,
            reason=reason,
            exit_code=1 if state == "failed" else 0,
            duration=0.1,
            files=[{"name": "stdout", "size": 1 << 20}] if carried else None,
        )
        self.ended[key] = finished
        self.say(finished)


def needs(key: AttemptKey, changes: Changes | None) -> AttemptNeeds:
    """Every third task takes two cores, every second one a license of two."""
    found: AttemptNeeds = {"cpus": 1 + (key[0] % 3 == 0)}
    return {**found, "tokens": {"license": 1}} if key[0] % 2 else found


_APART = ("mean", "table")  # stages that collect


class EngineDied(Exception):  # noqa: N818
    """The engine was killed at this moment."""


class World:
    """One experiment, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.part = PART if seed % 2 else 0  # with few nodes, all would be looked at each time
        tasks = self.random.randint(3, 15)
        self.clock = 1000.0
        self.failing = self.random.choice([0.0, 0.1, 0.4])
        self.carried = self.random.random() < 0.3
        self.pace = self.random.choice([2, 6, 20])  # how often something that runs ends
        self.stopping = self.chance(0.3)  # a person may stop tasks
        # Tasks that a person has stopped for good, the attempts of them that were there already, and the length of the
        # journal then.
        self.stopped: dict[int, tuple[set[WireKey], int]] = {}
        self.pool = Pool(self) if self.chance(0.3) else None
        count = self.random.randint(0 if self.pool else 1, 4)
        self.agents = {name: Agent(self, name, self.random.randint(1, 3)) for name in "abcd"[:count]}
        has_needs = self.chance(0.3)
        self.before: Edges = {}
        self.beside: dict[int, tuple[int, ...]] = {}
        self.collecting: dict[int, tuple[int, ...]] = {}
        self.asked_again = False
        self.cleaned = set[int]()  # what collects, and a person has removed
        self.on_node: Edges = {}
        stages = self.staged(tasks) if self.chance(0.4) else {}
        per_node = [name for name in stages if self.may_be_per_node(name, stages[name]) and self.chance(0.3)]
        per_node = per_node if self.chance(0.6) else []
        self.before, self.on_node = split(self.before, {one for name in per_node for one in ranges.each(stages[name])})
        runs = [one for ids in stages.values() for one in ranges.each(ids)]
        self.ids = [*runs, *range(tasks)]
        self.rounds: list[npt.NDArray[np.int64]] = []
        if stages and self.chance(0.3):
            apart = [name for name in stages if name in _APART]
            order = [*(ids for name, ids in stages.items() if name not in apart), [[0, tasks - 1]]]
            order += [stages[name] for name in apart]
            self.rounds = [np.array([*ranges.each(ids)]) for ids in order]
        entries = [*self.agents, *([POOL] if self.pool else [])]
        self.tagged = {name for name in entries if self.chance(0.5)} or {entries[0]}
        tagged = [*stages, ""] if stages and self.chance(0.3) else []
        self.run_on = {stage: self.random.choice([("x",), ("not x",), ()]) for stage in tagged}
        if len(self.tagged) == len(entries):
            self.run_on = {stage: words for stage, words in self.run_on.items() if words != ("not x",)}
        self.settings = RunSettings(
            tasks=np.array(self.ids, dtype=np.int64),
            repeats=np.zeros(len(self.ids), dtype=np.int64),
            before=self.before,
            beside=self.beside,
            collecting=self.collecting,
            until_done=frozenset(name for name in stages if self.chance(0.3)) if self.chance(0.3) else frozenset(),
            rounds=self.rounds,
            order=self.random.choice(["listed", "shuffled", "interleaved", "shuffled-rounds"]),
            retries=self.random.randint(0, 2),
            retry_on=("exit", "signal"),
            stagger=self.random.choice([0.0, 0.0, 0.0, 0.2]),
            has_needs=has_needs,
            needs=needs if has_needs else no_needs,
            limits={"license": 2} if has_needs else {},
            run_on=self.run_on,
            on_node=self.on_node,
        )
        nodes: list[NodeEntry] = [
            {"name": name, "slots": agent.slots, "tags": ["x"] if name in self.tagged else []}
            for name, agent in self.agents.items()
        ]
        if self.pool:
            nodes.append({"name": POOL, "slots": self.pool.slots, "tags": ["x"] if POOL in self.tagged else []})
        self.journal: list[KnownEvent] = [
            JournalBegun(2, "0123456789abcdef"),
            submitted(
                plan=1,
                planned=[[0, tasks - 1]],
                queued=[[0, tasks - 1]],
                nodes=nodes,
                keep_going=True,
                stages=stages,
                per_node=per_node,
            ),
        ]
        self.durable = len(self.journal)  # so many of these have survived
        self.tasks = tasks
        self.begin_engine()

    def staged(self, tasks: int) -> dict[str, ranges.Ranges]:
        """Return the runs of up to three stages before the tasks, of two beside them, and of two that collect; make up
        what each task and each run depends on."""
        stages: dict[str, ranges.Ranges] = {}
        levels: list[range] = []
        before: dict[int, tuple[int, ...]] = {}
        first = tasks
        for level in range(self.random.randint(1, 3)):
            runs = range(first, first + self.random.randint(1, 3 + level))
            first, stages[f"stage{level}"] = runs.stop, [[runs.start, runs.stop - 1]]
            for one in runs if levels else ():
                before[one] = self.some_before(levels)
            levels.append(runs)
        for name in ("also", "too")[: self.random.choice([0, 0, 1, 2])]:
            runs = range(first, first + self.random.randint(1, 4))
            first, stages[name] = runs.stop, [[runs.start, runs.stop - 1]]
            for one in runs:
                before[one] = self.some_before(levels)
            for task in range(tasks):
                self.beside[task] = (*self.beside.get(task, ()), self.random.choice(runs))
        for task in range(tasks):
            before[task] = self.some_before(levels)
        if self.chance(0.5):
            groups = self.random.randint(1, 3)
            means = range(first, first + groups)
            first, stages["mean"] = means.stop, [[means.start, means.stop - 1]]
            direct = self.chance(0.7)  # else it collects runs of the stage before the tasks
            for number, one in enumerate(means):
                covered = tuple(range(number, tasks, groups))
                self.collecting[one] = covered
                runs_before = dict.fromkeys(other for task in covered for other in before[task])
                before[one] = covered if direct else tuple(runs_before)
            if self.chance(0.5):
                stages["table"] = [[first, first]]
                self.collecting[first] = tuple(range(tasks))
                before[first] = tuple(means)
        self.before = before
        return stages

    def may_be_per_node(self, name: str, ids: ranges.Ranges) -> bool:
        """Return whether something of each node may come after a stage, and nothing collects its runs."""
        runs = set(ranges.each(ids))
        return name.startswith("stage") and not any(runs & {*self.before[one]} for one in self.collecting)

    def some_before(self, levels: list[range]) -> tuple[int, ...]:
        """Return a run of the last stage so far, and now and then one of a stage before."""
        found = [self.random.choice(levels[-1])]
        if len(levels) > 1 and self.chance(0.3):
            found.append(self.random.choice(self.random.choice(levels[:-1])))
        return tuple(found)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    @property
    def now(self) -> Moment:
        return Moment(self.clock, 1.7e9 + self.clock)

    # --- The engine around the scheduler

    def begin_engine(self) -> None:
        """A new engine folds the journal, and a client supplies the environment."""
        self.full = False
        self.unwritten: list[KnownEvent] = []
        self.unacknowledged: list[Acknowledge] = []
        self.fetching: list[Fetch] = []
        self.wake_at: float | None = None
        self.die_after: int | None = None
        for agent in self.agents.values():
            self.hang_up(agent)
        self.scheduler = Scheduler(self.now)
        self.inbox: deque[Event] = deque()
        self.feed(RunLoaded(NAME, self.folded(), self.settings))
        self.scheduler.runs[NAME].roster.part = self.part
        for name, agent in [item for item in self.agents.items() if "." not in item[0]]:
            self.feed(NodeAdded(name, remote=True, slots=agent.slots, lost_after=30.0))
        if self.pool:
            self.pool.begin_engine()
        self.supplied = False

    def add_agent(self, name: str, slots: int) -> None:
        """An allocation begins."""
        self.agents[name] = Agent(self, name, slots)

    def resume(self) -> None:
        """A client comes."""
        run = self.scheduler.runs[NAME]
        if self.unwritten or self.full:
            return
        events: list[KnownEvent] = []
        if run.state.paused is not None or run.state.drained or run.state.ended is not None:
            events = [Resumed(self.now.at())]
            self.journal += events
            self.feed(Recorded(NAME, events))
        again = self.chance(0.2)
        self.asked_again |= again
        if again:  # what tasks need is requested with them, though it was stopped
            self.stopped = {one: known for one, known in self.stopped.items() if one < self.tasks}
        if self.pool:
            self.pool.begin()
        self.feed(RunBegun(NAME, self.settings, again=again))
        self.supplied = True

    def folded(self) -> State:
        state = State()
        for event in self.journal:
            state.apply(event)
        return state

    def feed(self, event: Event) -> None:
        self.inbox.append(event)
        while self.inbox:
            for effect in self.scheduler.handle(self.inbox.popleft(), self.now):
                if self.die_after is not None:
                    self.die_after -= 1
                    if self.die_after < 0:
                        raise EngineDied
                self.carry_out(effect)

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Commit(events=events):
                self.check_discarded(events)
                if self.full or self.unwritten:
                    self.unwritten += events
                    self.inbox.append(DiskFull(NAME))
                else:
                    self.journal += events
            case Assign(node=node, keys=keys, events=events, submission=submission):
                assert submission == 0
                if self.full or self.unwritten:
                    self.inbox.append(DiskFull(NAME))
                    self.inbox.append(AssignRefused(NAME, node, keys))
                    return
                self.journal += events
                state = self.scheduler.runs[NAME].state
                for key in keys:
                    before = self.before.get(key[0], ())
                    assert all(state.has_result(one) for one in before), key
                    assert not any(state.columns["discarded"][one] for one in before), key
                    self.check_round(key[0])
                    self.check_place(key[0], node)
                    self.check_made(key[0], node)
                    self.send(node, (self.scheduler.runs[NAME].wire_name, *key))
            case Send(node=node, message=message):
                self.send(node, message)
            case SendContext(node=node):
                self.send(node, f"{self.scheduler.runs[NAME].wire_name}/0")
            case Acknowledge():
                self.unacknowledged.append(effect)
            case Stage(node=node, submission=submission):
                self.inbox.append(Staged(NAME, node, submission))
            case Fetch():
                if effect not in self.fetching:
                    self.fetching.append(effect)
            case DropOutputs(node=node):
                self.fetching = [one for one in self.fetching if one.node != node]
            case DropCopy(node=node, run=one):
                state = self.scheduler.runs[NAME].state
                assert node not in self.agents or not self.agents[node].shared
                # At a quarantine, what had failed is requested again in the same moment: then it is sent again.
                run = state.planned_run(one)
                needing = [other for edges in (self.before, self.on_node) for other in edges if run in edges[other]]
                assert state.quarantined or not any(state.columns["queued"][other] for other in needing), one
            case WakeAt(moment=moment):
                self.wake_at = moment
            case StoppedCount():
                pass
            case Extend():
                raise AssertionError(effect)

    def send(self, node: str, message: Handed) -> None:
        if node in self.agents and self.agents[node].connected:
            self.agents[node].inbox.append(message)

    def check_written(self, key: WireKey, agent: Agent) -> None:
        """No attempt is started that the journal does not have."""
        assert any(
            isinstance(event, Assigned) and event.node == agent.name and key[1:] in event.attempts
            for event in self.journal
        ), key

    def check_discarded(self, events: list[KnownEvent]) -> None:
        """No files are removed that something needs which is not done: a task, what is beside one, what collects."""
        state = self.scheduler.runs[NAME].state
        open_ = [task for task in range(self.tasks) if state.columns["state"][task] != DONE]
        wanted = {*range(self.tasks), *self.collecting, *(one for task in open_ for one in self.beside.get(task, ()))}
        needing = [one for one in wanted if not state.has_result(one)]
        for event in events:
            for run in ranges.each(event.runs) if isinstance(event, OutputsDiscarded) else ():
                assert not any(run in self.before.get(one, ()) for one in needing), run

    def check_round(self, one: int) -> None:
        """Nothing of an earlier stage is requested any more."""
        state = self.scheduler.runs[NAME].state
        queued = state.columns["queued"]
        for ids in self.rounds:
            if state.planned_run(one) in ids:
                return
            assert not any(queued[other] for other in ids), one

    def check_place(self, one: int, node: str) -> None:
        """It goes only where its stage may run."""
        state = self.scheduler.runs[NAME].state
        if one in state.run_for:
            assert state.run_for[one][1] == node
            return
        words = self.run_on.get(state.stage(one) or "", ())
        assert fit(words, ["x"] if node.partition(".")[0] in self.tagged else []), (one, node)

    def check_made(self, one: int, node: str) -> None:
        """The node has made what it needs of its own; with rounds, all that it is to make."""
        state = self.scheduler.runs[NAME].state
        for run in self.on_node.get(state.planned_run(one), ()):
            assert state.columns["state"][state.node_runs[run][node]] == DONE, (one, run)
        if self.rounds and one < self.tasks:
            mine = [other for other, (_, name) in state.run_for.items() if name == node]
            assert not any(state.columns["queued"][other] for other in mine), one

    def check_idle(self) -> None:
        """No slot is free while something waits that any node may run."""
        run = self.scheduler.runs[NAME]
        due = self.wake_at is not None and self.wake_at <= self.clock
        if due or run.is_choosy or run.held or self.rounds or NAME not in self.scheduler.active:
            return
        columns = run.state.columns
        waiting = [
            one
            for one in run.order
            if run.waiting.is_wanted(one)
            and all(columns["state"][other] == DONE for other in self.before.get(one, ()))
            and not any(columns["discarded"][other] for other in self.before.get(one, ()))
        ]
        for node in self.scheduler.nodes_of(run) if waiting else ():
            mine = (run.wire_name, 0) in node.staged and not run.health.is_suspect(node.name)
            assert not (mine and node.free and node.name not in run.state.quarantined), (node.name, waiting)

    def check_wanted(self, key: WireKey) -> None:
        """No further attempt begins of what a person has stopped for good."""
        assert key[1] not in self.stopped or key in self.stopped[key[1]][0], key

    # --- What happens

    def hang_up(self, agent: Agent) -> None:
        agent.connected = False
        agent.inbox.clear()
        agent.outbox.clear()

    def step(self) -> None:
        """Let one thing happen."""
        happenings: list[tuple[float, Callable[[], None]]] = [
            (30, self.pass_on),
            (self.pace, self.finish_one),
            (8, self.connect_one),
            (6, self.sync),
            (6, self.pass_time),
            (6, self.arrive),
            (3, self.disconnect_one),
            (2, self.repeat_one),
            (2, self.swap_two),
            (1, self.kill_agent),
            (2, self.lose_one),
            (1, self.lose_and_return),
            (2, self.fill_disk),
            (3, self.free_disk),
            (1, self.kill_engine),
            (1, self.command),
            (2, self.ensure_client),
        ]
        if self.pool:
            happenings += [(10, self.pool.look), (2, self.pool.end_one), (0.3, self.pool.fail)]
        weights, calls = zip(*happenings, strict=True)
        try:
            self.random.choices(calls, weights)[0]()
            self.wake()
        except EngineDied:
            self.restart()

    def one(self, *, connected: bool | None = None) -> Agent | None:
        agents = [agent for agent in self.agents.values() if connected in (None, agent.connected)]
        return self.random.choice(agents) if agents else None

    def wake(self) -> None:
        while self.wake_at is not None and self.wake_at <= self.clock:
            self.wake_at = None
            self.feed(Woken())
            self.check_idle()
            if self.full or self.unwritten:
                return  # what is refused is tried again

    def pass_on(self) -> None:
        """Messages arrive, some of them."""
        agent = self.one(connected=True)
        if agent is None:
            return
        for _ in range(self.random.randint(1, 5)):
            if agent.inbox:
                agent.take(agent.inbox.popleft())
        some = [agent.outbox.popleft() for _ in range(min(len(agent.outbox), self.random.randint(1, 5)))]
        if some:
            self.feed(AgentMessages(agent.name, some))

    def finish_one(self) -> None:
        agent = self.one()
        if agent is not None and agent.running:
            agent.finish(self.random.choice(list(agent.running)))

    def connect_one(self) -> None:
        agent = self.one(connected=False)
        if agent is None:
            return
        if agent.away_until > self.clock:
            self.feed(NodeDisconnected(agent.name, "it does not answer", tries=3))
            return
        self.connect(agent)

    def connect(self, agent: Agent) -> None:
        if agent.name not in self.scheduler.nodes:
            return  # the engine has not heard of this allocation yet
        agent.connected = True
        welcome = agent.welcome()
        agent.tell_again()
        self.feed(NodeWelcomed(agent.name, welcome, 1 << 30))

    def disconnect_one(self) -> None:
        agent = self.one(connected=True)
        if agent is not None:
            self.hang_up(agent)
            self.feed(NodeDisconnected(agent.name, "the connection has ended", tries=1))

    def lose_one(self) -> None:
        """A node is away for longer than its tasks wait for it."""
        agent = self.one()
        if agent is not None:
            self.hang_up(agent)
            agent.away_until = self.clock + self.random.choice([10.0, 40.0, 40.0, 200.0])
            self.feed(NodeDisconnected(agent.name, "the connection has ended", tries=1))

    def lose_and_return(self) -> None:
        """A node is lost, and comes back when what ran there may run on another one."""
        agent = self.one(connected=True)
        if agent is None or not agent.running:
            return
        self.hang_up(agent)
        self.feed(NodeDisconnected(agent.name, "the connection has ended", tries=1))
        self.let_pass(64.0)
        for other in self.agents.values():
            while other.inbox:
                other.take(other.inbox.popleft())
        for key in list(agent.running):
            if self.chance(0.7):
                agent.finish(key)
        self.connect(agent)

    def kill_agent(self) -> None:
        agent = self.one()
        if agent is not None:
            connected = agent.connected
            self.hang_up(agent)
            agent.die() if self.chance(0.6) else agent.reboot()
            if connected:
                self.feed(NodeDisconnected(agent.name, "the connection has ended", tries=1))

    def repeat_one(self) -> None:
        """An end is told twice."""
        agent = self.one(connected=True)
        if agent is not None and agent.ended:
            agent.say(self.random.choice(list(agent.ended.values())))

    def swap_two(self) -> None:
        """Two ends arrive in another order."""
        agent = self.one(connected=True)
        if agent is not None and len(agent.outbox) > 1:
            place = self.random.randrange(len(agent.outbox) - 1)
            first, second = agent.outbox[place], agent.outbox[place + 1]
            if isinstance(first, Finished) and isinstance(second, Finished | Started):
                agent.outbox[place], agent.outbox[place + 1] = second, first

    def sync(self) -> None:
        """What is written becomes durable, and is acknowledged."""
        if self.unwritten:
            return
        self.durable = len(self.journal)
        ended, self.unacknowledged = self.unacknowledged, []
        for one in ended:
            self.send(one.node, Ack([(self.scheduler.runs[NAME].wire_name, *one.key)]))

    def arrive(self) -> None:
        """Outputs are here."""
        if self.fetching:
            one = self.fetching.pop(self.random.randrange(len(self.fetching)))
            self.feed(OutputsFetched([FetchedAttempt(NAME, one.node, one.message)]))

    def pass_time(self) -> None:
        if self.chance(0.1):  # the machine of the engine was asleep
            self.clock += 100.0
        self.let_pass(self.random.choice([0.05, 0.5, 2.0, 4.0, 15.0, 40.0]))

    def let_pass(self, seconds: float) -> None:
        while seconds > 0:
            self.clock += min(seconds, 4.0)
            seconds -= 4.0
            self.feed(Tick())
            self.wake()

    def fill_disk(self) -> None:
        self.full = True

    def free_disk(self) -> None:
        if self.full or self.unwritten:
            self.full = False
            self.journal += self.unwritten
            self.unwritten = []
            self.feed(DiskFree(NAME))

    def kill_engine(self) -> None:
        """At this moment, or amid the effects of one of the next events."""
        if self.chance(0.5):
            self.die_after = self.random.randint(0, 4)
        else:
            self.restart()

    def restart(self) -> None:
        """The next engine; the machine may have gone down, and the disk lacks what was not durable."""
        if self.chance(0.3):
            self.journal = self.journal[: self.random.randint(self.durable, len(self.journal))]
            self.stopped = {task: one for task, one in self.stopped.items() if one[1] <= len(self.journal)}
        self.durable = len(self.journal)
        self.clock += 1.0
        self.begin_engine()

    def ensure_client(self) -> None:
        run = self.scheduler.runs[NAME]
        if not self.supplied or run.state.ended is not None:
            if self.chance(0.2):
                self.feed(UnstartedAbandoned())
            else:
                self.resume()

    def command(self) -> None:
        """A person does something."""
        agent = self.one()
        match self.random.randrange(7):
            case 0:
                self.feed(PauseRequested(NAME))
            case 6:
                self.feed(PriorityRequested(NAME, self.random.randint(-1, 1)))
            case 1:
                self.feed(StopRequested(NAME, None, interrupt=True))
            case 2 | 5 if self.stopping:
                self.stop(frozenset(self.random.sample([*self.ids, *self.scheduler.runs[NAME].state.run_for], 2)))
            case 2:
                self.clean()
            case 3 if agent is not None and "." not in agent.name:
                self.feed(SlotsSet(agent.name, self.random.randint(1, 3)))
            case 4 if agent is not None and "." not in agent.name:
                self.feed(NodeDrained(agent.name, self.chance(0.3)))
            case _ if self.pool:
                self.pool.drain(self.chance(0.3))

    def clean(self) -> None:
        """A person removes the outputs of a run of a stage."""
        state = self.scheduler.runs[NAME].state
        ids = [*self.ids, *state.run_for]
        runs = [one for one in ids if state.stage(one) and state.columns["state"][one] == DONE]
        if runs and not self.unwritten and not self.full:
            one = self.random.choice(runs)
            event = Cleaned(self.now.at(), [[one, one]])
            self.journal.append(event)
            self.cleaned |= {one} & self.collecting.keys()
            self.feed(Recorded(NAME, [event]))

    def stop(self, tasks: frozenset[int]) -> None:
        queued = self.scheduler.runs[NAME].state.columns["queued"]
        tasks = frozenset(task for task in tasks if task < self.tasks or queued[task])  # a run that is not needed yet
        self.feed(StopRequested(NAME, tasks))
        there = {key for agent in self.agents.values() for key in agent.known()}
        there |= {one for agent in self.agents.values() for one in agent.inbox if isinstance(one, tuple)}
        if not self.unwritten:
            self.stopped |= {task: ({key for key in there if key[1] == task}, len(self.journal)) for task in tasks}

    # --- The end

    def settle(self) -> None:
        """From here on nothing goes wrong, until nothing is left to do."""
        self.die_after = None
        self.free_disk()
        for agent in self.agents.values():
            agent.away_until = 0.0
            self.feed(NodeDrained(agent.name, False))
        if self.pool:
            self.pool.drain(False)
        for _ in range(500):
            run = self.scheduler.runs[NAME]
            if not self.supplied or run.state.ended is not None or run.state.paused is not None or run.state.drained:
                self.resume()
            if self.pool:
                self.pool.look(calm=True)
            for agent in list(self.agents.values()):
                if not agent.connected:
                    self.connect(agent)
                while agent.inbox or agent.outbox or agent.running:
                    while agent.inbox:
                        agent.take(agent.inbox.popleft())
                    for key in list(agent.running):
                        agent.finish(key)
                    some, agent.outbox = list(agent.outbox), deque()
                    if some:
                        self.feed(AgentMessages(agent.name, some))
            while self.fetching:
                self.arrive()
            self.sync()
            self.clock += 3.0
            self.feed(Tick())
            self.wake()
            if self.is_quiet():
                return
        raise AssertionError("it does not come to its end")

    def is_quiet(self) -> bool:
        agents = self.agents.values()
        return not self.scheduler.active and not any(a.inbox or a.outbox or a.known() for a in agents)

    def check(self) -> None:
        """What must be true of every history."""
        run = self.scheduler.runs[NAME]
        columns = run.state.columns
        folded = self.folded()
        if self.pool:
            self.pool.look(calm=True)
            assert not self.pool.allocations and not self.pool_nodes(), "all is given back"
            self.check_losses(folded)
        for name in ("state", "queued", "assigned", "attempts", "attempt", "waits", "discarded"):
            assert folded.columns[name] == columns[name], name  # what the scheduler knows is what is written
        assert run.state.ended is not None and not run.in_flight and not run.stopping
        paused = run.state.paused
        if self.run_on and run.state.quarantined and paused is not None and paused.reason == "no_node":
            return  # a person must say whether the only nodes that may run the rest are sound
        assert not any(columns["assigned"]) and not any(columns["queued"])
        names = {STATES[code] for code in columns["state"][: self.tasks]}
        assert names <= {"done", "failed", "lost", "stopped"}, names
        if not self.stopping:
            assert "stopped" not in names, names
        states, reasons = columns["state"], columns["reason"]
        for one in self.ids:
            others = (*self.before.get(one, ()), *self.beside.get(one, ()), *self.on_node.get(one, ()))
            failed_with_others = REASONS[reasons[one]] == "dependency" and STATES[states[one]] == "failed"
            if failed_with_others and not self.asked_again:  # else these may have been mended for another task
                assert any(states[other] != DONE for other in others), one
            if run.state.stage(one) in self.settings.until_done and states[one] == DONE:
                after = [other for other, before in self.before.items() if one in before]
                needless = after and all(map(run.state.has_result, after)) and not columns["discarded"][one]
                assert not needless or one in {other for others in self.beside.values() for other in others}, one
            covered = self.collecting.get(one)
            if covered is not None and one not in self.cleaned and all(map(run.state.has_result, covered)):
                assert STATES[states[one]] != "pending", one
            if states[one] == DONE:  # a person may have removed the outputs since
                assert all(STATES[states[other]] in ("done", "pending") for other in self.beside.get(one, ())), one
        if not self.failing:
            failed = [task for task in range(self.tasks) if STATES[states[task]] == "failed"]
            assert all(REASONS[reasons[task]] == "dependency" for task in failed), failed
        for task, ends in self.ends().items():
            assert len(ends) == 1, (task, ends)
        assert set(self.ends()) == set(range(self.tasks))

    def pool_nodes(self) -> list[str]:
        return [name for name in (*self.agents, *self.scheduler.nodes) if "." in name]

    def check_losses(self, folded: State) -> None:
        """What ended with its allocation, and by nobody's fault, has cost a task nothing."""
        lost = [event for event in self.journal if isinstance(event, AttemptFinished) and event.state == "lost"]
        for task in range(self.tasks):
            mine = [event for event in lost if event.task == task and not event.duplicate]
            assert folded.columns["spent"][task] <= sum(event.reason not in FAULTLESS for event in mine), task
            if STATES[folded.columns["state"][task]] == "lost":
                assert REASONS[folded.columns["reason"][task]] not in FAULTLESS, task

    def ends(self) -> dict[int, list[KnownEvent]]:
        """The events that brought each task to its end, of those that the fold has taken, since it was asked for last.
        Tasks that failed on a node in quarantine are asked for again."""
        state, found = State(), defaultdict[int, list[KnownEvent]](list)
        for event in self.journal:
            before = state.columns["queued"][:] if state.size else None
            state.apply(event)
            if isinstance(event, Quarantined):
                for task in ranges.each(event.tasks):
                    if state.columns["queued"][task]:
                        found.pop(task, None)
            if isinstance(event, DependencyRevived):
                for task in ranges.each(event.tasks):
                    found.pop(task, None)
            if isinstance(event, AttemptFinished | Stopped | DependencyFailed | DependencyDone) and before is not None:
                for task in range(self.tasks):
                    if before[task] and not state.columns["queued"][task]:
                        found[task].append(event)
        return found
