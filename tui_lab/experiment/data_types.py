"""Types of data whose shape no class can say: JSON documents, and rows of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value that is written, and not looked into again."""
JsonObject: TypeAlias = "dict[str, Json]"
Row: TypeAlias = dict[str, Any]
"""A row of a frame, by column. Parameters and metrics are what an experiment calls them, and of any type, so this can't
be narrower."""
