"""Writing a table to a file whose path the user types."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.results.export.output import ENDINGS, Format, OutputError, choose_format, write
from tui_lab.tui.base.verdict import Verdict

_NAMES: Final[dict[Format, str]] = {
    "csv": "CSV",
    "tsv": "TSV",
    "xlsx": "an Excel file",
    "json": "JSON",
    "jsonl": "JSON lines",
    "parquet": "Parquet",
    "markdown": "Markdown",
    "table": "a plain table",
}


def target(text: str) -> Path:
    """Return the path that a user has typed; `~` is the home folder."""
    return Path(text.strip()).expanduser()


def export_verdict(text: str, others: Collection[str] = ()) -> Verdict:
    """Return what exporting to a path will do. others: further endings that the caller can write."""
    endings = " ".join([*others, *sorted(ENDINGS)])
    if not text.strip():
        return Verdict(False, "a file, whose ending says the format: " + endings)
    file = target(text)
    try:
        format = choose_format(file, False)
        if file.is_dir():
            return Verdict(False, f"{file} is a folder")
        if not file.absolute().parent.is_dir():
            return Verdict(False, f"there is no folder {file.absolute().parent}")
        exists = file.exists()
    except OutputError:
        return Verdict(False, "its ending names no format; use one of " + endings)
    except (OSError, ValueError) as error:
        return Verdict(False, str(error))
    return Verdict(True, f"as {_NAMES[format]}" + (", replacing the existing file" if exists else ""))


def export(frame: pl.DataFrame, text: str) -> Path:
    """Raises OutputError."""
    file = target(text)
    write(frame, None, file)
    return file
