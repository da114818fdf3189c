"""The commands of Slurm, here or on a login node, and what they print."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tui_lab.engine.transports.channel import Channel, ChannelError, StderrTail
from tui_lab.engine.transports.local import LIMIT
from tui_lab.engine.transports.slurm.errors import command_error, is_over
from tui_lab.engine.transports.ssh.transport import SshTransport, command_line
from tui_lab.engine.transports.supply import SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.pools.slurm import walltime

PATIENCE: Final = 60.0  # seconds that a command may take
FORMAT: Final = "%A|%i|%K|%j|%T|%r|%S|%e|%M|%N|%k"
"""Of squeue. The comment comes last: it may hold anything."""
OF_A_JOB: Final = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SCANCEL_", "SINFO_")
KEPT: Final = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS"})
SECONDS: Final = {"SLURM_TIME_FORMAT": "%s"}
"""Makes all of the commands write times as seconds since 1970."""
YEAR: Final = 365 * 86400.0
"""Seconds after which Slurm has a job end that has no limit."""
_MEMBER: Final = re.compile(r"(?:^|\s)(\w+)=(\S*)")
_JOB_ID: Final = re.compile(r"(\d+)(?:;\S+)?")


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the commands, without what it says of a job: an engine may have been started in one,
    and its variables are options of the commands."""
    kept = {name: value for name, value in environment.items() if name in KEPT or not name.startswith(OF_A_JOB)}
    return {**kept, **SECONDS}


@dataclass(frozen=True)
class Done:
    """What a command has printed, and its exit status."""

    status: int
    out: str
    err: str


class Place(Protocol):
    """Where the commands are."""

    @property
    def host(self) -> str | None:
        """The login node; None for this machine."""

    async def run(self, words: Sequence[str], stdin: bytes = b"") -> Done:
        """Run a command to its end. Raises SupplyError where it can't be run."""

    async def open(self, words: Sequence[str], *, bulk: bool) -> Channel:
        """Start a command, and return its standard streams. Raises ChannelError."""


@dataclass(frozen=True)
class Job:
    """A job, or an element of an array, as squeue or scontrol shows it. `id`: its own number, once it has begun. `ref`:
    what scancel knows it by. `name`: of an element, the number in it counts on from that of the array. Times in
    seconds, from now; `began`: since 1970. `restarts`: how often it was requeued, `preempted`: its grace time runs;
    only scontrol knows them."""

    id: str
    name: str
    state: str
    reason: str = ""
    starts_in: float | None = None
    ends_in: float | None = None
    nodes: str = ""
    comment: str = ""
    began: float | None = None
    restarts: int = 0
    preempted: bool = False
    ref: str = ""


@dataclass(frozen=True)
class Partition:
    """What sinfo says of the nodes of a partition that are alike. Times in seconds, memory in bytes; None is no limit,
    or not known."""

    name: str
    usual_time: float | None
    most_time: float | None
    cpus: int
    memory: int
    gpus: int
    default: bool


class Commands:
    """The commands, with what they mean. All raise SupplyError."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clock: Callable[[], float] = time.time

    async def sbatch(self, options: Sequence[str], script: bytes) -> str:
        """Submit a script, and return the number of its job."""
        done = await self._run("sbatch", "--parsable", *options, stdin=script)
        for line in reversed(done.out.split()):  # a site may print more
            if match := _JOB_ID.fullmatch(line):
                return match[1]
        raise SupplyError("sbatch printed no number of a job")

    async def test_only(self, options: Sequence[str]) -> None:
        """Ask whether a job with these options could ever begin; nothing is submitted."""
        await self._run("sbatch", "--test-only", *options, stdin=b"#!/bin/sh\n")

    async def squeue(self) -> list[Job]:
        """Return all jobs of the user that the controller knows, also those that have ended a short time ago."""
        words = ("squeue", "--noheader", "--states=all", "--array", "--me", f"--format={FORMAT}")
        done = await self._run(*words)
        return jobs(done.out, self.clock())

    async def show(self, id: str) -> Job | None:
        """Return what the controller knows of a job; None where it has forgotten it."""
        done = await self.place.run(("scontrol", "--oneliner", "show", "job", id))
        if done.status and not is_over(done.err):
            raise command_error("scontrol", done.status, done.err, host=self.place.host)
        return job_shown(done.out, self.clock())

    async def scancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs; those that have ended are no error."""
        if ids:
            await self._run("scancel", *ids)

    async def sinfo(self) -> list[Partition]:
        """Return what the partitions have."""
        done = await self._run("sinfo", "--noheader", "--format=%P|%L|%l|%c|%m|%G")
        return partitions(done.out)

    async def _run(self, *words: str, stdin: bytes = b"") -> Done:
        done = await self.place.run(words, stdin)
        if done.status and not (words[0] == "scancel" and is_over(done.err)):
            raise command_error(words[0], done.status, done.err, host=self.place.host)
        return done


