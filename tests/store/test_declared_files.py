"""What the globs of `code` and `inputs` name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.experiment.load import load
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.declared_files import LEFT_OUT, Declared, declared


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in (
        *("main.py", "lib/a.py", "lib/deep/b.py", "data/one.csv", "data/sub/a.txt", "layers=[64,64]/q.py"),
        *("lab/lab.json", "lab/grid/experiment.yaml", "env/pyvenv.cfg", "env/bin/x.py"),
        *(f"{name}/x.py" for name in LEFT_OUT),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def look(project: Path, glob: str, key: str = "code") -> Declared:
    file = project / "e.yaml"
    file.write_text(f"command: 'true'\n{key}: {glob!r}\n")
    return declared(load(file), key)  # type: ignore[arg-type]


EVERYTHING = ["data/one.csv", "data/sub/a.txt", "e.yaml", "layers=[64,64]/q.py", "lib/a.py", "lib/deep/b.py", "main.py"]


@pytest.mark.parametrize(
    ("glob", "files"),
    [
        ("main.py", ["main.py"]),
        ("*.py", ["main.py"]),
        ("lib", ["lib/a.py", "lib/deep/b.py"]),
        ("./lib//", ["lib/a.py", "lib/deep/b.py"]),
        ("lib/**", ["lib/a.py", "lib/deep/b.py"]),
        ("lib/*", ["lib/a.py", "lib/deep/b.py"]),
        ("lib/*.py", ["lib/a.py"]),
        ("**/*.py", ["layers=[64,64]/q.py", "lib/a.py", "lib/deep/b.py", "main.py"]),
        ("l*/deep", ["lib/deep/b.py"]),
        ("layers=[64,64]", ["layers=[64,64]/q.py"]),
        ("layers=[64,64]/*.py", ["layers=[64,64]/q.py"]),
        ("[lm]*.py", ["main.py"]),
        (".", EVERYTHING),
        ("**", EVERYTHING),
        ("**/*", EVERYTHING),
        (".venv/*.py", [".venv/x.py"]),
        ("node_modules", ["node_modules/x.py"]),
        ("lab/grid/*.yaml", ["lab/grid/experiment.yaml"]),
    ],
)
@pytest.mark.parametrize("key", ["code", "inputs"])
def test_globs_name_files(project: Path, key: str, glob: str, files: list[str]) -> None:
    found = look(project, glob, key)
    assert list(found.files) == files
    assert not found.notices
    assert all(path.is_file() for path in found.files.values())


def test_what_matches_nothing_is_told(project: Path) -> None:
    assert look(project, "nosuch/**").notices == (f'{project}/e.yaml:2:7: "nosuch/**" matches no file',)
    assert "braces mean nothing in a glob" in look(project, "'{a,b}.py'").notices[0]
    assert "labs, environments and the like are left out" in look(project, "lab").notices[0]
    assert look(project, "lib/deep/*.so", "inputs").notices[0].startswith(f"{project}/e.yaml:2:9: ")


def test_links_are_files_and_linked_folders_are_named(project: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "c.py").write_text("c")
    (project / "here").symlink_to(far)
    (project / "lib" / "loop").symlink_to("..")
    (project / "lib" / "link.py").symlink_to("../main.py")
    (project / "lib" / "dangling").symlink_to("nowhere")
    assert list(look(project, "here/*.py").files) == ["here/c.py"]
    assert list(look(project, "here").files) == ["here/c.py"]
    found = look(project, "lib/**")
    assert list(found.files) == ["lib/a.py", "lib/deep/b.py", "lib/link.py"]
    assert [notice.partition(": ")[2] for notice in found.notices] == [
        '"lib/loop" is a link to a folder, which "lib/**" does not enter; name it to take what is in it'
    ]


@pytest.mark.parametrize("glob", ["../far/*.py", "/etc/passwd", "~/x.py", "lib/../../x", ".."])
@pytest.mark.parametrize("key", ["code", "inputs"])
def test_what_leads_out_of_the_folder_is_an_error_at_its_place(project: Path, key: str, glob: str) -> None:
    with pytest.raises(SpecError) as error:
        look(project, glob, key)
    (problem,) = error.value.problems
    assert (problem.line, problem.column) == (2, len(key) + 3)
    assert "is not inside the experiment's folder" in problem.message
