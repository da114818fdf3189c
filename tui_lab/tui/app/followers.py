"""What the watcher reads: one experiment's journal, and the engine."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Final

import numpy as np

from tui_lab.client.eta import Pace
from tui_lab.client.follow import Followed, failure_line
from tui_lab.engine.client import EngineClient, EngineGone, EngineSilent
from tui_lab.engine.lock import EngineFacts
from tui_lab.protocol.control import AskStatus, ListNodes, NodeStatus, Status
from tui_lab.results.node_samples import node_samples
from tui_lab.store import layout, mirrors, ranges
from tui_lab.store.errors import LabError
from tui_lab.store.events import DependencyDone, Event, Finished, Requeued, Resumed, Submitted
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.journal import damage_text
from tui_lab.store.lab import Lab
from tui_lab.store.spare import counts_without_spare
from tui_lab.tui.app.recent_events import RecentEvents
from tui_lab.tui.base.snapshot import EngineSnapshot, ExperimentSnapshot, NodeSample

STEADY: Final = 0.02  # a share of change for which the rate and the end are not shown anew
BINS: Final = 60  # parts of the time whose throughput is shown
LONGEST: Final = 3600.0  # seconds of that time
WIDTHS: Final = (1, 2, 5, 10, 20, 30, 60)  # seconds of a part
PATIENCE: Final = 1.0  # seconds that the engine may take to answer before a snapshot goes on without it
SILENT: Final = 4.0  # seconds without an answer after which the screen says so
SAMPLE: Final = 2.0  # seconds between the points of a node's history
SAMPLES: Final = 120


def modified(path: Path) -> int | None:
    """Return when a file was written, in nanoseconds; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def kept(last: float | None, new: float | None, most: float) -> float | None:
    """Return the last value as long as the new one hardly differs: what moves by itself would draw the screen again and
    again."""
    return last if last is not None and new is not None and abs(new - last) <= most else new


