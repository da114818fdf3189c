"""The handshake with an engine that connects: what this node is and offers."""

import os
import sys

from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.agent.facts import node_facts
from tui_lab.engine.agent.paths import lab_home, sees_lab
from tui_lab.engine.agent.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Handshake:
    """Answers `hello` with `welcome`, once the node's GPUs are known."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.waiting: Any = None  # (channel, message) of a hello without an answer

    def hello(self, message: dict) -> None:
        """Answer a `hello`, or refuse an engine of an earlier epoch."""
        agent = self.agent
        if message["epoch"] < agent.ledger.epoch:
            agent.connection.is_open = True
            agent.connection.send({"type": "refused", "reason": "epoch", "epoch": agent.ledger.epoch})
            agent.connection.flush()
            agent.connection.close()
            return
        if message["epoch"] > agent.ledger.epoch:
            agent.ledger.raise_epoch(message["epoch"])
            agent.gpus.free = None  # a new engine: query again which are in use
        agent.shutting_down = False
        looking = self.waiting is not None
        self.waiting = (agent.connection.channel, message)
        if not looking:
            self.query_gpus()

    def query_gpus(self) -> None:
        """Find out what is not known yet about the GPUs, then send the welcome."""
        gpus = self.agent.gpus
        if gpus.known is None:
            gpus.query(lambda found: self.query_gpus())
        elif self.waiting[1].get("gpus") == "free" and gpus.free is None:
            gpus.query_processes(self.query_gpus)
        else:
            self.welcome()

    def welcome(self) -> None:
        """Send the welcome, and all events that are not acknowledged."""
        agent = self.agent
        (channel, hello), self.waiting = self.waiting, None
        if channel is not agent.connection.channel:
            return  # the engine has disconnected meanwhile
        lease = agent.lease
        if hello.get("ends_in") is not None:
            lease.set_end(hello["ends_in"], hello.get("reason"))
        agent.connection.is_open = True
        agent.connection.wants_steps = hello.get("steps") or False
        slots = hello["slots"] or lease.cores
        gpus = agent.gpus.offered(hello.get("gpus"), os.environb)
        memory = hello.get("memory") or lease.memory
        agent.launcher.offer(
            Resources(slots, lease.cores, memory, gpus, hello.get("resources")), slots, hello.get("gpus")
        )
        agent.connection.send(
            {
                "type": "welcome",
                "protocol": PROTOCOL,
                "pid": os.getpid(),
                "spool": agent.ledger.identity,
                "python": "%d.%d.%d" % sys.version_info[:3],
                "cores": lease.cores,
                "memory": lease.memory,
                "slots": slots,
                "gpus": gpus,
                "open": [attempt.key for attempt in agent.attempts.values()],
                "notice": agent.notice,
                "setup": agent.contexts.setup_seconds,
                "shared": sees_lab(hello.get("marker")),
                "home": lab_home(hello.get("data"), hello["lab"], hello["node"]),
                "facts": node_facts(agent.gpus.known),
            }
        )
        for attempt in agent.attempts.values():
            if attempt.event is not None:
                agent.report_event(attempt)
            elif attempt.pid is not None or attempt.has_ended_step:
                agent.report_started(attempt)
                for step in range(attempt.first_step, attempt.step):
                    agent.report_step(attempt, step)
        if lease.is_ending:
            lease.report()
        agent.telemetry.start(hello.get("sample") or 0)
