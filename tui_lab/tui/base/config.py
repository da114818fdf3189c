"""The configuration of the screen: `config.toml`, read strictly; and the state that the screen saves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from platformdirs.unix import Unix

from tui_lab.client.errors import UsageError
from tui_lab.experiment.data_types import Json, JsonObject

REFRESH: Final = (0.2, 10.0)
LINES: Final = 200  # of a list that is kept for each lab
IMAGES: Final = ("auto", "kitty", "iterm", "sixel", "blocks", "off")
LABS: Final = 100  # that the screen remembers
CRASH_FILE: Final = "crash.log"
CRASH_LIMIT: Final = 1 << 20  # bytes
# Keys that terminals can't tell from enter, backspace and tab.
_UNTOLD: Final = {"ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+i": "tab"}
_KEY: Final = r"(?i:(?:(?:ctrl|alt|shift|super)\+)*(?:[a-z0-9_]+|\S))"


@dataclass(frozen=True)
class Config:
    """theme: a name; empty means as left last. refresh: looks at the lab per second. keys: action id -> keys in
    place of the usual ones. bell: rings when a run ends, and at its first failure. notify: how the terminal is asked to
    show that, too, while it is not looked at. notify_command: what is run then, in words as a shell has them.
    images: how pictures are drawn."""

    theme: str = ""
    ascii: bool = False
    refresh: float = 4.0
    bell: bool = True
    keys: dict[str, str] = field(default_factory=dict)
    notify: str = "auto"
    notify_command: str = ""
    images: str = "auto"


def config_file() -> Path:
    """Return the path of the user's configuration file."""
    return _folder("config") / "config.toml"


def state_folder() -> Path:
    """Return the folder for what the screen remembers."""
    return _folder("state")


def keep_traceback(text: str) -> Path:
    """Append a traceback to the crash log, which is started anew when it is large. Return its path. Raises OSError."""
    file = state_folder() / CRASH_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    large = file.exists() and file.stat().st_size > CRASH_LIMIT
    with open(file, "w" if large else "a", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}\n{text}\n")
    return file


