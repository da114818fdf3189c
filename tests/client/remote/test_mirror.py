"""The address of a lab on another machine, and what its mirror takes from there."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import pytest

from tui_lab.client.remote.address import RemoteAddress, remote_address
from tui_lab.client.remote.mirror import Mirror
from tui_lab.protocol.remote import Appended, Hello, RemoteError, Replaced
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("tower:lab", RemoteAddress("tower", "lab")),
        ("ana@tower.uni.org:/data/my lab", RemoteAddress("tower.uni.org", "/data/my lab", "ana")),
        ("[::1]:~/lab", RemoteAddress("::1", "~/lab")),
        ("ssh://ana@tower:2222/data/lab", RemoteAddress("tower", "/data/lab", "ana", 2222)),
        ("ssh://tower/~/lab%20x", RemoteAddress("tower", "~/lab x")),
        ("lab", None),
        ("./tower:lab", None),
        ("https://tower/lab", None),
        ("tower:", None),
    ],
)
def test_addresses(word: str, found: RemoteAddress | None) -> None:
    assert remote_address(word) == found
    if found is not None:
        assert remote_address(str(found)) == found


def test_a_file_here_comes_before_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tower:lab").mkdir()
    assert remote_address("tower:lab") is None


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Mirror("tower:", Hello("1", "/data/lab", "0123456789abcdef", "tower", {}, 0o022))


def replace(mirror: Mirror, file: str, data: bytes, mtime: int = 1) -> None:
    mirror.replace(Replaced(file, len(data), mtime), zlib.compress(data))


def test_a_mirror_is_a_lab_that_was_neither_copied_nor_moved(mirror: Mirror, tmp_path: Path) -> None:
    original = Lab.create(tmp_path / "lab")
    marker = (original.path / "lab.json").read_bytes()  # it can be seen from here, too
    replace(mirror, "lab.json", marker)
    lab = Lab.open(mirror.lab)
    assert lab.identity == original.identity
    assert not lab.is_copy
    assert lab.settled().identity == original.identity
    facts = (mirror.lab / "lab.json").stat()
    replace(mirror, "lab.json", marker, mtime=2)
    assert (mirror.lab / "lab.json").stat().st_ino == facts.st_ino, "readers keep what they have read"
    assert json.loads((mirror.lab / "lab.json").read_text())["place"]["path"] == str(mirror.lab)


@pytest.mark.parametrize("file", ["../x", "e/../../x", "/../x", "/", "", "e/\0"])
def test_nothing_is_written_outside_of_it(mirror: Mirror, file: str) -> None:
    with pytest.raises(RemoteError):
        replace(mirror, file, b"x")
    with pytest.raises(RemoteError):
        mirror.append(Appended(file, 0, 1, 1), zlib.compress(b"x"))


@pytest.mark.parametrize("body", [b"", b"no zlib", zlib.compress(b"too long"), zlib.compress(b"x")])
def test_a_body_that_is_damaged_is_not_taken(mirror: Mirror, body: bytes) -> None:
    with pytest.raises(RemoteError):
        mirror.append(Appended("e/journal.jsonl", 0, 3, 1), body)


def test_a_file_grows_at_its_offset_and_begins_anew(mirror: Mirror) -> None:
    file = mirror.lab / "e" / "journal.jsonl"
    for offset, data in ((0, b"one\n"), (4, b"two\n"), (4, b"two\n")):
        mirror.append(Appended("e/journal.jsonl", offset, len(data), 5), zlib.compress(data))
    assert file.read_bytes() == b"one\ntwo\n"
    assert file.stat().st_mtime_ns == 5
    have = mirror.have()["e/journal.jsonl"]
    assert (have.size, have.mtime, have.tail) == (8, 5, zlib.crc32(b"one\ntwo\n"))
    mirror.append(Appended("e/journal.jsonl", 0, 2, 6), zlib.compress(b"x\n"))
    assert file.read_bytes() == b"x\n"
    replace(mirror, "/data/e.yaml", b"command: x\n")
    assert os.path.relpath(mirror.path("/data/e.yaml"), mirror.lab) == "../e.yaml"
    assert mirror.there(mirror.path("/data/e.yaml")) == "/data/e.yaml"
    mirror.remove("e/journal.jsonl")
    assert not file.parent.exists()
    with pytest.raises(LabError):
        Lab.open(mirror.lab)
