"""Metrics that a file has got since its experiment was submitted: its outputs are read by them, and nothing runs."""

from __future__ import annotations

from pathlib import Path

from tui_lab.client.formatting import plural
from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.parser import parse
from tui_lab.store import spec_file
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab


def edited_metrics(folder: ExperimentFolder) -> tuple[str, Experiment] | None:
    """Return the experiment with the metrics of its present file, as text and read; None where these are in force, or
    the file is gone. Raises SpecError, LabError."""
    source = folder.file()
    if not source.exists():
        return None
    edited, known = load(source), folder.written_spec()
    if (edited.metrics, edited.rows) == (known.metrics, known.rows):
        return None
    document = parse(source.read_text(encoding="utf-8-sig"), str(source)).value
    return with_metrics(folder, {key: document.get(key) for key in ("metrics", "rows")})


def with_metrics(folder: ExperimentFolder, changes: JsonObject) -> tuple[str, Experiment]:
    """Return the experiment as submitted with other metrics, as text and read. Raises SpecError."""
    import yaml

    source = folder.file()
    document = {**parse(folder.spec_text(), str(source)).value, **changes}
    written = yaml.safe_dump({k: v for k, v in document.items() if v is not None}, sort_keys=False, allow_unicode=True)
    plan = folder.plan()
    return written, load(source, text=written, templates=plan.about["templates"], signatures=plan.signatures)


def read_edited(lab: Lab, file: Path) -> str | None:
    """Let the experiment of a file be read by the metrics that the file has now. Return what was found; None where
    nothing has ended yet, or nothing has changed. Raises SpecError, LabError, OSError."""
    from tui_lab.results.tables import refresh

    folder = ExperimentFolder(lab.path / load(file).name)
    if not folder.exists() or not spec_file.same(folder.file(), file.absolute()):
        return None
    plan = folder.plan().number
    found = edited_metrics(folder)
    if found is None:
        return None
    text, spec = found
    results = refresh(folder, spec=spec)  # all that may fail comes first: what can't be read would stay in the way
    folder.write_metrics(text, plan)
    ended = results.planned["attempt"].count()
    if not ended:
        return None
    counts = ", ".join(f"{name} in {count:,}" for name, count in results.matched.items()) or "no metrics"
    return f"{folder.name}: the outputs of {plural(ended, 'task')} were read again: {counts}"
