"""What followers should be told, besides the journal: what an engine waits for."""

from __future__ import annotations

from tui_lab.engine.engine import Engine
from tui_lab.engine.node import Node
from tui_lab.engine.run import ExperimentRun


def notice_of(engine: Engine) -> str:
    """Empty where all is well."""
    full = [f"{engine.lab.path / name}: {why}; waiting until there is room" for name, why in engine.disk.full.items()]
    held = [f"node {node.name}: {said}" for node in engine.nodes.values() for said in _said(node) if said]
    drained = [_drained(engine, engine.runs[name]) for name in sorted(engine.active)]
    waiting = [_waiting(engine, engine.runs[name]) for name in sorted(engine.active)]
    return "; ".join(said for said in (*full, engine.outputs.trouble, *held, *drained, *waiting) if said)


def _said(node: Node) -> tuple[str, ...]:
    """What a node waits for, each once."""
    return (node.said,) if node.notice in node.said else (node.notice, node.said)


def _waiting(engine: Engine, run: ExperimentRun) -> str:
    """Where tasks are to be stopped that can't be told so."""
    nodes = {run.flight[key] for key in run.stopping}
    away = sorted(name for name in nodes if name in engine.nodes and engine.nodes[name].away)
    return f"{run.name}: its tasks on {', '.join(away)} are stopped once that can be reached again" if away else ""


def _drained(engine: Engine, run: ExperimentRun) -> str:
    """What a run waits for whose nodes a person has drained, all of them."""
    nodes = engine.nodes_of(run)
    if not run.order or run.held or not nodes or not all(node.drained for node in nodes):
        return ""
    return f"{run.name}: all its nodes are drained; `tui-lab nodes resume {nodes[0].name}` lets it go on"
