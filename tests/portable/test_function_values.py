"""Values of stages in files: what a function returned is what a later one gets."""

from __future__ import annotations

import dataclasses
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_lab.portable.function.arguments import arguments
from tui_lab.portable.function.values import ValueProblem, folders, forget, keep, read


@dataclasses.dataclass
class Model:
    weights: Any


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


VALUES: list[tuple[Any, str]] = [
    ({"a": [1, 2.5, None, "text\ud800"], "b": {"c": True}}, "json"),
    (None, "json"),
    (10**50, "json"),
    ((1, 2), "pickle"),
    ({1: "a"}, "pickle"),
    ({"a": (1, 2)}, "pickle"),
    (np.float64(1.5), "pickle"),
    (Model([1]), "pickle"),
    (np.arange(6).reshape(2, 3), "npy"),
    (np.array([{"a": 1}], dtype=object), "pickle"),
]


@pytest.mark.parametrize(("value", "kind"), VALUES, ids=str)
def test_a_value_comes_back_as_it_was(value: Any, kind: str, tmp_path: Path) -> None:
    keep(value, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [f"returned_value.{kind}"]
    found = read(str(tmp_path))
    assert type(found) is type(value)
    assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value
    forget(str(tmp_path))
    assert not [*tmp_path.iterdir()]
    with pytest.raises(ValueProblem, match=r"was not kept in .*; run that stage again"):
        read(str(tmp_path))


def test_what_can_not_be_kept_leaves_nothing(tmp_path: Path) -> None:
    keep([math.nan], str(tmp_path))
    assert math.isnan(read(str(tmp_path))[0])
    forget(str(tmp_path))
    for value in (threading.Lock(), deep()):
        with pytest.raises(ValueProblem, match="can't be pickled: "):
            keep(value, str(tmp_path))
    assert not [*tmp_path.iterdir()]


def test_ready_values_are_passed_as_they_are() -> None:
    model = Model(1)

    def fit(one: int, /, prepare: list[int], *, rest: str = "", **more: Any) -> None: ...

    ready = {"one": model, "rest": None, "other": 3}
    assert arguments(fit, {"prepare": [1]}, ("seed", 1), ready=ready) == (
        [model],
        {"prepare": [1], "rest": None, "other": 3},
    )


def test_the_folders_that_a_stage_collects_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "listing").write_text("folder\tlr\n/a\\tb\\\\n/0\t1\n/c d/1\t2\n")
    assert folders(str(tmp_path / "listing")) == ["/a\tb\\n/0", "/c d/1"]
