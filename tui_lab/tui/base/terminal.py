"""Which terminal shows the screen, how large its cells are, and how to reach it through tmux."""

from __future__ import annotations

import fcntl
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from typing import Final

_MARKS: Final = {  # a variable that only one terminal sets -> its name. Programs that it starts may inherit it
    "KITTY_WINDOW_ID": "kitty",
    "WEZTERM_PANE": "wezterm",
    "GHOSTTY_RESOURCES_DIR": "ghostty",
    "ITERM_SESSION_ID": "iterm",
    "WT_SESSION": "windows terminal",
    "VTE_VERSION": "vte",
}


def names(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what may name the terminal, the surest first. In tmux it is asked: that blocks."""
    if environment.get("TMUX"):
        # The environment may be that of an earlier terminal.
        yield from _asked("#{client_termname}\n#{client_termtype}")
    yield from (environment.get(name, "") for name in ("TERM", "TERM_PROGRAM", "LC_TERMINAL"))
    yield from (name for variable, name in _MARKS.items() if environment.get(variable))


def passes_through() -> bool:
    """Return whether tmux hands sequences on to its terminal: its option allow-passthrough. Blocks."""
    return any(line not in ("", "0", "off") for line in _asked("#{allow-passthrough}"))


def tmux_terminal() -> str:
    """Return what the terminal of tmux says that it is, as `foot(1.13.1)`. Blocks."""
    return " ".join(_asked("#{client_termtype}"))


def tmux_terminal_has(feature: str) -> bool:
    """Return whether tmux has found that its terminal knows something, as in its option terminal-features. Blocks."""
    return any(feature in line.split(",") for line in _asked("#{client_termfeatures}"))


def through_tmux(sequence: str) -> str:
    """Return a sequence as tmux hands it on to its terminal, if its option allow-passthrough is on."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def cell_size() -> tuple[int, int]:
    """Return the pixels of a cell, from left to right and from top to bottom: as the terminal says without being asked,
    else as most have it."""
    for stream in (sys.__stderr__, sys.__stdin__):
        try:
            facts = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8)) if stream is not None else bytes(8)
        except (OSError, ValueError):
            continue
        rows, columns, width, height = struct.unpack("HHHH", facts)
        if rows and columns and width >= columns and height >= rows:
            return width // columns, height // rows
    return 10, 20


def _asked(format: str) -> list[str]:
    command = ["tmux", "display-message", "-p", format]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=2, check=False).stdout.splitlines()
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
