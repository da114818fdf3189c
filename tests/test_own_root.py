"""Runs the tests that may remove what they should not in a root of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import rooted
from tests.engine.nodes.openssh import NEEDS, chosen_server

pytestmark = rooted.alone


@pytest.mark.slow
@pytest.mark.parametrize("module", rooted.MODULES)
def test_in_a_root_of_its_own(module: str, tmp_path: Path) -> None:
    if module in rooted.OF_OPENSSH and (chosen_server() != "openssh" or shutil.which("ssh") is None):
        pytest.skip(f"{NEEDS}ssh, sshd")
    rooted.run(module, tmp_path)
