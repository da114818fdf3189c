"""`tui-lab serve`: who is let in, and the screen in a real browser."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError
from aiohttp.test_utils import TestServer

from tests.tui.serving.browser import CHROMIUM, opened
from tests.workbench import Workbench, until
from tui_lab.tui.serving.server import TABS, TabServer

TOKEN = "the-token"


class Served:
    """A server in this process, whose tabs have a small program in place of the screen."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self.session = session
        self.tabs: list[ClientWebSocketResponse] = []
        self.host = f"127.0.0.1:{port}"

    async def get(self, path: str, host: str | None = None) -> tuple[int, str]:
        async with self.session.get(f"http://{self.host}{path}", headers={"Host": host or self.host}) as answer:
            return answer.status, await answer.text()

    async def connect(self, token: str = TOKEN, **headers: str) -> int:
        """The status of an attempt to open a tab; the tab stays open."""
        given = {"Host": self.host, "Origin": f"http://{headers.get('Host', self.host)}", **headers}
        try:
            self.tabs.append(await self.session.ws_connect(f"http://{self.host}/ws/{token}?width=80", headers=given))
        except WSServerHandshakeError as error:
            return error.status
        return 101


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    server = TabServer(folder / "lab", None, 1, TOKEN)
    server.command = "exec head -c 10 >/dev/null"  # ends when it is asked to
    async with TestServer(server.application(), host="127.0.0.1") as test_server, ClientSession() as session:
        assert test_server.port is not None
        yield Served(session, test_server.port)


async def test_only_the_own_page_with_the_token_is_let_in(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        port = it.host.partition(":")[2]
        assert (await it.get("/"))[0] == (await it.get("/", f"localhost:{port}"))[0] == 200
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "[::1]:80"):
            assert (await it.get("/", host))[0] == 403, host
        assert (await it.get("/download/guessed"))[0] == 404
        assert (await it.get("/static/"))[0] == 403  # no list of files
        assert (await it.get("/static/..%2f..%2fserver.py"))[0] in (403, 404)
        wrong: list[dict[str, str]] = [
            {"token": "another"},
            {"token": "%C3%A9"},
            {"Origin": "http://evil.example"},
            {"Origin": f"http://localhost:{port}"},  # another site than 127.0.0.1
            {"Origin": "http://127.0.0.1:1"},  # a page of another port
            {"Origin": "null"},
            {"Host": f"evil.example:{port}"},
        ]
        for one in wrong:
            assert await it.connect(**one) == 403, one
        assert await it.connect(Host="localhost:9", Origin="http://localhost:9") == 101  # a port that SSH forwards
        await it.tabs.pop().close()
        assert [await it.connect() for _ in range(TABS)] == [101] * TABS
        assert await it.connect() == 503


async def test_other_pages_can_t_embed_it_and_it_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        async with it.session.get(f"http://{it.host}/") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "http" not in policy
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "//" not in (await answer.text()).replace("<!DOCTYPE", "")


@pytest.fixture
def own_workbench(workbench: Workbench) -> Iterator[Workbench]:
    """With an experiment whose tasks say with which variables they run."""
    workbench.write(
        "small.yaml",
        """\
        command: echo "${TEXTUAL_DRIVER-none} ${TERM_PROGRAM-none} $COLUMNS"; echo score {x}.5
        parameters: {x: [1, 2]}
        metrics: {score: {pattern: 'score (@float@)', goal: max}}
        """,
    )
    yield workbench


def start(workbench: Workbench, *words: str) -> tuple[subprocess.Popen[str], str]:
    """A server, and its address."""
    environment = {
        "XDG_STATE_HOME": str(workbench.folder / "state"),
        "XDG_CONFIG_HOME": str(workbench.folder / "config"),
    }
    workbench.environment.pop("TERM_PROGRAM", None)
    server = workbench.start("serve", "--lab", workbench.lab_path, *words, env=environment)
    assert server.stdout is not None
    assert str(workbench.lab_path) in server.stdout.readline()
    return server, server.stdout.readline().strip()


def tabs_of(workbench: Workbench) -> list[int]:
    """The processes behind tabs of a lab."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            words = (path / "cmdline").read_bytes() if path.name.isdigit() else b""
        except OSError:
            continue
        if b"serving.tab" in words and os.fsencode(workbench.lab_path) in words:
            found.append(int(path.name))
    return found


@pytest.mark.slow
@pytest.mark.fault
async def test_a_tab_ends_with_its_server(own_workbench: Workbench) -> None:
    """Also if that is killed."""
    server, address = start(own_workbench, "small.yaml")
    host, _, token = address.removeprefix("http://").partition("/#")
    async with ClientSession() as session:
        origin = {"Origin": f"http://{host}"}
        async with session.ws_connect(f"http://{host}/ws/{token}?width=100&height=30", headers=origin) as socket:
            shown = b""
            async with asyncio.timeout(60):
                while b"2 tasks to run" not in shown:
                    shown += (await socket.receive()).data
            assert len(tabs_of(own_workbench)) == 1
            server.send_signal(signal.SIGKILL)
            await asyncio.to_thread(until, lambda: not tabs_of(own_workbench))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_edit_run_query_and_draw_in_a_browser(own_workbench: Workbench, tmp_path: Path) -> None:
    server, address = start(own_workbench, "small.yaml")
    file = own_workbench.folder / "small.yaml"
    async with opened(tmp_path, address) as page:
        await page.wait("2 tasks to run", 60)
        assert await page.evaluate("location.href") == address.partition("#")[0]  # the token is seen by nobody
        # Edit, and save.
        await page.press("i")
        await page.type("repeat: 2\n")
        await page.wait("4 tasks to run")
        await page.press("ctrl+s")
        await page.wait(lambda: file.read_text().startswith("repeat: 2\n"))
        # Run.
        await page.press("ctrl+r")
        await page.wait("Run 4 tasks of small")
        await page.press("enter")
        await page.wait("100%", 60)  # a quick run has ended before it is seen for the first time
        assert own_workbench.output(0, name="small").startswith("none none 200\n")
        # Query, and draw the answer.
        await page.press("5")
        await page.wait("SELECT * FROM results")
        await page.type(" WHERE x = 2")
        await page.press("f5")
        await page.wait("2 rows")
        await page.press("escape", "p")
        await page.wait("score", 60)
        await page.wait("┤")
        # The page has painted it, and loads again with the token that it has kept.
        picture = tmp_path / "picture.png"
        picture.write_bytes(await page.picture())
        assert colours(picture) > 20
        await page.do("Page.reload")
        page.received = ""
        await page.wait("nothing to run", 60)
        assert page.errors == []
        # The user leaves: the page says so.
        await page.press("q")
        await page.wait(lambda: not tabs_of(own_workbench))
        assert "Runs go on" in await page.evaluate("document.getElementById('why').textContent")
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (0, "")
    assert err.splitlines() == ["Ctrl-C ends this, and closes its tabs; runs go on."]


def colours(picture: Path) -> int:
    """How many colours a picture has."""
    from matplotlib.image import imread

    return len({tuple(pixel) for row in imread(picture)[::3] for pixel in row[::3].tolist()})
