"""The process behind a tab of a browser: `python -m tui_lab.tui.serving.tab JSON`. textual-serve starts it.

The JSON object names the lab, the file in the editor and the place there (or null), and the values that the variables
of SET had for the server: textual-serve sets them for Textual, and commands that are launched from here must not have
them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

SET: Final = (
    *("TEXTUAL_DRIVER", "TEXTUAL_FPS", "TEXTUAL_COLOR_SYSTEM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION"),
    *("COLUMNS", "ROWS"),
)


def main() -> int:
    """Show the screen until the tab is closed, or the user leaves it; return the exit status."""
    given = json.loads(sys.argv[1])
    size = int(os.environ["COLUMNS"]), int(os.environ["ROWS"])
    from textual import constants  # reads the environment once, when it is imported

    assert constants.COLOR_SYSTEM == "truecolor"
    for name, value in given["environment"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    from tui_lab.client.errors import UsageError
    from tui_lab.client.exit_status import USAGE
    from tui_lab.store.errors import LabError
    from tui_lab.tui.app.entry import open_in_browser
    from tui_lab.tui.serving.driver import BrowserDriver

    file = Path(given["file"]) if given["file"] is not None else None
    place = tuple(given["place"]) if given["place"] is not None else None
    try:
        return open_in_browser(Path(given["lab"]), file, given["commands"], BrowserDriver, size, place)
    except (UsageError, LabError) as error:
        print(f"tui-lab: {error}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # threads may be left whose reads are not needed
