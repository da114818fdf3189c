"""A pool of a third party: the example of docs/transports.md, as a package that pip installs."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.workbench import REPOSITORY, Workbench

METADATA = "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: the tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.mark.slow
def test_a_pool_of_the_documents_is_installed_and_runs_an_experiment(workbench: Workbench, tmp_path: Path) -> None:
    """In an environment of its own, which takes Python's packages from the one of the tests."""
    page = (REPOSITORY / "docs" / "transports.md").read_text(encoding="utf-8")
    blocks = [part.partition("\n```")[0] for part in page.split("```python\n")[1:]]
    (example,) = [block for block in blocks if "class ProcessSupply" in block]
    assert len(example.splitlines()) < 80
    points = page.partition("```toml\n")[2].partition("```")[0]
    entries = points.replace("project.entry-points.", "").replace('"', "").replace(" = ", "=")

    wheel = tmp_path / "made_up-1.0-py3-none-any.whl"
    files = {
        "made_up/__init__.py": "",
        "made_up/supply.py": example,
        "made_up-1.0.dist-info/METADATA": METADATA,
        "made_up-1.0.dist-info/WHEEL": WHEEL,
        "made_up-1.0.dist-info/entry_points.txt": entries,
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("made_up-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    packages = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "tests.pth").write_text("\n".join([str(REPOSITORY), *others]))
    install = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--no-index"]
    quiet = ["--no-deps", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*install, *quiet], check=True, capture_output=True)

    folder = tmp_path / "granted"
    folder.mkdir()
    workbench.write(
        "c.yaml", f"nodes: [{{name: big, slots: 2, processes: {{folder: {folder}, room: 2, every: 0.1}}}}]\n"
    )
    workbench.write("e.yaml", "name: e\ncommand: 'echo on $TUI_LAB_NODE'\nparameters: {p: [1, 2, 3, 4, 5, 6]}\n")
    words = [str(place / "bin" / "python"), "-m", "tui_lab", "--run", "e.yaml", "--cluster", "c.yaml"]
    environment = {name: value for name, value in workbench.environment.items() if name != "PYTHONPATH"}
    run = subprocess.run(words, cwd=workbench.folder, env=environment, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    rows = workbench.tasks()
    assert [row["state"] for row in rows] == ["done"] * 6 and all(row["node"].startswith("big.") for row in rows)
    assert workbench.output(0) == f"on {rows[0]['node']}\n"
    left = [path for path in folder.glob("*.pid") if os.path.exists(f"/proc/{path.read_text()}/exe")]  # noqa: PTH110
    assert not left and not list(folder.glob("*.asked"))
