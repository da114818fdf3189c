"""The end of a terminal. A signal mostly tells it; where none comes, reading would give nothing again and again."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Final

GRACE: Final = 3.0  # seconds for leaving in order; writing to a terminal that is gone may block


def watch(terminal: int, leave: Callable[[], object]) -> threading.Event:
    """Call `leave` once the other side of a terminal is closed, and end the process if that does not.

    The event is set from then on. leave is called in a thread.
    """
    gone = threading.Event()
    threading.Thread(target=_wait, args=(terminal, leave, gone), name="hangup", daemon=True).start()
    return gone


def _wait(terminal: int, leave: Callable[[], object], gone: threading.Event) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # only its end, never its input
    while not any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poll.poll()):
        pass
    gone.set()
    end = threading.Timer(GRACE, os._exit, (0,))
    end.daemon = True
    end.start()
    leave()
