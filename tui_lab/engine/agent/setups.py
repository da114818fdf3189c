"""Setup lines: run once for a context before its tasks, in a session of their own and with a time limit."""

import os
import signal
import time

from tui_lab.engine.agent.processes import (
    all_pids,
    has_variables,
    is_process,
    process_stat,
    signal_each,
)
from tui_lab.engine.agent.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GRACE = 5.0  # seconds between TERM and KILL
TIMEOUT = 1800.0  # seconds, where the context has no limit
VARIABLE = b"TUI_LAB_SETUP_ENV"
END = '\nexec env -0 >"$TUI_LAB_SETUP_ENV"'
# `conda activate` is a function of the shell, which start files define for interactive shells alone.
CONDA = """\
tui_lab_conda() {
  tui_lab_name=$1; shift; unset -f conda mamba micromamba
  tui_lab_exe=$(command -v conda) || :
  for tui_lab_root in "${CONDA_EXE%/*/*}" "${MAMBA_ROOT_PREFIX:-}" "${tui_lab_exe%/*/*}" \\
      ~/miniforge3 ~/mambaforge ~/miniconda3 ~/anaconda3 ~/miniconda ~/anaconda \\
      /opt/conda /opt/miniforge3 /opt/miniconda3 /opt/anaconda3; do
    if [ -n "$tui_lab_root" ] && [ -r "$tui_lab_root/etc/profile.d/conda.sh" ]; then
      . "$tui_lab_root/etc/profile.d/conda.sh"
      if [ -r "$tui_lab_root/etc/profile.d/mamba.sh" ]; then . "$tui_lab_root/etc/profile.d/mamba.sh"; fi
      break
    fi
  done
  tui_lab_exe=$(command -v "$tui_lab_name") || tui_lab_exe=${MAMBA_EXE:-}
  case $tui_lab_exe in
  */conda) eval "$("$tui_lab_exe" shell.posix hook 2>/dev/null)" || : ;;
  */*) eval "$("$tui_lab_exe" shell hook --shell posix 2>/dev/null)" || : ;;
  esac
  unset -f tui_lab_conda; unset tui_lab_root tui_lab_exe
  "$tui_lab_name" "$@"
}
case $(command -v conda) in */*|"") conda() { tui_lab_conda conda "$@"; } ;; esac
case $(command -v mamba) in */*|"") mamba() { tui_lab_conda mamba "$@"; } ;; esac
case $(command -v micromamba) in */*|"") micromamba() { tui_lab_conda micromamba "$@"; } ;; esac
"""


class Setup:
    """One run of setup lines. `stopping` says why it was stopped."""

    def __init__(self, context: dict, base: str) -> None:
        self.context = context
        self.base = base
        self.marker = marker(base)
        self.began = time.monotonic()
        self.pid = 0
        self.stopping = ""
        self.kill_at = 0.0
        self.timers: Any = []

    def start(self, shell: list, environment: dict) -> None:
        """Start the lines in a shell. Raises OSError."""
        import subprocess

        lines = self.context["setup"]
        script = (CONDA if "conda" in lines or "mamba" in lines else "") + lines + END
        environment = dict(environment)
        environment[VARIABLE] = encode(self.base + ".env")
        with open(self.base + ".pid", "w"):
            pass  # the record comes first: an agent that is killed now has a setup that is found
        with open(self.base + ".log", "wb") as output:
            process = subprocess.Popen(
                shell + ["-c", encode(script), "setup"],
                env=environment,
                cwd=encode(self.context["workdir"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process.returncode = 0  # reaped by the agent's loop, not by Popen
        self.pid = process.pid
        facts = process_stat(self.pid)
        with open(self.base + ".pid", "w") as file:
            file.write("%d %d" % (self.pid, facts[4] if facts else 0))

    def variables(self) -> dict:
        """Return the environment that the lines have left behind; empty where they did not come to their end."""
        try:
            with open(self.base + ".env", "rb") as file:
                pairs = [part.partition(b"=") for part in file.read().split(b"\0") if b"=" in part]
        except OSError:
            return {}
        return {name: value for name, _, value in pairs if name not in (b"_", VARIABLE)}

    def output_tail(self) -> str:
        """Return the end of what the lines have printed."""
        try:
            with open(self.base + ".log", "rb") as file:
                return file.read()[-500:].decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def forget(self) -> None:
        """Remove the record that the setup runs."""
        try:
            os.unlink(self.base + ".pid")
        except OSError:
            pass

    def processes(self) -> list:
        """Return the pids of the processes that the setup has started and that still run."""
        found = []
        for pid in all_pids():
            facts = process_stat(pid)
            if facts is not None and facts[0] not in "ZX" and (facts[3] == self.pid or has_variables(pid, self.marker)):
                found.append(pid)
        return found

    def signal(self) -> bool:
        """Send TERM to each process once, and KILL when the grace period is over. Return False where none is left."""
        left = self.processes()
        if not self.kill_at:
            self.kill_at = time.monotonic() + GRACE
            signal_each(left, signal.SIGTERM)
        elif time.monotonic() >= self.kill_at:
            signal_each(left, signal.SIGKILL)
        return bool(left)


def marker(base: str) -> tuple:
    """Return the variable that the processes of a setup have in their environment, as `has_variables` takes it."""
    return (b"\0" + VARIABLE + b"=" + encode(base + ".env") + b"\0",)


def stop_orphans(spool: str) -> None:
    """Stop the setups that a killed agent has left running: their contexts are gone with it."""
    for name in os.listdir(spool):
        if name.startswith("setup-") and name.endswith(".pid"):
            path = os.path.join(spool, name)
            try:
                with open(path) as file:
                    recorded = [int(word) for word in file.read().split()]
                if len(recorded) != 2:  # the agent was killed before it had written them
                    found = marker(path[: -len(".pid")])
                    signal_each([pid for pid in all_pids() if has_variables(pid, found)], signal.SIGKILL)
                elif is_process(recorded[0], recorded[1]):
                    os.killpg(recorded[0], signal.SIGKILL)
                os.unlink(path)
            except (OSError, ValueError):
                pass


def format_duration(seconds: float) -> str:
    """Return a duration as text, as 90 s or 2.5 min."""
    return "%g s" % seconds if seconds < 120 else "%g min" % round(seconds / 60, 1)
