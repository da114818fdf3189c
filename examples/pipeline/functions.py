"""The same three steps as functions: what a stage returns is an argument of the next ones."""

from __future__ import annotations

import math
import random
from statistics import fmean

Points = list[tuple[float, float]]


def prepare(points: int, noise: float, seed: int) -> dict[str, Points]:
    """Make a data set: points of a sine with noise, in two halves."""
    generator = random.Random(seed)

    def half() -> Points:
        places = [generator.uniform(-3, 3) for _ in range(points)]
        return [(x, math.sin(x) + generator.gauss(0, noise)) for x in places]

    return {"seen": half(), "unseen": half()}


def fit(prepare: dict[str, Points], degree: int) -> dict[str, object]:
    """Fit a polynomial to the first half, by least squares."""
    powers = range(degree + 1)
    rows = [[sum(x ** (i + j) for x, _ in prepare["seen"]) for j in powers] for i in powers]
    model = solved(rows, [sum(y * x**i for x, y in prepare["seen"]) for i in powers])
    return {"coefficients": model, "error": squared(model, prepare["seen"])}


def check(fit: dict[str, list[float]], prepare: dict[str, Points], on: str) -> dict[str, float]:
    """Return the mean squared error on one of the halves."""
    return {"error": squared(fit["coefficients"], prepare[on])}


def average(check: list[dict[str, float]]) -> dict[str, float]:
    """Average over the repeats: this stage collects."""
    return {"mean_error": fmean(one["error"] for one in check)}


def squared(model: list[float], points: Points) -> float:
    """Return the mean squared error of a polynomial."""
    return fmean((sum(c * x**i for i, c in enumerate(model)) - y) ** 2 for x, y in points)


def solved(rows: list[list[float]], right: list[float]) -> list[float]:
    """Solve a system of linear equations by Gaussian elimination with pivoting."""
    count = len(right)
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    for column in range(count):
        pivot = max(range(column, count), key=lambda place: abs(table[place][column]))
        table[column], table[pivot] = table[pivot], table[column]
        for place in range(count):
            if place != column:
                factor = table[place][column] / table[column][column]
                table[place] = [a - factor * b for a, b in zip(table[place], table[column], strict=True)]
    return [table[place][count] / table[place][place] for place in range(count)]
