"""Which terminal shows the screen, and how to reach it through tmux."""

from __future__ import annotations

import subprocess
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


def through_tmux(sequence: str) -> str:
    """Return a sequence as tmux hands it on to its terminal, if its option allow-passthrough is on."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _asked(format: str) -> list[str]:
    command = ["tmux", "display-message", "-p", format]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=2, check=False).stdout.splitlines()
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
