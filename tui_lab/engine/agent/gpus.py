"""The node's GPUs, as `nvidia-smi` or `rocm-smi` reports them, and which of them an environment grants.

A card is named by its index; a part of one (NVIDIA MIG) by its own name, as `MIG-...`."""

import json
import os

from tui_lab.engine.agent.probes import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = "index,uuid,memory.total,memory.used,utilization.gpu,name"
ROCM = ["--showuniqueid", "--showmeminfo", "vram", "--showuse", "--showproductname", "--json"]
MIB = 1 << 20
IDLE = 512 * MIB  # an AMD card with less memory in use counts as free: its users are not reported
NVIDIA, AMD = "nvidia", "amd"
ORDER = b"CUDA_DEVICE_ORDER"
CUDA, ROCR, HIP = b"CUDA_VISIBLE_DEVICES", b"ROCR_VISIBLE_DEVICES", b"HIP_VISIBLE_DEVICES"
ORDINAL = b"GPU_DEVICE_ORDINAL"


class Gpus:
    """The GPUs of the node. `known` is empty where there are none, or no program reports them."""

    def __init__(self, probes) -> None:
        self.probes = probes
        self.program = find_program("nvidia-smi")
        self.rocm = find_program("rocm-smi", "/opt/rocm/bin")
        self.vendor = NVIDIA if self.program or not self.rocm else AMD
        self.known: Any = None  # a list, once it was queried
        self.free: Any = None  # indices, once their users were queried
        self.asking = False

    def query(self, callback) -> None:
        """Query the cards and how busy they are, then call `callback(gpus)`."""
        if self.vendor == AMD:
            self.probes.run([self.rocm] + ROCM, lambda text: self.on_gpus(parse_rocm(text or ""), callback))
        elif self.program is None:
            self.known = []
            callback([])
        else:
            argv = [self.program, "--query-gpu=" + COLUMNS, "--format=csv,noheader,nounits"]
            self.probes.run(argv, lambda text: self.on_gpus(parse_nvidia(text or ""), callback))

    def on_gpus(self, gpus: list, callback) -> None:
        """Handle the answer to `query`."""
        if self.known is None and not gpus and self.vendor == NVIDIA and self.rocm is not None:
            self.vendor = AMD  # both are installed, and the cards are not NVIDIA's
            self.query(callback)
            return
        if self.known is None:
            self.known = gpus
        callback(gpus)

    def query_processes(self, callback) -> None:
        """Find out which cards are free of processes of other users, then call `callback()`."""
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
        """Handle the answer to `query_processes`."""
        taken = set()
        for line in (text or "").splitlines():
            pid, _, uuid = line.partition(",")
            if pid.strip().isdigit() and not is_ours(int(pid)):
                taken.add(uuid.strip())
        # Without an answer, no card counts as free.
        self.free = [] if text is None else [gpu["index"] for gpu in self.known if gpu["uuid"] not in taken]
        callback()

    def offered(self, wanted, environment) -> list:
        """Return the names of the cards that tasks may use: those of the list `wanted`, the `free` ones, or all; never
        one that the environment does not grant."""
        granted = self.granted(environment)
        if isinstance(wanted, list):
            names = [self.name_of(str(name)) for name in wanted]
            return [name for name in names if granted is None or name in granted]
        names = [gpu["index"] for gpu in self.known or []] if granted is None else granted
        if wanted == "free":
            return [name for name in names if name in (self.free or []) or not isinstance(name, int)]
        return names

    def granted(self, environment):
        """Return the names of the cards that the variables of an environment allow, None where they say nothing."""
        if not self.program and CUDA not in environment and (ROCR in environment or HIP in environment):
            self.vendor = AMD  # `module` may add rocm-smi later; these variables show an AMD allocation
        if self.vendor == NVIDIA:
            return None if CUDA not in environment else self.visible_names(environment[CUDA])
        cards = None if ROCR not in environment else self.visible_names(environment[ROCR])
        for variable in (HIP, CUDA):  # HIP counts the cards that ROCR leaves visible; it reads CUDA's variable as well
            if variable in environment:
                if cards is None and not self.known:
                    return self.visible_names(environment[variable])
                among = [gpu["index"] for gpu in self.known or []] if cards is None else cards
                chosen = self.visible_names(environment[variable], range(len(among)))
                return [among[place] for place in chosen if place in range(len(among))]
        return cards

    def visible_names(self, value: bytes, indices=None) -> list:
        """Return the names in the value of such a variable.

        As in CUDA, the first name that means no card ends the list: so `-1` and an empty text are none."""
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
        """Return the name of a card for a word of such a variable: an index where there is one."""
        if word.isdigit():
            return int(word)
        same = [gpu["index"] for gpu in self.known or [] if len(word) > 4 and gpu["uuid"].startswith(word)]
        return same[0] if len(same) == 1 else word

    def set_visible(self, names: list, environment: dict) -> None:
        """Set the variables of an environment so that a program sees only these cards."""
        value = ",".join(map(str, names)).encode()
        if self.vendor == AMD:
            for variable in (HIP, CUDA, ORDINAL):  # they would select among the cards in ROCR
                environment.pop(variable, None)
            environment[ROCR] = value
            return
        environment[CUDA] = value
        if all(isinstance(name, int) for name in names):
            environment[ORDER] = b"PCI_BUS_ID"  # the order of nvidia-smi; CUDA's default begins with the fastest


def is_name(name) -> bool:
    """Return whether a name is an index or names a card or a part of one."""
    return isinstance(name, int) or name.startswith(("MIG-", "GPU-"))


def is_ours(pid: int) -> bool:
    """Return whether a process belongs to this user."""
    try:
        return os.stat("/proc/%d" % pid).st_uid == os.getuid()
    except OSError:
        return False  # in another container, or ended


def parse_nvidia(text: str) -> list:
    """Return the cards in the answer of `nvidia-smi`; what a card does not report is None."""
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
    """Return the cards in the answer of `rocm-smi`, an object with a member for each.

    Its releases differ in capitals."""
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
    """Return a number times its unit, None where the text is none."""
    try:
        return int(float(word) * unit)
    except ValueError:
        return None
