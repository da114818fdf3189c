"""What the documents promise: generated pages are current, the README's commands are those that CI runs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.workbench import Workbench

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/*.md")), *sorted(ROOT.glob("docs/*/*.md"))]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page",
    ["reference.md", "commands.md", "journal.md", "guide.md", "protocol.md", "python_reference.md", "transports.md"],
)
def test_generated_pages_are_current(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "commands.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("argparse words its help differently in each version of Python; the page is that of 3.11")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generator().PAGES[page](), f"run: python docs/generate.py ({page} is old)"


@pytest.mark.parametrize("module", ["domains.py", "keys.py"])
def test_generated_modules_are_current(module: str) -> None:
    written = (ROOT / "tui_lab" / "api" / module).read_text(encoding="utf-8")
    assert written == generator().MODULES[module](), f"run: python docs/generate.py ({module} is old)"


def test_each_picture_is_shown_on_a_page() -> None:
    link = re.compile(r"\]\(([^)\s]+\.(?:svg|gif|png))\)")
    shown = {(page.parent / name).resolve() for page in PAGES for name in link.findall(page.read_text("utf-8"))}
    there = {path for path in (ROOT / "screenshots").iterdir() if path.suffix in (".svg", ".gif", ".png")}
    assert {path for path in shown if path.parent.name == "screenshots"} == there


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    test_command = next(text for text in commands if "pytest" in text).strip()
    assert test_command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


# Stands for a program of the README: it does what the next one needs, and refuses to work in a wrong folder.
STAND_IN = """\
#!/bin/bash
case "${0##*/} $*" in
  "python3 -m venv "*) mkdir -p "${!#}/bin" && touch "${!#}/bin/activate" ;;
  "pip install -e "*) test -e pyproject.toml ;;
  "python -m pytest"*) test -d tests ;;
  "tui-lab --run "*) test -e "${!#}" ;;
  *) false ;;
esac || { echo "${0##*/} $* can't work in $PWD" >&2; exit 1; }
echo "${0##*/} $*" >>"$DONE"
"""


def blocks(page: Path, kind: str = "sh") -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("order", ["as written", "backwards", "each twice"])
def test_commands_of_the_readme_can_follow_one_another(shell: str, order: str, tmp_path: Path) -> None:
    """They are pasted into one shell, at the top of a clone."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    programs, clone = tmp_path / "bin", tmp_path / "clone"
    programs.mkdir()
    clone.mkdir()
    for name in ("python3", "python", "pip", "tui-lab"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    for name in ("pyproject.toml", "tests", "examples", "tui_lab"):
        (clone / name).symlink_to(ROOT / name)
    pasted = blocks(ROOT / "README.md")
    assert len(pasted) == 2
    pasted = {"as written": pasted, "backwards": pasted[::-1], "each twice": [p for p in pasted for _ in "12"]}[order]
    done = tmp_path / "done"
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "DONE": str(done)}
    script = "".join(f"{block}\ntest $? = 0 || exit 1\n" for block in pasted)
    result = subprocess.run([shell, "-c", script], cwd=clone, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    last = [line for line in done.read_text().splitlines() if line.startswith(("tui-lab --run", "python -m pytest"))]
    assert len(last) == len(pasted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_of_a_page_leaves_the_shell_elsewhere(page: Path) -> None:
    """Nobody knows which of them were pasted before."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    lines += [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    assert [line for line in lines if re.search(r"(^|&&|;)\s*(cd|pushd|chdir)\b", line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text)
    assert [one for one in targets if "://" not in one and not (page.parent / one).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_heading(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    inside = [(page.parent / path if path else page, anchor) for path, anchor in targets if "://" not in path]
    assert [(str(path), anchor) for path, anchor in inside if anchor not in headings(path)] == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in plain}


def test_modules_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:\.py|\.md)?)`", text)
    assert len(named) > 30
    assert [one for one in named if not any((folder / one).exists() for folder in (ROOT, ROOT / "tui_lab"))] == []


@pytest.mark.slow
def test_the_five_minutes_of_the_readme_in_a_fresh_folder(tmp_path: Path) -> None:
    """Its file, with fewer values, its commands as written, and one of each of those in its prose."""
    (definition,) = blocks(ROOT / "README.md", "yaml")
    smaller = definition.replace("[1, 51, 2]", "[1, 51, 24]").replace("repeat: 10", "repeat: 2")
    assert smaller != definition
    (tmp_path / "experiment.yaml").write_text(smaller)
    shutil.copy(ROOT / "examples" / "basic_usage" / "main.py", tmp_path)
    typed = [line.removeprefix("$ ") for block in blocks(ROOT / "README.md", "console") for line in block.splitlines()]
    here = [line for line in typed if "--node tower" not in line]
    assert len(here) >= 5 and all(line.startswith("tui-lab ") for line in here)
    here.insert(2, "tui-lab --run experiment.yaml")
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    for words in (
        "tui-lab parse -p",
        "tui-lab logs 17",
        "tui-lab show 17",
        "tui-lab show --command 17",
        "tui-lab retry",
    ):
        written = next(one for one in re.findall("`([^`]*)`", readme) if one.startswith(words))
        here.append(re.sub(r"  +", " ", written))
    here.append("tui-lab --run experiment.yaml neurons=77,99")
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUI_LAB_")}
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    for line in here:
        command = ["bash", "-c", line]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        assert ended.returncode == 0, f"{line}\n{ended.stderr.decode()}"
    assert (tmp_path / "open.csv").exists()


@pytest.mark.slow
def test_the_example_of_stages(workbench: Workbench) -> None:
    page = ROOT / "docs" / "stages.md"
    (definition, *others), (commands,) = blocks(page, "yaml"), blocks(page)
    for block in blocks(page, "python"):
        workbench.write(block.split()[1], block)
    workbench.write("chain.yaml", definition)
    for line in commands.splitlines():
        workbench.process(*shlex.split(line)[1:])
    rows = workbench.table("SELECT size, lr, score FROM chain")
    assert len(rows) == 6
    assert all(row["score"] == pytest.approx(row["lr"] * sum(range(row["size"] + 1))) for row in rows)
    runs = workbench.table("SELECT stage, tasks, size FROM chain_stages ORDER BY run_id")
    assert [(row["tasks"], row["size"]) for row in runs if row["stage"] == "prepare"] == [(3, 10), (3, 20)]
    assert len(runs) == 8
    for text in others:
        workbench("--run", workbench.write("other.yaml", text))
    rows = workbench.table("SELECT size, lr, acc, scaled, files, largest FROM functions")
    assert len(rows) == 8 and all(row["acc"] == 1 - row["lr"] / 2 and row["files"] > 2 for row in rows)
    assert all(row["scaled"] == row["lr"] * row["largest"] for row in rows)
    assert len({(row["size"], row["largest"]) for row in rows}) == 2
