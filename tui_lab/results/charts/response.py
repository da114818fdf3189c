"""Response surfaces: a polynomial of two variables, fitted to measured points by least squares.

The second-order model of response surface methodology (Box and Wilson, 1951; Myers, Montgomery and Anderson-Cook,
"Response Surface Methodology", chapter 6), in coded variables u and v that go from -1 to 1 over the measured points, of
the logarithm where an axis is logarithmic:

    z = b0 + b1 u + b2 v + b12 u v + b11 u^2 + b22 v^2

A square needs three different values of its variable. Where the points don't determine all terms, there are fewer.

R^2 = 1 - SSE / SST, the sums of squares around the surface and around the mean, each point with its weight;
adjusted R^2 = 1 - (1 - R^2) (m - 1) / (m - p), for m points and p terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Powers = tuple[tuple[int, int], ...]
_PLANE: Final[Powers] = ((0, 0), (1, 0), (0, 1))
_BILINEAR: Final[Powers] = (*_PLANE, (1, 1))
_SQUARES: Final[Powers] = ((2, 0), (0, 2))
_STEPS: Final = 201
"""Places along each variable at which the best one is looked for."""


class NoSurface(Exception):  # noqa: N818 (it says what happened)
    """The points determine no surface; the text says why."""


@dataclass(frozen=True)
class Coding:
    """From the values of a variable to -1 for the least, and to 1 for the greatest."""

    low: float
    high: float
    log: bool

    def __call__(self, values: Any) -> Any:
        """Return the coded values of an array; NaN for what has no logarithm."""
        with np.errstate(all="ignore"):
            return 2 * (self._measured(values) - self.low) / (self.high - self.low) - 1

    def _measured(self, values: Any) -> Any:
        numbers = np.asarray(values, dtype=np.float64)
        return np.log10(np.where(numbers > 0, numbers, np.nan)) if self.log else numbers

    def values(self, coded: Any) -> Any:
        """Return what is coded so."""
        measured = self.low + (np.asarray(coded) + 1) / 2 * (self.high - self.low)
        return 10**measured if self.log else measured


@dataclass(frozen=True)
class Response:
    """A fitted surface."""

    x: Coding
    y: Coding
    powers: Powers
    """Of u and v, for each term."""
    factors: tuple[float, ...]
    """Of the terms."""
    corners: tuple[tuple[float, float], ...]
    """Of the convex hull of the points, coded and counterclockwise: nothing is known beyond it."""
    points: int
    r2: float | None
    """None where all values are equal."""

    @property
    def exact(self) -> bool:
        """Whether it goes through all points because there are as many as terms."""
        return self.points <= len(self.powers)

    @property
    def adjusted(self) -> float | None:
        """The adjusted R^2."""
        if self.r2 is None or self.exact:
            return None
        return 1 - (1 - self.r2) * (self.points - 1) / (self.points - len(self.powers))

    @property
    def name(self) -> str:
        """What kind of surface it is."""
        if any(power in self.powers for power in _SQUARES):
            return "quadratic surface"
        return "bilinear surface" if (1, 1) in self.powers else "plane"

    def __call__(self, x: Any, y: Any) -> Any:
        """Return the values at places, which are broadcast against each other; NaN beyond the measured points."""
        u, v = np.broadcast_arrays(self.x(x), self.y(y))
        return np.where(self._inside(u, v), self._coded(u, v), np.nan)

    def best(self, least: bool) -> tuple[float, float, float]:
        """Return the place and the value of the greatest, or the least, among the measured points."""
        steps = np.linspace(-1, 1, _STEPS)
        u, v = np.meshgrid(steps, steps)
        z = np.where(self._inside(u, v), self._coded(u, v), np.nan)
        at = np.nanargmin(z) if least else np.nanargmax(z)
        return float(self.x.values(u.flat[at])), float(self.y.values(v.flat[at])), float(z.flat[at])

    def _coded(self, u: Any, v: Any) -> Any:
        return sum(factor * u**a * v**b for factor, (a, b) in zip(self.factors, self.powers, strict=True))

    def _inside(self, u: Any, v: Any) -> Any:
        inside = np.isfinite(u) & np.isfinite(v)
        for (a, b), (c, d) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            inside &= (c - a) * (v - b) - (d - b) * (u - a) >= -1e-9
        return inside


def fit(xs: Any, ys: Any, zs: Any, weights: Any, x_log: bool, y_log: bool) -> Response:
    """Return the surface of points; weights: how much each counts. Raises NoSurface."""
    x, y = _coding(xs, x_log, "x"), _coding(ys, y_log, "y")
    u, v = x(xs), y(ys)
    corners = hull(np.stack([u, v], axis=1))
    if len(corners) < 3:
        raise NoSurface("its points are on one line: three that are not determine a plane")
    most = float(np.abs(zs).max()) or 1.0
    z, root = zs / most, np.sqrt(weights)
    powers = next(one for one in _candidates(u, v) if _determined(u, v, one))
    terms = _terms(u, v, powers)
    factors, *_ = np.linalg.lstsq(terms * root[:, None], z * root, rcond=None)
    off = float((weights * (z - terms @ factors) ** 2).sum())
    around = float((weights * (z - np.average(z, weights=weights)) ** 2).sum())
    r2 = None if around <= 1e-24 * weights.sum() else 1 - off / around
    return Response(x, y, powers, tuple((factors * most).tolist()), corners, len(z), r2)


def _coding(values: Any, log: bool, which: str) -> Coding:
    measured = np.log10(values) if log else np.asarray(values)
    low, high = float(measured.min()), float(measured.max())
    if not low < high:
        raise NoSurface(f"there is one value along {which}")
    if not 1e-290 < high - low < 1e290:
        raise NoSurface(f"the values along {which} are too near to each other, or too far from each other")
    return Coding(low, high, log)


def _candidates(u: Any, v: Any) -> list[Powers]:
    squares = tuple(power for power, one in zip(_SQUARES, (u, v), strict=True) if len(np.unique(one)) > 2)
    return [(*_BILINEAR, *squares), (*_PLANE, *squares), _BILINEAR, _PLANE]


def _terms(u: Any, v: Any, powers: Powers) -> Any:
    return np.stack([u**a * v**b for a, b in powers], axis=1)


def _determined(u: Any, v: Any, powers: Powers) -> bool:
    return bool(np.linalg.matrix_rank(_terms(u, v, powers), tol=1e-9 * np.sqrt(len(u))) == len(powers))


def hull(points: Any) -> tuple[tuple[float, float], ...]:
    """Return the corners of the convex hull of places, counterclockwise (Andrew's monotone chain)."""
    places = sorted({(float(x), float(y)) for x, y in points})
    return (*_chain(places)[:-1], *_chain(places[::-1])[:-1])


def _chain(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for x, y in places:
        while len(found) > 1:
            (a, b), (c, d) = found[-2:]
            if (c - a) * (y - b) - (d - b) * (x - a) > 1e-12:
                break
            found.pop()
        found.append((x, y))
    return found
