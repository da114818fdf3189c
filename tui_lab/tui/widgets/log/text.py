"""A line of a program's output as text for the screen: its colours stay, and nothing of it can touch the terminal."""

from __future__ import annotations

import re
from typing import Final

from rich.ansi import AnsiDecoder
from rich.style import Style
from rich.text import Text

from tui_lab.results.extraction.text import strip_escapes
from tui_lab.tui.widgets.log.local_file import Line

_COLOUR: Final = re.compile(rb"(\x1b\[[0-9;]*m)")
_TAB: Final = 8


def line_text(line: Line, ascii_only: bool = False) -> Text:
    """The line as a terminal would show it in the end: of what carriage returns overwrote the last is shown."""
    data = line.data
    text = _coloured(data, ascii_only) if b"\x1b" in data else Text(_plain(_last_written(data), ascii_only))
    if line.cut:
        text.append(f" {'...' if ascii_only else '…'} {line.cut:,} more bytes", "dim reverse")
    return text


def _last_written(data: bytes) -> bytes:
    """What is left of a line that was written over: its last part that has anything in it."""
    if b"\r" not in data and b"\n" not in data:
        return data
    parts = [part for part in re.split(rb"[\r\n]", data) if part.strip()]
    return parts[-1] if parts else b""


def _coloured(data: bytes, ascii_only: bool) -> Text:
    pieces: list[bytes] = []
    returned = False  # the cursor is at the beginning: what comes next is written over the rest
    for place, part in enumerate(_COLOUR.split(data)):
        if place % 2:
            pieces.append(part)
            continue
        for number, written in enumerate(re.split(rb"[\r\n]", strip_escapes(part))):
            returned = returned or number > 0
            if not written.strip() and returned:
                continue
            if returned:
                pieces = [piece for piece in pieces if _COLOUR.fullmatch(piece)]
                returned = False
            pieces.append(_plain(written, ascii_only).encode())
    text = AnsiDecoder().decode_line(b"".join(pieces).decode())
    for span in text.spans:
        style = span.style
        if isinstance(style, Style) and (style.blink or style.blink2 or style.conceal or style.link):
            calm = Style(color=style.color, bgcolor=style.bgcolor, bold=style.bold, dim=style.dim)
            text.stylize(calm, span.start, span.end)
            text.spans.remove(span)
    return text


def _plain(data: bytes, ascii_only: bool) -> str:
    text = data.decode("utf-8", "replace")
    if "\t" in text:
        text = text.expandtabs(_TAB)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _picture(c, ascii_only) for c in text)


def _picture(char: str, ascii_only: bool) -> str:
    """Return a visible character in place of an invisible one."""
    code = ord(char)
    if ascii_only:
        return "?"
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
