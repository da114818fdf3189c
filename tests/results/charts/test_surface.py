"""Response surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.response import fit, hull
from tui_lab.results.charts.terminal.draw import draw
from tui_lab.results.charts.terminal.style import Look

RNG = np.random.default_rng(1)
FRAME = pl.DataFrame({"lr": 10 ** RNG.uniform(-4, 0, 40), "width": RNG.uniform(16, 256, 40)}).with_columns(
    acc=0.9 - 0.05 * (pl.col("lr").log10() + 2) ** 2 - 1e-5 * (pl.col("width") - 150) ** 2
)


def surface(frame: pl.DataFrame = FRAME, **asked: Any) -> Chart:
    return make(Request("surface", log=None, **asked), Source(frame, ("lr", "width"), ("acc",), "grid"))


def test_a_random_sweep_has_the_surface_that_made_it() -> None:
    chart = surface()
    assert chart.x.log and not chart.y.log and chart.fitted is not None
    assert chart.fitted.r2 == pytest.approx(1) and chart.fitted.name == "quadratic surface"
    assert float(chart.fitted(0.01, 150)) == pytest.approx(0.9)
    measured, best, fitted = chart.series
    assert measured.points.height == 40 and best.points["z"][0] == FRAME["acc"].max()
    assert fitted.points["x"][0] == pytest.approx(0.01, rel=0.05)
    assert fitted.points["y"][0] == pytest.approx(150, abs=2)
    assert fitted.name == "best fitted 0.9 (0.00955, 150)" or fitted.name.startswith("best fitted 0.9 (")
    assert "R² 1.00, adjusted 1.00" in chart.caption
    assert chart.notes == ("acc has no goal, so more is taken to be better",)
    assert chart.table.columns == ["lr", "width", "acc", "fitted", "n"]
    least = surface(goals={"acc": "min"})
    assert least.series[1].points["z"][0] == FRAME["acc"].min() and least.notes == ()


def test_noise_lowers_r2_as_numpy_has_it() -> None:
    noisy = FRAME.with_columns(acc=pl.col("acc") + pl.Series(RNG.normal(0, 0.05, 40)))
    twice = pl.concat([noisy, noisy.with_columns(acc=pl.col("acc") + 0.02)])  # repeats count as means of two
    fitted = surface(twice).fitted
    assert fitted is not None and fitted.points == 40 and fitted.r2 is not None
    u, v = np.log10(noisy["lr"].to_numpy()), noisy["width"].to_numpy()
    terms = np.stack([np.ones(40), u, v, u * v, u**2, v**2], axis=1)
    z = noisy["acc"].to_numpy() + 0.01
    off = z - terms @ np.linalg.lstsq(terms, z, rcond=None)[0]
    r2 = 1 - (off**2).sum() / ((z - z.mean()) ** 2).sum()
    assert fitted.r2 == pytest.approx(r2) and 0 < r2 < 0.99
    assert fitted.adjusted == pytest.approx(1 - (1 - r2) * 39 / 34)


@pytest.mark.parametrize(
    ("xs", "ys", "name", "exact"),
    [
        ([0, 0, 1, 1], [0, 1, 0, 1], "bilinear surface", True),
        ([0, 0, 1], [0, 1, 0], "plane", True),
        ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], "quadratic surface", False),
    ],
)
def test_few_values_give_fewer_terms(xs: list[int], ys: list[int], name: str, exact: bool) -> None:
    frame = pl.DataFrame({"lr": xs, "width": ys, "acc": [1.0 + x + 2 * y for x, y in zip(xs, ys, strict=True)]})
    chart = surface(frame)
    assert chart.fitted is not None and (chart.fitted.name, chart.fitted.exact) == (name, exact)
    assert ("exact" in chart.caption) == exact and name in chart.caption
    assert chart.table["width"].to_list() == sorted(ys) and chart.table["width"].dtype == pl.Int64


def test_what_has_no_surface_is_said() -> None:
    with pytest.raises(ChartError, match="no surface over lr and width: there is one value along y"):
        surface(pl.DataFrame({"lr": [1, 2, 3], "width": [1, 1, 1], "acc": [1.0, 2.0, 3.0]}))
    with pytest.raises(ChartError, match="on one line"):
        surface(pl.DataFrame({"lr": [1, 2, 3], "width": [1, 2, 3], "acc": [1.0, 2.0, 3.0]}))
    with pytest.raises(ChartError, match="two parameters that are numbers"):
        make(Request("surface"), Source(FRAME, ("lr",), ("acc",), "grid"))
    equal = surface(FRAME.with_columns(acc=0.5))
    assert "all values are equal" in equal.caption and draw(equal, 80, 24, Look())


def test_a_surface_beyond_its_points_is_noted() -> None:
    frame = pl.DataFrame({"lr": [0.01, 0.1, 1.0] * 2, "width": [16] * 3 + [64] * 3, "acc": [0.8, 0.93, 0.91] * 2})
    straight = make(Request("surface", goals={"acc": "max"}), Source(frame, ("lr", "width"), ("acc",), "grid"))
    assert straight.notes == (
        "the best of the surface is better than all that was measured: measure there before you rely on it",
    )
    assert surface(frame, goals={"acc": "max"}).notes == ()  # with a logarithmic axis


def test_it_is_drawn_where_something_was_measured() -> None:
    corner = FRAME.filter(pl.col("width") > 60 * (pl.col("lr").log10() + 3))
    chart = surface(corner, goals={"acc": "max"})
    assert chart.fitted is not None and np.isnan(chart.fitted(0.9, 20))
    for look in (Look(color=False), Look(color=False, ascii=True)):
        lines = draw(chart, 80, 24, look).splitlines()
        assert "0.8" in "".join(lines[:18])  # a line has its value
        mark = look.mark(0)
        assert any(line.startswith(f"{mark} measured  {look.mark(3)} best measured") for line in lines)
        assert "acc from" in lines[-3] or "acc from" in lines[-4]
        right = [line[64:] for line in lines[10:17]]
        assert not any(part.strip() for part in right)
    shaded = draw(chart, 80, 24, Look())
    assert shaded.count("\x1b[48;5;") > 50


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30, unique=True))
def test_points_are_inside_of_their_hull(points: list[tuple[int, int]]) -> None:
    corners = hull(np.array(points, dtype=float))
    if len(corners) < 3:
        return
    xs, ys = np.array(points, dtype=float).T
    fitted = fit(xs, ys, xs + 2 * ys, np.ones(len(xs)), False, False)
    np.testing.assert_allclose(fitted(xs, ys), xs + 2 * ys, atol=1e-9)
    assert np.isnan(fitted(-6.0, 0.0)) and np.isnan(fitted(0.0, 6.0))
