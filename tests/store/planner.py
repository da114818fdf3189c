"""Submissions without an engine: plans as the command makes them, tasks that end by a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests.store.events import AT, submitted
from tui_lab.engine.tasks.placeholders import placeholders
from tui_lab.experiment.combinations import expand
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.store import ranges
from tui_lab.store.events import Assigned, EndState, Finished, KnownEvent, Started
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab
from tui_lab.store.planning import Planned, SeedUse, make_plan, rerun, seed_use


@dataclass(frozen=True)
class Submission:
    """A plan that was submitted."""

    planned: Planned

    @property
    def ids(self) -> list[int]:
        return self.planned.plan.tasks["task_id"].to_list()

    @property
    def new(self) -> list[int]:
        """Ids that no plan had before."""
        return self.planned.plan.tasks["task_id"].filter(~self.planned.known).to_list()

    @property
    def chosen(self) -> list[int]:
        return self.planned.plan.tasks["task_id"].filter(self.planned.chosen).to_list()

    @property
    def reasons(self) -> dict[str, int]:
        return self.planned.reasons(self.planned.chosen)

    @property
    def keys(self) -> list[bytes]:
        return self.planned.plan.tasks["key"].to_list()

    def id(self, **parameters: Value) -> int:
        """The one task with these values (and `repeat`, where given)."""
        repeat = parameters.pop("repeat", None)
        plan = self.planned.plan
        rows = [
            row
            for row in range(plan.tasks.height)
            if parameters.items() <= plan.parameters(row).items() and repeat in (None, plan.tasks["repeat"][row])
        ]
        assert len(rows) == 1, rows
        found: int = plan.tasks["task_id"][rows[0]]
        return found


class Planner:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lab = Lab.create(path / "lab")
        self.given_seeds_count = True
        """False: only {seed} makes the seed a part of a task, as it was once."""

    def seed(self, experiment: Experiment) -> SeedUse:
        use = seed_use(experiment, "seed" in placeholders(experiment))
        return "none" if use == "given" and not self.given_seeds_count else use

    @property
    def folder(self) -> ExperimentFolder:
        return self.lab.new_experiment("grid")

    def plan(
        self,
        text: str,
        overrides: Mapping[str, Sequence[Value]] | None = None,
        *,
        adopt: bool = False,
        again: bool = False,
        without_added: bool = False,
    ) -> Submission:
        """What a submission would do."""
        file = self.path / "grid.yaml"
        file.write_text(text, encoding="utf-8")
        experiment = load(file)
        folder = self.folder
        state = folder.state()
        planned = make_plan(
            experiment,
            expand(experiment),
            number=folder.next_plan_number(),
            plans=folder.plans,
            previous=folder.plan() if state.plan else None,
            state=state,
            seed=self.seed(experiment),
            overridden=expand(experiment, overrides) if overrides else None,
            adopt=adopt,
            without_added=without_added,
        )
        return Submission(rerun(planned, planned.chosen, state) if again else planned)

    def submit(
        self,
        text: str,
        overrides: Mapping[str, Sequence[Value]] | None = None,
        *,
        adopt: bool = False,
        again: bool = False,
        done: bool = True,
        without_added: bool = False,
    ) -> Submission:
        """Submit, and let every new task of the plan end well (unless not `done`)."""
        submission = self.plan(text, overrides, adopt=adopt, again=again, without_added=without_added)
        plan = submission.planned.plan
        plan.write(self.folder.plans, text)
        ids, stages = _ranges(plan.tasks["task_id"]), plan.stage_ranges
        self.journal(submitted(ids, plan=plan.number, stages=stages, per_node=plan.per_node))
        if done:
            self.finish(submission.new)
        return submission

    def finish(self, tasks: Iterable[int], state: EndState = "done") -> None:
        for task in tasks:
            attempt = int(self.folder.state().columns["attempts"][task]) + 1
            self.journal(
                Assigned(AT, "here", [(task, attempt)]),
                Started(AT, task, attempt),
                Finished(AT, task, attempt, state, reason=None if state == "done" else "exit", duration=1.0),
            )

    def journal(self, *events: KnownEvent) -> None:
        journal = Journal(self.folder.journal)
        journal.append(events)
        journal.close()


def _ranges(ids: pl.Series) -> list[list[int]]:
    return ranges.to_ranges(ids.to_numpy())
