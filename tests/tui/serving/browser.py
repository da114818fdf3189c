"""Headless Chromium, driven by its DevTools protocol over one WebSocket."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_OPTIONS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--remote-debugging-port=0", "--window-size=1200,700"),
)
_KEYS: Final = {"enter": ("Enter", 13, "\r"), "escape": ("Escape", 27, ""), "f5": ("F5", 116, "")}
_CTRL: Final = 2
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?<>=]*[a-zA-Z]|\][^\x1b\x07]*(?:\x07|\x1b\\))")


class Page:
    """A page, and what its WebSocket has received: the text that a terminal would show."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.received = ""
        self.errors: list[str] = []
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            parameters = said.get("params", {})
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said.get("result"))
            elif said["method"] == "Network.webSocketFrameReceived" and parameters["response"]["opcode"] == 2:
                data = base64.b64decode(parameters["response"]["payloadData"])
                self.received += _ESCAPES.sub("", data.decode("utf-8", "replace"))
            elif said["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(parameters["exceptionDetails"]))

    async def do(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(self._answers[number], 30)

    async def evaluate(self, script: str) -> Any:
        return (await self.do("Runtime.evaluate", expression=script))["result"].get("value")

    async def press(self, *keys: str) -> None:
        """Press keys as a person does: `a`, `ctrl+s`, `enter`."""
        for key in keys:
            name = key.removeprefix("ctrl+")
            named, code, text = _KEYS.get(name, (name, ord(name.upper()[0]), name))
            held: dict[str, Any] = {"modifiers": _CTRL} if name != key else {"text": text} if text else {}
            what = {"key": named, "windowsVirtualKeyCode": code, **held}
            await self.do("Input.dispatchKeyEvent", type="keyDown" if "text" in held else "rawKeyDown", **what)
            await self.do("Input.dispatchKeyEvent", type="keyUp", **what)

    async def type(self, text: str) -> None:
        for character in text:
            await self.press("enter" if character == "\n" else character)

    async def wait(self, condition: str | Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait until a text was received, from now on or since the last wait; or until something holds."""
        what = condition if callable(condition) else lambda: condition in self.received
        try:
            async with asyncio.timeout(seconds):
                while not (found := what()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(
                f"not within {seconds} s: {condition}\n{self.received[-3000:]}\n{self.errors}"
            ) from None
        if not callable(condition):
            self.received = self.received.partition(condition)[2]
        return found

    async def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode((await self.do("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def opened(folder: Path, address: str) -> AsyncIterator[Page]:
    """A browser with a profile of its own that shows an address."""
    profile = folder / "chromium"
    browser = subprocess.Popen(
        [str(CHROMIUM), *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = profile / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not port.exists() or port.read_text().count("\n") < 1:
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await page.do(f"{domain}.enable")
                await page.do("Page.navigate", url=address)
                yield page
                page.reader.cancel()
                with suppress(asyncio.CancelledError):
                    await page.reader
    finally:
        browser.terminate()
        browser.wait(30)
