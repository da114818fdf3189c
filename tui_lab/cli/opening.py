"""Which lab, and which file, the words of a command line mean for the screen."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tui_lab.cli.options import lab_path
from tui_lab.client.errors import UsageError

_YAML: Final = (".yaml", ".yml")
_PLACE: Final = re.compile(r"(\d+)(?::(\d+))?:?")


class Opened(NamedTuple):
    """What the screen opens: a lab, and a file in the editor. place: line and column there, counted from 1."""

    lab: Path
    file: Path | None = None
    place: tuple[int, int] | None = None


def in_file(word: str) -> tuple[Path, tuple[int, int]] | None:
    """Return file and place of FILE:LINE or FILE:LINE:COLUMN, which is how mistakes name them; None for another word.
    Raises UsageError."""
    file, colon, rest = word.partition(":")
    found = _PLACE.fullmatch(rest)
    is_yaml = file.endswith(_YAML) and "@" not in file
    if not colon or os.path.lexists(word) or not (is_yaml or (found and Path(file).is_file())):
        return None
    if not Path(file).is_file():
        raise UsageError(f'{word}: there is no file "{file}"; a lab on a machine of that name is ssh://{file}/PATH')
    if found is None:
        raise UsageError(f"{word}: what stands behind {file} is a line, as in {file}:3 or {file}:3:14")
    return Path(file), (int(found[1]), int(found[2] or 1))


def what_to_open(args: argparse.Namespace, commands: Iterable[str]) -> Opened:
    """Return the lab that the screen shows, and the file in the editor: what `args.words` names is one or the other.
    commands: their names, one of which may be meant. Raises UsageError."""
    if len(args.words) > 1:
        if not Path(args.words[0]).exists() and (hint := _suggest(args.words[0], commands)):
            raise UsageError(f'there is no command "{args.words[0]}"; {hint}')
        raise UsageError(f"the screen opens one file; to run them, type: tui-lab --run {' '.join(args.words)}")
    if args.words and (named := in_file(args.words[0])) is not None:
        return Opened(lab_path(args), *named)
    path = Path(args.words[0]) if args.words else None
    if path is not None and not path.exists():
        hint = _suggest(args.words[0], commands)
        raise UsageError(f'there is no command and no file "{path}"; ' + (hint or "see tui-lab --help"))
    if path is not None and path.is_dir():
        if not (path / "lab.json").exists() and any(path.iterdir()):
            raise UsageError(f"{path}: is no lab (it has no lab.json); name a lab or an experiment file")
        return Opened(path)
    return Opened(lab_path(args), path)


def _suggest(word: str, commands: Iterable[str]) -> str:
    from tui_lab.experiment.yaml.problem import suggest

    return suggest(word, commands)
