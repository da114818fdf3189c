"""Kinds of arguments: what a value must be, and how what a file says becomes it.

Made from a source that is read (to check values before anything runs) and from the functions themselves (to call them).
"""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


class Misfit(Exception):  # noqa: N818
    """A value that is not of its kind; the text says what it should be."""


def written(value: "Any") -> str:
    """Return a value as a file has it."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


class Kind:
    """Anything."""

    name = "anything"

    def convert(self, value: "Any") -> "Any":
        """Return the value as the function gets it. Raises Misfit."""
        return value

    def refuse(self, value: "Any") -> Misfit:
        """Return the error for a value of another kind."""
        return Misfit("%s is not %s" % (written(value), self.name))


class Plain(Kind):
    """`bool`, `int`, `float`, `str` or None."""

    NAMES = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text", "None": "null"}

    def __init__(self, of: str) -> None:
        self.of = of
        self.name = self.NAMES[of]

    def convert(self, value: "Any") -> "Any":
        """Return the value; whole numbers as floats where those are wanted, and the other way round."""
        found = "None" if value is None else type(value).__name__
        if found == self.of:
            return value
        if self.of == "float" and found == "int":
            return float(value)
        if self.of == "int" and found == "float" and value.is_integer():
            return int(value)
        raise self.refuse(value)


class OneOf(Kind):
    """One of some values, as `Literal` has them."""

    def __init__(self, values: "Sequence[Any]") -> None:
        self.values = list(values)
        self.name = "one of " + ", ".join(map(written, self.values))

    def convert(self, value: "Any") -> "Any":
        """Return the value."""
        for one in self.values:
            if one == value and type(one) is type(value):
                return one
        raise self.refuse(value)


class Member(Kind):
    """A member of an Enum, by its value or its name. members: value by name. make: from the name."""

    def __init__(self, members: "Mapping[str, Any]", make: "Callable[[str], Any]") -> None:
        self.members = members
        self.make = make
        self.name = "one of " + ", ".join(members)

    def convert(self, value: "Any") -> "Any":
        """Return the member."""
        for name, own in self.members.items():
            if own == value and type(own) is type(value):
                return self.make(name)
        if isinstance(value, str) and value in self.members:
            return self.make(value)
        raise self.refuse(value)


class Items(Kind):
    """A list, or what is made from one. items: the kind of each, or of all that follow the last."""

    def __init__(self, items: "Sequence[Kind]", fixed: bool, make: "Callable[[list[Any]], Any]", name: str) -> None:
        self.items = items
        self.fixed = fixed
        self.make = make
        self.name = name

    def convert(self, value: "Any") -> "Any":
        """Return the list, or what is made from it."""
        if not isinstance(value, list):
            raise self.refuse(value)
        if self.fixed and len(value) != len(self.items):
            raise Misfit("%s has %d items, not %d" % (written(value), len(value), len(self.items)))
        kinds = self.items if self.fixed else [self.items[0]] * len(value)
        return self.make([kind.convert(item) for kind, item in zip(kinds, value)])


class Entries(Kind):
    """A dict. values: the kind of each value."""

    name = "a mapping"

    def __init__(self, values: Kind) -> None:
        self.values = values

    def convert(self, value: "Any") -> "Any":
        """Return the dict."""
        if not isinstance(value, dict):
            raise self.refuse(value)
        return {name: within(name, self.values, item) for name, item in value.items()}


class Record(Kind):
    """A dataclass. fields: kind, and whether it has no default, by name."""

    def __init__(self, name: str, fields: "Mapping[str, tuple[Kind, bool]]", make: "Callable[..., Any]") -> None:
        self.fields = fields
        self.make = make
        self.name = "%s (%s)" % (name, ", ".join(fields))

    def convert(self, value: "Any") -> "Any":
        """Return an instance."""
        if not isinstance(value, dict):
            raise self.refuse(value)
        # What a combination leaves out is null.
        value = {name: item for name, item in value.items() if item is not None or self.fields.get(name, (0, False))[1]}
        for name in value:
            if name not in self.fields:
                raise Misfit("%s is no field of %s" % (name, self.name))
        for name, (_, required) in self.fields.items():
            if required and name not in value:
                raise Misfit("%s is missing in %s" % (name, self.name))
        return self.make(**{name: within(name, self.fields[name][0], item) for name, item in value.items()})


class Either(Kind):
    """One of several kinds: the first that the value is as it stands, else the first that it can become."""

    def __init__(self, kinds: "Sequence[Kind]") -> None:
        self.kinds = kinds
        self.name = " or ".join(dict.fromkeys(kind.name for kind in kinds))

    def convert(self, value: "Any") -> "Any":
        """Return what the kind makes of it."""
        fitting = []
        reasons = []
        for kind in self.kinds:
            try:
                found = kind.convert(value)
            except Misfit as error:
                reasons.append(str(error))
                continue
            if type(found) is type(value) and found == value:
                return found
            fitting.append(found)
        if fitting:
            return fitting[0]
        records = [why for kind, why in zip(self.kinds, reasons) if isinstance(kind, Record)]
        if isinstance(value, dict) and len(records) == 1:
            raise Misfit(records[0])
        raise self.refuse(value)


def within(name: str, kind: Kind, value: "Any") -> "Any":
    """Convert the value of a name; an error says the name."""
    try:
        return kind.convert(value)
    except Misfit as error:
        raise Misfit("%s: %s" % (name, error))
