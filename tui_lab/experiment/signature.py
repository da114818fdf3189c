"""The signature of a function, read from its source: nothing of the user's code runs to plan an experiment."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tui_lab.experiment.function import Function

STAGES: Final = ("pre", "fit", "post")
"""Functions of a file or module that needs no name; `fit` must be there."""
CONFIG: Final = "cfg"
"""The argument that takes all parameters, where it is the only one."""


class SignatureError(Exception):
    """Why a function can't be called; `hint` says what to do. names: those of functions that are there."""

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


@dataclass(frozen=True)
class Argument:
    """An argument of a function. `required`: it has no default."""

    name: str
    required: bool


@dataclass(frozen=True)
class Signature:
    """What a function takes."""

    arguments: tuple[Argument, ...] = ()
    takes_all: bool = False
    """`**kwargs` takes what no argument is called, or there is one argument for all parameters."""
    config: bool = False
    """All parameters go into one argument, as nested dictionaries."""
    needs: tuple[str, ...] = field(default=())
    """Arguments without a default."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return tuple(argument.name for argument in self.arguments)


def read_signature(function: Function, folder: Path) -> Signature | None:
    """Return the signature; None where the source does not tell. Raises SignatureError, OSError."""
    path = function.source(folder)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        raise SignatureError(f"{path.name} is no Python{where}: {getattr(error, 'msg', error)}") from None
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one in tree.body}
    if function.name is None:
        if "fit" not in functions and not _may_have(tree, "fit"):
            what = f'{path.name} has no function "fit", so the function needs a name'
            raise SignatureError(what, tuple(functions))
        return Signature(takes_all=True, config=True)
    found = functions.get(function.name)
    if found is None:
        if _may_have(tree, function.name):
            return None
        raise SignatureError(f'{path.name} has no function "{function.name}"', tuple(functions))
    return None if found.decorator_list else _signature(found)


def _may_have(tree: ast.Module, name: str) -> bool:
    """Whether a name may come from elsewhere: an import, an assignment, a class, something below an `if`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                if name == (alias.asname or alias.name) or alias.name == "*":
                    return True
        if isinstance(node, ast.ClassDef | ast.AsyncFunctionDef | ast.FunctionDef) and node.name == name:
            return True
    return False


def _signature(function: ast.FunctionDef) -> Signature:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    without = len(positional) - len(given.defaults)
    arguments = [Argument(one.arg, place < without) for place, one in enumerate(positional)]
    keywords = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    arguments += [Argument(one.arg, default is None) for one, default in keywords]
    config = [one.name for one in arguments] == [CONFIG] and given.kwarg is None
    needs = () if config else tuple(one.name for one in arguments if one.required)
    return Signature(tuple(arguments), config or given.kwarg is not None, config, needs)
