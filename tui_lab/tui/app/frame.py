"""The lines around the panes: the lab and its run above, the panes' names, the keys below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.cells import cell_len
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from tui_lab.client.formatting import stages_line
from tui_lab.tui.base.formatting import MUTED, STATE_STYLES, bar, count_words, home, mark, rate_words, short, span_words
from tui_lab.tui.base.pane import Host, host_of, is_text
from tui_lab.tui.base.panes import NAMES, title
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot

_BAR: Final = 40  # cells that the progress bar takes at most
_NARROW: Final = 60  # cells below which the keys of a pane need the room of those that act everywhere
_LEAVE: Final = "app.leave_text"
_AWAY: Final = ("away", "lost", "failed", "quarantined")


def clickable(content: Content, action: str) -> Content:
    """Return text that runs an action when it is clicked."""
    return content.stylize(Style.from_meta({"do": action}))  # "@click" would underline it


class Line(Widget):
    """One line of text over the whole width, drawn again when it changes."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Line { height: 1; width: 1fr; padding: 0 1; text-wrap: nowrap; }"

    @property
    def lab_app(self) -> Host:
        """The app, as panes and lines know it."""
        return host_of(self)

    @property
    def ascii(self) -> bool:
        """Whether only ASCII characters are drawn."""
        return self.lab_app.config.ascii

    async def on_click(self, event: Click) -> None:
        action = event.style.meta.get("do")
        if action:
            await self.run_action(action)

    @property
    def room(self) -> int:
        """Cells of the line."""
        return self.content_size.width

    def fitted(self, left: Content, right: Content) -> Content:
        """Return both texts, at the ends of the line; the left one is cut if there is too little room."""
        room = max(0, self.room - right.cell_length - (2 if right else 0))
        left = left.truncate(room, ellipsis=True) if left.cell_length > room else left
        return Content.assemble(left, " " * (self.room - left.cell_length - right.cell_length), right)


class LabLine(Line):
    """The lab, the experiment, and what the engine does."""

    DEFAULT_CSS = "LabLine { background: $panel; color: $foreground; }"
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot())
    current: reactive[str | None] = reactive(None)

    def render(self) -> RenderResult:
        right = self._engine()
        room = self.room - right.cell_length - 2
        name = self.current or ""
        others = len(self.snapshot.experiments) - 1
        more = f"  +{others:,} more" if others > 0 else ""
        where = short(home(self.lab_app.lab_path), max(8, room - cell_len(name) - len(more) - 12))
        chosen = Content.assemble((name, "bold"), f" {'v' if self.ascii else '▾'}", (more, MUTED))
        left = Content.assemble(
            ("TUI Lab", "bold $text-primary"),
            (f"  {where}  ", MUTED),
            clickable(chosen, "app.choose_experiment") if name else "",
        )
        return self.fitted(left, right)

    def _engine(self) -> Content:
        snapshot = self.snapshot
        if snapshot.died:
            return Content.styled("engine died", "bold $text-error")
        engine = snapshot.engine
        if engine is None:
            return Content.styled("no engine" if snapshot.lab else "", MUTED)
        going = len(engine.active)
        dot = "*" if self.ascii else "●"
        words = f"{dot} {going} going" if going > 1 else f"{dot} going" if going else f"{dot} engine idle"
        away = sum(node.state in _AWAY for node in engine.nodes)
        warning = f"! {away} node{'s' if away > 1 else ''} away  " if away else ""
        return Content.assemble((warning, "$text-warning"), (words, "$text-success"))


