"""The pane that is shown before anything has run: three ways to begin, and the runs of this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

import tui_lab
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.formatting import MUTED, home, short
from tui_lab.tui.base.pane import Pane
from tui_lab.tui.base.workers import work
from tui_lab.tui.widgets.menu import Menu

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot

EXAMPLE: Final = "basic_usage"
PATH: Final = 46  # cells of a lab's path in the menu

CHOICES: Final = (
    ("e", "Open the example", "a sweep over a mock training, to play with"),
    ("c", "Paste a command", "your command; its numbers become parameters"),
    ("o", "Open a file", "an existing experiment.yaml"),
)


class WelcomePane(Pane, can_focus=False):
    """The pane that offers an example, a file or a command to begin with."""

    NAME = "welcome"
    TITLE = "Welcome"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("welcome.example", "e", "Example", "Write the example into a folder here, and open it.", listed=False),
        Action("welcome.command", "c", "Command", "Make an experiment of a command line.", listed=False),
        Action("welcome.file", "o", "File", "Open an experiment file.", listed=False),
        Action("welcome.attach", "a", "Attach", "Show a running experiment of this machine.", listed=False),
    )
    HELP = """
An **experiment** is a YAML file: a command with parameters, the values that each may take, and patterns that say which
numbers to read from the output. One run of the command is a **task**. Tasks run on this machine, or on others.

Every run is kept in a **lab**, a folder. The panes 0 to 7 look at it.
"""
    DEFAULT_CSS = """
    WelcomePane {
        align: center middle;
        & > Vertical { width: 76; max-width: 100%; height: auto; padding: 0 2; }
        & .title { text-style: bold; color: $text-primary; }
        & .text { color: $text-muted; margin-bottom: 1; }
        & Menu { height: auto; margin-bottom: 1; }
    }
    """

    labs: tuple[Path, ...] = ()  # of this machine, where something is going

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Welcome to TUI Lab", classes="title")
            yield Static("Try the settings of a program, all of them, and see which is best.", classes="text")
            yield Menu(*(offer(*choice) for choice in CHOICES), compact=True)
            place = f"Results will be kept in {home(self.lab_app.lab_path)}: a folder, made by the first run."
            yield Static(Content(place), classes="text")

    def on_mount(self) -> None:
        self.call_after_refresh(self._find_labs)

    @work(thread=True)
    def _find_labs(self) -> None:
        self.labs = running_labs(self.lab_app.lab_path)
        if self.labs:
            attach = offer("a", "Attach to a run", short(home(self.labs[0]), PATH))
            self.app.call_from_thread(self.query_one(Menu).add_option, attach)
            self.app.call_from_thread(self.refresh_bindings)

    def focus_first(self) -> None:
        self.query_one(Menu).focus()

    def show(self, snapshot: LabSnapshot) -> None:
        if snapshot.experiments:  # someone has begun
            self.lab_app.show_pane("tasks")

    @on(OptionList.OptionSelected)
    async def _selected(self, event: OptionList.OptionSelected) -> None:
        await self.run_action(("example", "command", "file", "attach")[event.option_index])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.labs) if action == "attach" else True

    def action_example(self) -> None:
        try:
            self.lab_app.open_file(write_example(Path.cwd()))
        except OSError as error:
            self.lab_app.tell(f"{error.filename}: {error.strerror}", "error")

    @work
    async def action_command(self) -> None:
        from tui_lab.experiment.widening import first_value
        from tui_lab.tui.panes.welcome.paste import PasteCommand

        text = await self.app.push_screen_wait(PasteCommand())
        if text:
            try:
                path = write_new(Path.cwd() / "experiment.yaml", text)
                self.lab_app.open_file(path, first_value(text, path.name))  # the cursor stands where more is typed
            except OSError as error:
                self.lab_app.tell(f"{error.filename}: {error.strerror}", "error")

    @work
    async def action_file(self) -> None:
        from tui_lab.tui.base.recent import recent_files
        from tui_lab.tui.widgets.open_dialog import OpenDialog

        path = await self.app.push_screen_wait(OpenDialog(Path.cwd(), recent_files()))
        if path is not None:
            self.lab_app.open_file(path)

    @work
    async def action_attach(self) -> None:
        from tui_lab.tui.widgets.dialogs import Choose

        if not self.labs:
            return
        chosen: str | None = str(self.labs[0])
        if len(self.labs) > 1:
            choices = [(str(path), home(path)) for path in self.labs]
            chosen = await self.app.push_screen_wait(Choose("Runs of this machine", choices))
        if chosen:
            self.lab_app.change_lab(Path(chosen))


def offer(key: str, title: str, what: str) -> Option:
    """Return a line of the menu."""
    return Option(Content.assemble((f" {key}  ", "bold $text-accent"), f"{title:<18}", (what, MUTED)))


def example_folder() -> Path:
    """Return the folder of the example in this package."""
    return Path(tui_lab.__file__).parent / "examples" / EXAMPLE


def write_example(folder: Path) -> Path:
    """Copy the example into a folder, unless it is there; return its experiment file. Raises OSError."""
    target = folder / EXAMPLE
    target.mkdir(exist_ok=True)
    for source in sorted(example_folder().iterdir()):
        if source.is_file() and not (target / source.name).exists():
            shutil.copyfile(source, target / source.name)
            if source.suffix == ".py":  # a wheel does not keep the mode
                (target / source.name).chmod(0o755)
    return target / "experiment.yaml"


def write_new(path: Path, text: str) -> Path:
    """Write a file under this name, or the next free one. Raises OSError."""
    free, number = path, 2
    while True:
        try:
            with open(free, "x", encoding="utf-8") as file:
                file.write(text)
            return free
        except FileExistsError:
            free, number = path.with_stem(f"{path.stem}-{number}"), number + 1


def running_labs(besides: Path) -> tuple[Path, ...]:
    """Return labs of this user on this machine whose engine is running."""
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if entry.stat().st_uid == os.getuid() and b"tui_lab.client.engine" in words:
                found.append(Path(os.fsdecode(words[words.index(b"tui_lab.client.engine") + 1])))
        except (OSError, IndexError):
            continue
    return tuple(sorted({path for path in found if (path / "lab.json").exists() and path != besides.absolute()}))
