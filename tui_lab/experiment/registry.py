"""Members of a registry by name: those of this program, and those that other packages bring as entry points.

A package says in its pyproject.toml, for instance,

    [project.entry-points."tui_lab.domains"]
    primes = "my_package:Primes"

Nothing of it is loaded, and no package looked for, before a name is asked for that this program does not have, or all
names are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from tui_lab.experiment.error import TuiLabError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class PluginError(TuiLabError):
    """An entry point of another package that can't be used. One line that says which and why."""


class Registry(Generic[T]):
    """`own` are the members of this program; `group` is that of the entry points; `base` is the class that the member
    of an entry point has, or is a subclass of, or a function that returns this class."""

    def __init__(self, group: str, base: type | Callable[[], type], own: Mapping[str, T]) -> None:
        self.group = group
        self.own = own
        self._base = base
        self._loaded: dict[str, T] = {}

    def get(self, name: str) -> T | None:
        """Return a member, or None where there is none. Raises PluginError."""
        if name in self.own:
            return self.own[name]
        if name not in self._loaded and name in self._plugins:
            self._loaded[name] = self._load(self._plugins[name])
        return self._loaded.get(name)

    def __getitem__(self, name: str) -> T:
        """Return a member that is there. Raises KeyError, PluginError."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._plugins

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, those of this program first."""
        return iter((*self.own, *self._plugins))

    def members(self) -> dict[str, T]:
        """Return all members that can be loaded."""
        found = dict(self.own)
        for name in self._plugins:
            try:
                found[name] = self[name]
            except PluginError:
                continue  # see `problems`
        return found

    def problems(self) -> list[str]:
        """Return a line for each entry point that can't be used."""
        found = []
        for name in self._plugins:
            try:
                self[name]
            except PluginError as error:
                found.append(str(error))
        return found

    def reload(self) -> None:
        """Forget which packages are there: others may be by now."""
        self._loaded.clear()
        vars(self).pop("_plugins", None)

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.group) if point.name not in self.own}

    def _load(self, point: EntryPoint) -> T:
        where = f'"{point.name}" of the entry points {self.group} ({point.value})'
        try:
            found = point.load()
        except Exception as error:
            said = str(error).split("\n", 1)[0]
            raise PluginError(f"{where} can't be loaded: {type(error).__name__}: {said}") from error
        base = self._base if isinstance(self._base, type) else self._base()
        if not (issubclass(found, base) if isinstance(found, type) else isinstance(found, base)):
            raise PluginError(f"{where} is no {base.__name__}")
        member: T = found
        return member


def by_kind(members: Iterable[T]) -> dict[str, T]:
    """Return members by their `kind`."""
    return {str(member.kind): member for member in members}  # type: ignore[attr-defined]
