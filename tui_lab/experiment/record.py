"""What models are made of: frozen dataclasses whose fields carry the texts of the reference.

Readers check the file before they make one, at its place; so nothing is checked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import MISSING
from typing import Any, ClassVar, TypeAlias, dataclass_transform, get_type_hints

Fields: TypeAlias = dict[str, Any]
"""What a reader has found of the fields of a model, which has their types."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """What the reference says of a field."""

    description: str
    examples: list[Any] = dataclasses.field(default_factory=list)


def documented(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | Any = MISSING,
    description: str = "",
    examples: Collection[Any] = (),
    texts: Texts | None = None,
) -> Any:
    """A field of a model, and what the reference says of it; `texts` where several fields share that."""
    about = {"texts": texts or Texts(description, list(examples))}
    if default_factory is not MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=about)
    return dataclasses.field(default=default, metadata=about)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(documented, dataclasses.field))
class Model:
    """Frozen, made by keywords, and closed: an unknown one is an error."""

    renamed: ClassVar[dict[str, str]] = {}
    """Keys in the file of fields that are called otherwise here."""

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@dataclasses.dataclass(frozen=True)
class Documented:
    """A key of a file as the reference shows it. default: None where there is none, or an empty one."""

    description: str
    examples: list[Any]
    annotation: Any
    default: Any
    required: bool


def documentation(field: dataclasses.Field[Any], hint: Any, description: str, examples: list[Any]) -> Documented:
    """Return what the reference shows of a field of a model."""
    default = None if field.default is MISSING else field.default
    default = list(default) if isinstance(default, tuple) else default
    return Documented(
        description=description,
        examples=examples,
        annotation=hint,
        default=None if default in ([], {}, "") else default,
        required=field.default is MISSING and field.default_factory is MISSING,
    )


def keys_of(model: type[Model]) -> dict[str, Documented]:
    """Return the fields that a file may give, in order."""
    hints = get_type_hints(model)
    return {
        field.name: documentation(field, hints[field.name], texts.description, texts.examples)
        for field in dataclasses.fields(model)  # type: ignore[arg-type]
        if (texts := field.metadata.get("texts")) is not None
    }


def plain(
    model: Model, *, leave_out: Collection[str] = (), without_none: bool = False, without_defaults: bool = False
) -> Fields:
    """A model as a mapping; so are the models within."""
    defaults = {field.name: field.default for field in dataclasses.fields(model)}  # type: ignore[arg-type]
    return {
        name: value
        for name, value in dataclasses.asdict(model).items()  # type: ignore[call-overload]
        if name not in leave_out
        and not (without_none and value is None)
        and not (without_defaults and value == defaults[name])
    }
