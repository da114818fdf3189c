"""Where the file of an experiment is after it, its lab, or both were moved or copied."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui_lab.store import spec_file
from tui_lab.store.lab import Lab


class World:
    """A lab, a file, and what a plan in the lab says of it."""

    def __init__(self, top: Path, lab: str, file: str, old: bool) -> None:
        self.top, self.old = top, old
        self.lab = Lab.create(top / lab)
        path = top / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.about: spec_file.FilePlace = {"file": str(path)} if old else spec_file.recorded(path, self.lab.path)

    def found(self, lab: str) -> str:
        return str(spec_file.found(self.about, self.top / lab).relative_to(self.top))


@pytest.fixture(params=[False, True], ids=["now", "old plan"])
def old(request: pytest.FixtureRequest) -> bool:
    """A plan of before, that knows the absolute path of its file alone."""
    return bool(request.param)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize(
    ("lab", "file"),
    [
        ("a/lab", "a/x.yaml"),
        ("a/lab", "a/deep/er/x.yaml"),
        ("a/lab", "a/lab/x.yaml"),
        ("a/runs/new/lab", "a/x.yaml"),
        ("a/runs/lab", "a/files/x.yaml"),
    ],
)
def test_a_project_that_is_moved_or_copied(tmp_path: Path, lab: str, file: str, copied: bool, old: bool) -> None:
    world = World(tmp_path, lab, file, old)
    assert world.found(lab) == file
    (shutil.copytree if copied else shutil.move)(tmp_path / "a", tmp_path / "b")
    moved_lab, moved_file = "b" + lab[1:], "b" + file[1:]
    assert world.found(moved_lab) == moved_file
    Lab.open(tmp_path / moved_lab).settled()
    assert world.found(moved_lab) == moved_file, "also once the lab has another identity"
    shutil.move(tmp_path / "b", tmp_path / "c")
    assert world.found("c" + lab[1:]) == "c" + file[1:], "twice"
    (tmp_path / ("c" + file[1:])).unlink()
    assert world.found("c" + lab[1:]) == (file if copied else "c" + file[1:])


def test_a_lab_that_is_moved_alone(tmp_path: Path, old: bool) -> None:
    world = World(tmp_path, "a/lab", "a/x.yaml", old)
    shutil.move(tmp_path / "a/lab", tmp_path / "elsewhere")
    assert world.found("elsewhere") == "a/x.yaml"
    shutil.move(tmp_path / "elsewhere", tmp_path / "a/other")
    assert world.found("a/other") == "a/x.yaml"


def test_a_lab_elsewhere(tmp_path: Path, old: bool) -> None:
    world = World(tmp_path, "labs/one", "home/a/x.yaml", old)
    assert world.found("labs/one") == "home/a/x.yaml"
    shutil.copytree(tmp_path / "labs/one", tmp_path / "labs/two")
    assert world.found("labs/two") == "home/a/x.yaml"
    shutil.move(tmp_path / "home", tmp_path / "house")
    assert world.found("labs/one") == "home/a/x.yaml", "nothing says where it went"


def test_a_project_and_a_lab_apart_under_one_folder(tmp_path: Path, old: bool) -> None:
    top = tmp_path / "top"
    World(top, "labs/one", "home/a/x.yaml", old)
    world = World(tmp_path, "top/labs/one", "top/home/a/x.yaml", old)
    shutil.copytree(top, tmp_path / "copy")
    assert world.found("copy/labs/one") == "copy/home/a/x.yaml"
    shutil.move(top, tmp_path / "moved")
    assert world.found("moved/labs/one") == "moved/home/a/x.yaml"


@pytest.fixture
def no_root() -> Iterator[None]:
    """Without the rights of root, from whom nothing is hidden."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_place_that_may_not_be_looked_at_is_as_good_as_none(
    tmp_path: Path, old: bool, request: pytest.FixtureRequest
) -> None:
    world = World(tmp_path, "a/lab", "home/x.yaml", old)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "home").chmod(0)
    request.addfinalizer(lambda: (tmp_path / "home").chmod(0o755))
    request.getfixturevalue("no_root")
    assert world.found("b/lab") in ("home/x.yaml", "b/x.yaml")
    assert not spec_file.same(tmp_path / "home/x.yaml", tmp_path / "home/y.yaml")


def test_links_are_no_moves(tmp_path: Path, old: bool) -> None:
    world = World(tmp_path, "a/lab", "a/x.yaml", old)
    (tmp_path / "link").symlink_to("a")
    assert world.found("link/lab") == "a/x.yaml"
    by_link: spec_file.FilePlace = {"file": str(tmp_path / "link/x.yaml")}
    by_link = by_link if old else spec_file.recorded(tmp_path / "link/x.yaml", tmp_path / "a/lab")
    shutil.move(tmp_path / "a", tmp_path / "b")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    assert spec_file.same(spec_file.found(by_link, tmp_path / "b/lab"), tmp_path / "b/x.yaml")


def test_which_paths_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/x.yaml").touch()
    (tmp_path / "a/latest.yaml").symlink_to("x.yaml")
    (tmp_path / "b/x.yaml").symlink_to("../a/x.yaml")
    (tmp_path / "a/y.yaml").touch()
    same = [
        (first, second)
        for first in ("a/x.yaml", "link/x.yaml", "a/latest.yaml", "b/x.yaml", "a/y.yaml", "no/x.yaml")
        for second in ("a/x.yaml", "link/new.yaml")
        if spec_file.same(tmp_path / first, tmp_path / second)
    ]
    assert same == [("a/x.yaml", "a/x.yaml"), ("link/x.yaml", "a/x.yaml"), ("a/latest.yaml", "a/x.yaml")]
    assert spec_file.same(tmp_path / "link/new.yaml", tmp_path / "a/new.yaml"), "it may not be written yet"


def test_a_marker_keeps_where_the_lab_was(tmp_path: Path) -> None:
    lab = Lab.create(tmp_path / "0")
    for number in range(1, 30):
        shutil.move(lab.path, tmp_path / str(number))
        lab = Lab.open(tmp_path / str(number)).settled()
    before = json.loads((lab.path / "lab.json").read_text())["before"]
    assert before == [str(tmp_path / str(number)) for number in range(28, 8, -1)]
    assert spec_file.former_places(tmp_path) == []
