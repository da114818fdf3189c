"""From the parameters of a task to a call, and from what it returns to results: as it happens in the task's process."""

from __future__ import annotations

import dataclasses
import enum
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from tui_lab.portable.function.arguments import arguments
from tui_lab.portable.function.kinds import Misfit
from tui_lab.portable.function.main import Loaded, call_function
from tui_lab.portable.function.returned import sorted_out


class Color(enum.Enum):
    RED = "r"
    BLUE = 2
    AZURE = 2  # noqa: PIE796 (an alias)


@dataclasses.dataclass
class Adam:
    lr: float
    betas: tuple[float, float] = (0.9, 0.99)


@dataclasses.dataclass
class Sgd:
    momentum: float


def everything(
    n: int,
    rate: float = 1,
    color: Color = Color.RED,
    opt: Adam | Sgd | None = None,
    hidden: list[int] | None = None,
    mode: Literal["fast", 3] = "fast",
    place: Path = Path(),
    seed: int = 0,
    **rest: Any,
) -> None: ...


def called(function: Any, **parameters: Any) -> dict[str, Any]:
    positional, named = arguments(function, {k.replace("__", "."): v for k, v in parameters.items()}, ("seed", 7))
    return named if not positional else {"": positional, **named}


def test_values_become_what_the_annotations_say() -> None:
    given = {"n": 3.0, "rate": 2, "color": 2, "hidden": [64, 64], "mode": 3, "place": "a/b", "more": [1]}
    found = called(everything, opt__lr=1, opt__betas=[0, 1], **given)
    wanted = {"n": 3, "rate": 2.0, "color": Color.BLUE, "hidden": [64, 64], "mode": 3, "place": Path("a/b"), "seed": 7}
    assert found == wanted | {"opt": Adam(1.0, (0.0, 1.0)), "more": [1]}
    assert called(everything, n=1, opt__lr=None, opt__momentum=0.5, color="RED", seed=9)["opt"] == Sgd(0.5)
    assert called(everything, n=1, color="AZURE", seed=9)["color"] is Color.BLUE
    assert called(everything, n=1, opt=None, seed=9) == {"n": 1, "seed": 9}
    assert called(lambda cfg: None, a__b=1, c=2) == {"": [{"a": {"b": 1}, "c": 2}]}
    assert called(lambda a=1, b=2, /, c=3: None, b=5) == {"": [1, 5]}
    assert called(max, a=1) == {"a": 1}  # C code that does not tell


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "nothing gives the argument n, which has no default"),
        ({"n": "many"}, 'n: "many" is not a whole number'),
        ({"n": True}, "n: true is not a whole number"),
        ({"n": 1, "hidden": 64}, "hidden: 64 is not a list or null"),
        ({"n": 1, "mode": "3"}, 'mode: "3" is not one of "fast", 3'),
        ({"n": 1, "color": "GREEN"}, 'color: "GREEN" is not one of RED, BLUE, AZURE'),
        ({"n": 1, "opt": {"speed": 1}}, 'opt: {"speed": 1} is not Adam (lr, betas) or Sgd (momentum) or null'),
    ],
)
def test_other_values_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(Misfit) as raised:
        called(everything, **given)
    assert str(raised.value) == why
    with pytest.raises(Misfit, match="there is no argument b; it takes a"):
        called(lambda a: None, a=1, b=2)


class Pair(NamedTuple):
    acc: float
    loss: float


def test_what_is_returned_is_sorted_out() -> None:
    assert sorted_out(0.5).metrics == {"result": 0.5}
    assert sorted_out(None).metrics == {}
    assert sorted_out(Pair(0.5, math.inf)).metrics == {"acc": 0.5, "loss": math.inf}
    numbers = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.array(2.0), "e": {"f": Color.RED}}
    assert sorted_out(numbers).metrics == {"a": 0.5, "b": 3, "c": True, "d": 2.0, "e.f": "r"}
    assert math.isnan(sorted_out({"a": math.nan}).metrics["a"])
    assert sorted_out([{"a": 1}, Pair(1, 2)]).rows == {"result": [{"a": 1}, {"acc": 1, "loss": 2}]}
    found = sorted_out({"loss": np.array([3.0, 2.0]), "epoch": (1, 2), "acc": 1, "rows": [{"a": 1}], "m": [[1], [2]]})
    assert found.steps == [{"loss": 3.0, "epoch": 1}, {"loss": 2.0, "epoch": 2}]
    assert (found.metrics, found.rows) == ({"acc": 1, "m": [[1], [2]]}, {"rows": [{"a": 1}]})
    lost = sorted_out({"model": object(), "a b": 1, "loss": [1], "acc": [1, 2], "x": Path("p")})
    assert lost.not_kept == {"model": "object", "a b": "no name of a metric"}
    assert lost.metrics == {"loss": [1], "acc": [1, 2], "x": "p"}


class Awkward:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_what_cannot_be_kept_fails_no_task() -> None:
    within: list[object] = []
    within.append(within)
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    odd = {"w": within, "h": 10**5000, "o": Awkward(), "s": [Awkward()], "deep": deep, "k": 1}
    found = sorted_out(odd)
    assert found.metrics == {"k": 1}
    assert [name for name in ("w", "h", "o", "s") if name not in found.not_kept] == []
    assert any(name.startswith("deep.a") for name in found.not_kept)
    found = sorted_out({"x.y": 3, "x": {"y": 4}})
    assert (found.metrics, found.not_kept) == ({"x.y": 3}, {"x.y": "the second of that name"})


def test_what_has_not_run_is_no_result() -> None:
    def rows() -> Any:
        yield {"a": 1}

    async def fit() -> float:
        return 1.0

    for function, kind in ((rows, "generator"), (fit, "coroutine")):
        with pytest.raises(TypeError, match=f"f returned a {kind}, and nothing of it has run"):
            call_function(Loaded(None, function), {}, {"seed": 1}, {}, "f", {})


def test_random_numbers_are_seeded_also_those_of_what_is_imported_later() -> None:
    code = "from tui_lab.portable.function.seeding import seed_all; import random, sys\nseed_all(5)\n"
    code += "assert 'numpy' not in sys.modules\nimport numpy\nprint(random.random(), numpy.random.rand())"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    random.seed(5)
    assert printed.split() == [str(random.random()), str(np.random.RandomState(5).rand())]
