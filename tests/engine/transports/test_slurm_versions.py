"""Releases of Slurm from 20.11 to 24.05, by commands on the PATH that print what these print, and refuse options that
the oldest of them does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.engine.transports.channel import ChannelError
from tui_lab.engine.transports.slurm.supply import SlurmSupply
from tui_lab.engine.transports.supply import Limits, Offer, Request
from tui_lab.experiment.cluster.entry import NodeEntry

KNOWN = {
    "sbatch": "parsable job-name output error input nodes ntasks-per-node no-requeue requeue export signal "
    "cpus-per-task mem gres time partition array test-only",
    "squeue": "noheader states array me format",
    "scontrol": "oneliner",
    "sinfo": "noheader format",
    "srun": "jobid overlap nodes ntasks cpus-per-task mem gres unbuffered quiet export nodelist",
    "scancel": "",
}
"""Long options that Slurm 20.11 has, of those that there are."""

COMMAND = """\
#!/bin/sh
for word in "$@"; do
  case $word in
  python3) break;;
  --*) name=${word#--}; name=${name%%=*}
    case " KNOWN " in *" $name "*) ;; *) echo "NAME: unrecognized option '$word'" >&2; exit 1;; esac;;
  esac
done
echo "NAME $*" >> FOLDER/asked
cat FOLDER/NAME.out; cat FOLDER/NAME.err >&2
exit $(cat FOLDER/NAME.status)
"""

SQUEUE = """\
17|17|N/A|tl-ab-big-1|RUNNING|None|1796000000|1796003600|0:10|n1|(null)
19|18_1|1|tl-ab-big-2|RUNNING|None|1796000000|1796003600|0:10|n2|(null)
18|18_2|2|tl-ab-big-2|PENDING|BeginTime|1796000600|N/A|0:00||(null)
"""
BEGIN = "JobId={id} {array}JobName={name} UserId=ana(1000) MCS_label=N/A Priority=1 Nice=0 Account=a QOS=q "
TIMES = "StartTime=1796000000 EndTime=1796000130 Deadline=N/A "
SHOWN = {
    "20.11": BEGIN + "JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:02:00 TimeLimit=01:00:00 TimeMin=N/A SubmitTime=1795990000 EligibleTime=1795990000 "
    "AccrueTime=1795990000 " + TIMES + "PreemptEligibleTime=1796000000 PreemptTime=1796000120 SuspendTime=None "
    "Partition=main AllocNode:Sid=l:1 NodeList={node} BatchHost={node} NumNodes=1 NumCPUs=4 Command=(null) Power= \n",
    "24.05": BEGIN + "JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:02:00 TimeLimit=01:00:00 TimeMin=N/A SubmitTime=1795990000 EligibleTime=1795990000 "
    "AccrueTime=1795990000 " + TIMES + "PreemptEligibleTime=1796000000 PreemptTime=1796000120 SuspendTime=None "
    "LastSchedEval=1796000000 Scheduler=Backfill Partition=main AllocNode:Sid=l:1 NodeList={node} BatchHost={node} "
    "ReqTRES=cpu=4,mem=8G,node=1 AllocTRES=cpu=4,mem=8G,node=1 Command=(null) TresPerTask=cpu=4 OOMKillStep=0\n",
}
STEP = "slurmstepd: error: *** STEP 17.1 ON n1 CANCELLED AT 2026-11-29T12:00:00"
ABORTED = "srun: Job step aborted: Waiting up to 32 seconds for job step to finish."
CUT = {"20.11": f"{ABORTED}\n{STEP} ***\n", "24.05": f"{ABORTED}\n{STEP} DUE to SIGNAL Terminated ***\n"}


class Release:
    """The commands of a release, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, known in KNOWN.items():
            text = COMMAND.replace("KNOWN", known).replace("NAME", name).replace("FOLDER", str(folder))
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
            self.says(name)

    def says(self, name: str, out: str = "", err: str = "", status: int = 0) -> None:
        for kind, text in (("out", out), ("err", err), ("status", str(status))):
            (self.folder / f"{name}.{kind}").write_text(text)

    def supply(self, **keys: object) -> SlurmSupply:
        entry: NodeEntry = {"name": "big", "slots": 4, "slurm": keys}  # type: ignore[typeddict-unknown-key]
        return SlurmSupply(entry, "tl-ab-", {"PATH": f"{self.folder}:/usr/bin:/bin"})


@pytest.mark.parametrize("version", ["20.11", "24.05"])
async def test_the_life_of_allocations(version: str, tmp_path: Path) -> None:
    slurm = Release(tmp_path)
    slurm.says("sinfo", "main*|1:00:00|1-00:00:00|64|256000|gpu:a100:4(S:0-1)\n")
    slurm.says("sbatch", "17\n")
    one = slurm.supply(requeue=True, array=True)
    assert await one.limits() == Limits(64, 256000 << 20, 4, 3600.0)
    needs = {"cpus": 2.0, "memory": 2.0**30, "gpus": 1.0}
    await one.ask([Request(f"tl-ab-big-{number}", "s", 4, 600, needs=needs) for number in (1, 2)])
    slurm.says("squeue", SQUEUE)
    slurm.says(
        "scontrol", SHOWN[version].format(id=19, array="ArrayJobId=18 ArrayTaskId=1 ", name="tl-ab-big-2", node="n2")
    )
    offers = {offer.name: offer for offer in await one.survey()}
    assert offers["tl-ab-big-1"].state == offers["tl-ab-big-3"].state == "up"
    assert (offers["tl-ab-big-3"].id, offers["tl-ab-big-4"].state) == ("19r1", "pending")
    (seen,) = await one.look([offers["tl-ab-big-3"]])
    assert seen == Offer("tl-ab-big-3", "19r1", state="up", cause="preempted", ends_in=10.0)
    slurm.says("srun", err=CUT[version], status=143)
    with pytest.raises(ChannelError, match="job 17: it was cancelled, or is about to be") as cut:
        await one.way(offers["tl-ab-big-1"]).open()
    assert cut.value.doubt
    slurm.says(
        "srun",
        err="srun: error: Slurm job 17 has expired\nsrun: Check SLURM_JOB_ID environment variable. "
        "Expired or invalid job 17\n",
        status=1,
    )
    with pytest.raises(ChannelError, match="job 17 has ended"):
        await one.way(offers["tl-ab-big-1"]).open()
    slurm.says("scontrol", err="slurm_load_jobs error: Invalid job id specified\n", status=1)
    assert not await one.look([offers["tl-ab-big-1"]])
    await one.give_back(["tl-ab-big-1", "tl-ab-big-3", "tl-ab-big-4"])
    assert (tmp_path / "asked").read_text().splitlines()[-1] == "scancel 17 18_1 18_2"
