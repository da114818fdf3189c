"""Contexts: what the tasks of a submission have in common.

They hold the environment, so they are kept in memory only."""

import os
import signal
import time

from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.processes import children, process_stat, signal_each
from tui_lab.engine.agent.programs import DEFAULT_PATH
from tui_lab.engine.agent.setups import TIMEOUT, Setup, format_duration, stop_orphans
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.login import without_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Variables of a task: an agent that was started by a task must not pass them on.
TASK_VARIABLES = (b"TUI_LAB_P_", b"TUI_LAB_F_", b"TUI_LAB_V_") + tuple(
    b"TUI_LAB_" + name
    for name in (b"EXPERIMENT", b"TASK_ID", b"REPEAT", b"ATTEMPT", b"SEED", b"OUTPUT", b"NODE", b"SLOT", b"METRICS")
    + (b"PARAMS", b"DEADLINE")
)
START_FILE = b"BASH_ENV"
OF_A_SETUP = ("umask", "workdir", "shell", "setup", "setup_timeout")
NOT_NEEDED = "was stopped"
POLL_INTERVAL = 0.1  # seconds between looks at processes that were asked to end


class Contexts:
    """Contexts by id. `ready` is None until the setup has ended, False where it failed; `error` says why. `same`: equal
    in contexts of one submission, such as those of its stages, that need one setup."""

    def __init__(self, agent) -> None:
        self.agent = agent
        self.base_environment = {k: v for k, v in os.environb.items() if not k.startswith(TASK_VARIABLES)}
        self.by_id: Any = {}
        self.count = 0  # number of setups so far
        self.setups: Any = {}  # pid of a running setup -> Setup
        self.finished: Any = []  # ended setups: the processes that they have left serve all tasks
        self.stopping: Any = []  # setups whose processes are being stopped
        self.daemons: Any = set()  # (pid, start time) of processes that a setup has left
        self.shells: Any = {}
        stop_orphans(agent.spool)

    def get(self, identity: str):
        """Return a context, None where the engine has not sent it."""
        return self.by_id.get(identity)

    def add(self, message: dict, wrong: str) -> None:
        """Add a context from its message.

        wrong: why no task can be started from it; then all its tasks fail with this reason."""
        old = self.by_id.get(message["id"])
        if old is not None and old["ready"] is not False:
            return
        if wrong:
            error = "a malformed context message: " + wrong
            bare: Any = {"environment": {}, "submitted": False, "ready": False, "error": error, "same": object()}
            self.by_id[message["id"]] = dict(bare, id=message["id"])
            return
        given = message["environment"]
        inherited = self.base_environment if given is None else {encode(k): encode(v) for k, v in given.items()}
        environment = without_login(inherited)
        environment.update((encode(k), encode(v)) for k, v in (message.get("extra") or {}).items())
        message["environment"] = environment
        message["submitted"] = given is not None
        message["workdir"] = expand(message["workdir"])
        message["login"] = {k: v for k, v in inherited.items() if k not in environment}
        message["ready"] = None if message.get("setup") else True
        submission = message["id"].partition(":")[0]
        message["same"] = (submission, environment, *(message.get(name) for name in OF_A_SETUP))
        self.by_id[message["id"]] = message

    # --- Setup

    def is_prepared(self, context: dict) -> bool:
        """Return whether it is known that the tasks of a context can run, or can't. The first call runs its setup,
        unless another context has run the same."""
        if context["ready"] is None:
            same = [other for other in self.by_id.values() if other["same"] == context["same"] and other["ready"]]
            if same:
                context["environment"], context["ready"] = same[0]["environment"], True
            elif not any(setup.context["same"] == context["same"] for setup in self.setups.values()):
                self.run_setup(context)
        return context["ready"] is not None

    def run_setup(self, context: dict) -> None:
        """Run the setup lines once; tasks inherit the variables that they set.

        The lines may read a start file that tasks do not read: on clusters it defines `module`."""
        self.count += 1
        setup = Setup(context, os.path.join(self.agent.spool, "setup-%d" % self.count))
        environment = dict(context["environment"])
        if START_FILE in context["login"]:
            environment[START_FILE] = context["login"][START_FILE]
        try:
            setup.start(self.shell(context), environment)
        except (OSError, ValueError) as error:
            setup.forget()
            context["ready"], context["error"] = False, "setup: %s" % error
            return
        self.setups[setup.pid] = setup
        limit = context.get("setup_timeout") or TIMEOUT
        setup.timers.append(
            self.agent.timers.after(limit, self.stop_setup, setup, "took longer than " + format_duration(limit))
        )
        self.report_setup()

    def is_setup_daemon(self, pid: int, start_time: int) -> bool:
        """Return whether a process may be a daemon that setup lines have started: it serves all tasks."""
        return bool(self.setups) or (pid, start_time) in self.daemons

    def setup_ended(self, pid: int, status: int) -> None:
        """Handle the end of a setup: take over its variables, or the reason of its failure."""
        setup = self.setups.pop(pid)
        setup.forget()
        self.agent.timers.cancel(setup.timers)
        context, variables = setup.context, setup.variables()
        self.report_setup()
        if setup.stopping == NOT_NEEDED:
            self.stopping.append(setup)  # it runs again if a task needs it
            self.continue_stopping()
            return
        if status == 0 and variables and not setup.stopping:
            facts = [(child, process_stat(child)) for child in children()]
            self.daemons.update((child, fact[4]) for child, fact in facts if fact is not None)
            login = context["login"]  # the start file may have set these again
            context["environment"] = {k: v for k, v in variables.items() if login.get(k) != v}
            context["ready"] = True
            self.finished.append(setup)
            return
        what = setup.stopping or (
            "exited with %d" % status if status else "left no environment behind (does it `exit`?)"
        )
        tail = setup.output_tail()
        context["ready"], context["error"] = False, "setup %s%s" % (what, ": " + tail if tail else "")
        self.stopping.append(setup)
        self.continue_stopping()

    def stop_setup(self, setup: Setup, why: str) -> None:
        """Stop a running setup, with all that it has started. The first reason is kept."""
        if not setup.stopping:
            setup.stopping = why
            self.agent.timers.cancel(setup.timers)
            self.signal_setup(setup)

    def signal_setup(self, setup: Setup) -> None:
        """Signal a setup that is being stopped, until it has ended."""
        if setup.pid in self.setups:
            setup.signal()
            setup.timers.append(self.agent.timers.after(POLL_INTERVAL, self.signal_setup, setup))

    def continue_stopping(self) -> None:
        """Stop the processes that setups have left and no task needs any more."""
        self.stopping = [setup for setup in self.stopping if setup.signal()]
        if self.stopping:
            self.agent.timers.after(POLL_INTERVAL, self.continue_stopping)

    def stop_unneeded(self, wanted: set) -> None:
        """Stop the setups of contexts that no task waits for."""
        needed = [self.by_id[identity]["same"] for identity in wanted if identity in self.by_id]
        for setup in list(self.setups.values()):
            if setup.context["same"] not in needed:
                self.stop_setup(setup, NOT_NEEDED)

    def close(self) -> None:
        """Stop everything that setups have started: the run is over."""
        self.stop_unneeded(set())
        if self.finished:
            for context in self.by_id.values():
                context["same"] = object()  # what its setup has started ends
            self.stopping += self.finished
            self.finished = []
            self.continue_stopping()

    def kill_setups(self) -> None:
        """Kill everything that setups have started."""
        for setup in list(self.setups.values()) + self.finished + self.stopping:
            signal_each(setup.processes(), signal.SIGKILL)

    @property
    def is_idle(self) -> bool:
        """Whether no setup runs or is being stopped."""
        return not self.setups and not self.stopping

    @property
    def setup_seconds(self):
        """Seconds that a setup has been running, None where none is."""
        began = [setup.began for setup in self.setups.values()]
        return round(time.monotonic() - min(began), 3) if began else None

    def report_setup(self) -> None:
        """Tell the engine whether a setup is running."""
        self.agent.connection.send({"type": "setup", "running_for": self.setup_seconds})

    # --- Shells

    def shell(self, context: dict) -> list:
        """Return the program and options that run a script: the shell of the experiment, else bash where the node has
        it, else sh. zsh gets an option against a start file that it would read for each script."""
        shell = context.get("shell") or self.default_shell(context["environment"].get(b"PATH", DEFAULT_PATH))
        name = os.path.basename(shell)
        if name in ("bash", "zsh", "ksh"):
            return [shell] + ["-f"] * (name == "zsh") + ["-e", "-o", "pipefail"]
        return [shell, "-e"]

    def default_shell(self, path: bytes) -> str:
        """Return the path of bash, or /bin/sh where there is none.

        path: the PATH to search; an experiment's own PATH is for its programs."""
        if path not in self.shells:
            folders = [decode(folder) for folder in path.split(b":") if folder[:1] == b"/"] + ["/bin", "/usr/bin"]
            files = [os.path.join(folder, "bash") for folder in folders]
            self.shells[path] = next((file for file in files if os.access(file, os.X_OK)), "/bin/sh")
        return self.shells[path]
