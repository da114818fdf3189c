"""`tl.Plot`: a chart that a notebook shows, a terminal prints, and a file keeps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

    from tui_lab.results.charts.model import Chart

TALLEST: Final = 32  # lines of a chart, however tall the terminal is


class Plot:
    """A chart. The last line of a notebook's cell shows it as a picture, or as text without `tui-lab[draw]`."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart

    @property
    def table(self) -> pl.DataFrame:
        """The data of the chart: a row for each point, with its error, and the number of values that it stands for."""
        return self._chart.table

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the chart, such as values that it leaves out."""
        return self._chart.notes

    def save(self, file: str | os.PathLike[str], size: tuple[float, float] = (10.0, 7.0)) -> None:
        """Write a picture: .png, .svg, .pdf, .html and others, by the ending, or text (.txt).

        size: width and height in inches.

        Raises TuiLabError, also without the packages of `tui-lab[draw]`.
        """
        from tui_lab.results.charts import files

        path = Path(file)
        if path.suffix.lower() == ".txt":
            path.write_text(f"{self.text(color=False)}\n", encoding="utf-8")
        else:
            files.write(self._chart, path, size)

    def text(self, width: int | None = None, height: int | None = None, *, color: bool = False) -> str:
        """Return the chart as lines of text.

        width, height: in cells, by default those of the terminal.
        color: whether it has colours, as escape sequences."""
        from tui_lab.results.charts.terminal.draw import draw
        from tui_lab.results.charts.terminal.style import Look

        columns, lines = shutil.get_terminal_size()
        return draw(self._chart, width or columns, height or min(lines - 1, TALLEST), Look(color))

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Plot {self._chart.title or f'{self._chart.y.label} over {self._chart.x.label}'}>"

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        """Return the chart as notebooks show it."""
        from tui_lab.results.charts import files
        from tui_lab.results.charts.model import ChartError

        shown: dict[str, Any] = {"text/plain": self.text(100, 24)}
        try:
            shown["image/png"] = files.picture(self._chart, "png", (7.0, 5.0))
        except (ChartError, ValueError):
            pass
        return shown
