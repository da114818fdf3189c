"""Contexts: what the tasks of a submission have in common. Held in memory only: they carry the environment."""

import os

from tui_lab.engine.agent.places import expand
from tui_lab.engine.agent.processes import children, decode, encode, process_stat
from tui_lab.engine.agent.programs import USUAL
from tui_lab.portable.login import without_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Of a task: an agent that was started from within one must not pass them on.
OF_A_TASK = (b"TUI_LAB_P_", b"TUI_LAB_F_", b"TUI_LAB_V_") + tuple(
    b"TUI_LAB_" + name
    for name in (b"EXPERIMENT", b"TASK_ID", b"REPEAT", b"ATTEMPT", b"SEED", b"OUTPUT", b"NODE", b"SLOT", b"METRICS")
    + (b"PARAMS",)
)
START_FILE = b"BASH_ENV"


class Contexts:
    """By id. `ready` is None while the setup runs, False where it failed (`error` says why)."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        self.own = {k: v for k, v in os.environb.items() if not k.startswith(OF_A_TASK)}
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
        inherited = self.own if given is None else {encode(k): encode(v) for k, v in given.items()}
        environment = without_login(inherited)
        environment.update((encode(k), encode(v)) for k, v in (message.get("extra") or {}).items())
        message["environment"] = environment
        message["submitted"] = given is not None
        message["workdir"] = expand(message["workdir"])
        message["ready"] = True
        self.by_id[message["id"]] = message
        if message.get("setup"):
            message["login"] = {k: v for k, v in inherited.items() if k not in environment}
            self.run_setup(message)

    def run_setup(self, context: dict) -> None:
        """Run the setup lines once; the variables that they leave behind are inherited by every task. They may read a
        start file that tasks don't: on clusters it is what defines `module`."""
        import subprocess

        context["ready"] = None
        base = os.path.join(self.spool, "setup-%d" % len(self.by_id))
        context["setup_files"] = (base + ".env", base + ".log")
        script = context["setup"] + '\nexec env -0 >"$TUI_LAB_SETUP_ENV"'
        environment = dict(context["environment"])
        if START_FILE in context["login"]:
            environment[START_FILE] = context["login"][START_FILE]
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
            own = {b"_", b"TUI_LAB_SETUP_ENV"}
            login = context["login"]  # the start file may have set these once more
            context["environment"] = {k: v for k, _, v in pairs if k not in own and login.get(k) != v}
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
        sh. zsh alone would read a start file for each."""
        shell = context.get("shell") or self.usual_shell(context["environment"].get(b"PATH", USUAL))
        name = os.path.basename(shell)
        if name in ("bash", "zsh", "ksh"):
            return [shell] + ["-f"] * (name == "zsh") + ["-e", "-o", "pipefail"]
        return [shell, "-e"]

    def usual_shell(self, path: bytes) -> str:
        """By its path: a PATH of the experiment is for its programs."""
        if path not in self.shells:
            folders = [decode(folder) for folder in path.split(b":") if folder[:1] == b"/"] + ["/bin", "/usr/bin"]
            files = [os.path.join(folder, "bash") for folder in folders]
            self.shells[path] = next((file for file in files if os.access(file, os.X_OK)), "/bin/sh")
        return self.shells[path]
