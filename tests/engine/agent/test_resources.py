"""What an agent gives to tasks: never more than there is, all of it comes back, nobody waits for ever."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tui_lab.engine.agent import resources as module
from tui_lab.engine.agent.resources import CARD, PASSES, Resources, Turn, choose, gpu_share, overtake

GIB = 1 << 30

NEEDS = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.integers(1, 5),
        "memory": st.integers(1, 5).map(lambda n: n * GIB),
        "gpus": st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1, 2, 3]),
        "exclusive": st.just(True),
    },
)


def small(slots: int = 4, cpus: int = 4, memory: int = 4, gpus: tuple[int, ...] = (0, 1)) -> Resources:
    return Resources(slots, cpus, memory * GIB, gpus)


def granted(resources: Resources, needs: dict[str, Any]) -> dict[str, Any]:
    allocation = resources.grant(needs)
    assert allocation is not None
    return allocation


# --- Single answers


def test_a_task_without_needs_takes_a_slot() -> None:
    resources = small(2)
    assert granted(resources, {}) == granted(resources, {}) == {}
    assert resources.grant({}) is None
    resources.release({}, {})
    assert granted(resources, {}) == {}


def test_resources_of_the_cluster_file() -> None:
    node = Resources(4, 4, 4 * GIB, (), {"scope": 2})
    assert node.why_impossible({"scope": 3}) == "needs scope: 3, the node offers 2"
    assert node.why_impossible({"oven": 1}) == "needs oven: 1, the node offers 0"
    granted(node, {"scope": 1, "cpus": 1})
    assert node.grant({"scope": 2}) is None
    granted(node, {"scope": 1})
    node.release({"scope": 1}, {})
    assert node.grant({"scope": 1}) == {}


def test_all_at_once_or_not_at_all() -> None:
    resources = small()
    assert resources.grant({"cpus": 2, "memory": 5 * GIB, "gpus": 1}) is None
    assert (resources.used_slots, resources.used_cpus, resources.used_memory) == (0, 0, 0)
    granted(resources, {"cpus": 4, "gpus": 2})
    assert resources.grant({"cpus": 1}) is None
    assert resources.grant({"gpus": 0.1}) is None
    granted(resources, {"memory": 4 * GIB})


def test_halves_share_a_card_and_whole_ones_take_empty_cards() -> None:
    resources = small()
    assert granted(resources, {"gpus": 0.5})["gpus"] == [0]
    assert resources.grant({"gpus": 2}) is None
    assert granted(resources, {"gpus": 0.5})["gpus"] == [0]
    assert granted(resources, {"gpus": 1})["gpus"] == [1]
    assert resources.grant({"gpus": 0.5}) is None


def test_thirds_make_a_whole_card() -> None:
    resources = small(gpus=(7,))
    third = 1 / 3
    held = [granted(resources, {"gpus": third}) for _ in range(3)]
    assert resources.grant({"gpus": third}) is None
    for allocation in held:
        resources.release({"gpus": third}, allocation)
    assert granted(resources, {"gpus": 1})["gpus"] == [7]


def test_exclusive_is_alone() -> None:
    resources = small()
    other = granted(resources, {})
    assert resources.grant({"exclusive": True}) is None
    resources.release({}, other)
    alone = granted(resources, {"exclusive": True})
    assert resources.grant({}) is None
    assert resources.free == 0
    resources.release({"exclusive": True}, alone)
    granted(resources, {})


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ({}, ""),
        ({"gpus": 2, "cpus": 4, "memory": 4 * GIB, "exclusive": True}, ""),
        ({"gpus": 3}, "needs gpus: 3, the node offers 2"),
        ({"cpus": 5}, "needs cpus: 5, the node offers 4"),
        ({"memory": 16 * GIB}, "needs memory: 16 GiB, the node offers 4 GiB"),
    ],
)
def test_what_never_fits(needs: dict[str, Any], why: str) -> None:
    assert small().why_impossible(needs) == why


def test_half_a_gpu_of_none_and_one_and_a_half() -> None:
    assert small(gpus=()).why_impossible({"gpus": 0.5}) == "needs gpus: 0.5, the node offers 0"
    with pytest.raises(ValueError, match=r"whole number or a part of one, not 1\.5"):
        small().why_impossible({"gpus": 1.5})


def test_less_is_offered_while_tasks_hold_more() -> None:
    resources = small(4)
    for _ in range(4):
        granted(resources, {"cpus": 1})
    resources.resize(2)
    assert resources.free == 0
    resources.release({"cpus": 1}, {})
    resources.release({"cpus": 1}, {})
    assert resources.grant({}) is None, "two run, and two are offered"
    resources.release({"cpus": 1}, {})
    assert granted(resources, {"cpus": 1}) == {}
    resources.resize(6)
    assert resources.free == 4


def test_what_an_earlier_agent_gave_is_taken_into_account() -> None:
    resources = small(2)
    needs = {"gpus": 1, "cpus": 3}
    resources.take(needs, {"gpus": [1]})
    resources.take({}, None)
    resources.take({"gpus": 1}, {"gpus": [7]})  # more than is offered now
    assert resources.free == 0
    resources.release({}, None)
    resources.release({"gpus": 1}, {"gpus": [7]})
    assert resources.grant({"cpus": 2}) is None
    assert granted(resources, {"gpus": 1}) == {"gpus": [0]}
    resources.release(needs, {"gpus": [1]})
    assert resources.used_cpus == 0
    assert granted(resources, {"gpus": 0.5}) == {"gpus": [1]}


# --- Never more than there is, and everything comes back


class Giving(RuleBasedStateMachine):
    """Grants, releases and new sizes in any order."""

    @initialize(slots=st.integers(1, 6), cpus=st.integers(1, 6), memory=st.integers(1, 6), cards=st.integers(0, 3))
    def begin(self, slots: int, cpus: int, memory: int, cards: int) -> None:
        self.resources = Resources(slots, cpus, memory * GIB, range(cards))
        self.held: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @rule(needs=NEEDS)
    def grant(self, needs: dict[str, Any]) -> None:
        room = self.resources.has_room(needs)
        allocation = self.resources.grant(needs)
        assert (allocation is not None) == room
        if allocation is not None:
            assert self.resources.why_impossible(needs) == ""
            assert len(allocation.get("gpus", [])) == (max(1, int(needs["gpus"])) if "gpus" in needs else 0)
            self.held.append((needs, allocation))
            self.no_more_than_offered()

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.held:
            needs, allocation = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            self.resources.release(needs, allocation)

    @rule(slots=st.integers(0, 6))
    def resize(self, slots: int) -> None:
        self.resources.resize(slots)

    @rule()
    def release_all(self) -> None:
        for needs, allocation in self.held:
            self.resources.release(needs, allocation)
        self.held = []
        used = self.resources
        assert (used.used_slots, used.used_cpus, used.used_memory, used.exclusive, used.loads) == (0, 0, 0, 0, {})
        assert self.resources.free == self.resources.slots
        whole = [self.resources.grant({"gpus": 1}) for _ in self.resources.gpus[: self.resources.slots]]
        assert None not in whole
        for granted in whole:
            self.resources.release({"gpus": 1}, granted or {})

    def no_more_than_offered(self) -> None:
        """After a grant, whatever was resized before."""
        offered = self.resources
        assert len(self.held) <= offered.slots
        assert not any("exclusive" in needs for needs, _ in self.held) or len(self.held) == 1
        if "cpus" in self.held[-1][0]:
            assert sum(needs.get("cpus", 0) for needs, _ in self.held) <= offered.cpus
        if "memory" in self.held[-1][0]:
            assert sum(needs.get("memory", 0) for needs, _ in self.held) <= offered.memory

    @invariant()
    def no_card_is_held_twice(self) -> None:
        loads: dict[int, int] = {}
        for needs, allocation in self.held:
            for card in allocation.get("gpus", []):
                loads[card] = loads.get(card, 0) + gpu_share(needs["gpus"])
        assert all(load <= CARD for load in loads.values())


Giving.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_giving_and_taking = Giving.TestCase


# --- Who goes next


@dataclass(eq=False)
class Waiting:
    needs: dict[str, Any]
    times_overtaken: int = 0
    overtaken_at: float | None = None


def waiting(*needs: dict[str, Any]) -> list[Waiting]:
    return [Waiting(one) for one in needs]


def test_the_first_goes_and_the_first_that_fits() -> None:
    resources = small()
    assert choose([], resources, 0.0) is None
    assert choose(waiting({}, {}), resources, 0.0) == 0
    granted(resources, {"cpus": 3})
    assert choose(waiting({"cpus": 2}, {"cpus": 3}, {"cpus": 1}), resources, 0.0) == 2
    assert choose(waiting({"cpus": 2}, {"cpus": 2}), resources, 0.0) is None


def test_one_that_was_overtaken_too_often_keeps_what_it_needs() -> None:
    resources = small()
    granted(resources, {"cpus": 2})
    queue = waiting({"cpus": 4}, {"cpus": 1}, {"gpus": 1}, {})
    assert choose(queue, resources, 0.0) == 1
    for _ in range(PASSES):
        overtake(queue[:1], 0.0)
    assert [task.times_overtaken for task in queue] == [PASSES, 0, 0, 0]
    assert choose(queue, resources, 0.0) == 2, "it takes nothing that the first one waits for"
    granted(resources, {"gpus": 1})
    granted(resources, {})
    assert choose(queue, resources, 0.0) is None, "the last slot is the first one's"


def test_one_turn_lets_several_go() -> None:
    resources = small()
    granted(resources, {"cpus": 2})
    queue = waiting({"cpus": 4}, {"cpus": 1}, {"cpus": 2}, {}, {"exclusive": True}, {"cpus": 1}, {})
    turn = Turn(resources, 0.0)
    allowed = [task.needs for task in queue if turn.allows(task) and granted(resources, task.needs) is not None]
    assert allowed == [{"cpus": 1}, {}, {"cpus": 1}]


def test_one_that_was_overtaken_long_ago_likewise() -> None:
    resources = small()
    granted(resources, {"cpus": 2})
    queue = waiting({"cpus": 4}, {"cpus": 1})
    overtake(queue[:1], 100.0)
    assert choose(queue, resources, 130.0, patience=60.0) == 1
    assert choose(queue, resources, 160.0, patience=60.0) is None


def test_one_that_never_fits_reserves_nothing() -> None:
    queue = waiting({"gpus": 5}, {})
    queue[0].times_overtaken = PASSES
    assert choose(queue, small(), 0.0) == 1


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32), passes=st.integers(0, 5))
def test_nobody_waits_for_ever(seed: int, passes: int) -> None:
    """Tasks keep coming that could overtake one: it waits for those before it and for what runs, no longer."""
    chance = random.Random(seed)
    resources = small(chance.randint(1, 4), chance.randint(1, 4), chance.randint(1, 4))

    def some() -> dict[str, Any]:
        amounts: dict[str, list[Any]] = {
            "cpus": [1, 2, 4],
            "memory": [GIB, 2 * GIB, 4 * GIB],
            "gpus": [0.5, 1, 2],
            "exclusive": [True],
        }
        needs = {name: chance.choice(amounts[name]) for name in amounts if chance.random() < 0.2}
        return needs if not resources.why_impossible(needs) else {}

    queue = waiting(*(some() for _ in range(5)))
    wanted = queue[-1]
    running: list[list[Any]] = []  # task, what it holds, how long it goes on
    waited = 0
    while wanted in queue:
        queue += waiting(*(some() for _ in range(3)))
        while (place := choose(queue, resources, 0.0, passes=passes)) is not None:
            overtake(queue[:place], 0.0)
            task = queue.pop(place)
            running.append([task, granted(resources, task.needs), chance.randint(1, 4)])
        assert running or wanted not in queue, "the node is idle, and somebody waits"
        for one in running:
            one[2] -= 1
        for task, allocation, left in running:
            if not left:
                resources.release(task.needs, allocation)
        running = [one for one in running if one[2]]
        waited += 1
        assert waited < 100


def test_old_pythons_can_run_it() -> None:
    vermin = "import sys, vermin; sys.exit(vermin.main())"
    source = str(Path(str(module.__file__)))
    found = subprocess.run(
        [sys.executable, "-c", vermin, "--target=3.6-", "--no-tips", "--violations", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
