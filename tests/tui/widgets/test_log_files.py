"""Outputs by offset: lines forwards and backwards, text that can't touch the terminal, searching."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.store.task_files import TaskFile
from tui_lab.tui.widgets.log import local_file
from tui_lab.tui.widgets.log.document import TITLE, Document, Part, Place
from tui_lab.tui.widgets.log.local_file import LocalFile, after, before, line_start
from tui_lab.tui.widgets.log.panel import seek
from tui_lab.tui.widgets.log.remote import RemoteFile
from tui_lab.tui.widgets.log.scan import ERRORS, LineNumbers, Needle, find, find_back
from tui_lab.tui.widgets.log.text import line_text


class Held:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.start, self.size = data, 0, len(data)

    def read(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def refresh(self) -> bool:
        return False

    def close(self) -> None: ...


def line_of(data: bytes) -> local_file.Line:
    return local_file.Line(0, len(data), data)


pieces = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"", b"\xff", b"xyz" * 9]), max_size=60).map(b"".join)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small texts have what large files have."""
    monkeypatch.setattr(local_file, "CHUNK", 8)
    monkeypatch.setattr(local_file, "PIECE", 32)
    monkeypatch.setattr("tui_lab.tui.widgets.log.scan.BLOCK", 16)


@settings(max_examples=300, deadline=None)
@given(pieces)
def test_lines_are_the_same_from_both_ends(data: bytes) -> None:
    file = Held(data)
    lines = after(file, 0, 1000)
    assert [line.start for line in lines[1:]] == [line.end for line in lines[:-1]]
    assert (lines[-1].end if lines else 0) == len(data)
    assert before(file, len(data), 1000) == lines
    for place, line in enumerate(lines):
        assert before(file, line.start, 2) == lines[max(0, place - 2) : place]
        assert after(file, line.start, 1) == [line]
        for offset in range(line.start, line.end):
            assert line_start(file, offset) == line.start
    if all(line.end - line.start < 32 for line in lines):
        for line, whole in zip(lines, data.split(b"\n"), strict=False):
            assert line.data == (whole if len(whole) < 8 else whole[: len(line.data)])


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 5))
def test_moving_by_rows_goes_there_and_back(datas: list[bytes], height: int, wide: int) -> None:
    document = Document([Part(str(number), Held(data)) for number, data in enumerate(datas)])
    document.measure = lambda text: max(1, -(-text.cell_len // wide))
    place, seen = document.first, [document.first]
    last = document.last(height)
    while place < last:
        following = document.down(place, 1, height)
        assert following > place
        assert document.up(following, 1) == place
        place = following
        seen.append(place)
    assert place == max(last, document.first)
    for top in seen:
        assert document.settled(top, height) == top
    assert document.up(place, 10_000) == document.first
    assert document.down(document.first, 10_000, height) == place


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_nothing_of_a_line_can_touch_the_terminal(data: bytes) -> None:
    data = data.replace(b"\n", b"")
    assert line_text(line_of(data)).plain.isprintable()
    assert line_text(line_of(data), ascii_only=True).plain.isprintable()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", "plain"),
        (b"10 %\r20 %\r30 %", "30 %"),
        (b"done\r\n", "done"),
        (b"100 %\r", "100 %"),
        (b"\x1b[32m10 %\r\x1b[32m20 %\x1b[0m", "20 %"),
        (b"a\tb", "a       b"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"up\x1b[2Adown", "down"),
        (b"\x00\x07bell", "␀␇bell"),
        (b"\xff\xfe", "��"),
        ("\u202egnp".encode(), "�gnp"),
    ],
)
def test_lines_as_a_terminal_would_leave_them(data: bytes, shown: str) -> None:
    assert line_text(line_of(data)).plain == shown


def test_colours_stay_and_links_and_blinking_go() -> None:
    text = line_text(line_of(b"\x1b[1;31mred\x1b[0m \x1b[5;8mhidden\x1b[0m"))
    assert text.plain == "red hidden"
    styles = [span.style for span in text.spans]
    assert any(getattr(style, "bold", False) for style in styles)
    assert not any(getattr(style, "blink", False) or getattr(style, "conceal", False) for style in styles)


def test_a_long_line_is_cut_and_says_so() -> None:
    lines = after(Held(b"x" * 20_000 + b"\nend\n"), 0, 1)
    assert lines[0].end - lines[0].start <= 64
    cut = local_file.Line(0, 5000, b"abc", 4996)
    assert "4,996 more bytes" in line_text(cut).plain


@settings(max_examples=300, deadline=None)
@given(pieces, st.sampled_from(["bc", "a", "zx", "BC", "yzxy"]))
def test_a_search_finds_what_a_whole_reading_finds(data: bytes, word: str) -> None:
    file, needle = Held(data), Needle((word,))
    lines = after(file, 0, 1000)

    def within(line: local_file.Line) -> bool:
        text = data[line.start : line.end]
        return (word.encode() in text.lower()) if needle.fold else word.encode() in text

    short = all(line.end - line.start <= 15 for line in lines)
    hits = [line.start for line in lines if within(line)]
    if short:
        assert find(file, needle, 0, lambda: True) == (hits[0] if hits else None)
        assert find_back(file, needle, len(data), lambda: True) == (hits[-1] if hits else None)
        for line in lines:
            assert find(file, needle, line.start, lambda: True) == min(
                (h for h in hits if h >= line.start), default=None
            )


