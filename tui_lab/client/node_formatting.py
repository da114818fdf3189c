"""Texts on a node that can't be reached: since when, why, and what happens to its tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tui_lab.client.formatting import plural, printable, span
from tui_lab.protocol.control import NodeStatus, StoppingTasks


def trouble(node: NodeStatus, nodes: Sequence[NodeStatus]) -> str:
    """Return what is wrong with one of the nodes; empty where nothing is."""
    error = printable(node.error or "")
    if node.away_for is None:
        return error
    if node.state == "failed":
        said = permanent_error(node.name, error)
    else:
        lost = "lost, " if node.state == "lost" else ""
        said = f"{lost}away for {span(node.away_for)}" + (f" ({error})" if error else "")
    return said + _tasks_text(node, any(other.state == "up" for other in nodes))


def ends_words(node: NodeStatus) -> str:
    """Return when the allocation of a node ends; empty where that is not known."""
    return "" if node.ends_in is None or node.state == "not in use" else f"ends in {span(max(1.0, node.ends_in))}"


def ended_words(count: int) -> str:
    """Return how many allocations of a pool have ended, as nodes that won't come back."""
    return f"{plural(count, 'allocation')} of it, all ended"


def permanent_error(name: str, error: str) -> str:
    """Return the text of an error for which trying again does not help."""
    return f"{error}; after a repair: tui-lab nodes reconnect {name}"


def _tasks_text(node: NodeStatus, elsewhere: bool) -> str:
    """Return what happens to the tasks of a node that is away. elsewhere: another node is up."""
    count, stopping = node.open or 0, node.stopping or 0
    if not count or node.lost_in is None:
        return ""
    left, tasks = span(node.lost_in), f"its {plural(count, 'task')}"
    if stopping >= count:
        return f"; {tasks} will be stopped when it is back; the engine waits {left} more"
    be = ("runs" if count == 1 else "run") if elsewhere else ("is" if count == 1 else "are")
    more = f", but {stopping:,} to be stopped" if stopping else ""
    return f"; lost in {left}, then {tasks} {be} {'elsewhere' if elsewhere else 'pending again'}{more}"


def stop_line(one: StoppingTasks) -> str:
    """Return what happens to tasks that are to be stopped on a node that is away."""
    error = printable(one.error or "")
    they = "it is" if one.tasks == 1 else "they are"
    said = f"{one.experiment}: {plural(one.tasks, 'task')} on {one.node}, which is away"
    said += (f" ({error})" if error else "") + f": {they} stopped as soon as it is back. "
    if one.lost_in is not None:
        until = time.strftime("%H:%M", time.localtime(time.time() + one.lost_in))
        said += f"The engine tries until {until}, for {span(one.lost_in)}; "
    return said + "`tui-lab nodes` shows its state"
