"""The batch script of an allocation: it is the agent, whose source is in the script itself, so that nothing needs to
lie on the node, and no file on the login node."""

from __future__ import annotations

import base64
import shlex
from typing import Final

from tui_lab.engine.agent_bundle import packed
from tui_lab.engine.transports.slurm.errors import FAILED

_OFFERS: Final = " ".join(  # what of the machine is the job's, in MB as Slurm has it
    f"${{{variable}:+{name}=${{{variable}}}{unit}}}"
    for name, variable, unit in (
        ("cpus", "SLURM_CPUS_ON_NODE", ""),
        ("memory", "SLURM_MEM_PER_NODE", "M"),
        ("memory_per_cpu", "SLURM_MEM_PER_CPU", "M"),
    )
)
_MARK: Final = "#SOURCE "

# Becomes the agent. Its last argument is the script: Slurm's copy, on the first node, or - for standard input. What it
# says when it can't is left on
# the job, where the survey finds it: the script's own output goes nowhere. Python 2 must be able to read it.
_UNPACK: Final = f"""\
import os, subprocess, sys
def tell(what):
    job = os.environ.get("SLURM_JOB_ID", "")
    words = "{FAILED}" + " ".join(str(what).split())[-200:]
    subprocess.call(["scontrol", "update", "JobId=" + job, "Comment=" + words])
try:
    if sys.version_info < (3, 6) or not sys.platform.startswith("linux"):
        sys.exit("Python %d.%d on %s" % (sys.version_info[0], sys.version_info[1], sys.platform))
    import base64, zlib
    name = sys.argv.pop()
    source = (sys.stdin if name == "-" else open(name)).read().split("\\n{_MARK}")[1]
    exec(compile(zlib.decompress(base64.b64decode(source)), "tui-lab-agent", "exec"))
except SystemExit as end:
    if end.code and not isinstance(end.code, int):
        tell(end.code)
    raise
except Exception as error:
    tell(error)
    raise
"""


def program(python: str) -> str:
    """A Python for sh: one in the home of the user is found there."""
    return f'"$HOME"/{shlex.quote(python[2:])}' if python.startswith("~/") else shlex.quote(python)


def batch_script(python: str, spool: str, leave: float, *, machines: int = 1, first: int | None = None) -> bytes:
    """Return the script of an allocation. machines: on each of which there is an agent. first: the script is that of an
    array, whose elements number their spools from this one.

    On one machine it is executed in place of the shell, so that Slurm's signals reach the agent. A job without the
    submitter's environment would hand none to the srun of a task, either."""
    place = shlex.quote(spool)
    if first is not None:
        place = f'{shlex.quote(spool.removesuffix(str(first)))}"$(({first} + SLURM_ARRAY_TASK_ID))"'
    absent = shlex.quote(f'there is no "{python}" on ')
    lines = [
        f'export TUI_LAB_OFFERS="{_OFFERS}"',
        f"command -v {program(python)} >/dev/null || {{",
        f'  scontrol update JobId="$SLURM_JOB_ID" Comment="{FAILED}"{absent}"$(hostname)"',
        "  exit 127",
        "}",
        f'exec {program(python)} -S -E -c {shlex.quote(_UNPACK)} "$1" stay {leave:g} "$2"',
    ]
    if machines > 1:
        # The variables of the step itself would make the srun of a task take itself for a part of it.
        of_step = "STEP|SRUN_|CPU_BIND|LAUNCH_|PROCID|LOCALID|GTIDS|TASK_PID"
        forget = f"unset $(env | grep -oE '^SLURM_({of_step})[A-Z_]*')"
        inner = "\n".join([forget, *lines]).replace('"$1"', '"$1.$SLURMD_NODENAME"')
        step = f"--nodes={machines} --ntasks={machines} --ntasks-per-node=1 --export=ALL --input=all --wait=0 --overlap"
        share = "${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}"
        lines = [f'exec srun {step} --kill-on-bad-exit=0 {share} /bin/sh -c {shlex.quote(inner)} sh {place} - < "$0"']
    else:
        lines.insert(0, f'set -- {place} "$0"')
    source = _MARK + base64.b64encode(packed()).decode()
    return "\n".join(["#!/bin/sh", "unset SLURM_EXPORT_ENV", *lines, "exit", source, ""]).encode()
