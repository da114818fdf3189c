"""Files to and from a node, through a real file server process."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.engine.agent.talk import interpreters
from tests.workbench import alive
from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import Listener, NodeConnection
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.staging import OneFirst
from tui_lab.engine.transfer.channel import BLOCK, FileChannel
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transfer.partial import PART, part_of
from tui_lab.engine.transfer.sources import PIECE
from tui_lab.engine.transports.local import LocalChannel, LocalTransport
from tui_lab.store.task_files import TaskFile

MB = 1 << 20


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def any_transport(tmp_path: Path, request: pytest.FixtureRequest) -> LocalTransport:
    return LocalTransport(tmp_path / "spool", request.param)


@pytest.fixture
def transport(tmp_path: Path) -> LocalTransport:
    return LocalTransport(tmp_path / "spool")


@asynccontextmanager
async def opened(transport: LocalTransport) -> AsyncIterator[FileChannel]:
    files = FileChannel(await transport.open_files())
    try:
        yield files
    finally:
        await files.close()


def server(files: FileChannel) -> int:
    assert isinstance(files.channel, LocalChannel)
    return files.channel.process.pid


def sha(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parts(target: Path) -> list[Path]:
    """What is here of a file that is not whole."""
    return list(target.parent.glob(f"{target.name}.*{PART}"))


def big_file(path: Path, request: pytest.FixtureRequest) -> int:
    """1 GB with --long, else 100 MB, which is more than what is on its way in three connections; no two pieces
    alike."""
    size = (1000 if request.config.getoption("--long") else 100) * MB
    with open(path, "wb") as file:
        for number in range(size // MB):
            file.write(number.to_bytes(8, "big") * (MB // 8))
        file.write(b"the end")
    return size + 7


def peak_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


# --- Under every Python


@pytest.mark.slow
async def test_a_file_there_and_back(any_transport: LocalTransport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * PIECE + 5))
    (tmp_path / "empty").touch()
    home, tree = str(tmp_path / "home"), str(tmp_path / "home/code/1")
    async with opened(any_transport) as files:
        counted: list[int] = []
        entries = [("a/one", source, sha(source)), ("two", tmp_path / "empty", sha(tmp_path / "empty"))]
        await files.put_tree(home, tree, entries, counted.append)
        assert sum(counted) == 3 * PIECE + 5
        await files.put_tree(home, tree, entries, counted.append)  # all is there
        assert sum(counted) == 3 * PIECE + 5
        listed = {entry["name"]: entry["size"] for entry in await files.list_files(home, tree)}
        assert listed == {"a/one": 3 * PIECE + 5, "two": 0}
        counted.clear()
        back = TaskFile(str(tmp_path / "back"), "deep/one")
        assert await files.get(home, tree + "/a/one", back, mode=0o640, progress=counted.append) == 3 * PIECE + 5
        assert Path(back).read_bytes() == source.read_bytes()
        assert Path(back).stat().st_mode & 0o777 == 0o640
        assert sum(counted) == 3 * PIECE + 5
        assert await files.get(home, tree + "/two", TaskFile(str(tmp_path / "back"), "two")) == 0
        assert (await files.read(home, tree + "/a/one", 10, 20)) == (source.read_bytes()[10:30], 3 * PIECE + 5)
        assert await files.packages(sys.executable) != {}
        assert await files.packages("/no/such/python") == {}
        await files.remove([tree, str(tmp_path / "home/never")], home)
        assert not Path(tree).exists()
    assert not list(tmp_path.glob("**/*.part*"))


# --- Under this one


class Killer:
    """Kills the server of so many connections, each when it has carried 5 MB; counts the bytes of all."""

    def __init__(self, connections: int) -> None:
        self.left = connections
        self.carried = 0

    def meet(self, pid: int) -> None:
        """The server of the next connection."""
        self.pid, self.killed, self.end = pid, False, self.carried + 5 * MB

    def count(self, size: int) -> None:
        self.carried += size
        if self.carried > self.end and self.left and not self.killed:
            self.left -= 1
            self.killed = True
            os.kill(self.pid, 9)


async def test_a_transfer_that_is_cut_off_goes_on_where_it_was(
    transport: LocalTransport, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    to = TaskFile(str(tmp_path), "target")
    size = big_file(source, request)
    killer = Killer(3)
    while not target.exists():
        async with opened(transport) as files:
            killer.meet(server(files))
            try:
                await files.get(str(tmp_path), str(source), to, progress=killer.count)
            except TransferError as error:
                assert error.lost
                assert files.lost
                assert [path.stat().st_size > 0 for path in parts(target)] == [True]
            else:
                if not killer.killed:  # else all was under way already
                    assert peak_memory(killer.pid) < 60 * MB
    assert killer.left == 0
    assert sha(target) == sha(source)
    assert killer.carried < size + 3 * 40 * MB
    assert not parts(target)


async def test_an_upload_that_is_cut_off_goes_on_where_it_was(
    transport: LocalTransport, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    size = big_file(source, request)
    entries = [("big", source, sha(source))]
    killer = Killer(2)
    while not (home / "code/x").exists():
        async with opened(transport) as files:
            killer.meet(server(files))
            try:
                await files.put_tree(str(home), str(home / "code/x"), entries, killer.count)
            except TransferError as error:
                assert error.lost
            else:
                assert peak_memory(killer.pid) < 60 * MB
    assert killer.left == 0
    assert killer.carried <= size
    assert sha(home / "code/x/big") == sha(source)


class Sender:
    """Sends a file to a node again and again until it is there; counts the bytes that are sent, or agree."""

    def __init__(self, source: Path, home: Path) -> None:
        self.source, self.home = source, home
        self.counts: list[int] = []

    async def send(self, transport: LocalTransport) -> None:
        async with opened(transport) as files:
            self.counts.clear()
            await files.put_files(str(self.home), f"{self.home}/in", [("deep/big", self.source)], self.counts.append)

    @property
    def sent(self) -> int:
        """The bytes of the last time, without those that were there."""
        return sum(count for count in self.counts if count <= PIECE)


@pytest.mark.slow
@pytest.mark.fault
async def test_a_file_of_a_stage_that_is_cut_off_goes_on_where_it_was(
    any_transport: LocalTransport, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    size, there = big_file(source, request), home / "in/deep/big"
    killer = Killer(3)
    while not there.exists():
        async with opened(any_transport) as files:
            killer.meet(server(files))
            counts: list[int] = []

            def count(size: int, counts: list[int] = counts) -> None:
                counts.append(size)
                killer.count(size if size <= PIECE else 0)

            try:
                await files.put_files(str(home), f"{home}/in", [("deep/big", source)], count)
            except TransferError as error:
                assert error.lost and not there.exists()
            else:
                assert peak_memory(killer.pid) < 60 * MB
    assert killer.left == 0
    assert killer.carried < size + 3 * BLOCK, "what is sent once more is less than a block after each break"
    assert sha(there) == sha(source)


async def test_what_a_node_has_of_a_file_counts_only_as_far_as_it_agrees(
    transport: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_lab.engine.transfer.channel.BLOCK", 4 * MB)
    source, sender = tmp_path / "source", Sender(tmp_path / "source", tmp_path / "home")
    there = tmp_path / "home/in/deep/big"
    part = there.with_name(f"big{PART}")
    data = os.urandom(20 * MB)
    source.write_bytes(data)
    source.chmod(0o750)

    async def sent_with(beginning: bytes, at: Path) -> int:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.unlink(missing_ok=True)
        at.write_bytes(beginning)
        await sender.send(transport)
        assert there.read_bytes() == data and not part.exists()
        assert there.stat().st_mode & 0o777 == 0o750
        return sender.sent

    assert await sent_with(data[: 9 * MB], part) == 11 * MB
    assert await sent_with(data[: 5 * MB] + b"x" + data[5 * MB + 1 : 9 * MB], part) == 16 * MB, "a damaged block"
    assert await sent_with(data + b"longer", part) == 20 * MB
    assert await sent_with(data[:-1], there) == 20 * MB, "a truncated file is not whole"
    assert await sent_with(data[:-1] + bytes([data[-1] ^ 1]), there) == 20 * MB, "nor is one of the same size"
    await sender.send(transport)
    assert sender.sent == 0, "what is whole is not sent again"
    # The source is another one than at the break.
    data = data[: 6 * MB] + os.urandom(14 * MB)
    source.write_bytes(data)
    there.rename(part)
    await sender.send(transport)
    assert (sender.sent, there.read_bytes() == data) == (16 * MB, True)
    # Or it changes meanwhile.
    there.unlink()
    async with opened(transport) as files:

        def change(count: int) -> None:
            os.utime(source, ns=(1, 1))

        with pytest.raises(TransferError, match="changed while it was being sent") as caught:
            await files.put_files(str(sender.home), f"{sender.home}/in", [("deep/big", source)], change)
        assert caught.value.errno == errno.EAGAIN and not there.exists()
    await sender.send(transport)
    assert there.read_bytes() == data


@pytest.mark.slow
async def test_small_files_that_a_node_has_are_not_sent_again(transport: LocalTransport, tmp_path: Path) -> None:
    home, there = tmp_path / "home", tmp_path / "home/in/deep"
    files = [(f"deep/{number}", tmp_path / str(number)) for number in range(3)]
    for _, path in files:
        path.write_bytes(os.urandom(MB))
    counts: list[int] = []
    names: list[str] = []

    async def sent() -> int:
        """The bytes that were written anew, by the files that are other ones now."""
        before = {path.name: path.stat().st_ino for path in there.glob("*")}
        counts.clear()
        names.clear()
        async with opened(transport) as channel:  # of an engine that knows nothing of what is there
            await channel.put_files(str(home), f"{home}/in", files, counts.append, names.append)
        assert sum(counts) == 3 * MB and sorted(names) == [name for name, _ in files]
        assert all((home / "in" / name).read_bytes() == path.read_bytes() for name, path in files)
        return sum(path.stat().st_size for path in there.glob("*") if before.get(path.name) != path.stat().st_ino)

    assert await sent() == 3 * MB
    assert await sent() == 0
    for name in ("0", "1"):  # so that a new file has another inode
        os.link(there / name, tmp_path / f"old-{name}")
    altered = bytearray((there / "0").read_bytes())
    altered[-1] ^= 1
    (there / "0").write_bytes(altered)
    (there / "1").chmod(0o700)
    assert await sent() == 2 * MB, "another content, or another mode"


async def test_files_of_another_home_are_shared_without_a_copy(any_transport: LocalTransport, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "in/deep").mkdir(parents=True)
    (one / "in/deep/a").write_text("a")
    (one / "in/last").symlink_to("deep/a")
    (two / "in/deep/a").mkdir(parents=True)
    async with opened(any_transport) as files:
        names = ["deep/a", "last", "nowhere", "../in/deep/a"]
        assert await files.link_files(str(two), f"{two}/in", str(one), f"{one}/in", names) == {"deep/a"}
        assert (
            await files.link_files(str(two), f"{two}/in", str(tmp_path / "none"), f"{tmp_path}/none/in", names) == set()
        )
        with pytest.raises(TransferError, match="is not below"):
            await files.link_files(str(two), f"{two}/in", str(one), str(tmp_path), names)
    assert (two / "in/deep/a").samefile(one / "in/deep/a")
    assert not (two / "in/last").exists()


async def test_what_was_sent_in_part_and_is_of_no_use_is_sent_again(transport: LocalTransport, tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.write_bytes(os.urandom(2 * PIECE))
    objects = home / "objects"
    objects.mkdir(parents=True)
    (objects / (sha(source) + PART)).write_bytes(b"x" * PIECE)
    async with opened(transport) as files:
        await files.put_tree(str(home), str(home / "code/1"), [("f", source, sha(source))])
        assert (home / "code/1/f").read_bytes() == source.read_bytes()
        (objects / sha(source)).write_bytes(b"")  # what a crash of the node may leave
        await files.put_tree(str(home), str(home / "code/2"), [("f", source, sha(source))])
        assert (home / "code/2/f").read_bytes() == source.read_bytes()
        with pytest.raises(TransferError, match="came damaged"):
            await files.put_tree(str(home), str(home / "code/3"), [("f", source, "0" * 64)])
        assert not (home / "code/3").exists()
        assert not files.lost


async def test_only_a_part_of_the_same_file_is_gone_on_with(transport: LocalTransport, tmp_path: Path) -> None:
    """Another attempt, or the same one later, may have written another file of that name."""
    source, target = tmp_path / "source", tmp_path / "target"
    to = TaskFile(str(tmp_path), "target")
    source.write_bytes(b"a file")

    def begin(data: bytes, of: Path) -> None:
        facts = of.stat().st_size, of.stat().st_mtime_ns
        (tmp_path / part_of("target", f"{of} {facts}")).write_bytes(data)

    async with opened(transport) as files:
        begin(b"A F", source)
        assert await files.get(str(tmp_path), str(source), to) == 6
        assert target.read_bytes() == b"A File"  # it went on where it was
        other = tmp_path / "other"
        other.write_bytes(b"of another attempt")
        begin(b"of anoth", other)
        begin(b"A F", source)
        (tmp_path / "target.own.tui-lab-part").write_bytes(b"a name that a task gave")
        source.write_bytes(b"newer!")
        os.utime(source, ns=(1, 1))
        assert await files.get(str(tmp_path), str(source), to) == 6
        assert target.read_bytes() == b"newer!"
        assert [path.name for path in parts(target)] == ["target.own.tui-lab-part"]
        begin(b"longer than all of it", source)
        target.unlink()
        await files.get(str(tmp_path), str(source), to)
        assert target.read_bytes() == b"newer!"


async def test_what_is_here_already_is_not_sent_again(transport: LocalTransport, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    to = TaskFile(str(tmp_path), "target")
    source.write_bytes(b"one")
    carried: list[int] = []
    async with opened(transport) as files:
        for _ in range(2):
            assert await files.get(str(tmp_path), str(source), to, progress=carried.append) == 3
        assert carried == [3]
        assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
        source.write_bytes(b"two")
        os.utime(source, ns=(1, 1))
        await files.get(str(tmp_path), str(source), to)
        assert target.read_bytes() == b"two"


@pytest.mark.slow
async def test_ten_thousand_small_files(transport: LocalTransport, tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    entries = []
    for number in range(10_000):
        path = source / str(number)
        path.write_text(str(number))
        entries.append((f"{number % 10}/{number}", path, hashlib.sha256(str(number).encode()).hexdigest()))
    async with opened(transport) as files:
        await files.put_tree(str(home), str(home / "code/x"), entries)
        assert (home / "code/x/7/4567").read_text() == "4567"
        listed = await files.list_files(str(home), str(home / "code/x"))
        assert len(listed) == 10_000
        assert {entry["name"] for entry in listed} == {name for name, _, _ in entries}


async def test_names_of_any_bytes(transport: LocalTransport, tmp_path: Path) -> None:
    names = ["with space", "with\nnewline", 'with "quotes"', os.fsdecode(b"latin-\xe9"), "日本", "x" * 255]
    source = tmp_path / "source"
    source.mkdir()
    for name in names:
        (source / name).write_text(name, errors="surrogateescape")
    entries = [(name, source / name, sha(source / name)) for name in names]
    home = tmp_path / "home"
    async with opened(transport) as files:
        await files.put_tree(str(home), str(home / "code"), entries)
        listed = await files.list_files(str(home), str(home / "code"))
        assert sorted(entry["name"] for entry in listed) == sorted(names)
        for name in names:
            await files.get(str(home), str(home / "code" / name), TaskFile(str(tmp_path / "back"), name))
            assert (tmp_path / "back" / name).read_bytes() == os.fsencode(name)


async def test_files_that_vanish_while_they_are_listed(transport: LocalTransport, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number in range(50):
        (folder / f"{number}").mkdir(parents=True)
        for other in range(40):
            (folder / f"{number}" / f"{other}").touch()
    (folder / "stays").write_text("x")

    def remove_all() -> None:
        for number in range(50):
            shutil.rmtree(folder / f"{number}")

    async with opened(transport) as files:
        removing = asyncio.create_task(asyncio.to_thread(remove_all))
        names: set[str] = set()
        while not removing.done():
            names = {entry["name"] for entry in await files.list_files(str(tmp_path), str(folder))}
        await removing
        assert "stays" in names
        assert [entry["name"] for entry in await files.list_files(str(tmp_path), str(folder))] == ["stays"]
        with pytest.raises(TransferError, match="No such file"):
            await files.list_files(str(tmp_path), str(tmp_path / "nowhere"))


async def test_a_no_of_the_node_is_a_line_and_the_channel_goes_on(transport: LocalTransport, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "file").write_text("here")
    async with opened(transport) as files:
        for name, why in (("nowhere", "No such file"), ("fifo", "no plain file"), ("link", "symbolic link")):
            with pytest.raises(TransferError, match=why) as caught:
                await files.get(str(tmp_path), str(tmp_path / name), TaskFile(str(tmp_path), "target"))
            assert "\n" not in str(caught.value)
            assert not caught.value.lost
            assert not caught.value.storage
        assert not parts(tmp_path / "target")
        assert await files.read(str(tmp_path), str(tmp_path / "file")) == (b"here", 4)


async def test_nothing_is_written_or_removed_outside_of_the_home(transport: LocalTransport, tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (home / "code").mkdir(parents=True)
    (home / "away").symlink_to(outside)
    file = tmp_path / "file"
    file.write_text("x")
    async with opened(transport) as files:
        for path in (outside / "precious", home / "away/precious", Path(f"{home}/.."), Path(f"{home}/../outside")):
            with pytest.raises(TransferError, match=r"is not below|away: is a symbolic link"):
                await files.remove([str(path)], str(home))
        for name in ("../up", "/etc/x", "a/../../up", "", "a//b"):
            with pytest.raises(TransferError, match="no name of a file"):
                await files.put_tree(str(home), str(home / "code/1"), [(name, file, sha(file))])
        for tree in (outside / "new", home / "away/new"):
            with pytest.raises(TransferError, match=r"is not below|away: is a symbolic link"):
                await files.put_tree(str(home), str(tree), [("f", file, sha(file))])
        with pytest.raises(TransferError, match="no folder of a lab"):
            await files.remove(["~/x"], "~")
        await files.remove([str(home / "away")], str(home))  # the link, not what it leads to
        assert (outside / "precious").read_text() == "x"
        assert [path.name for path in outside.iterdir()] == ["precious"]
        assert not list((home / "code").iterdir())
        await files.remove([str(home)], str(home))
        assert not home.exists()


async def test_a_full_disk_here_and_there(transport: LocalTransport, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        source = tmp_path / "source"
        source.write_bytes(os.urandom(4 * MB))
        big = tmp_path / "big"
        big.write_bytes(os.urandom(10 * MB))
        async with opened(transport) as files:
            with pytest.raises(TransferError, match="No space left") as caught:
                await files.get(str(tmp_path), str(source), TaskFile(str(small / "task"), "target"))
            assert caught.value.storage
        for path in parts(small / "task/target"):
            path.unlink()
        async with opened(transport) as files:
            home = str(small / "home")
            with pytest.raises(TransferError, match=r"the node says: .*No space left") as caught:
                await files.put_tree(home, home + "/code", [("f", source, sha(source))])
            assert not caught.value.storage
            assert not files.lost
            await files.remove([home + "/objects"], home)
            with pytest.raises(TransferError, match="No space left"):
                await files.put_files(home, f"{home}/in", [("f", big)])
            begun = (small / "home/in" / f"f{PART}").stat().st_size
            subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
            counts: list[int] = []
            await files.put_files(home, f"{home}/in", [("f", big)], counts.append)  # there is room now
            assert sha(small / "home/in/f") == sha(big)
            assert counts[0] == begun > 0 and sum(counts) == big.stat().st_size, "it went on where it was"
            await files.remove([f"{home}/in"], home)
            (tmp_path / "little").write_text("x")
            await files.put_tree(home, home + "/code", [("f", tmp_path / "little", sha(tmp_path / "little"))])
            assert (small / "home/code/f").read_text() == "x"
    finally:
        subprocess.run(["umount", "-l", small], check=True)


async def test_a_transfer_that_is_given_up_ends_the_channel(transport: LocalTransport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 * MB))
    files = FileChannel(await transport.open_files())
    pid = server(files)
    try:
        begun = asyncio.Event()
        getting = asyncio.create_task(
            files.get(str(tmp_path), str(source), TaskFile(str(tmp_path), "target"), progress=lambda _: begun.set())
        )
        await begun.wait()
        getting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await getting
        with pytest.raises(TransferError) as caught:
            await files.list_files(str(tmp_path.parent), str(tmp_path))
        assert caught.value.lost
    finally:
        await files.close()
    assert not alive(pid)


@pytest.mark.fault
async def test_a_server_that_is_frozen_is_given_up(
    transport: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_lab.engine.transfer.channel.STALLED", 0.3)
    (tmp_path / "file").write_text("x")
    async with opened(transport) as files:
        assert await files.list_files(str(tmp_path.parent), str(tmp_path))  # it may take its time to begin
        os.kill(server(files), signal.SIGSTOP)
        with pytest.raises(TransferError, match="no answer for 0 s") as caught:
            await files.read(str(tmp_path), str(tmp_path / "file"))
        assert caught.value.lost


async def test_a_request_over_a_channel_that_has_died_goes_over_a_new_one(
    transport: LocalTransport, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    node = NodeConnection(
        {"name": "n", "slots": 1, "tags": []},
        NodeState("n"),
        transport,
        lab="lab",
        marker=tmp_path / "none",
        epoch=1,
        listener=mock.create_autospec(Listener),
    )
    node.ready = True
    pool, used = FileChannelPool(), []

    async def read(files: FileChannel) -> tuple[bytes, int]:
        used.append(server(files))
        return await files.read(str(tmp_path), str(tmp_path / "file"))

    try:
        assert await pool.use(node, read) == (b"x", 1)
        os.kill(used[0], signal.SIGKILL)
        assert await pool.use(node, read) == (b"x", 1)
        assert len(used) == 3 and used[0] == used[1] != used[2]
        with pytest.raises(TransferError, match="No such file"):
            await pool.use(node, lambda files: files.read(str(tmp_path), str(tmp_path / "none")))
    finally:
        await pool.forget(node)


async def test_nodes_of_a_pool_share_their_channels(
    transport: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a process on the login node of a cluster."""
    monkeypatch.setattr("tui_lab.engine.channel_pool.AT_ONCE_OF_POOL", 2)
    (tmp_path / "file").write_text("x")
    nodes: list[Any] = [mock.Mock(entry={"pool": "big"}, ready=True, transport=transport) for _ in range(4)]
    pool, running, most = FileChannelPool(), 0, 0

    async def read(node: Any) -> int:
        nonlocal running, most
        async with pool.channel(node) as files:
            running, most = running + 1, max(most, running + 1)
            assert await files.read(str(tmp_path), str(tmp_path / "file")) == (b"x", 1)
            running -= 1
            return server(files)

    pids = await asyncio.gather(*(read(node) for node in nodes))
    assert most == 2
    alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert len(alive) <= 2, "idle ones have made room"
    for node in nodes:
        await pool.forget(node)


async def test_the_first_of_a_kind_is_alone() -> None:
    first, running, seen = OneFirst(), 0, []
    go = asyncio.Event()

    async def one(number: int) -> None:
        nonlocal running
        async with first.turn("code"):
            running += 1
            seen.append((number, running))
            if number == 0:
                running -= 1
                raise OSError
            await (asyncio.sleep(0.01) if number == 1 else go.wait())
            running -= 1

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    async with asyncio.timeout(10):
        while len(seen) < 4:
            await asyncio.sleep(0)
    assert seen[:2] == [(0, 1), (1, 1)] and {count for _, count in seen[2:]} == {1, 2}, "one failed, then one was first"
    go.set()
    assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[0], OSError)
