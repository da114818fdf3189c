"""A pane that edits one file: open, new, save, read again, and another editor."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on

from tui_lab.tui.background import work
from tui_lab.tui.editor_file import EditedFile, FileError, Kept, recent_files
from tui_lab.tui.experiment_files import NewDialog, OpenDialog
from tui_lab.tui.experiment_templates import Template
from tui_lab.tui.experiment_text import TextSide, when
from tui_lab.tui.pane import Pane


class FilePane(Pane):
    """Asks before anything is lost. Its text is in a TextSide."""

    _kept: Kept | None = None

    @property
    def side(self) -> TextSide:
        return self.query_one(TextSide)

    @property
    def unsaved(self) -> str:
        """The name of the file with unsaved changes; empty where there are none."""
        found = self.query(TextSide)
        side = found.first() if found else None
        return side.file.path.name if side is not None and side.unsaved and side.file is not None else ""

    def keep_unsaved(self) -> str:
        found = self.query(TextSide)
        return found.first().keep() if found else ""

    def file_changed(self) -> None:
        """Another file is in the editor."""

    # Files.

    @work(exclusive=True, group="experiment-open")
    async def open_file(self, path: Path) -> None:
        """Edit another file; asks where the text is not saved."""
        if await self._may_change_file():
            self.load_file(path)

    @work(exclusive=True, group="experiment-open")
    async def open_text(self, path: Path, text: str, origin: str) -> None:
        """Edit a file with a text that it had before, which is not saved."""
        side = self.side
        if not await self._may_change_file():
            return
        if side.file is not None and path.absolute() == side.file.path:
            try:
                side.reload()
            except FileError as error:
                self.lab_app.tell(str(error), "error")
                return
        else:
            self.load_file(path)
        if side.file is None or side.file.path != path.absolute():
            return  # it could not be read
        if side.file.exists and text.splitlines() == side.file.text.splitlines():
            self.lab_app.tell(f"{path.name} is still {origin}")
        else:
            side.replace_text(text, origin)

    def load_file(self, path: Path) -> None:
        if self.side.file is not None and path.absolute() == self.side.file.path:
            return
        try:
            file = EditedFile.read(path)
        except FileError as error:
            self.lab_app.tell(str(error), "error")
            return
        self.file_changed()
        self._kept = self.side.open(file)
        self.offer_kept()

    def offer_kept(self) -> None:
        """Ask for what an earlier session left, once, when this pane is looked at."""
        if self._kept is not None and self.lab_app.pane is self:
            kept, self._kept = self._kept, None
            self._offer(kept.text, when(kept.at))

    @work(exclusive=True, group="experiment-offer")
    async def _offer(self, text: str, moment: str) -> None:
        body = f"Changes made {moment} were never saved. They go into the editor, where ctrl+z takes them out again."
        if await self.lab_app.confirm("Take up unsaved changes?", body, "Take up"):
            self.side.replace_text(text)

    async def _may_change_file(self) -> bool:
        """Whether another file may be opened; asks where the text is not saved."""
        if not self.side.unsaved:
            return True
        body = f"{self.unsaved} has changes that were not saved."
        if await self.lab_app.confirm("Give up the changes?", body, "Give up"):
            self.side.give_up()
            return True
        return False

    @work(exclusive=True, group="experiment-ask")
    async def action_open(self) -> None:
        recent = await self.lab_app.before_question(asyncio.to_thread(recent_files))
        path = await self.app.push_screen_wait(OpenDialog(self._folder(), recent))
        if path is not None and await self._may_change_file():
            self.load_file(path)

    @work(exclusive=True, group="experiment-ask")
    async def action_new(self) -> None:
        chosen: tuple[Path, Template] | None = await self.app.push_screen_wait(NewDialog(self._folder()))
        if chosen is None or not await self._may_change_file():
            return
        path, template = chosen
        self.load_file(path)
        self.side.replace_text(template.text)
        self.side.editor.focus()

    def _folder(self) -> Path:
        return self.side.file.path.parent if self.side.file is not None else Path.cwd()

    @work(exclusive=True, group="experiment-ask")
    async def action_save(self) -> None:
        if await self._save():
            self.lab_app.tell(f"saved {self.side.file.path.name}" if self.side.file else "")

    async def _save(self) -> bool:
        side = self.side
        if side.file is None:
            self.lab_app.tell("there is no file: o opens one, n makes one", "warning")
            return False
        body = ""
        if side.file.changed_on_disk():
            body = f"{side.file.path.name} was changed on disk since it was read here."
        elif side.origin and side.file.exists:
            body = f"{side.file.path.name} says something else by now than the text here, which is {side.origin}."
        if body and not await self.lab_app.confirm("Write over the file?", body, "Write over"):
            return False
        try:
            side.save()
        except FileError as error:
            self.lab_app.tell(str(error), "error")
            return False
        return True

    @work(exclusive=True, group="experiment-ask")
    async def action_reload(self) -> None:
        if self.side.file is None or not await self._may_change_file():
            return
        try:
            self.side.reload()
        except FileError as error:
            self.lab_app.tell(str(error), "error")

    @on(TextSide.Changed)
    def _changed_on_disk(self) -> None:
        self.lab_app.tell("the file was changed on disk, and here: F9 reads it, ctrl+s writes over it", "warning")

    @work(exclusive=True, group="experiment-ask")
    async def action_external(self) -> None:
        side = self.side
        if side.file is None:
            self.lab_app.tell("there is no file: o opens one, n makes one", "warning")
            return
        if side.unsaved or not side.file.exists:
            question = f"{side.file.path.name} is saved before your editor opens it."
            if not await self.lab_app.confirm("Save first?", question, "Save") or not await self._save():
                return
        wrong = side.edit_outside()
        if wrong:
            self.lab_app.tell(wrong, "warning")
