"""Panels beside the kinds of failures: what the tasks of a kind said, and what they share."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui_lab.client.formatting import plural, printable
from tui_lab.results.failures.clusters import Cluster
from tui_lab.results.failures.shared import LEAST, Shared
from tui_lab.tui.base.empty import Empty, content
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of, keys_of
from tui_lab.tui.widgets.panels.panel import Panel


class WhyPanel(Panel):
    """A text about the kind under the cursor, which scrolls."""

    DEFAULT_CSS = """
    WhyPanel {
        min-height: 4;
        & Static { padding: 0 1; }
        & VerticalScroll { scrollbar-size-vertical: 1; }
    }
    """

    def __init__(self, title: str, id: str) -> None:
        self._text = Static()
        self._instead: Empty | None = None  # what is said where there is nothing
        super().__init__(VerticalScroll(self._text), title=title, id=id)

    @property
    def text(self) -> str:
        """What it says."""
        return str(self._text.render())

    def say(self, title: str, text: Content) -> None:
        """Show a text from its beginning."""
        self._instead = None
        self.set_title(title)
        self._text.update(text)
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def say_instead(self, title: str, said: Empty) -> None:
        """Say what would be shown here."""
        self.set_title(title)
        self._instead = said
        self._wrap()

    def on_resize(self) -> None:
        self._wrap()

    def _wrap(self) -> None:
        """Wrap what is said instead for the present width."""
        if self._instead is not None:
            width = max(0, self.content_size.width - 2)
            self._text.update(content(self._instead, host_of(self).config.ascii, keys_of(self), width))


class Why:
    """Both panels."""

    def __init__(self) -> None:
        self.said = WhyPanel("What they said", "task-said")
        self.shared = WhyPanel("What they share", "task-shared")

    def show(self, kind: tuple[Cluster, tuple[Shared, ...]] | None) -> None:
        """Show what is known of a kind of failure."""
        if kind is None:
            for panel, title in ((self.said, "What they said"), (self.shared, "What they share")):
                said = Empty(f"{title} is shown here, of failed tasks", "app.leave_text", "goes back to all tasks")
                panel.say_instead(title, said)
            self.shared.set_subtitle("")
        else:
            self.said.say(*what_was_said(kind[0]))
            self.shared.say("What they share", what_is_shared(*kind))
            leave = host_of(self.shared).key("tasks.exclude")
            self.shared.set_subtitle(f"y condition, Y all, {leave} leaves them out" if kind[1] else "Y copies all")


def what_was_said(kind: Cluster) -> tuple[str, Content]:
    """Return what the tasks of a kind said, as a title and a text: each line with how many said so, and the first."""
    lines = []
    for line, count, task in kind.lines:
        who = f"task {task:,}" if count == 1 else f"{count:,} tasks, first {task:,}"
        said = (printable(line), "$text-error") if line else ("nothing", MUTED)
        lines.append(Content.assemble(said, "  ", (who, MUTED)))
    if kind.different > len(kind.lines):
        lines.append(Content.styled(f"and {kind.different - len(kind.lines):,} other lines", MUTED))
    return f"What they said  {kind.different:,}", Content("\n").join(lines)


def what_is_shared(kind: Cluster, found: tuple[Shared, ...]) -> Content:
    """Return what the tasks of a kind share, and how sure that is."""
    if not found:
        few = f"{plural(len(kind.tasks), 'failure')} tell nothing of what they share: {LEAST} are needed."
        none = "They share nothing that tells them from done tasks."
        return Content.styled(few if len(kind.tasks) < LEAST else none, MUTED)
    lines = []
    for one in found:
        lines.append(Content.styled(one.words, "bold" if one.certain else MUTED))
        chance = "less than 1 in 1,000" if one.p < 0.001 else f"{one.p:.3f}"
        lines.append(Content.styled(f"  chance: {chance}, corrected for all conditions that were tried", MUTED))
    lines.append(Content.styled("Counted are tasks that failed in this way, and done ones.", MUTED))
    return Content("\n").join(lines)


def explanation(kind: Cluster, found: tuple[Shared, ...]) -> str:
    """Return all that is known of a kind of failure, to be pasted elsewhere."""
    _, said = what_was_said(kind)
    head = f"{plural(len(kind.tasks), 'task')} failed: {kind.reason}"
    shared = [one.words for one in found] or [what_is_shared(kind, found).plain]
    return "\n".join([head, *(f"  {line}" for line in said.plain.split("\n")), *shared])
