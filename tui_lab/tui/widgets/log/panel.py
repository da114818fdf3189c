"""The log of the task under the cursor: its outputs, its result, and the keys to search them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.widgets import Input, Static
from textual.worker import Worker, get_current_worker

from tui_lab.client.formatting import printable, span
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.task_files import TaskFile
from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.base.empty import Instead
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.widgets.log import scan
from tui_lab.tui.widgets.log.choice import STREAMS, Choice, Output, TaskDetail, facts_line, most_relevant, outputs
from tui_lab.tui.widgets.log.document import TITLE, Document, Part, Place
from tui_lab.tui.widgets.log.local_file import SILENCE, Bytes, LocalFile, Readable, after, in_thread
from tui_lab.tui.widgets.log.remote import Ask, RemoteFile
from tui_lab.tui.widgets.log.scan import ERRORS, LineNumbers, Needle
from tui_lab.tui.widgets.log.view import LogView
from tui_lab.tui.widgets.panels.panel import Panel


# --- Searching all outputs of a document, from where someone looks, round its end
def seek(
    document: Document, needle: Needle, start: Place, direction: int, first: bool, going: Callable[[], bool]
) -> tuple[Place | None, bool]:
    """Return the next line with the needle in a direction, and whether the search went round. first: the line at the
    start counts."""
    parts, count = document.parts, len(document.parts)
    if not count:
        return None, False
    for turn in range(count + 1):
        number = (start.part + direction * turn) % count
        file = in_thread(parts[number].file, going)
        if turn == 0:
            offset = max(start.offset, file.start)
            if direction > 0 and not first and start.offset != TITLE:
                offset = _line_end(file, offset)
        else:
            offset = file.start if direction > 0 else file.size
        look = scan.find if direction > 0 else scan.find_back
        found = look(file, needle, offset, going)
        if found is not None:
            at = Place(number, found)
            return at, turn > 0 and (at <= start if direction > 0 else at >= start)
        if not going():
            break
    return None, False


def _line_end(file: Bytes, offset: int) -> int:
    lines = after(file, offset, 1)
    return lines[0].end if lines else file.size


LOOK: Final = 0.25  # seconds between looks at files that may grow
SELDOM: Final = 1.0  # seconds between looks at those of a task that does not run, and questions to another machine


def _action(name: str, keys: str, label: str, help: str, call: str = "", shown: bool = False) -> Action:
    return Action(f"log.{name}", keys, label, help, shown=shown, call=call or name, listed=False)


class LogPanel(Panel):
    """connect: gives the engine's `request`, or None where no engine runs; called in threads."""

    ACTIONS: ClassVar[tuple[Action, ...]] = (
        _action("search", "slash", "Search", "Search in the log.", shown=True),
        _action("next", "n", "Next", "To the next match.", "again(1)"),
        _action("previous", "N", "Previous", "To the previous match.", "again(-1)"),
        _action("error", "e", "Next error", "To the next line that mentions an error.", "error(1)", shown=True),
        _action("error_back", "E", "Previous error", "To the previous line that mentions an error.", "error(-1)"),
        _action("stream", "o", "Stream", "Standard output, standard error, or both.", shown=True),
        _action("older", "left_square_bracket", "Older attempt", "The previous attempt.", "attempt(-1)"),
        _action("newer", "right_square_bracket", "Newer attempt", "The next attempt.", "attempt(1)"),
        _action("step", "p", "Step", "All steps of the task, or one of them."),
    )
    BINDINGS = bindings(ACTIONS)
    DEFAULT_CSS = """
    LogPanel {
        & > #log-command { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #log-search { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
        & > #log-search.-open { display: block; }
    }
    """

    def __init__(
        self,
        id: str | None = None,
        connect: Callable[[], Ask | None] = lambda: None,
        searching: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """searching: called when a search begins and ends, whose hit the next key may be meant for."""
        super().__init__(id=id)
        self.connect, self._searching = connect, searching
        self._view = LogView(id="log-view")
        self.detail: TaskDetail | None = None
        self.choice = Choice()
        self.news = ""  # what a search found out
        self._files: dict[str, Readable] = {}
        self._numbers: dict[str, LineNumbers] = {}
        self._shown: list[str] = []
        self._answered: list[bool] = []  # of those that are shown, when they were arranged
        self._silence = 0  # seconds for which a file has not answered
        self._origin = Place(0, 0)
        self._wanted: Needle | None = None  # what is looked for, found or not
        self._ascii = False
        self._fetching = False
        self.lead = Text()  # before the title

    def compose(self) -> ComposeResult:
        yield Static(id="log-command")
        yield self._view
        yield Input(id="log-search", placeholder="search", compact=True)

    def on_mount(self) -> None:
        self._ascii = bool(getattr(getattr(self.app, "config", None), "ascii", False))
        self._often = self.set_interval(LOOK, self._look, pause=True)
        self.set_interval(SELDOM, self._look_seldom)
        self.clear("no task")

    def on_unmount(self) -> None:
        self._close()

    @property
    def view(self) -> LogView:
        """The window on the outputs."""
        return self._view

    # --- The task

    def clear(self, note: Instead) -> None:
        """Show no task, and a note in its place."""
        self.detail = None
        self._often.pause()
        self._close()
        self.view.open(Document(()), note=note)
        self._say()

    def open(self, detail: TaskDetail) -> None:
        """Show a task; the same one with newer facts keeps its place."""
        before, self.detail = self.detail, detail
        if detail.running:
            self._often.resume()
        else:
            self._often.pause()
        same = before is not None and (before.experiment, before.task) == (detail.experiment, detail.task)
        if not same:
            self.choice = replace(self.choice, attempt=None, step=None)
            self.view.needle = self._wanted = None
        moved = not same or (before is not None and before.attempts != detail.attempts)
        self._arrange(at_end=True, force=moved)
        if moved:
            self.view.follow = detail.running
        elif before is not None and before.running and not detail.running:
            self._drop_remote()
        if moved and mirrors.in_mirror(detail.folder):
            self._fetch_more()

    def tick(self, duration: float | None) -> None:
        """Say how long the task has been running."""
        if self.detail is not None and self.detail.running:
            self.detail = replace(self.detail, duration=duration)
            self._say()

    def _arrange(self, at_end: bool, force: bool = False) -> None:
        """Choose the files to show."""
        detail = self.detail
        if detail is None:
            return
        wanted = outputs(detail, self.choice)
        if force:
            self._close()
        changed = [self._file(detail, output).refresh() for output in wanted]
        if self.choice.streams is None:
            filled = [output for output in wanted if self._files[output.name].size]
            stream = most_relevant(detail, filled)
            wanted = [output for output in wanted if output.stream == stream]
        names = [output.name for output in wanted]
        parts = [Part(name, self._files[name]) for name in names]
        answered = [not isinstance(part.file, LocalFile) or part.file.known for part in parts]
        if force or names != self._shown or answered != self._answered:
            self._shown, self._answered = names, answered
            self.view.open(Document(parts, self._ascii), at_end, self._note())  # and `_moved` says the rest
        else:
            if any(changed):
                self.view.grown()
            self._say()

    def _file(self, detail: TaskDetail, output: Output) -> Readable:
        if output.name not in self._files:
            path = TaskFile(str(detail.folder), output.name)
            self._files[output.name] = LocalFile(path, lambda: self.call_later(self._came))
            self._numbers[output.name] = LineNumbers(self._files[output.name])
        return self._files[output.name]

    def _came(self) -> None:
        """Take in what files have answered after the screen stopped waiting."""
        files = [file for file in self._files.values() if isinstance(file, LocalFile)]
        known = [file.known for file in files]
        changed = [file.take_in() for file in files]
        if any(changed) or known != [file.known for file in files]:
            self.news = ""
            self._arrange(at_end=True)
            self.view.grown()
        self.view.came()
        self._say()

    def _note(self) -> str:
        detail = self.detail
        if detail is None:
            return "no task"
        if not detail.attempts and (address := detail.blocked_by) is not None:
            stage = address.rpartition(":")[2]
            return f"{stage} has not ended well: `tui-lab logs {address}` says why"
        if not detail.attempts:
            return "it has not begun"
        if mirrors.in_mirror(detail.folder) and not all(isinstance(one, RemoteFile) for one in self._files.values()):
            return "its output is on the other machine"
        if not all(self._answered):
            return "..." if self._ascii else "…"
        for output in outputs(detail, self.choice):
            file = self._files.get(output.name)
            if isinstance(file, LocalFile) and file.trouble:
                return f"{output.name} can't be read: {printable(file.trouble)}"
        return "it has printed nothing yet" if detail.running else "it printed nothing here"

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files, self._numbers, self._shown = {}, {}, []

    # --- Growth

    def _look_seldom(self) -> None:
        if self.detail is None or not self.detail.running:
            self._look()
        self._fetch_more()

    def _look(self) -> None:
        silence = int(max((file.silence for file in self._files.values() if isinstance(file, LocalFile)), default=0))
        silence = silence if silence >= SILENCE else 0
        if silence != self._silence:
            self._silence = silence
            self._say()
        if self.detail is None or not self.is_on_screen:
            return
        changed = [file.refresh() for file in self._files.values()]
        if any(changed):
            if self.choice.streams is None:
                self._arrange(at_end=True)
            self.view.grown()

    def _fetch_more(self) -> None:
        detail = self.detail
        if detail is None or not detail.attempts:
            return
        missing = [name for name, file in self._files.items() if not (isinstance(file, LocalFile) and file.is_open)]
        if mirrors.in_mirror(detail.folder):
            missing = [name for name in missing if detail.running or not self._is_whole(name)]
        elif not detail.running or self.choice.attempt not in (None, detail.attempts):
            return
        if self.is_on_screen and missing and not self._fetching:
            self._fetching = True
            self._fetch(detail, missing)

    def _is_whole(self, name: str) -> bool:
        file = self._files[name]
        return isinstance(file, RemoteFile) and file.whole

    @work(thread=True, group="fetch")
    def _fetch(self, detail: TaskDetail, names: list[str]) -> None:
        try:
            names = [one for one in names if TaskFile(str(detail.folder), one).size is None]  # some may have come since
            ask = self.connect() if names else None
            if ask is not None:
                for name in names:
                    self._fetch_one(ask, detail, name)
        except (LabError, OSError, ValueError, LookupError):
            pass  # the engine has gone, or no other machine has it: what is here stays
        finally:
            self._fetching = False
            if self.detail is not detail and mirrors.in_mirror(detail.folder):
                deliver(self, self._fetch_more)  # meanwhile another task is shown

    def _fetch_one(self, ask: Ask, detail: TaskDetail, name: str) -> None:
        held = self._files.get(name)
        new = not isinstance(held, RemoteFile)
        file = RemoteFile(detail.experiment, detail.task, detail.attempts, name) if new else held
        assert isinstance(file, RemoteFile)
        try:
            file.fetch(ask)
            if self.view.top.offset <= file.start:
                file.fetch_before(ask)
        except (LabError, OSError, ValueError, LookupError):
            if new:
                file.close()
            raise
        self.app.call_from_thread(self._take, detail, name, file)

    def _take(self, detail: TaskDetail, name: str, file: RemoteFile) -> None:
        now = self.detail
        shown = now is not None and (detail.experiment, detail.task, detail.attempts)
        wanted = now is not None and (now.running or mirrors.in_mirror(now.folder))
        if now is None or not wanted or shown != (now.experiment, now.task, now.attempts) or name not in self._files:
            file.close()  # meanwhile another task is shown, or this one has ended: its output is in the lab
        elif self._files.get(name) is not file:
            self._files[name] = file
            self._numbers[name] = LineNumbers(file)
            self._shown = []
            self._arrange(at_end=True)

    def _drop_remote(self) -> None:
        """The task has ended: its outputs are fetched whole, but to a mirror."""
        if self.detail is not None and mirrors.in_mirror(self.detail.folder):
            for file in self._files.values():
                if isinstance(file, RemoteFile):
                    file.whole = False
        elif any(isinstance(file, RemoteFile) for file in self._files.values()):
            self._arrange(at_end=True, force=True)

    # --- Choosing

    def action_stream(self) -> None:
        if self.detail is None:
            return
        current = self.choice.streams or (self._shown[0].split(".")[-1] if self._shown else "stdout")
        if current not in STREAMS:
            current = "stderr" if self._shown and "stderr" in self._shown[0] else "stdout"
        following = STREAMS[(STREAMS.index(current) + 1) % len(STREAMS)]
        self.choose(replace(self.choice, streams=following))

    def action_attempt(self, by: int) -> None:
        if self.detail is not None and self.detail.attempts:
            current = self.choice.attempt or self.detail.attempts
            self.choose(replace(self.choice, attempt=max(1, min(current + by, self.detail.attempts))))

    def action_step(self) -> None:
        if self.detail is not None:
            names: list[str | None] = [None, *(step for step in self.detail.steps if step is not None)]
            following = names[(names.index(self.choice.step) + 1) % len(names)] if len(names) > 1 else None
            self.choose(replace(self.choice, step=following))

    def choose(self, choice: Choice) -> None:
        """Show other outputs of the task."""
        self.choice = choice
        self._arrange(at_end=True, force=True)

    # --- Lines, to show the same one in several logs

    @property
    def line_counts(self) -> tuple[int, ...] | None:
        """How many lines each of its outputs has; None where that is not known: it is found out then."""
        totals = [self._numbers[name].total for name in self._shown]
        for name, total in zip(self._shown, totals, strict=True):
            size = self._files[name].size
            if total is None and self._numbers[name].wanted(size):
                self._count(name, size)
                break
        found = tuple(total for total in totals if total is not None)
        return found if len(found) == len(totals) else None

    @property
    def line(self) -> tuple[int, int] | None:
        """The output at the top of the window, and the number of its line there: 0 for its title. None where that is
        not known."""
        place = self.view.top
        if not self._shown:
            return None
        number = 0 if place.offset == TITLE else self._numbers[self._shown[place.part]].number(place.offset)
        return None if number is None else (place.part, number)

    def show_line(self, part: int, number: int, sideways: int) -> None:
        """Put a line of an output at the top of the window."""
        if part < len(self._shown):
            offset = self._numbers[self._shown[part]].offset(number) if number else TITLE
            if offset is not None:
                self.view.go(Place(part, offset), sideways)

    # --- Searching

    def action_search(self) -> None:
        field = self.query_one("#log-search", Input)
        field.add_class("-open")
        field.focus()
        self._origin = self.view.hit or self.view.top

    def action_leave_search(self) -> None:
        self.query_one("#log-search", Input).remove_class("-open")
        self.view.focus()

    @on(Input.Changed, "#log-search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value:
            self._search(Needle((event.value,)), self._origin, 1, first=True)

    @on(Input.Submitted, "#log-search")
    def _sought(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave_search()

    def action_again(self, direction: int) -> None:
        needle = self.view.needle or self._wanted
        if needle is not None:
            self._search(needle, self.view.hit or self.view.top, direction)
        else:
            self.action_search()

    def action_error(self, direction: int) -> None:
        start = self.view.hit if self.view.hit is not None else self.view.top
        first = self.view.hit is None and direction > 0
        self._search(Needle(ERRORS), start, direction, first=first)

    def _search(self, needle: Needle, start: Place, direction: int, first: bool = False) -> None:
        self._wanted = needle
        if not all(self._answered):
            self.news = "not read yet"
            self._say()
            return
        self.news = "searching"
        self._say()
        self._searching(True)
        self._seek(self.view.document, needle, start, direction, first)

    @work(thread=True, exclusive=True, group="search")
    def _seek(self, document: Document, needle: Needle, start: Place, direction: int, first: bool) -> None:
        worker = get_current_worker()
        found, round_ = seek(document, needle, start, direction, first, lambda: not worker.is_cancelled)
        deliver(self, self._found, document, needle, found, round_)

    def _found(self, document: Document, needle: Needle, place: Place | None, round_: bool) -> None:
        self._searching(False)
        if document is not self.view.document:
            return
        if place is None:
            self.view.needle = needle
            self.news = f'no "{needle.words[0]}"' if len(needle.words) == 1 else "no error"
            self.view.changed()
        else:
            self.news = "from the other end" if round_ else ""
            self.view.show(place, needle)
        self._say()

    # --- Messages

    @on(LogView.Moved)
    def _moved(self) -> None:
        self._say()
        rows = self.view.rows
        if rows and rows[0].item.line is not None and self._shown:
            name = self._shown[rows[0].item.place.part]
            if self._numbers[name].wanted(rows[0].item.line.start):
                self._count(name, rows[0].item.line.start)

    @work(thread=True, exclusive=True, group="count")
    def _count(self, name: str, offset: int) -> None:
        worker: Worker[None] = get_current_worker()
        self._numbers[name].count(offset, lambda: not worker.is_cancelled)
        deliver(self, self._say)

    def _say(self) -> None:
        try:
            command = self.query_one("#log-command", Static)
        except NoMatches:
            return
        detail = self.detail
        if detail is None:
            self.set_title(self.lead + Text("Log"))
            self.set_subtitle("")
            command.update("", layout=False)
            return
        self.set_title(self.lead + facts_line(detail, self.choice, self._ascii))
        self.set_subtitle(self._standing())
        script = " ; ".join(detail.commands).replace("\n", " \\n " if self._ascii else " ↵ ")
        command.update(Text("$ " + printable(script)), layout=False)

    def _standing(self) -> str:
        view = self.view
        words = [f"its file system has not answered for {span(self._silence)}"] if self._silence else []
        words += [self.news] if self.news else []
        shown = [self._shown[0]] if len(self._shown) == 1 else ["both"] if self._shown else []
        words += [self.choice.step] if self.choice.step else []
        words += shown
        words += ["follow"] if view.follow else []
        words += ["wrap"] if view.wrap else []
        rows = view.rows
        if rows and rows[0].item.line is not None and self._shown:
            name = self._shown[rows[0].item.place.part]
            number = self._numbers[name].number(rows[0].item.line.start)
            words.append(f"line {number:,}" if number is not None else f"byte {rows[0].item.line.start:,}")
        if rows:
            words.append(f"{view.share:.0%}")
        return " · ".join(words)
