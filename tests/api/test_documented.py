"""The blocks of docs/python_interface.md, one after the other in one program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workbench import Workbench

PAGE = Path(__file__).parent.parent.parent / "docs" / "python_interface.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run(workbench: Workbench) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    script = workbench.write("page.py", "\n".join(blocks))
    words = [sys.executable, "-W", "error::RuntimeWarning", str(script)]
    done = subprocess.run(words, cwd=workbench.folder, env=workbench.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "flaky: 1 of 3 tasks failed (exit 1: no 2)\n" in done.stdout
    assert "\n8\n" in done.stdout
    assert "{'pending': 0, 'running': 0, 'done': " in done.stdout
    assert (workbench.folder / "loss.txt").read_text() and (workbench.folder / "grid.yaml").exists()
