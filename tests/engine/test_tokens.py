"""Tokens of `limits` are those of a lab: what experiments that run at once take together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Workshop

# A task counts itself in while it runs: a folder that exists already is a second one at the same time.
TEXT = """
    command: 'mkdir {busy} || exit 3; sleep 0.05; rmdir {busy}'
    parameters: {{x: [1, 2, 3, 4]}}
    needs: {{license: {need}}}
    limits: {{license: {limit}}}
"""


def write(workshop: Workshop, name: str, busy: Path, limit: int, need: int = 1) -> Path:
    return workshop.write(name, TEXT.format(busy=busy, limit=limit, need=need))


@pytest.mark.parametrize(("limits", "needs"), [((1, 1), (1, 1)), ((2, 1), (2, 1))])
def test_two_experiments_share_a_limit(
    workshop: Workshop, limits: tuple[int, int], needs: tuple[int, int], tmp_path: Path
) -> None:
    files = [
        write(workshop, f"{name}.yaml", tmp_path / "busy", limit, need)
        for name, limit, need in zip(("one", "two"), limits, needs, strict=True)
    ]
    ran = workshop.call("--run", *files, "--node", "localhost", 4)
    assert ran.returncode == 0, ran.stderr
    assert [task["state"] for name in ("one", "two") for task in workshop.tasks(name)] == ["done"] * 8
