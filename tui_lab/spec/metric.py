"""Models of what is read from a task's output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tui_lab.spec.values import Model

Take = Literal["last", "first", "min", "max", "mean", "median", "sd", "sum", "count", "all"]
MetricType = Literal["float", "int", "str", "bool"]
Goal = Literal["min", "max"]
Decimal = Literal[".", ","]
Thousands = Literal[",", ".", "'", " ", "_"]


# Keys that `metrics` and `rows` have in common.
DecimalKey = Annotated[Decimal | None, Field(description="Mark before decimals, where it is no point.", examples=[","])]
ThousandsKey = Annotated[
    Thousands | None,
    Field(
        description="Mark between thousands. Without it `1,234` is no number.",
        examples=[",", ".", "'", " "],
    ),
]
DelimiterKey = Annotated[
    str | None,
    Field(
        description="What stands between the cells of the CSV file; a blank means any number of blanks and tabs. "
        "Default: the one of comma, semicolon and tab that the header has most of.",
        examples=["||", " "],
    ),
]
CommentKey = Annotated[
    str | None, Field(description="Lines of the CSV file that begin with it are left out.", examples=["#"])
]
SkipKey = Annotated[int | None, Field(description="Lines of the CSV file before its header.", examples=[3])]


class Metric(Model):
    """An output value. In the file, `source` is written `from` and `json_file` is written `json`."""

    pattern: str | None = Field(
        default=None,
        description="Regular expression with one group, tried line by line, or on the whole output where it has `\\n`.",
        examples=["Loss: (@float@)"],
    )
    take: Take = Field(default="last", description="Which of several matches counts, or what to make of them.")
    source: str = Field(
        default="stdout",
        description="Where to look: `stdout`, `stderr` or a file in `{output}`.",
        examples=["stderr"],
    )
    type: MetricType | None = Field(default=None, description="Type of the column, where the pattern does not say.")
    unit: str | None = Field(
        default=None, description="Unit of the values; quantities are converted to it.", examples=["MB/s"]
    )
    decimal: DecimalKey = None
    thousands: ThousandsKey = None
    goal: Goal | None = Field(default=None, description="What is better: less or more.")
    json_file: str | None = Field(
        default=None,
        description="Read a JSON file in `{output}`, or JSON on `stdout`.",
        examples=["result.json"],
    )
    path: str | None = Field(
        default=None,
        description="Place in the JSON; `$` is all of it. Needed with `json`.",
        examples=["$.test.acc"],
    )
    csv: str | None = Field(default=None, description="Read a CSV file in `{output}`.", examples=["history.csv"])
    column: str | None = Field(
        default=None, description="Column of the CSV file. Needed with `csv`.", examples=["val_loss"]
    )
    delimiter: DelimiterKey = None
    comment: CommentKey = None
    skip: SkipKey = None
    sql: str | None = Field(
        default=None, description="SQL expression over the other metrics.", examples=["in_size / out_size"]
    )
    run: str | None = Field(
        default=None,
        description="Command whose output the pattern is tried on.",
        examples=["h5dump -d loss out.h5"],
    )


class Rows(Model):
    """Many rows per task. In the file, `source` is written `from`."""

    pattern: str | None = Field(
        default=None,
        description="Regular expression with named groups: each match is a row.",
        examples=["(?P<epoch>@int@)"],
    )
    csv: str | None = Field(default=None, description="A CSV file in `{output}`: each line is a row.")
    each: str | None = Field(
        default=None,
        description="Regular expression: a row begins at each line that it matches, and its columns are the metrics "
        "that are patterns over the same output.",
        examples=["^Epoch"],
    )
    source: str = Field(default="stdout", description="Where the pattern looks: `stdout`, `stderr` or a file.")
    decimal: DecimalKey = None
    thousands: ThousandsKey = None
    delimiter: DelimiterKey = None
    comment: CommentKey = None
    skip: SkipKey = None
