"""Charts as characters and as pictures."""

from __future__ import annotations

import math
import re
import tempfile
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.results.charts.test_charts import GRID, RNG, SOURCE, chart
from tui_lab.cli.main import main
from tui_lab.results.charts import files
from tui_lab.results.charts.model import Axis, Chart, ChartError
from tui_lab.results.charts.registry import OWN as KINDS
from tui_lab.results.charts.terminal.canvas import blend, mixed, rgb
from tui_lab.results.charts.terminal.draw import draw
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.charts.ticks import scale, ticks

PLAIN = Look(color=False)


@pytest.mark.parametrize("size", [(80, 24), (200, 32), (40, 12), (20, 6)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_the_terminal(kind: str, size: tuple[int, int]) -> None:
    text = draw(chart(kind, labels={"title": "Zufällige Güte 数 $x"}), *size, PLAIN)
    lines = text.split("\n")
    assert len(lines) <= size[1]
    assert max(map(cell_len, lines)) <= size[0]
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_ascii_is_ascii(kind: str) -> None:
    assert draw(chart(kind), 80, 24, Look(color=False, ascii=True)).isascii()


def test_series_differ_without_colour_and_are_named() -> None:
    text = draw(chart("lines", columns={"x": "neurons", "y": "acc", "hue": "activation"}), 80, 24, PLAIN)
    assert "activation:  ● relu  ■ tanh" in text
    field = text.split("└")[0]
    assert "●" in field and "■" in field
    assert "mean, n = 8; band: 95 % interval of the mean (Student's t)" in text
    bars = draw(chart("categories", columns={"x": "early", "y": "acc", "hue": "activation"}), 80, 24, PLAIN)
    assert "activation:  █ relu  ▓ tanh" in bars and "▓▓" in bars.split("└")[0]


def test_colours_are_there_when_wanted() -> None:
    assert "\x1b[38;5;33m" in draw(chart("lines"), 80, 24, Look(color=True))


def test_a_point_stands_where_its_values_are() -> None:
    frame = pl.DataFrame({"x": [0.0, 10.0], "y": [0.0, 100.0]})
    lines = draw(chart("scatter", frame, columns={"x": "x", "y": "y"}), 60, 20, PLAIN).split("\n")
    low, high = (index for index, line in enumerate(lines) if "●" in line)
    assert lines[low].startswith("100┤") and lines[high].startswith("  0┤")
    axis = next(line for line in lines if "└" in line)
    assert axis[lines[low].index("●")] == axis[lines[high].index("●")] == "┬"


def test_values_of_a_heatmap_are_written_where_they_fit() -> None:
    frame = pl.DataFrame({"x": [1, 2], "y": ["a", "a"], "z": [0.25, 0.5]})
    asked: Any = {"columns": {"x": "x", "y": "y", "z": "z"}, "annotate": True, "number_format": ".2f"}
    text = draw(chart("heatmap", frame, **asked), 60, 20, PLAIN)
    assert "0.25" in text and "0.50" in text
    wide = pl.DataFrame({"x": range(60), "y": ["a"] * 60, "z": np.linspace(0, 1, 60)})
    assert "--table prints them" in draw(chart("heatmap", wide, **asked), 80, 20, PLAIN)
    for look in (PLAIN, Look(), Look(ground=mixed(0, 0, 0))):  # by itself, and over the whole field
        text = draw(chart("heatmap", frame, columns={"x": "x", "y": "y", "z": "z"}), 60, 20, look)
        assert "0.25" in text and text.count("\n") == 19
    assert "prints them" not in draw(chart("heatmap", wide, columns={"x": "x", "y": "y", "z": "z"}), 80, 20, PLAIN)


def test_no_number_is_cut() -> None:
    values = [0.1 * 3.0**-n for n in range(14)]
    frame = pl.DataFrame(
        {"x": values * 2, "y": [7.123456789e-5] * 14 + [1e-300] * 14, "z": [1e-7 * n for n in range(28)]}
    )
    for width in (30, 60, 100, 300):
        text = draw(chart("heatmap", frame, columns={"x": "x", "y": "y", "z": "z"}, annotate=True), width, 20, PLAIN)
        assert "…" not in text.partition("no room")[0] and "7.12e-5┤" in text
    assert text.count("2.7e-6") == 2 and "0.00000" not in text  # in its cell and at the end
    far = pl.DataFrame({"k": range(8), "y": [1e9 + k / 1000 for k in range(8)]})
    assert "1.000000000004e9┤" in draw(chart("lines", far, columns={"x": "k", "y": "y"}), 40, 20, PLAIN)
    scale_line = draw(chart("heatmap", far, columns={"x": "k", "y": "k", "z": "y"}), 80, 20, PLAIN).split("\n")[-1]
    assert " 1000000000 " in scale_line and scale_line.endswith(" 1000000000.007")


def test_bars_and_a_part_of_the_axis() -> None:
    frame = pl.DataFrame({"x": ["a", "b"], "y": [0.9, 0.95]})
    whole = draw(chart("categories", frame, columns={"x": "x", "y": "y"}), 60, 20, PLAIN)
    part = draw(chart("categories", frame, columns={"x": "x", "y": "y"}, ranges={"y": (0.85, 0.96)}), 60, 20, PLAIN)
    assert "0.0┤" in whole and "0.950┤" in part and "0.0" not in part
    assert whole.count("█") > part.count("█") > 0 and "≈" in part and "≈" not in whole


def test_bands_cover_all_between_their_ends() -> None:
    frame = pl.DataFrame({"x": [0, 0, 9, 9], "of": ["a", "b", "a", "b"], "y": [1.0, 1.0, 2.0, 0.0]})
    asked: Any = {"columns": {"x": "x", "y": "y", "hue": "of"}}
    lines = draw(chart("area", frame, **asked), 60, 20, PLAIN).split("\n")
    field = [line[4:] for line in lines[1:15]]
    assert (
        field[-1].startswith("█" * 55)
        and field[0][0] in "▓ "
        and "▓" in field[2]
        and "of:  █ a  ▓ b" in "".join(lines[-2:])
    )
    coloured = draw(chart("area", frame, **asked), 60, 20, Look())
    assert "\x1b[38;5;33;48;5;208m" in coloured  # an edge within a cell
    calm = draw(chart("area", frame, **asked), 60, 20, Look(ground=mixed(0, 0, 0)))
    red, green, blue = rgb(blend(33, mixed(0, 0, 0), 0.65))
    assert f"38;2;{red};{green};{blue}" in calm


def test_what_lies_outside_of_a_range_is_outside() -> None:
    frame = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 2.0, 3.0]})
    for kind in ("lines", "scatter"):
        asked: Any = {"columns": {"x": "x", "y": "y"}, "ranges": {"x": (0.5, 2.5), "y": (0.5, 2.5)}}
        text = draw(chart(kind, frame, **asked), 60, 20, PLAIN)
        assert text.count("●") == 2
        assert files_written(chart(kind, frame, **asked))
    box = draw(chart("box", pl.DataFrame({"y": [1.0, 2.0, 3.0, 90.0]}), ranges={"y": (0, 5)}), 60, 20, PLAIN)
    assert "∘" not in box and "━" in box


