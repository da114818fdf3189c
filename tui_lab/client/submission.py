"""From a file and values of the command line to a plan on disk, and to the event that submits it."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from tui_lab.client.address import matching, task_table
from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import printable
from tui_lab.client.git_state import git_state
from tui_lab.client.places import Places, known_places, placed
from tui_lab.client.program import check_program, is_program, program_files, stale
from tui_lab.client.stage_runs import StageCount, counted, has_needless_files
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.engine.tasks.placeholders import placeholders
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.combinations import expand
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.facts import FACTS, of_steps
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.overrides import read_values
from tui_lab.experiment.readers.argument_values import check_overrides
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.store import checkpoint, code_snapshot, declared_files, facts, fold, layout, mirrors, ranges, spec_file
from tui_lab.store.environment import capture, public_words
from tui_lab.store.errors import LabError, OutdatedPlanError
from tui_lab.store.events import Submitted
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab
from tui_lab.store.plan import Plan, file_crc, keys_digest
from tui_lab.store.planning import Planned, make_plan, rerun, seed_use
from tui_lab.store.returned_names import ReturnedNames
from tui_lab.store.spare import spare_tasks

if TYPE_CHECKING:
    from tui_lab.engine.client import EngineClient
    from tui_lab.engine.standby import StandbyEngine


# --- Prepared experiments given to the engine of their lab: the last step of `--run` and of a launch on screen
@dataclass(frozen=True)
class Accepted:
    """What the engine has accepted."""

    prepared: Prepared
    number: int
    """Of the submission, within its experiment."""
    state: State
    """Of the experiment, before."""


def submit(
    lab: Lab,
    prepared: Sequence[Prepared],
    nodes: Sequence[NodeEntry],
    keep_going: bool,
    environment: Mapping[str, str],
    standby: StandbyEngine | None = None,
    words: Sequence[str] | None = None,
    identity: str | None = None,
) -> tuple[EngineClient | None, list[Accepted]]:
    """Submit the experiments that have something to run or to record; start an engine where none is alive.
    `environment` is the submitter's, `words` are its command line, by default that of this process, `identity` is the
    id of a single one. Only for the holder of the submit lock. Raises SpecError where an experiment can't run on any of
    the nodes (then none is submitted), LabError."""
    from tui_lab.engine.client import EngineClient
    from tui_lab.protocol.control import Submit

    for one in prepared:
        one.folder.require_whole()
    wanted = [one for one in prepared if one.has_work or not one.unchanged or one.is_unfinished]
    places = known_places(nodes if wanted else [], lab, environment)
    usable_nodes = [one.checked(nodes, places) for one in wanted]
    client = EngineClient.start(lab, standby) if wanted else None
    submitted = []
    for planned, its_nodes in zip(wanted, usable_nodes, strict=True):
        assert client is not None
        one, left = planned, _PLANNINGS
        while True:
            state = one.folder.state()
            try:
                event = submit_event(one, its_nodes, keep_going, words, identity)
                taken = client.request(Submit(event, one.seen, dict(environment)))
                break
            except OutdatedPlanError:
                left -= 1
                if not left:
                    raise
                if not one.unchanged:
                    one.plan.remove(one.folder.plans)
                one = prepare(lab, one.experiment.file, one.choice, one.text)
        if not one.unchanged:  # a refused write changes no file
            one.folder.write_spec(one.text)
        submitted.append(Accepted(one, taken.submission, state))
    return client, submitted


_PLANNINGS: Final = 10  # of a submission, while nodes get runs of their own, or files change
_WATCHED: Final = 10_000  # files whose changes are noted; with more, checking would take too long
OVERRIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)


class OtherFileError(LabError):
    """The experiment of that name came from another file; `Choice.replace` lets this one take its place."""


@dataclass(frozen=True)
class Choice:
    """What a command line chooses of an experiment."""

    overrides: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    only: str | None = None
    new: bool = False  # leave failed and lost tasks alone
    rerun: bool = False
    adopt: bool = False
    replace: bool = False
    without_added: bool = False  # what name=value has added leaves the plan
    rerun_from: str | None = None  # with `rerun`: the stage from which on; None for all
    hold: bool = False  # new tasks that are not chosen wait as spare ones, which the other settings don't lack


@dataclass(frozen=True)
class Prepared:
    """An experiment ready to be submitted; nothing is written yet."""

    choice: Choice
    experiment: Experiment
    folder: ExperimentFolder
    text: str
    planned: Planned
    queued: pl.Series  # task ids that would run
    spare: pl.Series  # task ids that `repeat.until` may ask for later
    seen: int  # how far the journal was read, in bytes, to find that out
    unchanged: bool  # the plan and the file are those of the last submission
    counts: dict[str, int]  # selected tasks by state, "new" among them
    reasons: dict[str, int]  # why selected tasks that were done before are new -> how many
    stages: list[StageCount]  # runs of the stages before the last
    scripts: dict[str, str]  # file -> digest, of the program's own files
    notices: tuple[str, ...]
    began: float  # when this was prepared: seconds since 1970

    @property
    def parts(self) -> dict[str, int]:
        """The counts that are not 0, each task in one: those that are new for a reason are not among the new."""
        counts = {**self.counts, "new": self.counts["new"] - sum(self.reasons.values())}
        return {name: count for name, count in counts.items() if count}

    @property
    def has_work(self) -> bool:
        """Whether something is to be run: tasks, or what collects them."""
        return bool(len(self.queued)) or any(one.to_run for one in self.stages)

    @property
    def plan(self) -> Plan:
        """The plan of the submission."""
        return self.planned.plan

    @property
    def builder(self) -> TaskBuilder:
        """How the tasks of the plan are run."""
        return TaskBuilder(self.experiment, self.plan, self.folder.path, "")

    def checked(self, nodes: Sequence[NodeEntry], places: Places) -> list[NodeEntry]:
        """Return the nodes that it may use. Raises SpecError where it, or a stage of it, can run on none of them."""
        return placed(self.experiment, lambda: self.builder, nodes, places)

    @property
    def is_unfinished(self) -> bool:
        """Whether an engine was killed at its last steps: it was to remove files."""
        return has_needless_files(self.experiment, self.plan, self.folder.state(), self.folder)

    def placed(self, lab: Lab) -> Prepared:
        """Return the same in a lab that has no experiment yet."""
        return replace(self, folder=lab.new_experiment(self.experiment.name))


def read_overrides(words: Sequence[str]) -> dict[str, list[Value]]:
    """Return the values of `lr=0.1,0.2` by name, read as YAML. Raises UsageError, SpecError."""
    overrides: dict[str, list[Value]] = {}
    for word in words:
        match = OVERRIDE.fullmatch(word)
        if match is None:
            raise UsageError(f'"{word}" is neither a file nor name=value')
        if not word.isascii() and "\N{REPLACEMENT CHARACTER}" in printable(word):
            raise UsageError(f"{printable(word)}: this is not valid UTF-8")
        overrides.setdefault(match[1], []).extend(read_values(match[1], match[2]))
    return overrides


def split_words(words: Sequence[str]) -> tuple[list[Path], dict[str, list[Value]]]:
    """Split the words of a command line into files and overrides. Raises UsageError, SpecError."""
    files = [Path(word) for word in words if Path(word).exists() or not OVERRIDE.fullmatch(word)]
    return files, read_overrides([word for word in words if Path(word) not in files])


def find_lab(path: Path) -> Lab | None:
    """Return the lab; None where there is none yet. Raises LabError for one that can't be used."""
    return Lab.open(path) if (path / layout.LAB_FILE).exists() else None


