"""What the package uses of others: public names."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import tui_lab

PACKAGE = Path(tui_lab.__file__).parent

# There is no public way to it, and the module does without where the name is gone.
ALLOWED = {"textual._ansi_sequences.ANSI_SEQUENCES_KEYS"}


def imported(tree: ast.AST) -> set[str]:
    """The full names that a module imports, those in functions included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def foreign(name: str) -> bool:
    top = name.partition(".")[0]
    return top != "tui_lab" and top not in sys.stdlib_module_names


def test_names_of_dependencies_are_public() -> None:
    """A private one may be gone with any release (`yaml._yaml` was one)."""
    names = {name for path in PACKAGE.rglob("*.py") for name in imported(ast.parse(path.read_bytes())) if foreign(name)}
    assert {"yaml", "textual.app.App"} <= names
    assert {name for name in names if any(part.startswith("_") for part in name.split("."))} == ALLOWED
