"""The program's files, for nodes that don't see the experiment's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tui_lab.spec.model import Experiment
from tui_lab.store import declared_files


@dataclass(frozen=True)
class Code:
    """Files by their path relative to the experiment's folder. digest: names the whole by its content."""

    digest: str
    files: tuple[tuple[str, Path, str], ...]  # relative path, path here, SHA-256

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for _, path, _ in self.files)


def code_of(experiment: Experiment, scripts: Iterable[str]) -> Code:
    """What `code` and `inputs` name, and the scripts that a submission found in the commands. Raises OSError,
    SpecError."""
    digests = declared_files.digests(experiment, "code") | declared_files.digests(experiment, "inputs")
    for name in scripts:
        path = experiment.folder / name
        if name not in digests and not name.startswith("../") and path.is_file():
            digests[name] = declared_files.file_digest(path)
    files = tuple((name, experiment.folder / name, digest) for name, digest in sorted(digests.items()))
    listing = "".join(f"{digest} {path.stat().st_mode & 0o111:o} {name}\0" for name, path, digest in files)
    return Code(hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16], files)
