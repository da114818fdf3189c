"""`--run FILE --first`: one task in the foreground, its output on screen, nothing of it kept in the lab.

Everyone tries one before three thousand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_lab.cli.errors import UsageError
from tui_lab.cli.main import DONE, FAILED, INTERRUPTED
from tui_lab.cli.submission import Prepared
from tui_lab.cli.text import span
from tui_lab.engine.agent import SLOT_MARK
from tui_lab.engine.recipe import Recipe, inherited_environment
from tui_lab.spec.model import Experiment
from tui_lab.store.plan import Plan


def run_first(prepared: Prepared) -> int:
    """Run the first task that the command line chooses; its exit status tells success. Raises UsageError."""
    plan = prepared.plan
    chosen = prepared.queued if len(prepared.queued) else plan.tasks["task_id"]
    row = plan.row(chosen[0])
    if row is None:
        raise UsageError("no task is chosen")
    code = run_row(prepared.experiment, plan, row)
    if code == DONE:
        _say_metrics(prepared)
    return code


def run_row(experiment: Experiment, plan: Plan, row: int) -> int:
    """Run one task of a plan in the foreground; its exit status tells success. Raises UsageError."""
    with tempfile.TemporaryDirectory(prefix="tui-lab-first-") as folder:
        return _run(experiment, plan, row, Path(folder))


def _run(experiment: Experiment, plan: Plan, row: int, folder: Path) -> int:
    recipe = Recipe(experiment, plan, folder, "first")
    message = recipe.start(row, 1)
    output = Path(message["folder"])
    output.mkdir(parents=True)
    for name, text in message.get("files", {}).items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(SLOT_MARK, "0"), encoding="utf-8")
    environment = inherited_environment(os.environ)
    environment |= {name: value.replace(SLOT_MARK, "0") for name, value in message["env"].items()}
    environment["TUI_LAB_SLOT"] = "0"
    context = recipe.context({})
    workdir = message.get("workdir", context["workdir"])
    began = time.monotonic()
    for number, shown in enumerate(recipe.shown(row)):
        print(f"$ {shown}", file=sys.stderr, flush=True)
        argv = (message.get("argv") or [None] * message["steps"])[number]
        if argv is None:
            script = message.get("scripts", {}).get(str(number), context["steps"][number]["script"])
            argv = [*_shell(context["shell"]), "-c", _with_setup(context["setup"], script)]
        argv = [word.replace(SLOT_MARK, "0") for word in argv]
        try:
            code = subprocess.run(argv, cwd=workdir, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        except KeyboardInterrupt:
            return INTERRUPTED
        except OSError as error:
            raise UsageError(f"{argv[0]}: {error.strerror}") from None
        if code not in experiment.ok_exit_codes:
            what = f"signal {-code}" if code < 0 else f"exit {code}"
            print(f"✗ {what} after {span(time.monotonic() - began)}", file=sys.stderr)
            return FAILED
    wrote = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    files = f"; it wrote {', '.join(wrote)}" if wrote else ""
    print(f"✓ done in {span(time.monotonic() - began)}{files}", file=sys.stderr)
    return DONE


def _shell(wanted: str | None) -> list[str]:
    shell = wanted or shutil.which("bash") or "sh"
    return [shell, "-e", "-o", "pipefail"] if Path(shell).name in ("bash", "zsh", "ksh") else [shell, "-e"]


def _with_setup(setup: str | None, script: str) -> str:
    return script if setup is None else f"{setup}\n{script}"


def _say_metrics(prepared: Prepared) -> None:
    count = len(prepared.queued)
    if count > 1:
        print(f"To run all {count:,}: the same command without --first.", file=sys.stderr)
