"""Tasks that fail without a start, because nothing that a run has can ever run them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from tui_lab.engine.core.ends import ended_event
from tui_lab.engine.core.model import AttemptKey, Moment
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.pools import PoolState
from tui_lab.engine.core.run import RunState
from tui_lab.engine.core.times import HEAD
from tui_lab.store.events import Assigned, KnownEvent


def too_large(run: RunState, nodes: Sequence[NodeState], pools: Sequence[PoolState], now: Moment) -> list[KnownEvent]:
    """Return the events that fail the task at the head of the queue if none of the nodes can ever run it, nor one that
    these pools may grant."""
    task = next(iter(run.order))
    key = (task, run.state.columns["attempts"][task] + 1)
    offers = [(one.name, one.resources) for one in nodes if one.resources is not None and run.lanes.may_go(task, one)]
    offers += [(one.name, one.offer) for one in pools if one.as_needed and run.lanes.may_go_to(task, one.name)]
    whys = [f"{name}: {why}" for name, resources in offers if (why := run.needs.why_impossible(key, resources))]
    if len(whys) < len(offers) or not whys:
        return []
    run.order.popleft()
    return _failed(run, key, offers[0][0], "start", "no node can run it: " + "; ".join(whys), now)


def too_long(run: RunState, nodes: Sequence[NodeState], pools: Sequence[PoolState], now: Moment) -> list[KnownEvent]:
    """Return the events that fail those of the first tasks of the queue that can end in time on none of the nodes, nor
    on others that these pools may grant."""
    found: list[KnownEvent] = []
    stay: list[int] = []
    for task in [task for _ in range(HEAD) if (task := run.order.popleft()) is not None]:
        key = (task, run.state.columns["attempts"][task] + 1)
        mine = [node for node in nodes if run.lanes.may_go(task, node)]
        granting = [pool for pool in pools if run.lanes.may_go_to(task, pool.name)]
        why = run.times.why_never(key, mine, granting)
        if why and run.waiting.is_wanted(task):
            found += _failed(run, key, (mine[0] if mine else granting[0]).name, "walltime", why, now)
        else:
            stay.append(task)
    run.order.extendleft(reversed(stay))
    return found


def _failed(run: RunState, key: AttemptKey, node: str, reason: str, message: str, now: Moment) -> list[KnownEvent]:
    run.in_flight[key] = ""
    ended = structs.replace(ended_event(key, "failed", reason, now), message=message)
    return [Assigned(now.at(), node, [key], run.go_on([key])), run.finished(key, ended, now)]
