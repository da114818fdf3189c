"""The history of queries of a lab, newest last: a file of the user, not of the lab."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.store.lab import Lab
from tui_lab.tui.base.config import state_folder

MOST: Final = 500


def path(lab: Lab) -> Path:
    """Return the file of the queries that were asked of a lab."""
    return state_folder() / "queries" / f"{lab.identity}.jsonl"


def read(lab: Lab) -> list[str]:
    """Return the queries, the newest last, each text once; none where the file can't be read."""
    found: dict[str, None] = {}
    with suppress(OSError):
        for line in path(lab).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                sql = str(json.loads(line)["sql"])
                found.pop(sql, None)
                found[sql] = None
    return list(found)[-MOST:]


def add(lab: Lab, sql: str) -> list[str]:
    """Return the history with one more query; it is written if the disk has room."""
    before = read(lab)
    if before and before[-1] == sql:
        return before
    after = [*(one for one in before if one != sql), sql][-MOST:]
    file = path(lab)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.write_text("".join(json.dumps({"sql": one}, ensure_ascii=False) + "\n" for one in after), "utf-8")
        partial.replace(file)
    except OSError:
        pass  # a full or read-only home takes no history, and queries go on
    return after


class Walk:
    """Steps through a history; at its end is the text that was typed before."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._place = 0
        self._draft = ""

    def reset(self, entries: list[str]) -> None:
        """Begin anew behind the last of these entries."""
        self.entries = entries
        self._place = len(entries)

    def step(self, by: int, text: str) -> str | None:
        """Return the text `by` steps away; None where there is no such step."""
        if self._place < len(self.entries) and text != self.entries[self._place]:
            self._place = len(self.entries)  # it was edited: it is a text of its own now
        if self._place == len(self.entries):
            self._draft = text
        place = self._place + by
        while 0 <= place < len(self.entries) and self.entries[place] == text:
            place += 1 if by > 0 else -1
        if not 0 <= place <= len(self.entries):
            return None
        self._place = place
        return self._draft if place == len(self.entries) else self.entries[place]