class Throughput:
    """How many tasks of a run ended, in equal parts of its time."""

    def __init__(self) -> None:
        self._since = 0  # seconds since 1970
        self._ends: deque[list[int]] = deque()  # second, ends; ascending
        self._bins: tuple[int, ...] = ()
        self._until = 0  # the second up to which the bins go

    def look_back(self, state: State) -> None:
        """Take in what the run has done before it was watched."""
        if not state.submissions:
            return
        self.begin(state.continued)
        ended = np.frombuffer(state.columns["ended"], dtype=np.float64)
        stage = np.frombuffer(state.columns["stage"], dtype=np.int16)
        recent = ended[(ended > self._since) & (stage == 0)]
        if len(recent):
            recent = recent[recent > recent.max() - LONGEST]
            seconds, counts = np.unique(recent.astype(np.int64), return_counts=True)
            self._ends.extend([second, count] for second, count in zip(seconds.tolist(), counts.tolist(), strict=True))
            self._until = int(seconds[-1])

    def begin(self, at: float) -> None:
        """Begin another run."""
        self._since = int(at)
        self._ends.clear()

    def add(self, at: float, count: int = 1) -> None:
        """Take in ends."""
        second = int(at)
        if self._ends and second <= self._ends[-1][0]:
            self._ends[-1][1] += count
        else:
            self._ends.append([second, count])
        self._until = max(self._until, second)

    def bins(self, now: float | None) -> tuple[int, ...]:
        """Return the ends in each part, up to now, or up to the last one where nothing is going. The same object comes
        as long as it is equal."""
        until = max(self._until, int(now or 0))
        while self._ends and self._ends[0][0] < until - LONGEST:
            self._ends.popleft()
        if not self._ends:
            return ()
        length = min(LONGEST, max(1, until - self._since))
        width = next((one for one in WIDTHS if one * BINS >= length), WIDTHS[-1])
        last = until // width  # parts begin at full ones of their width: they don't move with the clock
        first = max(self._since // width, last - BINS + 1)
        found = [0] * (last - first + 1)
        for second, count in self._ends:
            place = second // width - first
            if 0 <= place < len(found):
                found[place] += count
        if (bins := tuple(found)) != self._bins:
            self._bins = bins
        return self._bins


class WatchedExperiment:
    """An experiment whose journal is followed."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self._journal = folder.journal
        self._state: State | None = None
        self._pace = Pace()
        self._throughput = Throughput()
        self._events = RecentEvents(folder.name)
        self._failure: Finished | None = None
        self._line = ""
        self._last = ExperimentSnapshot(folder.name)
        self._connections = 0  # to the machine of the lab, if that is another one
        self._metrics: int | None = None  # when other metrics came into force than those submitted
        self._changes = 0  # of metrics, in which no event of the journal tells of anything

    def take_snapshot(self, active: bool) -> ExperimentSnapshot:
        """Return the present state of the experiment."""
        try:
            state, moved = self._follow()
        except (LabError, OSError) as error:
            return ExperimentSnapshot(self.folder.name, problem=str(error))
        side = mirrors.other_side(self.folder.path.parent)
        connections = 0 if side is None else side.connections
        again, self._connections = connections != self._connections, connections
        metrics = modified(self.folder.metrics_file)
        if metrics != self._metrics:
            again, self._metrics, self._changes = True, metrics, self._changes + 1
        if not moved and not again and not active and not self._last.active:
            return self._last
        queued = state.queued_tasks()
        counts, spare = counts_without_spare(state)
        now, last = time.time(), self._last
        going = active and state.paused is None and queued > 0
        left = self._pace.remaining(queued, now, state.drained) if going else None
        eta = None if left is None else now + left
        rate = self._pace.rate(now) if active else None
        self._last = ExperimentSnapshot(
            name=self.folder.name,
            counts=counts,
            stages=state.stage_counts(),
            planned=state.planned - spare,
            queued=queued,
            active=active,
            paused=state.paused,
            ended=state.ended,
            revision=state.offset + connections + self._changes,  # what was not reached is read again
            submissions=len(state.submissions),
            rate=kept(last.rate, rate, STEADY * (rate or 0.0)),
            eta=kept(last.eta, eta, max(1.0, STEADY * (left or 0.0))),
            grows=spare > 0 and not state.note,
            throughput=self._throughput.bins(now if active else None),
            happened=self._events.take(),
            drained=state.drained,
            failure=self._failed(),
            note=state.note,
            damage=damage_text(self.folder.journal, state.damage) if state.damage else "",
        )
        return self._last

    @property
    def has_news(self) -> bool:
        """Whether the journal has other events than those that were read."""
        try:
            return self._state is None or self._journal.stat().st_size != self._state.offset
        except OSError:
            return True  # the next look says why

    def _follow(self) -> tuple[State, bool]:
        """Return the state, and whether the journal has new events."""
        if self._state is None:
            self._state = self.folder.state()
            self._pace.begin(self._state)
            self._throughput.look_back(self._state)
            self._events.begin(self._state)
            return self._state, True
        before, size = self._state.offset, self.folder.journal.stat().st_size
        if size == before:
            return self._state, False
        if size < before:  # it has become another one
            self._pace, self._throughput = Pace(), Throughput()
        self._state.follow(self.folder.journal, self._hear)
        return self._state, self._state.offset != before

    def _hear(self, event: Event) -> None:
        state = self._state or State()
        self._pace.hear(event, state)
        self._events.hear(event, state)
        if isinstance(event, Submitted | Resumed | Requeued):
            self._throughput.begin(event.at)
            if isinstance(event, Submitted):
                self._failure, self._line = None, ""
        elif isinstance(event, Finished) and event.again is None and not event.duplicate:
            if state.stage(event.task) is None and not event.waits:
                self._throughput.add(event.at)
            if event.state in ("failed", "lost"):
                self._failure, self._line = event, ""
        elif isinstance(event, DependencyDone):
            self._throughput.add(event.at, ranges.count(event.tasks))

    def _failed(self) -> str:
        if self._failure is not None and not self._line:
            run = Followed(self.folder, 0, 0, self._state or State(), failure=self._failure)
            self._line = failure_line(run).removeprefix("✗ ")
        return self._line


class WatchedEngine:
    """Asks the engine over one connection. samples: of each node, the newest last."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.samples: dict[str, tuple[NodeSample, ...]] = _recorded(lab.path / layout.NODES_FILE)
        self._client: EngineClient | None = None
        self._knows_nodes = True  # an engine of an older version has no such command
        self._answered = 0.0  # on the monotonic clock
        self._last: EngineSnapshot | None = None

    def take_snapshot(self) -> EngineSnapshot | None:
        """Return the engine's status; None where none is running."""
        try:
            self._last = self._ask()
            self._answered = time.monotonic()
        except EngineSilent as error:
            if time.monotonic() - self._answered > SILENT:
                last = self._last or EngineSnapshot()
                return EngineSnapshot(last.pid, last.active, str(error), last.nodes, last.refused)
        except EngineGone:
            self.close()
            if self._side is None or self._last is None or self._last.away:  # else the next look tells why
                self._last = None
        except LabError as error:  # it is on another host
            self.close()
            away = self._side is not None and bool(self._side.trouble)
            self._last = EngineSnapshot(notice=str(error), away=away)
        return self._last

    @property
    def _side(self) -> mirrors.OtherSide | None:
        return mirrors.other_side(self.lab.path)

    def was_killed(self) -> bool:
        """Return whether an engine of this host was killed: it did not say that it ends."""
        if self._side is not None:
            return False  # its processes can't be seen from here
        facts = EngineFacts.read(self.lab)
        return facts is not None and facts.here and not facts.alive

    def close(self) -> None:
        """Close the connection to the engine, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(self) -> EngineSnapshot | None:
        if self._client is None:
            self._client = EngineClient.connect(self.lab)
            self._knows_nodes = True
            self._answered = time.monotonic()
        if self._client is None:
            return None
        status = self._client.request(AskStatus(), patience=PATIENCE)
        nodes = self._nodes(status)
        self._sample(nodes)
        return EngineSnapshot(status.pid, tuple(status.active), status.notice, nodes, status.refused)

    def _nodes(self, status: Status) -> tuple[NodeStatus, ...]:
        assert self._client is not None
        if self._knows_nodes:
            try:
                return tuple(self._client.request(ListNodes(), patience=PATIENCE).nodes)
            except (EngineGone, EngineSilent):
                raise
            except LabError:
                self._knows_nodes = False
        return tuple(status.nodes)

    def _sample(self, nodes: tuple[NodeStatus, ...]) -> None:
        now = time.time()
        fresh = dict(self.samples)
        for node in nodes:
            if node.pending is not None:
                continue  # a pool: nothing is measured of it
            before = fresh.get(node.name, ())
            if not before or now - before[-1].at >= SAMPLE:
                fresh[node.name] = (*before, sample(now, node))[-SAMPLES:]
        listed = {node.name for node in nodes}
        for name in [name for name, past in fresh.items() if len(past) > 1 and past[-1].pool and name not in listed]:
            fresh[name] = fresh[name][-1:]  # an allocation that has ended comes back under no name
        self.samples = fresh


def sample(at: float, node: NodeStatus) -> NodeSample:
    """Return a sample of a node, from the engine's answer or a line of nodes.jsonl."""
    gpus = [one.used for one in node.gpus or () if one.used is not None]
    busy = node.open if node.used is None else node.used
    return NodeSample(
        at,
        slots=_share(busy, node.slots),
        busy=busy if node.slots else None,
        load=_share(node.load, node.cores),
        memory=_share(node.memory_used, node.memory),
        gpu=sum(gpus) / len(gpus) / 100 if gpus else None,
        pool=node.pool or "",
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _recorded(path: Path) -> dict[str, tuple[NodeSample, ...]]:
    """Return the samples of nodes that the lab has."""
    found: dict[str, list[NodeSample]] = {}
    for row in node_samples(path).tail(SAMPLES * 50).iter_rows(named=True):
        if row["node"] is not None and row["at"] is not None:
            gpus = json.loads(row["gpus"] or "null")
            at = row["at"].timestamp()
            about = {**row, "name": row["node"], "at": at, "gpus": gpus}
            found.setdefault(row["node"], []).append(sample(at, NodeStatus.of(about)))
    return {name: tuple(samples[-SAMPLES:]) for name, samples in found.items()}
