"""Fits a polynomial to the first half of a data set, by least squares."""

import argparse
import csv
import json


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


parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--degree", type=int, default=1)
parser.add_argument("--out", required=True)
args = parser.parse_args()

with open(args.file, newline="") as file:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file) if row["half"] == "seen"]
powers = range(args.degree + 1)
moments = [[sum(x ** (i + j) for x, _ in points) for j in powers] for i in powers]
model = solved(moments, [sum(y * x**i for x, y in points) for i in powers])
error = sum((sum(c * x**i for i, c in enumerate(model)) - y) ** 2 for x, y in points) / len(points)
with open(args.out, "w") as file:
    json.dump({"coefficients": model, "error": error}, file)
