"""What a file runs."""

from __future__ import annotations

from tui_lab.experiment.yaml.reader import Reader


def calls_functions(r: Reader) -> bool:
    """Return whether tasks, or stages of them, call a Python function."""
    return r.has(("function",)) or any(r.has(("stages", name, "function")) for name in r.keys(("stages",)))
