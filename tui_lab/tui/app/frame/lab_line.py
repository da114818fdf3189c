"""The first line: the lab, the experiment that all panes show, and what the engine does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive

from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.formatting import MUTED, called, short
from tui_lab.tui.base.snapshot import LabSnapshot

if TYPE_CHECKING:
    from tui_lab.protocol.control import NodeStatus

_AWAY: Final = ("away", "lost", "failed", "quarantined")
_NODES: Final = 8  # whose slots are shown
_SLOTS: Final = 8  # of a node that are drawn
_NAME: Final = 10  # cells of the name of a node


def _used(node: NodeStatus) -> int:
    """Return the slots of a node that are used."""
    used = node.open if node.used is None else node.used
    return max(0, min(used or 0, node.slots or 0))


class LabLine(Line):
    """The lab, the experiment, and what the engine does."""

    DEFAULT_CSS = "LabLine { background: $panel; color: $foreground; }"
    snapshot: reactive[LabSnapshot] = reactive(LabSnapshot(), repaint=False)
    current: reactive[str | None] = reactive(None, repaint=False)

    def watch_snapshot(self) -> None:
        self.renew()

    def watch_current(self) -> None:
        self.renew()

    def text(self) -> Content:
        right = self._engine()
        slots = self._slots(self.room // 3)
        right = Content.assemble(slots, "  " if slots else "", right)
        room = self.room - right.cell_length - 2
        name = self.current or ""
        others = len(self.snapshot.experiments) - 1
        more = f"  +{others:,} more" if others > 0 else ""
        where = short(called(self.lab_app.lab_path), max(8, room - cell_len(name) - len(more) - 12))
        chosen = Content.assemble((name, "bold"), f" {'v' if self.ascii else '▾'}", (more, MUTED))
        left = Content.assemble(
            ("TUI Lab", "bold $text-primary"),
            (f"  {where}  ", MUTED),
            clickable(chosen, "app.choose_experiment") if name else "",
        )
        return self.fitted(left, right)

    def _slots(self, room: int) -> Content:
        """Return the slots of each node, those that are used filled; of all nodes together where there is no room."""
        engine = self.snapshot.engine
        nodes = [node for node in engine.nodes if node.slots and node.state not in _AWAY] if engine else []
        used = [_used(node) for node in nodes]
        if not nodes or (not any(used) and engine is not None and not engine.active):
            return Content()
        parts: list[Content] = []
        for node, busy in zip(nodes[:_NODES], used, strict=False):
            slots = node.slots or 0
            full, free = "#-" if self.ascii else "▮▯"
            each = (full * busy, free * (slots - busy)) if slots <= _SLOTS else (f"{busy}/{slots}", "")
            name = short(node.name, _NAME)
            parts.append(Content.assemble((f"{name} ", MUTED), (each[0], "$text-primary"), (each[1], MUTED)))
        found = Content("  ").join(parts)
        if len(nodes) <= _NODES and found.cell_length <= room:
            return found
        whole = sum(node.slots or 0 for node in nodes)
        sum_of_all = Content.styled(f"{sum(used):,}/{whole:,} slots", MUTED)
        return sum_of_all if sum_of_all.cell_length <= room else Content()

    def _engine(self) -> Content:
        snapshot = self.snapshot
        if snapshot.died:
            return Content.styled("engine died", "bold $text-error")
        engine = snapshot.engine
        if engine is None:
            return Content.styled("no engine" if snapshot.lab else "", MUTED)
        if engine.away:
            return Content.styled("no connection", "bold $text-error")
        going = len(engine.active)
        dot = "*" if self.ascii else "●"
        words = f"{dot} {going} going" if going > 1 else f"{dot} going" if going else f"{dot} engine idle"
        away = sum(node.state in _AWAY for node in engine.nodes)
        warning = f"! {away} node{'s' if away > 1 else ''} away  " if away else ""
        return Content.assemble((warning, "$text-warning"), (words, "$text-success"))