# --- What they print


def jobs(text: str, now: float) -> list[Job]:
    """Return the jobs that squeue has listed at a time, in seconds since 1970."""
    found = []
    for line in text.splitlines():
        part = line.split("|", 10)
        if len(part) < 11:
            continue  # what a login prints
        number, ref, element, name, state, reason, start, end, used, nodes, comment = part
        begun, over, run = _epoch(start), _epoch(end), _elapsed(used)
        if begun is not None and over is not None and over - begun >= YEAR:
            over = None
        # The clock there need not be ours: while a job runs, it is what it started at and has run for.
        there = begun + run if begun is not None and run is not None and state != "PENDING" else now
        found.append(
            Job(
                id=number,
                ref=ref,
                name=element_name(name, int(element)) if element.isdigit() else name,
                state=state,
                reason="" if reason in ("None", "(null)") else reason,
                starts_in=max(0.0, begun - now) if begun is not None and state == "PENDING" else None,
                ends_in=max(0.0, over - there) if over is not None and state != "PENDING" else None,
                nodes="" if nodes == "(null)" else nodes,
                comment="" if comment == "(null)" else comment,
                began=begun if state != "PENDING" else None,
            )
        )
    return found


def element_name(name: str, element: int) -> str:
    """Return the name of an element of an array: `tl-LAB-big-7` is that of the first."""
    base, _, number = name.rpartition("-")
    return f"{base}-{int(number) + element}" if number.isdigit() else name


def hosts(text: str) -> list[str]:
    """Return the names of a list as Slurm writes it: `n[1-3,07],gpu01`."""
    found = []
    for one in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        names = [""]
        for plain, ranges in re.findall(r"([^\[]+)|\[([^\]]*)\]", one):
            ends = [plain] if plain else [number for part in ranges.split(",") for number in _numbers(part)]
            names = [name + end for name in names for end in ends]
        found += names
    return found


def _numbers(text: str) -> list[str]:
    first, _, last = text.partition("-")
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]


def job_shown(text: str, now: float) -> Job | None:
    """Return the job that scontrol has shown on one line; None where there is none."""
    found: dict[str, str] = {}
    for name, value in _MEMBER.findall(text):
        found.setdefault(name, value)
    if not {"JobId", "JobName", "JobState"} <= found.keys():
        return None
    number = found["JobId"]
    element = found.get("ArrayTaskId", "")
    found["ref"] = f"{found.get('ArrayJobId', '')}_{element}" if element.isdigit() else number
    order = (
        "JobId",
        "ref",
        "ArrayTaskId",
        "JobName",
        "JobState",
        "Reason",
        "StartTime",
        "EndTime",
        "RunTime",
        "NodeList",
        "Comment",
    )
    listed = jobs("|".join(found.get(name, "(null)") for name in order), now)
    is_preempted = _epoch(found.get("PreemptTime", "")) is not None
    restarts = int(found.get("Restarts", "0"))
    return dataclasses.replace(listed[0], restarts=restarts, preempted=is_preempted)


def partitions(text: str) -> list[Partition]:
    """Return the partitions that sinfo has listed; one with unlike nodes has several."""
    found = []
    for line in text.splitlines():
        part = line.split("|")
        if len(part) != 6:
            continue
        name, usual, most, cpus, memory, gres = part
        with contextlib.suppress(ValueError):
            found.append(
                Partition(
                    name=name.rstrip("*"),
                    usual_time=_limit(usual),
                    most_time=_limit(most),
                    cpus=int(cpus.rstrip("+")),
                    memory=int(memory.rstrip("+")) << 20,
                    gpus=sum(int(number) for number in re.findall(r"gpu:(?:[^:,(]*:)?(\d+)", gres)),
                    default=name.endswith("*"),
                )
            )
    return found


