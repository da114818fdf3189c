"""What an engine is told all the time: how busy the node is, and what running tasks log."""

from tui_lab.engine.agent.collect import fresh_metrics
from tui_lab.engine.agent.facts import load, memory_facts
from tui_lab.engine.agent.link import UNSENT_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST = 0.2  # seconds until the first sample
LIVE_EVERY = 1.0  # seconds between looks at live metrics


class Watching:
    """While an engine is connected."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.every = 0.0  # seconds between samples, 0 for none
        self.sampling: Any = []  # its timer
        self.looking = False
        self.live: Any = []  # its timer

    def begin(self, every: float) -> None:
        """For a new connection: it has been told nothing yet."""
        self.every = every
        self.agent.timers.cancel(self.sampling)
        if every:
            self.sampling.append(self.agent.timers.after(min(every, FIRST), self.sample))
        for attempt in self.agent.attempts.values():
            attempt.metrics_told = 0
        self.follow_live()

    def sample(self) -> None:
        del self.sampling[:]
        if self.agent.link.greeted:
            self.sampling.append(self.agent.timers.after(self.every, self.sample))
            if self.looking:
                return  # `nvidia-smi` has not answered the last time
            if self.agent.gpus.known:
                self.looking = True
                self.agent.gpus.look(self.send_sample)
            else:
                self.send_sample([])

    def send_sample(self, gpus: list) -> None:
        self.looking = False
        total, used = memory_facts()
        names = ("index", "used", "memory_used", "memory")
        self.agent.link.send(
            {
                "type": "sample",
                "load": load(),
                "memory_used": used,
                "memory": total,
                "running": sum(1 for attempt in self.agent.starting.holders() if attempt.pid is not None),
                "slots": self.agent.starting.slots,
                "gpus": [{name: gpu[name] for name in names} for gpu in gpus],
            }
        )

    def follow_live(self) -> None:
        """Look at live metrics from now on, while there are attempts whose files the engine can't read by itself."""
        attempts = self.agent.attempts.values()
        if not self.live and any(a.message.get("collect") and a.event is None for a in attempts):
            self.live.append(self.agent.timers.after(LIVE_EVERY, self.send_live))

    def send_live(self) -> None:
        del self.live[:]
        link = self.agent.link
        for attempt in self.agent.starting.holders():
            if attempt.message.get("collect") and link.greeted and len(link.unsent) < UNSENT_LIMIT:
                found = fresh_metrics(attempt)
                if found is not None:
                    link.send(*found)
        self.follow_live()
