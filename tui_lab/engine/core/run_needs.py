"""What the attempts of a run need of their node, and of the tokens that all runs of a lab share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.core.model import AttemptKey, AttemptNeeds, RunSettings
from tui_lab.protocol.agent import Needs
from tui_lab.store.fold import State


class RunNeeds:
    """Of a run. open_attempts: those that are on a node; they hold tokens. sharing: what it returns are the needs of
    all runs that take tokens of the same limits."""

    def __init__(self, state: State, settings: RunSettings | None, open_attempts: Collection[AttemptKey]) -> None:
        self._state = state
        self._settings = settings
        self._open = open_attempts
        self._known: dict[AttemptKey, AttemptNeeds] = {}
        self._tokens: dict[AttemptKey, Mapping[str, int]] = {}  # held by open attempts
        self.sharing: Callable[[], Iterable[RunNeeds]] = lambda: (self,)

    def begin(self, settings: RunSettings) -> None:
        """Take the keys of the file as they are now."""
        self._settings = settings
        self._known.clear()
        self.hold_open_tokens()

    @property
    def matter(self) -> bool:
        """Whether tasks need more of a node than a slot."""
        return self._settings is not None and (self._settings.has_needs or bool(self._state.changes))

    @property
    def limits(self) -> Mapping[str, int]:
        """How many of each token all tasks together may hold."""
        return self._settings.limits if self._settings is not None else {}

    def of(self, key: AttemptKey) -> AttemptNeeds:
        """Return what an attempt needs; nothing where that can't be computed: its start reports the error."""
        if not self.matter:
            return {}
        if key not in self._known:
            assert self._settings is not None
            try:
                self._known[key] = self._settings.needs(key, self._state.changes.get(key[0]))
            except ValueError:
                self._known[key] = {}
        return self._known[key]

    def of_node(self, key: AttemptKey) -> Needs:
        """Return what an attempt needs of its node, besides a slot."""
        if not self.matter:
            return {}
        needs = self.of(key).copy()
        needs.pop("tokens", None)
        return needs

    def why_impossible(self, key: AttemptKey, resources: Resources) -> str:
        """Return why a node with these resources can never run an attempt; empty where it can."""
        return resources.why_impossible(self.of_node(key))

    def grant(self, key: AttemptKey, resources: Resources, *, now: bool) -> bool:
        """Return whether an attempt may go to a node. If so, it holds its tokens and, with `now`, its resources."""
        needs = self.of_node(key)
        if resources.why_impossible(needs) or (now and not resources.has_room(needs)) or not self.hold_tokens(key):
            return False
        if now:
            resources.grant(needs)
        return True

    def forget(self, key: AttemptKey) -> None:
        """Let go of an attempt that has ended."""
        self.drop_tokens(key)
        self._known.pop(key, None)

    # --- Tokens

    def hold_open_tokens(self) -> None:
        """Count the tokens of open attempts, also before the run is resumed."""
        if self.limits:
            for key in self._open:
                self.hold_tokens(key)

    def hold_tokens(self, key: AttemptKey) -> bool:
        """Take all of an attempt's tokens, which all runs of a lab share; False if some are in use. If experiments set
        different limits, the smallest counts; an attempt that needs more than that runs when no other has any."""
        wanted = self.of(key).get("tokens")
        if not wanted:
            return True
        runs = [run for run in {self, *self.sharing()} if run is self or run.limits]
        for name, count in wanted.items() if key not in self._open else ():
            held = sum(run.held(name) for run in runs)
            if held and held + count > min(run.limits[name] for run in runs if name in run.limits):
                return False
        self._tokens[key] = wanted
        return True

    def free_tokens(self) -> dict[str, int]:
        """Return how many of each token no attempt holds."""
        runs = [run for run in {self, *self.sharing()} if run is self or run.limits]
        least = {name: min(run.limits[name] for run in runs if name in run.limits) for name in self.limits}
        return {name: max(0, limit - sum(run.held(name) for run in runs)) for name, limit in least.items()}

    def drop_tokens(self, key: AttemptKey) -> None:
        """Give back the tokens of an attempt."""
        self._tokens.pop(key, None)

    def held(self, name: str) -> int:
        """Return how many of a token the attempts of this run hold."""
        return sum(tokens.get(name, 0) for tokens in self._tokens.values())