def cut_off(missing: int) -> tuple[str, str]:
    """Return the warning for a journal that has lost its end, and what happens to the tasks."""
    what = f"{missing:,} bytes are missing at its end, from which {layout.CHECKPOINT_FILE} was made"
    return what, "tasks whose end was recorded there run again; if this is a copy of a running lab, copy it again"


def prepare(lab: Lab | None, file: Path, choice: Choice, text: str | None = None) -> Prepared:
    """Read, expand and plan. `text` replaces the content of a file that is being edited. Raises SpecError, LabError,
    UsageError; writes nothing."""
    began = time.time()
    experiment = load(file, text)
    text = file.read_text(encoding="utf-8-sig") if text is None else text
    combinations = expand(experiment)
    check_overrides(experiment, choice.overrides)
    overridden = expand(experiment, choice.overrides) if choice.overrides else None
    folder = ExperimentFolder(Path("lab") / experiment.name) if lab is None else lab.new_experiment(experiment.name)
    state = folder.state() if lab is not None and folder.exists() else fold.State()
    previous = folder.plan() if state.plan else None
    if lab is not None:
        _check_name(lab, experiment)
    before = None if previous is None else folder.file()
    moved = _check_file(experiment, folder, before, choice)
    planned = make_plan(
        experiment,
        combinations,
        number=1 if lab is None else folder.next_plan_number(),
        plans=folder.plans,
        previous=previous,
        state=state,
        seed=seed_use(experiment, "seed" in placeholders(experiment)),
        overridden=overridden,
        adopt=choice.adopt,
        without_added=choice.without_added,
    )
    if choice.adopt and previous is not None and not planned.known.all() and not planned.adopted.len():
        raise UsageError(f"{planned.notices[-1]}; without --adopt the new tasks run")
    if lab is None or mirrors.other_side(lab.path) is None:  # else the other machine looks, when it is submitted there
        check_program(experiment, planned.plan, folder.path)
    try:
        known = ReturnedNames.read(folder.path).added_to(experiment)
        selected = select(planned, choice, known, folder if previous is not None else None)
    except UsageError as error:
        raise UsageError(f"{experiment.file}, --only: {error}") from None
    if choice.rerun:
        stages = experiment.from_stage(choice.rerun_from)
        if stages is None:
            has = f"it has {', '.join(experiment.stages)}" if experiment.stages else "it has none"
            hint = suggest(choice.rerun_from or "", experiment.stages) or has
            raise UsageError(f'{experiment.file}, --rerun: there is no stage "{choice.rerun_from}"; {hint}')
        apart = bool(stages) and stages.issubset(experiment.apart)
        planned = rerun(planned, selected, state, stages, apart=apart)
    queued, spare, counts, reasons = queue(experiment, folder, planned, selected, state, choice)
    scripts = program_files(experiment)
    files = [declared_files.of_all_stages(experiment, key) for key in declared_files.KEYS]
    declared = [notice for one in files for notice in one.notices]
    missing = 0 if lab is None else checkpoint.cut(folder.path)
    cut = [f"{folder.journal}: {'; '.join(cut_off(missing))}"] if missing else []
    notices = [*cut, *moved, *experiment.notices, *declared, *combinations.notices, *planned.notices]
    if not choice.rerun and (lab is None or mirrors.other_side(lab.path) is None):
        notices += stale(experiment, planned.plan, state, scripts)
    unchanged = previous is not None and _same(previous, planned.plan) and _text_of(folder, previous) == text
    unchanged = unchanged and before is not None and spec_file.same(before, experiment.file.absolute())
    if unchanged and previous is not None:
        planned = replace(planned, plan=previous)
    return Prepared(
        choice,
        experiment,
        folder,
        text,
        planned,
        queued,
        spare,
        state.offset,
        unchanged,
        counts,
        reasons,
        counted(experiment, planned.plan, state, folder, queued),
        scripts,
        tuple(notices),
        began,
    )


