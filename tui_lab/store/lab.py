"""The lab folder: its marker, its experiments, its locks."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypedDict

from tui_lab.experiment.yaml.problem import suggest
from tui_lab.store import layout, trust
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.locking import locked
from tui_lab.store.spec_file import former_places

FORMAT: Final = 1
MOST_PLACES: Final = 20  # where a lab was, of which lab.json knows


class Lab:
    """A folder that holds experiments. `identity` names it to agents; a copied or moved lab gets a new one.

    lab.json says where the lab was when it got its identity: path and inode. Where either differs, it is
    another lab to the agents that may still run tasks of the first: their outputs belong there. (The device
    is left out: its number may change with a reboot.) `before` in it has the paths of earlier places.
    """

    def __init__(self, path: Path, identity: str, place: object = None) -> None:
        self.path = path
        self.identity = identity
        self.place = place

    @classmethod
    def open(cls, path: Path) -> Lab:
        """Raises LabError where the folder is missing, is no lab, or was made by a newer tui-lab."""
        _require_text(path)
        marker = path / layout.LAB_FILE
        try:
            facts = json.loads(marker.read_text())
            version = facts["format"]
            newer = isinstance(version, int) and version > FORMAT
            identity, place = "" if newer else str(facts["id"]), facts.get("place")
        except NotADirectoryError:
            raise LabError(f"{path}: is a file, not a lab", "--lab DIR names a folder") from None
        except FileNotFoundError:
            if not path.exists():
                hint = "`tui-lab --run FILE` makes one; --lab DIR names another"
                raise LabError(f"{path}: there is no lab here", hint) from None
            hint = _repair_hint(path) or "--lab DIR names another folder"
            raise LabError(f"{path}: is no lab (it has no {layout.LAB_FILE})", hint) from None
        except OSError as error:
            raise StorageError(f"{marker}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            hint = _repair_hint(path) or 'it should hold {"format": 1, "id": "..."}'
            raise LabError(f"{marker}: is damaged", hint) from None
        if not isinstance(version, int) or version > FORMAT:
            made = f"made by a newer tui-lab (format {version}, this one reads {FORMAT})"
            raise LabError(f"{path}: {made}", "upgrade tui-lab")
        return cls(path.absolute(), identity, place)

    @classmethod
    def create(cls, path: Path) -> Lab:
        """Open a lab, and make it where the folder is missing or empty. Raises LabError, StorageError."""
        _require_text(path)
        if (path / layout.LAB_FILE).exists():
            return cls.open(path)
        try:
            if path.exists():
                if not path.is_dir():
                    raise LabError(f"{path}: is a file, not a folder", "--lab DIR names another place")
                if any(not child.name.startswith(layout.LAB_FILE) for child in path.iterdir()):
                    hint = _repair_hint(path) or "--lab DIR names another folder"
                    raise LabError(f"{path}: is not empty and is no lab", hint)
            path.mkdir(parents=True, exist_ok=True)
            partial = path / f"{layout.LAB_FILE}.{secrets.token_hex(4)}"
            try:
                partial.write_text(_marker(path))
                os.link(partial, path / layout.LAB_FILE)  # of two that start at the same instant, one wins
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                partial.rename(path / layout.LAB_FILE)  # a file system without links
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error
        with suppress(StorageError):
            trust.trust(path)
        return cls.open(path)

    @classmethod
    def repair(cls, path: Path) -> str:
        """Make the marker again where it is missing or damaged; what was done, empty where it was well. Raises LabError
        where the folder holds no experiment, or is a lab of a newer version; StorageError."""
        try:
            cls.open(path)
        except LabError:
            marker = path / layout.LAB_FILE
            if not _repair_hint(path) or _is_newer(marker):
                raise
        else:
            return ""
        identity = _known_identity(path)
        kept = "there was none"
        try:
            if marker.exists():
                kept = f"the damaged one is {marker.name}.damaged"
                marker.replace(marker.with_name(f"{marker.name}.damaged"))
            partial = path / f"{layout.LAB_FILE}.{secrets.token_hex(4)}"
            partial.write_text(_marker(path, identity=identity))
            partial.replace(marker)
        except OSError as error:
            raise storage_error(path, error) from error
        lost = "" if identity else "; tasks that nodes still run for it count as lost"
        return f"{marker}: made again; {kept}{lost}"

    @property
    def is_copy(self) -> bool:
        """Return whether the lab that it was copied from still exists. A copied or moved lab has that one's identity
        until it is settled."""
        if self.place == _place(self.path) or not isinstance(self.place, dict):
            return False
        try:
            return Lab.open(Path(str(self.place.get("path")))).identity == self.identity
        except LabError:
            return False

    def settled(self) -> Lab:
        """This lab, under a new identity where it was copied or moved. Only for the holder of the engine's
        lock. Raises StorageError."""
        if self.place == _place(self.path):
            return self
        partial = self.path / f"{layout.LAB_FILE}.{secrets.token_hex(4)}"
        trusted = trust.is_trusted(self.path)
        try:
            partial.write_text(_marker(self.path, former_places(self.path)))
            partial.replace(self.path / layout.LAB_FILE)
        except OSError as error:
            raise storage_error(self.path, error) from error
        if trusted:  # it was renamed
            with suppress(StorageError):
                trust.trust(self.path)
        return Lab.open(self.path)

    # --- Experiments

    def experiments(self) -> list[str]:
        """Names of the experiments, those with the newest submission last."""
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    found.append(((Path(entry.path) / layout.JOURNAL_FILE).stat().st_mtime, entry.name))
                except OSError:
                    continue
        return [name for _, name in sorted(found)]

    def without_journal(self) -> list[ExperimentFolder]:
        """Return the experiments whose journal is gone, by name."""
        return [folder for path in sorted(self.path.iterdir()) if (folder := ExperimentFolder(path)).has_lost_journal()]

    def experiment(self, name: str) -> ExperimentFolder:
        """Raises LabError for an unknown name, StorageError for an experiment whose journal is gone."""
        folder = ExperimentFolder(self.path / name)
        folder.require_journal()
        if not folder.exists():
            known = self.experiments()
            what = f'there is no experiment "{name}" in {self.path}'
            listed = f"it has: {', '.join(known)}" if known else "it has none yet"
            last = name.rstrip("/").rpartition("/")[2]  # a folder in the place of a name
            raise LabError(what, f'write "{last}"' if last in known else suggest(name, known) or listed)
        return folder

    def new_experiment(self, name: str) -> ExperimentFolder:
        """Return the folder of an experiment, which need not exist."""
        return ExperimentFolder(self.path / name)

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Hold the right to add a plan: one submission at a time. Raises StorageError."""
        with locked(self.path / layout.SUBMIT_LOCK):
            yield


