"""Entry of the engine process: `python -m tui_lab.cli.engine LAB`. People use `tui-lab --run`, which starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from tui_lab.engine.process import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
