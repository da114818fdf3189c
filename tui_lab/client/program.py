"""Checks of the program that an experiment runs: whether it exists, whether it accepts all values, and which files
belong to it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.client.formatting import plural, runs
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.domain import Listed
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.needs import NeedError
from tui_lab.experiment.shell.command import Command
from tui_lab.experiment.shell.placeholders import PlaceholderError
from tui_lab.experiment.shell.text import Blank, Place, Syntax, Text
from tui_lab.experiment.yaml.problem import Problem, SpecError
from tui_lab.store import code_snapshot, declared_files, fold, mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.plan import PREFIX, Plan
from tui_lab.store.program_files import environment_digests, source_of, used, words

_LARGEST: Final = 64 << 20  # bytes of a file that is hashed without being declared
_LONG: Final = 32 * 1024  # characters of a text that may be too much for a program
_TRIED: Final = 200  # values of a parameter that are tried
_SOURCES: Final = frozenset(
    (
        *(".py", ".sh", ".bash", ".zsh", ".R", ".r", ".jl", ".pl", ".rb", ".lua", ".js", ".mjs", ".ts", ".m"),
        *(".awk", ".tcl", ".php", ".jar"),
    )
)


def check_program(experiment: Experiment, plan: Plan, folder: Path) -> None:
    """Check, before 3000 tasks fail: the working folder, the program, and values that can't be passed. Raises
    SpecError."""
    last = TaskBuilder(experiment, plan, folder, "")
    builders = (*last.stages.values(), last)
    problems = [one for builder in builders for one in _missing(builder.experiment, builder)]
    problems = problems or [one for builder in builders for one in _unusable(builder.experiment, builder)]
    if problems:
        raise SpecError(problems)


# --- Programs


def _missing(experiment: Experiment, builder: TaskBuilder) -> Iterator[Problem]:
    workdir = builder.workdir
    if workdir is not None and not Path(workdir).is_dir():
        what = "is no folder" if Path(workdir).exists() else "does not exist"
        yield experiment.problem(("workdir",), f"the working folder {workdir} {what}")
        return
    shell = experiment.shell
    if shell is not None and shutil.which(shell) is None:
        yield experiment.problem(("shell",), f'the shell "{shell}" is not found')
        return
    yield from _several_words(experiment, builder)
    if experiment.setup is not None or "PATH" in experiment.env:
        return  # either may bring programs along
    if builder.call is not None:
        yield from _missing_interpreter(experiment, workdir)
        return
    unfound = cache(_unfound)
    for number, (step, command) in enumerate(zip(experiment.steps, builder.commands, strict=True)):
        found = first_program(command)
        if found is None:
            continue
        program, offset = found
        problem = unfound(program, workdir)
        if problem is not None and not (command.needs_shell and _known_to_shell(program, shell)):
            keypath: tuple[str | int, ...] = ("command",)
            if not isinstance(experiment.command, str):
                keypath = ("command", step.name if step.name is not None else number)
            yield experiment.problem(keypath, *problem, offset=offset)


def _missing_interpreter(experiment: Experiment, workdir: str | None) -> Iterator[Problem]:
    program = experiment.python
    if program is not None and (problem := _unfound(str(Path(program).expanduser()), workdir)) is not None:
        message, hint = problem
        yield experiment.problem(("python",), message.replace("the command", "the interpreter", 1), hint)


def _several_words(experiment: Experiment, builder: TaskBuilder) -> Iterator[Problem]:
    """Find a value that is meant as program and arguments, but is one word."""
    for command in builder.commands:
        parts = [part for part in command.parts if not (isinstance(part, Blank | Syntax) and not part.source.strip())]
        if not parts or not isinstance(parts[0], Place) or parts[0].state != "bare":
            continue
        name = parts[0].name
        behind = command.parts[command.parts.index(parts[0]) + 1 :]
        if behind and not isinstance(behind[0], Blank | Syntax):
            continue
        for value in builder.plan.values.get(name, ()):
            if isinstance(value, str) and len(value.split()) > 1 and shutil.which(value) is None:
                what = f'"{value}" is a single word here, and no program has this name'
                error = PlaceholderError(what, 0, f"{{{name}:raw}} splits it; or use a parameter for each word")
                yield _at_value(experiment, name, value, error)
                break


def first_program(command: Command) -> tuple[str, int] | None:
    """Return the program that a command begins with, and its place in the text; None where only a shell can tell."""
    program, offset = "", 0
    for part in command.parts:
        if not program and isinstance(part, (Blank, Syntax)) and _is_empty(part.source):
            offset += len(part.source)
        elif isinstance(part, Text) and part.plain:
            program += part.value
        elif program and isinstance(part, (Blank, Syntax)) and not part.source.startswith("("):
            break
        else:
            return None
    alternatives = any(isinstance(part, Syntax) and "||" in part.source for part in command.parts)
    if not program or "=" in program or alternatives:
        return None
    return program, offset


def _is_empty(source: str) -> bool:
    """Whether a part is a blank, a line end or a comment."""
    return source.startswith("#") or not source.replace("\\\n", "").strip()


def _unfound(program: str, workdir: str | None) -> tuple[str, str] | None:
    """Return message and hint for a program that can't be run."""
    if "/" not in program:
        if shutil.which(program) is not None:
            return None
        here = Path(workdir or os.devnull) / program
        return (
            f'the command "{program}" is not found in PATH',
            f'did you mean "./{program}"?' if here.is_file() else "",
        )
    path = Path(program).expanduser()
    if not path.is_absolute():
        if workdir is None:
            return None
        path = Path(workdir) / path
    if path.is_dir():
        return f'the command "{program}" is a folder', ""
    if not path.exists():
        return f'the command "{program}" is not found', f"looked for in {path.parent}"
    if not os.access(path, os.X_OK):
        return f'the command "{program}" is not executable', f"chmod +x {path}"
    return None


