"""A Slurm of the tests' own, on loopback, without systemd: munged, slurmctld and some slurmd.

Everything lives in one folder, runs in the foreground as a child of the tests, and is ended by pid. Tests that use it
are marked so, at the top of their file:

    pytestmark = slurm.MARKS

Without Slurm they are skipped; in CI that is a failure. `python -m tests.services.slurm` keeps one until its standard
input ends, and says which SLURM_CONF leads to it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

MARKS: Final = [pytest.mark.service, pytest.mark.slow, pytest.mark.xdist_group("slurm")]
"""Of each test that uses it: `make services` runs them on one worker, and so on one Slurm."""
NEEDED: Final = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
FOREIGN: Final = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_")
"""Variables that the daemons would inherit if the tests themselves ran in a job."""
GRACE: Final = 10  # seconds that a job has which is preempted
TRIES: Final = 3
"""A port that was free may be taken before a daemon binds it."""


def missing() -> list[str]:
    """The programs that are not installed here."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


def wait_for(what: Callable[[], str], met: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds. Raises TimeoutError with what was waited for."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(what())
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that are free now."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


class PrivateSlurm:
    """A cluster with nodes n1, n2, ..., all of which are this machine.

    cpus, memory (MB), gpus: of each node; there can be four cards. partitions: the lines of slurm.conf that define
    them; by default there are `main`, and `urgent`, whose jobs preempt those of `main` after a grace time; both with
    all nodes, and without a limit of time. more: further lines of slurm.conf.
    hidden: a folder that its nodes don't see.
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        cpus: int = 4,
        memory: int = 2000,
        gpus: int = 0,
        partitions: Sequence[str] = (),
        more: Sequence[str] = (),
        hidden: Path | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short path: sockets have 107 bytes
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus, self.memory, self.gpus = cpus, memory, gpus
        self.partitions, self.more, self.hidden = partitions, more, hidden
        self.conf = self.folder / "slurm.conf"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "SLURM_CONF": str(self.conf),
            "PATH": PATH,
        }

    # --- Configuration

    def write(self) -> None:
        """Write the configuration, with ports that are free now."""
        folder, user, host = self.folder, pwd.getpwuid(os.getuid()).pw_name, socket.gethostname()
        folder.chmod(0o755)  # munged refuses folders that others may write
        for name in ("state", "log", "munge", *(f"spool-{node}" for node in self.nodes)):
            (folder / name).mkdir(exist_ok=True, mode=0o755)
        key = folder / "munge" / "key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
        port, *ports = free_ports(1 + len(self.nodes))
        # Slurm wants character devices, and only counts them: nothing opens them.
        cards = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"][: self.gpus]
        if cards:
            (folder / "gres.conf").write_text("".join(f"Name=gpu File={card}\n" for card in cards))
        of_node = f"CPUs={self.cpus} RealMemory={self.memory} State=UNKNOWN" + (f" Gres=gpu:{self.gpus}" * bool(cards))
        names = ",".join(self.nodes)
        lines = [
            "ClusterName=test",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={port}",
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            "AuthType=auth/munge",
            f"AuthInfo=socket={folder}/munge/socket",
            "CredType=cred/munge",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/spool-%n",
            f"SlurmctldPidFile={folder}/slurmctld.pid",
            f"SlurmdPidFile={folder}/slurmd-%n.pid",
            f"SlurmctldLogFile={folder}/log/slurmctld.log",
            f"SlurmdLogFile={folder}/log/slurmd-%n.log",
            # A container has no cgroups.
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none",
            "MpiDefault=none",
            "SwitchType=switch/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            f"DefMemPerCPU={max(1, self.memory // self.cpus)}",
            "SchedulerType=sched/backfill",
            "SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",  # all listen on 127.0.0.1 alone
            "ReturnToService=2",
            "SlurmdTimeout=30",
            "InactiveLimit=0",
            "MinJobAge=300",
            "KillWait=2",
            "OverTimeLimit=0",
            "PropagateResourceLimits=NONE",
            "RebootProgram=/bin/false",
            "SlurmdParameters=config_overrides",  # more CPUs than the machine has
            *["GresTypes=gpu"][: len(cards)],
            *(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={at} {of_node}"
                for node, at in zip(self.nodes, ports, strict=True)
            ),
            *(self.partitions or _partitions(names)),
            *self.more,
        ]
        self.conf.write_text("\n".join(lines) + "\n")

    # --- Processes

    def start(self) -> PrivateSlurm:
        """Start everything, and return when all nodes are idle."""
        for left in reversed(range(TRIES)):
            try:
                self.write()
                self.start_munged()
                self.start_controller()
                for node in self.nodes:
                    self.start_node(node)
                wait_for(lambda: f"idle nodes: {self.states()}\n{self.log('slurmctld')}", self._all_idle)
                return self
            except RuntimeError as error:
                self._end_daemons()
                if not left or "Address already in use" not in str(error):
                    self.stop()
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError

    def start_munged(self) -> None:
        munge = self.folder / "munge"
        files = (f"--{name}={munge}/{name.removesuffix('-file')}" for name in ("key-file", "pid-file", "seed-file"))
        logs = f"--log-file={self.folder}/log/munged.log"
        self._spawn("munged", "--foreground", f"--socket={munge}/socket", *files, logs, "--num-threads=2")
        self._until_up("munged", (munge / "socket").exists)

    def start_controller(self) -> None:
        self._spawn("slurmctld", "-D", "-i")
        self._until_up("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False).stdout)

    def start_node(self, node: str) -> None:
        words = ["slurmd", "-D", "-N", node]
        if self.hidden is not None:
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            words = ["unshare", "-m", "--propagation", "private", "sh", "-c", hide, str(self.hidden), *words]
        self._spawn(*words, called=f"slurmd-{node}")
        self._until_up(f"slurmd-{node}", (self.folder / f"slurmd-{node}.pid").exists)

    def _spawn(self, program: str, *words: str, called: str = "") -> None:
        with open(self.folder / "log" / f"{called or program}.out", "ab") as log:
            self.processes[called or program] = subprocess.Popen(
                [program, *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )

    def _until_up(self, name: str, met: Callable[[], object]) -> None:
        process = self.processes[name]

        def ready() -> object:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            return met()

        wait_for(lambda: f"{name} is up:\n{self.log(name)}", ready)

    def log(self, name: str) -> str:
        """The last lines that a daemon has written."""
        found = sorted((self.folder / "log").glob(f"{name}*"))
        return "\n".join("\n".join(path.read_text(errors="replace").splitlines()[-15:]) for path in found)

    # --- Use

    def run(
        self, *words: str, check: bool = True, timeout: float = 60, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with it, and return what it has printed."""
        return subprocess.run(
            words, env=self.environment, check=check, timeout=timeout, text=True, capture_output=True, input=stdin
        )

    def states(self) -> dict[str, str]:
        """The state of each node."""
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout.splitlines()
        return dict(line.split() for line in lines)

    def queue(self) -> list[str]:
        """The names of all jobs that are waiting or running."""
        return self.run("squeue", "-h", "-o", "%j").stdout.split()

    def _all_idle(self) -> bool:
        states = self.states()
        return set(states) == set(self.nodes) and set(states.values()) <= {"idle", "mix", "alloc"}

    # --- The end

    def stop(self) -> None:
        """Cancel all jobs, end the daemons, and what they left; remove the folder."""
        if self.processes.get("slurmctld") is not None and self.processes["slurmctld"].poll() is None:
            with contextlib.suppress(subprocess.SubprocessError):
                everything = f"--user={os.getuid()}"
                self.run("scancel", "--full", "--signal=KILL", everything, check=False, timeout=10)
                self.run("scancel", everything, check=False, timeout=10)
                with contextlib.suppress(TimeoutError):
                    wait_for(lambda: "", lambda: not self.queue(), 5)
        self._end_daemons()
        for pid in self.steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_daemons(self) -> None:
        for name in sorted(self.processes, key=_ending):
            end_process(self.processes.pop(name))

    def steps(self) -> set[int]:
        """Pids of the slurmstepd of this Slurm. They are no children of ours: their environment names its file."""
        found, mark = set(), f"SLURM_CONF={self.conf}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_step = (entry / "comm").read_text().strip() == "slurmstepd"
                if is_step and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
        return found

    def agents(self, job: str) -> list[int]:
        """Pids of the batch script of a job, which has become the agent, and of what it has become."""
        mark, found = f"SLURM_JOB_ID={job}".encode(), []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"stay" in words and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def __enter__(self) -> PrivateSlurm:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _partitions(names: str) -> list[str]:
    both = f"Nodes={names} MaxTime=INFINITE State=UP"
    return [
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        f"PartitionName=main {both} Default=YES PriorityTier=1 GraceTime={GRACE}",
        f"PartitionName=urgent {both} PriorityTier=10 PreemptMode=OFF",
    ]


def _ending(name: str) -> int:
    """The place of a daemon in the order in which they end: those first that need others."""
    return ("slurmd", "slurmctld", "munged").index(name.partition("-")[0])


def end_process(process: subprocess.Popen[bytes]) -> None:
    """TERM, and KILL ten seconds later, to a process that we started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def slurm() -> Iterator[PrivateSlurm]:
    """Two nodes of four CPUs and two cards."""
    need()
    with PrivateSlurm(nodes=2, cpus=4, gpus=2) as one:
        yield one


def need() -> None:
    """Skip a test where Slurm is not installed; in CI it fails."""
    if lacking := missing():
        why = f"not installed: {', '.join(lacking)}; .ci/run installs them"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


if __name__ == "__main__":
    with PrivateSlurm(nodes=2, cpus=4, gpus=2) as served:
        print(f"export SLURM_CONF={served.conf}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