def test_a_search_goes_through_all_outputs_and_round() -> None:
    document = Document([Part("stdout", Held(b"one\ntwo\n")), Part("stderr", Held(b"three\ntwo\n"))])
    needle, go = Needle(("two",)), lambda: True
    assert seek(document, needle, Place(0, TITLE), 1, True, go) == (Place(0, 4), False)
    assert seek(document, needle, Place(0, 4), 1, False, go) == (Place(1, 6), False)
    assert seek(document, needle, Place(1, 6), 1, False, go) == (Place(0, 4), True)
    assert seek(document, needle, Place(0, 4), -1, False, go) == (Place(1, 6), True)
    assert seek(document, Needle(("no",)), Place(0, 0), 1, True, go) == (None, False)


def test_escape_codes_hide_nothing_from_a_search() -> None:
    file = Held(b"x\n\x1b[31mer\x1b[1mror\x1b[0m here\n")
    assert find(file, Needle(ERRORS), 0, lambda: True) == 2
    assert find_back(file, Needle(ERRORS), file.size, lambda: True) == 2


def test_a_search_that_is_given_up_ends() -> None:
    assert find(Held(b"a\n" * 1000), Needle(("b",)), 0, lambda: False) is None


def test_lines_are_counted_where_someone_looks() -> None:
    file = Held(b"".join(b"%d\n" % number for number in range(500)))
    numbers = LineNumbers(file)
    lines = after(file, 0, 1000)
    assert numbers.number(lines[400].start) is None
    assert numbers.wanted(lines[400].start)
    numbers.count(lines[400].start, lambda: True)
    assert [numbers.number(line.start) for line in lines[:401]] == list(range(1, 402))


@settings(max_examples=200, deadline=None)
@given(pieces)
def test_a_line_is_found_by_its_number(data: bytes) -> None:
    numbers = LineNumbers(Held(data))
    assert numbers.total is None or len(data) < 16
    numbers.count(len(data), lambda: True)
    starts = [0, *(place + 1 for place, byte in enumerate(data) if byte == 10 and place + 1 < len(data))]
    assert numbers.total == (len(starts) if data else 0)
    assert [numbers.offset(number) for number in range(1, len(starts) + 1)] == starts
    assert [numbers.number(start) for start in starts] == list(range(1, len(starts) + 1))


def test_a_file_of_five_gigabytes_opens_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_file, "CHUNK", 1 << 16)
    monkeypatch.setattr(local_file, "PIECE", 1 << 20)
    path = tmp_path / "stdout"
    with open(path, "wb") as file:
        file.write(b"first\n")
        file.seek(5 << 30)
        file.write(b"\nlast line\n")
    read = 0
    whole = os.pread

    def counted(descriptor: int, count: int, offset: int) -> bytes:
        nonlocal read
        data = whole(descriptor, count, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    document = Document([Part("stdout", LocalFile(TaskFile(str(path.parent), path.name)))])
    assert document.after(document.first, 1)[0].text.plain == "first"
    items = document.after(document.last(1), 2)
    assert items[-1].text.plain == "last line"
    assert "more bytes" in document.after(document.settled(Place(0, 3 << 30), 10), 1)[0].text.plain
    assert read < 64 << 20


def test_what_is_no_regular_file_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        file = LocalFile(TaskFile(str(path.parent), path.name))
        assert file.size == 0 and file.read(0, 10) == b""
        file.close()


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    file = LocalFile(TaskFile(str(tmp_path), "stdout"))
    (tmp_path / "stdout").write_bytes(b"now\n")
    assert file.refresh()
    assert [line.data for line in after(file, 0, 5)] == [b"now"]
    assert not file.refresh()
    file.close()


def test_another_machine_is_asked_for_the_end_and_then_for_more() -> None:
    import base64

    data = b"".join(b"line %d\n" % number for number in range(100_000))

    def ask(command: ReadFile) -> Piece:
        assert command.name == "stdout"
        return Piece(base64.b64encode(data[command.offset : command.offset + command.most]).decode(), len(data))

    file = RemoteFile("e", 1, 1, "stdout")
    file.fetch(ask)
    assert (file.start, file.size) == (len(data) - (1 << 18), len(data))
    assert file.read(file.size - 11, 11) == data[-11:]
    file.fetch_before(ask)
    assert file.read(file.start, 100) == data[file.start : file.start + 100]
    assert file.start == len(data) - (1 << 19)
    file.close()


def test_titles_stand_where_there_are_several_outputs() -> None:
    document = Document([Part("stdout", Held(b"a\n")), Part("stderr", Held(b"")), Part("x.stdout", Held(b"b\n"))])
    assert [item.text.plain for item in document.after(document.first, 9)] == [
        "── stdout ──",
        "a",
        "── x.stdout ──",
        "b",
    ]
    assert Document([Part("stdout", Held(b""))]).after(Place(0, 0), 5) == []
    assert Text("x").cell_len == document.measure(Text("x"))
