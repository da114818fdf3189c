"""`tui-lab serve`: shows the screen in a browser on this machine, by textual-serve.

Whoever opens it can run commands as the user. So it listens on the loopback interface only, and wants a token that is
printed in the terminal; that keeps out other users of this machine. Web pages that are open in the same browser could
send requests, too: those are refused by their Host (a name that was made to lead to this machine) and by their Origin.

The token is in the fragment of the address, which browsers send nowhere; a script of the page puts it into the address
of the WebSocket, and keeps it for this tab and this port. A cookie would be sent to all ports of this machine.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from textual_serve.server import Server

from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE

HOST: Final = "127.0.0.1"
NAMES: Final = ("127.0.0.1", "localhost")  # by which this machine is reached; the port may be a forwarded one
TABS: Final = 4  # at the same time: each is a process
CLOSING: Final = 5.0  # seconds that tabs have to end in order
PAGE: Final = Path(__file__).parent / "page"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve_screen(
    lab: Path, file: Path | None, port: int, commands: Mapping[str, str], place: tuple[int, int] | None = None
) -> int:
    """Serve the screen until a signal ends it; return the exit status. port: 0 takes a free one. commands, place:
    see `LabApp`. Raises UsageError."""
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(f"port {port}: {error.strerror}; without --port a free one is taken") from None
    with listening:
        server = TabServer(lab, file, listening.getsockname()[1], secrets.token_urlsafe(32), commands, place)
        asyncio.run(server.serve_at(listening))
    return DONE


class TabServer(Server):
    """Serves the page, and a process of the screen for each tab. How the two are connected is textual-serve's."""

    def __init__(
        self,
        lab: Path,
        file: Path | None,
        port: int,
        token: str,
        commands: Mapping[str, str] | None = None,
        place: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(_command(lab, file, commands or {}, place), HOST, port, "TUI Lab")
        self.lab = lab
        self._token = token
        self._tabs = 0

    @property
    def address(self) -> str:
        """The address that opens the screen."""
        return f"http://{HOST}:{self.port}/#{self._token}"

    async def serve_at(self, listening: socket.socket) -> None:
        """Serve at a socket until a signal comes."""
        _report_in_lines()
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=CLOSING)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            print(f"{self.lab} is shown at:\n  {self.address}", flush=True)
            print("Ctrl-C ends this, and closes its tabs; runs go on.", file=sys.stderr, flush=True)
            await ended.wait()
        finally:
            await runner.cleanup()

    def application(self) -> web.Application:
        """Return what answers requests."""
        application = web.Application(middlewares=[guard])
        application.on_response_prepare.append(_add_headers)
        application.add_routes(
            [
                web.get("/", _page("index.html")),
                web.get("/page.js", _page("page.js")),
                web.get("/page.css", _page("page.css")),
                web.static("/static", self.statics_path),
                web.get("/ws/{token}", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),  # the key is known to the tab that wrote the file
            ]
        )
        return application

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Connect a tab with a process of its own."""
        if not hmac.compare_digest(request.match_info["token"].encode(), self._token.encode()):
            raise web.HTTPForbidden(text="this is not the token that tui-lab serve has printed")
        if request.headers.get("Origin") != f"http://{request.host}":
            raise web.HTTPForbidden(text="only the page of this server may connect")
        if self._tabs >= TABS:
            raise web.HTTPServiceUnavailable(text=f"{TABS} tabs are open already")
        self._tabs += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._tabs -= 1


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what was sent to another name than this machine's own."""
    if request.host.partition(":")[0] not in NAMES:
        raise web.HTTPForbidden(text="this server answers to 127.0.0.1 and localhost only")
    return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _page(name: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})

    return answer


def _command(lab: Path, file: Path | None, commands: Mapping[str, str], place: tuple[int, int] | None) -> str:
    """Return the command of a tab's process, for the shell by which textual-serve starts it."""
    from tui_lab.tui.serving.tab import SET

    given = {
        "lab": str(lab.absolute()),
        "file": str(file.absolute()) if file is not None else None,
        "place": place,
        "commands": dict(commands),
        "environment": {name: os.environ.get(name) for name in SET},
    }
    return "exec " + shlex.join([sys.executable, "-P", "-m", "tui_lab.tui.serving.tab", json.dumps(given)])


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(f"tui-lab: {record.getMessage()}", file=sys.stderr, flush=True)


def _report_in_lines() -> None:
    """Let the libraries report problems in a line each, without tracebacks."""
    for name in ("textual-serve", "aiohttp"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Lines(logging.WARNING)], False
