"""How pictures reach the terminal: which of the protocols it knows.

kitty and Ghostty say their names. What others can is seen, not looked up: they get a picture of a single pixel, and say
where the cursor is after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, cast

from tui_lab.tui.base.questions import Questions
from tui_lab.tui.base.terminal import tmux_terminal_has
from tui_lab.tui.widgets.picture import iterm, kitty

Way = Literal["kitty", "iterm", "sixel", "blocks", "off"]
_HEIGHT: Final = 20  # bands of six pixels: higher than a line of text
_NOTHING: Final = bytes.fromhex(  # a PNG of one pixel, which can't be seen
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154"
    "78da63606060600000000500017aa857500000000049454e44ae426082"
)
_ASKED: Final[dict[Way, str]] = {
    "iterm": iterm.sequence(_NOTHING, 1, 2),
    # One pixel at its end: foot forgets lines without any.
    "sixel": f'\x1bP0;1;0q"1;1;1;{6 * _HEIGHT}#0;2;0;0;0#0' + "?-" * (_HEIGHT - 1) + "_\x1b\\",
}
_DUMB: Final = ("linux", "dumb", "vt100", "vt220", "unknown", "")  # what they don't know, they may show
_ODD: Final = ("Apple_Terminal",)  # likewise


async def find_way(wanted: str, environment: Mapping[str, str], all_colours: bool, questions: Questions) -> Way:
    """Return how pictures are shown. wanted: what the configuration says. all_colours: whether colours are painted
    unchanged, which kitty's protocol needs."""
    if wanted in ("off", "blocks", "iterm", "sixel"):
        return cast(Way, wanted)
    if wanted == "kitty":
        return "kitty" if all_colours else "blocks"
    if environment.get("TERM", "") in _DUMB or environment.get("STY") or environment.get("TERM_PROGRAM") in _ODD:
        return "blocks"
    in_tmux = bool(environment.get("TMUX"))
    version = await (asyncio.to_thread(kitty.beyond_tmux) if in_tmux else questions.version())
    if all_colours and kitty.knows(version):
        return "kitty"
    # tmux itself may know sixels while its terminal does not.
    if in_tmux and not await asyncio.to_thread(tmux_terminal_has, "sixel"):
        return "blocks"
    places = await questions.cursor_after(list(_ASKED.values()))
    return next((way for way, (_, row) in zip(_ASKED, places, strict=False) if row > 0), "blocks")
