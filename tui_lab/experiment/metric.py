"""Models of what is read from a task's output."""

from __future__ import annotations

from typing import Final, Literal

from tui_lab.experiment.record import Fields, Model, Texts, documented, plain
from tui_lab.experiment.row_sources.source import RowSource
from tui_lab.experiment.sources.source import MetricSource

Take = Literal["last", "first", "min", "max", "mean", "median", "sd", "sum", "count", "all"]
MetricType = Literal["float", "int", "str", "bool"]
Goal = Literal["min", "max"]
Decimal = Literal[".", ","]
Thousands = Literal[",", ".", "'", " ", "_"]


# Keys that `metrics` and `rows` have in common.
_DECIMAL: Final = Texts("Decimal mark, if it is not a point.", [","])
_THOUSANDS: Final = Texts("Thousands separator. Without it, `1,234` is not a number.", [",", ".", "'", " "])


class Metric(Model):
    """An output value: where it is, and what becomes of what is found there."""

    source: MetricSource
    """In the file its keys stand among those of the metric."""
    take: Take = documented(default="last", description="Which of several matches counts, or how they are combined.")
    type: MetricType | None = documented(
        default=None, description="Type of the column, if the pattern does not say it."
    )
    unit: str | None = documented(
        default=None, description="Unit of the values; quantities are converted to it.", examples=["MB/s"]
    )
    decimal: Decimal | None = documented(default=None, texts=_DECIMAL)
    thousands: Thousands | None = documented(default=None, texts=_THOUSANDS)
    goal: Goal | None = documented(default=None, description="Which values are better: small or large ones.")
    stage: str | None = documented(
        default=None,
        description="With stages, the one in whose outputs the value is; by default the last. Each run is read once, "
        "and is one observation for statistics.",
        examples=["prepare"],
    )

    def definition(self) -> Fields:
        """Return all that decides its values, in JSON's types."""
        return {
            "kind": self.source.kind,
            **self.source.definition(),
            **plain(self, leave_out={"source", "goal", *(() if self.stage else ("stage",))}),
        }

    def described(self) -> Fields:
        """Return where and how it is read, but for defaults and its unit."""
        return {
            **plain(self.source, without_defaults=True),
            **plain(self, without_defaults=True, leave_out={"source", "unit", "goal"}),
        }


class Rows(Model):
    """Many rows per task: where they are, and how their numbers are written."""

    source: RowSource
    """In the file its keys stand among those of `rows`."""
    decimal: Decimal | None = documented(default=None, texts=_DECIMAL)
    thousands: Thousands | None = documented(default=None, texts=_THOUSANDS)

    def definition(self) -> Fields:
        """Return all that decides its rows, in JSON's types, but for metrics that are their columns."""
        return {**self.source.definition(), **plain(self, leave_out={"source"}, without_none=True)}
