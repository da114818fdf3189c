"""The node's GPUs, as `nvidia-smi` or `rocm-smi` tells them, and which of them an environment grants.

A card is named by its index; a part of one that NVIDIA's driver was told to make by its own name, as `MIG-...`.
"""

import json
import os

from tui_lab.engine.agent.probes import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = "index,uuid,memory.total,memory.used,utilization.gpu,name"
ROCM = ["--showuniqueid", "--showmeminfo", "vram", "--showuse", "--showproductname", "--json"]
MIB = 1 << 20
IDLE = 512 * MIB  # a card of AMD with less memory in use counts as free: nothing tells whose processes use it
NVIDIA, AMD = "nvidia", "amd"
ORDER = b"CUDA_DEVICE_ORDER"
CUDA, ROCR, HIP = b"CUDA_VISIBLE_DEVICES", b"ROCR_VISIBLE_DEVICES", b"HIP_VISIBLE_DEVICES"
ORDINAL = b"GPU_DEVICE_ORDINAL"


class Gpus:
    """What is known of them. `known` is empty where there are none, or nobody can tell."""

    def __init__(self, probes) -> None:
        self.probes = probes
        self.program = find_program("nvidia-smi")
        self.rocm = find_program("rocm-smi", "/opt/rocm/bin")
        self.vendor = NVIDIA if self.program or not self.rocm else AMD
        self.known: Any = None  # a list, once a program has answered
        self.free: Any = None  # indices, once it was asked who uses them
        self.asking = False

    def query(self, callback) -> None:
        """`callback(gpus)` with how busy each is now."""
        if self.vendor == AMD:
            self.probes.run([self.rocm] + ROCM, lambda text: self.on_gpus(parse_rocm(text or ""), callback))
        elif self.program is None:
            self.known = []
            callback([])
        else:
            argv = [self.program, "--query-gpu=" + COLUMNS, "--format=csv,noheader,nounits"]
            self.probes.run(argv, lambda text: self.on_gpus(parse_nvidia(text or ""), callback))

    def on_gpus(self, gpus: list, callback) -> None:
        if self.known is None and not gpus and self.vendor == NVIDIA and self.rocm is not None:
            self.vendor = AMD  # both are installed, and the cards are not NVIDIA's
            self.query(callback)
            return
        if self.known is None:
            self.known = gpus
        callback(gpus)

    def query_processes(self, callback) -> None:
        """Find out which are free: without a process of another user. `callback()` when that is known."""
        if not self.known:
            self.free = []
            callback()
        elif self.vendor == AMD:
            self.free = [gpu["index"] for gpu in self.known if gpu["used"] == 0 and (gpu["memory_used"] or 0) < IDLE]
            callback()
        else:
            argv = [self.program, "--query-compute-apps=pid,gpu_uuid", "--format=csv,noheader"]
            self.probes.run(argv, lambda text: self.on_processes(text, callback))

    def on_processes(self, text, callback) -> None:
        taken = set()
        for line in (text or "").splitlines():
            pid, _, uuid = line.partition(",")
            if pid.strip().isdigit() and not is_ours(int(pid)):
                taken.add(uuid.strip())
        # Without an answer none is known to be free.
        self.free = [] if text is None else [gpu["index"] for gpu in self.known if gpu["uuid"] not in taken]
        callback()

    def offered(self, wanted, environment) -> list:
        """Names of those that tasks may use: those of the list, `free` ones, or all; but never one that the environment
        does not grant."""
        granted = self.granted(environment)
        if isinstance(wanted, list):
            names = [self.name_of(str(name)) for name in wanted]
            return [name for name in names if granted is None or name in granted]
        names = [gpu["index"] for gpu in self.known or []] if granted is None else granted
        if wanted == "free":
            return [name for name in names if name in (self.free or []) or not isinstance(name, int)]
        return names

    def granted(self, environment):
        """Names of the GPUs that the variables of an environment leave to programs, None where they say nothing."""
        if not self.program and CUDA not in environment and (ROCR in environment or HIP in environment):
            self.vendor = AMD  # a module may bring its programs later; the allocation is known by its variables
        if self.vendor == NVIDIA:
            return None if CUDA not in environment else self.visible_names(environment[CUDA])
        cards = None if ROCR not in environment else self.visible_names(environment[ROCR])
        for variable in (HIP, CUDA):  # HIP counts among the cards that the layer below it sees; it knows CUDA's, too
            if variable in environment:
                if cards is None and not self.known:
                    return self.visible_names(environment[variable])
                among = [gpu["index"] for gpu in self.known or []] if cards is None else cards
                chosen = self.visible_names(environment[variable], range(len(among)))
                return [among[place] for place in chosen if place in range(len(among))]
        return cards

    def visible_names(self, value: bytes, indices=None) -> list:
        """The names in such a variable. The first that means no card ends the list, as for CUDA itself: so `-1` and an
        empty text are none."""
        if indices is None:
            indices = [gpu["index"] for gpu in self.known or []]
        found: Any = []
        for word in value.decode("ascii", "replace").split(","):
            name = self.name_of(word.strip())
            if isinstance(name, int) and name not in indices and self.known or not is_name(name):
                break
            if name not in found:
                found.append(name)
        return found

    def name_of(self, word: str):
        """A word as our own name of a card: an index where there is one."""
        if word.isdigit():
            return int(word)
        same = [gpu["index"] for gpu in self.known or [] if len(word) > 4 and gpu["uuid"].startswith(word)]
        return same[0] if len(same) == 1 else word

    def set_visible(self, names: list, environment: dict) -> None:
        """Leave these to a program, by the variables of its environment."""
        value = ",".join(map(str, names)).encode()
        if self.vendor == AMD:
            for variable in (HIP, CUDA, ORDINAL):  # they would count among those that are left
                environment.pop(variable, None)
            environment[ROCR] = value
            return
        environment[CUDA] = value
        if all(isinstance(name, int) for name in names):
            environment[ORDER] = b"PCI_BUS_ID"  # as nvidia-smi counts; CUDA by itself begins with the fastest


