"""Threads that work on files, since a file may not answer: on a network drive whose server has gone, whoever opens,
measures or reads one waits for as long as the server is away.

What is to be done with a file is done in order, by at most one thread. There are never more than MOST threads, and
leaving does not wait for them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

MOST: Final = 16
"""Threads: so many files may not answer until further ones wait for them."""
PATIENCE = 0.05
"""Seconds that the screen's thread waits for what is asked. What the system has in memory takes a thousandth."""
PAUSE: Final = 0.5
"""Seconds without any such wait after one in which no answer came."""

_changed: Final = threading.Condition()
_files: Final[dict[str, deque[Job]]] = {}
"""What is to be done, by file; the first is being done, or its file is in `_ready`."""
_ready: Final[deque[str]] = deque()
_threads: Final[list[threading.Thread]] = []
_idle = 0
_impatient_until = 0.0


class Job:
    """Something that is done with a file. late: called in the thread at its end, if the screen did not wait for it."""

    def __init__(self, do: Callable[[], object], late: Callable[[], object]) -> None:
        self.asked = time.monotonic()
        self.done = threading.Event()
        self.dropped = False
        self._do, self._late = do, late
        self._is_late = False

    @property
    def over(self) -> bool:
        """Whether nothing waits for it any more."""
        return self.dropped or self.done.is_set()

    def run(self) -> None:
        """Do it, in the thread."""
        if not self.dropped:
            self._do()
        with _changed:
            self.done.set()
            late = self._is_late and not self.dropped
        if late:
            self._late()

    def missed(self) -> bool:
        """Return whether it is not done, so that `late` is called."""
        with _changed:
            self._is_late = not self.done.is_set()
            return self._is_late


def ask(file: str, job: Job) -> Job:
    """Have something done with a file, after what is to be done with it by now."""
    with _changed:
        jobs = _files.setdefault(file, deque())
        jobs.append(job)
        if len(jobs) == 1:
            _ready.append(file)
            if not _idle and len(_threads) < MOST:
                _threads.append(threading.Thread(target=_work, name="file", daemon=True))
                _threads[-1].start()
            _changed.notify()
    return job


def answered(jobs: Sequence[Job]) -> bool:
    """Return whether all is done, after waiting for a moment. For the screen's thread."""
    global _impatient_until
    now = time.monotonic()
    end = now + (PATIENCE if now >= _impatient_until else 0)
    if all(job.done.wait(max(0.0, end - time.monotonic())) for job in jobs):
        return True
    if end > now:
        _impatient_until = time.monotonic() + PAUSE
    missed = [job for job in jobs if job.missed()]  # each of them has to know
    return not missed


def _work() -> None:
    global _idle
    while True:
        with _changed:
            _idle += 1
            while not _ready:
                _changed.wait()
            _idle -= 1
            file = _ready.popleft()
            job = _files[file][0]
        job.run()
        with _changed:
            jobs = _files[file]
            jobs.popleft()
            if jobs:
                _ready.append(file)
            else:
                del _files[file]
