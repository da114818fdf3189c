"""Make the animation of this folder from a real run: `python screenshots/animate.py` (needs tmux and pillow).

The example live_curves runs in a terminal of tmux, and keys are typed. What it shows is read three times a second, and
drawn cell by cell, in the font that matplotlib brings: so letters, frames and curves stand where they belong.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import matplotlib
from make import HERE, Terminal
from PIL import Image, ImageDraw, ImageFont
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

SIZE = (144, 36)
CELL = (8, 17)  # pixels
FONT_SIZE = 13
BAR = 30  # pixels of the line below the screen, which says what is typed
INTERVAL = 0.3  # seconds between frames
EXACT, OTHERS = 64, 190  # colours: those that cover most, and those that stand for the rest
ARMS = {  # of a line in a cell, from its middle: left, right, up, down
    "─": "lr", "━": "lr", "╶": "r", "╴": "l", "│": "ud", "┃": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu",
    "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu", "├": "rud", "┤": "lud", "┬": "lrd", "┴": "lru", "┼": "lrud",
}  # fmt: skip
QUERY = "SELECT step, lr, avg(accuracy) AS accuracy FROM train_steps WHERE lr < 5 GROUP BY ALL ORDER BY ALL"
BACKGROUND, FOREGROUND, ACCENT = (28, 30, 34), (220, 222, 226), (97, 175, 239)
THEME = TerminalTheme(BACKGROUND, FOREGROUND, [(0, 0, 0)] * 8)

Colour = tuple[int, int, int]
Cell = tuple[str, Colour, Colour, bool]  # sign, its colour, that of the ground, bold


class Painter:
    """Draws cells of a terminal. Signs that have to meet at the edges of cells are drawn by hand."""

    def __init__(self) -> None:
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        names = ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf")
        self._fonts = [ImageFont.truetype(str(fonts / name), FONT_SIZE) for name in names]
        self._large = ImageFont.truetype(str(fonts / names[1]), FONT_SIZE + 1)
        self._console = Console(force_terminal=True, color_system="truecolor", width=SIZE[0])
        self._picture = Image.new("RGB", (SIZE[0] * CELL[0], SIZE[1] * CELL[1] + BAR), BACKGROUND)
        self._draw = ImageDraw.Draw(self._picture)
        self._before: dict[tuple[int, int], Cell] = {}

    def frame(self, lines: list[str], key: str, words: str) -> Image.Image:
        for y, line in enumerate(AnsiDecoder().decode("\n".join(lines[: SIZE[1]]))):
            for x, cell in enumerate(self._cells(line)[: SIZE[0]]):
                if self._before.get((x, y)) != cell:
                    self._before[x, y] = cell
                    self._cell(x, y, cell)
        self._bar(key, words)
        return self._picture.copy()

    def _cells(self, line: Text) -> list[Cell]:
        cells: list[Cell] = []
        for text, style, _ in line.render(self._console):
            look = _look(style or Style.null())
            cells += [(sign, *look) for sign in text]
        return cells + [(" ", FOREGROUND, BACKGROUND, False)] * (SIZE[0] - len(cells))

    def _cell(self, x: int, y: int, cell: Cell) -> None:
        sign, colour, ground, bold = cell
        width, height = CELL
        left, top = x * width, y * height
        box = (left, top, left + width - 1, top + height - 1)
        self._draw.rectangle(box, fill=ground)
        code = ord(sign)
        if 0x2800 <= code < 0x2900:
            self._braille(left, top, code - 0x2800, colour)
        elif part := _block(code):
            bounds = [round(share * length) for share, length in zip(part, (width, height) * 2, strict=True)]
            self._draw.rectangle(
                (left + bounds[0], top + bounds[1], left + bounds[2] - 1, top + bounds[3] - 1), fill=colour
            )
        elif sign in ARMS:
            x0, y0, thick = left + width // 2, top + height // 2, int(sign in "━┃")
            ends = {"l": (left, y0), "r": (left + width - 1, y0), "u": (x0, top), "d": (x0, top + height - 1)}
            for arm in ARMS[sign]:
                x1, y1 = ends[arm]
                across = (0, thick) if arm in "lr" else (thick, 0)
                self._draw.rectangle(
                    (min(x0, x1), min(y0, y1), max(x0, x1) + across[0], max(y0, y1) + across[1]), fill=colour
                )
        elif sign != " ":
            tile = Image.new("RGB", CELL, ground)
            ImageDraw.Draw(tile).text((0, FONT_SIZE), sign, fill=colour, font=self._fonts[bold], anchor="ls")
            self._picture.paste(tile, (left, top))

    def _braille(self, left: int, top: int, dots: int, colour: Colour) -> None:
        for number in range(8):
            if dots >> number & 1:
                column, row = (number // 3, number % 3) if number < 6 else (number - 6, 3)
                x, y = left + 1 + column * CELL[0] // 2, top + 1 + row * CELL[1] // 4
                self._draw.rectangle((x, y, x + 1, y + 1), fill=colour)

    def _bar(self, key: str, words: str) -> None:
        top = SIZE[1] * CELL[1]
        self._draw.rectangle((0, top, self._picture.width, top + BAR), fill=(12, 13, 15))
        x, middle = 12, top + BAR // 2
        if key:
            width = self._draw.textlength(key, font=self._large)
            self._draw.rounded_rectangle((x, top + 4, x + width + 16, top + BAR - 5), 4, fill=ACCENT)
            self._draw.text((x + 8, middle), key, fill=BACKGROUND, font=self._large, anchor="lm")
            x += int(width) + 30
        self._draw.text((x, middle), words, fill=FOREGROUND, font=self._large, anchor="lm")


def _look(style: Style) -> tuple[Colour, Colour, bool]:
    colour: Colour = tuple(style.color.get_truecolor(THEME)) if style.color else FOREGROUND  # type: ignore[assignment]
    ground: Colour = tuple(style.bgcolor.get_truecolor(THEME, foreground=False)) if style.bgcolor else BACKGROUND  # type: ignore[assignment]
    if style.dim:
        colour = tuple((2 * one + other) // 3 for one, other in zip(colour, ground, strict=True))  # type: ignore[assignment]
    return (ground, colour, bool(style.bold)) if style.reverse else (colour, ground, bool(style.bold))


def _block(code: int) -> tuple[float, float, float, float] | None:
    """Return the part of a cell that a block fills: left, top, right, bottom."""
    if code == 0x2580:
        return 0, 0, 1, 0.5
    if 0x2581 <= code <= 0x2588:
        return 0, 1 - (code - 0x2580) / 8, 1, 1
    if 0x2589 <= code <= 0x258F:
        return 0, 0, (0x2590 - code) / 8, 1
    return (0.5, 0, 1, 1) if code == 0x2590 else None


class Film:
    """Frames of a terminal, with the seconds that each is shown."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._painter = Painter()
        self._frames: list[Image.Image] = []
        self._seconds: list[float] = []
        self._key = self._words = ""

    def say(self, key: str, words: str) -> None:
        self._key, self._words = key, words

    def shoot(self, seconds: float, press: str = "") -> None:
        """Film for some seconds. press: the key that is typed first."""
        if press:
            self._terminal.tmux("send-keys", press)
        end = time.monotonic() + seconds
        while (start := time.monotonic()) < end:
            self.still(INTERVAL)
            time.sleep(max(0.0, start + INTERVAL - time.monotonic()))

    def still(self, seconds: float) -> None:
        """Show what stands on the screen for some seconds."""
        lines = self._terminal.screen("-e", "-N").rstrip("\n").split("\n")
        frame = self._painter.frame(lines, self._key, self._words)
        if self._frames and frame.tobytes() == self._frames[-1].tobytes():
            self._seconds[-1] += seconds
        else:
            self._frames.append(frame)
            self._seconds.append(seconds)

    def save(self, path: Path) -> None:
        palette = _palette(self._frames)
        first, *others = (one.quantize(palette=palette, dither=Image.Dither.NONE) for one in self._frames)
        durations = [round(seconds * 1000) for seconds in self._seconds]
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
        print(f"{path}: {len(self._frames)} frames, {sum(self._seconds):.0f} s, {path.stat().st_size / 1e6:.2f} MB")


