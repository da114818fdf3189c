"""Prepared experiments given to the engine of their lab: the last step of `--run` and of a launch on screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_lab.cli.nodes import Node, usable
from tui_lab.cli.submission import Prepared, submit_event
from tui_lab.engine.client import EngineClient
from tui_lab.engine.early import EarlyEngine
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab


@dataclass(frozen=True)
class Submitted:
    """What the engine has taken on."""

    prepared: Prepared
    number: int
    """Of the submission, within its experiment."""
    state: State
    """Of the experiment, before."""


def submit(
    lab: Lab,
    prepared: Sequence[Prepared],
    nodes: Sequence[Node],
    keep_going: bool,
    environment: Mapping[str, str],
    early: EarlyEngine | None = None,
) -> tuple[EngineClient | None, list[Submitted]]:
    """Submit what has anything to run or to say; starts an engine where none is alive. `environment` is the
    submitter's. Only for the holder of the submit lock. Raises SpecError where an experiment can't use any of the
    nodes (then none is submitted), LabError."""
    for one in prepared:
        if one.folder.exists():
            one.folder.require_whole()
    wanted = [one for one in prepared if len(one.queued) or not one.unchanged]
    usable_nodes = [usable(one.experiment, nodes) for one in wanted]
    client = EngineClient.start(lab, early) if wanted else None
    submitted = []
    for one, its_nodes in zip(wanted, usable_nodes, strict=True):
        assert client is not None
        state = one.folder.state()
        event = submit_event(one, its_nodes, keep_going)
        answer = client.request("submit", event=event, environment=dict(environment))
        if not one.unchanged:  # what was refused changes nothing of what is there
            one.folder.write_spec(one.text)
        submitted.append(Submitted(one, answer["submission"], state))
    return client, submitted
