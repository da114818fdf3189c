"""What the package uses of others: public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
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


def declared(group: str | None = None) -> set[str]:
    """The names of the distributions that pyproject.toml requires, or an extra of it."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][group] if group else project["dependencies"]
    return {re.split(r"[\[<>=]", one)[0].lower() for one in wanted}


# Distributions of another name than their module, and modules that only extend others.
DISTRIBUTIONS = {
    "dask_jobqueue": "dask-jobqueue",
    "yaml": "pyyaml",
    "rich_argparse": "rich-argparse",
    "textual_serve": "textual-serve",
    "PIL": "pillow",
    "resvg_py": "resvg-py",
}
GRAMMARS = {"tree-sitter", "tree-sitter-sql", "tree-sitter-yaml"}


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    names = {name for path in PACKAGE.rglob("*.py") for name in imported(ast.parse(path.read_bytes())) if foreign(name)}
    used = {DISTRIBUTIONS.get(top, top) for top in (name.partition(".")[0] for name in names)}
    extras = set().union(*map(declared, ("dask", "draw", "excel", "notebook", "images", "ray", "serve")))
    assert used - extras == declared() - GRAMMARS


def test_colours_of_the_editors_need_no_more_grammars_than_are_declared() -> None:
    code = (
        "from textual.widgets import TextArea\n"
        "for language in ('yaml', 'sql'):\n"
        "    area = TextArea('a', language=language)\n"
        "    assert area.is_syntax_aware, language\n"
        "import sys; print(sorted(name for name in sys.modules if name.startswith('tree_sitter') and '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['tree_sitter', 'tree_sitter_sql', 'tree_sitter_yaml']\n", done.stderr


def test_names_of_dependencies_are_public() -> None:
    """A private one may be gone with any release (`yaml._yaml` was one)."""
    names = {name for path in PACKAGE.rglob("*.py") for name in imported(ast.parse(path.read_bytes())) if foreign(name)}
    assert {"yaml", "textual.app.App"} <= names
    assert {name for name in names if any(part.startswith("_") for part in name.split("."))} == ALLOWED