def _known_to_shell(word: str, shell: str | None) -> bool:
    """Return whether a shell knows a word without a file: a builtin, a keyword, an exported function."""
    argv = [shell or shutil.which("bash") or "sh", "-c", 'type "$1"', "-", word]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


# --- Values


def _unusable(experiment: Experiment, builder: TaskBuilder) -> Iterator[Problem]:
    """Find values that can't be passed: a bare null, a NUL, a text that is too long, a format that does not fit."""
    fits: set[int] = set()  # rows: the same task has the first value of many parameters

    @lru_cache(maxsize=_TRIED)
    def values_of(row: int) -> tuple[dict[str, Value], bool]:
        values = builder.parameters(row)
        return values, any(map(_is_odd, values.values()))

    for name, codes in _odd(builder.plan):
        if name not in builder.names:
            continue
        rows = builder.plan.tasks.select(PREFIX + name).with_row_index("row")
        if codes is None:
            rows = rows.head(1)
        else:
            rows = rows.filter(pl.col(PREFIX + name).is_in(codes)).unique(PREFIX + name, keep="first").sort("row")
        for row in rows["row"]:
            if row in fits:
                continue
            values, some_odd = values_of(row)
            if some_odd and not _is_odd(values[name]):
                continue  # that one has its own turn
            try:
                builder.start(row, 1)
                fits.add(row)
            except PlaceholderError as error:
                yield _at_value(experiment, name, values[name], error)
                break
            except NeedError as error:
                yield experiment.problem(("needs", error.name), str(error))
                break
            except ValueError as error:
                yield experiment.problem(("timeout",), str(error))
                break


def _odd(plan: Plan) -> Iterator[tuple[str, list[int] | None]]:
    """Return codes of the values of each parameter to check: the first of each type, and all unusual ones."""
    for name in plan.names:
        if name not in plan.values:
            yield name, None
            continue
        kinds: dict[type, int] = {}
        odd = []
        for code, value in enumerate(plan.values[name]):
            kinds.setdefault(type(value), code)
            if _is_odd(value):
                odd.append(code)
        yield name, sorted({*kinds.values(), *odd[:_TRIED]})


def _is_odd(value: Value) -> bool:
    if isinstance(value, str):
        return len(value) > _LONG or "\0" in value or not value.isprintable()
    return value is None or isinstance(value, (list, dict)) or value != value or value in (float("inf"), -float("inf"))


