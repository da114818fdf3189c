"""From submitted runs to an exit status: follow them, then say of each experiment how it came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tui_lab.cli.output.progress import make_view
from tui_lab.cli.output.summary import summarize
from tui_lab.client.exit_status import DONE, FAILED, INFRASTRUCTURE, INTERRUPTED
from tui_lab.client.failures import open_tasks
from tui_lab.client.follow import Followed, Follower, Interrupts
from tui_lab.client.formatting import plural
from tui_lab.engine.client import EngineClient
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab


def watch(
    lab: Lab,
    client: EngineClient | None,
    runs: list[Followed],
    folders: Sequence[ExperimentFolder],
    args: argparse.Namespace,
    heard: Interrupts,
) -> int:
    """Follow the runs (none needs a client where nothing is to run) and summarize the experiments. heard: since before
    they were submitted."""
    if client is None:
        heard.restore()
    interrupted = client is not None and Follower(lab, client, runs, make_view(args.json), heard).follow()
    failed = [summarize(folder, args, interrupted) for folder in folders]
    if interrupted:
        return INTERRUPTED
    if any(failed):
        return FAILED
    left = [run for run in runs if _left_open(run)]
    return INFRASTRUCTURE if left else DONE


def _left_open(run: Followed) -> bool:
    """Say it where a run ended while tasks that were asked for have not."""
    state = run.folder.state()
    count = open_tasks(state)
    if count:
        why = "someone else interrupted the run" if state.drained else "no node could run them"
        what = f"{plural(count, 'task')} of {run.folder.name} did not end: {why}"
        print(f"tui-lab: {what}; the same command continues", file=sys.stderr)
    return count > 0
