"""Pictures by sixels: the pixels of six rows at a time, one colour after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import lcm
from typing import TYPE_CHECKING, Final

from tui_lab.results.pictures import Raster
from tui_lab.tui.widgets.picture.tile import Tile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLOURS: Final = 256  # that terminals know at once
WIDEST: Final = 960  # pixels of a part: xterm shows no more than 1000
_BAND: Final = 6  # rows of pixels
_EMPTY: Final = 63  # the character of no pixel
_SAME: Final = re.compile(rb"(.)\1{3,}", re.DOTALL)


def whole_rows(height: int) -> int:
    """Return how many rows of cells are whole bands, the least number. height: pixels of a cell."""
    return lcm(height, _BAND) // height


def padded(raster: Raster, width: int, height: int, ground: tuple[int, int, int]) -> Raster:
    """Return a picture with as many pixels as whole cells have: before 3.6, tmux paints the others, too."""
    from PIL import Image

    whole = Image.new("RGB", (width, height), ground)
    whole.paste(Image.frombytes("RGB", (raster.width, raster.height), raster.pixels))
    return Raster(width, height, whole.tobytes())


def tiles(raster: Raster, cell: tuple[int, int]) -> list[Tile]:
    """Return the parts of a picture. cell: pixels of a cell, from left to right and from top to bottom."""
    import numpy as np
    from PIL import Image

    picture = Image.frombytes("RGB", (raster.width, raster.height), raster.pixels)
    few = picture.quantize(COLOURS)
    if picture.getcolors(COLOURS) is None:
        few = picture.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG)
    palette = np.array(few.getpalette(), dtype=np.uint16).reshape(-1, 3)
    percents = (palette * 100 + 127) // 255
    pixels = np.asarray(few)
    wide, high = (max(1, WIDEST // length) * length for length in (cell[0], lcm(cell[1], _BAND)))
    return [
        Tile(
            left // cell[0],
            top // cell[1],
            -(-min(high, raster.height - top) // cell[1]),
            _encoded(pixels[top : top + high, left : left + wide], percents),
        )
        for top in range(0, raster.height, high)
        for left in range(0, raster.width, wide)
    ]


def _encoded(pixels: NDArray[np.uint8], percents: NDArray[np.uint16]) -> str:
    """Return the sequence that shows some pixels, which are numbers of colours."""
    import numpy as np

    height, width = pixels.shape
    colours = b"".join(b"#%d;2;%d;%d;%d" % (number, *percents[number]) for number in np.unique(pixels))
    bands = (b"$".join(_band(pixels[top : top + _BAND])) for top in range(0, height, _BAND))
    # 0;1: what has no pixel stays as it is. Then the shape of a pixel, and how many there are.
    return (b'\x1bP0;1;0q"1;1;%d;%d%s%s\x1b\\' % (width, height, colours, b"-".join(bands))).decode()


def _band(pixels: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield each colour of a band: a character for each column, whose bits are pixels from top to bottom."""
    import numpy as np

    used = np.unique(pixels)
    weights = (1 << np.arange(len(pixels))).astype(np.uint8)
    is_of = pixels[None] == used[:, None, None]
    columns = (is_of * weights[None, :, None]).sum(axis=1, dtype=np.uint8) + _EMPTY
    for number, line in zip(used, columns, strict=True):
        yield b"#%d" % number + _SAME.sub(_repeated, line.astype(np.uint8).tobytes().rstrip(b"?"))


def _repeated(run: re.Match[bytes]) -> bytes:
    return b"!%d%s" % (len(run[0]), run[1])
