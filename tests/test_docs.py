"""What the documents promise: generated pages are current, the README's commands are those that CI runs."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["reference.md", "commands.md"])
def test_generated_pages_are_current(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "commands.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("argparse words its help differently in each version of Python; the page is that of 3.11")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generator().PAGES[page](), f"run: python docs/generate.py ({page} is old)"


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    test_command = next(text for text in commands if "pytest" in text).strip()
    assert test_command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_links_of_the_readme_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", readme) + re.findall(r'src="([^"]+)"', readme)
    assert targets
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []
