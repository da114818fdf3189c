"""After another experiment was chosen each pane shows that one's data, and nothing of the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from tests.conftest import Workshop
from tests.tui.conftest import wait_until
from tui_lab.tui.app import LabApp


def text_of(app: LabApp) -> str:
    """What is on the screen."""
    return unescape(re.sub(r"<[^>]*>", "", app.export_screenshot())).replace("\xa0", " ")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    shop = Workshop(tmp_path_factory.mktemp("two"))
    try:
        for name, word in (("first", "early"), ("second", "later")):
            text = f"command: 'echo {word}_score={{{word}_knob}}'\nparameters: {{{word}_knob: [1, 2, 3]}}\n"
            text += f"metrics: {{{word}_score: '{word}_score=(@float@)'}}\n"
            assert shop.call("--run", shop.write(f"{name}.yaml", text), "--node", "localhost", 2).returncode == 0
        yield shop
    finally:
        shop.close()


@pytest.mark.parametrize("key", ["1", "3", "4", "6"])
async def test_every_pane_follows(key: str, two: Workshop) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        await pilot.press(f"alt+{key}")
        await wait_until(pilot, lambda: "later_" in text_of(app))
        app.current = "first"
        await wait_until(pilot, lambda: "early_" in text_of(app) and "later_" not in text_of(app))
        app.current = "second"
        await wait_until(pilot, lambda: "later_" in text_of(app) and "early_" not in text_of(app))
