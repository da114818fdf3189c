"""Commands of clients about nodes, and about files on them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from tui_lab.engine.channel_pool import Unreachable, is_missing
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.events import NodeDrained, PoolDrained, Recorded, SlotsSet
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.run import RunState
from tui_lab.engine.engine import Engine, moment
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.samples import sample_of
from tui_lab.engine.transfer.channel import FileChannel
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transports import is_pool
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.portable.globs import matcher
from tui_lab.protocol.control import CleanedNode, Fetched, FetchFiles, NodeStatus, Piece, ReadFile, StoppingTasks
from tui_lab.store import journal
from tui_lab.store.errors import LabError
from tui_lab.store.events import Assigned, Finished, LeftFile
from tui_lab.store.fold import RUNNING
from tui_lab.store.task_files import TaskFile

UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"  # what the journal has for a byte of a name that is no UTF-8
ANSWER: Final = 60.0  # seconds that a node may take to be there for a command
SETTLE: Final = 3.0  # seconds for messages that an agent has not sent yet
MOST: Final = 1 << 20  # bytes of a file in one answer


class Away(TypedDict, total=False):
    """Since when a node is away, and until when its tasks wait for it, in seconds; empty where it is not away."""

    away_for: float
    lost_in: float | None


class NodeCommands:
    """Each raises LabError for what can't be done."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.scheduler = engine.scheduler

    # --- How they stand

    def listing(self) -> list[NodeStatus]:
        """Every node and pool that the engine knows: what it samples of it, and what runs there. The nodes of a pool
        come behind it."""
        nodes, pools = [self._of(node) for node in self.engine.nodes.values()], self.engine.pools.shown()
        found = [node for node in nodes if node.pool is None]
        for pool in pools:
            found += [pool, *(node for node in nodes if node.pool == pool.name)]
        listed = {pool.name for pool in pools}
        return [*found, *(node for node in nodes if node.pool is not None and node.pool not in listed)]

    def stopping(self, name: str | None = None) -> list[StoppingTasks]:
        """How many tasks are to be stopped on which node, of one experiment or all; with `away_for` where it can't be
        reached: there they are stopped once it is back, and given up in `lost_in` seconds."""
        found = []
        for run in self.scheduler.runs.values():
            counts = Counter(run.in_flight[key] for key in run.stopping) if name in (None, run.name) else {}
            for where, count in counts.items():
                node = self.scheduler.nodes.get(where)
                if node is None:
                    found.append(StoppingTasks(run.name, where, count))
                else:
                    found.append(StoppingTasks(run.name, where, count, error=node.error, **self._away(node)))
        return found

    def notice(self) -> str:
        """What the engine waits for, for the user; empty where all is well."""
        engine, active = self.engine, [self.scheduler.runs[name] for name in sorted(self.scheduler.active)]
        full = [
            f"{engine.lab.path / name}: {why}; waiting until there is room"
            for name, why in engine.durability.full.items()
        ]
        held = [f"node {node.name}: {said}" for node in engine.nodes.values() for said in _said(node) if said]
        waiting = [*map(self._drained, active), *map(self._waiting, active)]
        pools = engine.pools.notice()
        return "; ".join(said for said in (*full, engine.outputs.trouble, *held, pools, *waiting) if said)

    def _waiting(self, run: RunState) -> str:
        """Where tasks are to be stopped that can't be reached."""
        nodes = {run.in_flight[key] for key in run.stopping}
        away = sorted(name for name in nodes if name in self.scheduler.nodes and self.scheduler.nodes[name].away)
        return f"{run.name}: its tasks on {', '.join(away)} are stopped once the connection is back" if away else ""

    def _drained(self, run: RunState) -> str:
        """What a run waits for whose nodes the user has drained, all of them."""
        nodes = self.scheduler.nodes_of(run)
        if not run.order or run.held or not nodes or not all(node.drained for node in nodes):
            return ""
        return f"{run.name}: all its nodes are drained; `tui-lab nodes resume {nodes[0].name}` lets it go on"

    def _away(self, node: NodeState) -> Away:
        """Since when a node is away, and until when its tasks wait for it, in seconds."""
        if not node.away:
            return {}
        now = moment()
        lost_in = None if node.lost else max(0.0, round(self.scheduler.lost_in(node, now), 1))
        return {"away_for": round(node.failing_for(now.monotonic), 1), "lost_in": lost_in}

    def _of(self, node: NodeConnection) -> NodeStatus:
        runs, state = self.scheduler.runs, node.state
        there = [(run, key) for run in runs.values() for key in run.in_flight.on(node.name)]
        tasks = [[run.name, *key] for run, key in there if run.state.columns["state"][key[0]] == RUNNING]
        quarantined = node.ready and any(node.name in runs[name].state.quarantined for name in self.scheduler.active)
        about = {
            **sample_of(node),
            **self._away(state),
            "at": node.heard,
            "name": node.name,
            "state": "quarantined" if quarantined else state.state,
            "used": min(len(tasks), state.slots),
            "open": len(state.open) if node.ready else len(there),
            "stopping": sum(key in run.stopping for run, key in there),
            "host": node.entry.get("host"),
            "tags": node.entry.get("tags", []),
            "error": state.error,
            "doing": node.status_text,
            "python": node.facts.get("python"),
            "cores": node.facts.get("cores"),
            "shared": node.shared,
            "facts": node.facts,
            "tasks": tasks[:1000],
        }
        pool = self.engine.pools.pools.get(state.pool)
        if pool is not None:
            about |= {"job": pool.job_of(node.name), "ends_in": pool.ends_in(node.name)}
        return NodeStatus.of(about)

    def _node(self, name: str) -> NodeConnection:
        node = self.engine.nodes.get(name)
        if node is None and name in self.engine.pools.pools:
            raise LabError(f'"{name}" is a pool', "its nodes are connected as they are granted")
        if node is None:
            known = ", ".join(self.engine.nodes) or "none"
            raise LabError(f'the engine has no node "{name}"', f"it has: {known}")
        return node

    # --- Changes, which hold until the next submission

    def set_slots(self, name: str, slots: int) -> None:
        """Set the number of slots of a node. Raises LabError."""
        if slots < 1:
            raise LabError(f"{slots} slots: a node needs at least one slot", "`nodes drain` starts nothing there")
        node = self._node(name)
        if node.state.pool:
            raise LabError(f'"{name}" belongs to {node.state.pool}', "whose slots stand in the cluster file")
        node.entry["slots"] = slots
        self.engine.feed(SlotsSet(name, slots))
        self._write_down(name)

    def drain(self, name: str, drained: bool) -> None:
        """Start nothing new on a node, or do so again, also where it was in quarantine; what runs there goes on."""
        if name in self.engine.pools.pools:
            self.engine.feed(PoolDrained(name, drained))
            self._write_down(name, resumed=not drained)
            return
        node = self._node(name)
        if node.state.pool:
            raise LabError(f'"{name}" belongs to {node.state.pool}', f"drain, or resume, {node.state.pool}")
        self.engine.feed(NodeDrained(name, drained))
        self.engine.samples.note(node)
        self._write_down(name, resumed=not drained)

    def reconnect(self, name: str, environment: Mapping[str, str]) -> None:
        """Try at once to reach a node, with what the caller's environment has for the way there."""
        node = self._node(name)
        if not node.ready:
            self.engine.registry.try_again(node, environment)

    def add(self, entry: NodeEntry, experiments: Sequence[str] | None, environment: Mapping[str, str]) -> list[str]:
        """A further node for experiments that are going, by default all: those that have not got it yet."""
        names = sorted(self.scheduler.active) if experiments is None else list(experiments)
        if not names:
            raise LabError("nothing is running that could use another node", "`--run FILE --node ...` starts with it")
        self.engine.pools.check([entry])
        for name in names:
            run = self.engine.submitted(name)
            if run.environment is None:
                raise LabError(f'"{name}" is not running', f"tui-lab resume {name}")
        names = [name for name in names if entry["name"] not in [one["name"] for one in self.engine.runs[name].nodes]]
        for name in names:
            run = self.engine.runs[name]
            placed = run.place_on([*run.nodes, entry], run.drained_nodes)
            self.engine.pools.connect(entry, environment)
            self.engine.feed(Recorded(name, [placed]))
        return names

    def _write_down(self, name: str, resumed: bool = False) -> None:
        node = self.engine.nodes.get(name)
        state = self.scheduler.pools[name] if node is None else node.state
        slots: NodeEntry = {} if node is None else {"slots": node.state.slots}
        for active in sorted(self.scheduler.active):
            run = self.engine.runs[active]
            if any(one["name"] == name for one in run.nodes):
                entries = [one | slots if one["name"] == name else one for one in run.nodes]
                drained = {one for one in run.drained_nodes if one != name} | ({name} if state.drained else set())
                released = [name] if resumed and name in run.state.quarantined else []
                self.engine.feed(Recorded(active, [run.place_on(entries, drained, released)]))

    # --- Files

    async def tail(self, command: ReadFile) -> Piece:
        """A piece of a file of a task, wherever it is: base64, and the file's size there."""
        run = self.engine.submitted(command.experiment)
        key = (command.task, command.attempt)
        offset, most = command.offset, min(command.most, MOST)
        node = self.engine.nodes.get(self.scheduler.runs[run.name].in_flight.get(key, ""))
        if node is None or node.shared or not node.ready:
            return Piece(None, 0)
        paths = self.engine.staging.paths(run, node, run.state.columns["submission"][key[0]])
        if paths is None:
            return Piece(None, 0)
        path = f"{paths.outputs}/{run.folder.relative_folder(key[0])}/{command.name}"
        try:
            data, total = await self.engine.files.use(node, lambda channel: channel.read(node.home, path, offset, most))
        except TransferError as error:
            if is_missing(error):
                return Piece("", 0)
            raise LabError(f"node {node.name}: {error}") from None
        except Unreachable as error:
            raise LabError(f"node {node.name}: {error}") from None
        return Piece(base64.b64encode(data).decode(), total)

    async def fetch(self, command: FetchFiles) -> Fetched:
        """Bring home what a task left on its node."""
        run, task = self.engine.submitted(command.experiment), command.task
        attempt = command.attempt or run.state.columns["attempt"][task]
        left, more = _left(run, task, attempt)
        if not left:
            return Fetched(0, 0)
        name = _node_of(run, task, attempt)
        node = self.engine.nodes.get(name)
        if node is None and (pool := self.engine.pools.pool_of(name, run.entries())):
            raise LabError(f"its allocation of {pool} has ended", "what it left there is where the node has its homes")
        if node is None:
            node = await self._reach(run.entries().get(name, {"name": name}), command.environment)
        folder = f"{node.home}/{run.wire_name}/{run.folder.relative_folder(task)}"
        unlisted = more or any(UNKNOWN in file.name for file in left)
        names = [file.name for file in left if file.link is None]
        matches = matcher([glob.replace(UNKNOWN, "?") for glob in command.globs or ()] or None)

        async def get(channel: FileChannel) -> tuple[Fetched, str]:
            size, refused = 0, ""
            there = await channel.list_files(node.home, folder) if unlisted else []
            wanted = list(
                filter(matches, [file["name"] for file in there if "link" not in file] if unlisted else names)
            )
            for name in wanted:
                target = TaskFile(str(run.folder.task_folder(task)), name)
                try:
                    size += await channel.get(node.home, f"{folder}/{name}", target)
                except (TransferError, ValueError) as error:
                    if isinstance(error, TransferError) and (error.lost or error.storage):
                        raise
                    refused = refused or f"node {node.name}: {name}: {error}"
            return Fetched(len(wanted), size), refused

        try:
            fetched, refused = await self.engine.files.use(node, get)
        except (TransferError, *Unreachable) as error:
            raise LabError(f"node {node.name}: {error}") from None
        if refused:
            raise LabError(refused)
        return fetched

    async def clean(self, environment: Mapping[str, str]) -> list[CleanedNode]:
        """Remove what interrupted runs left on nodes: agents with nothing to do, their spools, code and outputs."""
        entries: dict[str, NodeEntry] = {}
        for name in self.engine.lab.experiments():
            with contextlib.suppress(LabError):
                entries |= self.engine.load(name).entries()
        entries = {name: entry for name, entry in entries.items() if not is_pool(entry)}  # these were given back
        return list(await asyncio.gather(*(self._clean(entry, environment) for entry in entries.values())))

    async def _clean(self, entry: NodeEntry, environment: Mapping[str, str]) -> CleanedNode:
        name = entry["name"]
        if any(name in [one["name"] for one in self.engine.runs[active].nodes] for active in self.scheduler.active):
            return CleanedNode(name, [], "a running experiment uses it")
        try:
            node = await self._reach(entry, environment)
            self.engine.abandon_unstarted()  # what waits for an environment never begins
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE):
                    while node.state.open:
                        await asyncio.sleep(0.05)  # ended attempts are being reported
            if node.state.open:
                return CleanedNode(name, [], f"{len(node.state.open)} tasks are still open there")
            removed = [f"the agent and its spool ({node.spool})"]
            if node.home:
                await self.engine.files.use(node, lambda channel: channel.remove([node.home], node.home))
                removed.append(node.home)
            self.engine.registry.drop(node)
        except (LabError, TransferError, *Unreachable) as error:
            return CleanedNode(name, [], str(error))
        return CleanedNode(name, removed, "")

    async def _reach(self, entry: NodeEntry, environment: Mapping[str, str]) -> NodeConnection:
        """A node, once it answers. Raises LabError."""
        node = self.engine.registry.connect(entry, environment)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                while not node.ready and not node.state.unrecoverable and node.tries < 2:
                    await asyncio.sleep(0.05)
        if not node.ready:
            raise LabError(f"node {node.name}: {node.state.error or 'it does not answer'}")
        return node


def _said(node: NodeConnection) -> tuple[str, ...]:
    """What a node waits for, each once."""
    return (node.status_text,) if node.notice in node.status_text else (node.notice, node.status_text)


def _left(run: RunFiles, task: int, attempt: int) -> tuple[list[LeftFile], bool]:
    """What an attempt left on its node, as its `finished` says; and whether there is more than that names."""
    for event, _ in journal.read(run.folder.journal, kinds=[Finished]):
        if isinstance(event, Finished) and (event.task, event.attempt) == (task, attempt) and event.left:
            return event.left, event.left_more is not None
    return [], False


def _node_of(run: RunFiles, task: int, attempt: int) -> str:
    """Where an attempt ran."""
    found: str = run.state.nodes[run.state.columns["node"][task]]
    for event, _ in journal.read(run.folder.journal, kinds=[Assigned]):
        if isinstance(event, Assigned) and (task, attempt) in event.attempts:
            found = event.node
    return found
