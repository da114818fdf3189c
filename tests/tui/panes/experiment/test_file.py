"""Files that are edited: nothing is lost, and nothing changes but what was edited."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets.text_area import Document

from tui_lab.tui.base.recent import recent_files, remember
from tui_lab.tui.panes.experiment.file import EditedFile, FileError, with_line_ends

LINES = st.lists(st.sampled_from(["a: 1", "", "# say", "b: [x]", "  c", "\tä"]), max_size=6)


@given(st.text(alphabet="ab:# \n\r\u2028\x0cä", max_size=60))
def test_what_is_not_edited_comes_back_as_it_was(text: str) -> None:
    assert with_line_ends(Document(text).lines, text) == text


@given(LINES, LINES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_new_lines_end_as_the_others_do(old: list[str], new: list[str], end: str) -> None:
    before = "".join(line + end for line in old) or "x" + end
    after = with_line_ends([*new, ""], before)
    assert after == "".join(line + end for line in new)


def test_mixed_line_ends_stay_where_they_are() -> None:
    before = "a\r\nb\nc\r\nd\n"
    assert with_line_ends(["a", "b", "new", "c", "D", ""], before).startswith("a\r\nb\nnew")
    assert with_line_ends(["a", "B", "c", "d", ""], before) == "a\r\nB\nc\r\nd\n"


def test_saving_keeps_mode_mark_and_link(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbfname: a # why\r\ncommand: ls\r\n")
    real.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    file = EditedFile.read(link)
    assert file.text == "name: a # why\r\ncommand: ls\r\n"
    file.write(["name: b # why", "command: ls", ""])
    assert real.read_bytes() == b"\xef\xbb\xbfname: b # why\r\ncommand: ls\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert not file.changed_on_disk()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_a_new_file_is_made_with_its_folder(tmp_path: Path) -> None:
    file = EditedFile.read(tmp_path / "new" / "x.yaml")
    assert not file.exists
    file.write(["a: 1", ""])
    assert file.exists and (tmp_path / "new" / "x.yaml").read_text() == "a: 1\n"


def test_others_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    file = EditedFile.read(path)
    assert not file.changed_on_disk()
    path.write_text("a: 22\n")
    assert file.changed_on_disk()
    file.reread()
    assert file.text == "a: 22\n" and not file.changed_on_disk()
    path.unlink()
    assert file.changed_on_disk()


def test_what_can_not_be_edited_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Is a directory"):
        EditedFile.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="this is no file"):
        EditedFile.read(tmp_path / "pipe")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(FileError, match=r"latin.yaml:2: not UTF-8"):
        EditedFile.read(latin)
    blocked = EditedFile(latin / "x.yaml")
    with pytest.raises(FileError, match="not saved"):
        blocked.write(["a", ""])


def test_an_unsaved_text_is_kept_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    file = EditedFile.read(path)
    assert file.kept() is None
    file.keep("a: 2\n")
    kept = EditedFile.read(path).kept()
    assert kept is not None and kept.text == "a: 2\n"
    (copy,) = (tmp_path / "state" / "tui-lab" / "unsaved").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    path.write_text("a: 2\n")  # the same by now
    assert EditedFile.read(path).kept() is None
    file.forget()
    assert not copy.exists()


def test_recent_files_are_those_that_are_there(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.yaml", "b.yaml")]
    for path in paths:
        path.write_text("")
        remember(path)
    remember(paths[0])
    assert recent_files() == paths
    paths[0].unlink()
    assert recent_files() == paths[1:]
