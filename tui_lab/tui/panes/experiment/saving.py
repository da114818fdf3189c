"""Questions about the file in the editor: nothing of it is lost without one."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from tui_lab.client.edited_metrics import read_edited
from tui_lab.client.remote.connection import RemoteLab, remote_lab
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.tui.base.pane import Host
from tui_lab.tui.base.workers import promised
from tui_lab.tui.panes.experiment.editor_side import EditorSide
from tui_lab.tui.panes.experiment.file import FileError, UnsavedText


def no_file(host: Host) -> str:
    """Return what is said where there is no file yet."""
    return f"there is no file: {host.key('experiment.open')} opens one, {host.key('experiment.new')} makes one"


async def may_change_file(host: Host, side: EditorSide) -> bool:
    """Return whether another file may be opened; ask first if the text is not saved."""
    if not side.unsaved or side.file is None:
        return True
    body = f"{side.file.path.name} has changes that were not saved."
    if await host.confirm("Discard the changes?", body, "Discard"):
        side.give_up()
        return True
    return False


async def save(host: Host, side: EditorSide) -> bool:
    """Write the file; ask first where that would lose what others wrote. Return whether it is written."""
    if side.file is None:
        host.tell(no_file(host), "warning")
        return False
    body = ""
    if side.file.changed_on_disk():
        body = f"{side.file.path.name} was changed on disk since it was read here."
    elif side.origin and side.file.exists:
        body = f"{side.file.path.name} has changed; the text here is {side.origin}."
    if body and not await host.confirm("Write over the file?", body, "Write over"):
        return False
    remote = remote_lab(host.lab_path) if mirrors.in_mirror(side.file.path) else None
    try:
        lines = [*side.editor.document.lines]
        if remote is not None:
            host.tell_away()
            file = side.file.path
            await asyncio.to_thread(_write_there, remote, file, side.encoded())
            if side.file.path != file:
                return True  # another one was opened meanwhile
        side.save(written=lines if remote is not None else None)
    except (FileError, LabError, UnicodeEncodeError) as error:
        host.tell(str(error), "error")
        return False
    return True


def _write_there(remote: RemoteLab, file: Path, data: bytes) -> None:
    """Write a file of a lab on another machine. Blocks. Raises LabError."""
    with promised():
        remote.write(file, data)


async def read_metrics(host: Host, file: Path) -> None:
    """Read what tasks have printed by the metrics of a file that was saved, and say what was found."""
    lab = host.lab
    remote = remote_lab(host.lab_path) if mirrors.in_mirror(file) else None
    if lab is None or (remote is None and mirrors.in_mirror(file)):
        return
    found: str | None
    try:
        if remote is not None:
            found = await asyncio.to_thread(remote.parse, file)
        else:
            found = await asyncio.to_thread(read_edited, lab, file)
    except SpecError:
        return  # the pane says what is wrong
    except (LabError, OSError) as error:
        host.tell(str(error), "error")
        return
    if found:
        host.tell(found)


async def edit_outside(host: Host, side: EditorSide) -> None:
    """Edit the file in the user's own editor, once it is saved."""
    if side.file is None:
        host.tell(no_file(host), "warning")
        return
    if side.unsaved or not side.file.exists:
        question = f"{side.file.path.name} is saved before your editor opens it."
        if not await host.confirm("Save first?", question, "Save") or not await save(host, side):
            return
    if wrong := side.edit_outside():
        host.tell(wrong, "warning")


async def take_up(host: Host, side: EditorSide, kept: UnsavedText) -> None:
    """Ask whether the unsaved text of an earlier session goes into the editor."""
    body = f"Changes made {_when(kept.at)} were never saved. They go into the editor; "
    body += f"{host.key('experiment.undo')} undoes that."
    file = side.file
    if await host.confirm("Restore unsaved changes?", body, "Take up") and side.file is file:
        side.replace_text(kept.text)


def _when(at: float) -> str:
    """Return a moment as text: `at 14:03`, `on 3 May at 14:03`."""
    moment, now = datetime.fromtimestamp(at), datetime.now()
    if moment.date() == now.date():
        return f"at {moment:%H:%M}"
    return f"on {moment.day} {moment:%B} at {moment:%H:%M}"
