"""Runs the tests that may remove what they should not in a root of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import rooted

pytestmark = rooted.alone


@pytest.mark.parametrize("module", rooted.MODULES)
def test_in_a_root_of_its_own(module: str, tmp_path: Path) -> None:
    rooted.run(module, tmp_path)
