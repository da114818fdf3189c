"""Where the file of an experiment is, also after its project was renamed, moved or copied.

A plan's `about` says where the file was when it was submitted:

    file      its absolute path
    lab       that of the lab, without symbolic links
    from_lab  the way from the lab to the file

Where the lab is elsewhere now, the way from it leads to the file that came along. Plans of earlier versions have `file`
alone; lab.json says where their lab was before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, TypedDict

from tui_lab.store import layout

PARTS: Final = ("file", "lab", "from_lab")
"""Parts of `Plan.about` that say where a file is, and nothing of what it means."""


class FilePlace(TypedDict, total=False):
    """What a plan says of its file: see above."""

    file: str
    lab: str
    from_lab: str


def recorded(file: Path, lab: Path) -> FilePlace:
    """What a plan says of its file."""
    there = os.path.realpath(lab)
    return {"file": str(file.absolute()), "lab": there, "from_lab": _way(file.absolute(), there)}


def found(about: FilePlace, lab: Path) -> Path:
    """Where the file of a plan is now; where it should be if it is not there any more."""
    written, here = Path(about["file"]), os.path.realpath(lab)
    ways = {before: _way(written, before) for before in former_places(lab)}
    if "lab" in about:
        ways = {about["lab"]: about["from_lab"]}
    along: list[Path] = []
    apart: list[Path] = []
    for before, way in ways.items():
        if before != here:
            near = _moved_along(os.path.normpath(f"{before}/{way}"), before, here)
            (along if near else apart).append(Path(os.path.normpath(f"{here}/{way}")))
    # What was moved along is another file than its original, which may still be there.
    places = [*along, written, *apart]
    # os.path, as a place that may not be looked at (another person's home) is as good as none.
    there = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113
    return there or next((place for place in places if os.path.isdir(place.parent)), places[0])  # noqa: PTH112


def _moved_along(file: str, before: str, here: str) -> bool:
    """Whether a file goes where the lab goes: it lies beside it or below, or in the folder that has another name now,
    as in `a/runs/lab` and `b/runs/lab`."""
    folder, now = Path(before), Path(here)
    while folder.name == now.name and folder != folder.parent:
        folder, now = folder.parent, now.parent
    return any(Path(file).is_relative_to(one) for one in (Path(before).parent, folder))


def same(first: Path, second: Path) -> bool:
    """Whether two paths are one experiment file: by whatever links a folder is reached, and by whatever name in it.

    A link from another folder is another file, for its tasks start there.
    """
    try:
        named = first.name == second.name or first.samefile(second)
        return first == second or (named and first.parent.samefile(second.parent))
    except OSError:
        return False


def former_places(lab: Path) -> list[str]:
    """Where a lab was before, by its marker, the latest first."""
    try:
        facts = json.loads((lab / layout.LAB_FILE).read_text())
        return [str(facts["place"]["path"]), *map(str, facts.get("before", ()))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _way(file: Path, lab: str) -> str:
    return os.path.relpath(f"{os.path.realpath(file.parent)}/{file.name}", lab)
