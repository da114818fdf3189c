"""Signs where a terminal or an encoding lacks them."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from tui_lab.results.charts.terminal.style import FILLS, MARKS, SHADES
from tui_lab.results.terminal import glyphs


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding)
        self.isatty = lambda: terminal  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")


def test_every_sign_has_a_plain_one_of_its_width() -> None:
    signs = "✓✗▶·■?★≈◆◇▲▼±…│─├┤└┬▾●⣿↵┃━" + MARKS + FILLS + SHADES
    assert glyphs.plain(signs).isascii()
    assert cell_len(glyphs.plain(signs)) == cell_len(signs)


def test_states_stay_apart() -> None:
    assert len(set(glyphs.plain("✓✗▶·■?"))) == 6


def test_letters_stay() -> None:
    assert glyphs.plain("Größe 你好 0.9 ± 0.1") == "Größe 你好 0.9 +-0.1"


def test_an_encoding_without_signs() -> None:
    text = "✓ é 0.9 ± 0.1 … 你"
    assert text.encode("latin-1", glyphs.ERRORS) == "+ é 0.9 ± 0.1 ~ \\u4f60".encode("latin-1")
    assert text.encode("ascii", glyphs.ERRORS) == b"+ \\xe9 0.9 +-0.1 ~ \\u4f60"
    assert text.encode("ascii", glyphs.FITTED_ERRORS) == b"+ ? 0.9 +-0.1 ~ ??"


@pytest.mark.parametrize(
    ("encoding", "terminal", "environment", "shown"),
    [
        ("utf-8", True, {}, True),
        ("latin-1", True, {}, False),
        ("latin-1", False, {}, False),
        ("utf-8", True, {"TERM": "linux"}, False),
        ("utf-8", False, {"TERM": "linux"}, True),
        ("utf-8", True, {"LC_ALL": "C"}, False),
        ("utf-8", True, {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),  # as Python itself leaves it
        ("utf-8", True, {"LANG": ""}, True),
        ("utf-8", True, {"LANG": "POSIX", "LC_ALL": "de_DE.UTF-8"}, True),
    ],
)
def test_what_a_terminal_shows(
    monkeypatch: pytest.MonkeyPatch, encoding: str, terminal: bool, environment: dict[str, str], shown: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert glyphs.shows_signs(Stream(encoding, terminal)) is shown
