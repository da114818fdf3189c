"""How Textual paints in a browser: as by its own driver, but nothing that can't be encoded ends the screen."""

from __future__ import annotations

from textual.drivers.web_driver import WebDriver

from tui_lab.results.terminal import glyphs


class BrowserDriver(WebDriver):
    """Textual's driver for textual-serve."""

    def write(self, data: str) -> None:
        super().write(data.encode("utf-8", glyphs.FITTED_ERRORS).decode())