def _at_value(experiment: Experiment, name: str, value: Value, error: PlaceholderError) -> Problem:
    """Return a problem at the place of a value in the file."""
    several = len(experiment.parameters) > 1
    for number, mapping in enumerate(experiment.parameters):
        domain = mapping.get(name)
        if isinstance(domain, Listed):
            for index, listed in enumerate(domain.values):
                if canonical(listed) == canonical(value):
                    start: tuple[str | int, ...] = ("parameters", number) if several else ("parameters",)
                    return experiment.problem((*start, name, index), error.message, error.hint)
    return experiment.problem(("parameters", name), error.message, error.hint)


# --- Files


def program_files(experiment: Experiment) -> dict[str, str]:
    """Return digests of the files that the commands name and of those of `code`, and of `env`, `setup` and the like as
    `key:` entries."""
    found: dict[str, str] = {}
    for one in experiment.per_stage:
        found |= declared_files.digests(one, "code")
        if (source := source_of(one)) is not None:
            found[source] = declared_files.file_digest(experiment.folder / source)
        for word in words(one):
            path = experiment.folder / word
            try:
                if path.is_file() and path.stat().st_size < _LARGEST:
                    found[os.path.relpath(path, experiment.folder)] = declared_files.file_digest(path)
            except OSError:
                continue
    return found | environment_digests(experiment)


def is_program(path: Path) -> bool:
    """Return whether a file that a command names is run, rather than read."""
    try:
        return path.is_file() and (path.suffix in _SOURCES or os.access(path, os.X_OK))
    except OSError:
        return False


def stale(experiment: Experiment, plan: Plan, state: fold.State, files: dict[str, str]) -> list[str]:
    """Return a line for each file that has changed since planned tasks ran, or runs of a stage that uses it."""
    lines = []
    for stage, names in used(experiment, files).items():
        rows = plan.of_stage(stage).tasks if stage in plan.stages else plan.tasks
        for name, count in _changed(rows["task_id"], state, {name: files[name] for name in sorted(names)}).items():
            ran = plural(count, "task") if stage not in plan.stages else runs(count, stage or "")
            again = "--rerun runs them again" if stage is None else f"--rerun={stage} runs them again"
            again += ", and what follows" if stage in plan.stages else ""
            lines.append(f"{_called(name)} changed since {ran} ran: their results are kept; {again}")
    return lines


def _changed(ids: pl.Series, state: fold.State, files: dict[str, str]) -> Counter[str]:
    """Return the files that have changed, each with the number of done tasks that used it before."""
    tasks = ids.filter(ids < state.size)
    codes = pl.Series(state.columns["state"], dtype=pl.Int8).gather(tasks)
    submissions = pl.Series(state.columns["submission"], dtype=pl.Int32).gather(tasks).filter(codes == fold.DONE)
    changed: Counter[str] = Counter()
    for submission, count in submissions.value_counts().rows():
        before = state.submissions[submission].scripts if submission >= 0 else {}
        changed.update({name: count for name, digest in files.items() if before.get(name, digest) != digest})
    return Counter(dict(sorted(changed.items())))


def changed_since(folder: ExperimentFolder) -> list[str]:
    """Return what has changed since the newest submission, and whether its tasks would run the changed files; in
    lines. Nothing is known of files on another machine."""
    if mirrors.other_side(folder.path.parent) is not None:
        return []
    try:
        about = folder.state().submissions[-1]
        experiment = folder.spec(about.plan)
        kept = code_snapshot.files_of(folder.path, about.code) if about.code is not None else {}
        if experiment.workdir is not None and Path(experiment.workdir).is_absolute():
            kept = {}  # tasks start elsewhere
        before = about.scripts
        found = program_files(experiment)
        names = sorted(name for name in before if not name.endswith(":") and found.get(name) != before[name])
        edited = experiment.file.exists() and experiment.file.read_text("utf-8") != folder.spec_text(about.plan)
    except (LabError, SpecError, OSError, ValueError, IndexError):
        return []
    old = [*([experiment.file.name] if edited else []), *(name for name in names if name in kept)]
    new = [name for name in names if name not in kept]
    lines = []
    if old:
        there = shlex.quote(os.path.relpath(experiment.file))
        way = f"tasks run the submitted copy; `tui-lab --run {there}` uses the present files"
        lines.append(f"{', '.join(old)} changed since the submission: {way}")
    if new:
        lines.append(f"{', '.join(new)} changed since the submission: tasks run the present files (see `code`)")
    return lines


def _called(name: str) -> str:
    return f"`{name[:-1]}` of the file" if name.endswith(":") else name
