"""Pictures in the place of the log: of one task, and of marked ones side by side."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from rich.segment import Segment
from textual.strip import Strip

from tests.tui.panes.tasks.test_pane import screen
from tests.workbench import Workbench
from tui_lab.results.pictures import Raster
from tui_lab.tui.panes.tasks.pictures import TaskPictures
from tui_lab.tui.widgets.picture.blocks import half_blocks
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
