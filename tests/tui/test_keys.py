"""No key means one thing to a pane and another everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tui_lab.tui.app.actions import ACTIONS
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
