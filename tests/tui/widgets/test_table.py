"""The table over a frame: cursor, marks, order, what is drawn, and how large it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.tui.conftest import wait_until
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.table.table import Column, FrameTable, next_order


class TableApp(App[None]):
    """A table alone; keeps what it says."""

    def __init__(self, frame: pl.DataFrame, columns: Sequence[Column] | None = None, **options: Any) -> None:
        super().__init__()
        self.frame, self.shown, self.options = frame, columns, options
        self.said: list[Any] = []
        self.copied: list[str] = []
        self.details: list[str] = []

    def compose(self) -> ComposeResult:
        yield FrameTable(key=self.options.pop("key", "id"), **self.options)

    def on_mount(self) -> None:
        self.table.set_frame(self.frame, columns=self.shown)
        self.table.focus()

    @property
    def table(self) -> FrameTable:
        return self.query_one(FrameTable)

    def copy(self, text: str, what: str) -> None:
        self.copied.append(text)

    def on_panel_detail(self, event: Panel.Detail) -> None:
        self.details.append(event.text)

    def on_frame_table_row_selected(self, event: FrameTable.RowSelected) -> None:
        self.said.append(("selected", event.row["id"]))

    def on_frame_table_header_selected(self, event: FrameTable.HeaderSelected) -> None:
        self.said.append(("header", event.column))


def lines(app: TableApp) -> list[str]:
    return [app.table.render_line(y).text.rstrip() for y in range(app.table.size.height)]


def numbers(count: int) -> pl.DataFrame:
    return pl.DataFrame({"id": range(count), "value": [i * 7 % count for i in range(count)]})


async def test_of_a_column_that_stands_half_outside_no_parts_of_numbers_are_shown() -> None:
    frame = pl.DataFrame({"id": [1], "wide": ["w" * 30], "loss": [0.006823], "text": ["abcdefghijkl"]})
    for width, head, tail in (
        (54, "loss  text", "0.006823  abcde…"),
        (51, "loss  te…", "0.006823"),
        (46, "loss", "0.006823"),
        (45, "loss", "www        …"),
        (41, "lo…", "www"),
    ):
        app = TableApp(frame)
        async with app.run_test(size=(width, 6)) as pilot:
            await pilot.pause()
            title, row = lines(app)[:2]
            assert (title.endswith(head), row.endswith(tail)) == (True, True), (width, title, row)


async def test_keys_move_the_cursor() -> None:
    app = TableApp(numbers(1000))
    async with app.run_test(size=(40, 12)) as pilot:
        for keys, row in (
            (["j", "down"], 2),
            (["k"], 1),
            (["G"], 999),
            (["home"], 0),
            (["ctrl+d"], 5),
            (["ctrl+u"], 0),
            (["up"], 0),
            (["pagedown"], 10),
            (["end", "down"], 999),
            (["pageup"], 989),
            (["g"], 0),
        ):
            await pilot.press(*keys)
            assert app.table.cursor_row == row, keys
            assert app.table.scroll_offset.y <= row <= app.table.scroll_offset.y + 10
        await pilot.press("l", "l", "l")
        assert app.table.cursor_column == 1
        await pilot.press("h", "left", "s", "enter", "y", "Y")
        assert app.said == [("header", "id"), ("selected", 0)]
        assert app.copied == ["0", "0\t0"]


async def test_the_cursor_stays_on_its_row_and_at_its_place_on_the_screen() -> None:
    app = TableApp(numbers(500))
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.go_to(300)
        await pilot.pause()
        place = app.table.cursor_row - app.table.scroll_offset.y
        app.table.set_frame(numbers(500).sort("id", descending=True))
        await pilot.pause()
        assert app.table.key_at(app.table.cursor_row) == 300
        assert app.table.cursor_row - app.table.scroll_offset.y == place
        app.table.set_frame(numbers(500).filter(pl.col("id") < 100))
        assert app.table.cursor_row == 99
        app.table.set_frame(numbers(500))  # what a person went to is there again
        assert app.table.cursor_row == 300


async def test_a_row_that_is_out_of_sight_does_not_pull_the_screen() -> None:
    app = TableApp(numbers(500))
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.scroll_to(y=200, animate=False)
        await pilot.pause()
        app.table.set_frame(numbers(500))
        await pilot.pause()
        assert app.table.scroll_offset.y == 200
        assert app.table.cursor_row == 0


async def test_numbers_are_aligned_at_their_points_and_nulls_seen() -> None:
    frame = pl.DataFrame({"id": [1, 20, 300, 4], "x": [0.5, 10.25, None, 0.123456789]})
    app = TableApp(frame)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.pause()
        found = lines(app)
        assert found[1].endswith(" 0.50") and found[2].endswith("10.25") and found[4].endswith(" 0.12")
        assert found[1].startswith("    1") and found[3].startswith("  300")
        assert "·" in found[3]
        # What the cursor is on has all its digits in the border; this is what is copied.
        await pilot.press("right", "end")
        assert app.details == ["x 0.123456789"]
        await pilot.press("y", "up", "up")
        assert app.copied == ["0.123456789"] and app.details[-1] == ""


async def test_one_notation_of_a_column_grows_with_what_comes_into_sight() -> None:
    frame = pl.DataFrame(
        {"id": range(1000), "x": [0.5] * 999 + [1e300], "f": pl.Series([0.1] * 1000, dtype=pl.Float32)}
    )
    app = TableApp(frame.with_columns(long=pl.lit("w" * 60), time=pl.duration(milliseconds=1500)))
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.pause()
        assert lines(app)[1].split()[:3] == ["0", "0.5", "0.1"]
        await pilot.press("end")
        found = [line.split()[:3] for line in lines(app) if line]
        assert found[-2:] == [["998", "5e-1", "0.1"], ["999", "1e300", "0.1"]]
        app.table.set_frame(frame.head(10), columns=app.table.columns[:3])
        await pilot.pause()
        assert lines(app)[1].split()[1] == "0.5"
        # A text that is cut is whole in the border.
        app.table.set_frame(app.frame)
        await pilot.press("right", "right", "right")
        assert app.details[-1] == "long " + "w" * 60
        await pilot.press("right")
        assert app.details[-1] == "" and "1.5" in lines(app)[1]


@pytest.mark.parametrize("size", [(4, 3), (1, 1), (20, 2), (80, 24)])
@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(),
        pl.DataFrame({"id": []}),
        pl.DataFrame({"id": [None, None]}),
        pl.DataFrame({"id": [1], **{f"column {i}": ["x" * 50] for i in range(60)}}),
        pl.DataFrame({"id": [1, 2], "list": [[1, 2], None], "struct": [{"a": 1}, {"a": None}], "b": [b"\0", b"x"]}),
    ],
    ids=["nothing", "no rows", "nulls", "many columns", "nested"],
)
async def test_any_frame_at_any_size(frame: pl.DataFrame, size: tuple[int, int]) -> None:
    app = TableApp(frame, frozen=2)
    async with app.run_test(size=size) as pilot:
        await pilot.press("j", "l", "G", "s", "enter", "y", "Y", "pagedown", "l", "l", "l", "g")
        for line in lines(app):
            assert len(line) <= size[0]
        if frame.width == 0 and size == (80, 24):
            assert "nothing to show" in lines(app)[2]


async def test_control_characters_never_reach_the_terminal() -> None:
    nasty = "a\x1b[31mred\x07\n\r\t\x00\u202e\x9bend"
    app = TableApp(pl.DataFrame({"id": [1], nasty: [nasty]}))
    async with app.run_test(size=(120, 6)) as pilot:
        await pilot.pause()
        for y in range(6):
            assert all(segment.text.isprintable() for segment in app.table.render_line(y))
        assert "\\x1b[31mred" in lines(app)[1]


async def test_wide_characters_keep_the_columns_in_line() -> None:
    frame = pl.DataFrame({"id": [1, 2], "name": ["漢字", "ab"], "z": ["x", "x"]})
    app = TableApp(frame)
    async with app.run_test(size=(40, 6)) as pilot:
        await pilot.pause()
        first, second = (app.table.render_line(y) for y in (1, 2))
        assert first.cell_length == second.cell_length == app.table.size.width
        assert first.text.index("x") == second.text.index("x") - 2  # two characters that take four cells


async def test_clicks_on_rows_and_headers() -> None:
    app = TableApp(numbers(100))
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.click(FrameTable, offset=(3, 4))
        assert app.table.cursor_row == 3
        await pilot.click(FrameTable, offset=(8, 0))
        assert app.said == [("header", "value")]
        await pilot.double_click(FrameTable, offset=(3, 5))
        await wait_until(pilot, lambda: ("selected", 4) in app.said)


async def test_columns_scroll_sideways_and_the_first_stays() -> None:
    frame = pl.DataFrame({"id": range(5), **{f"c{i}": [f"value {i}"] * 5 for i in range(20)}})
    app = TableApp(frame, frozen=1)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press(*["l"] * 20)
        title = lines(app)[0]
        assert "id" in title and "c19" in title and "c0" not in title.split()
        assert all(line.split()[0] == str(row) for row, line in enumerate(lines(app)[1:6]))
        await pilot.press(*["h"] * 20)
        assert "c0" in lines(app)[0]


async def test_marks_and_formats_and_tones() -> None:
    columns = [
        Column("id", "task"),
        Column("state", format=lambda s: Text(f"! {s}", style="bold"), style=lambda s: "error"),
        Column("value", align="left", width=4),
    ]
    frame = numbers(5).with_columns(state=pl.lit("failed"), value=pl.lit("much too long"))
    app = TableApp(frame, columns)
    async with app.run_test(size=(40, 8)) as pilot:
        app.table.toggle_mark()
        await pilot.pause()
        assert app.table.marked == {0}
        assert app.table.cursor_row == 1
        assert lines(app)[1].startswith("●")
        assert "! failed" in lines(app)[1]
        assert "muc…" in lines(app)[1]
        app.table.sort_by = ("state", True)
        await pilot.pause()
        assert "state ↓" in lines(app)[0]


async def test_newer_values_are_asked_for_the_rows_in_sight_alone() -> None:
    asked: list[list[int]] = []

    def overlay(rows: pl.DataFrame) -> pl.DataFrame:
        asked.append(rows["id"].to_list())
        return rows.with_columns(value=pl.lit(-1, dtype=pl.Int64))

    app = TableApp(numbers(100_000))
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.overlay = overlay
        app.table.refresh_rows()
        await pilot.pause()
        assert lines(app)[1].split() == ["0", "-1"]
        assert all(len(ids) <= 13 for ids in asked)
        row = app.table.row(0)
        assert row is not None and row["value"] == -1


async def test_a_million_rows_are_shown_without_being_formatted() -> None:
    calls = 0

    def counted(value: int) -> str:
        nonlocal calls
        calls += 1
        return str(value)

    frame = pl.DataFrame({"id": pl.int_range(1_000_000, eager=True)})
    app = TableApp(frame, [Column("id", format=counted)])
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("G")
        await pilot.pause()
        assert "999999" in lines(app)[-1]
        assert calls < 1000


def test_the_order_goes_up_down_and_away() -> None:
    order = next_order(None, "a")
    assert order == ("a", False)
    assert next_order(order, "b") == ("b", False)
    order = next_order(order, "a")
    assert order == ("a", True)
    assert next_order(order, "a") is None


async def _follow(pilot: Pilot[None], app: TableApp, frames: list[list[int]], choice: int) -> None:
    table = app.table
    table.set_frame(pl.DataFrame({"id": pl.Series(frames[0], dtype=pl.Int64)}))
    if not frames[0]:
        return
    key = frames[0][choice % len(frames[0])]
    table.go_to(key)
    for ids in frames[1:]:
        table.set_frame(pl.DataFrame({"id": pl.Series(ids, dtype=pl.Int64)}))
        await pilot.pause()
        assert 0 <= table.cursor_row < max(1, len(ids))
        if key in ids:
            assert table.key_at(table.cursor_row) == key


@pytest.mark.slow
async def test_the_cursor_follows_its_key_through_any_frames() -> None:
    app = TableApp(numbers(1))
    async with app.run_test(size=(20, 6)) as pilot:
        loop = asyncio.get_running_loop()
        found: list[tuple[list[list[int]], int]] = []
        ids = st.lists(st.integers(0, 30), unique=True, max_size=30)

        @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(ids, min_size=2, max_size=5), st.integers(0, 100))
        def collect(frames: list[list[int]], choice: int) -> None:
            found.append((frames, choice))

        await loop.run_in_executor(None, collect)
        for frames, choice in found:
            await _follow(pilot, app, frames, choice)


async def test_a_column_may_draw_its_cells_into_the_room_that_the_others_leave() -> None:
    def bar(row: Any, width: int) -> list[tuple[str, str]]:
        return [("#" * (row["value"] * width // 2), "success"), ("[red]", "muted")]

    shown = [
        Column("id"),
        Column("value", "bar", width=6, draw=bar, head=lambda width: [(f"0{'2':>{width - 1}}", "muted")], fill=True),
        Column("name"),
    ]
    frame = pl.DataFrame({"id": [0, 1], "value": [0, 1], "name": ["a", "b"]})
    app = TableApp(frame, shown)
    async with app.run_test(size=(30, 10)) as pilot:
        # Gutter, id, gap; the bar; gap, name, gap.
        room = 30 - 2 - 2 - 2 - 2 - 4 - 2
        assert [line.split() for line in lines(app)[:3]] == [
            ["id", "0", "2", "name"],
            ["0", "[red]", "a"],
            ["1", "#" * (room // 2) + "[red]", "b"],
        ]
        assert lines(app)[0] == f"  id  0{'2':>{room - 1}}  name"
        colours = {segment.text: segment.style.color for segment in app.table.render_line(2) if segment.style}
        assert colours["#" * (room // 2)] != colours["[red]"]
        await pilot.resize_terminal(14, 10)
        await wait_until(pilot, lambda: lines(app)[2] == "   1  ###[re")


async def test_pinned_rows_stay_above_and_the_cursor_stays_on_its_row() -> None:
    frame = numbers(100)
    first = pl.concat([frame[[50, 60, 70, 80]], frame.filter(~pl.col("id").is_in([50, 60, 70, 80]))])
    app = TableApp(frame)
    async with app.run_test(size=(20, 10)) as pilot:  # the header, three that stay, a rule, and five lines
        app.table.set_frame(first, pinned=4)
        await pilot.pause()
        assert [line.split()[:1] for line in lines(app)] == [
            *([each] for each in ("id", "50", "60", "70")), ["┄" * 19], ["80"], ["0"], ["1"], ["2"], ["3"],
        ]  # fmt: skip
        assert app.table.keys_in_sight()[:5] == [50, 60, 70, 80, 0]
        await pilot.press(*"GG")
        assert [line.split()[0] for line in lines(app)][1:4] == ["50", "60", "70"]
        assert lines(app)[-1].split() == ["99", "93"]
        await pilot.press("g", "j", "j", "j", "j", "j")
        assert app.table.key_at(app.table.cursor_row) == 1
        await pilot.click(FrameTable, offset=(3, 4))  # the rule
        assert app.table.key_at(app.table.cursor_row) == 1
        await pilot.click(FrameTable, offset=(3, 2))
        assert app.table.key_at(app.table.cursor_row) == 60
        app.table.set_frame(frame)  # it runs no more
        await pilot.pause()
        assert app.table.key_at(app.table.cursor_row) == 60
        assert any(line.split()[0] == "60" for line in lines(app)), "it is in sight"
        app.table.overlay = lambda rows: rows.with_columns(pl.col("value") + 1000)
        app.table.set_frame(first, pinned=4)
        app.table.refresh_rows()
        await pilot.pause()
        assert lines(app)[1].split()[1] == str(50 * 7 % 100 + 1000)


async def test_rows_that_were_pinned_while_nothing_was_seen_of_them_are_painted() -> None:
    app = TableApp(numbers(100))
    async with app.run_test(size=(20, 20)) as pilot:
        for pinned in (1, 3, 5):
            app.table.display = False
            await pilot.pause()
            app.table.set_frame(numbers(90 + pinned), pinned=pinned)
            app.table._look(force=True)  # as at each tick: there are no lines now
            app.table.display = True
            await pilot.pause()
            assert [line.split()[0] for line in lines(app)[1 : pinned + 1]] == [str(row) for row in range(pinned)]
