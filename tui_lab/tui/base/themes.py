"""Light, dark and the terminal's own colours; Textual's further themes can be chosen, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme


def _scrollbars(bar: str, ground: str) -> dict[str, str]:
    """Quiet ones: they say where one is, and nothing else."""
    moving = {"scrollbar-hover": bar, "scrollbar-active": bar}
    grounds = dict.fromkeys(("", "-hover", "-active"), ground)
    return {
        "scrollbar": bar,
        **moving,
        **{f"scrollbar-background{name}": colour for name, colour in grounds.items()},
        "scrollbar-corner-color": ground,
    }


# The grounds have little colour: a terminal of 256 colours would make a bright blue of a dark bluish grey.
DARK: Final = Theme(
    name="lab-dark",
    primary="#6ea8fe",
    secondary="#4a5d7e",
    accent="#c792ea",
    warning="#e5b567",
    error="#f0717a",
    success="#7fc98f",
    foreground="#d8dee9",
    background="#141619",
    surface="#1b1d21",
    panel="#262a30",
    dark=True,
    variables=_scrollbars("#5b626e", "#1b1d21"),
)
LIGHT: Final = Theme(
    name="lab-light",
    primary="#1f5fbf",
    secondary="#9db4d6",
    accent="#8a3fb0",
    warning="#9a6700",
    error="#c4273a",
    success="#1f7a3d",
    foreground="#1f2430",
    background="#fcfcfc",
    surface="#f4f5f6",
    panel="#e6e8eb",
    dark=False,
    variables=_scrollbars("#a4abb5", "#f4f5f6"),
)


def _of_sixteen(theme: Theme, accent: str, warning: str, row: str, on_row: str) -> Theme:
    """Sixteen colours have no paler ones: the grounds of notices are the terminal's, or their words could not be read.
    row: the ground of the chosen row where it has no focus."""
    grounds = dict.fromkeys((f"{name}-muted" for name in ("error", "warning", "success", "primary")), "ansi_default")
    chosen = {"block-cursor-blurred-background": row, "block-cursor-blurred-foreground": on_row}
    bars = _scrollbars("ansi_bright_black", "ansi_default")
    borders = {"border": theme.primary, "border-blurred": "ansi_bright_black"}
    variables = {**theme.variables, **grounds, **chosen, **bars, **borders, "quiet": "dim"}
    return replace(theme, accent=accent, warning=warning, variables=variables)


# The plain blue and red of many terminals can hardly be read on black.
ANSI_DARK: Final = _of_sixteen(
    replace(BUILTIN_THEMES["ansi-dark"], primary="ansi_bright_blue", error="ansi_bright_red"),
    *("ansi_bright_magenta", "ansi_yellow", "ansi_bright_black", "ansi_bright_white"),
)
ANSI_LIGHT: Final = _of_sixteen(BUILTIN_THEMES["ansi-light"], "ansi_cyan", "ansi_magenta", "ansi_white", "ansi_black")
OWN: Final = (DARK, LIGHT, ANSI_DARK, ANSI_LIGHT)
DEFAULTS: Final = {"quiet": "not dim"}
"""What themes may say beside Textual's variables. quiet: how muted text looks, where it has no paler colour."""
# One after the other by ctrl+t.
CYCLE: Final = tuple(theme.name for theme in OWN)


def style(variables: Mapping[str, str], name: str, bold: bool | None = None, italic: bool | None = None) -> Style:
    """A colour of the theme as a style for text; none where it is the terminal's own, or the theme lacks it."""
    try:
        color = Color.parse(variables[name]).rich_color
    except (KeyError, ColorParseError):
        color = None
    return Style(color=color, bold=bold, italic=italic)


def names() -> list[str]:
    """Every theme that can be chosen, ours first."""
    return [*CYCLE, *sorted(BUILTIN_THEMES.keys() - CYCLE)]


def of_few_colours(theme: Theme) -> str:
    """The theme for a terminal of sixteen colours in place of one whose shades would fall together there."""
    return theme.name if theme.ansi else (ANSI_DARK if theme.dark else ANSI_LIGHT).name
