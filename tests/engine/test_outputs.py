"""What a node says of its files is written into the task's folder, or not at all, whatever it says."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import rooted
from tests.portable.test_beneath import KINDS, Kind, digest, make_full_folder, outside, some_kind
from tui_lab.engine.outputs import IncomingOutputs, _write_all, write_piece
from tui_lab.protocol.agent import Finished, Output
from tui_lab.store.experiment import ExperimentFolder

__all__ = ["outside"]

pytestmark = rooted.only


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of task 0."""
    place = tmp_path / "lab/e/tasks/0/0"
    place.mkdir(parents=True)
    return place


def arrive(folder: Path, *files: dict[str, Any], data: bytes = b"", **members: Any) -> tuple[IncomingOutputs, str]:
    """Have the small files of an attempt written; why they could not be, if so."""
    run: Any = SimpleNamespace(folder=ExperimentFolder(folder.parents[2]), name="e")
    message = Finished(("e@1", 0, 2), "done", files=list(files), folder="/there", data=data, **members)
    node: Any = SimpleNamespace(name="n", home="/home")
    incoming = IncomingOutputs(run, node, message)
    refused = _write_all([incoming])
    return incoming, str(refused.get(incoming, ""))


def file(name: str, size: int = 3) -> dict[str, Any]:
    return {"name": name, "size": size, "mode": 0o644, "inline": True}


BAD = ["../up", "/etc/x", "a/../../up", "", ".", "..", "a//b", "a/./b", "a/", "\0", "x" * 256, "a/" + "y" * 300]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_is_none_stays_on_the_node(name: str, folder: Path, outside: Path) -> None:
    before = digest(folder.parents[4])
    incoming, why = arrive(folder, file(name), {"name": name, "link": str(outside)}, file("good"), data=b"badfun")
    assert why == ""
    assert [one["name"] for one in incoming.not_fetched] == [name]
    assert (folder / "good").read_text() == "fun"
    (folder / "good").unlink()
    for path in folder.iterdir():
        path.rmdir()  # a parent of what could not be
    assert digest(folder.parents[4]) == before


@pytest.mark.parametrize(
    "message",
    [
        {"files": [{"name": 5, "size": 0, "inline": True}]},
        {"files": ["stdout"]},
        {"files": [{"size": 3, "inline": True}]},
        {"files": [], "folder_link": "a\0b"},
        {"files": [], "folder_link": 7},
        {"files": [], "folder_link": ""},
        {"files": [], "folder_link": "x" * 5000},
        {"files": [{"name": "l", "link": ""}]},
        {"files": [{"name": "l", "link": "y" * 5000}]},
    ],
)
def test_no_message_stops_the_others(message: dict[str, Any], folder: Path, outside: Path) -> None:
    """What makes no sense is said, and is not waited for."""
    files = message.pop("files")
    incoming, why = arrive(folder, *files, **message)
    assert why == ""
    assert incoming.large == [] or files == []
    assert incoming.not_fetched or incoming.trouble or incoming.message.folder_link is not None
    assert not [path for path in folder.rglob("*") if path.is_file()]


@some_kind
def test_files_arrive_whatever_is_in_their_way(make: Kind, folder: Path, outside: Path) -> None:
    make(folder / "d", outside)
    files = (file("d"), file("d/x"), {"name": "d/l", "link": str(outside)}, file("d/l/deep/y"), file("e"))
    incoming, why = arrive(folder, *files, data=b"onetwosixten")
    assert why == "" and incoming.not_fetched == []
    assert (folder / "d/x").read_text() == "two"
    assert (folder / "d/l/deep/y").read_text() == "six"
    assert (folder / "e").read_text() == "ten"
    arrive(folder, file("d"), data=b"new")
    assert (folder / "d").read_text() == "new"


@some_kind
def test_a_folder_that_has_become_a_link_takes_its_place(make: Kind, folder: Path, outside: Path) -> None:
    folder.rmdir()
    make(folder, outside)
    _, why = arrive(folder, folder_link="/on/the/node")
    assert why == ""
    if make is make_full_folder:  # of an attempt before
        assert (folder / "inner").read_text() == "mine"
        return
    assert folder.readlink() == Path("/on/the/node")
    arrive(folder, file("x"), data=b"two")
    assert not folder.is_symlink() and (folder / "x").read_text() == "two"


@some_kind
def test_pieces_of_live_metrics_stay_in_the_folder(make: Kind, folder: Path, outside: Path) -> None:
    experiment = ExperimentFolder(folder.parents[2])
    for place in (folder / "d", folder / "e"):
        make(place, outside)
    for name, offset in (("d", 0), ("d", 3), ("e", 2), ("f/x", 0)):
        write_piece(experiment, Output(("e", 0, 1), name, offset, data=b"abc"))
    assert (folder / "d").read_bytes() == b"abcabc"
    assert (folder / "e").read_bytes()[2:5] == b"abc"
    for name in BAD:
        with pytest.raises((OSError, ValueError)):
            write_piece(experiment, Output(("e", 0, 1), name, 0, data=b"abc"))


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=4).map("/".join)
ENTRIES = st.one_of(
    st.builds(lambda name: file(name, 1), NAMES),
    st.builds(lambda name, link: {"name": name, "link": link}, NAMES, st.sampled_from(["..", "/tmp", "a", "../../.."])),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(ENTRIES, max_size=6), second=st.lists(ENTRIES, max_size=6), kind=st.sampled_from(KINDS))
def test_any_files_after_any_others(
    first: list[dict[str, Any]], second: list[dict[str, Any]], kind: Kind, folder: Path, outside: Path
) -> None:
    lab = folder.parents[3]
    if not os.path.lexists(folder / "a"):
        kind(folder / "a", outside)
    for files in (first, second):
        assert arrive(folder, *files, data=b"x" * len(files))[1] == ""
    found = [str(path.relative_to(lab)) for path in lab.rglob("*")]
    assert all("e/tasks/0/0".startswith(path) or path.startswith("e/tasks/0/0/") for path in found)
