"""A talk with an agent of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.agent.talk import Talk, interpreters


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path)
    try:
        yield talk
    finally:
        talk.close()


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def any_talk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Talk]:
    talk = Talk(tmp_path, request.param)
    try:
        yield talk
    finally:
        talk.close()
