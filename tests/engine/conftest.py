"""A talk with an agent of its own for each test, and a Ray for all that need one: it takes long to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.agent.talk import Talk, interpreters
from tests.services.ray import ray

__all__ = ["any_talk", "ray", "talk"]


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
