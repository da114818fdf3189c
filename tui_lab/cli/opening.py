"""Which lab, and which file, the words of a command line mean for the screen."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tui_lab.cli.options import lab_path
from tui_lab.client.errors import UsageError


def what_to_open(args: argparse.Namespace, commands: Iterable[str]) -> tuple[Path, Path | None]:
    """Return the lab that the screen shows, and the file in the editor: what `args.words` names is one or the other.
    commands: their names, one of which may be meant. Raises UsageError."""
    from tui_lab.experiment.yaml.problem import suggest

    if len(args.words) > 1:
        if not Path(args.words[0]).exists() and (hint := suggest(args.words[0], commands)):
            raise UsageError(f'there is no command "{args.words[0]}"; {hint}')
        raise UsageError(f"the screen opens one file; to run them, type: tui-lab --run {' '.join(args.words)}")
    path = Path(args.words[0]) if args.words else None
    if path is not None and not path.exists():
        hint = suggest(args.words[0], commands)
        raise UsageError(f'there is no command and no file "{path}"; ' + (hint or "see tui-lab --help"))
    if path is not None and path.is_dir():
        if not (path / "lab.json").exists() and any(path.iterdir()):
            raise UsageError(f"{path}: is no lab (it has no lab.json); name a lab or an experiment file")
        return path, None
    return lab_path(args), path
