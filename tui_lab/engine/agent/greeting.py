"""The answer to an engine that comes: what the node is and has."""

import os
import sys

from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.agent.facts import cores, facts, memory_facts
from tui_lab.engine.agent.places import home_folder, sees
from tui_lab.engine.agent.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Greeting:
    """Answers `hello`, once it is known which GPUs there are."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.waiting: Any = None  # (connection, message) without an answer yet

    def hello(self, message: dict) -> None:
        agent = self.agent
        if message["epoch"] < agent.ledger.epoch:
            agent.link.greeted = True
            agent.link.send({"type": "refused", "reason": "epoch", "epoch": agent.ledger.epoch})
            agent.link.flush()
            agent.link.hang_up()
            return
        if message["epoch"] > agent.ledger.epoch:
            agent.ledger.raise_epoch(message["epoch"])
            agent.gpus.free = None  # a new engine: look anew who uses them
        agent.leaving = False
        looking = self.waiting is not None
        self.waiting = (agent.link.channel, message)
        if not looking:
            self.look_at_gpus()

    def look_at_gpus(self) -> None:
        gpus = self.agent.gpus
        if gpus.known is None:
            gpus.look(lambda found: self.look_at_gpus())
        elif self.waiting[1].get("gpus") == "free" and gpus.free is None:
            gpus.look_who(self.look_at_gpus)
        else:
            self.welcome()

    def welcome(self) -> None:
        agent = self.agent
        (channel, hello), self.waiting = self.waiting, None
        if channel is not agent.link.channel:
            return  # that engine has gone meanwhile
        agent.link.greeted = True
        slots = hello["slots"] or cores()
        gpus = agent.gpus.offered(hello.get("gpus"), os.environb)
        memory = hello.get("memory") or memory_facts()[0]
        agent.starting.offer(Resources(slots, cores(), memory, gpus), slots, hello.get("gpus"))
        agent.link.send(
            {
                "type": "welcome",
                "protocol": PROTOCOL,
                "pid": os.getpid(),
                "spool": agent.ledger.identity,
                "python": "%d.%d.%d" % sys.version_info[:3],
                "cores": cores(),
                "slots": slots,
                "gpus": gpus,
                "open": [attempt.key for attempt in agent.attempts.values()],
                "notice": agent.notice,
                "setup": agent.contexts.setup_for,
                "shared": sees(hello.get("marker")),
                "home": home_folder(hello.get("data"), hello["lab"], hello["node"]),
                "facts": facts(agent.gpus.known),
            }
        )
        for attempt in agent.attempts.values():
            if attempt.event is not None:
                agent.report_event(attempt)
            elif attempt.pid is not None:
                agent.report_started(attempt)
        agent.watching.begin(hello.get("sample") or 0)
