"""A part of a picture, as a terminal gets it."""

from __future__ import annotations

from typing import NamedTuple


class Tile(NamedTuple):
    """A part. column, row: its first cell in the picture. rows: of cells. sequence: shows it at the cursor."""

    column: int
    row: int
    rows: int
    sequence: str
