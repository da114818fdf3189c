"""The tables of a lab and their columns, for `.schema`."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.experiment.duckdb_tables import in_quotes
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.export.described import describe_columns
from tui_lab.results.sql.database import Database
from tui_lab.results.sql.errors import QueryError
from tui_lab.results.tables import Results, refresh

_SCHEMA: Final = dict.fromkeys(("table", "column", "type", "kind", "unit", "goal"), pl.String)


def schema(database: Database, table: str | None = None) -> pl.DataFrame:
    """A row for each column: table, column, type in SQL, kind (parameter, metric, fact, value), unit and
    goal.

    Of one table, or of every experiment's (`NAME_tasks` has the columns of `NAME`), with the steps and rows
    of the current one. Raises QueryError for an unknown table.
    """
    known = database.tables()
    if table is not None:
        found = next((one for one in known if one.lower() == table.lower()), None)
        if found is None:
            hint = suggest(table, known) or f"there are {', '.join(known)}"
            raise QueryError(f'there is no table "{table}"', hint=hint)
        return _columns(database, found, known[found])
    current = known.get("results")
    names = [experiment for experiment in known if known[experiment] == experiment]
    chosen = [(experiment, experiment) for experiment in names]
    chosen += [(f"{current}{ending}", current) for ending in ("_steps", "_rows") if current]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *(_columns(database, *one) for one in chosen)])


def _columns(database: Database, table: str, experiment: str) -> pl.DataFrame:
    described = database.query(f"DESCRIBE SELECT * FROM {in_quotes(table)}")
    columns, types = described["column_name"].to_list(), described["column_type"].to_list()
    about = {}
    if experiment:
        results: Results = refresh(database.lab.experiment(experiment))
        about = describe_columns(results, columns)
    rows = [
        [table, column, kind, *(about.get(column, {}).get(key) for key in ("kind", "unit", "goal"))]
        for column, kind in zip(columns, types, strict=True)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
