"""Workers of the screen: an unexpected error of one is reported, and its traceback kept. The screen goes on.

Leaving does not wait for them, as what they read may take long, or never end. It does wait for what is `promised`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Final, ParamSpec, Protocol, cast, overload
from weakref import WeakKeyDictionary

from textual import work as textual_work
from textual.dom import DOMNode
from textual.worker import Worker, get_current_worker

from tui_lab.tui.base.pane import host_of

P = ParamSpec("P")
THREADS: Final = 64
"""Workers at the same time: some may never end, and others must not wait for them."""
REPLACED: Final = 3
"""Threads of one exclusive group of a widget at the same time. Cancelling ends none, and what a thread reads may never
answer: with each new one, another would wait for it."""
_LOOK: Final = 0.1  # seconds between two looks whether a thread is still wanted
_running: Final[WeakKeyDictionary[DOMNode, Counter[str]]] = WeakKeyDictionary()
_changed: Final = threading.Condition()
_promises: Final = threading.Condition()
_promised: list[object] = []


class Threads(ThreadPoolExecutor):
    """Runs an event loop's functions. The end of the loop does not wait for them."""

    def __init__(self) -> None:
        super().__init__(THREADS, thread_name_prefix="screen")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


@contextmanager
def promised() -> Iterator[None]:
    """Let leaving wait until this has ended: the user asked for it, and its output must be whole. Nothing in it may
    wait for the screen."""
    token = object()
    with _promises:
        _promised.append(token)
    try:
        yield
    finally:
        with _promises:
            _promised.remove(token)
            _promises.notify_all()


def keep_promises() -> None:
    """Wait for the end of all `promised` work. Ctrl-C ends the wait, as KeyboardInterrupt."""
    with _promises:
        while _promised:
            _promises.wait(0.1)  # a wait without an end might not see the signal


class _Decorator(Protocol):
    def __call__(self, method: Callable[P, Any], /) -> Callable[P, Worker[Any]]: ...


@overload
def work(method: Callable[P, Any], /) -> Callable[P, Worker[Any]]: ...
@overload
def work(*, group: str = ..., exclusive: bool = ..., thread: bool = ...) -> _Decorator: ...
def work(
    method: Callable[..., Any] | None = None,
    /,
    *,
    group: str = "default",
    exclusive: bool = False,
    thread: bool = False,
) -> Any:
    """Textual's `work`, but an error does not end the screen: it reaches `Host.worker_failed`, and the worker gets the
    state ERROR."""

    def decorated(method: Callable[..., Any]) -> Callable[..., Worker[Any]]:
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def guarded(self: DOMNode, *args: Any, **kwargs: Any) -> Any:
                try:
                    return await method(self, *args, **kwargs)
                except Exception as error:
                    _report(self, error)
                    raise
        else:

            @wraps(method)
            def guarded(self: DOMNode, *args: Any, **kwargs: Any) -> Any:
                with _turn(self, group if exclusive else "") as wanted:
                    try:
                        return method(self, *args, **kwargs) if wanted else None
                    except Exception as error:
                        _report(self, error)
                        raise

        made = textual_work(exit_on_error=False, group=group, exclusive=exclusive, thread=thread)(guarded)
        return cast("Callable[..., Worker[Any]]", made)

    return decorated if method is None else decorated(method)


@contextmanager
def _turn(node: DOMNode, group: str) -> Iterator[bool]:
    """Wait until fewer than REPLACED threads of an exclusive group run; yields False if a newer one took the place of
    this one meanwhile."""
    if not group:
        yield True
        return
    worker = get_current_worker()
    with _changed:
        running = _running.setdefault(node, Counter())
        gone = False
        while running[group] >= REPLACED and not gone:
            _changed.wait(_LOOK)
            gone = worker.is_cancelled
        running[group] += not gone
    if gone:
        yield False
        return
    try:
        yield True
    finally:
        with _changed:
            running[group] -= 1
            _changed.notify_all()


def deliver(node: DOMNode, method: Callable[..., object], *args: Any) -> None:
    """Hand what a thread has found out to the screen, unless a newer worker of its group replaced the one that calls
    this: of two threads the older may be the later one."""
    worker = get_current_worker()

    def unless_replaced() -> None:
        if not worker.is_cancelled:
            method(*args)

    node.app.call_from_thread(unless_replaced)


def _report(node: DOMNode, error: Exception) -> None:
    app = host_of(node)
    if not app.is_running or isinstance(error, asyncio.CancelledError):
        return
    trace = "".join(traceback.format_exception(error))
    with suppress(RuntimeError):  # the screen is just ending
        app.call_later(app.worker_failed, node, error, trace)
