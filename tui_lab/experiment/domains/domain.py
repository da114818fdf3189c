"""The values that a parameter may take: what every kind of domain is, and values that are written out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.values import as_floats, same_numbers
from tui_lab.experiment.record import Model
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from tui_lab.experiment.domains.draws import Words

_CALL: Final = re.compile(r"(?:np\.|numpy\.)?([a-z_]+)\((.*)\)")


class Domain(Model):
    """A set of values in order, or a distribution. In the file a mapping of one key, the kind.

    The docstring of a kind is its text in the reference and in the JSON Schema.
    """

    kind: ClassVar[str]
    example: ClassVar[str]
    """What stands behind the kind, as YAML on one line."""
    schema: ClassVar[Schema]
    """JSON Schema of what stands behind the kind."""
    elsewhere: ClassVar[tuple[str, ...]] = ()
    """What other tools call it."""
    drawn: ClassVar[bool] = False
    """Whether its values are drawn at random, so that an experiment needs `sample`."""
    listed: ClassVar[bool] = True
    """Whether the file says all of its values, in order. False for what is only drawn."""
    as_written: ClassVar[bool] = False
    """Whether its values stand in the file as they are, in a list."""
    bundles: ClassVar[bool] = False
    """Whether its values are names, each of which sets further parameters."""

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return the domain at a path, or None after noting what is wrong."""
        raise NotImplementedError

    @classmethod
    def written_in(cls, text: str) -> str | None:
        """Return what stands in its list if a text looks like a call in Python that means it, `range(0, 3)`."""
        call = _CALL.fullmatch(text)
        return cls.of_call(call[1], call[2]) if call else None

    @classmethod
    def of_call(cls, function: str, arguments: str) -> str | None:
        """Return what stands in its list where a call in Python means it."""
        return arguments.strip() if function == cls.kind else None

    @classmethod
    def inner_paths(cls, r: Reader, path: Keypath) -> Iterator[tuple[str, Keypath]]:
        """Yield the names of parameters that it sets besides its own, and where; badly written ones, too."""
        yield from ()

    def in_file(self) -> Any:
        """Return what stands in the file for it, in Python's terms: its kind, and behind that its only field, or a list
        of all its fields."""
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return {self.kind: values[0] if len(values) == 1 else values}

    @property
    def size(self) -> int | None:
        """How many values it has; None for a continuum."""
        raise NotImplementedError

    @property
    def is_geometric(self) -> bool:
        """Whether equal ratios, not equal differences, are between its values."""
        return False

    def listing(self) -> list[Value]:
        """Return its values as they stand in the file: one that is written twice comes twice. Raises ValueError for a
        continuum, and for too many."""
        raise ValueError(f"{self.kind} can't be listed: it is drawn from a continuum")

    # --- Numbers that are drawn, and that no plan lists

    @property
    def dtype(self) -> pl.DataType | None:
        """The type of the column that its draws make; None where they are made of its listing."""
        return None

    def draw(self, bits: Words) -> npt.NDArray[Any]:
        """Return the number that each word of random bits stands for."""
        raise NotImplementedError

    def at(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the numbers at these places, counted from 0, of a domain that has a size."""
        raise NotImplementedError

    # --- Further parameters that its values set

    @property
    def inner_names(self) -> tuple[str, ...]:
        """The parameters that its values set besides its own."""
        return ()

    def inner_values(self, name: str, default: Value) -> list[Value]:
        """Return the value of such a parameter for each of its own."""
        raise KeyError(name)

    def without(self, name: str) -> Domain:
        """Return the domain that no longer sets such a parameter."""
        return self

    # --- Values of the command line in place of its own

    def chosen(self, places: Sequence[int]) -> Domain:
        """Return the domain of the values at these places."""
        values = self.listing()
        return Listed(values=tuple(values[i] for i in places if i < len(values)))

    def like(self, given: Sequence[Value]) -> list[Value]:
        """Return values with integers as floats, where its own numbers are floats."""
        return in_kind_of(self.listing(), given)


class Listed(Domain):
    """Values written out; a scalar in the file is a list of one."""

    kind: ClassVar[str] = "list"
    as_written: ClassVar[bool] = True
    values: tuple[Value, ...]

    def in_file(self) -> Any:
        return list(self.values)

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def is_geometric(self) -> bool:
        """Whether equal ratios, not equal differences, are between its values."""
        return False

    def listing(self) -> list[Value]:
        return same_numbers(self.values)


def in_kind_of(values: Sequence[Value], given: Sequence[Value]) -> list[Value]:
    """Return the given values, with integers as floats where any of the others is a float."""
    return as_floats(given) if any(isinstance(value, float) for value in values) else same_numbers(given)
