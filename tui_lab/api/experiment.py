"""`tl.Experiment`: an experiment that a Python program defines, or reads from a file."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, overload

from tui_lab.api.definition import Definition, Written, stage_name
from tui_lab.api.errors import naming_arguments, warn
from tui_lab.api.keys import Keys, StageArguments
from tui_lab.api.plain import plain
from tui_lab.client.errors import UsageError
from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.yaml.problem import Problem, SpecError

if TYPE_CHECKING:
    from tui_lab.api.run import Run
    from tui_lab.client.follow import Heard
    from tui_lab.client.submission import Choice, Prepared
    from tui_lab.engine.standby import StandbyEngine
    from tui_lab.experiment import model
    from tui_lab.experiment.cluster.entry import NodeEntry
    from tui_lab.experiment.yaml.document import Document
    from tui_lab.store.lab import Lab

_F = TypeVar("_F", bound=Callable[..., Any])
_PLACE: Final = re.compile(r":(\d+):(\d+): ")


class Experiment:
    """A named sweep: what runs, for which values, how often.

    name: of the experiment, of its folder in the lab and of its table in SQL.
    function: the Python function that tasks call, with the parameters as arguments; or its name, as in `train.py::fit`.
        What it returns becomes metrics and rows: docs/python.md. By default `command` says what runs, or stages do.
    folder: where relative paths start, and where tasks start; by default the current folder.
    keys: those of experiment.yaml, which docs/reference.md explains.

    Raises SpecError where something is wrong, with the name of the argument; what is wrong with stages that are added
    later, when it is used first.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | str | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        **keys: Unpack[Keys],
    ) -> None:
        where = Path.cwd() if folder is None else Path(folder).absolute()
        definition = Definition(name, where, function, keys)
        self._set(where / f"{definition.name}.yaml", definition)
        if definition.runs_something:
            self._read()

    @classmethod
    def from_yaml(cls, file: str | os.PathLike[str]) -> Experiment:
        """Return the experiment of an experiment.yaml. Raises SpecError with file, line and column of what is wrong."""
        from tui_lab.experiment.yaml.parser import read_text

        made = cls.__new__(cls)
        made._set(Path(file), None)
        made._written = Written(read_text(Path(file)))
        made._read()
        return made

    def _set(self, file: Path, definition: Definition | None) -> None:
        self._file = file if definition is None else file.absolute()
        self._definition = definition
        self._written: Written | None = None
        self._known: model.Experiment | None = None

    def _read(self) -> model.Experiment:
        """Return the experiment as a file would say it, after writing the modules of functions that have none, for they
        say what arguments there are. Raises SpecError, OSError."""
        from tui_lab.experiment.load import load

        if self._written is None:
            assert self._definition is not None
            self._written = self._definition.written()
        self._written.write_functions(self._file.parent)
        try:
            self._known = load(self._file, self._written.text)
        except SpecError as error:
            raise self._error(error) from None
        return self._known

    def _write_functions(self) -> None:
        """Write the modules of functions that have none, which may have been removed. Raises SpecError, OSError."""
        if self._known is None or self._written is None:
            self._read()
        else:
            self._written.write_functions(self._file.parent)

    @property
    def _spec(self) -> model.Experiment:
        return self._known or self._read()

    @property
    def _text(self) -> str:
        assert self._written is not None
        return self._written.text

    @property
    def name(self) -> str:
        """The name of the experiment, of its folder in a lab and of its table in SQL."""
        return self._spec.name if self._definition is None else self._definition.name

    @property
    def parameters(self) -> list[str]:
        """The names of all parameters, in the order of their first mention."""
        return list(self._spec.parameter_names)

    def to_yaml(self, file: str | os.PathLike[str] | None = None) -> str:
        """Return the text of an experiment.yaml that means the same, and write it to a file if one is given.

        The same experiment runs from that file if it is in the folder in which relative paths start.
        """
        self._write_functions()
        if file is not None:
            Path(file).write_text(self._text, encoding="utf-8")
        return self._text

    def __repr__(self) -> str:
        if self._definition is not None and not self._definition.runs_something:
            return f"<Experiment {self.name}: no stages yet>"
        return f"<Experiment {self.name}: {', '.join(self.parameters) or 'no parameters'}>"

    # --- Stages

    @overload
    def stage(self, function: _F, /, *, name: str | None = None, **keys: Unpack[StageArguments]) -> _F: ...
    @overload
    def stage(
        self, name: str, /, *, command: str | Sequence[Any] | Mapping[str, Any], **keys: Unpack[StageArguments]
    ) -> None: ...
    @overload
    def stage(self, name: str, /, *, function: Callable[..., Any] | str, **keys: Unpack[StageArguments]) -> None: ...
    @overload
    def stage(self, name: str | None = None, /, **keys: Unpack[StageArguments]) -> Callable[[_F], _F]: ...
    def stage(
        self,
        what: Callable[..., Any] | str | None = None,
        /,
        *,
        name: str | None = None,
        command: str | Sequence[Any] | Mapping[str, Any] | None = None,
        function: Callable[..., Any] | str | None = None,
        **keys: Unpack[StageArguments],
    ) -> Any:
        """Add a stage: as a decorator a function, else a command or the name of a function.

        `@ex.stage` makes a stage of the function's name, `@ex.stage("NAME", needs={"gpus": 1})` one of another name and
        with keys; `ex.stage("NAME", command="...")` is one that runs a command. The function itself stays what it is.

        what: the function, or the name of the stage.
        name: of the stage, by default that of the function.
        command: what the stage runs.
        function: what it calls: a function, or its name, as in `train.py::fit`.
        keys: further ones of a stage, which docs/stages.md explains.

        A stage takes the place of one of the same name, so a cell of a notebook may run again. Raises UsageError for an
        experiment of a file; what is wrong with the stages is raised when the experiment is used first.
        """
        if callable(what):
            self._add_stage(name or stage_name(what), {"function": what, **keys})
            return what
        if command is not None or function is not None:
            given = {"command": command, "function": function}
            program = {key: value for key, value in given.items() if value is not None}
            if what is None:
                raise UsageError('a stage that runs a command needs a name, as in: stage("test", command="./test")')
            self._add_stage(what, {**program, **keys})
            return None

        def add(decorated: _F) -> _F:
            self._add_stage(what or name or stage_name(decorated), {"function": decorated, **keys})
            return decorated

        return add

    def _add_stage(self, name: str, keys: Mapping[str, Any]) -> None:
        if self._definition is None:
            raise UsageError(f"the stages of this experiment stand in {self._file}")
        self._definition.add(name, keys)
        self._written = self._known = None

    # --- Running

    def run(
        self,
        lab: str | os.PathLike[str] = "lab",
        *,
        nodes: str | Sequence[str] = (),
        cluster: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        values: Mapping[str, Any] | None = None,
        only: str | None = None,
        new: bool = False,
        rerun: bool = False,
        adopt: bool = False,
        replace: bool = False,
        keep_going: bool = False,
        take_over: bool = False,
        progress: bool = True,
    ) -> Run:
        """Run the tasks that have not run yet, wait for their end, and return their results.

        lab: the folder of the lab, which is made if there is none.
        nodes: where to run, each as `[USER@]HOST[:PORT] [SLOTS] [TAG...]` or as the name of a node of `cluster`; by
            default this machine, with as many slots as cores.
        cluster: cluster.yaml files with machines to run on.
        values: for this run only, the values of parameters in place of those of the experiment; they may be new ones.
        only: a SQL condition; only tasks for which it is true run.
        new: don't run failed and lost tasks again.
        rerun: run done tasks again, as the next version.
        adopt: keep the results of tasks that are new only because the experiment was changed.
        replace: take the place of an experiment of this name that came from another file.
        keep_going: go on even if the first tasks all fail.
        take_over: continue here with a lab whose engine was on a machine that is gone.
        progress: show how the run goes, in a notebook, on a terminal, or as lines.

        Failed tasks raise nothing: `Run.check` does. Raises SpecError, LabError, StorageError, or another
        TuiLabError, where the run can't begin or can't continue. Ctrl-C lets running tasks finish, a second one stops
        them; then KeyboardInterrupt is raised. The lab keeps what is done: the next call runs the rest. Works in
        notebooks, also while an event loop runs, which it blocks: `arun` does not.
        """
        from tui_lab.api.run import interrupts

        options = _Options(
            lab, nodes, cluster, values, only, new, rerun, adopt, replace, keep_going, take_over, progress
        )
        return self._run(options, interrupts)

    async def arun(
        self,
        lab: str | os.PathLike[str] = "lab",
        *,
        nodes: str | Sequence[str] = (),
        cluster: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        values: Mapping[str, Any] | None = None,
        only: str | None = None,
        new: bool = False,
        rerun: bool = False,
        adopt: bool = False,
        replace: bool = False,
        keep_going: bool = False,
        take_over: bool = False,
        progress: bool = True,
    ) -> Run:
        """Do as `run` does, without blocking the event loop.

        A task that is cancelled while it waits lets running tasks finish and starts no more, as the first Ctrl-C does.
        """
        from tui_lab.client.follow import Heard

        options = _Options(
            lab, nodes, cluster, values, only, new, rerun, adopt, replace, keep_going, take_over, progress
        )
        heard = Heard()
        thread = asyncio.ensure_future(asyncio.to_thread(self._run, options, lambda: heard))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            heard.count, heard.leave = 1, True
            await asyncio.wait([thread])
            thread.exception()  # which is of no interest any more
            raise

    def _run(self, options: _Options, listen: Callable[[], Heard]) -> Run:
        from tui_lab.engine.paths import require_linux
        from tui_lab.engine.standby import start_standby
        from tui_lab.store import layout

        with naming_arguments():
            require_linux()
            choice, nodes = options.choice(), options.node_entries()
            # First of all, for it needs as long for its imports as we for ours.
            path = Path(options.lab)
            alive = (path / layout.ENGINE_FILE).exists()
            standby = None if alive else start_standby(path.absolute(), ssh=any("host" in node for node in nodes))
            try:
                return self._submit(path, choice, nodes, options, listen, standby)
            except SpecError as error:
                raise self._error(error) from None
            except UsageError as error:
                raise UsageError(str(error).removeprefix(f"{self._file}, ")) from None
            finally:
                if standby is not None:
                    standby.dismiss()

    def _submit(
        self,
        path: Path,
        choice: Choice,
        nodes: list[NodeEntry],
        options: _Options,
        listen: Callable[[], Heard],
        standby: StandbyEngine | None,
    ) -> Run:
        from tui_lab.api.run import Run, follow
        from tui_lab.client.follow import Followed
        from tui_lab.client.submission import find_lab, submit
        from tui_lab.engine.lock import claim
        from tui_lab.store.lab import Lab

        lab = find_lab(path)
        if lab is None:
            self._prepare(None, choice)  # a mistake makes no lab
            lab = Lab.create(path)
        claim(lab, options.take_over)
        environment = dict(os.environ)
        if self._spec.calls_functions:  # on this machine the interpreter is this one
            places = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
            environment["PATH"] = os.pathsep.join(filter(None, dict.fromkeys(places)))
        with lab.submitting():
            prepared = self._prepare(lab, choice)
            heard = listen()
            try:
                client, accepted = submit(lab, [prepared], nodes, options.keep_going, environment, standby, _words())
            except BaseException:
                heard.restore()
                raise
        warn(self._text_of_notice(notice) for notice in prepared.notices)
        if client is None:
            heard.restore()
        else:
            runs = [Followed(one.prepared.folder, one.number, len(one.prepared.queued), one.state) for one in accepted]
            if follow(lab, client, runs, heard, options.progress, environment) and not heard.leave:
                raise KeyboardInterrupt
        return Run(lab, prepared.folder)

    def _prepare(self, lab: Lab | None, choice: Choice) -> Prepared:
        from tui_lab.client.submission import prepare

        self._write_functions()
        return prepare(lab, self._file, choice, self._text)

    # --- Places in the text that Python wrote, as arguments

    def _error(self, error: SpecError) -> SpecError:
        if self._definition is None:
            return error
        return SpecError(self._problem(problem) for problem in error.problems)

    def _problem(self, problem: Problem) -> Problem:
        if problem.file != str(self._file):
            return problem
        where = self._argument(problem.line, problem.column) if problem.line else ""
        message, hint = problem.message, problem.hint
        for one in () if self._written is None else self._written.carried:
            message, hint = message.replace(one.key, one.name), hint.replace(one.key, one.name)
        return Problem(where or f'Experiment("{self._file.stem}")', 0, 0, message, hint)

    def _text_of_notice(self, notice: str) -> str:
        """A notice with the name of the argument in place of its line and column."""
        start = str(self._file)
        place = _PLACE.match(notice, len(start)) if notice.startswith(start) and self._definition is not None else None
        if place is None:
            return notice
        return f"{self._argument(int(place[1]), int(place[2]))}: {notice[place.end() :]}"

    def _argument(self, line: int, column: int) -> str:
        from tui_lab.experiment.domains.kinds import KINDS

        path = self._document.path_at(line, column)
        if path[:1] == ["parameters"]:  # the kind of a domain is the name of its function
            named = [place for place, step in enumerate(path) if place > 1 and step in KINDS]
            path = path[: named[0]] if named else path
        return "".join(f"[{step!r}]" if place else str(step) for place, step in enumerate(path))

    @property
    def _document(self) -> Document:
        from tui_lab.experiment.yaml.parser import parse

        return parse(self._text, str(self._file))


