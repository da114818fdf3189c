"""The channel to the file server of an agent: what is fetched, sent, linked and removed (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Final

from tui_lab.engine.transfer.errors import Answer, TransferError
from tui_lab.engine.transfer.partial import PartialFile
from tui_lab.engine.transfer.sources import (
    PIECE,
    Facts,
    Source,
    begin_at,
    digest_of,
    facts_at,
    facts_of,
    in_thread,
    mode_of,
    open_source,
    whole_digest,
)
from tui_lab.engine.transports.channel import Channel
from tui_lab.store.task_files import TaskFile

Progress = Callable[[int], None]  # gets how many bytes have just been carried

READ: Final = 1 << 18  # bytes asked of the channel at once
WRITE: Final = 1 << 20  # bytes gathered for one write to the disk
AHEAD: Final = 64  # requests on their way without an answer: a small file must not cost a round trip
BATCH: Final = 2000  # objects asked for at once
STALLED: Final = 60.0  # seconds without a byte after which a file server counts as gone
LENGTHY: Final = 900.0  # the same for what goes through whole folders before it is answered
LINE: Final = 1 << 26  # bytes of an answer
BLOCK: Final = 1 << 26  # bytes of a file that are compared at once before it is gone on with
LARGE: Final = 1 << 23  # bytes from which on a file that is sent is gone on with after a break
ASKED: Final = 1 << 20  # bytes of smaller files together from which on the node is asked which of them it has
AGREEMENTS: Final = 3  # tries to find out what the node has of a file


class FileChannel:
    """A channel to a file server. Exchanges take place one after the other; one that was given up in the middle
    leaves the channel `lost`. Every method raises TransferError."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._unread = bytearray()
        self._lock = asyncio.Lock()
        self._patience = STALLED
        self.lost = False

    async def close(self) -> None:
        """Close the channel; it can't be used again."""
        self.lost = True
        await self.channel.close()

    # --- From the node

    async def get(
        self,
        home: str,
        path: str,
        target: TaskFile,
        *,
        mode: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Fetch a file below a node's home; return its size. It grows beside the target (`part_of`), and gets its name
        and time once it is whole and durable. A file that is here already, with the same size and time, is not sent
        again; a part that is here is continued."""
        facts = await self._facts(home, path)
        partial: PartialFile = await in_thread(target, PartialFile, target)
        try:
            if partial.facts() == facts:
                return facts[0]
            begin: int = await in_thread(target, partial.open, f"{path} {facts}")
            async with self._exchange():
                size, mtime = await self._get_into(partial, home, path, begin, progress)
                if size < begin:  # it is another file by now, or the part is
                    await in_thread(target, partial.restart)
                    size, mtime = await self._get_into(partial, home, path, 0, progress)
            await in_thread(target, partial.finish, mode, mtime)
        finally:
            partial.close()
        return size

    async def _facts(self, home: str, path: str) -> tuple[int, int]:
        """Size and time of change (ns) of a file of the node."""
        async with self._exchange():
            self._send({"get": path, "home": home, "offset": 0, "most": 0})
            facts = await self._answer()
            await self._answer()
        return facts["total"], facts["mtime_ns"]

    async def _get_into(
        self, partial: PartialFile, home: str, path: str, begin: int, progress: Progress | None
    ) -> tuple[int, int]:
        """Append what the node has from there on; the file's size there, and its time of change (ns)."""
        self._send({"get": path, "home": home, "offset": begin, "most": None})
        first = await self._answer()
        total = int(first["total"])
        gathered = bytearray()
        while "end" not in (answer := await self._answer()):
            data = await self._exactly(answer["size"])
            gathered += data
            if len(gathered) >= WRITE:
                await in_thread(partial.target, partial.write, gathered)
                gathered = bytearray()
            if progress is not None:
                progress(len(data))
        await in_thread(partial.target, partial.write, gathered)
        if total >= begin and partial.size < answer["total"]:
            raise TransferError(f"{path} changed while it was being read")
        return min(total, int(answer["total"])), int(first["mtime_ns"])

    async def read(self, home: str, path: str, offset: int = 0, most: int | None = None) -> tuple[bytes, int]:
        """A part of a file, and its size."""
        async with self._exchange():
            self._send({"get": path, "home": home, "offset": offset, "most": most})
            await self._answer()
            data = bytearray()
            while "end" not in (answer := await self._answer()):
                data += await self._exactly(answer["size"])
        return bytes(data), answer["total"]

    async def list_files(self, home: str, folder: str) -> list[Answer]:
        """The files below a folder: {"name" (relative), "size", "mtime", "link"?: target}."""
        files: list[Answer] = (await self._ask({"list": folder, "home": home}, LENGTHY))["files"]
        return files

    # --- To the node

    async def put_tree(
        self, home: str, folder: str, files: Sequence[tuple[str, Source, str]], progress: Progress | None = None
    ) -> None:
        """Send a folder of files: (relative name, file here, its SHA-256). Files that the node has are not sent again,
        parts are continued, and the folder appears whole."""
        sources = {sha: path for _, path, sha in files}
        modes = await asyncio.to_thread(lambda: [mode_of(path) for _, path, _ in files])
        entries = [[name, sha, mode] for (name, _, sha), mode in zip(files, modes, strict=True)]
        await self._put_missing(home, sources, progress)
        try:
            await self._ask({"tree": folder, "home": home, "files": entries}, LENGTHY)
        except TransferError as error:
            if not error.answer.get("missing"):
                raise
            await self._put_missing(home, sources, progress)  # a crash had damaged some
            await self._ask({"tree": folder, "home": home, "files": entries}, LENGTHY)

    async def put_files(
        self,
        home: str,
        folder: str,
        files: Sequence[tuple[str, Source]],
        progress: Progress | None = None,
        arrived: Callable[[str], None] | None = None,
    ) -> None:
        """Write files into a folder below the home, replacing those there: (relative name, file here). Of large ones,
        what is there already and agrees is not sent again, nor are small ones that are worth the question. arrived:
        called with the name of each that is there."""
        facts = await asyncio.to_thread(lambda: [facts_at(path) for _, path in files])
        large = {name for (name, _), (_, size, *_) in zip(files, facts, strict=True) if size >= LARGE}
        asked = [(name, path, fact) for (name, path), fact in zip(files, facts, strict=True) if name not in large]
        if sum(fact.size for _, _, fact in asked) >= ASKED:
            same = await self._same(home, folder, asked)
            for name, _, fact in asked:
                if name in same and arrived is not None:
                    arrived(name)
                if name in same and progress is not None:
                    progress(fact.size)
            left = [place for place, (name, _) in enumerate(files) if name not in same]
            files, facts = [files[place] for place in left], [facts[place] for place in left]
        heads: list[tuple[Answer, Source, int]] = [
            ({"put": f"{folder}/{name}", "home": home, "mode": mode}, path, 0)
            for (name, path), (mode, *_) in zip(files, facts, strict=True)
            if name not in large
        ]
        small = iter([name for name, _ in files if name not in large])

        def answered(request: Answer) -> None:
            if request.get("final") and arrived is not None:
                arrived(next(small))

        if heads:
            await self._pipeline(self._put_requests(heads), progress, answered)
        for name, path in files:
            if name in large:
                await self._put_large(home, f"{folder}/{name}", path, progress)
                if arrived is not None:
                    arrived(name)

    async def _same(self, home: str, folder: str, files: Sequence[tuple[str, Source, Facts]]) -> set[str]:
        """Return which of some small files a folder on the node has, with the same mode and content."""
        found: set[str] = set()
        for start in range(0, len(files), BATCH):
            some = files[start : start + BATCH]
            listed = [[name, fact.size, fact.mode] for name, _, fact in some]
            theirs = (await self._ask({"same": folder, "home": home, "files": listed}, LENGTHY))["sha"]
            for name, source, fact in some:
                if name in theirs and theirs[name] == await in_thread(source, whole_digest, source, fact):
                    found.add(name)
        return found

    async def link_files(self, home: str, folder: str, other: str, source: str, names: Sequence[str]) -> set[str]:
        """Make files of a folder below another home on the node those of a folder below its own, without a copy. Return
        the names of those that are there now."""
        request = {"link": list(names), "from": source, "of": other, "to": folder, "home": home}
        return set(names).difference((await self._ask(request, LENGTHY))["missing"])

    async def _put_large(self, home: str, path: str, source: Source, progress: Progress | None) -> None:
        """Send a file from where it broke off, as far as the node has the same."""
        file = await in_thread(source, open_source, source)
        try:
            for again in range(AGREEMENTS):
                facts: Facts = await in_thread(source, facts_of, file)
                if await self._agreed(home, path, source, file, facts, part=False) == facts.size:
                    break
                offset = await self._agreed(home, path, source, file, facts, part=True)
                if progress is not None:
                    progress(offset)
                try:
                    await self._pipeline(_large_requests(home, path, source, file, facts, offset), progress)
                    break
                except TransferError as error:
                    if error.answer.get("at") is None or again == AGREEMENTS - 1:
                        raise
        finally:
            file.close()

    async def _agreed(self, home: str, path: str, source: Source, file: BinaryIO, facts: Facts, *, part: bool) -> int:
        """Return how many of the first bytes of a file the node has. part: of what was begun there; else only all of
        it count, with the same mode."""
        request = {"digest": path, "home": home, "part": part}
        there = await self._ask({**request, "offset": 0, "most": 0})
        size = there["size"] or 0
        if size > facts.size or (not part and (size, there["mode"]) != (facts.size, facts.mode)):
            return 0
        agreed = 0
        while agreed < size:
            most = min(BLOCK, size - agreed)
            theirs, ours = await asyncio.gather(
                self._ask({**request, "offset": agreed, "most": most}), in_thread(source, digest_of, file, agreed, most)
            )
            if theirs["sha"] != ours:
                return agreed if part else 0
            agreed += most
        return agreed

    async def _put_missing(self, home: str, sources: dict[str, Source], progress: Progress | None) -> None:
        names = list(sources)
        for start in range(0, len(names), BATCH):
            answer = await self._ask({"have": names[start : start + BATCH], "home": home})
            partial = answer.get("partial", {})
            heads = _object_heads(home, answer["missing"], sources, partial)
            try:
                await self._pipeline(self._put_requests(heads), progress)
            except TransferError as error:
                if error.answer.get("at") is None:
                    raise
                # What was there of one was of no use, and is gone: once more, from its beginning.
                answer = await self._ask({"have": names[start : start + BATCH], "home": home})
                heads = _object_heads(home, answer["missing"], sources, {})
                await self._pipeline(self._put_requests(heads), progress)

    async def _put_requests(
        self, heads: Iterable[tuple[Answer, Source, int]]
    ) -> AsyncGenerator[tuple[Answer, bytes], None]:
        """What a file's requests have in common, the file, and the offset to begin at. `sha` goes with the last."""
        for head, path, offset in heads:
            request = {name: value for name, value in head.items() if name != "sha"}
            try:
                file, data = await asyncio.to_thread(begin_at, path, offset)
                try:
                    while len(data) > PIECE:
                        yield {**request, "offset": offset}, data[:PIECE]
                        offset += PIECE
                        data = data[PIECE:] + await asyncio.to_thread(file.read, PIECE)
                finally:
                    file.close()
            except OSError as error:
                raise TransferError(f"{path}: {error.strerror}", storage=True, errno=error.errno) from error
            yield {**head, "offset": offset, "final": True}, data

    async def _pipeline(
        self,
        requests: AsyncGenerator[tuple[Answer, bytes], None],
        progress: Progress | None,
        answered: Callable[[Answer], None] | None = None,
    ) -> None:
        """Send requests without waiting for each answer; the first refusal is raised when all are answered. answered:
        called with each request that was not refused."""
        window = asyncio.Semaphore(AHEAD)
        sizes: deque[int] = deque()
        sent: deque[Answer] = deque()
        refusal: TransferError | None = None

        async def listen() -> None:
            nonlocal refusal
            while True:
                await waiting.get()
                try:
                    await self._answer()
                    if progress is not None:
                        progress(sizes[0])
                    if answered is not None:
                        answered(sent[0])
                except TransferError as error:
                    if error.lost:
                        raise
                    refusal = refusal or error
                sizes.popleft()
                sent.popleft()
                window.release()
                waiting.task_done()

        async def speak() -> None:
            async with aclosing(requests):
                async for request, data in requests:
                    await window.acquire()
                    if refusal is not None:
                        break
                    sizes.append(len(data))
                    sent.append(request)
                    self._send({**request, "size": len(data)}, data)
                    waiting.put_nowait(None)
                    await self.channel.writer.drain()
            await waiting.join()

        waiting: asyncio.Queue[None] = asyncio.Queue()
        async with self._exchange():
            listening, speaking = asyncio.ensure_future(listen()), asyncio.ensure_future(speak())
            try:
                await asyncio.wait([listening, speaking], return_when=asyncio.FIRST_COMPLETED)
                for task in (speaking, listening):
                    if task.done():
                        task.result()
                        break
            finally:
                for task in (listening, speaking):
                    task.cancel()
                await asyncio.gather(listening, speaking, return_exceptions=True)
        if refusal is not None:
            raise refusal

    async def remove(self, paths: Sequence[str], home: str) -> None:
        """Remove files and folders below the home; those that are not there are fine."""
        await self._ask({"remove": list(paths), "home": home}, LENGTHY)

    # --- Questions

    async def packages(self, python: str) -> dict[str, str]:
        """Return the packages that an interpreter of the node has; empty where it can't list them."""
        found: dict[str, str] = (await self._ask({"packages": python}))["packages"]
        return found

    # --- The stream

    async def _ask(self, request: Answer, patience: float = STALLED) -> Answer:
        async with self._exchange():
            self._patience = patience
            self._send(request)
            return await self._answer()

    @asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        async with self._lock:
            if self.lost:
                raise TransferError("the connection was lost", lost=True)
            self.lost = True  # unless it is gone through to its end
            self._patience = STALLED
            try:
                yield
            except TransferError as error:
                self.lost = error.lost or error.storage
                raise
            except (OSError, ValueError, KeyError) as error:
                raise TransferError(f"the connection was lost: {error}", lost=True) from error
            self.lost = False

    def _send(self, request: Answer, data: bytes = b"") -> None:
        self.channel.writer.write(json.dumps(request).encode() + b"\n" + data)

    async def _answer(self) -> Answer:
        start = 0
        while (end := self._unread.find(b"\n", start)) < 0:
            start = len(self._unread)
            if start > LINE:
                raise TransferError("the connection was lost: an answer without end", lost=True)
            await self._more()
        answer: Answer = json.loads(self._unread[:end])
        del self._unread[: end + 1]
        if answer.get("ok") is False:
            raise TransferError(f"the node says: {answer['error']}", answer=answer)
        return answer

    async def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            await self._more()
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    async def _more(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                data = await self.channel.reader.read(READ)
        except TimeoutError:
            raise TransferError(f"no answer for {self._patience:.0f} s", lost=True) from None
        if not data:
            raise TransferError("the connection was lost", lost=True)
        self._unread += data


def _object_heads(
    home: str, shas: Iterable[str], sources: dict[str, Source], partial: dict[str, int]
) -> list[tuple[Answer, Source, int]]:
    return [
        ({"put": f"{home}/objects/{sha}", "home": home, "mode": 0o600, "sha": sha}, sources[sha], partial.get(sha, 0))
        for sha in shas
    ]


async def _large_requests(
    home: str, path: str, source: Source, file: BinaryIO, facts: Facts, offset: int
) -> AsyncGenerator[tuple[Answer, bytes], None]:
    """Yield the requests for a file from an offset on; the last one only if the file has stayed the same."""
    request = {"put": path, "home": home}
    while True:
        data: bytes = await in_thread(source, os.pread, file.fileno(), PIECE, offset)
        final = offset + len(data) >= facts.size
        if final or not data:
            break
        yield {**request, "offset": offset}, data
        offset += len(data)
    if not final or offset + len(data) != facts.size or await in_thread(source, facts_of, file) != facts:
        raise TransferError(f"{source} changed while it was being sent", errno=errno.EAGAIN, storage=True)
    yield {**request, "offset": offset, "mode": facts.mode, "total": facts.size, "final": True}, data
