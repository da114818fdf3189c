"""Giving out work: which attempts go to which node, and when they come back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tui_lab.engine.node import Message, Node
from tui_lab.engine.output_staging import OutputStaging
from tui_lab.engine.run import ExperimentRun, Key
from tui_lab.engine.staging import CodeStaging
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.store.fold import RUNNING

if TYPE_CHECKING:
    from tui_lab.engine.engine import Engine

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds that a node may take to give attempts back


class Dispatch:
    """Hands tasks to nodes that have room, in the order of the experiments."""

    def __init__(self, engine: Engine, staging: CodeStaging) -> None:
        self.engine = engine
        self.staging = staging
        self.output_staging = OutputStaging(engine.files, engine.disk.sync, self._start)
        self._planned = False
        self._timer: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """Give out work once everything that has arrived is dealt with."""
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._planned = False
        runs = self.engine.runs.values()
        for run in sorted(runs, key=lambda run: (-run.priority, run.arrival)):
            if run.name in self.engine.active:
                self.logged(run, self._give_out, run)
        self._set_timer()
        self.engine.wake()

    def logged(self, run: ExperimentRun, call: Callable[..., None], *arguments: Any) -> None:
        """Call for one run; what goes wrong with it is that run's end, and touches no other."""
        try:
            call(*arguments)
        except (LabError, SpecError) as error:
            self.engine.give_up(run, "error", str(error))
        except Exception as error:
            log.exception("%s", run.name)
            what = f"a mistake of this program: {error!r}; see {self.engine.lab.path}/engine.log"
            self.engine.give_up(run, "error", what)

    def _set_timer(self) -> None:
        """Wake up for what waits for its time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [moment for run in self.engine.runs.values() for moment in run.due]
        if due:
            delay = max(0.0, min(due) - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self.plan)

    # Handing over.

    def _give_out(self, run: ExperimentRun) -> None:
        if run.unwritten:
            self.engine.disk.on_full(run)
            return
        run.bring_due()
        nodes = self.engine.nodes_of(run)
        quarantined = run.state.quarantined
        run.health.usable = tuple(node.name for node in nodes if node.takes and node.name not in quarantined)
        coming = (node for node in nodes if not node.ready and not node.drained)
        run.health.hoped_for = tuple(node.name for node in coming if not self.engine.reach.gone(run, node))
        if run.order and not run.held and not self.engine.outputs.full:
            takers = self._takers(run, nodes)
            if not self._fill(run, takers):
                return
            if run.order and not run.flight and takers and not any(map(run.fits_some, takers)):
                # What is left is not for those that might show whose fault the failures are.
                for name in filter(run.health.suspects, run.health.usable):
                    run.health.trust(name)
                if not self._fill(run, self._takers(run, nodes)):
                    return
            if run.order and takers and run.needy:
                self._refuse_misfits(run, nodes)
        elif not run.order:
            takers = self._takers(run, nodes)
            if len(takers) > 1:
                self._even_out(run, takers)
        if run.over:
            self.engine.finish(run)
            if run.limits:
                self.plan()  # its limits bound others, too

    def _takers(self, run: ExperimentRun, nodes: Sequence[Node]) -> list[Node]:
        """The nodes that may get something of a run now."""
        return [
            node
            for node in nodes
            if node.name in run.health.usable
            and not run.health.suspects(node.name)
            and self.staging.paths(run, node, run.submission) is not None
        ]

    def _fill(self, run: ExperimentRun, takers: Sequence[Node]) -> bool:
        """Give each node what it can take: free slots first, on all nodes alike, then a backlog. False where the disk
        is full."""
        if run.stagger:
            return self._start_one(run, takers)
        if run.needy:
            return self._fill_with_needs(run, takers)
        free = sum(node.free for node in takers)
        for node in sorted(takers, key=lambda node: -node.free) if len(takers) > 1 else ():
            mine = node.free
            if mine and not self._hand_out(run, node, min(mine, -(-len(run.order) * mine // free))):
                return False
            free -= mine
        for node in takers:
            share = max(node.slots, -(-len(run.order) // len(takers)))
            while node.hungry and run.order:
                count = len(run.order)
                if not self._hand_out(run, node, min(node.window, share)):
                    return False
                if len(run.order) == count:
                    break
        return True

    def _start_one(self, run: ExperimentRun, takers: Sequence[Node]) -> bool:
        """Hand out one attempt that starts at once, where the last start was long enough ago. A node whose setup is
        running would keep several, and start them together."""
        if not run.may_start:
            return True
        for node in sorted(takers, key=lambda node: -node.free):
            if node.free and node.setup_since is None:
                keys = run.take(1, node.room()[0] if run.needy else None, now=True)
                if keys:
                    run.next_start = time.monotonic() + run.stagger
                    run.handed_out = keys[0]
                    return self._assign(run, node, keys)
        return True

    def _fill_with_needs(self, run: ExperimentRun, takers: Sequence[Node]) -> bool:
        """The same for tasks that need more than a slot: one after the other to the node with most room, and a few to
        wait where they will fit."""
        offers = {node: node.room() for node in takers}
        chosen: dict[Node, list[Key]] = {node: [] for node in takers}
        roomy = list(takers)
        while roomy and run.order:
            roomy.sort(key=lambda node: -offers[node][0].free)
            for node in list(roomy):
                keys = run.take(1, offers[node][0], now=True)
                chosen[node] += keys
                if not keys:
                    roomy.remove(node)
        for node in takers:
            most = min(node.window - len(chosen[node]), node.waiting_room - len(offers[node][1]))
            if most > 0 and run.order:
                chosen[node] += run.take(most, node.resources)
        for number, node in enumerate(takers):
            if not self._assign(run, node, chosen[node]):
                for later in takers[number + 1 :]:
                    run.put_back(chosen[later])
                return False
        return True

    def _hand_out(self, run: ExperimentRun, node: Node, most: int) -> bool:
        """False where the disk is full."""
        return self._assign(run, node, run.take(most, None))

    def _assign(self, run: ExperimentRun, node: Node, keys: list[Key]) -> bool:
        if not keys:
            return True
        if not run.assign(keys, node.name, node.spool):
            self.engine.disk.on_full(run)
            return False
        try:
            self._hand_over(run, node, keys)
        except Exception:  # nothing has been sent: what is open nowhere must not keep the engine
            for key in keys:
                node.open.pop((run.wire_name, *key), None)
            run.record(run.on_returned(keys))
            raise
        return True

    def _hand_over(self, run: ExperimentRun, node: Node, keys: list[Key]) -> None:
        recipe = run.recipe()
        paths = self.staging.paths(run, node, run.submission)
        assert paths is not None
        self.send_context(run, node, run.submission)
        messages, failures = [], []
        for key in keys:
            row = recipe.plan.row(key[0])
            try:
                if row is None:
                    raise ValueError("the task is not in the plan any more")
                message = recipe.start(row, key[1], paths, run.state.changes.get(key[0]))
                message["experiment"] = run.wire_name
                node.open[run.wire_name, *key] = run.needs_of_node(key)
                if not self.output_staging.stage(run, node, key, message):
                    messages.append(message)
            except ValueError as error:
                failures.append(run.on_finished(key, {"state": "failed", "reason": "start", "message": str(error)}))
        if messages:
            node.send(*messages)
        if failures:
            run.record(failures)
            self.look_at_failures(run)

    def _start(self, run: ExperimentRun, node: Node, key: Key, message: Message) -> None:
        """Have an attempt started whose files had to go there first; a person may have stopped it meanwhile."""
        node.send(message)
        if key in run.stopping:
            self.engine.send_stop(run, node, key)

    def send_context(self, run: ExperimentRun, node: Node, submission: int) -> None:
        """Let a node know what the tasks of a submission have in common."""
        if run.environment is None or not node.ready:
            return
        recipe = run.recipe(submission)
        if recipe.identity in node.contexts:
            return
        paths = self.staging.paths(run, node, submission)
        if paths is not None:
            node.contexts.add(recipe.identity)
            node.send(recipe.context(run.environment, paths) | {"umask": run.umask})

    def count_needs(self, run: ExperimentRun, node: Node) -> None:
        """What the open attempts of a run on a node use there, now that the run can be read."""
        for name, task, attempt in node.open:
            if name == run.wire_name:
                node.open[name, task, attempt] = run.needs_of_node((task, attempt))

    def send_contexts(self, run: ExperimentRun, node: Node) -> None:
        """The contexts that open attempts of a run on a node may wait for."""
        for submission in {
            run.state.columns["submission"][task] for (task, _), at in run.flight.items() if at == node.name
        }:
            self.send_context(run, node, submission)

    def _refuse_misfits(self, run: ExperimentRun, nodes: Sequence[Node]) -> None:
        """End tasks that need more than any node has, once all nodes have said what they have."""
        if all(node.met or node.hopeless for node in nodes):
            offers = [(node.name, node.resources) for node in nodes if node.resources is not None]
            events = run.unplaceable(offers)
            if events:
                run.record(events)
                self.look_at_failures(run)

    def look_at_failures(self, run: ExperimentRun) -> None:
        """Start nothing more where too much has failed, or on a node that fails what others do well."""
        for event in run.quarantine():
            log.warning("%s: node %s fails what others do well", run.name, event.node)
            run.record([event])
            self.take_back(run, event.node)
        for name in run.health.usable:
            if run.health.suspects(name):
                self.take_back(run, name)
        pause = run.pause_after_failures()
        if pause is not None:
            run.record([pause])
            self.take_back(run)

    # Taking back.

    def take_back(self, run: ExperimentRun, only: str | None = None) -> None:
        """Ask nodes, or one of them, for the attempts that have not begun."""
        for node in self.engine.nodes.values():
            if only in (None, node.name):
                self._ask_for(run, node, self._waiting(run, node))

    def _even_out(self, run: ExperimentRun, takers: Sequence[Node]) -> None:
        """Near the end: nodes with nothing to do get what waits on the one with the longest backlog."""
        if run.needy:
            self._even_out_needs(run, takers)
            return
        idle = sum(node.free for node in takers)
        behind = max(takers, key=lambda node: len(node.open) - node.slots)
        if not idle or behind.free or len(behind.open) <= behind.slots:
            return
        if time.monotonic() < behind.undisturbed_until:
            return
        waiting = self._waiting(run, behind)
        count = min(len(waiting), max(idle, (len(behind.open) - behind.slots) // 2))
        if count:
            behind.undisturbed_until = time.monotonic() + PATIENCE
            self._ask_for(run, behind, waiting[-count:])

    def _even_out_needs(self, run: ExperimentRun, takers: Sequence[Node]) -> None:
        """What waits on a node for its turn, and has room on another."""
        offers = {node: node.room() for node in takers}
        for behind, (_, waiting) in offers.items():
            if time.monotonic() < behind.undisturbed_until:
                continue
            mine = [key for key in self._waiting(run, behind) if (run.wire_name, *key) in set(waiting)]
            movable = [
                key
                for key in reversed(mine)
                if any(
                    node is not behind and not node.resources.why_impossible(needs) and room.grant(needs) is not None
                    for node, (room, _) in offers.items()
                    if node.resources is not None
                    for needs in [run.needs_of_node(key)]
                )
            ]
            if movable:
                behind.undisturbed_until = time.monotonic() + PATIENCE
                self._ask_for(run, behind, movable)

    def _waiting(self, run: ExperimentRun, node: Node) -> list[Key]:
        """Attempts of a run that a node has and, as far as we know, has not begun."""
        states = run.state.columns["state"]
        return [key for key, at in run.flight.items() if at == node.name and states[key[0]] != RUNNING]

    def _ask_for(self, run: ExperimentRun, node: Node, keys: Sequence[Key]) -> None:
        if keys:
            node.send({"type": "return", "keys": [[run.wire_name, *key] for key in keys]})
