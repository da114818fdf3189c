"""The lab's folder: made, opened, refused, copied, moved."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab
from tui_lab.store.locking import locked
from tui_lab.store.plan import Plan


def test_a_lab_is_made_once(tmp_path: Path) -> None:
    first = Lab.create(tmp_path / "deep" / "lab")
    assert Lab.create(first.path).identity == first.identity == Lab.open(first.path).identity
    assert [path.name for path in first.path.iterdir()] == ["lab.json"]


def test_of_many_that_make_it_at_once_all_get_the_same(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Lab.create(tmp_path / "lab").identity)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no lab (it has no lab.json); --lab DIR names another folder"),
        ("", "is damaged"),
        ("[1]", "is damaged"),
        ('{"format": 1}', "is damaged"),
        ('{"format": "1", "id": "x"}', "made by a newer tui-lab"),
        ('{"format": 7, "id": "x"}', "made by a newer tui-lab (format 7, this one reads 1); upgrade tui-lab"),
    ],
)
def test_what_is_no_lab_is_said(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "lab.json").write_text(content)
    with pytest.raises(LabError) as error:
        Lab.open(tmp_path)
    assert message in str(error.value)


def test_a_folder_with_other_things_is_not_made_a_lab(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LabError, match="is not empty and is no lab"):
        Lab.create(tmp_path)
    with pytest.raises(LabError, match="is a file"):
        Lab.create(tmp_path / "thesis.tex")
    with pytest.raises(LabError, match="is a file, not a lab"):
        Lab.open(tmp_path / "thesis.tex")
    with pytest.raises(LabError, match="there is no lab here"):
        Lab.open(tmp_path / "lab")


def test_a_copy_and_a_moved_lab_get_a_new_identity(tmp_path: Path) -> None:
    lab = Lab.create(tmp_path / "lab")
    assert lab.settled() is lab
    shutil.copytree(lab.path, tmp_path / "copy")
    copy = Lab.open(tmp_path / "copy")
    assert copy.identity == lab.identity
    assert copy.settled().identity != lab.identity
    assert Lab.open(copy.path).settled().identity == Lab.open(copy.path).identity
    moved = lab.path.rename(tmp_path / "elsewhere")
    assert Lab.open(moved).settled().identity != lab.identity


def test_a_lab_seen_through_a_link_is_the_same(tmp_path: Path) -> None:
    lab = Lab.create(tmp_path / "lab")
    (tmp_path / "link").symlink_to(lab.path)
    assert Lab.open(tmp_path / "link").settled().identity == lab.identity


def test_a_marker_without_a_place_gets_one(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text('{"format": 1, "id": "0123"}')
    lab = Lab.open(tmp_path).settled()
    assert lab.identity != "0123"
    assert json.loads((tmp_path / "lab.json").read_text())["place"]["path"] == str(tmp_path)


def test_an_unknown_experiment_gets_a_suggestion(tmp_path: Path) -> None:
    lab = Lab.create(tmp_path / "lab")
    with pytest.raises(LabError, match="it has none yet"):
        lab.experiment("grid")
    Journal(lab.new_experiment("grid").journal).close()
    assert lab.experiments() == ["grid"]
    with pytest.raises(LabError, match='did you mean "grid"'):
        lab.experiment("gird")
    with pytest.raises(LabError, match="it has: grid"):
        lab.experiment("zzz")


def test_a_newer_journal_and_a_newer_plan_are_refused(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "grid")
    folder.path.mkdir()
    folder.journal.write_text('{"event":"journal","format":9}\n')
    with pytest.raises(LabError, match="newer tui-lab"):
        folder.state()
    with pytest.raises(LabError, match="can't be read"):
        Plan.read(tmp_path, 1)
    (tmp_path / "2.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(LabError, match="can't be read"):
        Plan.read(tmp_path, 2)


def test_a_lock_is_waited_for_and_then_said(tmp_path: Path) -> None:
    path = tmp_path / "some.lock"
    held, done = threading.Event(), threading.Event()
    with locked(path):
        pass  # released
    # Locks of lockf belong to a process: another one has to hold it.
    import subprocess
    import sys

    code = (
        "import sys\nfrom pathlib import Path\nfrom tui_lab.store.locking import locked\n"
        f"with locked(Path({str(path)!r})):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match="another tui-lab has held this lock"):
        with locked(path, wait=0.05):
            pass
    other.communicate("")
    with locked(path):
        pass
    del held, done
