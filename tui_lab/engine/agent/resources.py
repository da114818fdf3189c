"""The resources that a node offers, who holds how much, and which of the waiting tasks may start next.

Needs are what a `start` message carries: {"cpus": 2, "memory": BYTES, "gpus": 0.5, "exclusive": True}, each only where
it is asked for; every task takes a slot besides; `among` names the GPUs that it may use, where that is not all. Every
other name is a resource that the cluster file gives nodes, such as {"scope": 1}. An allocation names the GPUs:
{"gpus": [0, 1]}, or is empty."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    # As a message has them; Python 3.6 knows no TypedDict. The engine's types are in tui_lab.protocol.agent.
    Needs = Mapping[str, Any]
    Allocation = dict[str, Any]
    Card = int | str  # its index, or the name of a part

KNOWN = ("cpus", "memory", "gpus", "exclusive", "among")  # needs that are no further resource
CARD = 1000  # parts of a GPU, integers because sums of fractions are inexact
PASSES = 20  # times that a task is overtaken before resources are reserved for it
PATIENCE = 30.0  # seconds after the first of these times, likewise


class Resources:
    """Slots, cores, bytes of memory, GPUs by index, and further resources by name. A task is granted everything that it
    needs, or nothing."""

    def __init__(
        self, slots: int, cpus: int, memory: int, gpus: "Iterable[Card]", further: "Mapping[str, int] | None" = None
    ) -> None:
        self.slots = slots
        self.cpus = cpus
        self.memory = memory
        self.gpus = list(gpus)
        self.further = dict(further or {})
        self.used_slots = 0
        self.used_cpus = 0
        self.used_memory = 0
        self.exclusive = 0  # number of tasks that have the node for themselves
        self.loads = {}  # type: dict[Card, int]  # parts in use, by GPU
        self.used = {}  # type: dict[str, int]  # of further resources

    @property
    def free(self) -> int:
        """The number of slots that are free for a task."""
        return 0 if self.exclusive else max(0, self.slots - self.used_slots)

    def why_impossible(self, needs: "Needs") -> str:
        """Return why a task can never start here, empty where it can.

        Raises ValueError for an impossible amount of GPUs."""
        gpus = needs.get("gpus", 0)
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("gpus must be a whole number or a part of one, not %s" % gpus)
        offered = self._offered(needs)
        if gpus and max(1, gpus) > len(offered):
            granted = " to what its environment grants" if len(offered) < len(self.gpus) else ""
            return "needs gpus: %g, the node offers %d%s" % (gpus, len(offered), granted)
        if needs.get("cpus", 0) > self.cpus:
            return "needs cpus: %d, the node offers %d" % (needs["cpus"], self.cpus)
        if needs.get("memory", 0) > self.memory:
            return "needs memory: %s, the node offers %s" % (format_size(needs["memory"]), format_size(self.memory))
        for name in further(needs):
            if needs[name] > self.further.get(name, 0):
                return "needs %s: %d, the node offers %d" % (name, needs[name], self.further.get(name, 0))
        return ""

    def has_room(self, needs: "Needs", beside: "Needs | None" = None) -> bool:
        """Return whether a task could start now.

        beside: needs of another task, whose wait this one must not make longer."""
        if not self.free or (needs.get("exclusive") and self.used_slots):
            return False
        for name, used, offered in self._amounts(needs):
            if needs.get(name) and used + needs[name] > offered:
                return False
        if needs.get("gpus") and self._cards(needs, self.loads) is None:
            return False
        return beside is None or self._has_room_for_both(needs, beside)

    def _amounts(self, needs: "Needs") -> "list[tuple[str, int, int]]":
        """What a task may take of amounts: name, how much is in use, how much there is."""
        found = [("cpus", self.used_cpus, self.cpus), ("memory", self.used_memory, self.memory)]
        return found + [(name, self.used.get(name, 0), self.further.get(name, 0)) for name in further(needs)]

    def _has_room_for_both(self, needs: "Needs", other: "Needs") -> bool:
        """Whether there is enough, of everything that both take, for both of them beside what is in use."""
        if needs.get("exclusive") or other.get("exclusive") or self.free < 2:
            return False
        for name, used, offered in self._amounts(needs):
            if needs.get(name) and other.get(name) and used + needs[name] + other[name] > offered:
                return False
        if needs.get("gpus") and other.get("gpus"):
            loads = dict(self.loads)
            for card in self._cards(needs, loads) or ():
                loads[card] = loads.get(card, 0) + gpu_share(needs["gpus"])
            return self._cards(other, loads) is not None
        return True

    def _offered(self, needs: "Needs") -> "list[Card]":
        """The GPUs that a task may use at all."""
        among = needs.get("among")
        return self.gpus if among is None else [card for card in self.gpus if card in among]

    def _cards(self, needs: "Needs", loads: "dict[Card, int]") -> "list[Card] | None":
        """The GPUs to take: whole ones are empty; for a part of one, the fullest with room."""
        gpus = needs["gpus"]
        if gpus >= 1:
            empty = [card for card in self._offered(needs) if not loads.get(card)]
            return empty[: int(gpus)] if len(empty) >= gpus else None
        fitting = [card for card in self._offered(needs) if loads.get(card, 0) + gpu_share(gpus) <= CARD]
        fitting.sort(key=lambda card: -loads.get(card, 0))
        return fitting[:1] or None

    def grant(self, needs: "Needs") -> "Allocation | None":
        """Return what a task is granted, None where there is no room for all of it now."""
        if not self.has_room(needs):
            return None
        allocation = {"gpus": self._cards(needs, self.loads)} if needs.get("gpus") else {}
        self.take(needs, allocation)
        return allocation

    def take(self, needs: "Needs", allocation: "Allocation | None") -> None:
        """Count what a task holds already, even beyond what is offered: an earlier agent has started it."""
        self._change(needs, allocation, 1)

    def release(self, needs: "Needs", allocation: "Allocation | None") -> None:
        """Take back what `grant` gave."""
        self._change(needs, allocation, -1)

    def _change(self, needs: "Needs", allocation: "Allocation | None", sign: int) -> None:
        self.used_slots += sign
        self.used_cpus += sign * needs.get("cpus", 0)
        self.used_memory += sign * needs.get("memory", 0)
        self.exclusive += sign * bool(needs.get("exclusive"))
        for name in further(needs):
            self.used[name] = self.used.get(name, 0) + sign * needs[name]
        for card in (allocation or {}).get("gpus") or ():
            load = self.loads.get(card, 0) + sign * gpu_share(needs.get("gpus", 0))
            self.loads.pop(card, None)
            if load > 0:
                self.loads[card] = load

    def resize(self, slots: int) -> None:
        """Offer another number of slots from now on; tasks keep the slots that they hold."""
        self.slots = slots


class Turn:
    """One pass over the waiting tasks, in their order, while nothing is released: which of them may start.

    The first that fits may. But behind a task that was overtaken too often, or for too long, only those may that don't
    make it wait longer. Tasks have `needs`, `times_overtaken` and `overtaken_at` (monotonic seconds of the first time,
    or None); see `overtake`."""

    def __init__(self, resources: Resources, now: float, passes: int = PASSES, patience: float = PATIENCE) -> None:
        self.resources = resources
        self.now = now
        self.passes = passes
        self.patience = patience
        self.reserved = None  # type: Needs | None
        self.refused = set()  # type: set[Any]
        self.last = None  # type: Needs | None

    def allows(self, task: "Any") -> bool:
        """Return whether this task, the next in the queue, may start now."""
        needs = task.needs
        if needs != self.last:  # most queues hold many equal ones
            kind = tuple(sorted(needs.items()))
            if kind not in self.refused and self.resources.has_room(needs, self.reserved):
                return True
            self.refused.add(kind)
            self.last = needs
        late = task.times_overtaken >= self.passes or (
            task.overtaken_at is not None and self.now - task.overtaken_at >= self.patience
        )
        if late and self.reserved is None and not self.resources.why_impossible(needs):
            self.reserved = needs
        return False


def choose(
    queue: "Iterable[Any]", resources: Resources, now: float, passes: int = PASSES, patience: float = PATIENCE
) -> "int | None":
    """Return the index in the queue of the task to start next, None where none may start. Nothing is changed."""
    turn = Turn(resources, now, passes, patience)
    if resources.free:
        for place, task in enumerate(queue):
            if turn.allows(task):
                return place
    return None


def overtake(waiting: "Iterable[Any]", now: float) -> None:
    """Note in these tasks that one behind them is started first."""
    for task in waiting:
        task.times_overtaken += 1
        if task.overtaken_at is None:
            task.overtaken_at = now


def further(needs: "Needs") -> "list[str]":
    """Return the names of needs that are resources of the cluster file."""
    return [name for name in needs if name not in KNOWN] if len(needs) else []


def gpu_share(gpus: float) -> int:
    """Return how much of each of its cards a task takes, in thousandths."""
    return max(1, min(CARD, round(gpus * CARD))) if gpus else 0


def format_size(count: float) -> str:
    """Return a number of bytes as text, as 1.5 GiB."""
    power = 0
    while count >= 1024 and power < 4:
        count /= 1024.0
        power += 1
    return "%.4g %s" % (count, ("B", "KiB", "MiB", "GiB", "TiB")[power])