def _check_name(lab: Lab, experiment: Experiment) -> None:
    for name in lab.experiments():
        if name != experiment.name and name.lower() == experiment.name.lower():
            raise LabError(
                f'"{experiment.name}" and "{name}" of this lab differ only in case',
                "SQL ignores case",
            )


def _check_file(
    experiment: Experiment, folder: ExperimentFolder, before: Path | None, choice: Choice
) -> tuple[str, ...]:
    """Raise OtherFileError where another file that still exists has the name. One that no longer exists was renamed or
    moved: a note says so."""
    if before is None or choice.replace or spec_file.same(before, experiment.file.absolute()):
        return ()
    if os.path.exists(before):  # noqa: PTH110 (False also where it can't be read)
        raise OtherFileError(
            f'"{experiment.name}" in {folder.path.parent} came from another file, {before}',
            "give this one another name, or use --replace if it is the same experiment",
        )
    return (f'"{experiment.name}" came from {before}, which no longer exists: this file takes its place',)


def _same(previous: Plan, plan: Plan) -> bool:
    """Whether two plans mean the same, wherever their files are."""
    abouts = [{k: v for k, v in one.about.items() if k not in spec_file.PARTS} for one in (previous, plan)]
    return previous.values == plan.values and abouts[0] == abouts[1] and previous.rows.equals(plan.rows)


