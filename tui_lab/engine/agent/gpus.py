"""The node's GPUs, as `nvidia-smi` tells them."""

import os

from tui_lab.engine.agent.commands import on_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = "index,uuid,memory.total,memory.used,utilization.gpu,name"
MIB = 1 << 20


class Gpus:
    """What is known of them. `known` is empty where there are none, or nobody can tell."""

    def __init__(self, commands) -> None:
        self.commands = commands
        self.program = on_path("nvidia-smi")
        self.known: Any = None  # a list, once `nvidia-smi` has answered
        self.free: Any = None  # indices, once it was asked who uses them
        self.asking = False

    def look(self, then) -> None:
        """`then(gpus)` with how busy each is now."""
        if self.program is None:
            self.known = []
            then([])
            return
        argv = [self.program, "--query-gpu=" + COLUMNS, "--format=csv,noheader,nounits"]
        self.commands.run(argv, lambda text: self.seen(text, then))

    def seen(self, text, then) -> None:
        gpus = parse(text or "")
        if self.known is None:
            self.known = gpus
        then(gpus)

    def look_who(self, then) -> None:
        """Find out which are free: without a process of another user. `then()` when that is known."""
        if self.program is None or not self.known:
            self.free = []
            then()
            return
        argv = [self.program, "--query-compute-apps=pid,gpu_uuid", "--format=csv,noheader"]
        self.commands.run(argv, lambda text: self.seen_who(text, then))

    def seen_who(self, text, then) -> None:
        taken = set()
        for line in (text or "").splitlines():
            pid, _, uuid = line.partition(",")
            if pid.strip().isdigit() and not is_ours(int(pid)):
                taken.add(uuid.strip())
        # Without an answer none is known to be free.
        self.free = [] if text is None else [gpu["index"] for gpu in self.known if gpu["uuid"] not in taken]
        then()

    def offered(self, wanted) -> list:
        """Indices that tasks may use: those of the list, `free` ones, or all."""
        if isinstance(wanted, list):
            return wanted
        if wanted == "free":
            return self.free or []
        return [gpu["index"] for gpu in self.known or []]


def is_ours(pid: int) -> bool:
    try:
        return os.stat("/proc/%d" % pid).st_uid == os.getuid()
    except OSError:
        return False  # of another container, or just gone


def parse(text: str) -> list:
    """The answer of `nvidia-smi`; what a card does not tell is None."""
    gpus = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", 5)]
        if len(words) == 6 and words[0].isdigit():
            gpus.append(
                {
                    "index": int(words[0]),
                    "uuid": words[1],
                    "memory": number(words[2], MIB),
                    "memory_used": number(words[3], MIB),
                    "used": number(words[4], 1),
                    "name": words[5],
                }
            )
    return gpus


def number(word: str, unit: int):
    try:
        return int(float(word) * unit)
    except ValueError:
        return None
