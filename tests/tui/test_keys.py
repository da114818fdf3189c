"""No key means one thing to a pane and another everywhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

import tui_lab.tui
from tui_lab.tui.app.actions import ACTIONS
from tui_lab.tui.app.palette import registry
from tui_lab.tui.base import panes
from tui_lab.tui.base.actions import Action

GIVES_WAY = {"escape"}
"""Keys that a pane may take first: `escape` leaves the innermost thing."""


def keys_of(actions: Iterable[Action]) -> Iterator[str]:
    for one in actions:
        yield from (key.strip() for key in one.keys.split(","))


@pytest.mark.parametrize("name", [*panes.NAMES, panes.WELCOME])
def test_a_pane_leaves_the_keys_of_the_app_alone(name: str) -> None:
    everywhere = set(keys_of(ACTIONS)) - GIVES_WAY
    own = list(keys_of(panes.load(name).ACTIONS))
    assert not everywhere & set(own)


@pytest.mark.parametrize("name", [*panes.NAMES, panes.WELCOME])
def test_a_pane_uses_a_key_once_unless_one_of_two_acts(name: str) -> None:
    """Two actions on one key are right only where a check chooses between them."""
    kind = panes.load(name)
    keys = list(keys_of(kind.ACTIONS))
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice or "check_action" in vars(kind)


def test_each_pane_has_a_digit_of_its_own() -> None:
    digits = [panes.digit(name) for name in panes.NAMES]
    assert all(digits)
    assert len(set(digits)) == len(digits)


# --- What is said on the screen names keys as they are set

LITERAL: Final = re.compile(
    r"(?:^|[:;,(·] |  )(?:press )?`?(?!a |y |Y |n )(?:\^?[A-Za-z/]|[fF]\d{1,2}|ctrl\+\w|alt\+\w)`? (?:[a-z]+(?<!s)s)\b"
)
"""A key that does something, as in `: o opens one`. Those of dialogs, menus and tables (y, enter, esc) can't be set."""
UNSET: Final = ("HELP", "BINDINGS", "DEFAULT_CSS", "ACTIONS")


def said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a module with their lines, but for docstrings, actions and bindings."""
    left: set[ast.AST] = set()
    for node in ast.walk(tree):
        skipped = (
            (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "ction" in node.func.id)
            or (isinstance(node, ast.Assign | ast.AnnAssign) and any(name in ast.unparse(node)[:40] for name in UNSET))
        )
        left |= set(ast.walk(node)) if skipped else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left:
            yield node.lineno, node.value


def test_hints_name_keys_by_their_actions() -> None:
    known = {action.id for actions in registry().values() for action in actions} | {
        action.id for action in panes.load(panes.WELCOME).ACTIONS
    }
    found, named = [], set()
    for path in sorted(Path(tui_lab.tui.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if path.name != "process.py":  # its keys can't be set
            found += [f"{path}:{line}: {text}" for line, text in said(tree) if LITERAL.search(text)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name, words = ast.unparse(node.func), [ast.unparse(one).strip("'\"") for one in node.args]
                named |= {words[0]} if name.endswith((".key", "key")) and words and "." in words[0] else set()
                named |= {words[1]} if name == "Empty" and len(words) == 3 else set()
    assert not found
    assert len(named) > 20 and {one for one in named if re.fullmatch(r"[a-z_]+\.[a-z_]+", one)} <= known
