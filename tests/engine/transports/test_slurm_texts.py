"""What Slurm's commands print, and what is made of it. The texts are those of Slurm 22.05, as far as nothing else is
said."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.workbench import until
from tui_lab.engine.agent_bundle import packed
from tui_lab.engine.transports.channel import Channel
from tui_lab.engine.transports.failures import OTHER_PYTHON
from tui_lab.engine.transports.slurm.commands import (
    Commands,
    Done,
    Here,
    Job,
    Partition,
    hosts,
    jobs,
    outside,
    partitions,
)
from tui_lab.engine.transports.slurm.errors import command_error, relay_error
from tui_lab.engine.transports.slurm.script import batch_script
from tui_lab.engine.transports.slurm.site import site_of
from tui_lab.engine.transports.slurm.supply import SlurmSupply
from tui_lab.engine.transports.supply import Limits, Offer, Request, SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry

NOW = 1_796_000_000.0
QUEUE = """\
Welcome to login1!
12|12|N/A|tl-ab-big-0|PENDING|Resources|1796000600|N/A|0:00||(null)
13|13|N/A|tl-ab-big-1|PENDING|None|N/A|N/A|0:00||(null)
14|14|N/A|tl-ab-big-2|RUNNING|None|1795990000|1796004400|2:46:40|n1|a|b
15|15|N/A|tl-ab-big-3|TIMEOUT|TimeLimit|1795990000|1795990076|1:16|n2|(null)
16|16|N/A|tl-ab-big-4|CANCELLED|None|N/A|1796000000|0:00||(null)
17|17|N/A|tl-ab-big-5|FAILED|NonZeroExitCode|1795990000|1795990001|0:01|n1|tui-lab: Python 2.7 on linux2
18|18|N/A|tl-ab-big-6|COMPLETING|None|1795990000|1795999000|2:30:00|n1|(null)
19|19|N/A|tl-ab-big-7|PENDING|PartitionTimeLimit|N/A|N/A|0:00||(null)
20|20|N/A|tl-ab-big-8|PREEMPTED|None|1795990000|1795990001|0:01|n1|(null)
21|21|N/A|tl-ab-big-9|RUNNING|None|1796000000|NONE|0:00|n1|(null)
22|22|N/A|tl-ab-big-10|OUT_OF_MEMORY|OutOfMemory|1795990000|1795990001|1-00:00:01|n1|(null)
23|23|N/A|mine|RUNNING|None|1796000000|NONE|0:00|n1|(null)
30|24_2|2|tl-ab-big-11|RUNNING|None|1796000000|NONE|0:00|n[1-2]|(null)
24|24_3|3|tl-ab-big-11|PENDING|Resources|N/A|N/A|0:00||(null)
"""


class Said:
    """A place whose commands print what they are told to. seen: the words of each."""

    def __init__(self, host: str | None = None, **answers: Done | str) -> None:
        self.host = host
        self.answers = answers
        self.seen: list[list[str]] = []

    async def run(self, words: Sequence[str], stdin: bytes = b"") -> Done:
        self.seen.append(list(words))
        said = self.answers[words[0]]
        return Done(0, said, "") if isinstance(said, str) else said

    async def open(self, words: Sequence[str], *, bulk: bool) -> Channel:
        raise NotImplementedError

    def renew(self, environment: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def supply(place: Any, python: str = "", **slurm: Any) -> SlurmSupply:
    entry: NodeEntry = {"name": "big", "slots": 0, "slurm": slurm}  # type: ignore[typeddict-unknown-key]
    if python:
        entry["python"] = python
    made = SlurmSupply(entry, "tl-ab-", {})
    made.place, made.commands = place, Commands(place)
    return made


async def test_pools_of_a_site_share_a_squeue() -> None:
    place = Said(squeue=QUEUE, sbatch="7")
    one, other = supply(place), supply(place)
    alike = await asyncio.gather(one.survey(), other.survey())
    assert len(place.seen) == 1 and len(alike[0]) == len(alike[1]) > 0
    await one.survey()
    assert len(place.seen) == 2, "it asks for news"
    await other.survey()
    assert len(place.seen) == 2, "which are for both"
    await other.ask([Request("tl-ab-big-99", "spool", 1, 60.0)])
    await other.survey()
    assert len(place.seen) == 4, "what was asked before its request says nothing of that"
    await one.survey()
    place.answers["squeue"] = Done(1, "", NOT_CONTACTED)
    for made in (one, one, other):
        with pytest.raises(SupplyError, match="slurm controller"):
            await made.survey()
    assert len(place.seen) == 5, "it is left alone for a while"
    one.site.reset()
    with pytest.raises(SupplyError):
        await other.survey()
    assert len(place.seen) == 6
    entry: Any = {"name": "big", "host": "login", "slurm": {}}
    assert site_of(entry, {}) is not one.site and site_of(one.entry, {"SLURM_CONF": "x"}) is not one.site


def test_jobs_of_squeue() -> None:
    found = {job.id: job for job in jobs(QUEUE, NOW)}
    assert found["12"] == Job("12", "tl-ab-big-0", "PENDING", "Resources", starts_in=600.0, ref="12")
    assert found["13"] == Job("13", "tl-ab-big-1", "PENDING", ref="13")
    # It has begun at ..90000 and run for 10,000 s: the clock there says that it is now ..00000.
    began = NOW - 10_000
    assert found["14"] == Job(
        "14", "tl-ab-big-2", "RUNNING", ends_in=4400.0, nodes="n1", comment="a|b", began=began, ref="14"
    )
    assert (found["30"].name, found["30"].ref) == ("tl-ab-big-13", "24_2"), "an element of an array"
    assert (found["24"].name, found["24"].ref) == ("tl-ab-big-14", "24_3")
    assert found["21"].ends_in is None


async def test_what_has_become_of_requests() -> None:
    made = supply(Said(squeue=QUEUE))
    made.commands.clock = lambda: NOW
    offers = {offer.id: offer for offer in await made.survey()}
    assert "23" not in offers, "not of this lab"
    assert offers["12"] == Offer("tl-ab-big-0", "12", why="Resources", starts_in=600.0)
    assert offers["13"] == Offer("tl-ab-big-1", "13")
    assert offers["14"] == Offer("tl-ab-big-2", "14", state="up", ends_in=4400.0)
    assert offers["18"].state == "up" and offers["18"].why == "completing" and offers["18"].ends_in is None
    assert offers["19"].never and offers["19"].why == "Slurm can't ever begin such a job: PartitionTimeLimit"
    ended = {id: (offer.cause, offer.why) for id, offer in offers.items() if offer.state == "ended"}
    assert ended == {
        "15": ("walltime", "Slurm says TIMEOUT"),
        "16": ("cancelled", "Slurm says CANCELLED"),
        "17": ("failed", f'its "python3" is Python 2.7, and 3.6 is needed; {OTHER_PYTHON}'),
        "20": ("preempted", "Slurm says PREEMPTED"),
        "22": ("failed", "Slurm says OUT_OF_MEMORY"),
    }


async def test_what_a_job_is_asked_for() -> None:
    place = Said(sbatch="Submitting for site X\n77;west\n", scancel="", squeue=QUEUE)
    options = {"partition": "gpu", "exclusive": True, "gres": ["gpu:1", "nvme:1"]}
    made = supply(place, time="4:00:00", options=options)
    await made.ask([Request("tl-ab-big-0", "tl-ab-big-0", 4, 600)])
    fixed = "--output=/dev/null --error=/dev/null --input=/dev/null --nodes=1 --no-requeue --export=NONE"
    fixed += " --ntasks-per-node=1 --signal=B:USR1@60"
    given = "--time=4:00:00 --partition=gpu --exclusive --gres=gpu:1 --gres=nvme:1"
    assert place.seen == [["sbatch", "--parsable", "--job-name=tl-ab-big-0", *fixed.split(), *given.split()]]
    await made.give_back(["tl-ab-big-0"])
    assert place.seen[1:] == [["scancel", "77"]]
    # Of an earlier engine it has only the names. Those that have ended are not cancelled.
    later = supply(place)
    await later.give_back(["tl-ab-big-2", "tl-ab-big-3", "tl-ab-big-7", "tl-ab-big-99"])
    assert place.seen[-1] == ["scancel", "14", "19"]
    place.seen.clear()
    await later.ask([Request("tl-ab-big-10", "s", 4, 600)])
    assert "--cpus-per-task=4" in place.seen[0]


SHOWN = (
    "JobId=17 JobName=tl-ab-big-0 UserId=ana(1000) JobState={} Reason=BeginTime Requeue=1 Restarts={} RunTime=00:01:40 "
    "SubmitTime=1795990000 StartTime=1795990000 EndTime=1795990110 PreemptTime={} NodeList=n1 Comment=JobState=NO x\n"
)


async def test_a_job_as_scontrol_shows_it() -> None:
    made = supply(Said(scontrol=SHOWN.format("RUNNING", 0, "1795990100")), requeue=True)
    (offer,) = await made.look([Offer("tl-ab-big-0", "17", state="up")])
    assert offer == Offer("tl-ab-big-0", "17", state="up", cause="preempted", ends_in=10.0), "its grace time runs"
    made = supply(Said(scontrol=SHOWN.format("RUNNING", 2, "None"), squeue=QUEUE.replace("14|", "17|")), requeue=True)
    (offer,) = await made.look([Offer("tl-ab-big-0", "17r1", state="up")])
    assert (offer.id, offer.cause) == ("17r2", "")
    assert {offer.id for offer in await made.survey()} >= {"17r2"}, "squeue does not tell how often it was requeued"
    made = supply(Said(scontrol=Done(1, "", "slurm_load_jobs error: Invalid job id specified")))
    assert not await made.look([offer])


async def test_arrays_and_allocations_of_several_machines() -> None:
    place = Said(sbatch="24\n", scancel="", squeue=QUEUE)
    made = supply(place, array=True, nodes=2, time="9", walltime=540.0)
    await made.ask([Request(f"tl-ab-big-{number}", "s", 4, 600) for number in range(11, 16)])
    (words,) = place.seen
    assert {"--array=0-4", "--nodes=2", "--ntasks-per-node=1", "--job-name=tl-ab-big-11"} <= {*words}
    assert not any(word.startswith("--signal") for word in words)
    await made.give_back(["tl-ab-big-13", "tl-ab-big-15"])
    assert place.seen[-1] == ["scancel", "24_2", "24_4"]
    offers = [offer for offer in await made.survey() if offer.name == "tl-ab-big-13"]
    assert [(offer.id, offer.part, offer.state) for offer in offers] == [("30", "n1", "up"), ("30", "n2", "up")]
    way: Any = made.way(offers[1])
    assert (way.job, way.machine, way.spool) == ("30", "n2", "tl-ab-big-13.n2")
    await made.give_back(["tl-ab-big-13", "tl-ab-big-14"])
    assert place.seen[-1] == ["scancel", "24_2", "24_3"], "also those that have not begun"
    place = Said(sbatch="31\n")
    first = supply(place, agents="first", nodes=2, options={"ntasks-per-node": "8"})
    await first.ask([Request("tl-ab-big-1", "s", 1, 600)])
    (words,) = place.seen
    assert "--nodes=2" in words and [word for word in words if "task" in word] == ["--ntasks-per-node=8"]


def test_names_of_machines() -> None:
    assert hosts("n1") == ["n1"] and hosts("") == []
    assert hosts("n[1-2,07],gpu01") == ["n1", "n2", "n07", "gpu01"]
    assert hosts("r[1-2]c[08-10]-ib,x") == [f"r{r}c{c}-ib" for r in (1, 2) for c in ("08", "09", "10")] + ["x"]


def test_partitions_of_sinfo() -> None:
    text = "main*|n/a|infinite|4|2000|gpu:2\nbig|1:00:00|2-00:00:00|128+|515000+|gpu:a100:4(S:0-1),gpu:v100:1\nnoise\n"
    assert partitions(text) == [
        Partition("main", None, None, 4, 2000 << 20, 2, True),
        Partition("big", 3600.0, 172800.0, 128, 515000 << 20, 5, False),
    ]


async def test_what_tasks_need_is_asked_for() -> None:
    """As far as the entry says nothing of the kind, and no more than a machine has."""
    text = "main*|n/a|infinite|16|64000|gpu:4\n"

    async def asked(needs: Mapping[str, float], slots: int = 2, **options: Any) -> list[str]:
        place = Said(sinfo=text, sbatch="7\n")
        made = supply(place, options=options)
        await made.limits()
        await made.ask([Request("tl-ab-big-1", "s", slots, 600, needs=needs)])
        return [word for word in place.seen[-1] if word.startswith(("--cpus", "--mem", "--g"))]

    assert await asked({}) == ["--cpus-per-task=2"]
    needs = {"cpus": 3.0, "memory": 3e9, "gpus": 0.5}
    assert await asked(needs) == ["--cpus-per-task=6", "--mem=5723M", "--gres=gpu:1"]
    assert await asked(needs, slots=0) == ["--cpus-per-task=3", "--mem=2862M", "--gres=gpu:1"]
    assert (await asked({"cpus": 10.0, "gpus": 9.0})) == ["--cpus-per-task=16", "--gres=gpu:4"]
    assert await asked(needs, exclusive=True, mem="8G", gpus="2") == ["--mem=8G", "--gpus=2"]


async def test_limits() -> None:
    big = "big|1:00:00|2-00:00:00"
    text = f"main*|n/a|infinite|4|2000|(null)\n{big}|128|515000|gpu:4\n{big}|64|1|(null)\n"
    place = Said(sinfo=text, sbatch="")
    assert await supply(place).limits() == Limits(4, 2000 << 20, 0, None)
    assert place.seen[0][:2] == ["sbatch", "--test-only"]
    assert await supply(place, options={"partition": "big"}).limits() == Limits(128, 515000 << 20, 4, 3600.0)
    asked = supply(place, options={"partition": "big"}, time="2:00:00", walltime=7200.0)
    assert (await asked.limits()).walltime == 7200.0
    options = {"partition": "big", "cpus-per-task": "8", "mem": "4G", "gres": ["gpu:a100:2", "nvme:1"]}
    assert await supply(place, options=options).limits() == Limits(8, 4 << 30, 2, 3600.0)
    one = supply(place, options={"partition": "big"})
    one.entry["slots"] = 4
    assert (await one.limits()).cpus == 128, "as many are asked for as tasks need"
    longer = supply(place, options={"partition": "big"}, time="3-0", walltime=259200.0)
    with pytest.raises(SupplyError, match='"time" is 72 h, and the partition big grants 48 h at most') as error:
        await longer.limits()
    assert error.value.fatal


NOT_CONTACTED = "Unable to contact slurm controller (connect failure)"
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
REFUSED = [  # of sbatch: its exit status, what it says, what is made of it, and whether asking again can help
    (
        1,
        ["invalid partition specified: nope", "Batch job submission failed: Invalid partition name specified"],
        "Slurm refuses it: Invalid partition name specified",
        False,
    ),
    (
        1,
        [
            "Memory specification can not be satisfied",
            "Batch job submission failed: Requested node configuration is not available",
        ],
        "Slurm refuses it: Requested node configuration is not available",
        False,
    ),
    (1, [f"Batch job submission failed: {NOT_CONTACTED}"], f"Slurm: {NOT_CONTACTED}", True),
    (1, ["AssocMaxSubmitJobLimit", f"Batch job submission failed: {POLICY}"], f"Slurm: {POLICY}", True),
]


@pytest.mark.parametrize("status, said, message, again", REFUSED)
def test_refused_requests(status: int, said: list[str], message: str, again: bool) -> None:
    error = command_error("sbatch", status, "".join(f"sbatch: error: {line}\n" for line in said), host="login1")
    assert (str(error), error.fatal) == (message, not again)


def test_an_option_that_sbatch_does_not_know() -> None:
    said = "sbatch: unrecognized option '--colour=red'\nTry \"sbatch --help\" for more information\n"
    assert str(command_error("sbatch", 255, said, host=None)) == (
        "Slurm refuses it: unrecognized option '--colour=red'"
    )
    error = command_error("sbatch", 127, "sh: 1: exec: sbatch: not found", host="login1")
    assert error.fatal and str(error).startswith('there is no "sbatch" on login1; name the login node')


CONFIRM = "srun: error: Unable to confirm allocation for job 17: "
STEP = "slurmstepd: error: *** STEP 17.0 ON n1 CANCELLED AT 2026-11-29T12:00:00"
CUT = [  # of srun: what it says, its exit status, whether Python had come up, what is made of it
    (["srun: error: Slurm job 17 has expired"], 1, False, "job 17 has ended"),
    ([f"{CONFIRM}Invalid job id specified", "srun: Check SLURM_JOB_ID"], 1, False, "job 17 has ended"),
    ([f"{CONFIRM}Job is pending execution"], 1, False, "job 17 has not begun, or its nodes are busy"),
    ([CONFIRM + NOT_CONTACTED], 1, False, f"Slurm: Unable to confirm allocation for job 17: {NOT_CONTACTED}"),
    ([f"{STEP} DUE TO TIME LIMIT ***", "srun: error: n1: task 0: Terminated"], 143, True, "job 17: its time was up"),
    ([f"{STEP} DUE TO JOB REQUEUE ***"], 143, True, "job 17: it was requeued"),
    ([f"{STEP} ***"], 143, True, "job 17: it was cancelled, or is about to be"),
    (
        ["there is no agent", "srun: error: n1: task 0: Exited with exit code 75"],
        75,
        True,
        "job 17 runs, and there is no agent in it yet, or no more",
    ),
    (
        ["slurmstepd: error: execve(): python3: No such file or directory"],
        2,
        False,
        'there is no "python3" that runs on it; name another one in cluster.yaml, as in python: ~/venv/bin/python',
    ),
    (["srun: error: n1: task 0: Exited with exit code 1"], 1, True, "the agent hung up before it said anything"),
]


@pytest.mark.parametrize("said, status, started, message", CUT)
def test_the_way_into_a_job_is_cut(said: list[str], status: int, started: bool, message: str) -> None:
    assert str(relay_error("\n".join(said), status, "python3", "17", started=started)) == message


async def test_what_an_engine_within_a_job_has_inherited_is_left_out(tmp_path: Path) -> None:
    given = {"SLURM_JOB_ID": "7", "SBATCH_PARTITION": "x", "SLURM_CONF": "/c", "HOME": "/h", "SQUEUE_FORMAT": "%i"}
    assert outside(given) == {"SLURM_CONF": "/c", "HOME": "/h", "SLURM_TIME_FORMAT": "%s"}
    with pytest.raises(SupplyError, match='there is no "squeue" here; name the login node') as caught:
        await Commands(Here({"PATH": str(tmp_path)})).squeue()
    assert caught.value.fatal


def in_a_job(folder: Path) -> dict[str, str]:
    """The environment of a job whose scontrol writes its words to a file."""
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/told\n')
    (folder / "scontrol").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "HOME": str(folder)}


def test_what_of_the_machine_is_the_jobs(tmp_path: Path) -> None:
    line = next(line for line in batch_script("python3", "s", 1).decode().splitlines() if "TUI_LAB_OFFERS" in line)

    def said(**environment: str) -> list[str]:
        words = ["/bin/sh", "-c", f"{line}; echo $TUI_LAB_OFFERS"]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert said() == []
    assert said(SLURM_CPUS_ON_NODE="4", SLURM_MEM_PER_NODE="2000") == ["cpus=4", "memory=2000M"]
    assert said(SLURM_CPUS_ON_NODE="4", SLURM_MEM_PER_CPU="500") == ["cpus=4", "memory_per_cpu=500M"]


def test_the_script_becomes_the_agent(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(batch_script(sys.executable, str(tmp_path / "spool"), 600))
    process = subprocess.Popen(["/bin/sh", str(script)], env=in_a_job(tmp_path), stdin=subprocess.DEVNULL)
    try:
        until((tmp_path / "spool" / "lock").exists)
        until(lambda: (tmp_path / "spool" / "lock").read_text().strip() == str(process.pid))
        assert not (tmp_path / "told").exists()
    finally:
        process.terminate()
        process.wait(20)
    assert len(packed()) < 200_000, "Slurm takes scripts of some megabytes"


def test_the_script_says_on_the_job_why_there_is_no_agent(tmp_path: Path) -> None:
    environment, told = in_a_job(tmp_path), tmp_path / "told"

    def said(python: str, spool: str) -> str:
        told.unlink(missing_ok=True)
        (tmp_path / "script").write_bytes(batch_script(python, spool, 600))
        words = ["/bin/sh", str(tmp_path / "script")]
        assert subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode
        return told.read_text()

    host = socket.gethostname()
    assert said("python9", "s") == f'update JobId=7 Comment=tui-lab: there is no "python9" on {host}\n'
    assert said("~/no/python", "s").startswith('update JobId=7 Comment=tui-lab: there is no "~/no/python" on ')
    (tmp_path / "file").write_text("")
    assert "Not a directory" in said(sys.executable, f"{tmp_path}/file/spool")
