"""What nodes say, and what the engine makes of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from tui_lab.engine.node import Message, Node
from tui_lab.engine.outputs import Arrival, Outputs, write_piece
from tui_lab.engine.run import ExperimentRun, Key
from tui_lab.engine.samples import Samples
from tui_lab.store.events import Finished, KnownEvent
from tui_lab.store.fold import DONE

if TYPE_CHECKING:
    from tui_lab.engine.engine import Engine

log = logging.getLogger(__name__)

QUIET: Final = 1.0  # seconds that a node with nothing to give back is not asked again
GRACE: Final = 1.0  # seconds between TERM and KILL for what nobody asks for any more


News = dict[str, list[KnownEvent]]  # of each run, not yet recorded


class Hearing:
    """Listens to all nodes: settles what is open after a handshake, records what happens."""

    def __init__(self, engine: Engine, outputs: Outputs, samples: Samples) -> None:
        self.engine = engine
        self.outputs = outputs
        self.samples = samples

    # A node that is here, again.

    def on_welcome(self, node: Node, message: Message) -> None:
        """Settle every attempt that is open on this node: known to the agent, never arrived there, or lost."""
        node.spool = message["spool"]
        node.open = {}
        self.engine.staging.forget(node)
        known = {(name, task, attempt) for name, task, attempt in message["open"]}
        for name, task, attempt in known:
            run = self.engine.run_of(name)
            if run is None or ((task, attempt) not in run.flight and not run.regain((task, attempt), node.name)):
                # Nobody asks for it: its experiment has gone, or it was given up and ran elsewhere. One that has
                # ended already is told of next, and may still be the first result.
                self._end(node, name, (task, attempt))
        for run in list(self.engine.runs.values()):
            self.engine.dispatch.logged(run, self._settle, run, node, known)
        self.engine.facts.learn(node)
        self.engine.dispatch.plan()

    def _settle(self, run: ExperimentRun, node: Node, known: set[tuple[str, int, int]]) -> None:
        events: list[KnownEvent] = []
        same_spool = run.state.spools.get(node.name) == node.spool
        for key in [key for key, where in run.flight.items() if where == node.name]:
            if (run.wire_name, *key) in known:
                node.open[run.wire_name, *key] = run.needs_of_node(key) if run.environment else {}
                self.engine.dispatch.send_context(run, node, run.state.columns["submission"][key[0]])
                if key in run.stopping:
                    self.engine.send_stop(run, node, key)
                elif run.state.columns["state"][key[0]] == DONE:
                    self._end(node, run.wire_name, key)  # another attempt was the first
            elif same_spool:
                events += run.on_returned([key])  # it never arrived
            else:
                events.append(run.on_finished(key, {"state": "lost", "reason": "node-lost"}))
        if events and not run.record(events):
            self.engine.disk.on_full(run)
        if run.environment is None and self.engine.waited_long:
            self.engine.abandon_unstarted()

    def on_trouble(self, node: Node) -> None:
        self.samples.note(node)
        self.engine.wake()
        self.engine.check_health()

    # What happens there.

    def on_messages(self, node: Node, messages: list[Message]) -> None:
        """Record what happened; acknowledgements follow once it is durable."""
        news: News = {}
        durations = []
        for message in messages:
            kind = message["type"]
            if kind == "started":
                run, key = self._of(message["key"])
                if run is not None and key in run.flight:
                    news.setdefault(run.name, []).append(run.on_started(key, message["ago"]))
                    if node.shared:
                        run.look_for_drift(key)
            elif kind == "finished":
                durations.append(message.get("duration", 0.0))
                node.open.pop(tuple(message["key"]), None)
                self._on_finished(node, message, news)
            elif kind == "returned":
                self._on_returned(node, message["keys"], news)
            elif kind == "output":
                self._on_output(message)
            elif kind == "sample":
                self.samples.take(node, message)
                node.ping()
            elif kind == "pong":
                node.on_pong(message)
                self.samples.note(node)
            elif kind == "notice":
                node.notice = message["text"]
            elif kind == "setup":
                node.on_setup(message["running_for"])
        if durations:
            node.measure(len(durations), durations)
        self._record(news)

    def _of(self, wire_key: list[Any]) -> tuple[ExperimentRun | None, Key]:
        name, task, attempt = wire_key
        return self.engine.run_of(name), (task, attempt)

    def _record(self, news: News) -> None:
        for name, happened in news.items():
            run = self.engine.runs[name]
            if not run.record(happened):
                self.engine.disk.on_full(run)
            if any(isinstance(event, Finished) for event in happened):
                self.engine.disk.dirty.set()
                self.engine.dispatch.logged(run, self.engine.dispatch.look_at_failures, run)
        self.engine.dispatch.plan()

    def _on_returned(self, node: Node, keys: list[list[Any]], news: News) -> None:
        came = False
        for wire_key in keys:
            node.open.pop(tuple(wire_key), None)
            run, key = self._of(wire_key)
            if run is not None and key in run.flight:
                news.setdefault(run.name, []).extend(run.on_returned([key]))
                came = True
        node.undisturbed_until = 0.0 if came else time.monotonic() + QUIET

    def _on_finished(self, node: Node, message: Message, news: News) -> None:
        """An attempt has ended: that is an event as soon as its files are here."""
        run, key = self._of(message["key"])
        if run is None:
            node.send({"type": "ack", "keys": [message["key"]]})  # of an experiment that is gone
            return
        self._settle_first(run, key, news)
        home = message.get("files") or ("folder" in message and "folder_link" in message)
        if home and (key in run.flight or run.on_late(key, message, look=True)):
            self.outputs.bring(Arrival(run, node, key, message))
        else:
            self._result(run, node, key, message, news)

    def _settle_first(self, run: ExperimentRun, key: Key, news: News) -> None:
        """Whether the first result counts is asked of the run's state: what came just before must be in it."""
        if key not in run.flight and news.get(run.name):
            self._record({run.name: news.pop(run.name)})

    def _result(self, run: ExperimentRun, node: Node, key: Key, message: Message, news: News) -> None:
        run.unacknowledged.append((node.name, key))
        if unkept := message.get("unkept"):
            run.staying[key] = [one["name"] for one in unkept]
        self.engine.disk.dirty.set()
        if key in run.flight:
            news.setdefault(run.name, []).append(run.on_finished(key, message))
            return
        event = run.on_late(key, message)
        if event is not None:
            self._record({run.name: [event]})
            replaced = run.replaced(key[0])
            if replaced is not None and run.flight[replaced] in self.engine.nodes:
                self._end(self.engine.nodes[run.flight[replaced]], run.wire_name, replaced)

    def on_arrived(self, arrivals: list[Arrival]) -> None:
        """Files of these attempts are here and durable: now they count as ended."""
        news: News = {}
        for arrival in arrivals:
            run = arrival.run
            if self.engine.runs.get(run.name) is run:  # else its folder has gone meanwhile
                self._settle_first(run, arrival.key, news)
                self._result(run, arrival.node, arrival.key, arrival.message, news)
        self._record(news)

    def _on_output(self, message: Message) -> None:
        run, key = self._of(message["key"])
        if run is not None and key in run.flight:
            try:
                write_piece(run, message)
            except (OSError, ValueError) as error:
                log.warning("%s: %s", run.name, error)

    def _end(self, node: Node, name: str, key: Key) -> None:
        node.send({"type": "stop", "key": [name, *key], "reason": "stopped", "grace": GRACE})
