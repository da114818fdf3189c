"""Entry of the engine process: `python -m tui_lab.cli.engine [LAB]`. People use `tui-lab --run`, which starts it;
without LAB it waits to be told (see `tui_lab.engine.early`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.engine.early import awaited_lab
from tui_lab.engine.process import main

if TYPE_CHECKING:
    from tui_lab.store.experiment import ExperimentFolder


def more(folder: ExperimentFolder) -> list[int]:
    """Further repeats that `repeat.until` needs: what the engine can't know, for it sees no results."""
    from tui_lab.results import until

    return until.more(folder)


if __name__ == "__main__":
    lab = Path(sys.argv[1]) if len(sys.argv) > 1 else awaited_lab()
    sys.exit(main(lab, more) if lab is not None else 0)
