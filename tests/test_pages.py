"""The blocks of some pages of the docs, run in their order: files are written, commands are typed, and what they print
is held against the page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workbench import IN_PROCESS, REPOSITORY, Result, Workbench, checked

DOCS = REPOSITORY / "docs"
PAGES = [DOCS / "python.md", *sorted((DOCS / "coming_from").glob("*.md"))]
FILES = ("python", "yaml")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_in_their_order(page: Path, workbench: Workbench) -> None:
    """A block that begins with `# NAME` is that file. Each line of a `console` block that begins with `$` is a command.
    The lines below it are a part of what it prints, on both streams; `...` stands for any text. `# exit N` behind a
    command is its exit status."""
    programs = Path(sys.executable).parent
    environment = workbench.environment | {"PATH": f"{programs}:{workbench.environment['PATH']}"}
    ran = 0
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        if kind in FILES:
            name = re.match(r"# (\S+\.\w+)\n", text)
            assert name is not None, f"a block without the name of its file:\n{text}"
            workbench.write(name[1], text)
        if kind == "console":
            for command, code, printed in commands(text):
                result = run_line(command, workbench, environment, code)
                assert found(printed, f"{result.out}\n{result.err}"), (
                    f"$ {command}\n{result.out}{result.err}\nThe page has:\n{printed}"
                )
                ran += 1
    assert ran >= 3


def commands(block: str) -> Iterator[tuple[str, int, str]]:
    """The commands of a block: the line, the exit status, and what the page says that it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        line, _, code = line.partition("  # exit ")
        yield line, int(code or 0), printed


def run_line(line: str, workbench: Workbench, environment: dict[str, str], code: int) -> Result:
    """Run a line in bash, or in this process where that can be done, which takes a tenth of the time."""
    words = shlex.split(line)
    if words[0] == "tui-lab" and words[1] in IN_PROCESS and not re.search(r"[|&;<>]", re.sub(r"'[^']*'", "", line)):
        return workbench(*words[1:], code=code)
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=workbench.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return checked(Result(ended.returncode, ended.stdout, ended.stderr), code)


def found(printed: str, text: str) -> bool:
    """Whether a text has these lines; blanks at the ends of lines, and lines without words, don't count."""
    wanted, has = ("\n".join(line.strip() for line in one.splitlines() if line.strip()) for one in (printed, text))
    parts = [re.escape(part) for part in re.split(r"\s*\.\.\.\s*", wanted)]
    return re.search(".*?".join(parts), has, re.DOTALL) is not None
