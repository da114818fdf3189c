"""Pictures in the place of the log: of one task, and of marked ones side by side."""

from __future__ import annotations

import os
import zlib
from base64 import b64decode
from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from tests.tui.panes.tasks.test_pane import screen
from tests.workbench import Workbench
from tui_lab.results.pictures import Raster
from tui_lab.tui.base.config import Config
from tui_lab.tui.tasks import pictures
from tui_lab.tui.tasks.pictures import TaskPictures
from tui_lab.tui.widgets.picture.blocks import half_blocks
from tui_lab.tui.widgets.picture.kitty import MARKS, Sent, knows
from tui_lab.tui.widgets.picture.picture import Picture


def cells(strip: Strip) -> list[tuple[str, str, str]]:
    """The text and the two colours of each segment."""
    return [(text, style.color.name, style.bgcolor.name) for text, style, _ in strip._segments if style]  # type: ignore[union-attr]


def test_a_cell_shows_two_pixels() -> None:
    red, blue = b"\xff\x00\x00", b"\x00\x00\xff"
    raster = Raster(3, 3, red * 3 + blue * 2 + red + red * 3)
    first, last = half_blocks(raster, ascii_only=False)
    assert cells(first) == [("▀▀", "#ff0000", "#0000ff"), ("▀", "#ff0000", "#ff0000")]
    assert cells(last) == [("▀▀▀", "#ff0000", "#ff0000")]  # the lowest pixel alone
    mixed = half_blocks(raster, ascii_only=True)[0]
    assert cells(mixed)[0] == ("  ", "#7f007f", "#7f007f")
    assert isinstance(mixed._segments[0], Segment) and mixed.cell_length == 3


def commands(said: str) -> list[tuple[dict[str, str], str]]:
    """The commands of kitty's protocol, and their data."""
    found = [one.removeprefix("\x1b_G").partition(";") for one in said.split("\x1b\\") if one]
    return [(dict(part.split("=") for part in head.split(",")), data) for head, _, data in found]


def test_kitty_gets_the_pixels_in_parts_and_cells_that_show_them() -> None:
    raster = Raster(100, 50, os.urandom(15_000))
    sent = Sent(raster, (10, 3))
    first, *others = commands(sent.sequence({}))
    wanted = {"a": "T", "U": "1", "q": "2", "f": "24", "o": "z", "s": "100", "v": "50", "c": "10", "r": "3", "m": "1"}
    assert first[0] == {**wanted, "i": str(sent.number)}
    assert [head for head, _ in others] == [*[{"q": "2", "m": "1"}] * (len(others) - 1), {"q": "2", "m": "0"}]
    assert all(len(data) <= 4096 for _, data in others)
    assert zlib.decompress(b64decode("".join(data for _, data in [first, *others]))) == raster.pixels
    lines = sent.lines()
    assert [line.cell_length for line in lines] == [10, 10, 10] and cell_len(lines[0].text) == 10
    assert lines[2].text.startswith(f"\U0010eeee{MARKS[2]}{MARKS[0]}\U0010eeee{MARKS[2]}{MARKS[1]}")
    (segment,) = lines[0]._segments
    assert segment.style is not None and segment.style.color is not None
    assert segment.style.color.name == f"#{sent.number:06x}"
    assert len(MARKS) == len(set(MARKS)) == 297 and (MARKS[0], MARKS[-1]) == ("\u0305", "\U0001d244")
    inside = sent.removal({"TMUX": "/tmp/tmux"})
    assert inside == f"\x1bPtmux;\x1b\x1b_Ga=d,d=I,i={sent.number},q=2\x1b\x1b\\\x1b\\"


def test_a_kitty_without_placeholders_is_not_asked_for_them() -> None:
    assert [knows(one) for one in ("kitty(0.28.1)", "kitty(1.0.0)", "ghostty 1.2.0-main", "kitty")] == [1, 1, 1, 0]
    assert not any(knows(one) for one in ("kitty(0.26.5)", "WezTerm 20240203", "XTerm(379)", ""))


