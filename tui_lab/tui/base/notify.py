"""Notifications: what of a run is worth one, and how it reaches a user who looks elsewhere.

The screen shows each in a corner, and rings. While the terminal is not focused, or nothing was typed for a while, it is
also asked to show a notification of the desktop, by the escape sequence that it knows; and the user's command is run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count as counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tui_lab.client.formatting import shortened
from tui_lab.tui.base.formatting import count_words, paused_words
from tui_lab.tui.base.terminal import names, through_tmux

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot

AWAY: Final = 60.0  # seconds without a key or the mouse after which the user may look elsewhere
LONGEST: Final = 300  # characters of a text that leaves the screen
PATIENCE: Final = 10.0  # seconds that the user's command may take


# --- What is worth a notification: a run's end, its first failure, an engine that died
class Notification(NamedTuple):
    """A notification, as it is shown in a corner. paused: the experiment that a key continues."""

    text: str
    severity: Literal["information", "warning", "error"]
    paused: str | None = None


def notifications(before: LabSnapshot, now: LabSnapshot, launched: Collection[str] = ()) -> list[Notification]:
    """Return what has happened between two snapshots of a lab. launched: experiments that this screen has launched, and
    not seen since: all of them is new, even if they have ended by now."""
    same = before.lab is not None and now.lab is before.lab
    died = same and now.died and not before.died
    found = [Notification("The engine has died; nothing is lost.", "error")] if died else []
    for one in now.experiments:
        past = before.experiment(one.name) if same else None
        if past is None and one.name in launched:
            past = type(one)(one.name)
        if past is not None:
            found += _notifications_of(past, one)
    return found


def _notifications_of(past: ExperimentSnapshot, one: ExperimentSnapshot) -> list[Notification]:
    found = []
    if (
        (past.active or one.active or one.ended != past.ended)
        and not past.counts.get("failed")
        and one.counts.get("failed")
    ):
        found.append(Notification(f"{one.name}: the first failure: {shortened(one.failure, 160)}", "warning"))
    if one.paused is not None and one.paused != past.paused and one.paused.reason != "asked" and one.queued:
        found.append(Notification(f"{one.name} is {paused_words(one.paused)}", "warning", one.name))
    if one.note and one.note != past.note:
        found.append(Notification(f"{one.name}: {one.note}", "warning"))
    if one.ended is not None and one.ended != past.ended:
        counts = ", ".join(f"{count:,} {state}" for state, count in count_words(one.counts))
        bad = one.counts.get("failed", 0) + one.counts.get("lost", 0)
        found.append(Notification(f"{one.name} has ended: {counts}", "warning" if bad else "information"))
    return found


# --- Escape sequences. Each gets a title and a text without control characters
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_numbers: Final = counter(1)


def _osc9(title: str, text: str) -> str:
    # The title is ours and begins with a letter: a digit and a semicolon would be another command of this sequence.
    return f"\x1b]9;{title}: {text}\x1b\\"


def _osc777(title: str, text: str) -> str:
    return f"\x1b]777;notify;{title.replace(';', ',')};{text.replace(';', ',')}\x1b\\"


def _osc99(title: str, text: str) -> str:
    name = f"tui-lab-{os.getpid()}-{next(_numbers)}"
    parts = ((title, "0", "title"), (text, "1", "body"))
    return "".join(f"\x1b]99;i={name}:d={last}:e=1:p={part};{_base64(one)}\x1b\\" for one, last, part in parts)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


PROTOCOLS: Final[Mapping[str, Callable[[str, str], str]]] = {"osc9": _osc9, "osc777": _osc777, "osc99": _osc99}
WAYS: Final = ("auto", "off", *PROTOCOLS)
"""What the configuration may have as `notify`."""
_TERMINALS: Final = {  # part of a terminal's name, in small letters -> what it knows
    "kitty": "osc99",
    "foot": "osc777",
    "ghostty": "osc777",
    "wezterm": "osc777",
    "rxvt": "osc777",
    "vte": "osc777",
    "iterm": "osc9",
    "windows terminal": "osc9",
}


def protocol_of(names: Iterator[str]) -> str | None:
    """Return the sequence that a terminal knows, by its names, the surest first; None where that is not known."""
    for name in names:
        for part, protocol in _TERMINALS.items():
            if part in name.lower():
                return protocol
    return None


def cleaned(text: str) -> str:
    """Return a text that can't end or begin a sequence, in one line."""
    return shortened(_CONTROLS.sub(" ", text.encode("utf-8", "replace").decode()), LONGEST)


# --- Sending
class Notifier:
    """Sends notifications out of the screen. way: one of WAYS. command: words in which {title} and {body} are replaced;
    no shell reads them. environment: that of the screen."""

    def __init__(self, way: str, command: str, environment: Mapping[str, str]) -> None:
        self._way = way
        self._command = shlex.split(command)
        self._environment = environment
        self._used = time.monotonic()  # when the user typed something last

    def used(self) -> None:
        """Keep in mind that the user is here."""
        self._used = time.monotonic()

    def is_wanted(self, focused: bool) -> bool:
        """Return whether the user may look elsewhere. focused: false only if the terminal reported it; not all do."""
        return not focused or time.monotonic() - self._used >= AWAY

    def send(self, title: str, text: str, write: Callable[[str], object]) -> str:
        """Send a notification; a problem of the user's command, or nothing. write: writes to the terminal. Blocks."""
        title, text = cleaned(title), cleaned(text)
        sequence = self.sequence(title, text)
        if sequence:
            write(sequence)
        return self._run(title, text) if self._command else ""

    def sequence(self, title: str, text: str) -> str:
        """Return what makes the terminal show a notification; nothing where it is not known to understand any."""
        if self._way == "off":
            return ""
        protocol = protocol_of(names(self._environment)) if self._way == "auto" else self._way
        if protocol is None:
            return ""
        made = PROTOCOLS[protocol](title, text)
        return through_tmux(made) if self._environment.get("TMUX") else made

    def _run(self, title: str, text: str) -> str:
        values = {"{title}": title, "{body}": text}
        words = [re.sub(r"\{title\}|\{body\}", lambda found: values[found[0]], word) for word in self._command]
        with tempfile.TemporaryFile() as said:  # a pipe could be held open by what the command leaves behind
            try:
                done = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    timeout=PATIENCE,
                    check=False,
                )
            except OSError as error:
                return f"notify_command: {words[0]}: {error.strerror}"
            except subprocess.TimeoutExpired:
                return f"notify_command: {words[0]} took more than {PATIENCE:g} s, and was ended"
            if done.returncode == 0:
                return ""
            said.seek(0)
            why = cleaned(said.read(LONGEST).decode("utf-8", "replace").strip())
        return f"notify_command: {words[0]}: " + (why or f"exit {done.returncode}")
