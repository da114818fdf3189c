"""What the engine receives all the time: the node's load, and the live metrics of running tasks."""

from tui_lab.engine.agent.collect import new_metrics
from tui_lab.engine.agent.connection import UNSENT_LIMIT
from tui_lab.engine.agent.facts import load_average, memory_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_AFTER = 0.2  # seconds until the first sample
METRICS_INTERVAL = 1.0  # seconds


class Telemetry:
    """Sends samples and live metrics while an engine is connected."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.interval = 0.0  # seconds between samples, 0 for none
        self.sample_timer: Any = []  # its timer
        self.is_querying = False
        self.metrics_timer: Any = []  # its timer

    def start(self, interval: float) -> None:
        """Start for a new connection, which has received nothing yet. interval: seconds between samples, 0 for none."""
        self.interval = interval
        self.agent.timers.cancel(self.sample_timer)
        if interval:
            self.sample_timer.append(self.agent.timers.after(min(interval, FIRST_AFTER), self.sample))
        for attempt in self.agent.attempts.values():
            attempt.metrics_sent = 0
        self.follow_metrics()

    def sample(self) -> None:
        """Take a sample, and set the timer for the next."""
        del self.sample_timer[:]
        if self.agent.connection.is_open:
            self.sample_timer.append(self.agent.timers.after(self.interval, self.sample))
            if self.is_querying:
                return  # `nvidia-smi` has not answered yet
            if self.agent.gpus.known:
                self.is_querying = True
                self.agent.gpus.query(self.send_sample)
            else:
                self.send_sample([])

    def send_sample(self, gpus: list) -> None:
        """Send a sample. gpus: the cards, with how busy they are."""
        self.is_querying = False
        total, used = memory_usage()
        names = ("index", "used", "memory_used", "memory")
        self.agent.connection.send(
            {
                "type": "sample",
                "load": load_average(),
                "memory_used": used,
                "memory": total,
                "running": sum(1 for attempt in self.agent.launcher.slot_holders() if attempt.pid is not None),
                "slots": self.agent.launcher.slots,
                "gpus": [{name: gpu[name] for name in names} for gpu in gpus],
            }
        )

    def follow_metrics(self) -> None:
        """Send live metrics from now on, while there are attempts whose files the engine can't read by itself."""
        attempts = self.agent.attempts.values()
        if not self.metrics_timer and any(a.message.get("collect") and a.event is None for a in attempts):
            self.metrics_timer.append(self.agent.timers.after(METRICS_INTERVAL, self.send_metrics))

    def send_metrics(self) -> None:
        """Send what running attempts have appended to their live metrics."""
        del self.metrics_timer[:]
        connection = self.agent.connection
        for attempt in self.agent.launcher.slot_holders():
            if attempt.message.get("collect") and connection.is_open and len(connection.unsent) < UNSENT_LIMIT:
                found = new_metrics(attempt)
                if found is not None:
                    connection.send(*found)
        self.follow_metrics()
