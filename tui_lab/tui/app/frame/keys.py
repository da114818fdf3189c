"""The last line: the keys that act now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen

from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import is_text

_NARROW: Final = 60  # cells below which the keys of a pane need the room of those that act everywhere
_LEAVE: Final = "app.leave_text"


class Keys(Line):
    """The keys that act now: those of the widget with the focus, then those of the app. Those that don't fit are in the
    help."""

    DEFAULT_CSS = "Keys { background: $panel; color: $foreground; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def text(self) -> Content:
        inner: list[Content] = []
        outer: dict[str | None, Content] = {}
        seen: set[str] = set()
        passed: set[str] = set()  # keys that a text hands on to its pane
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.action == "pass_on":
                passed.add(binding.key)
            elif binding.key == "enter" and is_text(self.app.focused) and node is not self.app.focused:
                continue  # a new line
            elif binding.show and binding.description and binding.action not in seen and binding.key != "escape":
                seen.add(binding.action)
                if node is self.app:
                    outer[binding.id] = self._key(binding, enabled)
                else:
                    inner.append(self._key(binding, enabled))
        if is_text(self.app.focused):
            inner[:0] = self._handed_on(passed, seen)
        always = [outer[one.id] for one in self.lab_app.ACTIONS if one.id in outer and one.id != _LEAVE]
        wanted = always if self.room >= _NARROW else always[:1]
        if is_text(self.app.focused):
            wanted = [self._way_out(), *wanted]
        right = Content("  ").join(wanted)
        room = self.room - right.cell_length - 2
        fitting: list[Content] = []
        for number, key in enumerate(inner):
            rest = 0 if number == len(inner) - 1 else 3
            if sum(one.cell_length + 2 for one in fitting) + key.cell_length + rest > room:
                fitting.append(Content.styled("…", MUTED))
                break
            fitting.append(key)
        return self.fitted(Content("  ").join(fitting), right)

    def _way_out(self) -> Content:
        """Return what `escape` does in a text: this key is always shown."""
        active = self.screen.active_bindings.get("escape")
        label = active.binding.description if active is not None and active.binding.show else ""
        return self._key(Binding("escape", "leave_text", label or "Leave text"), True)

    def _handed_on(self, passed: set[str], seen: set[str]) -> Iterator[Content]:
        pane = self.lab_app.pane
        for one in pane.ACTIONS if pane is not None else ():
            keys = [key.strip() for key in self.lab_app.config.keys.get(one.id, one.keys).split(",")]
            key = next((key for key in keys if key in passed), None)
            if one.shown and key is not None and key != "enter" and one.action not in seen:
                yield self._key(Binding(key, one.action, one.label), True)

    def _key(self, binding: Binding, enabled: bool) -> Content:
        key = "bold $text-accent" if enabled else "dim"
        content = Content.assemble((self.app.get_key_display(binding), key), f" {binding.description}")
        return clickable(content, f"app.simulate_key('{binding.key}')") if enabled else content
