#!/usr/bin/env python3
"""A mock trainer: pretends to train a neural network, and prints what a real one would.

./main.py NEURONS ACTIVATION PREPROCESSING
"""

import math
import random
import sys


def main() -> None:
    neurons, activation, preprocessing = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    noise = random.Random()
    skill = {"relu": 0.03, "leaky_relu": 0.035, "sigmoid": -0.02, "tanh": 0.0}[activation]
    effort = {"fast": 0.0, "medium": 0.02, "intense": 0.03}[preprocessing]
    size = math.exp(-(((neurons - 31) / 22) ** 2))  # too few neurons learn little, too many learn by heart
    train = min(0.999, 0.70 + 0.12 * size + skill + effort + 0.001 * neurons + noise.gauss(0, 0.01))
    test = min(0.999, 0.66 + 0.18 * size + skill + effort + noise.gauss(0, 0.015))
    print(f"Time to train (ms): {40 + 3.1 * neurons * (1 + 10 * effort) + abs(noise.gauss(0, 8)):.3f}")
    print(f"Time to test (ms): {2 + 0.09 * neurons + abs(noise.gauss(0, 0.4)):.3f}")
    print(f"Train accuracy: {train:.4f}")
    print(f"Test accuracy: {test:.4f}")
    print(f"Final Loss: {-math.log(max(1e-6, test)):.4f}")


if __name__ == "__main__":
    main()
