"""Starting attempts on the node that they are assigned to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.effects import Assign
from tui_lab.engine.core.events import AgentMessages, Event, StartsRefused
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.output_staging import OutputStaging, input_of
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.staging import CodeStaging, collect
from tui_lab.protocol.agent import Returned, Start


class Starting:
    """Makes the messages of attempts, and sends them; those whose inputs the node lacks are sent once these are there.
    feed: takes events for the scheduler."""

    def __init__(
        self,
        nodes: Mapping[str, NodeConnection],
        staging: CodeStaging,
        output_staging: OutputStaging,
        feed: Callable[[Event], None],
    ) -> None:
        self._nodes = nodes
        self._staging = staging
        self._output_staging = output_staging
        self._feed = feed

    def hand_over(self, run: RunFiles, effect: Assign) -> None:
        """Start the attempts of an assignment that the journal has."""
        node = self._nodes[effect.node]
        messages: list[Start] = []
        refused: list[tuple[AttemptKey, str]] = []
        try:
            paths = self._staging.paths(run, node, effect.submission)
            assert paths is not None
            if run.state.node_runs:
                paths = replace(paths, runs=run.state.runs_on(node.name))
            builder = run.builder(effect.submission)
            for key in effect.keys:
                one, row = builder.of(run.state.planned_run(key[0]), run.state.stage(key[0]))
                try:
                    if row is None:
                        raise ValueError("the task is not in the plan any more")
                    there = paths
                    if paths.collect is not None and one is not builder:
                        there = replace(paths, collect=collect(one.experiment, node.home))
                    changes, resume = run.state.changes.get(key[0]), run.done_steps(key[0])
                    message = one.start(row, key[1], there, changes, run.wire_name, resume, effect.takes.get(key))
                    before = {
                        paths.run(number): input_of(one.experiment, name, paths.folder(number, stage))
                        for number, name, stage in one.inputs(row)
                    }
                    if not self._output_staging.stage(run, node, key, message, before):
                        messages.append(message)
                except ValueError as error:
                    refused.append((key, str(error)))
        except Exception:  # nothing has been sent: what is open nowhere must not keep the engine
            self._feed(AgentMessages(node.name, [Returned([(run.wire_name, *key) for key in effect.keys])]))
            raise
        node.send(*messages)
        if refused:
            self._feed(StartsRefused(run.name, node.name, refused))

    def send_context(self, run: RunFiles, node: NodeConnection, submission: int) -> None:
        """Send what all tasks of a submission share on a node."""
        paths = self._staging.paths(run, node, submission)
        assert run.environment is not None and paths is not None
        builder = run.builder(submission)
        for one in (*builder.stages.values(), builder):
            node.send(one.context(run.environment, paths, run.umask))
