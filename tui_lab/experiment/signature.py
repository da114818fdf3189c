"""The signature of a function, read from its source: nothing of the user's code runs to plan an experiment.

Annotations, defaults and the docstring say what each argument takes. Classes are known where they are defined in the
same file: members of an Enum, fields of a dataclass. What the source does not tell is taken for anything, and is
checked in the task's process.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict

from tui_lab.experiment.docstrings import helps
from tui_lab.experiment.function import Function
from tui_lab.portable.function.arguments import CONFIG
from tui_lab.portable.function.kinds import Either, Entries, Items, Kind, Member, OneOf, Plain, Record

_PLAIN: Final = {"bool": "bool", "int": "int", "float": "float", "str": "str", "None": "None"}
_LISTS: Final = ("list", "List", "Sequence", "Iterable", "Collection", "MutableSequence")
_SETS: Final = ("set", "frozenset", "Set", "FrozenSet", "AbstractSet")
_DICTS: Final = ("dict", "Dict", "Mapping", "MutableMapping")
_ENUMS: Final = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
_NONE: Final = object()


class SignatureError(Exception):
    """Why a function can't be called. names: those of the functions in the file."""

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


class RecordedSignature(TypedDict):
    """A signature in a plan: the names of the arguments, and whether it takes all, or all as one."""

    arguments: list[str]
    takes_all: bool
    config: bool


FieldDefault: TypeAlias = tuple[Kind, Any]
"""The kind of a field of a dataclass, and its default."""


@dataclass(frozen=True)
class Argument:
    """An argument of a function, with the texts of its annotation and its default. `literal`: the default in a list,
    where it is written out. `fields`: of a dataclass, kind and default of those that have one which is written out, by
    dotted name behind the argument's; only where the fields that nobody gives have their defaults."""

    name: str
    kind: Kind
    annotation: str = ""
    default: str | None = None
    literal: tuple[Any, ...] = ()
    help: str = ""
    fields: Mapping[str, FieldDefault] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None


@dataclass(frozen=True)
class Signature:
    """What a function takes."""

    arguments: tuple[Argument, ...] = ()
    takes_all: bool = False
    """`**kwargs` takes what no argument is called, or there is one argument for all parameters."""
    config: bool = False
    """All parameters go into one argument, as nested dictionaries."""
    help: str = ""
    """The first paragraph of the docstring."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return tuple(argument.name for argument in self.arguments)

    @property
    def needs(self) -> tuple[str, ...]:
        """The arguments that parameters must give."""
        return () if self.config else tuple(one.name for one in self.arguments if one.required)

    def recorded(self) -> RecordedSignature:
        """Return what of it says which parameters the function takes."""
        return {"arguments": list(self.names), "takes_all": self.takes_all, "config": self.config}

    @classmethod
    def of_record(cls, record: RecordedSignature) -> Signature:
        """Return what is known of a signature that was recorded."""
        arguments = tuple(Argument(name, Kind()) for name in record["arguments"])
        return cls(arguments, record["takes_all"], record["config"])

    def argument(self, name: str) -> Argument | None:
        """Return an argument by its name; None for one that is not known."""
        return next((one for one in self.arguments if one.name == name), None)


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
    functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
    if function.name is None:
        if "fit" not in functions and not _may_have(tree, "fit"):
            what = f'{path.name} has no function "fit", so the function needs a name'
            raise SignatureError(what, tuple(functions))
        return Signature(takes_all=True, config=True, help=_summary(tree))
    found = functions.get(function.name)
    if found is None:
        if any(isinstance(one, ast.AsyncFunctionDef) and one.name == function.name for one in tree.body):
            what = f'"{function.name}" of {path.name} is async; let a plain function call it by asyncio.run'
            raise SignatureError(what, tuple(functions))
        if _may_have(tree, function.name):
            return None
        raise SignatureError(f'{path.name} has no function "{function.name}"', tuple(functions))
    others = [one for one in found.decorator_list if not marks_stage(one)]
    return None if others else _SignatureReader(tree).signature(found)


def marks_stage(decorator: ast.expr) -> bool:
    """Whether a decorator is `stage` of an experiment in Python, which leaves the function as it is."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr == "stage"


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


def _summary(node: ast.Module | ast.FunctionDef) -> str:
    text = ast.get_docstring(node) or ""
    return " ".join(text.split("\n\n")[0].split())


