"""Errors of statistics."""

from __future__ import annotations

from tui_lab.experiment.error import TuiLabError
from tui_lab.experiment.expressions import expression


class StatisticsError(TuiLabError):
    """A request that the results can't fulfil. The message is one line, and says what to do."""


def pointed(option: str, text: str, error: expression.ExpressionError) -> str:
    """Return what is wrong with the condition of an option, with a mark below the place."""
    place = "" if error.offset is None else f"\n  {text}\n  {' ' * error.offset}^"
    hint = f"; {error.hint}" if error.hint else ""
    return f"{option}: {error.message}{hint}{place}"
