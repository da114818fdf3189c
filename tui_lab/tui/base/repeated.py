"""Moves that a key which is held down repeats."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable


@runtime_checkable
class AddsUp(Protocol):
    """A widget with actions that lead, with the sum of their numbers, where they lead one after the other."""

    ADDS_UP: ClassVar[frozenset[str]]