class _SignatureReader:
    """Reads signatures of functions of a file, with the classes that are defined in it."""

    def __init__(self, tree: ast.Module) -> None:
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.aliases = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def signature(self, function: ast.FunctionDef) -> Signature:
        """Return the signature of a function."""
        given = function.args
        texts = helps(ast.get_docstring(function) or "")
        positional = [*given.posonlyargs, *given.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
        pairs = [*zip(positional, [*defaults, *given.defaults], strict=True)]
        pairs += [*zip(given.kwonlyargs, given.kw_defaults, strict=True)]
        arguments = tuple(self._argument(one, default, texts.get(one.arg, "")) for one, default in pairs)
        config = [one.name for one in arguments] == [CONFIG] and given.kwarg is None
        return Signature(arguments, config or given.kwarg is not None, config, _summary(function))

    def _argument(self, one: ast.arg, default: ast.expr | None, text: str) -> Argument:
        kind = Kind() if one.annotation is None else self.kind(one.annotation)
        written = "" if one.annotation is None else ast.unparse(one.annotation).strip("'\"")
        value = _value(default, kind)
        literal = () if default is None or value is _NONE else (value,)
        shown = None if default is None else ast.unparse(default)
        fields = kind.defaults if isinstance(kind, _Declared) and kind.is_made_by(default) else {}
        return Argument(one.arg, kind, written, shown, literal, text, fields)

    def kind(self, node: ast.expr, seen: tuple[str, ...] = ()) -> Kind:
        """Return the kind that an annotation says; anything where it says nothing that is known here."""
        if isinstance(node, ast.Constant):
            if node.value is None:
                return Plain("None")
            if isinstance(node.value, str):
                try:
                    return self.kind(ast.parse(node.value, mode="eval").body, seen)
                except SyntaxError:
                    return Kind()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _either([self.kind(node.left, seen), self.kind(node.right, seen)])
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(_name(node), [], seen)
        if isinstance(node, ast.Subscript):
            inner = [*node.slice.elts] if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self._named(_name(node.value), inner, seen)
        return Kind()

    def _named(self, name: str, inner: list[ast.expr], seen: tuple[str, ...]) -> Kind:
        def kinds() -> list[Kind]:
            return [self.kind(one, seen) for one in inner if not _is_ellipsis(one)]

        if name in self.classes:
            return Kind() if name in seen else self._class(self.classes[name], (*seen, name))
        if name in _PLAIN:
            return Plain(_PLAIN[name])
        if name in ("Optional", "Union"):
            return _either([*kinds(), *([Plain("None")] if name == "Optional" else [])])
        if name == "Literal":
            values = [_literal(one) for one in inner]
            return Kind() if _NONE in values else OneOf(values)
        if name in ("Annotated", "Final") and inner:
            return self.kind(inner[0], seen)
        if name in ("tuple", "Tuple"):
            fixed = bool(inner) and not _is_ellipsis(inner[-1])
            return Items(kinds() or [Kind()], fixed, list, f"a list of {len(inner)} values" if fixed else "a list")
        if name in (*_LISTS, *_SETS):
            return Items((kinds() or [Kind()])[:1], False, list, "a list")
        if name in _DICTS:
            return Entries(kinds()[1] if len(inner) > 1 else Kind())
        if name in self.aliases and name not in seen and not inner:
            return self.kind(self.aliases[name], (*seen, name))
        return Kind()

    def _class(self, node: ast.ClassDef, seen: tuple[str, ...]) -> Kind:
        if any(_name(base) in _ENUMS for base in node.bases):
            members = {
                target.id: _literal(one.value)
                for one in node.body
                if isinstance(one, ast.Assign)
                for target in one.targets
                if isinstance(target, ast.Name) and not target.id.startswith("_")
            }
            return _Members(node.name, members)
        if not any(_name(one.func if isinstance(one, ast.Call) else one) == "dataclass" for one in node.decorator_list):
            return Kind()
        fields = self._fields(node, seen)
        return Kind() if fields is None else _Declared(node.name, fields)

    def _fields(self, node: ast.ClassDef, seen: tuple[str, ...]) -> dict[str, _Field] | None:
        """The fields of a dataclass; None where a base class is not known here."""
        found: dict[str, _Field] = {}
        for base in node.bases:
            of_base = self.classes.get(_name(base))
            fields = None if of_base is None or of_base is node else self._fields(of_base, seen)
            if fields is None:
                return None
            found |= fields
        for one in node.body:
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                if ast.unparse(one.annotation).startswith(("ClassVar", "typing.ClassVar", "KW_ONLY")):
                    continue
                options = _field_options(one.value)
                if options is None:
                    found[one.target.id] = (self.kind(one.annotation, seen), one.value is None, one.value)
                elif "init" not in options:
                    required = not {"default", "default_factory"} & {*options}
                    found[one.target.id] = (self.kind(one.annotation, seen), required, one.value)
        return found


_Field: TypeAlias = tuple[Kind, bool, ast.expr | None]
"""Kind of a field, whether it has no default, and what stands behind its `=`."""


class _Members(Member):
    """An Enum of the file. A member is known by its name."""

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        super().__init__(members, str)
        self.of = name

    def named(self, node: ast.expr | None) -> Any:
        """Return the name of the member that is written as `Mode.FAST` or `Mode("fast")`; _NONE for anything else."""
        if isinstance(node, ast.Attribute) and _name(node.value) == self.of and node.attr in self.members:
            return node.attr
        if isinstance(node, ast.Call) and _name(node.func) == self.of and len(node.args) == 1 and not node.keywords:
            value = _literal(node.args[0])
            return next((name for name, own in self.members.items() if own is not _NONE and own == value), _NONE)
        return _NONE


class _Declared(Record):
    """A dataclass of the file. defaults: of fields that have one which is written out, also within fields that are
    dataclasses."""

    def __init__(self, name: str, fields: Mapping[str, _Field]) -> None:
        super().__init__(name, {one: (kind, required) for one, (kind, required, _) in fields.items()}, _as_dict)
        self.of = name
        self.defaults: dict[str, FieldDefault] = {}
        for one, (kind, _, value) in fields.items():
            if isinstance(kind, _Declared):
                if kind.is_made_by(value):
                    self.defaults |= {f"{one}.{inner}": default for inner, default in kind.defaults.items()}
            elif (default := _field_default(value, kind)) is not _NONE:
                self.defaults[one] = (kind, default)

    def is_made_by(self, default: ast.expr | None) -> bool:
        """Whether a default is the dataclass with its own defaults, or there is none."""
        if default is None:
            return True
        if not isinstance(default, ast.Call):
            return False
        if _name(default.func) == "field":
            given = {one.arg: one.value for one in default.keywords}
            factory = given.get("default_factory")
            if factory is not None:
                return isinstance(factory, ast.Name) and factory.id == self.of
            return self.is_made_by(given.get("default"))
        return _name(default.func) == self.of and not default.args and not default.keywords


def _field_default(value: ast.expr | None, kind: Kind) -> Any:
    """The default of a field as a value that is written out; _NONE for another."""
    if not (isinstance(value, ast.Call) and _name(value.func) == "field"):
        return _value(value, kind)
    given = {one.arg: one.value for one in value.keywords}
    factory = given.get("default_factory")
    if isinstance(factory, ast.Lambda):
        return _literal(factory.body)
    if isinstance(factory, ast.Name):
        empty: dict[str, Any] = {"list": [], "tuple": [], "dict": {}}
        return empty.get(factory.id, _NONE)
    return _value(given.get("default"), kind)


def _value(node: ast.expr | None, kind: Kind) -> Any:
    """A default that is written out, a member of an Enum by its name; _NONE for another."""
    found = _literal(node)
    for one in kind.kinds if isinstance(kind, Either) else [kind]:
        if found is _NONE and isinstance(one, _Members):
            found = one.named(node)
    return found


def _either(kinds: list[Kind]) -> Kind:
    flat = [one for kind in kinds for one in (kind.kinds if isinstance(kind, Either) else [kind])]
    return Kind() if any(type(one) is Kind for one in flat) else Either(flat)


def _as_dict(**fields: Any) -> dict[str, Any]:
    return fields


def _field_options(value: ast.expr | None) -> list[str] | None:
    """The names of what `field(...)` is given; None for another value."""
    if isinstance(value, ast.Call) and _name(value.func) == "field":
        return [str(one.arg) for one in value.keywords if not (one.arg == "init" and _literal(one.value) is True)]
    return None


def _name(node: ast.expr) -> str:
    """The last part of a name, as `Literal` of `typing.Literal`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _literal(node: ast.expr | None) -> Any:
    """A value that is written out, with tuples as lists; _NONE for another."""
    if node is None:
        return _NONE
    try:
        return _in_json(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NONE


def _in_json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_in_json(item) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _in_json(item) for name, item in value.items()}
    raise ValueError("no value of JSON")


def kind_within(kind: Kind, names: list[str]) -> Kind | None:
    """Return the kind of what dotted names lead to, `lr` of `opt.lr`; None where a dataclass has no such field."""
    if not names:
        return kind
    if isinstance(kind, Record):
        return kind_within(kind.fields[names[0]][0], names[1:]) if names[0] in kind.fields else None
    if isinstance(kind, Entries):
        return kind_within(kind.values, names[1:])
    if isinstance(kind, Either):
        inner = [kind_within(one, names) for one in kind.kinds if isinstance(one, Record | Entries)]
        found = [one for one in inner if one is not None]
        return _either(found) if found else None
    return Kind() if type(kind) is Kind else None


def fields_of(kind: Kind) -> list[str]:
    """Return the names that may stand behind the dot of a dataclass, for hints."""
    if isinstance(kind, Record):
        return [*kind.fields]
    return [name for one in kind.kinds for name in fields_of(one)] if isinstance(kind, Either) else []