def _palette(frames: list[Image.Image]) -> Image.Image:
    """Return a palette. Each colour counts once for it, however few pixels have it: so thin lines keep theirs."""
    counts: Counter[Colour] = Counter()
    for frame in frames:
        for number, colour in frame.getcolors(1 << 24) or []:
            if isinstance(colour, tuple):  # as of each frame in full colours
                red, green, blue, *_ = colour
                counts[red, green, blue] += number
    exact = [colour for colour, _ in counts.most_common(EXACT)]
    every = Image.new("RGB", (len(counts), 1))
    every.putdata(list(counts))
    others = every.quantize(OTHERS, kmeans=2).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in exact for part in colour), *others[: 3 * OTHERS]])
    return palette


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tui-lab-animation-") as name:
        terminal = Terminal(Path(name), "live_curves", SIZE)
        try:
            play(terminal, Film(terminal))
        finally:
            terminal.close()


def play(terminal: Terminal, film: Film) -> None:
    terminal.type("clear; tui-lab --run experiment.yaml --node localhost 4 --detach && tui-lab")
    film.say("tui-lab", "a run at a glance: what runs, the best so far, failures, nodes")
    terminal.wait(lambda text: "exit 1  Floating" in text and _curves(text.split("\n")[5:9]))
    film.shoot(3.5)
    film.say("3", "every task, its log and its curves, while it runs")
    film.shoot(0.6, "3")
    terminal.wait(lambda text: "running" in text and _curves(text.split("\n")[6:9]))
    film.shoot(3.5, "g")
    film.say("P", "a pause: nothing more starts, running tasks may finish")
    film.shoot(2.4, "P")
    film.say("P", "and it goes on")
    film.shoot(1.5, "P")
    film.say("", "some tasks later")
    terminal.wait(lambda text: " 100% " in text.split("\n")[1])
    film.shoot(0.6)
    terminal.tmux("send-keys", "4")
    film.say("4", "which is best, and how sure that is")
    terminal.wait(lambda text: "★ best" in text and "(log)" in text)
    film.still(3.0)
    film.say(":query", "ask by SQL")
    terminal.tmux("send-keys", ":")
    for start in range(0, len(f"query {QUERY}"), 12):
        terminal.tmux("send-keys", "-l", f"query {QUERY}"[start : start + 12])
        time.sleep(0.2)
        film.still(0.15)
    terminal.tmux("send-keys", "Enter")
    terminal.wait(lambda text: "rows, 3 columns" in text)
    terminal.tmux("send-keys", "C-b")
    film.say(":query", "the answer, and its chart")
    terminal.wait(lambda text: "mean" in text or "●" in text)
    time.sleep(1)
    film.still(3.5)
    film.save(HERE / "tour.gif")
    terminal.tmux("send-keys", "Escape")
    time.sleep(1)
    terminal.tmux("send-keys", "q")
    terminal.wait(lambda text: text.rstrip("\n").endswith("$"))


def _curves(lines: list[str]) -> bool:
    """Return whether each line has a piece of a curve."""
    return all(any("\u2801" <= sign <= "\u28ff" for sign in line) for line in lines)


if __name__ == "__main__":
    main()
