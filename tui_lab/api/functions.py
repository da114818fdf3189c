"""Functions of a Python program as the value of `function:`, and the files that carry those without one of their own.

A function of a module travels as its name. One of a notebook, of the program that runs (`__main__`), or of another
function's inside has no file from which a task could import it: cloudpickle turns it into bytes, which stand in a
module of its own in the folder `.tui_lab` beside the experiment. The name of the module has a digest of the function's
source, so that another source is another function.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.metadata
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from tui_lab.experiment.signature import marks_stage
from tui_lab.experiment.yaml.problem import Problem, SpecError

PLACE: Final = ".tui_lab"
"""The folder for such modules."""
FUNCTION: Final = "function"
"""The argument that errors name."""
_DIGITS: Final = 8
_TEXT: Final = '''\
"""{about}

{fingerprint}

tui_lab.Experiment wrote this module: tasks can't import the function from where it was defined.
"""

from __future__ import annotations

import base64
import linecache
import os
import pickle
import sys

if sys.version_info[:2] != {python}:
    what = "the function {name} was pickled by Python %d.%d, and this is %d.%d: `python` says which interpreter runs it"
    raise ImportError(what % ({python} + sys.version_info[:2]))
sys.path += [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *{path!r}]


{stub}


try:
    {name} = pickle.loads(base64.b64decode({data!r}))
except (AttributeError, ImportError) as error:
    if "cloudpickle" not in str(error):
        raise
    what = "the function {name} was pickled by cloudpickle {version}, and %s has %s: install that version there"
    has = getattr(sys.modules.get("cloudpickle"), "__version__", "none")
    raise ImportError(what % (sys.executable, has))

# For tracebacks: the files in which the function and those that it uses were defined, with their lines.
LINES = {lines!r}
FILES = {files!r}


def _placed(code, file):
    inner = tuple(_placed(one, file) if isinstance(one, type(code)) else one for one in code.co_consts)
    return code.replace(co_filename=file, co_consts=inner)


_known = getattr({name}, "__globals__", {{}})
for _one in ({name}, *_known.values()):
    for _function in (_one, *(vars(_one).values() if isinstance(_one, type) else ())):
        _code = getattr(_function, "__code__", None)
        if _code is not None and (_code.co_name, _code.co_firstlineno) in FILES:
            _function.__code__ = _placed(_code, FILES[_code.co_name, _code.co_firstlineno])
for _file, _texts in LINES.items():
    _lines = [_texts.get(_number, "") + "\\n" for _number in range(1, max(_texts) + 1)]
    linecache.cache[_file] = (sum(map(len, _lines)), None, _lines, _file)
'''
_MOST: Final = 50_000_000
"""Bytes of a pickled function."""


@dataclass(frozen=True)
class Carried:
    """A function in a module of its own. file: relative to the experiment's folder. mark: a line of the text, which is
    equal where the function is."""

    file: str
    name: str
    mark: str
    text: str

    @property
    def key(self) -> str:
        """The value of `function:`."""
        return f"{self.file}::{self.name}"

    def write(self, folder: Path) -> None:
        """Write the module, if the same function is not there already: equal functions may differ as bytes, and would
        seem to have changed. Raises OSError."""
        path = folder / self.file
        path.parent.mkdir(exist_ok=True)
        ignored = path.parent / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        if path.exists() and self.mark in path.read_text(encoding="utf-8").splitlines():
            return
        fresh = path.with_name(f".{path.name}.{os.getpid()}.partial")
        fresh.write_text(self.text, encoding="utf-8")
        fresh.replace(path)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # may be taken for those of the new text
            compiled.unlink(missing_ok=True)


def function_key(function: Callable[..., Any], folder: Path) -> str | Carried:
    """Return the value of `function:` for a function, or the module that carries it. folder: of the experiment. Raises
    SpecError for one that can't travel; it names the argument `function`."""
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", None)
    home = sys.modules.get(module or "")
    file = getattr(home, "__file__", None)
    importable = module not in (None, "__main__") and name.isidentifier() and getattr(home, name, None) is function
    if not importable or module is None or file is None or not file.endswith(".py"):
        return _carried(function, folder)
    top = module.partition(".")[0]
    path = Path(file).absolute()
    root = path.parents[module.count(".") + (path.name == "__init__.py")]
    if top != module or path.name == "__init__.py":
        if root != folder and top not in importlib.metadata.packages_distributions():
            raise _error(f"tasks start in {folder}, and can't import {module} there", f"write folder={str(root)!r}")
        return f"{module}:{name}"
    if not path.is_relative_to(folder) and top in importlib.metadata.packages_distributions():
        return f"{module}:{name}"
    return f"{path.relative_to(folder) if path.is_relative_to(folder) else path}::{name}"


