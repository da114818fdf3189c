"""Pictures by kitty's graphics protocol, which Ghostty knows, too.

The pixels are sent once, with a number. Then cells show them: each has a placeholder whose colour is that number, and
two marks that say which part of the picture it shows. So a picture moves, and is covered, like any other text.
"""

from __future__ import annotations

import os
import re
import zlib
from base64 import standard_b64encode
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_lab.results.pictures import Raster
from tui_lab.tui.base.terminal import passes_through, through_tmux, tmux_terminal

_PLACEHOLDER: Final = "\U0010eeee"
_CHUNK: Final = 4096  # characters of a part of the data
_NUMBERS: Final = count(int.from_bytes(os.urandom(2), "big") << 7)  # other programs send pictures to the terminal, too
# What kitty counts rows and columns by: the marks of its file rowcolumn-diacritics.txt.
_MARKS: Final = (
    "305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 59c-5a1 5a8-5a9 "
    "5ab-5ac 5af 5c4 610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec 730 732-733 735-736 73a 73d "
    "73f-741 743 745 747 749-74a 7eb-7f1 7f3 816-819 81b-823 825-827 829-82d 951 953-954 f82-f83 f86-f87 "
    "135d-135f 17dd 193a 1a17 1a75-1a7c 1b6b 1b6d-1b73 1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc "
    "1dd1-1de6 1dfe 20d0-20d1 20d4-20d7 20db-20dc 20e1 20e7 20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d "
    "a6f0-a6f1 a8e0-a8f1 aab0 aab2-aab3 aab7-aab8 aabe-aabf aac1 fe20-fe26 10a0f 10a38 1d185-1d189 1d1aa-1d1ad "
    "1d242-1d244 "
)


def _marks() -> str:
    ends = [[int(end, 16) for end in run.split("-")] for run in _MARKS.split()]
    return "".join(chr(code) for run in ends for code in range(run[0], run[-1] + 1))


MARKS: Final = _marks()
"""The mark of each row, and of each column."""


def knows(version: str) -> bool:
    """Return whether a terminal that says what it is, as in `kitty(0.28.1)` or `ghostty 1.2.0`, has placeholders."""
    name, *numbers = re.findall(r"[a-z]+|[0-9]+", version.lower())[:3] or [""]
    return name == "ghostty" or (name == "kitty" and [int(number) for number in numbers] >= [0, 28])


def beyond_tmux() -> str:
    """Return what the terminal of tmux says that it is; nothing where tmux hands nothing on to it. Blocks."""
    return tmux_terminal() if passes_through() else ""


class Sent:
    """A picture that the terminal has. cells: columns and rows that it takes."""

    def __init__(self, raster: Raster, cells: tuple[int, int]) -> None:
        self.raster = raster
        self.columns, self.rows = (min(number, len(MARKS)) for number in cells)
        self.number = next(_NUMBERS) % 0xFFFFFE + 1

    def sequence(self, environment: Mapping[str, str]) -> str:
        """Return what sends the pixels."""
        data = standard_b64encode(zlib.compress(self.raster.pixels)).decode()
        head = (
            f"a=T,U=1,q=2,f=24,o=z,i={self.number},s={self.raster.width},v={self.raster.height},"
            f"c={self.columns},r={self.rows},"
        )
        parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
        commands = (
            f"{head if not number else 'q=2,'}m={int(number < len(parts) - 1)};{part}"
            for number, part in enumerate(parts)
        )
        return _wrapped(commands, environment)

    def removal(self, environment: Mapping[str, str]) -> str:
        """Return what lets the terminal forget it."""
        return _wrapped([f"a=d,d=I,i={self.number},q=2"], environment)

    def lines(self) -> list[Strip]:
        """Return the lines that show it. Each cell says which part it shows, since some may be painted alone."""
        style = Style(color=Color.from_rgb(self.number >> 16, self.number >> 8 & 255, self.number & 255))
        columns = MARKS[: self.columns]
        return [
            Strip([Segment("".join(_PLACEHOLDER + row + column for column in columns), style)], self.columns)
            for row in MARKS[: self.rows]
        ]


def _wrapped(commands: Iterator[str] | list[str], environment: Mapping[str, str]) -> str:
    sequences = (f"\x1b_G{command}\x1b\\" for command in commands)
    return "".join(through_tmux(one) if environment.get("TMUX") else one for one in sequences)
