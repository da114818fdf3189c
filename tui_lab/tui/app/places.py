"""Where the user was: `escape`, where nothing is left to leave, and alt+left go back there, alt+right forward."""

from __future__ import annotations

from typing import Final, NamedTuple

MOST: Final = 50  # places that are remembered


class Place(NamedTuple):
    """A pane with what it showed. state: its own, see `Pane.place`."""

    pane: str
    experiment: str | None
    state: object = None


class Places:
    """The places behind, and those ahead after going back."""

    def __init__(self) -> None:
        self._behind: list[Place] = []
        self._ahead: list[Place] = []

    def leave(self, place: Place) -> None:
        """Remember a place that is left for another one."""
        if not self._behind or self._behind[-1] != place:
            self._behind = [*self._behind, place][-MOST:]
        self._ahead = []

    def back(self, here: Place) -> Place | None:
        """Return the place to go back to; None where there is none."""
        return self._step(self._behind, self._ahead, here)

    def forward(self, here: Place) -> Place | None:
        """Return the place that was left by going back; None where there is none."""
        return self._step(self._ahead, self._behind, here)

    @staticmethod
    def _step(taken: list[Place], kept: list[Place], here: Place) -> Place | None:
        while taken:
            place = taken.pop()
            if place != here:
                kept.append(here)
                return place
        return None
