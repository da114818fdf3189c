"""A chart as a file: a picture, a text, or the table of its data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tui_lab.results.charts import Chart
from tui_lab.results.plots.style import Look
from tui_lab.results.plots.terminal import draw
from tui_lab.tui import query_files
from tui_lab.tui.query_prompt import Verdict

PICTURES: Final = (".png", ".svg", ".pdf")
TEXT: Final = (100, 30)
"""Cells of a text."""


def verdict(text: str) -> Verdict:
    """What writing to a path will do."""
    file = query_files.target(text) if text.strip() else Path()
    ending = file.suffix.lower()
    if ending in PICTURES and find_spec("matplotlib") is None:
        return Verdict(False, "pictures need: pip install 'tui-lab[draw]'")
    if ending not in (*PICTURES, ".txt"):
        return query_files.export_verdict(text, PICTURES)
    try:
        if not file.absolute().parent.is_dir():
            return Verdict(False, f"there is no folder {file.absolute().parent}")
        there = ", in place of the file that is there" if file.exists() else ""
    except (OSError, ValueError) as error:
        return Verdict(False, str(error))
    return Verdict(True, f"as a {'text' if ending == '.txt' else 'picture'}{there}")


def write(chart: Chart, text: str, ascii: bool) -> Path:
    """Raises OSError, OutputError, ChartError."""
    file = query_files.target(text)
    if file.suffix.lower() in PICTURES:
        from tui_lab.results.plots import files

        files.write(chart, file, files.SIZE)
    elif file.suffix.lower() == ".txt":
        file.write_text(draw(chart, *TEXT, Look(color=False, ascii=ascii)) + "\n", encoding="utf-8")
    else:
        query_files.export(chart.table, text)
    return file
