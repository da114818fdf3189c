"""Tables for other tools: Parquet with descriptions of its columns, and Markdown for a paper."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.experiment.data_types import Json, JsonObject
from tui_lab.experiment.duckdb_tables import portable
from tui_lab.results.export.output import Format, not_written, write
from tui_lab.results.statistics.frame import COMPARISON, SUMMARY
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.table import mean_texts
from tui_lab.results.tables import Results

METADATA: Final = "tui_lab"
"""Key in a Parquet file's metadata; its value is JSON with `schema_version`."""
SCHEMA_VERSION: Final = 1

Columns = Mapping[str, Mapping[str, Json]]


def describe_columns(results: Results, columns: Iterable[str]) -> dict[str, JsonObject]:
    """Return the description of each column of an experiment's table: `kind` (parameter, metric or fact), `unit`,
    `goal`, and how a metric was read."""
    names = {column: name for name, column in results.metrics.items()}
    found: dict[str, JsonObject] = {}
    for column in columns:
        about: JsonObject = {}
        if column in results.parameters:
            about["kind"] = "parameter"
        elif column in names:
            metric = results.spec.metrics[names[column]]
            about = {"kind": "metric", "name": names[column], "unit": metric.unit, "goal": metric.goal}
            about["read"] = metric.described()
        elif column in results.tasks.columns or column in ("step", "row"):
            about = {"kind": "fact", "unit": results.unit_of_fact(column)}
        else:
            about["kind"] = "value"
        found[column] = {key: value for key, value in about.items() if value not in (None, {})}
    return found


def describe_statistics(report: Report, frame: pl.DataFrame) -> dict[str, JsonObject]:
    """Return the same for the table of statistics."""
    known = {**SUMMARY, **COMPARISON}
    return {column: {"kind": "statistic" if column in known else "parameter"} for column in frame.columns}


def write_parquet(frame: pl.DataFrame, file: Path, about: Mapping[str, Json], columns: Columns) -> None:
    """A Parquet file whose metadata holds `about` and `columns` as JSON under METADATA. Raises OutputError,
    StorageError."""
    document = {"schema_version": SCHEMA_VERSION, **about, "columns": columns}
    metadata = {METADATA: json.dumps(document, ensure_ascii=False)}
    buffer = io.BytesIO()  # written to a file, Polars' own errors tell no full disk from others
    portable(frame).write_parquet(buffer, metadata=metadata)
    partial = file.with_name(f".{file.name}.partial")
    try:
        try:
            partial.write_bytes(buffer.getbuffer())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(file, error) from error


def write_described(
    frame: pl.DataFrame, format: Format | None, file: Path | None, about: Mapping[str, Json], columns: Columns
) -> str:
    """As `output.write`, with metadata where the format is Parquet and a file is named."""
    parquet = format == "parquet" or (format is None and file is not None and file.suffix.lower() == ".parquet")
    if parquet and file is not None and (file.is_file() or not file.exists()):
        write_parquet(frame, file, about, columns)
        return ""
    return write(frame, format, file)


def paper_table(report: Report) -> pl.DataFrame:
    """A row per setting, ordered by the first metric: parameters, then each metric as `mean ± half`, the best
    in bold."""
    order = report.metrics[0].order
    columns = [report.settings.keys[name].gather(order) for name in report.settings.by]
    taken = set(report.settings.by)
    for metric in report.metrics:
        title = f"{metric.name} [{metric.unit}]" if metric.unit else metric.name
        columns.append(pl.Series(f"{title} (mean)" if title in taken else title, _paper_cells(metric, order)))
    counts = [[metric.summaries[place].n for metric in report.metrics] for place in order]
    asked = [report.metrics[0].asked[place].asked for place in order]
    texts = [str(min(one)) if min(one) == max(one) else f"{min(one)} to {max(one)}" for one in counts]
    texts = [text if min(one) >= of else f"{text} of {of}" for text, one, of in zip(texts, counts, asked, strict=True)]
    if all(text.isdigit() for text in texts):
        columns.append(pl.Series("n" if "n" not in taken else "n (tasks)", [min(one) for one in counts]))
    else:
        columns.append(pl.Series("n" if "n" not in taken else "n (tasks)", texts))
    return pl.DataFrame(columns)


def _paper_cells(metric: MetricReport, order: list[int]) -> list[str]:
    cells = []
    for place, text in zip(order, map(str.strip, mean_texts(metric, order)), strict=True):
        cells.append(f"**{text}**" if place == metric.best else text)
    return cells
