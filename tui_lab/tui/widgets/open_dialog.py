"""Dialogs for files: open one, or make a new one from a template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_lab.client.formatting import shortened
from tui_lab.store import mirrors
from tui_lab.tui.base.templates import TEMPLATES, Template

MOST: Final = 200
"""Entries of a folder that are offered."""
_CSS = """
    {name} {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 96%; height: auto; max-height: 80%;
            background: $surface; border: round $primary; padding: 0 1;
            border-title-color: $text-primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & .label { color: $text-muted; padding: 0 1; }
        & Input { border: none; height: 1; margin: 0 1; background: $boost; }
        & Input:focus { border: none; background: $primary 20%; }
        & OptionList { border: none; height: auto; max-height: 14; background: transparent; padding: 0; margin: 0 1; }
        & OptionList:focus { border: none; }
    }
"""


def entries(typed: str, start: Path) -> list[str]:
    """Return completions of a path: YAML files, then folders (with a slash), then, if a name is begun, other files."""
    head, slash, tail = typed.rpartition("/")
    try:
        folder = start / Path(head + slash).expanduser()
        found = [
            (1 if entry.is_dir() else 0 if entry.suffix in (".yaml", ".yml") else 2, entry.name)
            for entry in folder.iterdir()
            if entry.name.startswith(tail) and (tail.startswith(".") or not entry.name.startswith("."))
        ]
    except (OSError, RuntimeError, ValueError):
        return []
    wanted = sorted(one for one in found if tail or one[0] < 2)
    return [head + slash + name + ("/" if kind == 1 else "") for kind, name in wanted[:MOST]]


class PathSuggester(Suggester):
    """The rest of a path, in grey behind the cursor."""

    def __init__(self, start: Path) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._start = start

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(entries(value, self._start)), None) if value else None


class OpenDialog(ModalScreen[Path | None]):
    """A path with completion; below it recent files, or what the folder holds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No", show=False),
        Binding("down", "list", "To the list", show=False),
        Binding("tab", "complete", "Complete", show=False, priority=True),
    ]
    DEFAULT_CSS = _CSS.replace("{name}", "OpenDialog")

    def __init__(self, start: Path, recent: Sequence[Path]) -> None:
        super().__init__()
        self._start = start
        self._recent = recent
        self._paths: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Open an experiment file"
            box.border_subtitle = "enter opens, esc leaves"
            yield Input(placeholder="path; tab completes it", suggester=PathSuggester(self._start), compact=True)
            yield Static(classes="label")
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        self._list("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, typed: str) -> None:
        here = entries(typed, self._start)
        recent = [] if typed else [str(path) for path in self._recent]
        if recent:
            here = [name for name in here if str(self._start / name) not in recent and not name.endswith("/")]
        self._paths = [*here, *recent]
        self.query_one(".label", Static).update("files here, and recent ones" if recent else "")
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(Content(mirrors.as_there(path))) for path in self._paths)
        options.display = bool(self._paths)
        options.highlighted = None if typed or not self._paths else 0  # which enter opens

    def action_complete(self) -> None:
        field = self.query_one(Input)
        if not field.has_focus:
            self.focus_next()
            return
        here = entries(field.value, self._start)
        if here:
            shared = here[0]
            for one in here[1:]:
                while not one.startswith(shared):
                    shared = shared[:-1]
            field.value = shared if len(shared) > len(field.value) else here[0]
            field.cursor_position = len(field.value)

    def action_list(self) -> None:
        if self.query_one(Input).has_focus:
            self.query_one(OptionList).focus()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        chosen = self.query_one(OptionList).highlighted
        if event.value.strip():
            self._choose(event.value.strip())
        elif chosen is not None:
            self._choose(self._paths[chosen])

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(self._paths[event.option_index])

    def _choose(self, typed: str) -> None:
        try:
            path = (self._start / Path(typed).expanduser()).absolute()
        except RuntimeError:
            path = self._start / typed
        try:
            path.stat()
        except FileNotFoundError:
            pass  # opening it reports that
        except (OSError, ValueError) as error:  # too long, a zero byte
            said = error.strerror if isinstance(error, OSError) else str(error)
            self.app.notify(f"{shortened(str(path), 60)}: {said}", severity="error", markup=False)
            return
        if path.is_dir():
            field = self.query_one(Input)
            field.value = typed.rstrip("/") + "/"
            field.cursor_position = len(field.value)
            field.focus()
            return
        self.dismiss(path)

    def action_no(self) -> None:
        self.dismiss(None)


class NewDialog(ModalScreen[tuple[Path, Template] | None]):
    """A template, and where the new file goes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "No", show=False)]
    DEFAULT_CSS = _CSS.replace("{name}", "NewDialog")

    def __init__(self, start: Path) -> None:
        super().__init__()
        self._start = start
        self._template: Template = TEMPLATES[0]

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "A new experiment"
            box.border_subtitle = "enter makes it, esc leaves"
            yield OptionList(
                *(
                    Option(Content.from_markup("$title  [dim]$about[/]", title=f"{one.title:<16}", about=one.about))
                    for one in TEMPLATES
                ),
                compact=True,
            )
            yield Static("File", classes="label")
            yield Input(compact=True)
            yield Static(id="taken", classes="label")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._template = TEMPLATES[event.option_index]
        self.query_one(Input).value = free_name(self._start, self._template.file)

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self._make()

    @on(Input.Submitted)
    def _make(self) -> None:
        name = self.query_one(Input).value.strip()
        if not name:
            return
        try:
            path = (self._start / Path(name).expanduser()).absolute()
            taken = path.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, no such person
            said = (isinstance(error, OSError) and error.strerror) or shortened(str(error), 60)
            self.query_one("#taken", Static).update(Content(f"{said}: give it another name"))
            return
        if taken:
            self.query_one("#taken", Static).update(Content(f"{path.name} exists already: give it another name"))
            return
        self.dismiss((path, self._template))

    def action_no(self) -> None:
        self.dismiss(None)


def free_name(folder: Path, name: str) -> str:
    """Return the name, or with a number behind its stem if it exists."""
    path, number = Path(name), 2
    while (folder / path).exists():
        path = Path(f"{Path(name).stem}{number}{Path(name).suffix}")
        number += 1
    return str(path)