def _text_of(folder: ExperimentFolder, plan: Plan) -> str | None:
    try:
        return (folder.plans / f"{plan.number}.yaml").read_text(encoding="utf-8")
    except OSError:
        return None


def select(planned: Planned, choice: Choice, experiment: Experiment, folder: ExperimentFolder | None) -> pl.Series:
    """Return which tasks `name=value` and `--only` choose: a Boolean for each row of the plan. folder: of earlier
    submissions. Raises UsageError."""
    chosen = planned.chosen
    if choice.only is None:
        return chosen
    from tui_lab.store.naming import column_names

    plan = planned.plan
    columns = ExperimentFolder.columns(plan.names)
    renamed, metrics = column_names(list(columns.values()), list(experiment.metrics), FACTS)
    table = plan.typed().rename(columns).rename(renamed)
    given = [name for name in facts.asked() if name not in table.columns]
    table = pl.concat([table, plan.tasks.select(given)], how="horizontal")
    steps = [step.name for step in experiment.steps]
    kinds = FACTS | {fact.name: fact for _, fact in of_steps(steps, (*table.columns, *metrics))}
    names = [name for name in (*metrics.values(), *kinds) if name not in table.columns]
    known = None if folder is None else task_table(folder, choice.only, experiment)
    if known is None:
        table = table.with_columns(
            pl.lit(None, facts.TYPES[kinds[name].type] if name in kinds else None).alias(name) for name in names
        )
    else:
        names = [name for name in names if name in known.columns]
        table = table.join(known.select("task_id", *names), on="task_id", how="left", maintain_order="left")
    table = table.with_columns(
        pl.col("state").fill_null("pending"), pl.col("attempts").fill_null(0), pl.lit(True).alias("planned")
    )
    return chosen & matching(choice.only, table)


def _states(plan: Plan, state: fold.State) -> pl.Series:
    """Return the code of each task's state; pending if it was never submitted."""
    known = pl.Series([*state.columns["state"], fold.PENDING], dtype=pl.Int8)
    return known.gather(plan.tasks["task_id"].clip(0, state.size))


def queue(
    experiment: Experiment,
    folder: ExperimentFolder,
    planned: Planned,
    selected: pl.Series,
    state: fold.State,
    choice: Choice,
) -> tuple[pl.Series, pl.Series, dict[str, int], dict[str, int]]:
    """Return task ids to run, those that `repeat.until` may add later, the other selected tasks by state, and why those
    among them that were done before are new. Done and stopped tasks stay as they are."""
    ids = planned.plan.tasks["task_id"]
    codes = _states(planned.plan, state)
    again = {fold.PENDING, fold.RUNNING} | (set() if choice.new else {fold.FAILED, fold.LOST})
    wanted = selected & codes.is_in(list(again))
    held = ids.is_in(pl.Series(spare_tasks(state), dtype=ids.dtype).implode())
    spare = (held | (~planned.known if choice.hold else False)) & ~wanted
    if not isinstance(experiment.repeat, int):
        from tui_lab.results import until  # brings a database along
        from tui_lab.results.tables import refresh

        rows = until.Rows(planned.plan, state)
        begun = wanted & rows.begun(experiment.repeat.min)
        results = refresh(folder, spec=experiment) if (codes == fold.DONE).any() else None
        further = until.further(rows, selected, begun | rows.waits, experiment, results)
        spare = wanted & ~begun & ~ids.is_in(further.implode())
        wanted &= ~spare
    shown = selected & ~spare
    counts = {name: int((shown & planned.known & (codes == code)).sum()) for code, name in enumerate(fold.STATES)}
    counts["new"] = int((shown & ~planned.known).sum())
    return ids.filter(wanted), ids.filter(spare), counts, planned.reasons(shown)


