"""Which attempts go to which node, and when they come back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from tui_lab.engine.core import unplaceable
from tui_lab.engine.core.effects import Assign, Extend, SendContext, Stage
from tui_lab.engine.core.hand_out import Inputs
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.pools import home_of
from tui_lab.engine.core.run import RunState
from tui_lab.engine.core.state import SchedulerState, isolated
from tui_lab.protocol.agent import Return
from tui_lab.store import ranges
from tui_lab.store.events import Ended, Extended, Paused

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds that a node may take to give attempts back
UNREACHABLE: Final = 5.0  # seconds of failed tries after which a node that was never there is given up
TRIES: Final = 3  # failed tries that make a node unreachable


class Planner:
    """Hands tasks to nodes that have room, in the order of the experiments, and ends runs that have nothing left."""

    def __init__(self, state: SchedulerState) -> None:
        self._state = state

    def plan(self) -> None:
        """Assign what can be assigned now."""
        for run in self._state.in_order():
            if run.name in self._state.active:  # still
                isolated(self._state, run, self._assign_work, self.fail)

    def make_way(self) -> None:
        """Take back what has not begun of runs that come behind others with waiting tasks."""
        waiting = False
        for run in self._state.in_order():
            if waiting:
                self.take_back(run)
            waiting = waiting or bool(run.order and not run.held)

    def _assign_work(self, run: RunState) -> None:
        state, now = self._state, self._state.now
        if run.disk_full:
            return
        run.queue_due_retries(now)
        run.times.now = now.monotonic
        ending = any(pool.reach is not None for pool in state.pools.values())
        choosy = not run.order or run.is_choosy or ending
        whole = run.roster.is_due(run.health.version, choosy=choosy) or bool(run.order and not run.in_flight)
        nodes = self._look_at_all(run) if whole else self._look_at_changed(run, choosy=choosy)
        if run.order and not run.held and not state.outputs_blocked:
            takers = self._takers(run, nodes)
            self._fill(run, takers)
            run.roster.hungry = {node.name: None for node in takers if node.free or node.wants_more}
            if whole:
                self._settle_rest(run, nodes, takers)
        elif not run.order and whole:
            takers = self._takers(run, nodes)
            if len(takers) > 1:
                self._rebalance(run, takers)
        run.roster.on_planned(run.health.version)
        if run.over:
            self._finish(run)
            if run.needs.limits:
                state.plan()  # its limits bound others, too

    def _look_at_all(self, run: RunState) -> list[NodeState]:
        """Return all nodes of a run, having noted which of them are of use."""
        nodes = self._state.nodes_of(run)
        run.roster.on_whole(len(nodes))
        run.roster.hungry = {node.name: None for node in nodes}
        usable = [node.name for node in nodes if self._is_usable(run, node)]
        expected = [node.name for node in nodes if self._is_expected(run, node)]
        run.health.compare(usable, [*expected, *(pool.name for pool in self._state.hopes(run))])
        return nodes

    def _look_at_changed(self, run: RunState, *, choosy: bool) -> list[NodeState]:
        """Return the nodes that have changed and, if every node can run every task, those that could take more."""
        roster, nodes, homes = run.roster, self._state.nodes, run.homes
        for name in roster.changed:
            node = nodes.get(name)
            if node is not None and home_of(node) in homes:
                roster.hungry[name] = None
                run.health.move(name, usable=self._is_usable(run, node), expected=self._is_expected(run, node))
            else:
                roster.hungry.pop(name, None)
                run.health.move(name, usable=False, expected=False)
        found = roster.changed if choosy else roster.hungry
        roster.changed, roster.owes = {}, roster.owes or choosy
        return [nodes[name] for name in found if name in roster.hungry]

    @staticmethod
    def _is_usable(run: RunState, node: NodeState) -> bool:
        return node.takes and node.name not in run.state.quarantined

    def _is_expected(self, run: RunState, node: NodeState) -> bool:
        return not (node.ready or node.drained or node.ending or self.is_useless(run, node))

    def _settle_rest(self, run: RunState, nodes: Sequence[NodeState], takers: Sequence[NodeState]) -> None:
        """See to the tasks that no node has taken."""
        if run.order and not run.in_flight and takers and not any(map(run.hand_out.fits_any, takers)):
            # What is left is not for those that might show whose fault the failures are.
            for name in run.health.suspects:
                run.health.trust(name)
            self._fill(run, self._takers(run, nodes))
        if run.node_runs:
            self._make_on_nodes(run, nodes)
        if run.order and takers and run.needs.matter:
            self._fail_unplaceable(run, nodes)
        if run.order and self._state.pools:
            self._fail_overlong(run, nodes)
        if run.order and run.lanes.matter and len(takers) > 1:
            self._rebalance(run, takers)

    def _make_on_nodes(self, run: RunState, nodes: Sequence[NodeState]) -> None:
        """Have nodes make the runs of their own that they lack; fail what no node can make them for."""
        state = self._state
        useful = [node for node in nodes if not self.is_useless(run, node)]
        coming = {node.name for node in nodes} | run.homes
        useful_names = {node.name for node in useful}
        if events := run.hand_out.make_on_nodes(useful_names, coming, run.first_free, state.now):
            state.record(run, events)
            self._fill(run, self._takers(run, nodes))
        failed = [] if self._awaits_first(run) else run.fail_blocked(useful, state.hopes(run), state.now)
        state.record(run, failed)
        if failed or run.hand_out.lacks_some:
            state.plan()

    def _takers(self, run: RunState, nodes: Sequence[NodeState]) -> list[NodeState]:
        """The nodes that may get attempts of a run now."""
        takers = [
            node
            for node in nodes
            if node.name in run.health.usable
            and not run.health.is_suspect(node.name)
            and self._is_staged(run, node, run.submission)
        ]
        return self._with_time(run, takers) if self._state.pools else takers

    def _with_time(self, run: RunState, takers: list[NodeState]) -> list[NodeState]:
        """Those of the nodes on which a task that waits can end in time."""
        now = self._state.now.monotonic
        ending = [node for node in takers if node.ends_at is not None]
        for node in ending:
            if node.pool in self._state.pools:
                self._state.pools[node.pool].note_left(node, now, measured=False)
        if not ending or not run.order:
            return takers
        shortest = run.times.shortest(run.order)
        return [node for node in takers if shortest.fits(node, now)]

    # --- Before tasks can start on a node

    def _is_staged(self, run: RunState, node: NodeState, submission: int) -> bool:
        """Whether tasks of a submission can start on a node. If not, have it staged."""
        identity = (run.wire_name, submission)
        if identity in node.staged:
            return True
        if identity not in node.staging:
            node.staging.add(identity)
            self._state.emit(Stage(run.name, node.name, submission))
        return False

    def send_context(self, run: RunState, node: NodeState, submission: int) -> None:
        """Send the context of a submission to a node, unless it has it."""
        identity = f"{run.wire_name}/{submission}"
        if run.supplied and node.ready and identity not in node.contexts and self._is_staged(run, node, submission):
            node.contexts.add(identity)
            self._state.emit(SendContext(run.name, node.name, submission))

    def send_contexts(self, run: RunState, node: NodeState) -> None:
        """Send the contexts that open attempts of a run on a node may wait for."""
        submissions = run.state.columns["submission"]
        for submission in {submissions[task] for task, _ in run.in_flight.on(node.name)}:
            self.send_context(run, node, submission)

    # --- Assigning

    def _fill(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Fill the free slots of all nodes evenly, then their backlogs. What depends on outputs goes to nodes that have
        them before others take it, and these take it only into free slots."""
        if run.held:
            return
        if run.stagger:
            self._start_one(run, takers)
        elif run.needs.matter:
            self._fill_with_needs(run, takers)
        else:
            self._fill_slots(run, takers)

    def _fill_slots(self, run: RunState, takers: Sequence[NodeState]) -> None:
        for node in takers:
            if node.free:
                self._assign(run, node, run.hand_out.take(node.free, node, inputs="there"))
        free = sum(node.free for node in takers)
        for node in sorted(takers, key=lambda node: -node.free):
            mine = node.free
            if mine:
                self._assign(run, node, run.hand_out.take(min(mine, -(-len(run.order) * mine // free)), node))
            free -= mine
        count = max(1, len(run.health.usable))
        for node in takers:
            share = max(node.slots, -(-len(run.order) // count))
            while node.wants_more and run.order:
                before = len(run.order)
                self._assign(run, node, run.hand_out.take(min(node.window, share), node, inputs="not far"))
                if len(run.order) == before:
                    break

    def _start_one(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Assign one attempt that starts at once, if the last start is `stagger` ago. Not to a node whose setup is
        running: it would collect several, and start them together."""
        now = self._state.now
        if not run.may_start(now):
            return
        ready = [node for node in sorted(takers, key=lambda node: -node.free) if node.setup_since is None]
        inputs: Inputs
        for inputs in ("there", "any"):
            for node in filter(lambda node: node.free, ready):
                keys = run.hand_out.take(1, node, node.room()[0] if run.needs.matter else None, now=True, inputs=inputs)
                if keys:
                    run.next_start = now.monotonic + run.stagger
                    run.last_assigned = keys[0]
                    self._assign(run, node, keys)
                    return

    def _fill_with_needs(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Fill nodes with tasks that need more than a slot: each goes to the node with most room, and a few wait where
        they will fit."""
        offers = {node: node.room() for node in takers}
        chosen: dict[NodeState, list[AttemptKey]] = {node: [] for node in takers}
        for node in takers:
            chosen[node] += run.hand_out.take(node.window, node, offers[node][0], now=True, inputs="there")
        roomy = list(takers)
        while roomy and run.order:
            roomy.sort(key=lambda node: -offers[node][0].free)
            for node in list(roomy):
                keys = run.hand_out.take(1, node, offers[node][0], now=True)
                chosen[node] += keys
                if not keys:
                    roomy.remove(node)
        for node in takers:
            most = min(node.window - len(chosen[node]), node.waiting_limit - len(offers[node][1]))
            if most > 0 and run.order:
                chosen[node] += run.hand_out.take(most, node, node.resources, inputs="not far")
        for node in takers:
            found = dict.fromkeys(chosen[node])  # what was taken up again may wait twice
            self._assign(run, node, [key for key in found if run.waiting.is_wanted(key[0])])

    def _assign(self, run: RunState, node: NodeState, keys: list[AttemptKey]) -> None:
        if not keys:
            return
        events = run.assigned(keys, node.name, node.spool, self._state.now)
        for event in events:
            run.state.apply(event)
        name, has_needs = run.wire_name, run.needs.matter
        for key in keys:
            node.open[name, *key] = run.needs.of_node(key) if has_needs else {}
        self.send_context(run, node, run.submission)
        takes = {key: run.times.needed(key, node) for key in keys} if node.pool else {}
        self._state.emit(Assign(run.name, node.name, run.submission, keys, events, takes))

    def on_assign_refused(self, run: RunState, node: NodeState | None, keys: Sequence[AttemptKey]) -> None:
        """Undo an assignment that could not be written to the disk."""
        run.unassign(keys)
        if node is not None:
            for key in keys:
                node.open.pop((run.wire_name, *key), None)

    def count_needs(self, run: RunState, node: NodeState) -> None:
        """Count what the open attempts of a run use on a node, now that the run can be read."""
        for name, task, attempt in node.open:
            if name == run.wire_name:
                node.open[name, task, attempt] = run.needs.of_node((task, attempt))

    def _fail_unplaceable(self, run: RunState, nodes: Sequence[NodeState]) -> None:
        """Fail tasks that need more than any node offers, also of those that pools may grant, once all nodes have
        reported what they offer."""
        if self._awaits_first(run) or not all(node.was_connected or node.unrecoverable for node in nodes):
            return
        some = False
        pools = self._state.hopes(run)
        for _ in range(len(run.order)):
            events = unplaceable.too_large(run, nodes, pools, self._state.now)
            if not events:
                break
            some = True
            self._state.record(run, events)
        if some:
            self.handle_failures(run)

    def _fail_overlong(self, run: RunState, nodes: Sequence[NodeState]) -> None:
        """Fail tasks that can't end in time on any node, nor on any that may come."""
        useful = [node for node in nodes if not self.is_useless(run, node)]
        pools = self._state.pools_of(run)
        if all(node.pool for node in useful) and all(pool.reach is not None for pool in pools):
            events = unplaceable.too_long(run, useful, pools, self._state.now)
            if events:
                self._state.record(run, events)
                self.handle_failures(run)
                self._state.plan()

    def handle_failures(self, run: RunState) -> None:
        """Pause a run in which too much has failed; take a node out that fails tasks that others complete."""
        now = self._state.now
        for event in run.quarantine(now):
            log.warning("%s: node %s fails what others do well", run.name, event.node)
            self._state.record(run, [event])
            self.take_back(run, event.node)
        for name in run.health.suspects:
            self.take_back(run, name)
        pause = run.pause_after_failures(now)
        if pause is not None:
            self._state.record(run, [pause])
            self.take_back(run)

    # --- Taking back

    def take_back(self, run: RunState, only: str | None = None) -> None:
        """Ask all nodes, or one, to return the attempts that have not begun."""
        for name in run.in_flight.nodes if only is None else [only]:
            node = self._state.nodes.get(name)
            if node is not None:
                self._ask_for(run, node, self._state.unstarted(run, node))

    def _rebalance(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Near the end, let idle nodes take over from the longest backlog."""
        now = self._state.now.monotonic
        if run.needs.matter:
            self._rebalance_needs(run, takers)
            return
        if run.lanes.matter:
            self._rebalance_placed(run, takers)
            return
        idle = sum(node.free for node in takers)
        behind = max(takers, key=lambda node: len(node.open) - node.slots)
        if not idle or behind.free or len(behind.open) <= behind.slots:
            return
        if now < behind.no_return_before:
            return
        waiting = self._state.unstarted(run, behind)
        count = min(len(waiting), max(idle, (len(behind.open) - behind.slots) // 2))
        if count:
            behind.no_return_before = now + PATIENCE
            self._ask_for(run, behind, waiting[-count:])

    def _rebalance_placed(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Let idle nodes take over from backlogs what they may run."""
        now = self._state.now.monotonic
        idle = [node for node in takers if node.free]
        for behind in takers:
            extra = len(behind.open) - behind.slots
            if not idle or extra <= 0 or now < behind.no_return_before:
                continue
            waiting = self._state.unstarted(run, behind)
            movable = [key for key in waiting if any(run.lanes.may_go(key[0], node) for node in idle)]
            if movable:
                behind.no_return_before = now + PATIENCE
                count = max(sum(node.free for node in idle), extra // 2)
                self._ask_for(run, behind, movable[-count:])

    def _rebalance_needs(self, run: RunState, takers: Sequence[NodeState]) -> None:
        """Move attempts that wait on one node and would fit on another."""
        now = self._state.now.monotonic
        offers = {node: node.room() for node in takers}
        for behind, (_, waiting) in offers.items():
            if now < behind.no_return_before:
                continue
            known = set(waiting)
            mine = [key for key in self._state.unstarted(run, behind) if (run.wire_name, *key) in known]
            movable = [
                key
                for key in reversed(mine)
                if any(
                    node is not behind
                    and run.lanes.may_go(key[0], node)
                    and not node.resources.why_impossible(needs)
                    and room.grant(needs) is not None
                    for node, (room, _) in offers.items()
                    if node.resources is not None
                    for needs in [run.needs.of_node(key)]
                )
            ]
            if movable:
                behind.no_return_before = now + PATIENCE
                self._ask_for(run, behind, movable)

    def _ask_for(self, run: RunState, node: NodeState, keys: Sequence[AttemptKey]) -> None:
        if keys:
            self._state.send(node, Return([(run.wire_name, *key) for key in keys]))

    # --- Nodes that can't be used

    def is_useless(self, run: RunState, node: NodeState) -> bool:
        """Return whether a run need not wait for a node."""
        failing = node.tries >= TRIES and node.failing_for(self._state.now.monotonic) > UNREACHABLE
        works = run.in_flight.uses(node.name)
        if node.name in run.state.quarantined and not works:
            return True
        if node.ready:
            return False
        if works:
            return not node.remote and not node.silent and failing
        return node.unrecoverable or node.lost or (not (node.was_connected and node.remote) and failing)

    def why_stuck(self, run: RunState) -> str:
        """Return why a run can't continue; empty where it can."""
        pools = self._state.pools_of(run)
        if not all(pool.hopeless for pool in pools):
            return ""
        nodes = self._state.nodes_of(run)
        one_does = run.in_flight or run.held or not run.order or not (run.needs.matter or run.lanes.matter)
        there = []
        for node in nodes:
            if not self.is_useless(run, node):
                if one_does or node.resources is None:
                    return ""
                there.append(node)
        if not (nodes or pools) or any(map(run.hand_out.fits_any, there)):
            return ""
        useless = [f"node {node.name}: {self._why(run, node)}" for node in nodes if node not in there]
        useless += [f"{pool.name}: {pool.hopeless}" for pool in pools]
        return "; ".join(useless) + ("; the others lack what the tasks need" if useless and there else "")

    def _awaits_first(self, run: RunState) -> bool:
        """Return whether a pool may grant its first node, of which nothing is known yet."""
        return any(not pool.is_known for pool in self._state.hopes(run))

    @staticmethod
    def _why(run: RunState, node: NodeState) -> str:
        if node.name in run.state.quarantined:
            return f"in quarantine, its first tasks all failed; `tui-lab nodes resume {node.name}` takes it back in"
        return node.error or "is not connected"

    # --- The end of a run

    def _finish(self, run: RunState) -> None:
        """All that was requested has ended. With `repeat: {until}`, ask for further repeats; else end the run."""
        if run.settings is not None and run.settings.extends and not run.held:
            if not run.extending:
                run.extending = True
                self._state.emit(Extend(run.name))
            return
        self._end(run)

    def on_extension(self, run: RunState, tasks: Sequence[int], note: str) -> None:
        """Queue further repeats. note: for the user; only the first of a submission is recorded."""
        run.extending = False
        if run.name not in self._state.active or not run.over:
            return
        if len(tasks) and not run.held:
            event = Extended(self._state.now.at(), ranges.to_ranges(tasks), "" if run.noted else note)
            run.noted = run.noted or bool(note)
            self._state.record(run, [event])
            run.queue_up()
            self._state.record(run, run.settle_dependencies(self._state.now, again=True))
            self._state.plan()
        else:
            self._end(run)

    def _end(self, run: RunState) -> None:
        self._state.active.discard(run.name)
        self._state.record(run, [Ended(self._state.now.at(), run.counts())])
        log.info("%s ended: %s", run.name, run.counts())

    def give_up(self, run: RunState, reason: str, message: str) -> None:
        """End a run that can't go on. What of it is open somewhere stays open, for the next engine to settle."""
        log.error("%s: %s", run.name, message)
        if run.name in self._state.active:
            self._state.record(run, [Paused(self._state.now.at(), reason, 0, message)])
            self.take_back(run)
            self._end(run)

    def fail(self, run: RunState, message: str) -> None:
        """End a run for an error."""
        self.give_up(run, "error", message)