class RunLine(Line):
    """The progress of the current experiment: rate, time left, and tasks by state."""

    DEFAULT_CSS = "RunLine { background: $panel; color: $foreground; }"
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot())
    current: reactive[str | None] = reactive(None)

    def render(self) -> RenderResult:
        one = self.snapshot.experiment(self.current)
        if one is None or one.problem:
            return Content.styled(self._nothing(one), MUTED).truncate(self.room, ellipsis=True)
        counts = self._counts(one, self.room >= 100)
        room = self.room - counts.cell_length - 2
        stages = stages_line(one.stages) if one.active else ""
        words = [*([stages] if stages else []), *self._speed(one)]
        share = f"{int(100 * one.settled / one.planned)}%" if one.planned else "nothing planned"
        while words and room < sum(cell_len(word) + 2 for word in words) + len(share) + 8:
            words.pop(0)  # the stages go first, then the rate, and the time left
        width = min(_BAR, room - len(share) - 1 - sum(cell_len(word) + 2 for word in words))
        done, bad = one.counts.get("done", 0), one.counts.get("failed", 0) + one.counts.get("lost", 0)
        parts = [(done, "$success"), (bad, "$error")]
        cells = bar(width, parts, one.planned, self.ascii) if width >= 4 else []
        tail = "".join(f"  {word}" for word in words)
        return self.fitted(Content.assemble(*cells, " " if cells else "", (share, "bold"), tail), counts)

    def _nothing(self, one: ExperimentSnapshot | None) -> str:
        if one is not None:
            return one.problem
        if self.snapshot.problem:
            return "the lab can't be read"
        if self.snapshot.lab is not None:
            return "nothing has run yet"
        return "no lab yet: the first run creates it" if self.snapshot.taken else "reading the lab"

    def _speed(self, one: ExperimentSnapshot) -> list[str]:
        if one.paused is not None:
            return ["paused"]
        if not one.active:
            return []
        if one.drained:
            return ["finishing"]
        rate = [rate_words(one.rate)] if one.rate else []
        return [*rate, f"{span_words(one.remaining)} left" if one.remaining is not None else "going"]

    def _counts(self, one: ExperimentSnapshot, words: bool) -> Content:
        parts = []
        for state, count in count_words(one.counts):
            label = f"{mark(state, self.ascii)} {count:,}" + (f" {state}" if words else "")
            parts.append(clickable(Content.styled(label, STATE_STYLES[state]), f"app.show_state('{state}')"))
        return Content("  ").join(parts)


class Tabs(Line):
    """The panes' names behind their keys."""

    DEFAULT_CSS = "Tabs { background: $surface; color: $text-muted; padding: 0; }"
    shown: reactive[str] = reactive("")
    others: reactive[tuple[str, ...]] = reactive(())
    """Panes that other packages bring."""

    def render(self) -> RenderResult:
        titles = {name: title(name) for name in (*NAMES, *self.others)}
        # Where there is no room for all titles: their beginnings, or none but that of the pane that is shown.
        longest = next(
            (most for most in (12, 4) if self.room >= sum(len(one[:most]) + 4 for one in titles.values())), 0
        )
        parts = []
        for number, (name, whole) in enumerate(titles.items(), 1):
            short_title = whole if name == self.shown else whole[:longest]
            if name == self.shown:
                chosen = "bold $block-cursor-foreground on $block-cursor-background"
                tab = Content.styled(f" {number} {short_title} ", chosen)
            else:
                tab = Content.assemble((f" {number}", "$text-primary"), f" {short_title} " if short_title else " ")
            parts.append(clickable(tab, f"app.show_pane('{name}')"))
        return Content.assemble(*parts)


class Notice(Line):
    """A notice: what the engine waits for, or that it died."""

    DEFAULT_CSS = """
    Notice { display: none; height: auto; max-height: 3; text-wrap: wrap; }
    Notice { background: $warning-muted; color: $text-warning; }
    Notice.shown { display: block; }
    Notice.error { background: $error-muted; color: $text-error; }
    """
    text: reactive[str] = reactive("", layout=True)

    def show(self, text: str, error: bool = False) -> None:
        """Show a text, or hide the line where the text is empty. error: in the colour of errors."""
        self.text = text
        self.set_class(bool(text), "shown")
        self.set_class(error, "error")

    def render(self) -> RenderResult:
        return Content(f"! {self.text}")

    async def on_click(self, event: Click) -> None:
        if self.has_class("error"):
            await self.run_action("app.start_engine")


class Keys(Line):
    """The keys that act now: those of the widget with the focus, then those of the app. Those that don't fit are in the
    help."""

    DEFAULT_CSS = "Keys { background: $panel; color: $foreground; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
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
