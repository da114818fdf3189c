"""The journal: append-only, one writer, readable while it is written, whole or cut."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.journal import FORMAT, Journal, read


def events(path: Path, offset: int = 0) -> list[dict[str, Any]]:
    return [event for event, _ in read(path, offset)]


def test_a_new_journal_says_its_format_and_has_an_identity(tmp_path: Path) -> None:
    Journal(tmp_path / "a" / "j").close()
    Journal(tmp_path / "b" / "j").close()
    (first,), (second,) = events(tmp_path / "a" / "j"), events(tmp_path / "b" / "j")
    assert (first["event"], first["format"]) == ("journal", FORMAT)
    assert first["id"] != second["id"]


def test_a_missing_journal_has_no_events(tmp_path: Path) -> None:
    assert events(tmp_path / "j") == []


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)), min_size=1, max_size=9),
    st.data(),
)
def test_cut_anywhere_it_gives_the_whole_events_and_takes_more(
    tmp_path_factory: pytest.TempPathFactory, said: list[dict[str, Any]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    said = [{"event": "x", **{f"_{key}": str(value) for key, value in event.items()}} for event in said]
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
    journal.append([{"event": "more"}])
    journal.close()
    assert events(path)[1:] == [*said[:complete], {"event": "more"}]


def test_offsets_lead_on_where_reading_stopped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    offset = journal.end
    for number in range(5):
        journal.append([{"event": "x", "n": number}, {"event": "y", "n": number}])
        found = list(read(tmp_path / "j", offset))
        assert [event["event"] for event, _ in found] == ["x", "y"]
        offset = found[-1][1]
    assert offset == journal.end
    journal.close()


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.close()
    with open(path, "ab") as file:
        file.write(b"\0\0\0\n[1, 2]\nno json\n" + json.dumps({"event": "good"}).encode() + b"\n")
    assert [event["event"] for event in events(path)] == ["journal", "good"]


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text(json.dumps({"event": "journal", "format": FORMAT + 1}) + "\n")
    with pytest.raises(LabError, match="newer tui-lab"):
        events(path)
    assert path.read_text().count("\n") == 1


def test_only_the_kinds_asked_for_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([{"event": "started"}, {"event": "finished"}, {"event": "started"}])
    journal.close()
    found = [event["event"] for event, _ in read(tmp_path / "j", kinds=frozenset({"finished"}))]
    assert found in (["finished"], ["journal", "finished"])


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
        from tui_lab.store.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(Path({str(tmp_path / "j")!r}))
        events = [{{"event": "x", "n": n, "text": "y" * 50}} for n in range(10)]
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
    assert [event["n"] for event in events(tmp_path / "j")[1:]] == list(range(10))
