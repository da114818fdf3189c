"""Calls into a database that may take for ever: Ctrl-C ends them at once, and a limit of time does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE: Final = 0.5
"""Seconds that a call has for its end after it was interrupted; then it is left alone."""


def bounded(call: Callable[[], T], interrupt: Callable[[], None], seconds: float | None = None) -> T:
    """What `call` returns or raises. It runs in another thread, as a query that runs does not see Ctrl-C: that
    interrupts it, and is raised here as KeyboardInterrupt; so does the end of its time, as TimeoutError."""
    answers: list[T] = []
    errors: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True).start()
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while not ended.wait(0.1):  # a wait without an end might not see the signal
            if end is not None and time.monotonic() > end:
                raise TimeoutError
    except (KeyboardInterrupt, TimeoutError):
        for _ in range(int(PATIENCE / 0.05)):
            interrupt()
            if ended.wait(0.05):
                break
        raise
    if errors:
        raise errors[0]
    return answers[0]
