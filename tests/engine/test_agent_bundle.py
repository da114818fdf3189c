"""The agent as it travels to a node."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tui_lab.engine.agent
from tests.engine.agent.talk import interpreters
from tui_lab.engine.agent_bundle import PACKAGES, bundle
from tui_lab.engine.transports.channel import GREETING, boot_command, boot_input

ROOT = Path(tui_lab.__file__).parent
MODULES = sorted(path for name in PACKAGES for path in (ROOT.parent / name.replace(".", "/")).glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_is_written_for_python_3_6(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_every_module_can_be_imported_from_the_bundle(python: str, tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in MODULES
    ]
    program = tmp_path / "program"
    imports = "\n".join(f"import {name}" for name in names)
    text = bundle().replace('if __name__ == "__main__":', "if False:")
    program.write_text(f"{text}\n{imports}\nassert 'typing' not in sys.modules\nprint(tui_lab.engine.agent.PROTOCOL)\n")
    said = subprocess.run([python, "-S", "-E", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (said.stdout, said.stderr) == (f"{tui_lab.engine.agent.PROTOCOL}\n", "")


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_files_of_the_login_folder_are_not_taken_for_pythons_own(python: str, tmp_path: Path) -> None:
    for name in ("os", "json", "socket", "select", "fcntl", "subprocess", "heapq"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the folder')\n")
    said = subprocess.run(
        boot_command(python, str(tmp_path), "files"),
        input=boot_input(),
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert (said.stdout, said.stderr) == (GREETING, b"")


def test_a_traceback_names_the_module_and_its_line(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(bundle())
    words = [sys.executable, "-S", "-E", str(program)]
    said = subprocess.run([*words, str(tmp_path), "files"], input=b"no request\n", capture_output=True, check=False)
    assert b"no request that this agent knows" in said.stdout
    program.write_text(bundle().replace("main(*sys.argv[1:]", "main(7"))
    failed = subprocess.run([*words, "x"], capture_output=True, text=True, check=False)
    source = next(path for path in MODULES if path.name == "paths.py").read_text().splitlines()
    line = next(number for number, text in enumerate(source, 1) if "def expand" in text)
    assert 'File "tui_lab/engine/agent/paths.py", line ' in failed.stderr
    numbers = [int(word) for word in failed.stderr.replace(",", "").split() if word.isdigit()]
    assert any(line < number < line + 4 for number in numbers)
