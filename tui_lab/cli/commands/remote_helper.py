"""`tui-lab remote-helper LAB`: what a screen on another machine starts beside a lab."""

from __future__ import annotations

import os

from tui_lab.client.errors import UsageError


def main(arguments: list[str]) -> int:
    """Serve the lab over standard input and output until they end; return the exit status."""
    from tui_lab.client.remote.helper import main as serve

    if len(arguments) != 1:
        raise UsageError("remote-helper LAB: what `tui-lab HOST:LAB` on another machine starts here")
    # Whatever a library prints must not stand between the messages.
    with os.fdopen(os.dup(0), "rb") as source, os.fdopen(os.dup(1), "wb") as target:
        os.dup2(2, 1)
        return serve(arguments[0], source, target)