def files_written(drawn: Chart) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        files.write(drawn, Path(folder) / "a.svg", (4, 3))
        return (Path(folder) / "a.svg").stat().st_size > 0


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        ([datetime(2024, 5, 17, 10, n, tzinfo=UTC) for n in range(0, 60, 5)], "10:20"),
        ([date(2024, 5, 1 + n) for n in range(12)], "05-05"),
        ([timedelta(minutes=20 * n) for n in range(12)], "1h"),
        ([clock(2 * n) for n in range(12)], "18:00"),
    ],
)
def test_axes_of_times(values: list[Any], mark: str, tmp_path: Path) -> None:
    for kind in ("hist", "lines"):
        drawn = chart(kind, pl.DataFrame({"t": values, "n": range(12)}), columns={"x": "t"})
        text = draw(drawn, 80, 20, PLAIN)
        assert mark in text
        assert ("t (2024" in text) == (drawn.x.kind == "time")
        files.write(drawn, tmp_path / "a.svg", (6, 4))
        assert mark in (tmp_path / "a.svg").read_text() or "<use" in (tmp_path / "a.svg").read_text()


def test_marks_of_moments_differ() -> None:
    begin = datetime(2024, 5, 17, 10, tzinfo=UTC).timestamp()
    for span in (1e-6, 5e-4, 3e-3, 0.1, 3.0):
        marks = [text for _, text in ticks(Axis("t", "time"), scale(begin, begin + span), 6)]
        assert len(set(marks)) == len(marks) > 1


