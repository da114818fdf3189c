"""Entry of the engine process: `python -m tui_lab.client.engine LAB`. `tui-lab --run` starts it. With --wait it waits
until it is needed (see `tui_lab.engine.standby`)."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui_lab.client import shortage
from tui_lab.engine.standby import SSH, WAIT, wait_for_start

if TYPE_CHECKING:
    from tui_lab.store.experiment import ExperimentFolder


def more(folder: ExperimentFolder) -> tuple[list[int], str]:
    """Return the further repeats that `repeat.until` needs, and a note. The engine can't compute them, for it reads no
    results."""
    from tui_lab.results import until

    return until.more(folder)


if __name__ == "__main__":
    if lack := shortage.at_start():
        print(f"the engine {lack}", flush=True)
        sys.exit(3)
    gc.disable()  # what is imported stays: to look through it for garbage is a tenth of the time that it takes
    from tui_lab.engine.process import main

    lab = Path(sys.argv[1])
    if SSH in sys.argv[2:]:
        import tui_lab.engine.transports.ssh.pool  # noqa: F401
    gc.freeze()
    gc.enable()
    sys.exit(main(lab, more) if WAIT not in sys.argv[2:] or wait_for_start(lab) else 0)
