"""A value as text: for environment variables, arguments, files, and messages.

`render` gives the text a program receives, `quote` the way to write that text in a shell command.
"""

from __future__ import annotations

import json
import re
from typing import Final

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

#: The longest single argument or variable the kernel hands to a program (its MAX_ARG_STRLEN), in bytes,
#: the NUL at its end included.
LONGEST: Final = 128 * 1024

_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
# Control characters, and those that reorder or break a line on the screen.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ANSI_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


class RenderError(ValueError):
    """A value that cannot be given to a program as text. The message goes on from "the value of x"."""


def render(value: Value) -> str:
    """The text a program receives: `true`, `false`, a float at its shortest, a list as compact JSON.

    Raises RenderError for null, a NUL character, text that is not valid Unicode, and 128 KiB or more of
    UTF-8.
    """
    text = plain_text(value)
    if len(text) * 4 >= LONGEST and len(text.encode()) >= LONGEST:
        raise RenderError(f"is {len(text.encode()):,} bytes long, one value can have at most 128 KiB")
    return text


def plain_text(value: Value) -> str:
    """As `render`, of any length: for text that goes into a file."""
    if value is None:
        raise RenderError("is null, which has no text")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if "\0" in text:
        raise RenderError("holds a NUL character, which can't be passed to a program")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RenderError("is not valid Unicode text (it holds half of a surrogate pair)") from None
    return text


def quote(text: str) -> str:
    """`text` as one word of a shell command, to read and paste: on one line, nothing invisible.

    Control characters come out as `$'...'`, which bash, ksh and zsh read.
    """
    if _PLAIN.fullmatch(text):
        return text
    if _INVISIBLE.search(text):
        return "$'" + "".join(_ansi(character) for character in text) + "'"
    return "'" + text.replace("'", "'\\''") + "'"


def shows_as_is(text: str) -> bool:
    """Whether every character of `text` can be seen on a line of the screen."""
    return _INVISIBLE.search(text) is None


def _ansi(character: str) -> str:
    if character in _ANSI_ESCAPES:
        return _ANSI_ESCAPES[character]
    # An interactive bash looks for `!` and for the closing quote before it reads the escapes.
    if character in "'!" or _INVISIBLE.match(character):
        return "".join(f"\\{byte:03o}" for byte in character.encode())
    return character
