"""Public methods have docstrings where ruff's D102 can't tell: it doesn't know which methods a base class documents."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

PACKAGES = (
    "tui_lab.tui",
    "tui_lab.experiment.domains",
    "tui_lab.experiment.sources",
    "tui_lab.experiment.row_sources",
    "tui_lab.results.extraction.sources",
    "tui_lab.results.extraction.row_sources",
)
# Textual calls these by their names. What an action does is in the `ACTIONS` of its pane.
HOOKS = ("on_", "action_", "watch_", "validate_", "compute_")


def _classes(module: str, owner: object) -> Iterator[type]:
    for one in list(vars(owner).values()):
        if inspect.isclass(one) and one.__module__ == module and not one.__name__.startswith("_"):
            yield one
            yield from _classes(module, one)


def _undocumented(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        inherited = any(name in vars(base) for base in cls.__mro__[1:])
        if inspect.isfunction(function) and not (name.startswith(("_", *HOOKS)) or function.__doc__ or inherited):
            yield f"{cls.__qualname__}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_public_method_is_documented_by_its_class_or_a_base(package: str) -> None:
    path = importlib.import_module(package).__path__
    names = [package, *(found.name for found in pkgutil.walk_packages(path, f"{package}."))]
    missing = [
        f"{name}: {method}"
        for name in names
        for cls in dict.fromkeys(_classes(name, importlib.import_module(name)))
        for method in _undocumented(cls)
        if cls.__module__ == name
    ]
    assert missing == []
