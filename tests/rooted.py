"""Tests that may remove what they should not: they run in a mount namespace with a root of its own.

There the system's folders are read-only, `/etc` is a copy, and `/tmp`, `/run` and `/home` are empty. A test module
whose tests are to run there is named in `MODULES` and has at its top

    pytestmark = rooted.only

and `test_own_root.py` runs it. Root alone may make such a namespace; without root the tests run where they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.engine.agent.talk import interpreters
from tests.engine.nodes.machine import can_hide
from tests.workbench import REPOSITORY

MODULES: Final = (
    "tests/portable/test_beneath.py",
    "tests/engine/test_outputs.py",
    "tests/engine/nodes/test_links.py",
    "tests/engine/transports/test_ssh_as_ssh.py",
)
OF_OPENSSH: Final = ("tests/engine/transports/test_ssh_as_ssh.py",)  # of these: what compares with OpenSSH itself
_INSIDE: Final = "TUI_LAB_TESTS_ROOTED"
_SYSTEM: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "opt")

only = pytest.mark.skipif(
    can_hide() and _INSIDE not in os.environ, reason="runs in a root of its own, by tests/test_own_root.py"
)
inside = pytest.mark.skipif(_INSIDE not in os.environ, reason="writes to the system's own files: needs root, to mount")
alone = pytest.mark.skipif(not can_hide() or _INSIDE in os.environ, reason="needs root and the right to mount")

_ENTER: Final = r"""
set -e
root=$1 scratch=$2; shift 2
mount -t tmpfs -o mode=755 none "$root"
for name in SYSTEM; do
  if [ -L "/$name" ]; then cp -d "/$name" "$root/$name"
  elif [ -d "/$name" ]; then
    mkdir "$root/$name"; mount --bind "/$name" "$root/$name"; mount -o remount,bind,ro "$root/$name"
  fi
done
cp -a /etc "$root/etc"
for name in proc sys dev; do mkdir "$root/$name"; mount --rbind "/$name" "$root/$name"; done
mkdir -p "$root/run/sshd" "$root/var/empty" "$root/var/tmp" "$root/home" "$root/old"
mkdir -m 700 "$root/root"
mkdir -m 1777 "$root/tmp"
mount --bind "$scratch" "$root/tmp"
for path in PATHS; do
  mkdir -p "$root$path"; mount --bind "$path" "$root$path"; mount -o remount,bind,ro "$root$path"
done
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
cd "$REPOSITORY"
exec "$@"
"""


def run(module: str, tmp_path: Path) -> None:
    """Run the tests of a module in a root of its own; fails with what they print."""
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir(mode=0o1777)
    scratch.chmod(0o1777)
    pythons = {str(Path(python).resolve().parent.parent) for python in interpreters()}
    modules = {path for path in sys.path if Path(path).is_dir() and Path(path).is_absolute()}
    wanted = {str(REPOSITORY), sys.prefix, sys.base_prefix, *pythons, *modules} - {"/", "/usr", "/usr/local"}
    paths = [path for path in sorted(wanted) if not any(other in wanted for other in map(str, Path(path).parents))]
    script = _ENTER.replace("SYSTEM", " ".join(_SYSTEM)).replace("PATHS", " ".join(f"'{path}'" for path in paths))
    words = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-rs", "--durations=10", module]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        _INSIDE: "1",
        "REPOSITORY": str(REPOSITORY),
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
        "HOME": "/root",
        "TMPDIR": "/tmp",
    }
    said = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script, "sh", root, scratch, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    print(said.stdout)
    assert " passed" in said.stdout and "skipped" not in said.stdout, said.stdout
