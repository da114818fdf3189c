"""How series are distinguished in a terminal: by colour, and always by their marks, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tui_lab.results.charts.terminal.canvas import mixed, rgb

COLORS: Final = (33, 208, 35, 203, 141, 37, 170, 136)
"""Of the 256; they can be read on black and on white."""
RAMP: Final = (54, 55, 61, 25, 31, 30, 36, 35, 77, 113, 149, 185, 220)
"""From dark to bright, for the cells of a heatmap."""
_VIRIDIS: Final = (
    0x440154, 0x471365, 0x482475, 0x463480, 0x414487, 0x3B528B, 0x355F8D, 0x2F6C8E, 0x2A788E, 0x25848E, 0x21918C,
    0x1E9C89, 0x22A884, 0x2FB47C, 0x44BF70, 0x5EC962, 0x7AD151, 0x9BD93C, 0xBDDF26, 0xDFE318, 0xFDE725,
)  # fmt: skip
VIRIDIS: Final = tuple(mixed(code >> 16, code >> 8 & 0xFF, code & 0xFF) for code in _VIRIDIS)
_DASHES: Final = (None, (3, 2), (1, 2))
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
    ground: int | None = None
    """The colour behind the chart, where it is known and the terminal has all colours."""

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

    def dashes(self, index: int) -> tuple[int, int] | None:
        """Return the dots of a line that are set and not set: colours that are used again have other dashes."""
        return _DASHES[index // len(COLORS) % len(_DASHES)] if self.color else None

    def ramp(self) -> Sequence[int | str]:
        """Return colours from dark to bright, or else characters from light to dark."""
        if not self.color or self.ascii:
            return self.shades()
        return RAMP if self.ground is None else VIRIDIS

    def shades(self) -> str:
        """Return the characters from light to dark."""
        return ASCII_SHADES if self.ascii else SHADES

    def __call__(self, pretty: str, plain: str) -> str:
        """One of two texts."""
        return plain if self.ascii else pretty


def readable(ground: int) -> int:
    """Return black or white, whichever can be read on a colour."""
    red, green, blue = rgb(ground)
    return 16 if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else 231


def _of(marks: str, index: int) -> str:
    """Marks first, then letters, so that 34 series have a mark of their own."""
    all_of_them = marks + "abcdefghijklmnpqrstuvwyz"
    return all_of_them[index % len(all_of_them)]
