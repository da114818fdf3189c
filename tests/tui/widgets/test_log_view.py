"""The window on outputs: moving, following, wrapping, searching, at any size."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult

from tests.tui.conftest import wait_until
from tui_lab.protocol.control import Piece, ReadFile
from tui_lab.tui.widgets.log import file_threads
from tui_lab.tui.widgets.log.choice import Choice, TaskDetail, outputs
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.view import LogView


class PanelApp(App[None]):
    def compose(self) -> ComposeResult:
        yield LogPanel()

    @property
    def panel(self) -> LogPanel:
        return self.query_one(LogPanel)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def shown(self) -> list[str]:
        return [self.view.render_line(y).text[:-1].rstrip() for y in range(self.view.size.height)]


def detail(folder: Path, state: str = "done", attempts: int = 1, task: int = 1, **more: object) -> TaskDetail:
    about = {"attempts": attempts, "commands": ("./main",), **more}
    return TaskDetail("e", task, state, folder, f"e/{task}", **about)  # type: ignore[arg-type]


async def test_keys_move_through_the_output(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_text("".join(f"line {number}\n" for number in range(100)))
    app = PanelApp()
    async with app.run_test(size=(40, 13)) as pilot:
        app.panel.open(detail(tmp_path))
        app.view.focus()
        await pilot.pause()
        assert app.shown()[-1] == "line 99"
        for key, first in (("g", 0), ("j", 1), ("down", 2), ("k", 1), ("pagedown", 10), ("pageup", 1), ("G", 90)):
            await pilot.press(key)
            assert app.shown()[0] == f"line {first}", key
        await pilot.press("g")
        await wait_until(pilot, lambda: "line 1 " in app.panel.subtitle)


async def test_turns_of_the_wheel_in_one_go_are_one_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stdout").write_text("".join(f"line {number}\n" for number in range(1000)))
    app = PanelApp()
    moves: list[int] = []
    async with app.run_test(size=(40, 13)) as pilot:
        app.panel.open(detail(tmp_path))
        app.view.action_beginning()
        move = app.view.action_move

        def counted(rows: int) -> None:
            moves.append(rows)
            move(rows)

        monkeypatch.setattr(app.view, "action_move", counted)
        for _ in range(50):
            app.view.post_message(events.MouseScrollDown(app.view, 3, 3, 0, 1, 0, False, False, False))
        await wait_until(pilot, lambda: app.shown()[0] == "line 150")
        assert len(moves) < 5


async def test_it_follows_what_grows_and_stays_where_someone_reads(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_text("first\n")
    app = PanelApp()
    async with app.run_test(size=(40, 8)) as pilot:
        app.panel.open(detail(tmp_path, "running"))
        app.view.focus()
        assert app.view.follow
        with open(path, "a") as file:
            file.write("".join(f"more {number}\n" for number in range(50)))
        await wait_until(pilot, lambda: app.shown()[-1] == "more 49")
        await pilot.press("g")
        assert not app.view.follow
        with open(path, "a") as file:
            file.write("the end\n")
        await wait_until(pilot, lambda: app.view.document.size == path.stat().st_size)
        assert app.shown()[0] == "first"
        await pilot.press("f")
        assert app.shown()[-1] == "the end"
        path.write_text("less\n")
        await wait_until(pilot, lambda: app.shown()[0] == "less")


async def test_a_file_that_does_not_answer_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network drive whose server has gone: whoever reads waits."""
    for name in ("hangs", "answers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stdout").write_text("".join(f"{name} {number}\n" for number in range(100)))
    gone, back, read = threading.Event(), threading.Event(), os.pread

    def waits(descriptor: int, count: int, offset: int) -> bytes:
        if "hangs" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            gone.set()
            back.wait()
        return read(descriptor, count, offset)

    monkeypatch.setattr(file_threads, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "pread", waits)
    monkeypatch.setattr(file_threads, "MOST", 3)
    app = PanelApp()
    try:
        async with app.run_test(size=(70, 13)) as pilot:
            app.panel.open(detail(tmp_path / "hangs"))
            app.view.focus()
            await wait_until(pilot, lambda: "…" in "".join(app.shown()))
            assert gone.is_set()
            await pilot.press("g", "j", "j")
            back.set()
            await wait_until(pilot, lambda: app.shown()[0] == "hangs 2")  # keys were kept, in their order
            back.clear()
            for _ in range(6):  # no threads pile up: that file has the one that waits
                app.panel.open(detail(tmp_path / "answers", task=2))
                await wait_until(pilot, lambda: app.shown()[-1] == "answers 99")
                app.panel.open(detail(tmp_path / "hangs"))
                await pilot.press("e", "n", "N")
            await wait_until(pilot, lambda: "its file system has not answered for 2 s" in app.panel.subtitle)
            assert "".join(app.shown()).strip() == "…"
            files = [thread for thread in threading.enumerate() if thread.name == "file"]
            assert len(files) <= file_threads.MOST and all(thread.daemon for thread in files)  # leaving is not held up
            back.set()
            await wait_until(pilot, lambda: app.shown()[-1] == "hangs 99" and "not answered" not in app.panel.subtitle)
    finally:
        back.set()


