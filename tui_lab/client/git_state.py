"""The git state of the folder of an experiment: commit, branch and changes."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, TypedDict

from tui_lab.store.environment import without_secrets

PATIENCE: Final = 2.0  # seconds for all that is asked
LARGEST_DIFF: Final = 1 << 20  # bytes
_MOST_NAMES: Final = 100  # of files that git does not know
# Variables that would make git look elsewhere, where this runs inside one of its hooks.
_OF_A_REPOSITORY: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF")
# Files that hold secrets, whatever is in them.
_SECRET_FILES: Final = (
    *(".env", ".env.*", "*.env", ".netrc", ".npmrc", ".pypirc", ".git-credentials", "*.pem", "*.key", "*.p12"),
    *("*.pfx", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*secret*", "*credential*", "*password*"),
)


class GitState(TypedDict, total=False):
    """The git state of a folder. `folder`: its path in the repository. `untracked`: names of untracked files.
    `diff_cut`: the difference was too long."""

    commit: str
    folder: str
    branch: str
    dirty: bool
    untracked: list[str]
    diff: str
    diff_cut: bool


def git_state(folder: Path) -> GitState:
    """Return commit, branch and the changes since, with the difference (secrets masked, up to 1 MiB). Empty where there
    is no git, no repository, or no commit. Never fails, and takes at most PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    found = _git(folder, deadline, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD")
    lines = "" if found is None else found[0]
    if len(lines.splitlines()) != 3:
        return {}
    top, commit, branch = lines.splitlines()
    state: GitState = {"commit": commit, "folder": os.path.relpath(folder, top)}
    if branch != "HEAD":
        state["branch"] = branch
    status = _git(folder, deadline, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames")
    if status is None or status[1]:
        return state  # a repository too large to ask: whether anything was changed is not known
    entries = [entry for entry in status[0].split("\0") if entry]
    new = [entry[3:] for entry in entries if entry.startswith("??")]
    state["dirty"] = len(new) < len(entries)
    if new:
        state["untracked"] = new[:_MOST_NAMES]
    if state["dirty"]:
        secret = [f":(top,exclude,icase,glob)**/{name}" for name in _SECRET_FILES]
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--submodule=short")
        diff = _git(folder, deadline, "diff", *options, "HEAD", "--", ":(top)", *secret)
        if diff is not None:
            state["diff"] = without_secrets(diff[0])
            if diff[1]:
                state["diff_cut"] = True
    return state


def _git(folder: Path, deadline: float, *words: str) -> tuple[str, bool] | None:
    """Run git; return its output, and whether that was cut. None if it fails or takes too long."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    argv = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-C", str(folder), *words]
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(argv, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, env=environment)
    except OSError:
        return None
    assert process.stdout is not None
    data = b""
    ended = False
    while not ended and len(data) <= LARGEST_DIFF:
        if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            break
        piece = os.read(process.stdout.fileno(), 1 << 18)
        data += piece
        ended = not piece
    process.stdout.close()
    try:
        status = process.wait(max(0.0, deadline - time.monotonic()) if ended else 0.0)
    except subprocess.TimeoutExpired:
        process.kill()
        status = None
        with suppress(subprocess.TimeoutExpired):  # one that a dead network disk holds is left behind
            process.wait(0.2)
    cut = len(data) > LARGEST_DIFF
    return (data[:LARGEST_DIFF].decode("utf-8", "replace"), cut) if status == 0 or cut else None


def commit_line(state: object) -> str:
    """Return the git state in a few words: `commit 1a2b3c4d5e (main), with changes`; empty for none."""
    if not isinstance(state, dict) or not isinstance(state.get("commit"), str):
        return ""
    branch = f" ({state['branch']})" if "branch" in state else ""
    changed = ", with changes" if state.get("dirty") else ", perhaps with changes" if "dirty" not in state else ""
    return f"commit {state['commit'][:10]}{branch}{changed}"
