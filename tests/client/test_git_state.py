"""The version of the program: captured with a submission, shown later, and never in the way of a run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.workbench import Workbench
from tui_lab.client import git_state as module
from tui_lab.client.git_state import commit_line, git_state
from tui_lab.store.environment import load


def git(folder: Path, *words: str) -> str:
    names = ("-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=main")
    found = subprocess.run(["git", *names, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.py").write_text("x = 1\n")
    (tmp_path / ".env").write_text("A=1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_clean_repository(repository: Path) -> None:
    state = git_state(repository / "sub")
    assert state == {"commit": git(repository, "rev-parse", "HEAD"), "folder": "sub", "branch": "main", "dirty": False}
    assert commit_line(state) == f"commit {state['commit'][:10]} (main)"


def test_changes_are_told_without_secrets(repository: Path) -> None:
    (repository / "main.py").write_text("x = 2\npassword = 'hunter2'\n")
    (repository / ".env").write_text("A=hunter3\n")
    (repository / "new.py").write_text("new\n")
    state = git_state(repository / "sub")
    assert state["dirty"] is True
    assert state["untracked"] == ["new.py"]
    assert "+x = 2" in state["diff"] and "password = ***" in state["diff"]
    assert "hunter" not in state["diff"]
    assert commit_line(state).endswith("(main), with changes")


def test_a_huge_difference_is_cut(repository: Path) -> None:
    (repository / "main.py").write_text("a line\n" * 300_000)
    state = git_state(repository)
    assert state["diff_cut"] is True
    assert len(state["diff"]) <= module.LARGEST_DIFF


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert "branch" not in git_state(repository)


def test_nothing_where_there_is_nothing_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) == {}, "no commit yet"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {}, "no git"
    assert commit_line({}) == ""


def test_a_git_that_hangs_is_not_waited_for(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    stub = tmp_path / "bin" / "git"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\ncase "$*" in *status*) exec sleep 60;; esac\nexec {real} "$@"\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    state = git_state(repository)
    assert set(state) == {"commit", "folder", "branch"}
    assert commit_line(state).endswith("(main), perhaps with changes")


def test_a_submission_records_it_and_show_and_history_say_it(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {x}\nparameters: {x: [1, 2]}\n")
    git(workbench.folder, "init", "-q")
    git(workbench.folder, "add", "grid.yaml")
    git(workbench.folder, "commit", "-qm", "one")
    workbench.run("grid.yaml")
    commit = git(workbench.folder, "rev-parse", "HEAD")
    assert f"commit {commit[:10]} (main)" in workbench("show", "0").out
    assert f"commit {commit[:10]}" in workbench("history", env={"COLUMNS": "200"}).out
    submission = workbench("history", "grid", "--json").json()["submissions"][0]
    assert submission["git"]["commit"] == commit
    assert load(workbench.lab_path / "grid", submission["environment"])["git"]["branch"] == "main"


def test_without_a_repository_there_is_nothing_of_it(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {x}\nparameters: {x: [1]}\n")
    workbench.run("grid.yaml", env={"PATH": os.environ["PATH"]})
    assert "commit" not in workbench("show", "0").out
    journal = (workbench.lab_path / "grid" / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in journal]
    assert ["environment" in event for event in events if event["event"] == "submitted"] == [False]
