"""Three functions, as experiment_runner calls them: what each returns goes to the next."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Points = list[tuple[float, float]]
Model = Callable[[float], float]


def pre(cfg: dict[str, Any]) -> Points:
    assert json.loads(Path(cfg["out_path"], "config.json").read_text())["model"] == cfg["model"]
    return [(x, 3 * x + random.gauss(0, cfg["data"]["noise"])) for x in range(cfg["data"]["n"])]


def fit(cfg: dict[str, Any], data: Points) -> tuple[Points, Model]:
    if cfg["model"] == "mean":
        mean = sum(y for _, y in data) / len(data)
        return data, lambda x: mean
    slope = sum(x * y for x, y in data) / sum(x * x for x, _ in data)
    return data, lambda x: slope * x


def post(cfg: dict[str, Any], returned_by_fit: tuple[Points, Model]) -> dict[str, float]:
    data, model = returned_by_fit
    return {"error": sum((y - model(x)) ** 2 for x, y in data) / len(data), "experiment": cfg["experiment_id"]}
