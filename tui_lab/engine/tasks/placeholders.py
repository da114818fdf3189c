"""The placeholders that an experiment uses."""

from __future__ import annotations

from collections.abc import Sequence

from tui_lab.experiment.model import BUILT_IN, Experiment
from tui_lab.experiment.shell.command import Command, compile_command
from tui_lab.experiment.shell.template import names_in


def placeholders(experiment: Experiment, commands: Sequence[Command] | None = None) -> frozenset[str]:
    """The names whose values the tasks of an experiment take: in commands, variables, templates and the
    rest. commands: those of its steps, where they have been compiled already."""
    known = {*experiment.parameter_names, *BUILT_IN, *experiment.outputs_before}
    if commands is None:
        commands = [compile_command(step.command, known) for step in experiment.steps if step.command]
    names: set[str] = set().union(*(command.names for command in commands))
    if experiment.takes_seed:
        names.add("seed")
    for text in (*experiment.env.values(), experiment.workdir or "", str(experiment.timeout or "")):
        names |= names_in(text, known)
    for target, text in experiment.templates.items():
        names |= names_in(text, known, experiment.files[target].marks)
    return frozenset(names)