# --- Submitting


def submit_event(
    prepared: Prepared,
    nodes: list[NodeEntry],
    keep_going: bool,
    words: Sequence[str] | None = None,
    identity: str | None = None,
) -> Submitted:
    """Write the plan if it is new; return the event that submits it. Raises StorageError, SpecError."""
    plan = prepared.plan
    if not prepared.unchanged:
        place = spec_file.recorded(prepared.experiment.file, prepared.folder.path.parent)
        replace(plan, about={**plan.about, **place}).write(prepared.folder.plans, prepared.text)
    program = _program(prepared)
    return Submitted(
        id=identity or uuid.uuid4().hex,
        at=round(time.time(), 3),
        experiment=prepared.experiment.name,
        plan=plan.number,
        plan_crc=file_crc(prepared.folder.plans / f"{plan.number}.parquet"),
        keys=keys_digest(plan.rows),
        planned=ranges.to_ranges(plan.tasks["task_id"].to_numpy()),
        queued=ranges.to_ranges(prepared.queued.to_numpy()),
        spare=ranges.to_ranges(prepared.spare.to_numpy()),
        reasons=prepared.reasons,
        adopted=ranges.to_ranges(prepared.planned.adopted.to_numpy()),
        argv=public_words(sys.argv if words is None else words),
        cwd=_printable(str(Path.cwd())),
        user=_user(),
        host=socket.gethostname(),
        nodes=nodes,
        scripts=program.scripts,
        code=program.code,
        files=program.files,
        keep_going=keep_going,
        environment=_environment(prepared),
        stages=plan.stage_ranges,
        per_node=plan.per_node,
    )


def _user() -> str:
    """Return who submits: a name, or a number without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@dataclass(frozen=True)
class _Program:
    scripts: dict[str, str]
    code: str | None
    files: dict[str, list[int]]


def _program(prepared: Prepared) -> _Program:
    """Return the snapshot of the program, if `code` is declared; the digests of its files; and size and time of the
    files outside it, so that a change is noticed when a task starts. Raises LabError, StorageError, SpecError."""
    experiment = prepared.experiment
    scripts = dict(prepared.scripts)
    code: str | None = None
    copied: dict[str, str] = {}
    if any(one.code for one in experiment.per_stage):
        named = {name: path for name in scripts if is_program(path := experiment.folder / name) and "../" not in name}
        code, copied = code_snapshot.take(experiment, named, prepared.folder.path)
        scripts |= copied
    if experiment.workdir is not None and Path(experiment.workdir).is_absolute():
        copied = {}  # tasks start where the files themselves are
    inputs = declared_files.of_all_stages(experiment, "inputs").files
    seen: dict[str, list[int]] = {}
    for name in [*(name for name in scripts if not name.endswith(":")), *inputs]:
        if name in copied:
            continue
        with suppress(OSError):
            facts = (experiment.folder / name).stat()
            seen[name] = [facts.st_size, facts.st_mtime_ns]
            if name in scripts:
                scripts[name] = declared_files.file_digest(experiment.folder / name)
            elif facts.st_mtime > prepared.began:
                what = f"{experiment.folder / name} changed while {experiment.name} was planned"
                raise OutdatedPlanError(what, "run the same command again")
    return _Program(scripts, code, seen if len(seen) <= _WATCHED else {})


def _environment(prepared: Prepared) -> str | None:
    """Record the git state of the program. Errors are ignored: a run does not need it."""
    with suppress(LabError):
        if state := git_state(prepared.experiment.folder):
            return capture(prepared.folder.path, {"git": state})
    return None


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
