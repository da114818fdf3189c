"""Nothing that goes by `beneath` leaves its folder, whatever stands in the way."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import rooted
from tests.workbench import REPOSITORY
from tui_lab.portable.beneath import MAX_DEPTH, Folder, MountError, NoFolderError, split_path

pytestmark = rooted.only


def digest(folder: Path) -> dict[str, object]:
    """All that is below a folder: kinds, modes, contents, targets."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(place, name)
            facts = path.lstat()
            kind = stat.S_IFMT(facts.st_mode)
            content: object = None
            if stat.S_ISLNK(facts.st_mode):
                content = str(path.readlink())
            elif stat.S_ISREG(facts.st_mode):
                content = path.read_bytes()
            found[os.path.relpath(path, folder)] = (kind, facts.st_mode, facts.st_ino, content)
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that nothing may touch."""
    folder = tmp_path / "outside"
    (folder / "deep/er").mkdir(parents=True)
    for name in ("precious", "x", "deep/precious", "deep/x", "deep/er/precious"):
        (folder / name).write_text(name)
    before = digest(folder)
    yield folder
    assert digest(folder) == before


def make_file(path: Path, outside: Path) -> None:
    path.write_text("mine")


def make_empty_folder(path: Path, outside: Path) -> None:
    path.mkdir()


def make_full_folder(path: Path, outside: Path) -> None:
    path.mkdir()
    (path / "inner").write_text("mine")


def make_link_to_folder(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def make_link_to_file(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "precious")


def make_link_up(path: Path, outside: Path) -> None:
    path.symlink_to("..")


def make_dangling_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "new")


def make_loop(path: Path, outside: Path) -> None:
    path.symlink_to(path.name)


def make_hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "precious", path)


def make_fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        folder = os.open(path.parent, os.O_RDONLY)
        end.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


Kind = Callable[[Path, Path], None]
KINDS: list[Kind] = [
    make_file,
    make_empty_folder,
    make_full_folder,
    make_link_to_folder,
    make_link_to_file,
    make_link_up,
    make_dangling_link,
    make_loop,
    make_hard_link,
    make_fifo,
    make_socket,
]
some_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__.removeprefix("make_"))


def opened(folder: Path) -> Folder:
    return Folder.base(os.fsencode(folder))


def write(folder: Folder, path: bytes, text: str, how: Callable[[Folder, bytes], int] = Folder.create) -> None:
    with open(how(folder, path), "w") as file:
        file.write(text)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def kept(mine: Path) -> dict[str, str]:
    """What was kept of that which stood in the way."""
    return {
        str(path.relative_to(mine)): path.read_text()
        for path in mine.rglob("*")
        if ".tui-lab-old" in str(path) and path.is_file()
    }


# --- Something of any kind is in the way


@some_kind
def test_a_new_file_takes_the_place_of_anything(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        write(folder, b"d", "new")
    assert (mine / "d").read_text() == "new" and not (mine / "d").is_symlink()
    assert kept(mine) == ({"d.tui-lab-old/inner": "mine"} if make is make_full_folder else {})


@some_kind
def test_a_file_in_a_folder_finds_its_folder_made(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        write(folder, b"d/deep/x", "new")
        write(folder, b"d/deep/x", "newer")
    assert (mine / "d/deep/x").read_text() == "newer" and not (mine / "d").is_symlink()
    old: dict[Kind, dict[str, str]] = {
        make_file: {"d.tui-lab-old": "mine"},
        make_hard_link: {"d.tui-lab-old": "precious"},
    }
    assert kept(mine) == old.get(make, {})
    if make is make_full_folder:
        assert (mine / "d/inner").read_text() == "mine"


@some_kind
def test_appending_never_reaches_another_file(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        write(folder, b"d", "+", lambda folder, path: folder.reopen(path, append=True))
    assert (mine / "d").read_text() == ("mine+" if make is make_file else "+")


@some_kind
def test_a_link_takes_the_place_of_anything(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        folder.symlink(b"elsewhere", b"d")
        folder.symlink(b"somewhere", b"d")
    assert (mine / "d").readlink() == Path("somewhere")
    expected: dict[Kind, list[str]] = {make_file: ["mine"], make_full_folder: ["mine"], make_hard_link: ["precious"]}
    assert list(kept(mine).values()) == expected.get(make, [])


@some_kind
def test_a_file_gets_its_name_whatever_has_it(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        write(folder, b"part", "new")
        folder.rename(b"part", b"d")
    assert (mine / "d").read_text() == "new" and not (mine / "d").is_symlink()
    assert not (mine / "part").exists()


@some_kind
def test_looking_and_removing_stay_inside(make: Kind, mine: Path, outside: Path) -> None:
    make(mine / "d", outside)
    with opened(mine) as folder:
        listed = {os.fsdecode(entry.path) for entry in folder.walk()}
        expected: dict[Kind, set[str]] = {make_full_folder: {"d/inner"}, make_empty_folder: set()}
        assert listed == expected.get(make, {"d"})
        for path in (b"d/precious", b"d/deep/precious", b"d/new"):
            for do in (folder.read, folder.unlink, folder.facts, folder.rmdir):
                with pytest.raises(OSError) as caught:
                    do(path)
                assert isinstance(caught.value, (NoFolderError, FileNotFoundError))
        if make not in (make_file, make_hard_link):
            with pytest.raises(OSError):
                folder.read(b"d")
        folder.prune()
        assert os.path.lexists(mine / "d") == (make is not make_empty_folder)
        folder.remove(b"d")
        folder.remove(b"d")
        folder.remove(b"no/where")
    assert not list(mine.iterdir())


@some_kind
def test_a_folder_is_emptied_and_nothing_else(make: Kind, mine: Path, outside: Path) -> None:
    for place in ("", "a", "a/b"):
        (mine / place).mkdir(exist_ok=True)
        make(mine / place / "d", outside)
        (mine / place / "file").touch()
    with opened(mine) as folder:
        folder.empty()
        folder.empty()
    assert not list(mine.iterdir())


def test_the_owners_links_are_followed_and_tasks_links_are_not(mine: Path, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "owners").symlink_to(mine)
    (mine / "task").symlink_to(outside)
    with opened(tmp_path / "owners") as folder:
        with pytest.raises(NoFolderError) as caught:
            folder.folder(b"task")
        assert caught.value.link == os.fsencode(outside)
        with pytest.raises(NoFolderError):
            folder.folder(b"task", make=True)
        folder.folder(b"task", make=True, clear=True).close()
    assert (mine / "task").is_dir() and not (mine / "task").is_symlink()


def test_names_that_are_kept_never_meet(mine: Path) -> None:
    long = b"n" * 255
    with opened(mine) as folder:
        for number in range(3):
            folder.folder(long, make=True, clear=True).close()
            write(folder, long + b"/inner", str(number))
            write(folder, long, "a file")
            folder.unlink(long)
    assert sorted(kept(mine).values()) == ["0", "1", "2"]


@pytest.mark.parametrize("kind", [["-t", "tmpfs", "none"], ["--bind", "OUTSIDE"]], ids=["other", "part of the same"])
def test_what_is_mounted_is_not_entered(kind: list[str], mine: Path, outside: Path) -> None:
    mount = mine / "a/mount"
    mount.mkdir(parents=True)
    (mine / "a/file").touch()
    words = ["mount", *(word.replace("OUTSIDE", str(outside)) for word in kind), str(mount)]
    if subprocess.run(words, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root and the right to mount")
    try:
        if "--bind" not in kind:
            (mount / "precious").touch()
        with opened(mine) as folder:
            found = {os.fsdecode(entry.path): str(entry.error) for entry in folder.walk()}
            assert set(found) == {"a/file", "a/mount"}
            assert "another file system is mounted there" in found["a/mount"]
            for do in (folder.read, folder.unlink, folder.create, folder.reopen, folder.remove):
                with pytest.raises(MountError):
                    do(b"a/mount/precious")
            with pytest.raises(MountError):
                folder.folder(b"a/mount", make=True, clear=True)
            with pytest.raises(OSError, match="mounted"):
                folder.remove(b"a/mount")
            with pytest.raises(OSError, match="mounted"):
                folder.remove(b"a")
        assert (mount / "precious").exists()
        assert not (mine / "a/file").exists()
    finally:
        subprocess.run(["umount", mount], check=True)


def test_deep_folders_take_no_long(mine: Path, outside: Path) -> None:
    at = os.open(mine, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 500):
        os.mkdir("d", dir_fd=at)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        at, before = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.symlink(outside, "link", dir_fd=at)
    os.close(at)
    with opened(mine) as folder:
        found = list(folder.walk())
        assert len(found) == MAX_DEPTH + 2
        assert "deep" in str(found[-1].error) or "deep" in str(found[-2].error)
        folder.empty()
    assert not list(mine.iterdir())


def test_what_can_not_be_read_is_told(mine: Path, outside: Path) -> None:
    """For a user who is not root."""
    (mine / "open").mkdir()
    (mine / "open/file").touch()
    for name, mode in (("closed", 0), ("blind", 0o311), ("stuck", 0o644)):
        (mine / name).mkdir()
        (mine / name / "file").touch()
        (mine / name).chmod(mode)
    code = (
        "import os, sys\n"
        "from tui_lab.portable.beneath import Folder\n"
        "for entry in Folder.base(b'.').walk(): print(os.fsdecode(entry.path), entry.error and entry.error.strerror)\n"
    )
    words = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        os.chown(mine, 65534, 65534)
        for path in mine.rglob("*"):
            os.chown(path, 65534, 65534)
        for parent in [mine, *mine.parents]:
            if parent.is_relative_to("/tmp/pytest-of-root"):
                parent.chmod(0o755)
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*other, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
            words[0] = "/usr/bin/python3"  # another user can't load this one's library
        words = [*other, *words]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    said = subprocess.run(words, cwd=mine, env=env, capture_output=True, text=True, check=False)
    assert said.stdout.splitlines() == [
        "stuck/file Permission denied",
        "open/file None",
        "closed Permission denied",
        "blind Permission denied",
    ], said.stderr


# --- Something is put in the way while we are at it


def test_a_race_with_a_task_is_never_lost(mine: Path, outside: Path) -> None:
    """Another process swaps the folder for a link all the time."""
    script = "while :; do mkdir -p d/deep; touch d/x d/deep/x; mv d e; ln -s $1 d; rm d; rm -rf e; done"
    swapping = subprocess.Popen(["sh", "-c", script, "sh", outside], cwd=mine, stderr=subprocess.DEVNULL)
    try:
        with opened(mine) as folder:
            for number in range(3000):
                for do in (
                    lambda: folder.remove(b"d"),
                    lambda: folder.unlink(b"d/precious"),
                    lambda: write(folder, b"d/x", "mine"),
                    lambda: write(folder, b"d/deep/x", "mine"),
                    lambda: folder.prune(),
                    lambda: list(folder.walk()),
                )[number % 6 : number % 6 + 1]:
                    try:
                        do()
                    except OSError:
                        pass  # it has vanished, or become a link, in between
    finally:
        swapping.kill()
        swapping.wait()


# --- Any names


@given(st.binary(max_size=30))
def test_a_path_leads_down_or_is_refused(path: bytes) -> None:
    try:
        parts = split_path(path)
    except ValueError:
        return
    assert b"/".join(parts) == path
    assert os.path.normpath(b"/top/" + path) == b"/top/" + path


NAMES = st.sampled_from(["a", "b", "c", "é", "with space", "-rf"])
TREES = st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(KINDS)), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES)
def test_any_tree_can_be_walked_and_emptied(tree: list[tuple[list[str], Kind]], mine: Path, outside: Path) -> None:
    for path, make in tree:
        place = mine.joinpath(*path)
        above = [parent for parent in place.parents if parent.is_relative_to(mine)]
        taken = [one for one in [place, *above] if os.path.lexists(one)]
        if place not in taken and all(one.is_dir() and not one.is_symlink() for one in taken):
            place.parent.mkdir(parents=True, exist_ok=True)
            make(place, outside)
    with opened(mine) as folder:
        found = [Path(at, name) for at, folders, files in os.walk(mine) for name in folders + files]
        expected = {str(path.relative_to(mine)) for path in found if path.is_symlink() or not path.is_dir()}
        assert {os.fsdecode(entry.path) for entry in folder.walk()} == expected
        folder.empty()
    assert not list(mine.iterdir())
