"""The agent's log: its standard error."""

import os
import time

from tui_lab.engine.agent.processes import encode


def log(text: str) -> None:
    try:
        os.write(2, encode("%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), text)))
    except OSError:
        pass  # a full disk: there is nobody left to tell
