"""The first line: the lab, the experiment that all panes show, and what the engine does."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive

from tui_lab.tui.app.frame.line import Line, clickable
from tui_lab.tui.base.formatting import MUTED, home, short
from tui_lab.tui.base.snapshot import LabSnapshot

_AWAY: Final = ("away", "lost", "failed", "quarantined")


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