def _carried(function: Callable[..., Any], folder: Path) -> Carried:
    try:
        import cloudpickle
    except ImportError:
        what = "a function of a notebook, or of the program that runs, travels by cloudpickle, which is not installed"
        raise _error(what, "pip install 'tui-lab[notebook]', or put the function into a module") from None

    try:
        parts = Parts(function, cloudpickle.dumps)
        for one, source in parts.classes:
            _name_class(one, source)
        data: bytes = cloudpickle.dumps(function)
    except Exception as error:
        said = str(error).split("\n", 1)[0]
        raise _error(f"can't be pickled: {type(error).__name__}: {said}", "put the function into a module") from error
    if len(data) > _MOST:
        what = f"its data, {len(data) / 1e6:,.0f} MB, would be read by each task; {_MOST / 1e6:,.0f} MB are allowed"
        raise _error(what, "load the data in the function")
    given = getattr(function, "__name__", type(function).__name__)
    name = given if given.isidentifier() else "function"
    start = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = list(dict.fromkeys([str(folder), *([str(Path(start).absolute().parent)] if start else [])]))
    python = sys.version_info[:2]
    mark = f"fingerprint {_digest(parts.source, parts.data, str(python), *folders)}"
    text = _TEXT.format(
        about=f"The function {name} in the bytes of cloudpickle.",
        python=python,
        fingerprint=mark,
        path=folders,
        stub=_stub(function, name),
        name=name,
        data=base64.b64encode(data).decode(),
        version=cloudpickle.__version__,
        lines=parts.lines,
        files=parts.files,
    )
    return Carried(f"{PLACE}/{name}_{_digest(parts.source)[:_DIGITS]}.py", name, mark, text)


def _name_class(one: type, source: str) -> None:
    """Give a class the same name for cloudpickle in all programs. By that it knows a class that it has made before, so
    what one stage returns has the class that a function of another one means."""
    tracked = sys.modules["cloudpickle.cloudpickle"]
    name = _digest(one.__module__, one.__qualname__, source)
    with suppress(AttributeError):  # another version of cloudpickle: then such classes differ
        tracked._DYNAMIC_CLASS_TRACKER_BY_CLASS[one] = name
        tracked._DYNAMIC_CLASS_TRACKER_BY_ID[name] = one


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def _error(message: str, hint: str) -> SpecError:
    return SpecError([Problem(FUNCTION, 0, 0, message, hint)])


# --- What a function is made of


