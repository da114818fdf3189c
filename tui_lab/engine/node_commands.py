"""Commands of followers that are about nodes, and about files on them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tui_lab.engine.engine import Engine
from tui_lab.engine.files import Unreachable, absent
from tui_lab.engine.node import Node
from tui_lab.engine.run import ExperimentRun, entries_of
from tui_lab.engine.samples import sample_of
from tui_lab.engine.transfer import TransferError
from tui_lab.portable.globs import matcher
from tui_lab.store import journal, layout
from tui_lab.store.errors import LabError
from tui_lab.store.events import Assigned, Finished, Left
from tui_lab.store.fold import RUNNING
from tui_lab.store.task_files import TaskFile

UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"  # what the journal has for a byte of a name that is no UTF-8
ANSWER: Final = 60.0  # seconds that a node may take to be there for a command
SETTLE: Final = 3.0  # seconds for news that an agent had for us
MOST: Final = 1 << 20  # bytes of a file in one answer


class NodeCommands:
    """Each raises LabError for what can't be done."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # How they stand.

    def listing(self) -> list[dict[str, Any]]:
        """Every node that the engine knows: what it samples of it, and what runs there."""
        return [self._of(node) for node in self.engine.nodes.values()]

    def stopping(self, name: str | None = None) -> list[dict[str, Any]]:
        """How many tasks are to be stopped on which node, of one experiment or all; with `away_for` where it can't be
        reached: there they are stopped once it is back, and given up in `lost_in` seconds."""
        found = []
        for run in self.engine.runs.values():
            places = Counter(run.flight[key] for key in run.stopping) if name in (None, run.name) else {}
            for place, count in places.items():
                node = self.engine.nodes.get(place)
                away = {} if node is None else {"error": node.error, **self._away(node)}
                found.append({"experiment": run.name, "node": place, "tasks": count, **away})
        return found

    def _away(self, node: Node) -> dict[str, Any]:
        """Since when a node is away, and until when its tasks wait for it, in seconds."""
        if not node.away:
            return {}
        lost_in = None if node.lost else max(0.0, round(self.engine.reach.lost_in(node), 1))
        return {"away_for": round(node.failing_for(), 1), "lost_in": lost_in}

    def _of(self, node: Node) -> dict[str, Any]:
        there = [(run, key) for run in self.engine.runs.values() for key, at in run.flight.items() if at == node.name]
        tasks = [[run.name, *key] for run, key in there if run.state.columns["state"][key[0]] == RUNNING]
        quarantined = node.ready and any(
            node.name in self.engine.runs[name].state.quarantined for name in self.engine.active
        )
        return {
            **sample_of(node),
            **self._away(node),
            "at": node.heard,
            "name": node.name,
            "state": "quarantined" if quarantined else node.state,
            "used": min(len(tasks), node.slots),
            "open": len(node.open) if node.ready else len(there),
            "stopping": sum(key in run.stopping for run, key in there),
            "host": node.entry.get("host"),
            "tags": node.entry.get("tags", []),
            "error": node.error,
            "doing": node.said,
            "python": node.facts.get("python"),
            "cores": node.facts.get("cores"),
            "shared": node.shared,
            "facts": node.facts,
            "tasks": tasks[:1000],
        }

    def _node(self, name: str) -> Node:
        node = self.engine.nodes.get(name)
        if node is None:
            known = ", ".join(self.engine.nodes) or "none"
            raise LabError(f'the engine has no node "{name}"', f"it has: {known}")
        return node

    # Changes, which hold until the next submission.

    def set_slots(self, name: str, slots: int) -> None:
        if slots < 1:
            raise LabError(f"{slots} slots: a node has one slot at least", "`nodes drain` starts nothing there")
        node = self._node(name)
        node.set_slots(slots)
        self._write_down(name)

    def drain(self, name: str, drained: bool) -> None:
        """Start nothing new on a node, or do so again, also where it was in quarantine; what runs there goes on."""
        node = self._node(name)
        node.drained = drained
        self.engine.samples.note(node)
        self._write_down(name, resumed=not drained)
        if drained:
            for run in self.engine.runs.values():
                self.engine.dispatch.take_back(run, name)
        self.engine.dispatch.plan()

    def reconnect(self, name: str, environment: Mapping[str, str]) -> None:
        """Try at once to reach a node, with what the caller's environment has for the way there."""
        node = self._node(name)
        if not node.ready:
            self.engine.reach.try_again(node, environment)

    def add(
        self, entry: dict[str, Any], experiments: Sequence[str] | None, environment: Mapping[str, str]
    ) -> list[str]:
        """A further node for experiments that are going, by default all: those that have not got it yet."""
        names = sorted(self.engine.active) if experiments is None else list(experiments)
        if not names:
            raise LabError("nothing is running that could use another node", "`--run FILE --node ...` starts with it")
        self.engine.reach.check([entry])
        for name in names:
            run = self.engine.submitted(name)
            if run.environment is None:
                raise LabError(f'"{name}" is not running', f"tui-lab resume {name}")
        names = [name for name in names if entry["name"] not in [one["name"] for one in self.engine.runs[name].nodes]]
        for name in names:
            run = self.engine.runs[name]
            run.place_on([*run.nodes, entry], run.drained_nodes)
            self.engine.reach.connect(entry, environment)
        self.engine.dispatch.plan()
        return names

    def _write_down(self, name: str, resumed: bool = False) -> None:
        node = self.engine.nodes[name]
        for active in self.engine.active:
            run = self.engine.runs[active]
            if any(one["name"] == name for one in run.nodes):
                entries = [one | {"slots": node.slots} if one["name"] == name else one for one in run.nodes]
                drained = {one for one in run.drained_nodes if one != name} | ({name} if node.drained else set())
                released = [name] if resumed and name in run.state.quarantined else []
                run.place_on(entries, drained, released)
                if released:
                    run.health.forget(name)
        self.engine.dispatch.plan()

    # Files.

    async def tail(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A piece of a file of a task, wherever it is: base64, and the file's size there."""
        run = self.engine.submitted(request["experiment"])
        key = (int(request["task"]), int(request["attempt"]))
        offset, most = int(request["offset"]), min(int(request.get("most", MOST)), MOST)
        node = self.engine.nodes.get(run.flight.get(key, ""))
        if node is None or node.shared or not node.ready:
            return {"data": None, "total": 0}
        paths = self.engine.staging.paths(run, node, run.state.columns["submission"][key[0]])
        if paths is None:
            return {"data": None, "total": 0}
        path = f"{Path(paths.tasks).parent}/{layout.task_folder(Path(), key[0])}/{request['name']}"
        try:
            async with self.engine.files.channel(node) as channel:
                data, total = await channel.read(node.home, path, offset, most)
        except TransferError as error:
            if absent(error):
                return {"data": "", "total": 0}
            raise LabError(f"node {node.name}: {error}") from None
        except Unreachable as error:
            raise LabError(f"node {node.name}: {error}") from None
        return {"data": base64.b64encode(data).decode(), "total": total}

    async def fetch(self, request: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
        """Bring home what a task left on its node."""
        run = self.engine.submitted(request["experiment"])
        task = int(request["task"])
        attempt = request.get("attempt") or run.state.columns["attempt"][task]
        left, more = _left(run, task, attempt)
        if not left:
            return {"files": 0, "bytes": 0}
        name = _node_of(run, task, attempt)
        node = await self._reach(entries_of(run).get(name, {"name": name}), environment)
        folder = f"{node.home}/{run.wire_name}/{layout.task_folder(Path(), task)}"
        size, refused = 0, ""
        try:
            async with self.engine.files.channel(node) as channel:
                unsaid = more or any(UNKNOWN in file.name for file in left)
                names = [file.name for file in left if file.link is None]
                if unsaid:
                    there = await channel.list_files(node.home, folder)
                    names = [file["name"] for file in there if "link" not in file]
                globs = [glob.replace(UNKNOWN, "?") for glob in request["globs"] or ()]
                wanted = list(filter(matcher(globs or None), names))
                for name in wanted:
                    target = TaskFile(str(run.folder.task_folder(task)), name)
                    try:
                        size += await channel.get(node.home, f"{folder}/{name}", target)
                    except (TransferError, ValueError) as error:
                        if isinstance(error, TransferError) and (error.lost or error.storage):
                            raise
                        refused = refused or f"node {node.name}: {name}: {error}"
        except (TransferError, *Unreachable) as error:
            raise LabError(f"node {node.name}: {error}") from None
        if refused:
            raise LabError(refused)
        return {"files": len(wanted), "bytes": size}

    async def clean(self, environment: Mapping[str, str]) -> list[dict[str, Any]]:
        """Remove what interrupted runs left on nodes: agents with nothing to do, their spools, code and outputs."""
        entries: dict[str, dict[str, Any]] = {}
        for name in self.engine.lab.experiments():
            with contextlib.suppress(LabError):
                entries |= entries_of(self.engine.load(name))
        return list(await asyncio.gather(*(self._clean(entry, environment) for entry in entries.values())))

    async def _clean(self, entry: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
        name = entry["name"]
        if any(name in [one["name"] for one in self.engine.runs[active].nodes] for active in self.engine.active):
            return {"name": name, "removed": [], "error": "a run that is going uses it"}
        try:
            node = await self._reach(entry, environment)
            self.engine.abandon_unstarted()  # what waits for an environment never begins
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE):
                    while node.open:
                        await asyncio.sleep(0.05)  # what has ended is being told
            if node.open:
                return {"name": name, "removed": [], "error": f"{len(node.open)} tasks are still open there"}
            removed = [f"the agent and its spool ({node.spool})"]
            if node.home:
                async with self.engine.files.channel(node) as channel:
                    await channel.remove([node.home], node.home)
                removed.append(node.home)
            self.engine.reach.drop(node)
        except (LabError, TransferError, *Unreachable) as error:
            return {"name": name, "removed": [], "error": str(error)}
        return {"name": name, "removed": removed, "error": ""}

    async def _reach(self, entry: Mapping[str, Any], environment: Mapping[str, str]) -> Node:
        """A node, once it answers. Raises LabError."""
        node = self.engine.reach.connect(entry, environment)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                while not node.ready and not node.hopeless and node.tries < 2:
                    await asyncio.sleep(0.05)
        if not node.ready:
            raise LabError(f"node {node.name}: {node.error or 'it does not answer'}")
        return node


def _left(run: ExperimentRun, task: int, attempt: int) -> tuple[list[Left], bool]:
    """What an attempt left on its node, as its `finished` says; and whether there is more than that names."""
    for event, _ in journal.read(run.folder.journal, kinds=[Finished]):
        if isinstance(event, Finished) and (event.task, event.attempt) == (task, attempt) and event.left:
            return event.left, event.left_more is not None
    return [], False


def _node_of(run: ExperimentRun, task: int, attempt: int) -> str:
    """Where an attempt ran."""
    found: str = run.state.nodes[run.state.columns["node"][task]]
    for event, _ in journal.read(run.folder.journal, kinds=[Assigned]):
        if isinstance(event, Assigned) and (task, attempt) in event.attempts:
            found = event.node
    return found