async def test_kitty_shows_a_picture_and_forgets_it(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(pictures, "KEPT", kept := 2)
    file = own_lab.experiment("small").task_folder(0) / "a.png"
    Image.new("RGB", (400, 200), "red").save(file)
    async with screen(own_lab.lab_path, (120, 40), Config(images="kitty")) as s:
        said: list[str] = []
        monkeypatch.setattr(s.app, "write_to_terminal", said.append)
        await s.pilot.press("i")
        picture = s.pane.query(Picture).first()
        await s.until(lambda: picture.is_drawn)
        head = commands(said[0])[0][0]
        columns, rows = int(head["c"]), int(head["r"])
        assert columns > 40 and abs(int(head["s"]) / int(head["v"]) - 2) < 0.1 and abs(columns / rows - 4) < 0.5
        assert MARKS[0] + MARKS[columns - 1] in picture.render_line(1).text
        assert picture.render_line(1).cell_length == picture.size.width
        for number in range(kept):  # others
            Image.new("RGB", (400, 200), "blue").save(file.with_name(f"{number}.png"))
        panel = s.pane.query_one(TaskPictures)
        await s.until(lambda: len(panel.names) == kept + 1)
        for _ in range(kept):
            picture.say("", "")
            await s.pilot.press("right_square_bracket")
            await s.until(lambda: picture.is_drawn)
        assert f"a=d,d=I,i={head['i']},q=2" in said[-1] + said[-2]
        before = len(said)
    assert sum("a=d," in one for one in said[before:]) == kept  # what was left, when the screen was left


async def test_pictures_in_the_place_of_the_log(own_lab: Workbench) -> None:
    colours = {0: "red", 1: "blue"}
    for task, colour in colours.items():
        folder = own_lab.experiment("small").task_folder(task)
        Image.new("RGB", (40, 20), colour).save(folder / "a.png")
        (folder / "plots").mkdir()
        Image.new("RGB", (40, 20), "white").save(folder / "plots" / "b.gif")
    (own_lab.experiment("small").task_folder(0) / "z\x1b[2J.png").write_text("broken")
    async with screen(own_lab.lab_path, (120, 40)) as s:
        panel = s.pane.query_one(TaskPictures)

        def shown() -> list[str]:
            """The colour in the middle of each picture, or the note in its place."""
            found = []
            for picture in s.pane.query(Picture):
                if picture.display:
                    middle = picture.render_line(3)._segments
                    style = max(middle, key=lambda one: len(one.text)).style
                    found.append(picture.note or (style.bgcolor.name if style and style.bgcolor else ""))
            return found

        assert not panel.display and s.pane.check_action("picture", (1,)) is False
        await s.pilot.press("i")
        await s.until(lambda: shown() == ["#ff0000"])
        assert not s.pane.log_panel.display
        assert panel.title == "Pictures of small/0  a.png  " + panel.title.split("  ")[2] + "  1 of 3"
        # Other names: one in a folder, and one that is broken and has control characters.
        await s.pilot.press("right_square_bracket")
        await s.until(lambda: shown() == ["#ffffff"])
        await s.pilot.press("right_square_bracket")
        await s.until(lambda: shown() == ["it is no picture of this format"])
        assert "\x1b" not in panel.title
        # The marked tasks side by side, in the order of their numbers; another task has none of this name.
        await s.pilot.press("right_square_bracket", "space", "space", "space")
        await s.until(lambda: shown() == ["#ff0000", "#0000ff", "it has no picture of this name"])
        # Bursts of keys: without marks, enlarged, the focus in it; and the log in its place, as large.
        await s.pilot.press("escape", "g", "z")
        await s.until(lambda: s.pane.row.alone == "task-pictures" and isinstance(s.app.focused, Picture))
        await s.until(lambda: shown() == ["#ff0000"])
        await s.pilot.press("i")
        await s.until(lambda: s.pane.row.alone == "task-log" and s.app.focused is s.pane.log_panel.view)
        await s.pilot.press("escape", "j", "j", "i")
        await s.until(lambda: shown() == ["it has written no picture into its folder ($TUI_LAB_OUTPUT)"])


async def test_a_picture_that_is_written_again_is_shown_again(own_lab: Workbench) -> None:
    file: Path = own_lab.experiment("small").task_folder(0) / "a.png"
    async with screen(own_lab.lab_path, (120, 40)) as s:
        await s.pilot.press("i")
        await s.until(lambda: "no picture" in s.pane.query(Picture).first().note)
        Image.new("RGB", (40, 20), "red").save(file)
        await s.until(lambda: s.pane.query(Picture).first().is_drawn)