def is_name(name) -> bool:
    return isinstance(name, int) or name.startswith(("MIG-", "GPU-"))


def is_ours(pid: int) -> bool:
    try:
        return os.stat("/proc/%d" % pid).st_uid == os.getuid()
    except OSError:
        return False  # of another container, or just gone


def parse_nvidia(text: str) -> list:
    """The answer of `nvidia-smi`; what a card does not tell is None."""
    gpus = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", 5)]
        if len(words) == 6 and words[0].isdigit():
            gpus.append(
                {
                    "index": int(words[0]),
                    "uuid": words[1],
                    "memory": parse_number(words[2], MIB),
                    "memory_used": parse_number(words[3], MIB),
                    "used": parse_number(words[4], 1),
                    "name": words[5],
                }
            )
    return gpus


def parse_rocm(text: str) -> list:
    """The answer of `rocm-smi`: an object with a member for each card. Its releases differ in capitals."""
    try:
        cards = json.loads(text[text.index("{") :])
    except ValueError:
        return []
    gpus = []
    for card, told in cards.items():
        if not (card.startswith("card") and card[4:].isdigit() and isinstance(told, dict)):
            continue
        facts = {name.lower(): str(value) for name, value in told.items()}
        unique = facts.get("unique id", "")
        gpus.append(
            {
                "index": int(card[4:]),
                "uuid": "GPU-" + (unique[2:] if unique.startswith("0x") else unique),
                "memory": parse_number(facts.get("vram total memory (b)", ""), 1),
                "memory_used": parse_number(facts.get("vram total used memory (b)", ""), 1),
                "used": parse_number(facts.get("gpu use (%)", ""), 1),
                "name": facts.get("card series") or facts.get("card model") or "AMD GPU",
            }
        )
    return sorted(gpus, key=lambda gpu: gpu["index"])


def parse_number(word: str, unit: int):
    try:
        return int(float(word) * unit)
    except ValueError:
        return None
