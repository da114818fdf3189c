"""All kinds of chart: who adds one adds its module to `kinds`, and here its name and a line about it.

Other packages bring theirs, a `ChartKind`, as entry points of `tui_lab.chart_kinds`.

Names are known without loading what draws them, which `tui-lab draw --help` has no time for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from tui_lab.experiment.registry import PluginError, Registry

if TYPE_CHECKING:
    from tui_lab.results.charts.model import ChartKind

OWN: Final = {
    "lines": "the mean of y over x with its error, a line for each hue",
    "categories": "the mean of y for each value of x as a bar",
    "heatmap": "the mean of z for each pair of x and y",
    "surface": "what z is over two numbers x and y: a response surface, fitted to its means",
    "scatter": "every task as a point",
    "hist": "how often values of x occur",
    "box": "quartiles of y for each value of x",
    "steps": "learning curves: lines over the steps of EXPERIMENT_steps",
    "area": "the mean of y over x as stacked bands, one for each hue",
    "parallel": "each setting as a line through all parameters to the mean of y",
    "pareto": "the settings that no other setting beats in both of two metrics",
}
"""The kinds of this program, each with one line for those who choose."""

# What rows ask for by themselves: the only names of kinds that others use.
MEANS: Final = "lines"
"""Means along numbers."""
MEANS_OF_TEXTS: Final = "categories"
"""Means for each value that is no number; also counts."""
POINTS: Final = "scatter"
"""Rows that have nothing to be summarised by."""
DISTRIBUTION: Final = "hist"
"""Values of one column."""
CURVES: Final = "steps"
"""Values by step."""


class _Modules(Mapping[str, "ChartKind"]):
    """The kinds of this program, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> ChartKind:
        if name not in OWN:
            raise KeyError(name)
        kind: ChartKind = import_module(f"tui_lab.results.charts.kinds.{name}").KIND
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(OWN)

    def __len__(self) -> int:
        return len(OWN)


def _base() -> type:
    from tui_lab.results.charts.model import ChartKind

    return ChartKind


KINDS: Final[Registry[ChartKind]] = Registry("tui_lab.chart_kinds", _base, _Modules())
"""By name, in the order of the help."""


def kind_of(name: str) -> ChartKind:
    """Return the kind of this name. Raises ChartError."""
    from tui_lab.results.charts.model import ChartError

    try:
        return KINDS[name]
    except PluginError as error:
        raise ChartError(str(error)) from None
    except KeyError:
        raise ChartError(f"there is no chart {name}; there are {', '.join(KINDS)}") from None
