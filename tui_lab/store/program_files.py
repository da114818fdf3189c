"""Which files of a program, and which settings, each stage uses, so that a change concerns no other stage."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.portable.globs import matcher
from tui_lab.store import keys

_OF_STAGE: Final = "stages."
_ENVIRONMENT: Final = ("env", "setup", "shell", "workdir")  # parts that tasks run under, though no key holds them
_REDIRECTED: Final = re.compile(r">[>|&]?\s*[\"']?$")
_WORDS: Final = re.compile(r"[^\s'\"|&;<>()$`{}\[\]]+")


def words(experiment: Experiment) -> Iterator[str]:
    """Yield the words of the commands of a stage, or of an experiment without stages, that may name a file which is
    read."""
    for step in experiment.steps:
        for match in _WORDS.finditer(step.command):
            if not _REDIRECTED.search(step.command, 0, match.start()):
                yield match[0]


def source_of(experiment: Experiment) -> str | None:
    """Return the file of the function that is called, relative to the experiment's folder."""
    path = None if experiment.function is None else experiment.function.source(experiment.folder)
    return None if path is None else os.path.relpath(path, experiment.folder)


def environment_digests(experiment: Experiment) -> dict[str, str]:
    """Return digests of what tasks and runs of stages run under and no key contains, so that a change can be reported:
    by `KEY:`, and `stages.NAME.KEY:` for those of a stage before the last."""
    found: dict[str, str] = {}
    for one in experiment.per_stage:
        before = "" if one.stage == experiment.stage else f"{_OF_STAGE}{one.stage}."
        found |= {f"{before}{name}:": keys.digest(getattr(one, name)) for name in _ENVIRONMENT}
    return found


def used(experiment: Experiment, names: Collection[str]) -> dict[str | None, set[str]]:
    """Return which of some files each stage uses; the None of an experiment without stages uses all. names: relative to
    the experiment's folder, or `KEY:` for a key of the file, as
    `environment_digests` has them. One that no stage names may be used by all."""
    if experiment.stage is None:
        return {None: set(names)}
    found: dict[str | None, set[str]] = {}
    files = [name for name in names if not name.endswith(":")]
    for one in experiment.per_stage:
        named = {os.path.normpath(word) for word in words(one)} | {source_of(one)}
        declared = matcher((*one.code, *one.inputs))
        found[one.stage] = {name for name in files if name in named or declared(name)}
    for name in names:
        if name.endswith(":"):
            stage, _, key = name.removeprefix(_OF_STAGE).rpartition(".")
            found[stage if key and stage in found else experiment.stage].add(name)
    known = set[str]().union(*found.values())
    return {stage: mine | (set(names) - known) for stage, mine in found.items()}
