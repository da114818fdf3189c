"""With what the screen begins: pane, experiment and theme, as the command line, the configuration or last time say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.theme import Theme

from tui_lab.tui.base import panes, themes
from tui_lab.tui.base.config import Config, SavedState


class Beginning:
    """Chooses what is shown first. wanted: a pane that the command line asks for."""

    def __init__(self, config: Config, saved: SavedState, wanted: str | None) -> None:
        self._config, self._saved, self._wanted = config, saved, wanted
        self._theme = ""  # at the beginning

    def pane(self, lab: Path, file: Path | None) -> str:
        """Return the pane that the screen opens with."""
        if file is not None:
            return "experiment"
        if not (lab / "lab.json").exists():
            return panes.WELCOME
        kept = self._wanted or self._saved.of_lab("pane") or ""
        return kept if kept in panes.NAMES else "tasks"

    def experiment(self, file: Path | None, names: Sequence[str]) -> str | None:
        """Return the experiment to look at: that of the file if the lab has it, else that of last time, else the newest
        one."""
        if file is not None:
            from tui_lab.experiment.load import name_in

            if (named := name_in(file)) in names:
                return named
        kept = self._saved.of_lab("experiment")
        return kept if kept in names else newest(names)

    def theme(self, known: Mapping[str, Theme], colours: str | None) -> str:
        """Return the theme to begin with. colours: those of the terminal, as Rich names them."""
        chosen = self._config.theme or self._saved.get("theme", themes.DARK.name)
        chosen = chosen if chosen in known else themes.DARK.name
        few = not self._config.theme and colours == "standard"
        self._theme = themes.of_few_colours(known[chosen]) if few else chosen
        return self._theme

    def keep(self, theme: str, experiment: str | None) -> None:
        """Save what is shown at the end."""
        if theme != self._theme:  # that a terminal shows few colours is no choice
            self._saved.put("theme", theme)
        self._saved.put_of_lab("experiment", experiment)
        self._saved.write()


def newest(names: Sequence[str]) -> str | None:
    """Return the last of the names of experiments, if there are any."""
    return names[-1] if names else None
