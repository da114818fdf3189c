"""The seven panes in order, each imported when it is first opened: the screen is there before the heavy libraries
are."""

from __future__ import annotations

import importlib
from typing import Final, NamedTuple

from tui_lab.tui.base.pane import Pane


class Place(NamedTuple):
    """Where a pane is to be found, without importing it."""

    name: str
    title: str
    module: str
    kind: str


PLACES: Final = tuple(
    Place(name, name.capitalize(), f"tui_lab.tui.panes.{name}.pane", f"{name.capitalize()}Pane")
    for name in ("experiment", "nodes", "tasks", "results", "query", "chart", "history")
)
WELCOME: Final = Place("welcome", "Welcome", "tui_lab.tui.panes.welcome.pane", "WelcomePane")
NAMES: Final = tuple(place.name for place in PLACES)


def load(name: str) -> type[Pane]:
    """The class of a pane."""
    place = WELCOME if name == WELCOME.name else PLACES[NAMES.index(name)]
    try:
        module = importlib.import_module(place.module)
    except ModuleNotFoundError as error:
        if error.name != place.module:
            raise
        return _missing(place)
    found: type[Pane] = getattr(module, place.kind)
    return found


def _missing(place: Place) -> type[Pane]:
    """A pane that this version does not have yet."""
    return type(place.kind, (Pane,), {"NAME": place.name, "TITLE": place.title, "HELP": "This pane is not there yet."})
