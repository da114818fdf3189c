"""Copying where the screen may be on another machine: the terminal's own way (OSC 52), tmux's buffer, or a file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

LIMIT: Final = 74_994  # bytes: some terminals silently drop more


def copy(text: str, terminal: Callable[[str], None], folder: Path, environment: Mapping[str, str]) -> str:
    """Put a text where the user can paste it from; where that is, in a few words.

    terminal: gives the text to the terminal by OSC 52. folder: for a text that is too long for it. Raises OSError.
    """
    if len(text.encode("utf-8", "surrogateescape")) > LIMIT or environment.get("TERM") in ("linux", "dumb"):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "copied.txt"
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        return f"to {file}"
    if environment.get("TMUX") and _to_tmux(text):
        return ""
    terminal(text)
    return ""


def _to_tmux(text: str) -> bool:
    """Copy to tmux's buffer, and from there (`-w`) to the terminal outside: OSC 52 from within is often refused."""
    data = os.fsencode(text)
    for options in (["-w"], []):  # -w came with tmux 3.2
        try:
            done = subprocess.run(
                ["tmux", "load-buffer", *options, "-"], input=data, capture_output=True, timeout=2, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
        if done.returncode == 0:
            return True
    return False
