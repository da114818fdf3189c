"""TUI Lab: from "what if I try these settings" to "this one is best", in one terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_lab.portable.function.live_metrics import log

if TYPE_CHECKING:
    from tui_lab import api
    from tui_lab.api import *  # noqa: F403
    from tui_lab.api.domains import *  # noqa: F403

__version__ = "0.1.0"
__all__ = ["__version__", "log"]
if TYPE_CHECKING:
    __all__ += api.__all__
else:

    def __getattr__(name: str) -> object:
        """Return a part of the Python interface (`tui_lab.api`), which is loaded when it is first used: a task that
        calls `log` has no time for it."""
        if not name.startswith("_") and name != "api":
            from importlib import import_module

            found = import_module("tui_lab.api")
            if name in found.__all__:
                return getattr(found, name)
        raise AttributeError(f"module 'tui_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib import import_module

    return [*__all__, *import_module("tui_lab.api").__all__]
