"""Locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui_lab.store.errors import StorageError, storage_error


@contextmanager
def locked(path: Path, wait: float = 60.0) -> Iterator[None]:
    """Hold an advisory lock on a file, waiting up to `wait` seconds. Raises StorageError."""
    deadline = time.monotonic() + wait
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise storage_error(path, error) from error
                if time.monotonic() > deadline:
                    raise StorageError(f"{path}: another tui-lab has held this lock for {wait:.0f} seconds") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(file)
