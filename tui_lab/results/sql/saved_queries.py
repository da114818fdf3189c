"""Queries that a lab keeps: files `queries/NAME.sql` in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tui_lab.experiment.names import name_error
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.sql.errors import QueryError
from tui_lab.store import mirrors
from tui_lab.store.lab import Lab

FOLDER: Final = "queries"


def saved(lab: Lab) -> dict[str, str]:
    """The text of each, by name."""
    found = {}
    for path in sorted((lab.path / FOLDER).glob("*.sql")):
        if path.is_file():
            found[path.stem] = path.read_text(encoding="utf-8", errors="replace")
    return found


def read(lab: Lab, name: str) -> str:
    """Raises QueryError for an unknown name."""
    known = saved(lab)
    if name not in known:
        hint = suggest(name, known) or (f"there are {', '.join(known)}" if known else "--save NAME SQL saves one")
        raise QueryError(f'there is no saved query "{name}"', hint=hint)
    return known[name]


def save(lab: Lab, name: str, sql: str) -> Path:
    """Write a query, in place of an older one of the name; in a lab on another machine there, too, which blocks. Raises
    QueryError for what can't be a name, LabError, OSError."""
    error = name_error(name)
    if error is not None:
        raise QueryError(error[0], hint=error[1])
    folder = lab.path / FOLDER
    path = folder / f"{name}.sql"
    text = sql.rstrip() + "\n"
    if (side := mirrors.other_side(lab.path)) is not None:
        side.write(path, text.encode())
        return path
    folder.mkdir(exist_ok=True)
    partial = folder / f".{name}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
