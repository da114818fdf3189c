"""Finds the function of a task."""

import importlib
import importlib.util
import os
import sys
import types

from .live_metrics import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIT = "fit"


class NoFunctionError(Exception):
    """There is no such function."""


def provide_log() -> None:
    """Let `import tui_lab; tui_lab.log(...)` work where TUI Lab is not installed."""
    if "tui_lab" not in sys.modules and importlib.util.find_spec("tui_lab") is None:
        module = types.ModuleType("tui_lab", "What a task needs of TUI Lab, where that is not installed.")
        module.log = log  # type: ignore[attr-defined]
        sys.modules["tui_lab"] = module


def import_module(folder: str, file: "str | None", module: "str | None") -> "Any":
    """Import a file, or a module by its name, as `python FILE` and `python -m MODULE` in the folder would."""
    if file is None:
        sys.path.insert(0, folder)
        return importlib.import_module(str(module))
    path = os.path.join(folder, file)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    name = os.path.basename(path)[: -len(".py")]
    spec = importlib.util.spec_from_file_location(name, path)  # type: Any
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def function_of(module: "Any", name: "str | None", text: str) -> "Any":
    """Return the function; without a name, None for a module that has `fit`. Raises NoFunctionError."""
    found = getattr(module, name or FIT, None)
    if not callable(found):
        raise NoFunctionError("%s: there is no function %s" % (text, name or FIT))
    return found if name else None
