"""What a value of a parameter can be."""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Number: TypeAlias = int | float
