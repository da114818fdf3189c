"""Prints the mean squared error of a fit, on the half of the data that it has seen, or on the other one."""

import argparse
import csv
import json

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("data")
parser.add_argument("--on", choices=["seen", "unseen"], default="unseen")
args = parser.parse_args()

with open(args.model) as file:
    model = json.load(file)["coefficients"]
with open(args.data, newline="") as file:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file) if row["half"] == args.on]
errors = [(sum(c * x**i for i, c in enumerate(model)) - y) ** 2 for x, y in points]
print("error:", sum(errors) / len(errors))
