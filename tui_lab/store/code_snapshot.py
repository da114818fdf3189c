"""Snapshots of a program: what `code` named when tasks were submitted, kept for as long as the experiment.

    code/HASH/        the files, read-only, under the names that they have in the experiment's folder
    code/HASH.json    name -> [SHA-256, whether it is executable]; HASH is the digest of this

Tasks on this machine start in `code/HASH/`, as those on others start in what was sent there. So that they find what is
not declared, too, everything else in a folder that holds files of the snapshot is linked into it; the lab is not: it
would lie in itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.store import layout
from tui_lab.store.declared_files import file_digest, of_all_stages
from tui_lab.store.errors import LabError, storage_error

Manifest = dict[str, tuple[str, bool]]
_LENGTH: Final = 16  # characters of a digest that name a snapshot
_LOOKED: Final = 1000  # files that tasks have written, beyond which they are not counted
_OLD: Final = ".tui-lab-old"
_ANEW: Final = "the same --run puts it back, or takes the program as it is now"


def take(experiment: Experiment, scripts: Mapping[str, Path], folder: Path) -> tuple[str, dict[str, str]]:
    """Copy what `code` names, and the programs that commands name, into an experiment's folder: the name of the
    snapshot, and the SHA-256 of each file. Only for the holder of the submit lock. Raises StorageError, SpecError."""
    files = of_all_stages(experiment, "code").files | dict(scripts)
    partial = folder / layout.CODE / ".partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        manifest = {name: _copy(path, partial / name) for name, path in files.items()}
        text = json.dumps(manifest, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
        place = snapshot(folder, name)
        if place.exists():
            _mend(place, partial, manifest)
        else:
            partial.rename(place)
        place.with_name(f"{name}.json").write_text(text + "\n")
        _link_others(place, experiment.folder, folder.parent, manifest)
        shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise storage_error(folder / layout.CODE, error) from error
    return name, {name: digest for name, (digest, _) in manifest.items()}


def snapshot(folder: Path, name: str) -> Path:
    """The folder of a snapshot within that of an experiment."""
    return folder / layout.CODE / name


def files_of(folder: Path, name: str) -> dict[str, tuple[Path, str]]:
    """Path and SHA-256 of each file of a snapshot. Raises OSError, ValueError."""
    manifest: Manifest = json.loads((folder / layout.CODE / f"{name}.json").read_text())
    return {file: (snapshot(folder, name) / file, digest) for file, (digest, _) in manifest.items()}


def verify(folder: Path, name: str) -> None:
    """Raises LabError where a task has changed a file of a snapshot."""
    place = folder / layout.CODE
    try:
        files = files_of(folder, name)
    except (OSError, ValueError) as error:
        raise LabError(f"{place / name}.json: can't be read: {error}", _ANEW) from error
    for path, digest in files.values():
        try:
            same = not path.is_symlink() and file_digest(path) == digest
        except OSError:
            same = False
        if not same:
            raise LabError(f"{path}: is no longer the program that was submitted", _ANEW)


def left_behind(folder: Path, name: str) -> list[str]:
    """Return what tasks have written into a snapshot, beside the program: names, up to a limit."""
    place = snapshot(folder, name)
    try:
        known = files_of(folder, name)
    except (OSError, ValueError):
        return []
    found: list[str] = []
    for here, folders, files in os.walk(place):
        folders[:] = [each for each in folders if each != "__pycache__" and not Path(here, each).is_symlink()]
        for each in files:
            own = os.path.relpath(f"{here}/{each}", place)
            if own not in known and not Path(here, each).is_symlink():
                found.append(own)
        if len(found) >= _LOOKED:
            break
    return sorted(found)


def _copy(source: Path, target: Path) -> tuple[str, bool]:
    """Copy a file, and return the digest of what was copied: the source may change meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    facts = source.stat()
    executable = bool(facts.st_mode & 0o111)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    target.chmod(0o555 if executable else 0o444)
    return file_digest(target), executable


def _mend(place: Path, fresh: Path, manifest: Mapping[str, tuple[str, bool]]) -> None:
    """Restore what tasks have changed or removed in a snapshot."""
    for name, (digest, _) in manifest.items():
        file = place / name
        with suppress(OSError):
            if not file.is_symlink() and file_digest(file) == digest:
                continue
        file.parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(file)


def _link_others(place: Path, original: Path, lab: Path, names: Mapping[str, object]) -> None:
    """Link the other files in the folders of a program. Links are relative, so that they stay valid if the project
    moves."""
    levels = {""} | {parent for name in names for parent in _parents(name)}
    for level in levels:
        here, there = place / level, original / level
        base = os.path.relpath(os.path.realpath(there), os.path.realpath(here))
        for link in here.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink()
        for entry in os.scandir(there):
            own = f"{level}/{entry.name}" if level else entry.name
            if own in names or own in levels or entry.name == "__pycache__" or entry.name.endswith(_OLD):
                continue
            link, target = here / entry.name, f"{base}/{entry.name}"
            if link.is_symlink() and str(link.readlink()) != target:
                link.unlink()
            if os.path.lexists(link) and not link.is_symlink():  # a task has written it, before the original was there
                link.replace(link.with_name(f"{link.name}{_OLD}"))
            if not os.path.lexists(link) and not (entry.is_dir() and Path(entry.path).samefile(lab)):
                link.symlink_to(target)


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
