"""The exception that has ended a function, as the process that called it left it in a file."""

import json
import os

from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.text import encode

LARGEST = 1 << 16  # bytes of such a file
LONGEST = 2000  # characters of a text in it


def raised_exception(attempt: Attempt) -> "dict[str, str] | None":
    """Return type, message and place of an exception; None where there was none, or its file is no such file."""
    name = attempt.message.get("exception")
    if not name:
        return None
    try:
        with attempt.open_folder() as folder:
            with os.fdopen(folder.read(encode(attempt.file(name))), "rb") as file:
                found = json.loads(file.read(LARGEST).decode("utf-8"))
        texts = {part: found[part] for part in ("type", "message", "at")}
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    return {part: encode_fully(text[:LONGEST]) for part, text in texts.items()}


def encode_fully(text: str) -> str:
    """Return a text without halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")
