"""The pictures that tasks have written: of the task under the cursor, or of the marked ones side by side."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.strip import Strip
from textual.timer import Timer
from textual.worker import Worker, get_current_worker

from tui_lab.client.elsewhere import FileElsewhere, bring, left_on_nodes
from tui_lab.client.formatting import printable, transferred
from tui_lab.client.formatting import size as size_words
from tui_lab.results.pictures import ENDINGS, PictureError, PictureFile, Raster, find, rasterize
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.terminal import cell_size
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.picture import iterm, sixel
from tui_lab.tui.widgets.picture.blocks import half_blocks
from tui_lab.tui.widgets.picture.kitty import MARKS, Sent
from tui_lab.tui.widgets.picture.picture import Picture
from tui_lab.tui.widgets.picture.tile import Tile
from tui_lab.tui.widgets.picture.way import Way, find_way

BESIDE: Final = 5  # tasks whose pictures stand side by side
NARROWEST: Final = 14  # cells of a picture
KEPT: Final = 16  # drawn pictures
MOST_SENT: Final = 1_000_000  # pixels of a picture that the terminal gets, if it can enlarge it
MOST_IN_TMUX: Final = 8  # sixels: it forgets the first of ten
LONGEST_IN_TMUX: Final = 1 << 20  # bytes of a sixel: it leaves out longer ones
FETCHED: Final = 5_000_000  # bytes of a picture that is fetched from the machine of the lab without a question
LOOK: Final = 2.0  # seconds between looks at files that may change
TOLD: Final = 0.25  # seconds between words on how far a picture is loaded
REST: Final = 0.1  # seconds that a size stays before pictures are made for it


class Shown(NamedTuple):
    """A task whose pictures are shown. node: where it ran, if that is another machine."""

    address: str
    folder: Path
    node: str | None = None


class Found(NamedTuple):
    """The pictures of a task, by their names: those that are here, and those that are not."""

    task: Shown
    pictures: dict[str, PictureFile]
    elsewhere: dict[str, FileElsewhere]  # those that are fetched only if the user wants them


class Drawn(NamedTuple):
    """A picture as cells, and what the terminal paints over them."""

    lines: list[Strip]
    tiles: Sequence[Tile] = ()


class GivenUpError(Exception):
    """Raised where the user no longer wants what is loaded."""


class TaskPictures(Panel):
    """One picture of each of a few tasks, all of the same name. Files are found and read in a thread, one at a time,
    while the panel is shown."""

    DEFAULT_CSS = "TaskPictures > Horizontal { height: 1fr; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._asked: tuple[Shown, ...] = ()
        self._tasks: tuple[Shown, ...] = ()  # of these, those for which there is room
        self._found: list[Found] = []
        self._chosen = ""  # of the picture that is shown
        self._drawn: OrderedDict[object, Drawn | str] = OrderedDict()
        self._sent: dict[object, Sent] = {}  # of these, what the terminal has
        self._way: Way | None = None  # not known yet
        self._ground = (0, 0, 0)
        self._finding: Worker[None] | None = None
        self._one_at_a_time = threading.Lock()
        self._looking: Worker[None] | None = None
        self._resting: Timer | None = None
        self._left: dict[Shown, list[FileElsewhere]] = {}  # what tasks have left on nodes
        self._loading: threading.Event | None = None  # set once it is given up
        self._loads_one = threading.Lock()

    def compose(self) -> ComposeResult:
        with Horizontal():
            for _ in range(BESIDE):
                yield Picture()

    def on_mount(self) -> None:
        self.set_interval(LOOK, self._look_again)
        self.app.app_resume_signal.subscribe(self, self._send_again)
        for picture in self._pictures[1:]:
            picture.display = False

    @property
    def _pictures(self) -> list[Picture]:
        return list(self.query(Picture))

    @property
    def names(self) -> list[str]:
        """The names of all pictures of the tasks."""
        return _names(self._found)

    def focus_first(self) -> None:
        """Give the focus to the first picture."""
        self._pictures[0].focus()

    def open(self, tasks: Sequence[Shown]) -> None:
        """Show the pictures of some tasks; nothing is read if they are shown already."""
        self._asked = tuple(tasks)
        wanted = self._asked[: max(1, min(BESIDE, self.size.width // NARROWEST or BESIDE))]
        if wanted == self._tasks:
            return
        self._tasks, self._found = wanted, []
        for number, picture in enumerate(self._pictures):
            picture.display = number == 0 or number < len(wanted)
            picture.say(self._owner(wanted[number]) if number < len(wanted) else "", "looking for pictures")
        self._say()
        self.call_after_refresh(self._start)

    def step(self, by: int) -> None:
        """Show the next picture, or one before."""
        names = self.names
        if names:
            number = names.index(self._chosen) if self._chosen in names else 0
            self._chosen = names[(number + by) % len(names)]
            self._say()
            self._start()

    def on_resize(self) -> None:
        super().on_resize()
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._fit)

    def _fit(self) -> None:
        before = self._tasks
        self.open(self._asked)
        if self._tasks == before:
            self._start()

    # --- Reading, in a thread

    def _look_again(self) -> None:
        if self.is_on_screen and (self._looking is None or self._looking.is_finished):
            self._start()

    def _start(self) -> None:
        if not self._tasks or not self.is_on_screen:
            return
        if self._way is None:
            if self._finding is None or self._finding.is_finished:
                self._finding = self._find_way()
        else:
            ascii_only = host_of(self).config.ascii
            sizes = [picture.pixels for picture in self._pictures]
            self._ground = self._pictures[0].background_colors[1].rgb
            self._looking = self._look(self._tasks, self._chosen, sizes, ascii_only)

    @work(thread=True, exclusive=True, group="pictures")
    def _look(self, tasks: tuple[Shown, ...], name: str, sizes: list[tuple[int, int]], ascii_only: bool) -> None:
        worker = get_current_worker()
        found = [self._find(one) for one in tasks]
        names = _names(found)
        name = name if name in names else names[0] if names else ""
        deliver(self, self._take_found, found, name)
        for number, one in enumerate(found):
            with self._one_at_a_time:
                if worker.is_cancelled:
                    return
                file = None if name in one.elsewhere else one.pictures.get(name)
                deliver(self, self._take, number, one, self._draw(file, sizes[number], ascii_only))

    def _find(self, shown: Shown) -> Found:
        """Find the pictures of a task; bring those here that are not large."""
        host, larger = mirrors.bring(shown.folder, FETCHED, ENDINGS)
        elsewhere = {name: FileElsewhere(name, size, host, mtime) for name, size, mtime in larger}
        if shown.node is not None:
            if shown not in self._left:
                with suppress(LabError, OSError):
                    self._left[shown] = left_on_nodes(shown.folder, ENDINGS)
            elsewhere |= {one.name: one for one in self._left.get(shown, ())}
        here = {file.name: file for file in find(shown.folder)}
        if not mirrors.in_mirror(shown.folder):
            elsewhere = {name: one for name, one in elsewhere.items() if name not in here}  # it was fetched since
        return Found(shown, here, elsewhere)

    # --- Loading what is large, or on a node

    def load(self) -> None:
        """Load the picture of the name that is shown, of all tasks that have it elsewhere."""
        wanted = [(number, one) for number, one in enumerate(self._found) if self._chosen in one.elsewhere]
        if wanted and self._loading is None:
            self._loading = threading.Event()
            for number, one in wanted:
                self._say_loading(number, one, self._chosen, 0, 0.0)
            self._say()
            self._load(wanted, self._chosen, host_of(self).command_environment(), self._loading)

    def give_up(self) -> bool:
        """Load no more; return whether something was loading."""
        if self._loading is None:
            return False
        self._loading.set()
        self._loaded(self._loading, "")
        for number, one in enumerate(self._found):  # at once: the machine may not answer
            if (file := one.elsewhere.get(self._chosen)) is not None:
                self._offer(number, one, file)
        return True

    @work(thread=True, group="loading")
    def _load(
        self, wanted: list[tuple[int, Found]], name: str, environment: dict[str, str], ended: threading.Event
    ) -> None:
        worker, trouble = get_current_worker(), ""
        with self._loads_one, suppress(GivenUpError):
            for number, one in wanted:
                began, told = time.monotonic(), 0.0

                def say(came: int, number: int = number, one: Found = one, began: float = began) -> None:
                    nonlocal told
                    if ended.is_set() or worker.is_cancelled:
                        raise GivenUpError
                    if time.monotonic() - told > TOLD:
                        told = time.monotonic()
                        deliver(self, self._say_loading, number, one, name, came, told - began)

                try:
                    say(0)
                    bring(one.task.folder, one.elsewhere[name], environment, say)
                except (LabError, OSError) as error:
                    trouble = str(error)
        deliver(self, self._loaded, ended, trouble)

    def _say_loading(self, number: int, one: Found, name: str, came: int, took: float) -> None:
        if self._loading is not None and name == self._chosen and one.task in self._tasks:
            file = one.elsewhere[name]
            words = f"loading {printable(file.name)} from {printable(file.host)}: "
            self._pictures[number].say(self._owner(one.task), words + transferred(came, file.size, took))

    def _loaded(self, ended: threading.Event, trouble: str) -> None:
        if ended is not self._loading:
            return  # it was given up
        self._loading = None
        self._say()
        if trouble:
            host_of(self).tell(trouble, "error")
        self._start()

    def _draw(self, file: PictureFile | None, size: tuple[int, int], ascii_only: bool) -> Drawn | str | None:
        """Return a picture, or why there is none; None where there is no such file."""
        if file is None:
            return None
        if min(size) < 2:  # it has not been laid out yet
            return ""
        cell = cell_size()
        key = (file, size, cell, ascii_only, self._ground)
        if key not in self._drawn:
            try:
                if self._way == "off":
                    self._drawn[key] = "pictures are off: images in config.toml"
                elif self._way == "blocks":
                    self._drawn[key] = Drawn(half_blocks(rasterize(file, *size), ascii_only))
                else:
                    self._drawn[key] = self._in_pixels(key, file, size, cell)
            except PictureError as error:
                self._drawn[key] = printable(str(error))
            while len(self._drawn) > KEPT:
                self._forget(self._drawn.popitem(last=False)[0])
        self._drawn.move_to_end(key)
        return self._drawn[key]

    # --- Terminals that show pixels

    @work(exclusive=True, group="way of pictures")
    async def _find_way(self) -> None:
        host = host_of(self)
        way = "blocks" if host.terminal.is_plain and host.config.images != "off" else host.config.images
        self._way = await find_way(way, os.environ, host.terminal.shows_all_colours, host.terminal.questions)
        self._start()

    def _in_pixels(self, key: object, file: PictureFile, size: tuple[int, int], cell: tuple[int, int]) -> Drawn:
        """Return a picture that the terminal shows with all pixels for which there is room."""
        width, height = cell
        columns, rows = min(size[0], len(MARKS)), min(size[1] // 2, len(MARKS))
        in_tmux = self._way == "sixel" and bool(os.environ.get("TMUX"))
        # tmux takes a sixel's bands for its height. A row more would be painted over, and the picture lost.
        step = sixel.whole_rows(height) if in_tmux else 1
        rows = rows // step * step or rows
        room = columns * width, rows * height
        finer = 1.0 if self._way == "sixel" else min(1.0, (MOST_SENT / (room[0] * room[1])) ** 0.5)
        raster = rasterize(file, *(int(length * finer) for length in room))
        columns = min(ceil(raster.width / finer / width), columns)
        rows = min(ceil(raster.height / finer / height), rows)
        if self._way == "kitty":
            sent = self._sent[key] = Sent(raster, (columns, rows))
            host_of(self).write_to_terminal(sent.sequence(os.environ))
            return Drawn(sent.lines())
        lines = half_blocks(_coarse(raster, columns, 2 * rows), ascii_only=False)
        if in_tmux:
            whole = -(-rows // step) * step
            if whole > size[1] // 2:
                return Drawn(lines)
            tiles = sixel.tiles(sixel.padded(raster, columns * width, whole * height, self._ground), cell)
            if len(tiles) * len(self._tasks) > MOST_IN_TMUX or any(
                len(one.sequence) >= LONGEST_IN_TMUX for one in tiles
            ):
                return Drawn(lines)
            return Drawn([*lines, *[Strip.blank(columns)] * (whole - rows)], tiles)
        return Drawn(lines, sixel.tiles(raster, cell) if self._way == "sixel" else iterm.tiles(raster, columns, rows))

    def _forget(self, key: object) -> None:
        if (sent := self._sent.pop(key, None)) is not None:
            host_of(self).write_to_terminal(sent.removal(os.environ))

    def _send_again(self, _: object) -> None:
        """Send all again: while another program had the terminal, it may have lost them."""
        self._drawn.clear()
        self._sent.clear()
        self._start()

    def on_unmount(self) -> None:
        for key in list(self._sent):
            self._forget(key)

    # --- What was read

    def _take_found(self, found: list[Found], name: str) -> None:
        self._found, self._chosen = found, name
        self._say()

    def _take(self, number: int, one: Found, drawn: Drawn | str | None) -> None:
        picture, title = self._pictures[number], self._owner(one.task)
        if isinstance(drawn, Drawn):
            picture.draw(title, *drawn)
        elif drawn is not None:
            picture.say(title, drawn)
        elif (file := one.elsewhere.get(self._chosen)) is not None:
            if self._loading is None:
                self._offer(number, one, file)
        else:
            picture.say(title, self._nothing(one))

    def _offer(self, number: int, one: Found, file: FileElsewhere) -> None:
        what = f"{printable(file.name)} is on {printable(file.host)}"
        self._pictures[number].say(
            self._owner(one.task), f"{what}: {host_of(self).key('tasks.load_picture')} loads {size_words(file.size)}"
        )

    def _owner(self, task: Shown) -> str:
        return task.address if len(self._tasks) > 1 else ""

    def _nothing(self, one: Found) -> str:
        if one.pictures or self._chosen:
            return "it has no picture of this name"
        return "it has written no picture into its folder ($TUI_LAB_OUTPUT)"

    def _say(self) -> None:
        names = self.names
        of = self._tasks[0].address if len(self._tasks) == 1 else f"{len(self._tasks)} tasks"
        if len(self._asked) > len(self._tasks):
            of = f"{len(self._tasks)} of {len(self._asked):,} tasks"
        words = [Content.styled(f"Pictures of {of}" if self._tasks else "Pictures", "bold")]
        if self._chosen in names:
            several = [(one.elsewhere, one.pictures) for one in self._found]
            file = next(files[self._chosen] for both in several for files in both if self._chosen in files)
            many = f"  {names.index(self._chosen) + 1} of {len(names)}" if len(names) > 1 else ""
            words.append(
                Content.styled(f"  {printable(self._chosen)}  {size_words(file.size)}{many}", f"not bold {MUTED}")
            )
        self.set_title(Content.assemble(*words))
        absent = any(self._chosen in one.elsewhere for one in self._found)
        load, log = (host_of(self).key(f"tasks.{action}") for action in ("load_picture", "pictures"))
        more = "[ ] next, " if len(names) > 1 else ""
        loads = (
            f"{load} loads it, " if self._loading is None else f"{host_of(self).key('tasks.back')} loads it no more, "
        )
        self.set_subtitle((loads if absent else "") + f"{more}{log} log")


def _names(found: Sequence[Found]) -> list[str]:
    return sorted({name for one in found for name in (*one.pictures, *one.elsewhere)})


def _coarse(raster: Raster, width: int, height: int) -> Raster:
    """Return the same with other pixels."""
    from PIL import Image

    picture = Image.frombytes("RGB", (raster.width, raster.height), raster.pixels)
    return Raster(width, height, picture.resize((width, height), Image.Resampling.BOX).tobytes())
