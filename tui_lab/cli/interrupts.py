"""Ctrl-C acts at once, also during imports and after that of Polars.

Polars sets a handler of its own, under which the system goes on with a call that waits (a read, a lock) instead of
letting Python hear of the signal. And an import takes a KeyboardInterrupt in its midst for an error of its own: what it
imports in turn is missing then, which orjson answers with a segmentation fault.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from tui_lab.client.exit_status import INTERRUPTED

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

_PATIENCE: Final = 0.3  # seconds that an import has for its end

_awaited: threading.Timer | None = None  # runs while an import is to end


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handler of SIGINT: raises KeyboardInterrupt, but not within an import; behind it. One that takes long, or a
    second Ctrl-C, ends the process."""
    global _awaited
    importer = _importer(frame)
    if importer is None:
        raise KeyboardInterrupt
    if _awaited is not None:
        os._exit(INTERRUPTED)
    _awaited = threading.Timer(_PATIENCE, os._exit, [INTERRUPTED])
    _awaited.daemon = True
    _awaited.start()
    importer.f_trace = _behind  # called at its next line, or at its end
    sys.settrace(_untraced)


def _importer(frame: FrameType | None) -> FrameType | None:
    """The outermost of the calls that wait for an import."""
    found = None
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            found = frame.f_back
        frame = frame.f_back
    return found


def _untraced(frame: FrameType, event: str, argument: Any) -> None:
    """Leaves what is called from now on untraced."""


def _behind(frame: FrameType, event: str, argument: Any) -> Any:
    """Let what was heard during an import act now."""
    global _awaited
    sys.settrace(None)
    if _awaited is not None:
        _awaited.cancel()
        _awaited = None
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or handler is interrupt:
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)  # the follower of a run counts what comes


def keep_interruptible() -> None:
    """Let signals interrupt system calls from the import of Polars on, whenever that comes."""
    if "polars" in sys.modules:
        signal.siginterrupt(signal.SIGINT, True)
    else:
        sys.meta_path.insert(0, _After("polars"))


class _After:
    """Loads one module as it is always loaded, and sets the signal's flag after that. The base classes of finders and
    loaders are not imported: that takes longer than all else here."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loader: Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, cast("Loader", self)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None if self._loader is None else self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if self._loader is not None:
            if module.__spec__ is not None:
                module.__spec__.loader = self._loader
            module.__loader__ = self._loader
            self._loader.exec_module(module)
        signal.siginterrupt(signal.SIGINT, True)
