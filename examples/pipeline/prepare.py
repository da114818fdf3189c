"""Makes a data set: points of a sine with noise, in two halves."""

import argparse
import csv
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--points", type=int, default=20)
parser.add_argument("--noise", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

generator = random.Random(args.seed)
with open(args.file, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["half", "x", "y"])
    for half in ("seen", "unseen"):
        for _ in range(args.points):
            x = generator.uniform(-3, 3)
            writer.writerow([half, x, math.sin(x) + generator.gauss(0, args.noise)])
