"""Pictures that the terminal paints over the cells: the bytes that it gets, read as it reads them."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from textual._compositor import CompositorUpdate
from textual.geometry import Region
from textual.widgets import Static

from tests.tui.panes.tasks.test_pane import Screen, screen
from tests.workbench import Workbench
from tui_lab.results.pictures import Raster
from tui_lab.tui.base.config import Config
from tui_lab.tui.widgets.picture import iterm, sixel
from tui_lab.tui.widgets.picture.picture import Picture

SIXEL = re.compile(r"\x1bP0;1;0q(.*?)\x1b\\", re.DOTALL)
COMMAND = re.compile(r'"1;1;(\d+);(\d+)|#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|([?-~])')


def pixels_of(body: str) -> NDArray[np.int16]:
    """What a terminal paints: three percentages for each pixel; -1 where it paints nothing."""
    colours: dict[str, tuple[int, ...]] = {}
    place = painted = np.zeros((0, 0, 3), np.int16)
    column = top = end = 0
    for found in COMMAND.finditer(body):
        assert found.start() == end, body[end : end + 20]
        end = found.end()
        width, height, name, red, green, blue, chosen, times, repeated, jump, one = found.groups()
        if width:
            place = np.full((int(height) + 6, int(width), 3), -1, np.int16)
            painted = place[: int(height)]
        elif name:
            colours[name] = (int(red), int(green), int(blue))
        elif chosen:
            colour = colours[chosen]
        elif jump:
            column, top = 0, top + 6 * (jump == "-")
        else:
            many, bits = int(times or 1), ord(repeated or one) - 63
            for row in range(6):
                if bits >> row & 1:
                    place[top + row, column : column + many] = colour
            column += many
    assert end == len(body) and (place[len(painted) :] == -1).all()
    return painted


def test_sixels_are_the_picture() -> None:
    y, x = np.mgrid[0:40, 0:70]
    raw = np.stack([x * 3, y * 6, 255 - x * 3], -1).astype(np.uint8)  # more colours than sixels have
    raw[5:9, 10:60] = (255, 255, 255)
    (tile,) = sixel.tiles(Raster(70, 40, raw.tobytes()), (7, 13))
    (body,) = SIXEL.findall(tile.sequence)
    assert (tile.column, tile.row, tile.rows) == (0, 0, 4) and len(tile.sequence) == len(body) + 10
    shown = pixels_of(body)
    assert shown.shape == raw.shape and shown.min() >= 0
    error = np.abs(shown * 2.55 - raw)
    assert error.mean() < 8 and (shown[5:9, 10:60] > 97).all()


def test_a_large_picture_is_sent_in_parts_that_xterm_takes() -> None:
    raw = np.zeros((970, 2000, 3), np.uint8)
    raw[:, 1500:] = (255, 0, 0)
    tiles = sixel.tiles(Raster(2000, 970, raw.tobytes()), (9, 20))
    assert [(tile.column, tile.row, tile.rows) for tile in tiles] == [
        (0, 0, 48), (106, 0, 48), (212, 0, 48), (0, 48, 1), (106, 48, 1), (212, 48, 1),
    ]  # fmt: skip
    whole = np.full((970, 2000, 3), -1)
    for tile in tiles:
        part = pixels_of(SIXEL.findall(tile.sequence)[0])
        whole[tile.row * 20 :, tile.column * 9 :][: part.shape[0], : part.shape[1]] = part
    assert (np.abs(whole * 2.55 - raw) < 2).all()


def test_iterm_gets_a_png() -> None:
    raw = os.urandom(30 * 20 * 3)
    (tile,) = iterm.tiles(Raster(30, 20, raw), 5, 3)
    head, _, data = tile.sequence.removeprefix("\x1b]1337;File=").removesuffix("\x07").partition(":")
    facts = dict(part.split("=") for part in head.split(";"))
    assert facts == {"inline": "1", "size": str(len(b64decode(data))), "width": "5", "height": "3",
                     "preserveAspectRatio": "0"}  # fmt: skip
    assert Image.open(io.BytesIO(b64decode(data))).tobytes() == raw and tile.rows == 3


def painted(s: Screen) -> str:
    """What the terminal would get if all were painted."""
    update = s.app.screen._compositor.render_update(full=True, screen_stack=s.app._background_screens)
    assert isinstance(update, CompositorUpdate)
    return update.render_segments(s.app.console)


async def test_a_picture_is_painted_only_where_it_is_seen(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TMUX", raising=False)
    file = own_lab.experiment("small").task_folder(0) / "a.png"
    Image.new("RGB", (400, 200), "#336699").save(file)
    async with screen(own_lab.lab_path, (120, 40), Config(images="sixel")) as s:
        await s.pilot.press("i")
        picture = s.pane.query(Picture).first()
        await s.until(lambda: picture.is_drawn)
        (at,) = re.findall(r"\x1b7\x1b\[(\d+);(\d+)H(?=\x1bP)", painted(s))
        (body,) = SIXEL.findall(painted(s))
        shown = pixels_of(body)
        assert (shown == (20, 40, 60)).all() and abs(shown.shape[1] / shown.shape[0] - 2) < 0.05
        columns, rows = -(-shown.shape[1] // 10), -(-shown.shape[0] // 20)
        left, top = int(at[1]) - 1, int(at[0]) - 1
        assert picture.region.contains_region(Region(left, top, columns, rows))
        # It comes after all cells that it covers.
        assert f"\x1b[{top + rows};" in painted(s).partition("\x1bP")[0] or rows == 1
        # What changes beside it does not send it again.
        s.app.screen._compositor._dirty_regions.add(Region(0, 0, 120, 3))
        partly = s.app.screen._compositor.render_update()
        assert isinstance(partly, CompositorUpdate)
        assert "\x1bP" not in partly.render_segments(s.app.console)
        # Below a dialog, and below a short message, cells show it.
        await s.pilot.press("question_mark")
        await s.until(lambda: len(s.app.screen_stack) == 2)
        assert not SIXEL.search(painted(s)) and "▀" in painted(s)
        await s.pilot.press("escape")
        await s.until(lambda: SIXEL.search(painted(s)))
        message = Static("over it")  # tests have no short messages
        message.styles.overlay, message.styles.position = "screen", "absolute"
        message.styles.width, message.styles.height = 8, 1
        message.styles.offset = (left + 3, top + 2)
        await s.app.screen.mount(message)
        await s.until(lambda: not SIXEL.search(painted(s)))
        assert "over it" in painted(s) and "▀" in painted(s)
        await message.remove()
        await s.until(lambda: SIXEL.search(painted(s)))
        await s.pilot.resize_terminal(116, 40)
        await s.until(lambda: picture.region.right < 116)
        # tmux gets whole cells that are whole bands, with the ground where the picture has no pixels.
        monkeypatch.setenv("TMUX", "/tmp/tmux")
        await s.pilot.resize_terminal(200, 40)
        await s.until(lambda: (found := SIXEL.search(painted(s))) and pixels_of(found[1]).shape[0] % 60 == 0)
        in_tmux = pixels_of(SIXEL.findall(painted(s))[0])
        assert in_tmux.shape[1] % 10 == 0 and (in_tmux[0, 0] == (20, 40, 60)).all()
        ground = np.array(picture.background_colors[1].rgb) / 2.55
        assert (np.abs(in_tmux[-1, -1] - ground) < 1).all()
        monkeypatch.delenv("TMUX")
        # Without room for it, cells show a part.
        await s.pilot.resize_terminal(120, 20)
        await s.until(lambda: picture.size.height < 15)
        found = SIXEL.search(painted(s))
        assert not found or pixels_of(found[1]).shape[0] <= 20 * picture.size.height
        await s.pilot.press("i")
        await s.until(lambda: s.pane.log_panel.display)
        assert not SIXEL.search(painted(s))


class Terminal:
    """The program on a pseudo-terminal that knows sixels, and answers what it is asked. Keys are typed in between."""

    def __init__(self, workbench: Workbench, typed: bytes) -> None:
        self.seen = ""
        self._typed = typed
        self._row = 1
        self._pty, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        environment = {**workbench.environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("TMUX", "NO_COLOR", "STY", "TERM_PROGRAM"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui_lab", str(workbench.lab_path)], cwd=workbench.folder, env=environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._read_to = 0

    def type(self, keys: bytes) -> None:
        os.write(self._pty, keys)

    def until(self, pattern: str, start: int = 0, seconds: float = 30.0) -> re.Match[str]:
        end = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.DOTALL).search(self.seen, start)):
            assert select.select([self._pty], [], [], max(0.0, end - time.monotonic()))[0], self.seen[-2000:]
            self.seen += os.read(self._pty, 1 << 16).decode(errors="replace")
            self._answer()
        return found

    def _answer(self) -> None:
        questions = re.compile(r'\x1b\[6n|\x1b\[>q|\x1b\[H|\x1bP0;1;0q("1;1;1;[^\x1b]*)\x1b\\')
        for found in questions.finditer(self.seen, self._read_to):
            self._read_to = found.end()
            if found[0] == "\x1b[H":
                self._row = 1
            elif found[0] == "\x1b[>q":
                self.type(self._typed + b"\x1bP>|A terminal with a long name(1.2.3)\x1b\\" + self._typed)
            elif found[0] == "\x1b[6n":
                self.type(b"\x1b[%d;1R" % self._row)
            elif pixels_of(found[1])[-1].max() >= 0:  # foot forgets lines without pixels at the end
                self._row = 8

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._pty)


@pytest.fixture
def pictured(own_lab: Workbench) -> Iterator[Path]:
    for task in range(4):
        file = own_lab.experiment("small").task_folder(task) / "a.png"
        Image.new("RGB", (400, 200), ("red", "lime", "blue", "white")[task]).save(file)
    yield own_lab.lab_path


def test_a_terminal_is_asked_and_no_typed_key_is_lost(own_lab: Workbench, pictured: Path) -> None:
    terminal = Terminal(own_lab, typed=b"j")
    try:
        terminal.until("small")
        terminal.type(b"3i")
        # Typed on both sides of an answer: the third task. None of the letters of the answer acted.
        found = terminal.until(r'\x1bP0;1;0q("1;1;\d\d+;[^\x1b]*#\d+;2;0;0;100[^\x1b]*)\x1b\\')
        assert (pixels_of(found[1]) == (0, 0, 100)).all()
        assert terminal.seen.count("\x1b[>q") == 1  # once for all
        terminal.type(b"j")
        terminal.until(r"\x1bP0;1;0q\"1;1;\d\d+;[^\x1b]*#\d+;2;100;100;100[^\x1b]*\x1b\\")
        terminal.type(b"q")
        terminal.until(r"\x1b\[\?1049l")
    finally:
        terminal.close()
