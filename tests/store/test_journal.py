"""The journal: append-only, one writer, readable while it is written, whole or cut."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import Drained, Event, JournalBegun, KnownEvent, Paused, Resumed, encode
from tui_lab.store.journal import FORMAT, Damage, Journal, read


def events(path: Path, offset: int = 0) -> list[Event]:
    return [event for event, _ in read(path, offset)]


def _said(number: int) -> Paused:
    return Paused(1.0, "y" * (number % 7), number)


def numbers(found: Iterable[Event]) -> list[int]:
    return [event.failed for event in found if isinstance(event, Paused)]


def test_a_new_journal_says_its_format_and_has_an_identity(tmp_path: Path) -> None:
    Journal(tmp_path / "a" / "j").close()
    Journal(tmp_path / "b" / "j").close()
    (first,), (second,) = events(tmp_path / "a" / "j"), events(tmp_path / "b" / "j")
    assert isinstance(first, JournalBegun) and isinstance(second, JournalBegun)
    assert first.format == FORMAT
    assert first.id != second.id


def test_a_missing_journal_has_no_events(tmp_path: Path) -> None:
    assert events(tmp_path / "j") == []


@given(
    st.lists(st.builds(Paused, st.floats(0, 9), st.text(), st.integers(0, 99), st.text()), min_size=1, max_size=9),
    st.data(),
)
def test_cut_anywhere_it_gives_the_whole_events_and_takes_more(
    tmp_path_factory: pytest.TempPathFactory, said: list[Paused], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    ends = [journal.end]
    for event in said:
        assert journal.append([event]) == 1
        ends.append(journal.end)
    journal.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(ends[0], len(whole)))
    path.write_bytes(whole[:cut])
    complete = sum(end <= cut for end in ends) - 1
    assert events(path)[1:] == said[:complete]
    journal = Journal(path)
    assert journal.end == ends[complete]
    journal.append([Drained(1.0)])
    journal.close()
    assert events(path)[1:] == [*said[:complete], Drained(1.0)]


def test_offsets_lead_on_where_reading_stopped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    offset = journal.end
    for number in range(5):
        journal.append([Resumed(number), Drained(number)])
        found = list(read(tmp_path / "j", offset))
        assert [event for event, _ in found] == [Resumed(number), Drained(number)]
        offset = found[-1][1]
    assert offset == journal.end
    journal.close()


def test_lines_of_the_first_format_stay_readable_and_are_followed_by_sealed_ones(tmp_path: Path) -> None:
    path = tmp_path / "j"
    old: list[KnownEvent] = [JournalBegun(1, "abc"), _said(1)]
    path.write_bytes(b"".join(encode(event) + b"\n" for event in old))
    assert events(path) == old
    for number in (2, 3):
        journal = Journal(path)
        assert journal.append([_said(number)]) == 1
        journal.close()
    mark = JournalBegun(FORMAT, "abc")
    assert events(path) == [*old, mark, _said(2), _said(3)]
    damage: list[Damage] = []
    assert len(list(read(path, damage=damage))) == 5
    assert damage == []
    path.write_bytes(path.read_bytes().replace(b'"failed":2', b'"failed":7'))
    assert numbers(event for event, _ in read(path, damage=damage)) == [1, 3]
    assert len(damage) == 1


def _written(path: Path, count: int) -> list[Event]:
    journal = Journal(path, "0123456789abcdef")
    events = [_said(number) for number in range(count)]
    journal.append(events)
    journal.close()
    return [JournalBegun(FORMAT, "0123456789abcdef"), *events]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_altered_byte_is_found_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Every event that is read is one that was written, and a line that is not read is told."""
    path = tmp_path_factory.mktemp("journal") / "j"
    said = _written(path, 5)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    damage: list[Damage] = []
    found = [event for event, _ in read(path, damage=damage)]
    assert damage
    assert len(found) >= len(said) - 2
    assert all(event in said for event in found)
    assert sorted(found, key=said.index) == found
    # Who reads only some kinds, or only what is new, sees it as well.
    some: list[Damage] = []
    assert [event for event, _ in read(path, kinds=[Paused], damage=some)] == found
    assert some and set(some) <= set(damage)


