"""Pictures by iTerm2's protocol, which WezTerm, VS Code, Konsole and mintty know, too: a PNG within a sequence."""

from __future__ import annotations

import io
from base64 import standard_b64encode

from tui_lab.results.pictures import Raster
from tui_lab.tui.widgets.picture.tile import Tile


def tiles(raster: Raster, columns: int, rows: int) -> list[Tile]:
    """Return the one part of a picture that takes some cells."""
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (raster.width, raster.height), raster.pixels).save(file, "PNG", compress_level=3)
    return [Tile(0, 0, rows, sequence(file.getvalue(), columns, rows))]


def sequence(picture: bytes, columns: int, rows: int) -> str:
    """Return what shows the contents of a file in some cells."""
    facts = f"inline=1;size={len(picture)};width={columns};height={rows};preserveAspectRatio=0"
    return f"\x1b]1337;File={facts}:{standard_b64encode(picture).decode()}\x07"
