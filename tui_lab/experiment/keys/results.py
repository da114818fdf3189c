"""The keys that say what counts of a task's outputs and files, in the order of the reference."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment import source
from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Rows, Take, Thousands
from tui_lab.experiment.needs import Keep
from tui_lab.experiment.readers.metrics import read_metrics
from tui_lab.experiment.readers.needs import read_globs, read_keep
from tui_lab.experiment.readers.rows import read_rows
from tui_lab.experiment.readers.task import (
    at_least,
    read_description,
    read_run_on,
)
from tui_lab.experiment.record import Documented, keys_of
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_SOURCES
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    QUANTITY,
    TEXT,
    Schema,
    closed,
    closed_object,
    named,
    one_or_many,
    or_null,
    words,
)
from tui_lab.experiment.sources.kinds import KINDS as METRIC_SOURCES
from tui_lab.experiment.yaml.reader import Reader

_MARKS: Final[dict[str, Schema]] = {"decimal": words(Decimal), "thousands": words(Thousands)}
_METRIC_KEYS: Final[dict[str, Schema]] = {
    "take": words(Take),
    "type": words(MetricType),
    "unit": ANY_TEXT,
    **_MARKS,
    "goal": words(Goal),
    "stage": ANY_TEXT,
}


def metric_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of a metric: those of all sources, and those of every metric."""
    return {**source.documented_keys(METRIC_SOURCES), **keys_of(Metric)}


def metric_schema() -> Schema:
    """Return the JSON Schema of a metric: a pattern, or a mapping that says where the value is."""
    return {"anyOf": [TEXT, closed(metric_keys(), {**source.schemas(METRIC_SOURCES), **_METRIC_KEYS})]}


def rows_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of `rows`: those of all sources, and how numbers are written."""
    return {**source.documented_keys(ROW_SOURCES), **keys_of(Rows)}


def rows_schema() -> Schema:
    """Return the JSON Schema of `rows`."""
    return closed(rows_keys(), {**source.schemas(ROW_SOURCES), **_MARKS})


RESULTS: Final = (
    Key(
        "metrics",
        read_metrics,
        or_null(
            named({"$ref": "#/$defs/metric"})
            | {"properties": {"function": {"anyOf": [{"$ref": "#/$defs/metric"}, {"type": "array", "items": TEXT}]}}}
        ),
        "Output values: a pattern, or another source. The first one leads tables and charts. "
        "`function: parsers.py::bleu`, or a list of functions: all values that they return are metrics.",
        examples=[
            {"loss": "Final Loss: (@float@)"},
            {"acc": {"pattern": "Test accuracy: (@float@)", "goal": "max"}},
            {"acc": {"json": "result.json", "path": "$.acc"}},
            {"function": "parsers.py::bleu"},
        ],
    ),
    Key(
        "rows",
        read_rows,
        or_null({"$ref": "#/$defs/rows"}),
        "Many rows per task, in a table of their own.",
        examples=[{"pattern": "epoch (?P<epoch>@int@) loss (?P<loss>@float@)"}, {"csv": "history.csv"}],
    ),
    Key(
        "code",
        read_globs,
        or_null(one_or_many(TEXT)),
        "Globs of the program's files: recorded, compared, sent to nodes that don't share the folder. "
        "Tasks run a read-only copy that is made at the submission. A folder means all in it, without labs, "
        "environments and caches.",
        examples=["*.py", ["main.py", "lib/**"], "."],
        of_stage=True,
        holds="files",
    ),
    Key(
        "inputs",
        read_globs,
        or_null(one_or_many(TEXT)),
        "The same for input files, whose content joins a task's identity.",
        examples=["data/*.csv"],
        of_stage=True,
        holds="files",
    ),
    Key(
        "keep",
        read_keep,
        or_null(
            {
                "anyOf": [
                    *one_or_many(TEXT)["anyOf"],
                    closed_object(Keep, {"globs": or_null(one_or_many(TEXT)), "most": QUANTITY}),
                ]
            }
        ),
        "Files to fetch from a node that does not share the lab's folder; `tui-lab fetch` fetches more.",
        examples=["*.csv", ["*.csv", "plots/**"], {"globs": "*.csv", "most": "500M"}],
        elsewhere=("outputs",),
        of_stage=True,
    ),
    Key(
        "version",
        at_least(1),
        {"type": "integer", "minimum": 1},
        "A higher number makes every task run again.",
        examples=[2],
        of_stage=True,
    ),
    Key(
        "unhashed",
        Reader.texts,
        or_null(one_or_many(TEXT)),
        "Parameters that are no part of a task's identity.",
        examples=["threads", ["threads", "log"]],
        of_stage=True,
        holds="parameters",
    ),
    Key(
        "run_on",
        read_run_on,
        or_null(one_or_many(ANY_TEXT)),
        "Tags that a node must have to be used; `not TAG` for one that it must not have.",
        examples=["gpu", ["gpu", "not slow"]],
        of_stage=True,
    ),
    Key(
        "tags",
        Reader.texts,
        or_null(one_or_many(ANY_TEXT)),
        "Free labels.",
        examples=["draft", ["thesis", "chapter 3"]],
        elsewhere=("labels",),
    ),
    Key(
        "description",
        read_description,
        or_null(ANY_TEXT),
        "Free text.",
        examples=["How wide must the layers be?"],
    ),
)
