"""Pools of threads whose work ends when their caller is interrupted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def ending(pool: ThreadPoolExecutor, stop: threading.Event) -> Iterator[None]:
    """End the jobs of a pool, which look at `stop`, if the caller is interrupted: Ctrl-C must not wait for them."""
    try:
        yield
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