async def test_long_lines_wrap_or_scroll_sideways(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_text("x" * 100 + "END\nshort\n")
    app = PanelApp()
    async with app.run_test(size=(42, 12)) as pilot:
        app.panel.open(detail(tmp_path))
        app.view.focus()
        await pilot.pause()
        assert app.shown()[1] == "short"
        await pilot.press("l")
        assert app.shown()[0].startswith("x")
        await pilot.press("w")
        assert app.shown()[2].endswith("END")
        assert app.shown()[3] == "short"
        await pilot.press("w", *["l"] * 10)
        assert "END" in app.shown()[0]


async def test_search_finds_marks_and_goes_round(tmp_path: Path) -> None:
    text = [f"line {number}" for number in range(200)]
    text[50], text[150] = "needle one", "Needle two"
    (tmp_path / "stdout").write_text("\n".join(text) + "\n")
    app = PanelApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.panel.open(detail(tmp_path))
        app.view.focus()
        await pilot.press("g", "slash", *"needle")
        await wait_until(pilot, lambda: "needle one" in app.shown())
        await pilot.press("enter")
        assert app.focused is app.view
        await pilot.press("n")
        await wait_until(pilot, lambda: "Needle two" in app.shown())
        await pilot.press("n")
        await wait_until(pilot, lambda: "needle one" in app.shown() and "other end" in app.panel.news)
        await pilot.press("N")
        await wait_until(pilot, lambda: "Needle two" in app.shown())
        await pilot.press("slash", *"zzz")
        await wait_until(pilot, lambda: app.panel.news.startswith("no "))


async def test_e_goes_to_the_next_error(tmp_path: Path) -> None:
    text = [f"line {number}" for number in range(100)]
    text[40] = "ValueError: bad"
    (tmp_path / "stderr").write_text("\n".join(text) + "\n")
    app = PanelApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.panel.open(detail(tmp_path, "failed", reason="exit", exit_code=3))
        app.view.focus()
        await pilot.press("g", "e")
        await wait_until(pilot, lambda: "ValueError: bad" in app.shown())
        assert "failed (exit 3)" in app.panel.title


async def test_streams_attempts_and_steps_can_be_chosen(tmp_path: Path) -> None:
    for name in ("stdout", "stderr", "stdout.2", "stderr.2"):
        (tmp_path / name).write_text(f"this is {name}\n")
    app = PanelApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.panel.open(detail(tmp_path, "failed", attempts=2))
        app.view.focus()
        await pilot.pause()
        assert app.shown()[0] == "this is stderr.2"
        await pilot.press("o")
        assert [line for line in app.shown() if line.startswith("this")] == ["this is stdout.2", "this is stderr.2"]
        await pilot.press("o")
        assert app.shown()[0] == "this is stdout.2"
        await pilot.press("left_square_bracket")
        assert app.shown()[0] == "this is stdout"
        await pilot.press("right_square_bracket", "right_square_bracket", "o")
        assert app.shown()[0] == "this is stderr.2"


def test_the_outputs_of_steps(tmp_path: Path) -> None:
    task = detail(tmp_path, steps=("train", "test"))
    assert [one.name for one in outputs(task, Choice("stdout"))] == ["train.stdout", "test.stdout"]
    assert [one.name for one in outputs(task, Choice("both", step="test"))] == ["test.stdout", "test.stderr"]


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (20, 3), (80, 24)])
async def test_any_output_at_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "stdout").write_bytes(bytes(range(256)) * 50 + "漢字\n".encode() * 50 + b"\x1b[31mred\n")
    app = PanelApp()
    async with app.run_test(size=size) as pilot:
        app.panel.open(detail(tmp_path))
        app.view.focus()
        for key in ("g", "w", "j", "j", "pagedown", "w", "l", "G", "k", "e", "o", "o", "f", "space"):
            await pilot.press(key)
            for y in range(app.view.size.height):
                assert app.view.render_line(y).cell_length <= max(2, size[0])
                assert all(segment.text.isprintable() for segment in app.view.render_line(y))


async def test_a_task_on_another_machine(tmp_path: Path) -> None:
    data = b"far away\n"

    def ask(command: ReadFile) -> Piece:
        part = data[command.offset :] if command.name == "stdout" and command.most else b""
        return Piece(base64.b64encode(part).decode(), len(data) if command.name == "stdout" else 0)

    app = PanelApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.panel.connect = lambda: ask
        app.panel.open(detail(tmp_path, "running"))
        await wait_until(pilot, lambda: app.shown()[0] == "far away")
        (tmp_path / "stdout").write_text("at home\n")
        app.panel.open(detail(tmp_path))
        await wait_until(pilot, lambda: app.shown()[0] == "at home")


@pytest.mark.parametrize("question", [2, 3])
async def test_it_ends_while_its_output_is_fetched(tmp_path: Path, question: int) -> None:
    """What comes of an older question is not shown in place of the whole output. question: the one that takes long; the
    first two open the output."""
    asked: list[ReadFile] = []
    late = threading.Event()

    def ask(command: ReadFile) -> Piece:
        if command.name == "stderr":
            return Piece(None, 0)
        asked.append(command)
        if len(asked) == question:
            late.wait()
        return Piece(base64.b64encode(b"first\n"[command.offset :]).decode(), 6)

    app = PanelApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.panel.connect = lambda: ask
        app.panel.open(detail(tmp_path, "running"))
        await wait_until(pilot, lambda: len(asked) == question)
        (tmp_path / "stdout").write_text("first\nlast\n")
        app.panel.open(detail(tmp_path))
        await wait_until(pilot, lambda: "last" in app.shown())
        late.set()
        await wait_until(pilot, lambda: not app.panel._fetching)
        await pilot.pause()
        assert app.shown()[:2] == ["first", "last"]
