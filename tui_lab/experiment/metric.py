"""Models of what is read from a task's output."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from tui_lab.experiment.record import Model, Texts, documented

Take = Literal["last", "first", "min", "max", "mean", "median", "sd", "sum", "count", "all"]
MetricType = Literal["float", "int", "str", "bool"]
Goal = Literal["min", "max"]
Decimal = Literal[".", ","]
Thousands = Literal[",", ".", "'", " ", "_"]


# Keys that `metrics` and `rows` have in common.
_DECIMAL: Final = Texts("Decimal mark, if it is not a point.", [","])
_THOUSANDS: Final = Texts("Thousands separator. Without it, `1,234` is not a number.", [",", ".", "'", " "])
_DELIMITER: Final = Texts(
    "Delimiter of the CSV file; a blank means any number of blanks and tabs. "
    "Default: the one of comma, semicolon and tab that the header has most of.",
    ["||", " "],
)
_COMMENT: Final = Texts("Lines of the CSV file that begin with it are left out.", ["#"])
_SKIP: Final = Texts("Lines of the CSV file before its header.", [3])


class Metric(Model):
    """An output value. In the file, `source` is written `from` and `json_file` is written `json`."""

    renamed: ClassVar[dict[str, str]] = {"source": "from", "json_file": "json"}

    pattern: str | None = documented(
        default=None,
        description="Regular expression with one group, searched in each line, "
        "or in the whole output if it contains `\\n`.",
        examples=["Loss: (@float@)"],
    )
    take: Take = documented(default="last", description="Which of several matches counts, or how they are combined.")
    source: str = documented(
        default="stdout",
        description="Where to look: `stdout`, `stderr` or a file in `{output}`.",
        examples=["stderr"],
    )
    type: MetricType | None = documented(
        default=None, description="Type of the column, if the pattern does not say it."
    )
    unit: str | None = documented(
        default=None, description="Unit of the values; quantities are converted to it.", examples=["MB/s"]
    )
    decimal: Decimal | None = documented(default=None, texts=_DECIMAL)
    thousands: Thousands | None = documented(default=None, texts=_THOUSANDS)
    goal: Goal | None = documented(default=None, description="Which values are better: small or large ones.")
    json_file: str | None = documented(
        default=None,
        description="Read a JSON file in `{output}`, or JSON on `stdout`.",
        examples=["result.json"],
    )
    path: str | None = documented(
        default=None,
        description="Place in the JSON; `$` is all of it. Needed with `json`.",
        examples=["$.test.acc"],
    )
    csv: str | None = documented(default=None, description="Read a CSV file in `{output}`.", examples=["history.csv"])
    column: str | None = documented(
        default=None, description="Column of the CSV file. Needed with `csv`.", examples=["val_loss"]
    )
    delimiter: str | None = documented(default=None, texts=_DELIMITER)
    comment: str | None = documented(default=None, texts=_COMMENT)
    skip: int | None = documented(default=None, texts=_SKIP)
    sql: str | None = documented(
        default=None, description="SQL expression over the other metrics.", examples=["in_size / out_size"]
    )
    run: str | None = documented(
        default=None,
        description="Command whose output the pattern is searched in.",
        examples=["h5dump -d loss out.h5"],
    )


class Rows(Model):
    """Many rows per task. In the file, `source` is written `from`."""

    renamed: ClassVar[dict[str, str]] = {"source": "from"}

    pattern: str | None = documented(
        default=None,
        description="Regular expression with named groups: each match is a row.",
        examples=["(?P<epoch>@int@)"],
    )
    csv: str | None = documented(default=None, description="A CSV file in `{output}`: each line is a row.")
    each: str | None = documented(
        default=None,
        description="Regular expression: a row begins at each line that it matches, and its columns are the metrics "
        "that are patterns over the same output.",
        examples=["^Epoch"],
    )
    source: str = documented(default="stdout", description="Where the pattern looks: `stdout`, `stderr` or a file.")
    decimal: Decimal | None = documented(default=None, texts=_DECIMAL)
    thousands: Thousands | None = documented(default=None, texts=_THOUSANDS)
    delimiter: str | None = documented(default=None, texts=_DELIMITER)
    comment: str | None = documented(default=None, texts=_COMMENT)
    skip: int | None = documented(default=None, texts=_SKIP)
