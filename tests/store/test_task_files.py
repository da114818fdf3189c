"""A task's files as they are read at home: links are followed as long as they stay with the task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_lab.store.task_files import NoFolderError, TaskFile, listed, matching, task_folder


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks/0/17"
    (folder / "ckpt-3").mkdir(parents=True)
    (folder / "ckpt-3/metrics.json").write_text("inner")
    (folder / "stdout").write_text("out")
    (tmp_path / "secret").write_text("secret")
    return folder


def text(folder: Path, name: str) -> str:
    with open(TaskFile(str(folder), name).open()) as file:
        return file.read()


def trouble(folder: Path, name: str) -> str:
    with pytest.raises(OSError) as caught:
        TaskFile(str(folder), name).open()
    assert TaskFile(str(folder), name).size is None
    return str(caught.value.strerror)


def test_links_within_the_folder_are_followed(task: Path) -> None:
    (task / "latest").symlink_to("ckpt-3")
    (task / "absolute").symlink_to(task / "ckpt-3")
    (task / "file").symlink_to("latest/metrics.json")
    (task / "ckpt-3/up").symlink_to("../stdout")
    assert text(task, "latest/metrics.json") == "inner"
    assert text(task, "absolute/metrics.json") == "inner"
    assert text(task, "./ckpt-3//metrics.json") == "inner"
    assert text(task, "file") == "inner"
    assert text(task, "latest/up") == "out"
    assert TaskFile(str(task), "latest/up").size == 3


def test_links_out_of_it_are_not(task: Path, tmp_path: Path) -> None:
    (task / "link").symlink_to(tmp_path / "secret")
    (task / "folder").symlink_to(tmp_path)
    (task / "up").symlink_to("../../..")
    (task / "twice").symlink_to("link")
    (task / "beside").symlink_to("../18")
    (tmp_path / "tasks/0/18").mkdir()
    (tmp_path / "tasks/0/18/file").touch()
    (tmp_path / "tasks/0/170").mkdir()
    (tmp_path / "tasks/0/170/file").touch()
    (task / "longer").symlink_to("../170/file")
    for name in ("link", "folder/secret", "up/secret", "twice", "beside/file", "longer"):
        assert trouble(task, name) == "is a symbolic link out of the task's folder, which is not followed"


def test_what_is_no_file_is_said(task: Path) -> None:
    (task / "dangling").symlink_to("nowhere")
    (task / "loop").symlink_to("loop")
    os.mkfifo(task / "fifo")
    for name in ("nothing", "ckpt-3/nothing", "nothing/at/all", "dangling"):
        with pytest.raises(FileNotFoundError):
            TaskFile(str(task), name).open()
    assert trouble(task, "fifo") == "is no plain file"
    assert trouble(task, "ckpt-3") == "is no plain file"
    assert trouble(task, "loop")
    assert trouble(task, "stdout/deeper")


def test_the_owners_links_above_the_folder_are_followed(task: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").symlink_to(tmp_path / "tasks")
    assert text(tmp_path / "lab/0/17", "stdout") == "out"
    assert [name for name, _ in listed(tmp_path / "lab/0/17")] == ["stdout"]


def test_a_folder_that_is_a_link_or_a_file_is_not_entered(task: Path, tmp_path: Path) -> None:
    link = task.with_name("18")
    link.symlink_to(tmp_path)
    assert trouble(link, "secret") == f"its folder is a symbolic link to {tmp_path}, which is not followed"
    assert trouble(task / "stdout", "x") == "its folder is a file"
    assert listed(link) == listed(link, deep=True) == []
    assert matching(str(link), "*") == []
    with pytest.raises(NoFolderError):
        task_folder(link)
    task_folder(link, make=True).close()
    assert link.is_dir() and not link.is_symlink()
    assert (tmp_path / "secret").exists()


def test_names_of_the_owner_are_what_they_say(task: Path, tmp_path: Path) -> None:
    """The experiment's file may name any file; a task can't."""
    assert text(task, str(tmp_path / "secret")) == "secret"
    assert text(task, "../../../secret") == "secret"


def test_files_are_listed_and_matched_without_following_links(task: Path, tmp_path: Path) -> None:
    (task / "out").symlink_to(tmp_path)
    (task / "in").symlink_to("stdout")
    (task / "a.json").touch()
    assert [name for name, _ in listed(task)] == ["a.json", "stdout"]
    assert [name for name, _ in listed(task, deep=True)] == ["a.json", "stdout", "ckpt-3/metrics.json"]
    assert matching(str(task), "*") == ["a.json", "in", "stdout"]
    assert matching(str(task), "**/*.json") == ["a.json", "ckpt-3/metrics.json"]
    assert matching(str(task), "ckpt-?/m[a-f]*") == ["ckpt-3/metrics.json"]
    assert matching(str(task), "out/*") == []
