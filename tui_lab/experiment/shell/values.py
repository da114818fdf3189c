"""The values of one task, as a command takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tui_lab.experiment.render import LONGEST, RenderError, Value, render
from tui_lab.experiment.shell.reader import CommandError
from tui_lab.experiment.shell.text import Flag, Group, Part, Place, Raw, walk
from tui_lab.experiment.shell.writers import item_variable, variable

# What bash takes for a number; a name or a subscript it would evaluate further. A number that is known
# only on the node, such as the slot, stands as @@MARK@@ until then.
_NUMBER = re.compile(r"[-+]?(?:\d\w*(?:\.\w*)?|\.\d\w*)(?:(?<=[eE])[-+]\d+)?|@@[\w-]+@@", re.ASCII)


@dataclass(frozen=True, slots=True)
class TaskValues:
    """Values by name; every method raises CommandError where one is missing or cannot be passed."""

    values: Mapping[str, Value]

    def text(self, part: Place | Raw) -> str:
        """What a program receives for `{name}`."""
        text = self._render(part.name, self._value(part), part.offset)
        if isinstance(part, Place) and part.numeric and _NUMBER.fullmatch(text) is None:
            raise CommandError(
                f"the shell does arithmetic with {part.name} here, so it must be a number, not {text[:40]!r}",
                part.offset,
                f"give it to a variable first: value={{{part.name}}}, and use $value",
            )
        return text

    def arguments(self, flag: Flag) -> list[str]:
        """The words that `[name]` stands for."""
        value = self._value(flag)
        if value is None or value is False:
            return []
        items = [] if value is True else value if isinstance(value, list) else [value]
        return [f"--{flag.name}", *(self._render(flag.name, item, flag.offset) for item in items)]

    def given(self, part: Flag | Group) -> bool:
        """Whether a flag or a group is there."""
        names = [part.name] if isinstance(part, Flag) else part.names
        return all(self._present(name, part.offset) for name in names)

    def variables(self, parts: Iterable[Part], widths: Mapping[str, int]) -> dict[str, str]:
        """The environment variables that the shell text for `parts` refers to."""
        found: dict[str, str] = {}
        for part, grouped in walk(parts):
            match part:
                case Place(name=name, offset=offset):
                    absent = grouped and self._named(name, offset) is None
                    added = {variable("P", name): "" if absent else self.text(part)}
                case Flag():
                    added = self._flag(part, widths.get(part.name, 1))
                case Group(names=names, offset=offset):
                    added = {variable("F", name): "1" * self._present(name, offset) for name in names}
                case _:
                    continue
            for name, text in added.items():
                # The name, `=` and a NUL at the end count.
                if len(name) + len(text.encode()) + 2 > LONGEST:
                    raise self._error(part.name if isinstance(part, Place | Flag) else "", part.offset, "is too long")
            found |= added
        return found

    def _flag(self, flag: Flag, width: int) -> dict[str, str]:
        given = self.arguments(flag)
        items = given[1:]
        width = max(1, width)
        if len(items) > width:
            raise self._error(
                flag.name, flag.offset, f"has {len(items)} items, but the command was written for {width}"
            )
        added = {variable("F", flag.name): "1" * bool(given)}
        for index in range(width):
            added[item_variable(flag.name, index)] = "=" + items[index] if index < len(items) else ""
        return added

    def _value(self, part: Place | Raw | Flag) -> Value:
        return self._named(part.name, part.offset)

    def _named(self, name: str, offset: int) -> Value:
        try:
            return self.values[name]
        except KeyError:
            raise CommandError(f"there is no value for {name}", offset) from None

    def _present(self, name: str, offset: int) -> bool:
        value = self._named(name, offset)
        return value is not None and value is not False

    def _render(self, name: str, value: Value, offset: int) -> str:
        try:
            return render(value)
        except RenderError as error:
            hint = f"[{name}] is --{name} VALUE, and nothing where it is null" if value is None else ""
            raise self._error(name, offset, str(error), hint) from None

    def _error(self, name: str, offset: int, what: str, hint: str = "") -> CommandError:
        return CommandError(f"the value of {name} {what}", offset, hint)
