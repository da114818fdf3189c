"""Which pane is shown, which of its panels, and the way back to where the user was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from textual.app import App
from textual.widgets import ContentSwitcher

from tui_lab.tui.app.frame.tabs import Tabs
from tui_lab.tui.app.places import Place, Places
from tui_lab.tui.base import panes
from tui_lab.tui.base.config import SavedState
from tui_lab.tui.base.pane import Host, Pane

if TYPE_CHECKING:
    from tui_lab.tui.widgets.panels.row import PanelRow

ONE_WAY: Final = "there is room for one arrangement only; + enlarges a panel"


class Navigation:
    """The panes of the app, each made when it is opened first, and the places that were left."""

    def __init__(self, app: App[int], host: Host, saved: SavedState) -> None:
        """app, host: the same, as Textual and as panes know it. saved: keeps the pane that was shown last."""
        self._app, self._host, self._saved = app, host, saved
        self._panes: dict[str, Pane] = {}  # those that were opened, by name
        self._places = Places()
        self.shown: Pane | None = None

    # --- Panes

    def before_leaving(self) -> str:
        """Return what is to be asked before the end of the screen; empty where nothing is lost. Copies are kept of what
        is not saved."""
        unsaved = [pane for pane in self._panes.values() if pane.unsaved]
        names = ", ".join(pane.unsaved for pane in unsaved)
        if problem := next(filter(None, [pane.keep_unsaved() for pane in unsaved]), ""):
            return f"{names} is not saved, and can't be kept ({problem}): leaving loses what was changed."
        return f"{names} is not saved. It will be kept, and offered when you come back." if unsaved else ""

    def make(self, name: str) -> Pane:
        """Return a new pane, not yet mounted."""
        pane = self._panes[name] = panes.load(name)()
        pane.id = f"pane-{name}"
        return pane

    def open(self, name: str) -> Pane:
        """Make a pane visible, and show it the snapshot; return it."""
        base = self._app.screen_stack[0]
        switcher = base.query_one("#panes", ContentSwitcher)
        pane = self._panes.get(name)
        if pane is None:
            pane = self.make(name)
            switcher.mount(pane)
        switcher.current = pane.id
        self.shown = pane
        base.query_one(Tabs).shown = name
        if name in panes.NAMES:
            self._saved.put_of_lab("pane", name)
        pane.call_after_refresh(self._show_in, pane)
        return pane

    def enter(self, name: str) -> Pane:
        """Make a pane visible and give it the focus; return it."""
        pane = self.open(name)
        pane.call_after_refresh(self._focus_in, pane)
        return pane

    def enter_first(self, name: str) -> None:
        """Make the first pane visible."""
        if self.shown is None and self._app.is_running:  # else someone was quicker, or has left
            self.enter(name)

    def ask(self, name: str, method: str, *words: Any) -> None:
        """Open a pane, and call its method once it is there."""
        pane = self.enter(name)
        if hasattr(pane, method):
            pane.call_after_refresh(getattr(pane, method), *words)

    def refresh(self) -> None:
        """Show the snapshot in the visible pane."""
        if self.shown is not None:
            self._show_in(self.shown)

    def _show_in(self, pane: Pane) -> None:
        if pane is self.shown and pane.is_mounted:
            with self._app.batch_update():
                pane.show(self._host.snapshot)

    def _focus_in(self, pane: Pane) -> None:
        if pane is self.shown:  # else another one was opened meanwhile
            pane.focus_first()

    # --- Panels of the visible pane

    @property
    def _row(self) -> PanelRow | None:
        from tui_lab.tui.widgets.panels.row import PanelRow

        return next(iter(self.shown.query(PanelRow)), None) if self.shown is not None else None

    def arrange(self) -> None:
        """Arrange the panels in the next way."""
        row = self._row
        if row is None or not row.next():
            self._host.tell(ONE_WAY)
        self._focus_what_is_seen()

    def enlarge(self, by: int) -> None:
        """Enlarge the panel with the focus, or shrink it."""
        from tui_lab.tui.widgets.panels.panel import Panel

        row, focused = self._row, self._app.focused
        if row is not None:
            inside = focused.ancestors_with_self if focused is not None else ()
            name = next((one.id or "" for one in inside if isinstance(one, Panel)), row.enlarged)
            row.enlarge(name or row.shown[0][0], by)
            self._focus_what_is_seen()

    def _focus_what_is_seen(self) -> None:
        """Move the focus if its panel has gone. Typed keys wait for it."""
        pane = self.shown
        if pane is not None:
            pane.call_after_refresh(lambda: None if self._is_focus_seen() else pane.focus_first())

    def _is_focus_seen(self) -> bool:
        return self._app.focused is not None and self._app.focused.focusable

    # --- Where the user was

    def _here(self) -> Place | None:
        pane = self.shown
        if pane is None or not pane.is_mounted or pane.NAME == panes.WELCOME:
            return None
        return Place(pane.NAME, self._host.current, pane.place())

    def forget(self) -> None:
        """Forget all places: they are of another lab."""
        self._places = Places()

    def leave(self) -> None:
        """Remember where the user is: something leads elsewhere."""
        if (here := self._here()) is not None:
            self._places.leave(here)

    def back(self) -> bool:
        """Go back to where the user came from; return whether there is such a place."""
        here = self._here()
        place = self._places.back(here) if here is not None else None
        if place is not None:
            self._go(place)
        return place is not None

    def forward(self) -> None:
        """Go to where the user was before going back."""
        here = self._here()
        place = self._places.forward(here) if here is not None else None
        if place is not None:
            self._go(place)

    def _go(self, place: Place) -> None:
        """Show a place again. An experiment that is gone stays gone."""
        host = self._host
        if place.experiment is not None and host.snapshot.experiment(place.experiment) is not None:
            host.current = place.experiment
        pane = self.enter(place.pane)
        if place.experiment in (None, host.current):
            pane.call_after_refresh(pane.go, place.state)
        else:
            host.tell(f"the experiment {place.experiment} is gone", "warning")
