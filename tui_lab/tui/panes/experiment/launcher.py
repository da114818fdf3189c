"""How an experiment is run from the screen: what it would do, one question, and its submission."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.client.remote.connection import host_name
from tui_lab.client.shortage import cores
from tui_lab.client.submission import Choice
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.pane import Host
from tui_lab.tui.panes.experiment.check import Checked, Forecast, Planned, check, forecast_of, plan
from tui_lab.tui.panes.experiment.launch import Launch, LaunchDialog, last_nodes, submit_file


class Launcher:
    """Runs what a text says. slots: those of the nodes that are known, for the time that a run takes."""

    def __init__(self) -> None:
        self.slots = cores()
        self._nodes: dict[str, list[NodeEntry]] = {}  # on which an experiment ran last, by its name

    async def prepare(self, lab: Lab | None, path: Path, text: str) -> tuple[Checked, Planned]:
        """Return what a text would run."""
        checked = await asyncio.to_thread(check, path, text)
        planned = Planned(text, problems=checked.problems)
        if not checked.problems:
            planned = await asyncio.to_thread(plan, lab, checked, path, self.slots, True)
        if planned.forecast is not None:
            folder = planned.forecast.prepared.folder
            if folder.name not in self._nodes:
                self._nodes[folder.name] = await asyncio.to_thread(last_nodes, folder)
        return checked, planned

    async def ask(
        self, host: Host, path: Path, text: str, forecast: Forecast, unsaved: str, choice: Choice | None
    ) -> Launch | None:
        """Ask whether to run an experiment, or what is chosen of it. unsaved: the name of the file, if it is written
        before. Return the answer; None where nothing is to run."""
        folder = forecast.prepared.folder
        replan = partial(forecast_of, host.lab, path, text, self.slots, forecast.replaces)
        if choice is not None:
            try:
                forecast = await host.before_question(asyncio.to_thread(replan, choice))
            except (SpecError, LabError, UsageError) as error:
                host.tell(str(error), "error")
                return None
        known = self._nodes[folder.name]
        return await host.ask(LaunchDialog(forecast, known, unsaved, replan, host_name(host.lab_path), choice))

    async def submit(self, host: Host, path: Path, forecast: Forecast, launch: Launch) -> str | None:
        """Submit an experiment, and say so. Return its name; None where that failed."""
        self._nodes[forecast.prepared.folder.name] = list(launch.nodes)
        host.tell(f"{forecast.prepared.experiment.name}: submitting; the engine starts where none runs")
        host.tell_away()
        host.launching(forecast.prepared.folder.name)
        submit = partial(submit_file, host.lab_path, path, launch, host.command_environment())
        try:
            name, count = await asyncio.to_thread(submit)
        except (SpecError, LabError, UsageError) as error:
            host.tell(str(error), "error")
            return None
        ran = f"{plural(count, 'task')} to run" if count else "nothing to run; the plan is recorded"
        host.tell(f"{name}: {ran}")
        return name