def home_folder() -> Path:
    """Return the user's home; a path that does not exist for a user without a name and without HOME."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _folder(kind: Literal["config", "state"]) -> Path:
    """Return a folder of this program as XDG has it, on every system."""
    folders = Unix("tui-lab")
    try:
        return folders.user_config_path if kind == "config" else folders.user_state_path
    except RuntimeError:  # there is no home
        return home_folder() / "tui-lab"


def read_config(path: Path, *, ascii: bool = False) -> Config:
    """The configuration; the usual one where there is no file. ascii: whether signs are plain where the file does not
    say. Raises UsageError that names file and key."""
    usual = Config(ascii=ascii)
    if not path.exists():
        return usual
    import tomllib

    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for name in given:
        if name not in Config.__dataclass_fields__:
            raise _wrong(path, name, "there is no such key", _near(name, Config.__dataclass_fields__))
    refresh = _typed(path, given, "refresh", (int, float), "a number")
    if refresh is not None and not REFRESH[0] <= refresh <= REFRESH[1]:
        raise _wrong(path, "refresh", f"updates per second, from {REFRESH[0]:g} to {REFRESH[1]:g}")
    found = {
        "theme": _theme(path, _typed(path, given, "theme", str, "a text")),
        "ascii": _typed(path, given, "ascii", bool, "true or false"),
        "bell": _typed(path, given, "bell", bool, "true or false"),
        "refresh": refresh,
        "images": _one_of(path, "images", _typed(path, given, "images", str, "a text"), IMAGES),
        "notify": _notify(path, _typed(path, given, "notify", str, "a text")),
        "notify_command": _notify_command(path, _typed(path, given, "notify_command", str, "a text")),
        "keys": _keys(path, _typed(path, given, "keys", dict, "a table of action = keys")),
    }
    return replace(usual, **{name: value for name, value in found.items() if value is not None})


def _typed(path: Path, given: JsonObject, name: str, kind: Any, wanted: str) -> Any:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(path, name, f"must be {wanted}")
    return value


def _theme(path: Path, name: str | None) -> str | None:
    if name is None:
        return None
    from tui_lab.tui.base.themes import names

    if name not in names():
        raise _wrong(path, "theme", f'there is no theme "{name}"', _near(name, names()) or ", ".join(names()))
    return name


def _notify(path: Path, way: str | None) -> str | None:
    from tui_lab.tui.base.notify import WAYS

    return _one_of(path, "notify", way, WAYS)


def _one_of(path: Path, key: str, way: str | None, ways: Sequence[str]) -> str | None:
    if way is not None and way not in ways:
        raise _wrong(path, key, f'there is no "{way}"', _near(way, ways) or "one of " + ", ".join(ways))
    return way


def _notify_command(path: Path, command: str | None) -> str | None:
    if command is None:
        return None
    import shlex

    try:
        shlex.split(command)
    except ValueError as error:
        raise _wrong(path, "notify_command", f"is no command: {str(error).lower()}") from None
    unknown = next((one for one in re.findall(r"\{(\w*)\}", command) if one not in ("title", "body")), None)
    if unknown is not None:
        raise _wrong(path, "notify_command", f"{{{unknown}}} means nothing", "{title} and {body} are replaced")
    return command


def _keys(path: Path, table: JsonObject | None) -> dict[str, str]:
    """Return the configured keys: `tasks.retry = "R"` and `"tasks.retry" = "R"` mean the same."""
    found: dict[str, str] = {}
    for name, value in _flat(table or {}):
        keys = value if isinstance(value, list) else [value]
        for key in keys:
            if not isinstance(key, str) or not key.strip():
                raise _wrong(path, f"keys.{name}", 'must be a key such as "ctrl+r", or a list of keys')
            for one in key.split(","):
                _check_key(path, name, one.strip())
        found[name] = ",".join(part.strip() for key in keys for part in key.split(","))
    return found


def _check_key(path: Path, name: str, key: str) -> None:
    if key in _UNTOLD:
        raise _wrong(path, f"keys.{name}", f"terminals can't distinguish {key} from {_UNTOLD[key]}")
    if not re.fullmatch(_KEY, key):
        raise _wrong(path, f"keys.{name}", f'"{key}" is no key', 'as in "r", "ctrl+r", "f5", "question_mark"')


def _flat(table: Mapping[str, Json], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        found += _flat(value, f"{above}{name}.") if isinstance(value, dict) else [(above + name, value)]
    return found


def _near(name: str, known: Iterable[str]) -> str:
    from tui_lab.experiment.yaml.problem import suggest

    return suggest(name, known)


def _wrong(path: Path, key: str, what: str, hint: str = "") -> UsageError:
    return UsageError(f"{path}: {key}: {what}" + (f"; {hint}" if hint else ""))


class SavedState:
    """What the screen saves from one start to the next: theme, sizes, and of each lab the pane and the
    experiment that were looked at. A file that can't be read or written is no reason to stop."""

    def __init__(self, path: Path, lab: Path) -> None:
        self.path = path
        self.lab = str(lab.absolute())
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            values = {}
        self._values: JsonObject = values if isinstance(values, dict) else {}

    def get(self, name: str, usual: Any = None) -> Any:
        """Return a saved value; `usual` where there is none of its type."""
        value = self._values.get(name, usual)
        return value if usual is None or isinstance(value, type(usual)) else usual

    def put(self, name: str, value: Any) -> None:
        """Save a value that JSON can hold."""
        self._values[name] = value

    def of_lab(self, name: str) -> str | None:
        """Return what was saved for the present lab under a name; None where nothing was."""
        labs = self.get("labs", {})
        facts = labs.get(self.lab)
        value = facts.get(name) if isinstance(facts, dict) else None
        return value if isinstance(value, str) else None

    def lines_of_lab(self, name: str) -> list[str]:
        """Return the lines that were saved for the present lab under a name, the newest last."""
        try:
            found = json.loads(self.of_lab(name) or "[]")
        except ValueError:
            return []
        return [str(line) for line in found] if isinstance(found, list) else []

    def put_lines_of_lab(self, name: str, lines: Sequence[str]) -> None:
        """Save the newest of some lines for the present lab."""
        self.put_of_lab(name, json.dumps(list(lines)[-LINES:]))

    def put_of_lab(self, name: str, value: str | None) -> None:
        """Save a value for the present lab. Only the labs that were used last are kept."""
        labs = self.get("labs", {})
        facts = labs.pop(self.lab, {})  # the lab that was used last stands last
        labs[self.lab] = {**(facts if isinstance(facts, dict) else {}), name: value}
        self.put("labs", dict(list(labs.items())[-LABS:]))

    def table(self, name: str, key: str) -> dict[str, str]:
        """Return a table of texts that is kept as it is changed."""
        tables = self.get(name, {})
        self.put(name, tables)
        kept = tables.get(key)
        table = {str(one): str(value) for one, value in kept.items()} if isinstance(kept, dict) else {}
        tables[key] = table
        return table

    def turn_to(self, lab: Path) -> None:
        """Make another lab the present one."""
        self.lab = str(lab.absolute())

    def write(self) -> None:
        """Write the file, by rename."""
        partial = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._values, indent=1), encoding="utf-8")
            partial.replace(self.path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
