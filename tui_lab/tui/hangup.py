"""Ends that a person did not ask the screen for: its terminal goes away, or a signal tells it to go.

It leaves in order then: what was not saved is kept aside, and a terminal that is still there is given back as it was.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Final

GRACE: Final = 3.0  # seconds for leaving in order; writing to a terminal that is gone may block
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class Hangup:
    """leave is called once, in a thread; the process ends without it where that takes longer than GRACE."""

    def __init__(self, leave: Callable[[], object]) -> None:
        self.status: int | None = None  # the exit status from the moment on at which the end was asked for
        self._leave = leave

    def watch(self, terminal: int) -> None:
        """Leave as soon as the other side of a terminal is closed, or a signal asks for it. Only in the main thread.

        A terminal mostly tells its end by a signal; where none comes, reading would give nothing again and again.
        """
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, _: self._begin(128 + number))
        threading.Thread(target=self._wait, args=(terminal,), name="hangup", daemon=True).start()

    def _wait(self, terminal: int) -> None:
        poll = select.poll()
        poll.register(terminal, 0)  # only its end, never its input
        while not any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poll.poll()):
            pass
        self._begin(0)

    def _begin(self, status: int) -> None:
        if self.status is not None:
            return
        self.status = status
        end = threading.Timer(GRACE, os._exit, (status,))
        end.daemon = True
        end.start()
        threading.Thread(target=self._leave, name="leave", daemon=True).start()