@pytest.mark.parametrize("kind", ["lines", "scatter", "categories", "box"])
def test_pictures_of_all_floats(kind: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for values in ([1e308, -1e308, 0.0], [1e-300, 1.0, 1e300], [5e-324, 1e-323, 1e-322]):
        frame = pl.DataFrame({"x": [1, 2, 3], "y": values})
        for log in (frozenset(), frozenset("y")) if min(values) > 0 else (frozenset(),):
            files.write(chart(kind, frame, columns={"x": "x", "y": "y"}, log=log), tmp_path / "a.svg", (4, 3))
    assert [str(warning.message) for warning in recwarn] == []


def test_legends_of_pictures_lie_beside_what_is_drawn(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    saved = Figure.savefig

    def look(figure: Figure, *args: Any, **options: Any) -> None:
        saved(figure, *args, **options)
        seen.append(figure)

    names = ["a", "b" * 60]
    frame = pl.DataFrame({"x": range(40), "y": RNG.normal(size=40), "h": names * 20})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", look)
        for kind in ("scatter", "lines", "categories", "hist"):
            columns = {"x": "x", "h": "h", "y": "y", "hue": "h"}
            asked = {role: columns[role] for role in (("x", "hue") if kind == "hist" else ("x", "y", "hue"))}
            for rows in (frame, frame.with_columns(pl.col("h").str.slice(0, 1))):
                files.write(chart(kind, rows, columns=asked), tmp_path / "a.png", (8, 5))
                (legend,), (axes,) = seen[-1].legends, seen[-1].axes
                assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_thousands_of_points_and_of_categories() -> None:
    many = pl.DataFrame({"x": np.arange(20_000), "y": np.sin(np.arange(20_000) / 3000), "c": np.arange(20_000) % 700})
    for kind, columns in (
        ("lines", {"x": "x", "y": "y"}),
        ("scatter", {"x": "x", "y": "y"}),
        ("categories", {"x": "c", "y": "y"}),
        ("box", {"x": "c", "y": "y"}),
        ("heatmap", {"x": "c", "y": "c", "z": "y"}),
    ):
        text = draw(chart(kind, many, columns=columns), 80, 24, PLAIN)
        assert max(map(cell_len, text.split("\n"))) <= 80


@pytest.mark.parametrize("kind", ["lines", "scatter", "categories", "box"])
def test_extreme_values(kind: str) -> None:
    for values in ([1e308, -1e308], [5e-324, 1e-323], [0.0, 0.0], [1e16, 1e16 + 2], [-5.0, -4.0]):
        frame = pl.DataFrame({"x": [1, 2], "y": values})
        for log in (frozenset(), frozenset("y")):
            if log and min(values) <= 0:
                continue
            text = draw(chart(kind, frame, columns={"x": "x", "y": "y"}, log=log), 60, 20, PLAIN)
            assert max(map(cell_len, text.split("\n"))) <= 60


def test_names_that_would_touch_the_terminal_are_made_visible() -> None:
    frame = pl.DataFrame({"x": ["\x1b[31mred", "a\nb"], "y": [1.0, 2.0]})
    text = draw(chart("categories", frame, columns={"x": "x", "y": "y"}, labels={"title": "\x07"}), 60, 20, PLAIN)
    assert "\x1b" not in text and "\x07" not in text and r"\x1b[31mred" in text and r"a\nb" in text


# --- Ticks


@given(
    st.floats(-1e300, 1e300, allow_subnormal=False),
    st.floats(1e-280, 1e300, allow_subnormal=False),
    st.integers(2, 20),
)
def test_ticks_ascend_inside_and_say_their_value(low: float, span: float, most: int) -> None:
    high = low + span
    if not high > low or span < abs(low) * 1e-9:
        return
    found = ticks(Axis("x"), scale(low, high), most)
    values = [value for value, _ in found]
    assert values == sorted(set(values)) and len(found) <= most + 2
    assert len({text for _, text in found}) == len(found)
    for value, text in found:
        assert float(text) == pytest.approx(value, rel=1e-6, abs=span * 1e-6)


def test_round_ticks() -> None:
    assert [text for _, text in ticks(Axis("x"), scale(0, 1), 5)] == [
        "0.0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1.0",
    ]
    assert [text for _, text in ticks(Axis("x"), scale(0, 5e-7), 3)] == ["0", "2e-7", "4e-7"]
    assert [text for _, text in ticks(Axis("x"), scale(0, 3e9), 3)] == ["0", "1e9", "2e9", "3e9"]
    log = ticks(Axis("x", log=True), scale(1e-5, 0.1, log=True), 6)
    assert [text for _, text in log] == ["1e-5", "0.0001", "0.001", "0.01", "0.1"]
    assert [text for _, text in ticks(Axis("n", whole=True), scale(0, 2), 8)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("span", "first"),
    [(timedelta(seconds=30), "12:00:00"), (timedelta(hours=8), "12:00"), (timedelta(days=20), "05-"),
     (timedelta(days=400), "2024-"), (timedelta(days=9000), "2025")],
)  # fmt: skip
def test_times_are_round(span: timedelta, first: str) -> None:
    begin = datetime(2024, 5, 17, 12, tzinfo=UTC)
    found = ticks(Axis("at", "time"), scale(begin.timestamp(), (begin + span).timestamp()), 6)
    assert 1 < len(found) <= 8
    assert found[0][1].startswith(first)


# --- Pictures


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_a_picture(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"{kind}.png"
    files.write(chart(kind, labels={"title": "ünï $x_1 数"}, annotate=True), file, (4, 3))
    assert file.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_other_pictures_and_what_is_none(tmp_path: Path) -> None:
    for ending, begin in ((".svg", b"<?xml"), (".pdf", b"%PDF")):
        files.write(chart("lines"), tmp_path / f"a{ending}", (4, 3))
        assert (tmp_path / f"a{ending}").read_bytes().startswith(begin)
    with pytest.raises(ChartError, match="names no kind of picture"):
        files.write(chart("lines"), tmp_path / "a.xyz")
    with pytest.raises(ChartError, match="No such file"):
        files.write(chart("lines"), tmp_path / "nowhere" / "a.png")


def test_a_picture_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "seaborn", None)
    with pytest.raises(ChartError, match=r"pip install 'tui-lab\[draw\]'"):
        files.write(chart("lines"), tmp_path / "a.png")


def test_pictures_of_odd_data(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "t": [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3)],
            "y": [1.0, math.nan, 1e-9],
            "_h": ["_a", "_b", None],
        }
    )
    files.write(
        chart("lines", frame, columns={"x": "t", "y": "y", "hue": "_h"}, log=frozenset("y")),
        tmp_path / "a.png",
    )
    files.write(chart("box", GRID.head(1), columns={"y": "acc"}), tmp_path / "b.png")
    assert SOURCE.name == "grid"


