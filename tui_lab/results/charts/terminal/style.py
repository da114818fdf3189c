"""How series are distinguished in a terminal: by colour, and always by their marks, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COLORS: Final = (33, 208, 35, 203, 141, 37, 170, 136)
"""Of the 256; they can be read on black and on white."""
RAMP: Final = (54, 55, 61, 25, 31, 30, 36, 35, 77, 113, 149, 185, 220)
"""From dark to bright, for the cells of a heatmap."""
MARKS: Final = "●■▲◆○□△◇"
ASCII_MARKS: Final = "ox+*#@%&"
FILLS: Final = "█▓▒░▚▞▤▥"
ASCII_FILLS: Final = "#=+:%@*."
SHADES: Final = " ░▒▓█"
ASCII_SHADES: Final = " .:-=+*#%@"


@dataclass(frozen=True)
class Look:
    """What a terminal can show."""

    color: bool = True
    ascii: bool = False

    def tint(self, index: int) -> int | None:
        """Return the color of a series, None without colors."""
        return COLORS[index % len(COLORS)] if self.color else None

    def mark(self, index: int) -> str:
        """Return the character for the points of a series."""
        return _of(ASCII_MARKS if self.ascii else MARKS, index)

    def fill(self, index: int) -> str:
        """The inside of bars."""
        if self.color and not self.ascii:
            return "█"
        return _of(ASCII_FILLS if self.ascii else FILLS, index)

    def line(self) -> str:
        """Return what a line is drawn with: braille dots, or a character."""
        return "." if self.ascii else "braille"

    def shades(self) -> str:
        """Return the characters from light to dark."""
        return ASCII_SHADES if self.ascii else SHADES

    def __call__(self, pretty: str, plain: str) -> str:
        """One of two texts."""
        return plain if self.ascii else pretty


def _of(marks: str, index: int) -> str:
    """Marks first, then letters, so that 34 series have a mark of their own."""
    all_of_them = marks + "abcdefghijklmnpqrstuvwyz"
    return all_of_them[index % len(all_of_them)]
