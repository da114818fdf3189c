"""Ctrl-C acts at once, also after the import of Polars.

Polars sets a handler of its own, under which the system goes on with a call that waits (a read, a lock) instead of
letting Python hear of the signal.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import signal
import sys
from collections.abc import Sequence
from types import ModuleType


def keep_interruptible() -> None:
    """Let signals interrupt system calls from the import of Polars on, whenever that comes."""
    if "polars" in sys.modules:
        signal.siginterrupt(signal.SIGINT, True)
    else:
        sys.meta_path.insert(0, _After("polars"))


class _After(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module as it is always loaded, and sets the signal's flag after that."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None if self._loader is None else self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if self._loader is not None:
            if module.__spec__ is not None:
                module.__spec__.loader = self._loader
            module.__loader__ = self._loader
            self._loader.exec_module(module)
        signal.siginterrupt(signal.SIGINT, True)
