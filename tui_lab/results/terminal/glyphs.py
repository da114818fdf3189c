"""What a terminal can show: one check, and for each sign of ours the ASCII character that stands for it elsewhere."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from typing import Final, TextIO

ERRORS: Final = "tui_lab.plain"
"""The name of an error handler for encodings that lack a character: our signs become ASCII, all else an escape."""
FITTED_ERRORS: Final = "tui_lab.fitted"
"""The same for the screen, where every text keeps its width: all else becomes question marks."""

# One cell for one cell, so that what was laid out stays where it is. Marks of states differ from each other.
_PAIRS: Final = (
    "✓+ ✗x ▶> ■# ●* ◆# ◇o ○o □o ★* ☆* ≈~ ±~ ×x ÷/ …~ ·. •. ∘o ∞8 ⚠! ⊘0 ◌o ⭘o ✔+ ✘x ☐_ ☑x ▲^ △^ ▼v ▽v ▾v ▸> ▴^ "
    "◂< ►> ◄< ↑^ ↓v ←< →> ↵/ ⏎/ ␣_ ▁. ▂: ▃- ▄= ▅+ ▆* ▇# █# ▀' ▔' ░. ▒: ▓% ▌| ▐| ▏| ▎| ▍| ▋| ▊| ▉| ▕| ▚% ▞/ ▤= "
    "▥| ⏺o “\" ”\" „\" ‘' ’' ‚' –- —- −- ─- ━- ┄- ┅- ┈- ┉- ╌- ╍- ═= ╴- ╶- ╸- ╺- ╼- ╾- │| ┃| ┆| ┇| ┊| ┋| ╎| ╏| "
    "║| ╵| ╷| ╹| ╻| ╽| ╿|"
)
_SIGNS: Final = {pair[0]: pair[1] for pair in _PAIRS.split()}
_TABLE: Final[Mapping[int, str]] = {
    **dict.fromkeys(range(10241, 10496), "."),  # braille
    0x2800: " ",
    **dict.fromkeys(range(9472, 9600), "+"),  # what is left of the boxes: corners and crossings
    **dict.fromkeys(range(9622, 9632), "#"),
    **{ord(sign): plain for sign, plain in _SIGNS.items()},
    0xA0: " ",
}
_UNICODE: Final = "✓≈●━⣿█"


def plain(text: str) -> str:
    """A text with an ASCII character for each sign of ours and of Textual, of the same width; letters stay."""
    return text if text.isascii() else text.replace(" ± ", " +-").translate(_TABLE)


def shows_signs(stream: TextIO) -> bool:
    """Whether what reads a stream shows our signs: its encoding has them, and a terminal neither is the console of
    Linux, whose fonts lack most of them, nor stands under the locale C, which promises ASCII only."""
    try:
        _UNICODE.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return not stream.isatty() or not (os.environ.get("TERM") == "linux" or _is_c_locale(os.environ))


def _is_c_locale(environment: Mapping[str, str]) -> bool:
    given = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if given[1:] == ["C.UTF-8", "C"] and not given[0]:
        return True  # Python itself puts C.UTF-8 there, where the locale is C
    return next((value for value in given if value), "") in ("C", "POSIX")


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _known(error) or codecs.backslashreplace_errors(_first(error))


def _fitted(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from rich.cells import cell_len

    return _known(error) or ("?" * cell_len(error.object[error.start]), error.start + 1)


def _known(error: UnicodeEncodeError) -> tuple[str, int] | None:
    if error.object[max(0, error.start - 1) : error.start + 2] == " ± ":
        return "+-", error.start + 2
    sign = _TABLE.get(ord(error.object[error.start]))
    return (sign, error.start + 1) if sign is not None else None


def _first(error: UnicodeEncodeError) -> UnicodeEncodeError:
    return UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)


codecs.register_error(ERRORS, _replaced)
codecs.register_error(FITTED_ERRORS, _fitted)
