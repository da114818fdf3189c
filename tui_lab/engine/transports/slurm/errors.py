"""What Slurm's commands say when they fail, as messages for users: what is wrong, and whether asking again can help."""

from __future__ import annotations

import re
from typing import Final

from tui_lab.engine.transports.failures import ChannelError, agent_failure, python_error
from tui_lab.engine.transports.supply import SupplyError

NO_COMMANDS: Final = (
    'there is no "{command}" {where}; name the login node in cluster.yaml, as in host: login1, or put the commands of '
    "Slurm on the PATH"
)
NO_AGENT: Final = 75
"""Exit status of a relay that has found no agent in its job."""

_PASSING: Final = re.compile(
    r"unable to contact|connect failure|connection (?:refused|timed out|reset)|socket timed out|temporarily|"
    r"zero bytes were transmitted|communication connection failure|slurm backup controller|"
    r"controller (?:not responding|is not responding)|policy|limit\b.*\breached|try again|resource busy",
    re.IGNORECASE,
)
"""What asking again can help against. Limits of the account, too: other jobs of the user may end."""
_PREFIX: Final = re.compile(
    r"^(?:(?:sbatch|squeue|scancel|sinfo|srun|scontrol): )?(?:slurm_load_\w+ )?(?:error: |fatal: )?"
)
_NOISE: Final = re.compile(r"^(?:try \W?\w+ --help|check slurm_job_id)|: exited with|: terminated$", re.IGNORECASE)
_FAILED: Final = "Batch job submission failed: "
_GONE: Final = re.compile(r"has expired|invalid job id|job\S* (?:is )?(?:completing|completed)|already complet", re.I)
_PENDING: Final = re.compile(r"pending execution|nodes are busy|job is not yet running", re.IGNORECASE)
_CUT: Final = (
    ("DUE TO TIME LIMIT", "its time was up"),
    ("DUE TO PREEMPTION", "Slurm has preempted it"),
    ("JOB REQUEUE", "it was requeued"),
    ("DUE TO NODE FAILURE", "its node has failed"),
    ("CANCELLED", "it was cancelled, or is about to be"),
)


def said_lines(said: str) -> list[str]:
    """The lines that tell something, without the program's name."""
    lines = [_PREFIX.sub("", line.strip()).removeprefix(_FAILED) for line in said.splitlines()]
    return [line for line in lines if line and not _NOISE.search(line)]


def command_error(command: str, status: int, said: str, *, host: str | None) -> SupplyError:
    """Return what is wrong where a command of Slurm has failed. host: the login node, if it ran there."""
    if status in (126, 127):
        where = f"on {host}" if host else "here"
        return SupplyError(NO_COMMANDS.format(command=command, where=where), fatal=True)
    lines = said_lines(said)
    known = next((line for line in lines if _PASSING.search(line)), None)
    if known is not None:
        return SupplyError(f"Slurm: {known}")
    last = lines[-1] if lines else f"{command} ended with status {status}"
    return SupplyError(f"Slurm refuses it: {last}" if command == "sbatch" else f"Slurm: {last}", fatal=True)


def is_over(said: str) -> bool:
    """Return whether a command has failed because the job has ended, or is unknown by now."""
    return _GONE.search(said) is not None


def relay_error(said: str, status: int | None, python: str, job: str, *, started: bool) -> ChannelError:
    """Return what is wrong where the way into a job has ended. started: Python came up in it."""
    for mark, what in _CUT:
        if mark in said:
            return ChannelError(f"job {job}: {what}", doubt=True)
    if _GONE.search(said):
        return ChannelError(f"job {job} has ended", doubt=True)
    if _PENDING.search(said):
        return ChannelError(f"job {job} has not begun, or its nodes are busy", doubt=True)
    lines = said_lines(said)
    passing = next((line for line in lines if _PASSING.search(line)), None)
    if passing is not None:
        return ChannelError(f"Slurm: {passing}")
    if status == NO_AGENT or (started and lines and "there is no agent" in lines[-1]):
        return ChannelError(f"job {job} runs, and there is no agent in it yet, or no more")
    if "execve()" in said and "No such file" in said:
        return agent_failure("", 127, python, started=False)
    if not started:
        return ChannelError(f"srun did not get into job {job}: {lines[-1] if lines else f'exit status {status}'}")
    return agent_failure("\n".join(lines), status, python, started=True)


def job_error(comment: str, python: str) -> str:
    """Return why an agent did not come up, from the comment that its script has left on the job."""
    words = comment.removeprefix(FAILED).strip()
    return str(python_error(words, python)) if re.fullmatch(r"Python [\d.]+ on \w+", words) else words


FAILED: Final = "tui-lab: "
"""How the comment of a job begins whose agent did not come up."""
