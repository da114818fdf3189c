"""The program's files, for nodes that don't see the experiment's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tui_lab.spec.model import Experiment
from tui_lab.store import code_snapshot, declared_files


@dataclass(frozen=True)
class Code:
    """Files by their path relative to the experiment's folder. digest: names the whole by its content."""

    digest: str
    files: tuple[tuple[str, Path, str], ...]  # relative path, path here, SHA-256

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for _, path, _ in self.files)


def code_of(experiment: Experiment, scripts: Iterable[str], folder: Path, snapshot: str | None) -> Code:
    """What `code` and `inputs` name, and the scripts that a submission found in the commands. The code is that of the
    submission's snapshot in the folder of its experiment, if it has one. Raises OSError, ValueError, SpecError."""
    found: dict[str, tuple[Path, str]] = {}
    if snapshot is not None:
        found = code_snapshot.files_of(folder, snapshot)
    for key in declared_files.KEYS if snapshot is None else ("inputs",):
        files = declared_files.declared(experiment, key).files
        digests = declared_files.hashed(experiment, key, files)
        found |= {name: (path, digests[name]) for name, path in files.items() if name not in found}
    for name in scripts:
        path = experiment.folder / name
        if name not in found and not name.startswith("../") and path.is_file():
            found[name] = path, declared_files.file_digest(path)
    files_ = tuple((name, path, digest) for name, (path, digest) in sorted(found.items()))
    listing = "".join(f"{digest} {path.stat().st_mode & 0o111:o} {name}\0" for name, path, digest in files_)
    return Code(hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16], files_)
