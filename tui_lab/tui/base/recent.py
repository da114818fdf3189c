"""The experiment files that were opened last."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.tui.base.config import state_folder

RECENT: Final = 20


def recent_files() -> list[Path]:
    """The files that were opened last, newest first, as far as they are still there."""
    try:
        names = json.loads((state_folder() / "recent.json").read_text())
        return [path for name in names if (path := Path(str(name))).is_file()]
    except (OSError, ValueError, TypeError):
        return []


def remember(path: Path) -> None:
    """Put a file at the head of the recent ones."""
    file = state_folder() / "recent.json"
    names = [str(path), *(str(other) for other in recent_files() if other != path)]
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = file.with_suffix(f".{secrets.token_hex(4)}")
        partial.write_text(json.dumps(names[:RECENT]))
        partial.replace(file)
