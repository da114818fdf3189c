"""Resources that this machine lacks: memory, threads, processes.

Libraries of this program print their own texts where they lack one, and some end the process. So this is checked
before any is imported. Imports nothing heavy.
"""

from __future__ import annotations

import _thread
import errno
import os
import resource
from typing import Final

# Bytes of address space that the libraries reserve, besides what each of their threads does.
_MEMORY: Final = 1700 << 20
_THREADS: Final = 16  # that run in this program, besides those of its libraries
_FILES: Final = 32  # that are open at once
# Polars, OpenBLAS and DuckDB start as many threads each as there are processors, or as these say.
_POOLS: Final = ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "")
_UNMAPPED: Final = "failed to map segment"  # of a library: what the loader says where there is no memory for it


def at_start() -> str:
    """Return what this program lacks to start; empty where nothing is."""
    threads = _THREADS + sum(map(_pool, _POOLS))
    needed = _MEMORY + (threads << 21)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < needed:
        return f"needs {needed >> 20} MiB of address space{_memory()}"
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _FILES:
        return f"needs {_FILES} open files; the limit is {files} (ulimit -n)"
    started = _startable(threads)
    return f"needs {threads} threads, and only {started} can be started{_processes()}" if started < threads else ""


def behind(error: BaseException) -> str:
    """Return which resource an error is the lack of; empty for other errors."""
    text = str(error)
    no_process = getattr(error, "errno", None) == errno.EAGAIN or "can't start new thread" in text
    if no_process or (is_panic(error) and "thread" in text):
        return f"no further process or thread can be started{_processes()}{_memory()}"  # a thread takes memory, too
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _UNMAPPED in text):
        return f"there is not enough memory{_memory()}"
    return ""


def is_panic(error: BaseException) -> bool:
    """Return whether Polars has panicked: that is no Exception."""
    return type(error).__name__ == "PanicException"


def _pool(variable: str) -> int:
    """Threads of one library."""
    said = os.environ.get(variable, "")
    if said.isdecimal() and 0 < int(said) < 10_000:
        return int(said)
    return cores()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processes() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if limit == resource.RLIM_INFINITY:
        return "; is there a limit of this container or session (pids.max)?"
    return f"; the limit is {limit} for all that you run (ulimit -u)"


def _memory() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return f"; the limit is {limit >> 20} MiB (ulimit -v)" if limit != resource.RLIM_INFINITY else ""


def _startable(wanted: int) -> int:
    """How many threads can be started at once, up to `wanted`. They end here."""
    gate = _thread.allocate_lock()
    started = 0
    with gate:
        try:
            while started < wanted:
                _thread.start_new_thread(_pass, (gate,))
                started += 1
        except RuntimeError:
            pass
    return started


def _pass(gate: _thread.LockType) -> None:
    with gate:
        pass
