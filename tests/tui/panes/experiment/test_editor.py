"""The editor by itself: marks at their lines, whatever the text is."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widget import Widget

from tests.tui.conftest import wait_until
from tui_lab.tui.panes.query.editor import EditorBox
from tui_lab.tui.widgets.edit_area import EditArea
from tui_lab.tui.widgets.editor import Editor, Mark

TEXT = """\
# Which setting trains best?
name: grid
comand: ./main.py {lr} [width]     # a comment
parameters:
  lr: {geomspace: [1e-4, 1e-1, 4]}
  width: [64, 128, "größer", 目]
repeat: true
metrics:
  acc: {pattern: 'accuracy: (@float@)', goal: max}
"""
MARKS = [
    Mark(2, 0, 'there is no key "comand"; did you mean "command"?'),
    Mark(5, 21, "values of several kinds", "notice"),
    Mark(6, 8, '"repeat" must be a whole number, not true'),
]


class Alone(App[None]):
    def __init__(self, text: str = TEXT, ascii: bool = False) -> None:
        super().__init__()
        self.given = text, ascii

    def compose(self) -> ComposeResult:
        yield Editor(self.given[0], ascii=self.given[1])

    @property
    def editor(self) -> Editor:
        return self.query_one(Editor)

    def drawn(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.editor.render_lines(self.editor.size.region)]


async def test_a_message_stands_behind_its_line_where_there_is_room() -> None:
    app = Alone()
    async with app.run_test(size=(80, 24)) as pilot:
        app.editor.set_marks(MARKS)
        await pilot.pause()
        lines = app.drawn()
        assert lines[2].startswith(" 3✗ comand:") and lines[2].endswith('✗ there is no key "comand"…')
        assert lines[5].startswith(" 6▲ ") and lines[5].endswith("▲ values of several kinds")
        assert lines[6] == ' 7✗ repeat: true   ✗ "repeat" must be a whole number, not true'
        app.editor.go_to(6, 0)  # there it is below the editor
        await pilot.pause()
        assert app.drawn()[6] == " 7✗ repeat: true"
        app.editor.set_marks([])
        await pilot.pause()
        assert app.drawn()[6] == " 7  repeat: true"


async def test_from_mark_to_mark_and_round_about() -> None:
    app = Alone()
    async with app.run_test(size=(80, 24)):
        assert app.editor.go_to_mark(1) is None
        app.editor.set_marks(MARKS)
        places = [(mark.line, mark.column) for mark in MARKS]
        found = []
        for _ in range(4):
            app.editor.go_to_mark(1)
            found.append(app.editor.cursor_location)
        assert found == [*places, places[0]]
        app.editor.go_to_mark(-1)
        assert app.editor.cursor_location == places[-1]


async def test_a_new_line_begins_where_it_belongs() -> None:
    app = Alone("a:\n  - b")
    async with app.run_test(size=(80, 24)) as pilot:
        app.editor.focus()
        app.editor.move_cursor((0, 2))
        await pilot.press("enter", "x")
        app.editor.move_cursor(app.editor.document.end)
        await pilot.press("enter", "y")
        await wait_until(pilot, lambda: app.editor.text == "a:\n  x\n  - b\n  y")
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z")
        assert app.editor.text == "a:\n  - b"


@pytest.mark.parametrize("text", ["", "\t\tx", "a" * 500, "目" * 60, "a: [\n", "\n" * 100])
async def test_marks_anywhere_in_any_text(text: str) -> None:
    app = Alone(text, ascii=True)
    async with app.run_test(size=(40, 10)) as pilot:
        last = app.editor.document.line_count - 1
        app.editor.set_marks([Mark(line, column, "x" * 90) for line in (0, last, last + 7) for column in (0, 3, 900)])
        for scroll in (0, 30):
            app.editor.scroll_to(x=scroll, animate=False)
            await pilot.pause()
            assert any("!" in line for line in app.drawn()) or scroll
        app.editor.go_to(999, 999)


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_every_theme_colours_the_words(theme: str) -> None:
    app = Alone()
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = theme
        app.editor.set_marks(MARKS)
        await pilot.pause()
        styles = {
            segment.style.color
            for strip in app.editor.render_lines(app.editor.size.region)
            for segment in strip
            if segment.style
        }
        assert len(styles) > 3


def test_the_editor_looks_so(snap_compare: Any, no_cursor_blink: None) -> None:
    app = Alone()

    async def mark(pilot: Any) -> None:
        app.editor.set_marks(MARKS)
        app.editor.go_to(6, 8)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=mark)


@pytest.mark.parametrize("kind", [Editor, EditorBox])
async def test_a_long_paste_is_undone_and_done_again(kind: type[Widget]) -> None:
    """The scrollbar goes with the lines in which the cursor stood."""

    class One(App[None]):
        def compose(self) -> ComposeResult:
            yield kind()

    app = One()
    async with app.run_test(size=(60, 12)) as pilot:
        area = app.query_one(EditArea)
        area.load_text("name: grid\n")
        area.focus()
        pasted = "x: 1\n" * 2000
        app.post_message(events.Paste(pasted))
        await wait_until(pilot, lambda: area.document.line_count == 2002)
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: area.text == "name: grid\n")
        await pilot.press("ctrl+y")
        await wait_until(pilot, lambda: area.document.line_count == 2002)
        area.select_all()
        await pilot.press("delete")
        await wait_until(pilot, lambda: area.text == "")
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: area.document.line_count == 2002)
        assert app.return_code in (None, 0)