def _words() -> list[str]:
    """The command line of this program, for the history."""
    from tui_lab.api.progress import notebook_display
    from tui_lab.client.submissions import NOTEBOOK, PYTHON

    return NOTEBOOK if notebook_display() is not None else [*PYTHON, *sys.argv]


def _listing(value: object, where: str) -> list[Any]:
    """Return the values that are given for a parameter: one, several, or those of a domain. Raises SpecError."""
    if isinstance(value, Domain):
        try:
            return value.listing()
        except ValueError as error:
            raise SpecError([Problem(where, 0, 0, str(error), "list the values")]) from None
    found = plain(value, where)
    return found if isinstance(found, list) else [found]


@dataclass(frozen=True)
class _Options:
    """What a call of `run` chooses."""

    lab: str | os.PathLike[str]
    nodes: str | Sequence[str]
    cluster: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    values: Mapping[str, Any] | None
    only: str | None
    new: bool
    rerun: bool
    adopt: bool
    replace: bool
    keep_going: bool
    take_over: bool
    progress: bool

    def choice(self) -> Choice:
        """Return what it chooses of the experiment. Raises SpecError."""
        from tui_lab.client.submission import Choice

        overrides = {name: _listing(value, f"values[{name!r}]") for name, value in (self.values or {}).items()}
        return Choice(overrides, self.only, self.new, self.rerun, self.adopt, self.replace)

    def node_entries(self) -> list[NodeEntry]:
        """Return the nodes to run on. Raises UsageError, SpecError."""
        from tui_lab.client.nodes import read_nodes

        files = [self.cluster] if isinstance(self.cluster, str | os.PathLike) else self.cluster
        nodes = [self.nodes] if isinstance(self.nodes, str) else self.nodes
        return read_nodes([node.split() for node in nodes], [Path(file) for file in files])
