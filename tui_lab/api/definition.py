"""What a Python program says of an experiment, as the text of an experiment.yaml and the modules of its functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.api.plain import plain
from tui_lab.experiment.yaml.problem import Problem, SpecError

if TYPE_CHECKING:
    from tui_lab.api.functions import Carried

STAGES: Final = "stages"


@dataclass(frozen=True)
class Written:
    """The text, and the functions that are carried in modules of their own."""

    text: str
    carried: tuple[Carried, ...] = ()

    def write_functions(self, folder: Path) -> None:
        """Write the modules of functions that have none. Raises OSError."""
        for one in self.carried:
            one.write(folder)


class Definition:
    """Collects keys and stages. Functions are looked at when it is written: by then, their modules and notebooks have
    all that they use. Raises SpecError for a value that is none of YAML."""

    def __init__(
        self, name: str, folder: Path, function: Callable[..., Any] | str | None, keys: Mapping[str, Any]
    ) -> None:
        self.folder = folder
        self._function = function
        self._keys = {"name": plain(name, "name")}
        self._keys |= {key: plain(value, key) for key, value in keys.items() if key != STAGES}
        self._stages: dict[str, dict[str, Any]] = {}
        stages = keys.get(STAGES)
        if isinstance(stages, Mapping) and all(isinstance(one, Mapping) for one in stages.values()):
            for stage, own in stages.items():
                self.add(stage, own)
        elif STAGES in keys:
            self._keys[STAGES] = plain(stages, STAGES)  # which is an error

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return str(self._keys["name"])

    @property
    def runs_something(self) -> bool:
        """Whether it says what runs."""
        return self._function is not None or bool(self._stages) or not self._keys.keys().isdisjoint(("command", STAGES))

    def add(self, stage: str, keys: Mapping[str, Any]) -> None:
        """Add a stage, in the place of one of this name."""
        place = f"{STAGES}[{stage!r}]"
        own = {
            key: value if key == "function" and callable(value) else plain(value, f"{place}[{key!r}]")
            for key, value in keys.items()
        }
        self._stages[str(plain(stage, STAGES))] = own

    def written(self) -> Written:
        """Return the text and the functions. Raises SpecError for a function that can't travel."""
        from tui_lab.experiment.yaml.writer import write_yaml

        carried: list[Carried] = []

        def key(function: Callable[..., Any] | str, place: str) -> str:
            from tui_lab.api.functions import Carried, function_key

            if not callable(function):
                return function
            try:
                found = function_key(function, self.folder)
            except SpecError as error:
                raise SpecError(replace(problem, file=place) for problem in error.problems) from error.__cause__
            if isinstance(found, Carried):
                carried.append(found)
                return found.key
            return found

        document = {"name": self._keys["name"]}
        if self._function is not None:
            document["function"] = key(self._function, "function")
        document |= self._keys
        if self._stages:
            document[STAGES] = {
                stage: {
                    one: key(value, f"{STAGES}[{stage!r}]['function']") if callable(value) else value
                    for one, value in own.items()
                }
                for stage, own in self._stages.items()
            }
        return Written(write_yaml(document), tuple(carried))


def stage_name(function: Callable[..., Any]) -> str:
    """Return the name of the stage that a function is. Raises SpecError for one that has none."""
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise SpecError([Problem("stage", 0, 0, "this function has no name", 'give one, as in: stage("train")')])
    return str(name)
