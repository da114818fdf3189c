"""From submitted runs to an exit status: follow them, then say of each experiment how it came out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tui_lab.cli.follow import Followed, Follower, Interrupts
from tui_lab.cli.main import DONE, FAILED, INTERRUPTED
from tui_lab.cli.progress import make_view
from tui_lab.cli.summary import summarize
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
    return INTERRUPTED if interrupted else FAILED if any(failed) else DONE
