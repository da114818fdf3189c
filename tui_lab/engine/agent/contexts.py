"""Contexts: what the tasks of a submission have in common. Held in memory only: they carry the environment."""

import os

from tui_lab.engine.agent.places import expand
from tui_lab.engine.agent.processes import children, encode, process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Of a task: an agent that was started from within one must not pass them on.
OF_A_TASK = (b"TUI_LAB_P_", b"TUI_LAB_F_", b"TUI_LAB_V_") + tuple(
    b"TUI_LAB_" + name
    for name in (b"EXPERIMENT", b"TASK_ID", b"REPEAT", b"ATTEMPT", b"SEED", b"OUTPUT", b"NODE", b"SLOT", b"METRICS")
    + (b"PARAMS",)
)


class Contexts:
    """By id. `ready` is None while the setup runs, False where it failed (`error` says why)."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        self.by_id: Any = {}
        self.setups: Any = {}  # pid of a running setup -> context id
        self.daemons: Any = set()  # (pid, start time) of what ran when a setup had just ended
        self.shells: Any = {}

    def get(self, identity: str):
        return self.by_id.get(identity)

    def add(self, message: dict) -> None:
        old = self.by_id.get(message["id"])
        if old is not None and old["ready"] is not False:
            return
        given = message["environment"]
        if given is None:
            environment = {k: v for k, v in os.environb.items() if not k.startswith(OF_A_TASK)}
        else:
            environment = {encode(k): encode(v) for k, v in given.items()}
        environment.update((encode(k), encode(v)) for k, v in (message.get("extra") or {}).items())
        message["environment"] = environment
        message["workdir"] = expand(message["workdir"])
        message["ready"] = True
        self.by_id[message["id"]] = message
        if message.get("setup"):
            self.run_setup(message)

    def run_setup(self, context: dict) -> None:
        """Run the setup lines once; the variables that they leave behind are inherited by every task."""
        import subprocess

        context["ready"] = None
        base = os.path.join(self.spool, "setup-%d" % len(self.by_id))
        context["setup_files"] = (base + ".env", base + ".log")
        script = context["setup"] + '\nexec env -0 >"$TUI_LAB_SETUP_ENV"'
        environment = dict(context["environment"])
        environment[b"TUI_LAB_SETUP_ENV"] = encode(base + ".env")
        try:
            with open(base + ".log", "wb") as output:
                process = subprocess.Popen(
                    self.shell(context) + ["-c", encode(script)],
                    env=environment,
                    cwd=encode(context["workdir"]),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            context["ready"], context["error"] = False, "setup: %s" % error
            return
        process.returncode = 0  # reaped by our own loop, not by Popen
        self.setups[process.pid] = context["id"]

    def is_spared(self, pid: int, start_time: int) -> bool:
        """Whether this may be a daemon that setup lines have started: it serves all tasks."""
        return bool(self.setups) or (pid, start_time) in self.daemons

    def setup_ended(self, pid: int, status: int) -> None:
        context = self.by_id[self.setups.pop(pid)]
        facts = [(child, process_stat(child)) for child in children()]
        self.daemons.update((child, fact[4]) for child, fact in facts if fact is not None)
        environment_file, output = context["setup_files"]
        try:
            with open(environment_file, "rb") as file:
                pairs = [part.partition(b"=") for part in file.read().split(b"\0") if b"=" in part]
        except OSError:
            pairs = []
        if status == 0 and pairs:
            context["environment"] = {k: v for k, _, v in pairs if k != b"TUI_LAB_SETUP_ENV"}
            context["ready"] = True
            return
        try:
            with open(output, "rb") as file:
                tail = file.read()[-500:].decode("utf-8", "replace").strip()
        except OSError:
            tail = ""
        what = "exited with %d" % status if status else "left no environment behind (does it `exit`?)"
        context["ready"], context["error"] = False, "setup %s%s" % (what, ": " + tail if tail else "")

    def shell(self, context: dict) -> list:
        """The program and options that run a script: the one asked for, else bash where the node has it, else
        sh."""
        wanted = context.get("shell")
        path = context["environment"].get(b"PATH", b"").decode("utf-8", "surrogateescape")
        if wanted is None:
            if path not in self.shells:
                found = any(os.access(os.path.join(p, "bash"), os.X_OK) for p in path.split(":") if p)
                self.shells[path] = "bash" if found else "sh"
            wanted = self.shells[path]
        if os.path.basename(wanted) in ("bash", "zsh", "ksh"):
            return [wanted, "-e", "-o", "pipefail"]
        return [wanted, "-e"]