class Parts:
    """What travels with a function: sources and data. dumps: pickles a value; it raises what it raises."""

    def __init__(self, function: Callable[..., Any], dumps: Callable[[Any], bytes]) -> None:
        self._dumps = dumps
        self._sources: dict[str, str] = {}
        self._data: dict[str, str] = {}
        self.lines: dict[str, dict[int, str]] = {}
        """The lines of sources by number, by file. A notebook has none, so each function is a file there."""
        self.classes: list[tuple[type, str]] = []
        """Classes that it uses, with their sources."""
        self.files: dict[tuple[str, int], str] = {}
        """The file of each function, by its name and first line."""
        called: Any = function
        while not isinstance(called, FunctionType | type):  # what it is called with is part of what it is
            part = isinstance(called, partial)
            rest = [called.args, called.keywords] if part else getattr(called, "__self__", called)
            self._sources[f"{len(self._sources)}"] = hashlib.sha256(dumps(rest)).hexdigest()
            inner = called.func if part else getattr(called, "__func__", None)
            if inner is None:
                return
            called = inner
        self._add(called, "", called.__module__)

    @property
    def source(self) -> str:
        """The sources of the function, and of the functions and classes of its module that it uses."""
        return "\n".join(f"{name}\n{self._sources[name]}" for name in sorted(self._sources))

    @property
    def data(self) -> str:
        """Digests of all values that these use."""
        return "\n".join(f"{name} {self._data[name]}" for name in sorted(self._data))

    def _add(self, value: Any, name: str, module: str | None) -> None:
        """Add a value that is called so. module: of the function that uses it."""
        if name in self._sources or name in self._data:
            return
        if isinstance(value, ModuleType):
            self._data[name] = value.__name__
        elif not isinstance(value, FunctionType | type) or value.__module__ != module:
            self._data[name] = hashlib.sha256(self._dumps(value)).hexdigest()
        else:
            self._sources[name] = _source(value)
            self._add_lines(value)
            if isinstance(value, type):
                self.classes.append((value, self._sources[name]))
            for number, base in enumerate(value.__bases__ if isinstance(value, type) else ()):
                self._add(base, f"{name} base {number}", module)
            for number, function in enumerate(_functions(value)):
                self._add_used(function, f"{name}.{number}")

    def _add_lines(self, value: FunctionType | type) -> None:
        with suppress(TypeError, OSError):
            file = inspect.getsourcefile(value) or ""
            if not Path(file).is_file():
                file = f"<notebook: {value.__qualname__}>"
            lines, first = inspect.getsourcelines(value)
            found = self.lines.setdefault(file, {})
            found.update((number, line.rstrip("\r\n")) for number, line in enumerate(lines, first))
            for function in _functions(value):
                self.files[function.__code__.co_name, function.__code__.co_firstlineno] = file

    def _add_used(self, function: FunctionType, name: str) -> None:
        known = function.__globals__
        for inner in sorted(_names(function.__code__) & known.keys()):
            self._add(known[inner], inner, function.__module__)
        for inner, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # nothing is in it yet
                if cell.cell_contents is not function:
                    self._add(cell.cell_contents, f"{name}.{inner}", function.__module__)
        for place, value in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self._add(value, f"{name} {place}", None)


def _functions(value: Any) -> Iterator[FunctionType]:
    """A function, or those of a class; without their wrappers."""
    for one in vars(value).values() if isinstance(value, type) else [value]:
        for function in (one.fget, one.fset) if isinstance(one, property) else [getattr(one, "__func__", one)]:
            while isinstance(function, FunctionType):
                yield function
                function = getattr(function, "__wrapped__", None)


def _names(code: CodeType) -> set[str]:
    """The names that a function and those within it may take from its module."""
    within = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*within)


def _source(one: Any) -> str:
    try:
        return _without_stage(textwrap.dedent(inspect.getsource(one)))
    except (OSError, TypeError):  # typed at a prompt, or made by a program
        functions = list(_functions(one))
        return "\n".join(line for function in functions for line in _compiled(function.__code__)) or repr(one)


def _without_stage(source: str) -> str:
    """Return the source of a function without the decorators that make it a stage: what they say is no part of it."""
    try:
        definition = ast.parse(source).body[0]
    except (SyntaxError, IndexError):  # as of a lambda within a call
        return source
    lines = source.splitlines(keepends=True)
    for one in getattr(definition, "decorator_list", ()):
        if marks_stage(one):
            lines[one.lineno - 1 : one.end_lineno] = [""] * (one.end_lineno - one.lineno + 1)
    return "".join(lines)


def _compiled(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


# --- Its signature, for those who only read the module


def _stub(function: Callable[..., Any], name: str) -> str:
    """Return a definition with the same arguments, which what follows replaces: nothing but its signature is read."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return f"def {name}(**_): ..."
    kept = [one.replace(default=_default(one), annotation=one.empty) for one in signature.parameters.values()]
    arguments = str(signature.replace(parameters=kept, return_annotation=signature.empty))
    tree = ast.parse(f"def {name}{arguments}: ...")
    written = _written(function)
    assert isinstance(tree.body[0], ast.FunctionDef)
    if written is not None:
        annotations = {one.arg: one.annotation for one in ast.walk(written.args) if isinstance(one, ast.arg)}
        for one in ast.walk(tree.body[0].args):
            if isinstance(one, ast.arg):
                one.annotation = annotations.get(one.arg)
        if text := ast.get_docstring(written, clean=False):
            tree.body[0].body.insert(0, ast.Expr(ast.Constant(text)))
    return ast.unparse(tree)


def _default(one: inspect.Parameter) -> Any:
    """A default as a module can have it without its names."""
    kinds = (bool, int, float, str, bytes, type(None))
    return one.default if one.default is one.empty or type(one.default) in kinds else ...


def _written(function: Callable[..., Any]) -> ast.FunctionDef | None:
    """The definition of a function in its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    return next((one for one in tree.body if isinstance(one, ast.FunctionDef)), None)
