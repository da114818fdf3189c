"""A chart as a file: a picture, a text, or the table of its data."""

from __future__ import annotations

import io
import itertools
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from tui_lab.results.charts.model import Chart
from tui_lab.results.charts.terminal.draw import draw
from tui_lab.results.charts.terminal.style import Look
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.base import exporting
from tui_lab.tui.base.verdict import Verdict

FOLDER: Final = "charts"
"""In the lab: where pictures go that were saved by one key."""
PICTURES: Final = (".svg", ".png", ".pdf", ".html")
TEXT: Final = (100, 30)
"""Cells of a text."""


def verdict(text: str) -> Verdict:
    """Return what writing to a path will do."""
    file = exporting.target(text) if text.strip() else Path()
    ending = file.suffix.lower()
    if ending in PICTURES and ending != ".svg" and not _has_matplotlib():
        return Verdict(False, "pictures need: pip install 'tui-lab[draw]'")
    if ending not in (*PICTURES, ".txt"):
        return exporting.export_verdict(text, PICTURES)
    try:
        if not file.absolute().parent.is_dir():
            return Verdict(False, f"there is no folder {file.absolute().parent}")
        there = ", replacing the existing file" if file.exists() else ""
    except (OSError, ValueError) as error:
        return Verdict(False, str(error))
    return Verdict(True, f"as a {'text' if ending == '.txt' else 'picture'}{there}")


def write(chart: Chart, text: str, ascii: bool) -> Path:
    """Raises OSError, OutputError, ChartError."""
    file = exporting.target(text)
    if file.suffix.lower() == ".svg" and not _has_matplotlib():
        file.write_text(_of_cells(chart, ascii), encoding="utf-8")
    elif file.suffix.lower() in PICTURES:
        from tui_lab.results.charts import files as pictures

        pictures.write(chart, file, pictures.SIZE)
    elif file.suffix.lower() == ".txt":
        file.write_text(draw(chart, *TEXT, Look(color=False, ascii=ascii)) + "\n", encoding="utf-8")
    else:
        exporting.export(chart.table, text)
    return file


def folder_of(lab: Path) -> Path:
    """Return the folder for pictures in a lab: `charts`, or one that no experiment has."""
    folder = lab / FOLDER
    while ExperimentFolder(folder).exists():
        folder = folder.with_name(f"{folder.name}_pictures")
    return folder


def next_file(lab: Path, name: str, ending: str) -> Path:
    """Return a picture that is not there yet in the folder of pictures, which is made: `charts/loss-3.svg`."""
    folder = folder_of(lab)
    folder.mkdir(exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name).strip("._") or "chart"
    return next(file for n in itertools.count(1) if not (file := folder / f"{stem}-{n}{ending}").exists())


def _has_matplotlib() -> bool:
    return find_spec("matplotlib") is not None


def _of_cells(chart: Chart, ascii: bool) -> str:
    """A picture of the cells of a terminal."""
    console = Console(file=io.StringIO(), record=True, width=TEXT[0], force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(draw(chart, *TEXT, Look(ascii=ascii))))
    return console.export_svg(title=chart.title or f"{chart.y.label} over {chart.x.label}")