@pytest.mark.parametrize("kind", ["scatter", "box", "hist", "lines", "categories", "heatmap", "pareto"])
@pytest.mark.parametrize("log", [False, True])
def test_values_near_the_ends_of_floats(
    kind: str, log: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The largest, the smallest, all equal, one point, and none that is finite."""
    largest = "1.7976931348623157e308"
    for name, values in {
        "ends": [f"-{largest}", largest, "1e-300", "5e-324", "1e300"],
        "equal": [largest] * 3,
        "one": ["1e-308"],
        "others": ["nan", "inf", "-inf", "1e160"],
    }.items():
        rows = "".join(f"{number % 3},{value},{number}\n" for number, value in enumerate(values))
        (tmp_path / f"{name}.csv").write_text("x,y,w\n" + rows)
        words = ["draw", kind, "--input", str(tmp_path / f"{name}.csv"), "--x-column", "y" if kind == "hist" else "x"]
        words += {"hist": [], "heatmap": ["--y-column", "w", "--z-column", "y"]}.get(kind, ["--y-column", "y"])
        main([*words, *(["--log", "y"] if log else [])])
        said = capfd.readouterr().err
        assert "mistake" not in said and "Warning" not in said, (name, said)


# --- The field


def test_bands_are_areas() -> None:
    frame = pl.DataFrame({"x": [0, 0, 1, 1] * 2, "y": [1.0, 9.0, 3.0, 5.0] * 2, "h": ["a"] * 4 + ["b"] * 4})
    alone: Any = {"columns": {"x": "x", "y": "y"}, "error": "sd"}
    both: Any = {"columns": {"x": "x", "y": "y", "hue": "h"}, "error": "sd"}
    black = Look(ground=mixed(0, 0, 0))
    assert f"\x1b[48;2;{';'.join(map(str, rgb(blend(33, black.ground or 0, 0.25))))}m" in draw(
        chart("lines", frame, **alone), 60, 20, black
    )
    two = draw(chart("lines", frame, **both), 60, 20, black)
    assert "▄" in two or "▅" in two or "▃" in two  # edges in eighths of a cell
    for asked in (alone, both):  # where the ground is not known, as with 16 colours
        sixteen = draw(chart("lines", frame, **asked), 60, 20, Look())
        assert "░" in sixteen and "48;" not in sixteen
    assert ":" in draw(chart("lines", frame, **alone), 60, 20, Look(color=False, ascii=True)).split("\n")[8]


def test_many_points_are_dots_and_many_series_have_dashes() -> None:
    frame = pl.DataFrame({"x": range(60), "y": range(60), "h": [n % 12 for n in range(60)]})
    few, many = (draw(chart("scatter", frame.head(n), columns={"x": "x", "y": "y"}), 60, 20, PLAIN) for n in (40, 60))
    assert few.count("●") > 10 and "●" not in many and re.search("[\u2801-\u28ff]", many)
    looks = {(Look().tint(n), Look().dashes(n)) for n in range(24)}
    assert len(looks) == 24


@given(
    st.floats(-1e308, 1e308), st.floats(1e-290, 1e308), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
def test_places_of_arrays_are_those_of_numbers(low: float, span: float, value: float, log: bool) -> None:
    if log:
        low = max(abs(low), 1e-290)
    on = scale(low, min(low + span, 1e308), log)
    one, many = on(value), float(on.many(np.array([value]))[0])
    assert many == pytest.approx(one, rel=1e-9, abs=1e-12)


def test_learning_curves_are_smoothed_before_what_was_measured(tmp_path: Path) -> None:
    frame = pl.DataFrame({"step": [1, 2, 3, 4] * 2, "loss": [4.0, 0.0, 4.0, 0.0] * 2, "act": ["a"] * 4 + ["b"] * 4})
    asked: Any = {"columns": {"x": "step", "y": "loss", "hue": "act"}, "smooth": 0.5}
    found = chart("steps", frame, **asked)
    raw, mean = (next(one for one in found.series if one.name == "a" and one.faint is faint) for faint in (True, False))
    assert raw.points["y"].to_list() == [4, 0, 4, 0]
    # As W&B has it: each mean is of the values so far, the newer ones with more weight.
    weights = [0.125, 0.25, 0.5, 1]
    assert mean.points["y"][3] == pytest.approx(sum(w * y for w, y in zip(weights, [4, 0, 4, 0], strict=True)) / 1.875)
    assert found.table.height == 8 and "weight 0.5" in found.caption
    text = draw(found, 80, 24, PLAIN)
    assert text.count("● a") == 1 and "weight 0.5" in text
    files.write(found, tmp_path / "a.html", (4, 3))
    page = (tmp_path / "a.html").read_text()
    assert "weight 0.5" in page or "<svg" in page
    assert not re.search(r"(src|href)=[\"']http|<script", page)
    assert chart("lines", frame, **asked).series[0].faint is False
