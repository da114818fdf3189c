"""How fast tasks are started on a machine reached by SSH: an sshd of our own, on this machine.

    python benchmarks/nodes.py [--tasks 200] [--many 2000] [--runs 5] [--peers parallel patas]

1. `--tasks` tasks that do nothing, two at a time, beside GNU parallel `--sshlogin` and patas. parallel logs in for each
   task: it gets a tenth of them, and its time is taken times ten.
2. `--many` tasks, eight at a time, beside the same run without SSH.
3. The same over a line with 20 ms each way, where each task takes 50 ms: how busy the slots are.

Logins read a .bashrc that takes 0.3 s of processor time and prints, as people's do. Peers that are not on PATH are left
out. Runs alternate, and ratios are taken within each round, so that a noisy machine hurts all alike; medians are
printed.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.engine.nodes.proxy import Proxy

LATENCY = 0.02  # seconds each way
PAUSE = 2.0  # seconds between runs
PARTS = 10  # parallel gets a part of the tasks

SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 100:30:200
SetEnv HOME={folder}
"""

BASHRC = """\
for ((i = 0; i < 200000; i++)); do :; done
echo welcome
"""

CLIENT = """\
Host loop far
  HostName 127.0.0.1
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  LogLevel ERROR
Match host 127.0.0.1 originalhost loop
  Port {port}
Match host 127.0.0.1 originalhost far
  Port {far}
"""


class Loop:
    """An sshd on this machine, with `loop` and `far` as names for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.proxy = Proxy(port, LATENCY)
        facts = {"folder": folder, "port": port, "far": self.proxy.port, "user": getpass.getuser()}
        key = (folder / "host.pub").read_text().split()[:2]
        hosts = f"[127.0.0.1]:{port},[127.0.0.1]:{self.proxy.port}"
        (folder / "known_hosts").write_text(" ".join([hosts, *key]) + "\n")
        (folder / "sshd_config").write_text(SSHD.format(**facts))
        (folder / ".bashrc").write_text(BASHRC)
        ssh = folder / ".ssh"
        ssh.mkdir()
        (ssh / "config").write_text(CLIENT.format(**facts))
        # ssh itself looks for its files in the home that the system knows, not in $HOME
        program = folder / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {ssh}/config "$@"\n')
        program.chmod(0o755)
        self.environment = {**os.environ, "HOME": str(folder), "PATH": f"{program.parent}:{os.environ['PATH']}"}
        self.environment["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        with contextlib.suppress(PermissionError):
            Path("/run/sshd").mkdir(exist_ok=True)
        log = folder / "log"
        self.sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(folder / "sshd_config"), "-E", str(log)])
        while subprocess.run(["ssh", "loop", "true"], env=self.environment, capture_output=True).returncode != 0:
            time.sleep(0.05)

    def close(self) -> None:
        self.sshd.terminate()
        self.sshd.wait()
        self.proxy.close()


@contextlib.contextmanager
def loop() -> Iterator[Loop]:
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        it = Loop(Path(folder))
        try:
            yield it
        finally:
            it.close()


def tui_lab(it: Loop, folder: Path, tasks: int, node: str, slots: int, command: str = "/bin/true") -> Path:
    (folder / "noop.yaml").write_text(f"name: noop\ncommand: {command}\nrepeat: {tasks}\n")
    words = [sys.executable, "-m", "tui_lab", "--run", "noop.yaml", "--node", node, str(slots)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, env=it.environment)
    return folder / "lab"


def parallel(it: Loop, folder: Path, tasks: int) -> None:
    numbers = "\n".join(map(str, range(tasks)))
    words = ["parallel", "-j2", "--sshlogin", "loop", "--joblog", "log", "--results", "out", "/bin/true"]
    subprocess.run(words, cwd=folder, check=True, input=numbers, text=True, capture_output=True, env=it.environment)


def patas(it: Loop, folder: Path, tasks: int) -> None:
    port = next(line.split()[1] for line in Path(it.environment["HOME"], "sshd_config").read_text().splitlines())
    node = f"{getpass.getuser()}@loop:{port}"
    words = ["patas", "explore", "--type", "grid", "--cmd", "/bin/true", "--vl", "x", "0", "--repeat", str(tasks)]
    subprocess.run([*words, "--node", node, "2", "-y"], cwd=folder, check=True, capture_output=True, env=it.environment)


def measure(run: Callable[[Path], Any], place: Path) -> float:
    """Wall seconds of one run in a new folder in `place`, which stays: ext4 makes a file several times as slowly while
    thousands of others have just been removed, and that would be the next tool's time."""
    folder = Path(tempfile.mkdtemp(dir=place))
    time.sleep(PAUSE)  # what the run before has left behind is none of this one's business
    began = time.monotonic()
    run(folder)
    return time.monotonic() - began


def busy(it: Loop, tasks: int, slots: int, pause: float, node: str) -> float:
    """The part of the time between the first start and the last end in which the slots had something to do."""
    lab = tui_lab(it, Path(tempfile.mkdtemp(dir=it.folder)), tasks, node, slots, f"sleep {pause}")
    events = [json.loads(line) for line in (lab / "noop" / "journal.jsonl").read_text().splitlines()]
    ends = [event for event in events if event["event"] == "finished"]
    first: float = min(event["at"] - event["duration"] for event in ends)
    work: float = sum(event["duration"] for event in ends)
    last: float = max(event["at"] for event in ends)
    return work / slots / (last - first)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=["parallel", "patas"])
    args = parser.parse_args()
    peers = [name for name in args.peers if shutil.which(name)]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {}
    with loop() as it:
        timed = partial(measure, place=it.folder)
        timed(lambda folder: tui_lab(it, folder, 2, "loop", 2))  # compiles
        rounds: dict[str, Callable[[], float]] = {
            "tui-lab": lambda: timed(lambda folder: tui_lab(it, folder, args.tasks, "loop", 2)),
            "parallel": lambda: PARTS * timed(lambda folder: parallel(it, folder, args.tasks // PARTS)),
            "patas": lambda: timed(lambda folder: patas(it, folder, args.tasks)),
            "many over SSH": lambda: timed(lambda folder: tui_lab(it, folder, args.many, "loop", 8)),
            "many here": lambda: timed(lambda folder: tui_lab(it, folder, args.many, "localhost", 8)),
        }
        for name in {"parallel", "patas"} - set(peers):
            del rounds[name]
        for _ in range(args.runs):
            for name, run in list(rounds.items()):
                try:
                    times.setdefault(name, []).append(run())
                except subprocess.CalledProcessError as error:
                    if name not in peers:
                        raise
                    print(f"{name} failed, and is left out: {error.stderr[-300:]!r}", file=sys.stderr)
                    peers.remove(name)
                    del rounds[name], times[name]
        slots_busy = {
            "far": round(busy(it, 80, 2, 0.05, "far"), 3),
            "here": round(busy(it, 80, 2, 0.05, "localhost"), 3),
        }
    report: dict[str, Any] = {name: round(statistics.median(found), 2) for name, found in times.items()}
    for name in peers:
        ratios = [theirs / mine for mine, theirs in zip(times["tui-lab"], times[name], strict=True)]
        report[f"times as fast as {name}"] = round(statistics.median(ratios), 2)
    ratios = [far / here for far, here in zip(times["many over SSH"], times["many here"], strict=True)]
    report["many: SSH takes times as long as here"] = round(statistics.median(ratios), 2)
    report["part of the time in which slots are busy"] = slots_busy
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