def _epoch(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+", text) and int(text) else None


def _elapsed(text: str) -> float | None:
    try:
        return walltime(text)
    except ValueError:
        return None


def _limit(text: str) -> float | None:
    return None if text.lower() in ("n/a", "none", "") else walltime(text.replace("infinite", "INFINITE"))


# --- This machine


class Here:
    """The commands of this machine, in the environment of the submitter; while there is none, in that of the engine."""

    host: str | None = None

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = outside(environment or os.environ)

    async def run(self, words: Sequence[str], stdin: bytes = b"") -> Done:
        """Run a command to its end. Raises SupplyError."""
        try:
            process = await self.start(words)
        except FileNotFoundError as error:
            raise command_error(words[0], 127, "", host=None) from error
        except OSError as error:
            raise SupplyError(f"{words[0]}: {error.strerror}") from error
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate(stdin)
        except TimeoutError:
            raise SupplyError(f"Slurm: {words[0]} did not end within {PATIENCE:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Done(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    async def start(self, words: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
        """Start a command, with pipes."""
        return await asyncio.create_subprocess_exec(
            *words,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **options,
        )

    async def open(self, words: Sequence[str], *, bulk: bool) -> Channel:
        """Start a command, and return its standard streams. Raises ChannelError."""
        try:
            return ProcessChannel(await self.start(words, limit=LIMIT))
        except OSError as error:
            raise ChannelError(f"{words[0]}: {error.strerror}") from error

    def renew(self, environment: Mapping[str, str]) -> None:
        """Take the environment of a later submitter."""
        self.environment = outside(environment)

    async def close(self) -> None:
        """Nothing is kept beside the channels."""


class ProcessChannel(Channel):
    """The streams of a process. It ends with its standard input, by itself: where srun is killed, what it has started
    goes on in the job."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        super().__init__(process.stdout, process.stdin)
        self._process = process
        self._words = StderrTail(process.stderr)

    async def stderr_tail(self) -> str:
        """Return what it has printed on standard error."""
        return await self._words.text()

    async def exit_status(self) -> int | None:
        """Return its exit status, None where it has not ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                return await self._process.wait()
        return None

    async def close(self) -> None:
        """Close the channel, and end the process."""
        await super().close()
        try:
            for end in (self._process.terminate, self._process.kill):
                if await self.exit_status() is None:
                    with contextlib.suppress(ProcessLookupError):
                        end()
            await self._process.wait()
        finally:
            self._words.stop()


# --- A login node


class There:
    """The commands of a login node, by SSH. entry: of the pool, with `host`."""

    def __init__(self, entry: NodeEntry, environment: Mapping[str, str]) -> None:
        self.host: str | None = entry["host"]
        self._ssh = SshTransport(entry, "", environment)

    async def run(self, words: Sequence[str], stdin: bytes = b"") -> Done:
        """Run a command to its end. Raises SupplyError."""
        nonce = secrets.token_hex(8)  # a login may print anything before
        settings = " ".join(f"{name}={value}" for name, value in SECONDS.items())
        script = f'echo {nonce}; exec env {settings} "$@"'
        try:
            async with asyncio.timeout(PATIENCE):
                channel = await self._ssh.run(command_line(["sh", "-c", script, "sh", *words]), bulk=True)
                try:
                    channel.writer.write(stdin)
                    channel.writer.write_eof()
                    out = await channel.reader.read()
                    status, err = await channel.exit_status(), await channel.stderr_tail()
                finally:
                    await channel.close()
        except TimeoutError:
            raise SupplyError(f"{self.host}: {words[0]} did not end within {PATIENCE:.0f} s") from None
        except ChannelError as error:
            raise SupplyError(f"{self.host}: {error}", fatal=error.fatal) from error
        except OSError as error:
            raise SupplyError(f"{self.host}: {error}") from error
        _, found, rest = out.partition(nonce.encode() + b"\n")
        if status is None or not found:
            said = err.strip().splitlines() or ["the connection ended"]
            raise SupplyError(f"{self.host}: {said[-1]}")
        return Done(status, rest.decode(errors="replace"), err)

    async def open(self, words: Sequence[str], *, bulk: bool) -> Channel:
        """Start a command, and return its standard streams. Raises ChannelError."""
        return await self._ssh.run(command_line(list(words)), bulk)

    def renew(self, environment: Mapping[str, str]) -> None:
        """Take the environment of a later submitter, with its SSH agent."""
        self._ssh.renew(environment)

    async def close(self) -> None:
        """Close all connections."""
        await self._ssh.close()