@settings(deadline=None)
@given(st.data())
def test_blocks_of_zeros_missing_and_moved_lines_are_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    said = _written(path, 8)
    lines = path.read_bytes().splitlines(keepends=True)
    how = data.draw(st.sampled_from(["zeros", "missing", "moved", "twice"]))
    at = data.draw(st.integers(0, len(lines) - 2))
    if how == "zeros":
        start = data.draw(st.integers(0, sum(map(len, lines)) - 40))
        whole = b"".join(lines)
        path.write_bytes(whole[:start] + bytes(30) + whole[start + 30 :])
    else:
        line = lines.pop(at)
        if how != "missing":
            lines[at + 1 : at + 1] = [line]
        if how == "twice":
            lines[at:at] = [line]
        path.write_bytes(b"".join(lines))
    damage: list[Damage] = []
    found = [event for event, _ in read(path, damage=damage)]
    assert damage
    assert sorted(found, key=said.index) == found
    assert len(set(map(repr, found))) == len(found)


def test_damage_is_told_in_a_line_with_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lab" / "grid" / "j"
    said = _written(path, 5)
    path.write_bytes(path.read_bytes().replace(b'"failed":1', b'"failed":9').replace(b'"failed":3', b'"failed":8'))
    assert [event for event in events(path) if event not in said] == []
    assert caplog.messages == [f"{path}:3: damaged, and 1 more; `tui-lab check {tmp_path}/lab` says what can be done"]


def test_what_was_damaged_stays_so_when_more_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _written(path, 3)
    path.write_bytes(path.read_bytes().replace(b'"failed":2', b'"failed":5'))
    journal = Journal(path)
    journal.append([_said(9)])
    journal.close()
    damage: list[Damage] = []
    assert numbers(event for event, _ in read(path, damage=damage)) == [0, 1, 9]
    assert len(damage) == 1


def test_lines_of_others_are_no_events(tmp_path: Path) -> None:
    path = tmp_path / "j"
    said = _written(path, 2)
    with open(path, "ab") as file:
        file.write(b'\0\0\0\n[1, 2]\nno json\n{"event":"good"}\n')
    damage: list[Damage] = []
    assert [event for event, _ in read(path, damage=damage)] == said
    assert len(damage) == 4


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text(json.dumps({"event": "journal", "format": FORMAT + 1}) + "\n")
    with pytest.raises(LabError, match="newer tui-lab"):
        events(path)
    assert path.read_text().count("\n") == 1


def test_only_the_kinds_asked_for_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([Resumed(1.0), Drained(2.0), Resumed(3.0)])
    journal.close()
    assert [event for event, _ in read(tmp_path / "j", kinds=[Drained])][-1:] == [Drained(2.0)]
    assert Resumed(1.0) not in [event for event, _ in read(tmp_path / "j", kinds=[Drained])]


def test_a_removed_journal_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert not journal.removed
    (tmp_path / "j").rename(tmp_path / "k")
    assert journal.removed
    (tmp_path / "j").write_text("another")
    assert journal.removed
    journal.close()


def test_a_journal_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Journal(tmp_path / "file" / "j")


def test_a_disk_that_takes_no_more_keeps_whole_events(tmp_path: Path) -> None:
    """What was written stays, for a reader may have seen it; the rest is told, and fits later."""
    program = f"""if True:
        import resource, signal, sys
        from pathlib import Path
        from tui_lab.store.events import Paused
        from tui_lab.store.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(Path({str(tmp_path / "j")!r}))
        events = [Paused(1.0, "y" * 50, n) for n in range(10)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.end + 300, resource.RLIM_INFINITY))
        written = journal.append(events)
        assert 0 < written < 10, written
        assert Path(journal.path).stat().st_size == journal.end
        assert journal.trouble
        assert journal.append(events[written:]) == 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert journal.append(events[written:]) == 10 - written
    """
    assert resource.RLIMIT_FSIZE is not None
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ)
    assert numbers(events(tmp_path / "j")) == list(range(10))