class _LabPlace(TypedDict):
    path: str
    inode: int


def _place(path: Path) -> _LabPlace:
    return {"path": os.path.realpath(path), "inode": path.stat().st_ino}


def _marker(path: Path, former: Sequence[str] = (), identity: str = "") -> str:
    place = _place(path)
    before = [one for one in dict.fromkeys(former) if one != place["path"]][:MOST_PLACES]
    identity = identity or secrets.token_hex(8)
    marker = {"format": FORMAT, "id": identity, "place": place, **({"before": before} if before else {})}
    return json.dumps(marker) + "\n"


def _repair_hint(path: Path) -> str:
    """Return what to type for a folder that was a lab: it holds experiments. Empty for any other."""
    try:
        was_one = any(path.glob(f"*/{layout.JOURNAL_FILE}"))
    except OSError:
        return ""
    return f"it holds experiments: `tui-lab check --repair {path}` makes the file again" if was_one else ""


def _is_newer(marker: Path) -> bool:
    try:
        version = json.loads(marker.read_text())["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(version, int) and version > FORMAT


def _require_text(path: Path) -> None:
    """Raises LabError for a path that is no text: neither tables nor SQL can name files by it."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        what = f"{path.absolute()}: the path has bytes that are not UTF-8"
        raise LabError(what, "rename that folder; --lab DIR names another place") from None


def _known_identity(path: Path) -> str:
    """The identity that the lab's engine had here: its socket has that name. Empty where nothing tells."""
    try:
        facts = json.loads((path / layout.ENGINE_FILE).read_text())
        if facts["lab"] == str(path.absolute()):
            name = Path(facts["socket"]).stem
            return name if re.fullmatch("[0-9a-f]{16}", name) else ""
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return ""
