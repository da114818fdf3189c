#!/usr/bin/env python3
"""A mock of a training: its loss falls by epoch, with noise, and goes to infinity where the learning rate is too high.

Each epoch appends a line of JSON to $TUI_LAB_METRICS, so that the curves are seen while it runs.
"""

import json
import math
import os
import random
import sys
import time


def main() -> None:
    rate, width, seed, pause = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    noise = random.Random(f"{rate} {width} {seed}")
    speed = 9 * rate / (0.05 + rate)
    floor = 0.08 + 0.6 / width + 0.04 * abs(math.log10(rate / 0.1))
    accuracy = 0.0
    with open(os.environ.get("TUI_LAB_METRICS", os.devnull), "a", encoding="utf-8") as out:
        for epoch in range(1, 61):
            time.sleep(pause * noise.uniform(0.7, 1.3))
            loss = floor + 2.2 * math.exp(-speed * epoch / 40) + noise.gauss(0, 0.015)
            if rate > 2 and epoch > 6 + noise.randrange(8):
                print("loss is nan", file=sys.stderr)
                raise SystemExit(f"FloatingPointError: the loss is not finite in epoch {epoch}")
            accuracy = 1 / (1 + 0.6 * max(0.01, loss)) + noise.gauss(0, 0.004)
            out.write(json.dumps({"step": epoch, "loss": round(loss, 4), "accuracy": round(accuracy, 4)}) + "\n")
            out.flush()
            print(f"epoch {epoch}/60  loss {loss:.4f}", flush=True)
    print(f"test accuracy: {accuracy:.4f}")


main()
