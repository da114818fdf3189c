"""What docs/python.md shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    """A block that begins with the name of a file is that file; of a `console` block, each command runs."""
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUI_LAB_")}
    environment |= {"PATH": f"{programs}:{environment['PATH']}"}
    ran = 0
    for kind, text in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        name = re.match(r"# (\S+\.\w+)\n", text)
        if kind in ("python", "yaml"):
            assert name is not None, text
            (tmp_path / name[1]).write_text(text)
        for line in text.splitlines() if kind == "console" else []:
            command = ["bash", "-c", line.removeprefix("$ ")]
            ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
            assert ended.returncode == 0, f"{line}\n{ended.stderr.decode()}"
            ran += 1
    assert ran >= 4
