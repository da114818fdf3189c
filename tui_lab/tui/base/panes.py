"""All panes in order, each imported when it is first opened: the screen is there before the heavy libraries are.

Who adds one adds its package to `tui_lab.tui.panes`, and its name here. Other packages bring theirs as entry points of
`tui_lab.panes`, each a class derived from `Pane`; they come behind ours.
"""

from __future__ import annotations

import importlib
from typing import Final, NamedTuple

from tui_lab.experiment.registry import Registry
from tui_lab.tui.base.pane import Pane


class Place(NamedTuple):
    """Where a pane of this program is, without importing it."""

    module: str
    kind: str

    def load(self) -> type[Pane]:
        """Return its class."""
        found: type[Pane] = getattr(importlib.import_module(self.module), self.kind)
        return found


def _place(name: str) -> Place:
    return Place(f"tui_lab.tui.panes.{name}.pane", f"{name.capitalize()}Pane")


WELCOME: Final = "welcome"
"""The pane of a folder without a lab, which has no tab."""
NAMES: Final = ("dashboard", "experiment", "nodes", "tasks", "results", "query", "chart", "history")
"""The panes of this program, in the order of their tabs and digits, from 0."""
TITLES: Final = {"dashboard": "Now"}
"""Titles that are not the names."""
PANES: Final[Registry[Place | type[Pane]]] = Registry(
    "tui_lab.panes", Pane, {name: _place(name) for name in (*NAMES, WELCOME)}
)


def digit(name: str) -> str:
    """Return the key that opens a pane, with and without alt; empty where no digit is left."""
    order = (*NAMES, *others()) if name not in NAMES else NAMES
    number = order.index(name)
    return str(number) if number < 10 else ""


def load(name: str) -> type[Pane]:
    """Return the class of a pane. Raises KeyError, PluginError."""
    found = PANES[name]
    return found.load() if isinstance(found, Place) else found


def others() -> tuple[str, ...]:
    """Return the names of the panes that other packages bring, as far as they can be loaded."""
    return tuple(name for name in PANES.members() if name not in PANES.own)


def title(name: str) -> str:
    """Return the title on a pane's tab, without importing a pane of this program."""
    found = PANES[name]
    return TITLES.get(name, name.capitalize()) if isinstance(found, Place) else found.TITLE
