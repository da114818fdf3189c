"""What a lease asks of Ray, by its key and by what tasks need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tui_lab.engine.transports.ray import amounts
from tui_lab.engine.transports.supply import Limits, Request

GIB = 1 << 30
SMALL = {"CPU": 2.0, "memory": 4.0 * GIB, "node:192.0.2.1": 1.0, "object_store_memory": 9.0}
CARDS = {"CPU": 4.0, "GPU": 2.0, "memory": 8.0 * GIB, "disk": 3.0, "accelerator_type:A100": 1.0}


def wanted(slots: int, needs: dict[str, float], **settings: Any) -> dict[str, float]:
    return amounts.wanted(settings, Request("n", "s", slots, 600.0, needs=needs), [SMALL, CARDS])


@pytest.mark.parametrize(
    ("slots", "needs", "settings", "found"),
    [
        (1, {}, {}, {"CPU": 1}),
        (2, {"cpus": 1, "gpus": 0.5, "memory": GIB}, {}, {"CPU": 2, "GPU": 1, "memory": 2 * GIB}),
        (2, {"gpus": 0.75}, {}, {"CPU": 2, "GPU": 2}),  # above 1, Ray has whole cards only
        (4, {"tape": 1}, {"num_cpus": 0.5, "resources": {"disk": "tape"}}, {"CPU": 0.5, "disk": 4}),
        (2, {"disk": 1, "scope": 1}, {}, {"CPU": 2, "disk": 2}),  # by its own name; Ray knows no scope
        (2, {"disk": 1}, {"resources": {"disk": 3}}, {"CPU": 2, "disk": 3}),
        (1, {"cpus": 3}, {"num_cpus": 0, "num_gpus": 0.5, "memory": GIB}, {"GPU": 0.5, "memory": GIB}),
        # Tasks need more than there is: as much as there is, of the node that has most of it.
        (1, {"cpus": 64}, {}, {"CPU": 4}),
        (1, {"cpus": 64, "gpus": 1}, {}, {"CPU": 4, "GPU": 1}),
        (1, {"cpus": 2, "memory": 64 * GIB}, {}, {"CPU": 2, "memory": 8 * GIB}),
        # What is written is asked for as it is.
        (1, {}, {"num_cpus": 64}, {"CPU": 64}),
        (1, {"cpus": 64}, {"resources": {"tape": 1}}, {"CPU": 64, "tape": 1}),
    ],
)
def test_what_is_asked_for(slots: int, needs: dict[str, float], settings: Any, found: dict[str, float]) -> None:
    assert wanted(slots, needs, **settings) == found


def test_options_and_offers() -> None:
    found = {"CPU": 2.0, "GPU": 1.0, "memory": 1.0 * GIB, "disk": 1.0}
    assert amounts.options(found) == {"num_cpus": 2, "num_gpus": 1, "memory": GIB, "resources": {"disk": 1}}
    assert amounts.options({"GPU": 0.5}) == {"num_cpus": 0, "num_gpus": 0.5}
    assert amounts.offers(found, 4) == f"cpus=4 memory={GIB}"
    assert amounts.offers({"CPU": 0.5}, 1) == "cpus=1"


def test_limits_and_what_may_join() -> None:
    config = SimpleNamespace(
        node_group_configs=[
            SimpleNamespace(resources={"CPU": 96, "GPU": 8}, max_count=4),
            SimpleNamespace(resources={"CPU": 512}, max_count=0),
        ]
    )
    dead = {"Alive": False, "Resources": {"CPU": 1000.0}}
    shapes = amounts.shapes_of([{"Alive": True, "Resources": SMALL}, dead], config)
    assert amounts.limits(shapes) == Limits(cpus=96, memory=4 * GIB, gpus=8, custom={})
    assert amounts.limits([SMALL, CARDS]) == Limits(cpus=4, memory=8 * GIB, gpus=2, custom={"disk": 3})
    assert amounts.limits([]) == Limits() == amounts.limits([{"memory": 1.0}])


@pytest.mark.parametrize(
    ("asked", "why", "never"),
    [
        ({"CPU": 4}, "Ray has 2 nodes, and none has room", False),
        ({"CPU": 64}, "it asks for num_cpus: 64, and no node of Ray has more than 4", True),
        ({"tape": 1}, "it asks for tape: 1, and no node of Ray has more than 0", True),
    ],
)
def test_why_a_lease_waits(asked: dict[str, float], why: str, never: bool) -> None:
    assert amounts.why_pending(asked, [SMALL, CARDS]) == (why, never)


def test_why_a_lease_waits_that_only_several_nodes_could_have() -> None:
    said = "it asks for num_cpus: 4, tape: 1, and no node of Ray has all of it"
    assert amounts.why_pending({"CPU": 4, "tape": 1}, [{"CPU": 4}, {"tape": 1}]) == (said, True)
    assert amounts.why_pending({"CPU": 4}, []) == ("Ray has no node", False)
