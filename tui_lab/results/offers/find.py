"""What tasks have written, as metrics: each offer is read by the extractor itself before it is made."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.readers.metrics import read_metrics
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.experiment.yaml.reader import Reader
from tui_lab.experiment.yaml.writer import write_yaml
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders, stream_names
from tui_lab.results.extraction.text import Text, complete_lines
from tui_lab.results.extraction.values import Scalar
from tui_lab.results.offers.lines import candidates
from tui_lab.results.offers.offer import Candidate, Definition, Offer, guessed_goal, is_progress
from tui_lab.results.offers.structured import in_files, of_json
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.task_files import TaskFile

MOST: Final = 20
"""Offers at a time."""
TASKS: Final = 3
"""Tasks whose outputs are read."""
END: Final = 64 << 10
"""Bytes that are read at the beginning and at the end of an output."""
WHOLE: Final = 1 << 20
"""Bytes up to which a value at the beginning of an output is offered: to find it again, all behind it is read."""

Key = tuple[str, ...]


def find_offers(
    experiment: Experiment, folder: Path, tasks: Sequence[Task], known: Collection[str] = ()
) -> list[Offer]:
    """Return what the outputs of some tasks have in common, the most telling first. known: names that are taken."""
    outputs = OutputFolders(folder)
    tasks = tasks[:TASKS]
    side = mirrors.other_side(folder.parent)
    if side is not None:
        for task, _ in tasks:
            with suppress(LabError):  # then there is nothing to offer
                side.fetch(folder.name, task)
    read = [_candidates(experiment, outputs, task) for task in tasks]
    if not read:
        return []
    common = [key for key in read[0] if all(key in found for found in read[1:])]
    taken = {name.casefold() for name in (*known, *FACTS)}
    offers = _proven(experiment, outputs, tasks, [[found[key] for found in read] for key in common], taken)
    return offers[:MOST]


def _candidates(experiment: Experiment, outputs: OutputFolders, task: Task) -> dict[Key, Candidate]:
    found: dict[Key, Candidate] = {}
    folder = outputs.path(task[0])
    steps = tuple(step.name for step in experiment.steps)
    for source in ("stdout", "stderr"):
        names = stream_names(source, steps)
        raw = b"\n".join(_ends(TaskFile(folder, name)) for name in (names(task[1]) if names else ()))
        if source == "stdout" and len(raw) < WHOLE:
            found |= {one.key: one for one in of_json(raw, source)}
        found |= candidates(Text(raw).lines, source)
    return found | {one.key: one for one in in_files(Path(folder))}


def _ends(file: TaskFile) -> bytes:
    """The beginning and the end of an output; of a large one only its end."""
    try:
        size = file.size
        with open(file.open(plain=False), "rb") as stream:
            if size is None or size <= 2 * END:
                return stream.read(2 * END)
            head = complete_lines(stream.read(END)) if size <= WHOLE else b""
            stream.seek(size - END)
            tail = stream.read(END)
        return head + tail[tail.find(b"\n") + 1 :]
    except OSError:
        return b""


# --- Proofs


def _proven(
    experiment: Experiment,
    outputs: OutputFolders,
    tasks: Sequence[Task],
    found: Sequence[Sequence[Candidate]],
    taken: set[str],
) -> list[Offer]:
    """Read each candidate by each of its definitions, until one gives the value that was seen."""
    chosen: dict[int, tuple[Definition, list[Scalar | None]]] = {}
    ways = max((len(one[0].definitions) for one in found), default=0)
    for way in range(ways):
        open_ones = {
            f"m{i}": one[0].definitions[way]
            for i, one in enumerate(found)
            if i not in chosen and way < len(one[0].definitions)
        }
        metrics = _metrics(open_ones)
        extracted = extract(experiment, outputs, tasks, metrics).values if metrics else {}
        for name, values in extracted.items():
            i = int(name[1:])
            if _gives(values, found[i]):
                chosen[i] = (open_ones[name], values)
    offers: list[tuple[tuple[object, ...], Offer]] = []
    for i, (definition, values) in chosen.items():
        one, value = found[i][0], values[0]
        varies = len({repr(value) for value in values}) > 1
        if one.name.casefold() in taken or value is None:
            continue
        offer = Offer(one.name, definition, value, one.where, guessed_goal(one.name), varies, tuple(values))
        order = (is_progress(one.name), not varies and len(tasks) > 1, one.rank, offer.goal is None, -one.at, i)
        offers.append((order, offer))
    return _named_apart([offer for _, offer in sorted(offers, key=lambda pair: pair[0])], taken)


def _metrics(definitions: Mapping[str, Definition]) -> dict[str, Metric]:
    """Read definitions as a file is read; those with a mistake are left out."""
    try:
        document = parse(write_yaml({"metrics": dict(definitions)}), "offers")
        return read_metrics(Reader(document, Path()), ("metrics",))
    except (SpecError, LabError):
        return {}


def _gives(values: Sequence[Scalar | None], wanted: Sequence[Candidate]) -> bool:
    return all(
        isinstance(value, int | float)
        and (math.isclose(value, one.value, rel_tol=1e-9) or (math.isnan(value) and math.isnan(one.value)))
        for value, one in zip(values, wanted, strict=True)
    )


def _named_apart(offers: Sequence[Offer], taken: set[str]) -> list[Offer]:
    """Leave out offers whose name another one has already."""
    names = set(taken)
    kept: list[Offer] = []
    for offer in offers:
        if offer.name.casefold() not in names:
            names.add(offer.name.casefold())
            kept.append(offer)
    return kept
