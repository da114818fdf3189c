"""SQL over the tables of a lab.

    NAME            done tasks of the newest plan          NAME_tasks   every task ever
    NAME_steps      values by step                         NAME_rows    what `rows` finds
    results         NAME of the current experiment         nodes        samples of the nodes
    'NAME/x.csv'    any CSV, JSON or Parquet file of the lab, by its path from there
    best(...)       and the other macros (see macros.py); ci95(x) is half a confidence interval

A query reads and cannot do anything else: one SELECT (or what means one: FROM, VALUES, WITH, PIVOT,
SUMMARIZE, DESCRIBE, SHOW, and EXPLAIN of one of them); a database in memory; no file outside the lab, no
network, no extension, no variable of this program; and the settings that say so are locked. Only tables that
the query names are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from typing import Final, Literal

import duckdb
import polars as pl

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.duckdb_tables import in_quotes, register, unregister
from tui_lab.experiment.yaml.problem import SpecError, suggest
from tui_lab.results.node_samples import COLUMNS, node_samples
from tui_lab.results.patas_names import with_patas_names
from tui_lab.results.sql import connection, macros
from tui_lab.results.sql.answers import to_frame
from tui_lab.results.sql.connection import MEMORY, SUMMARIES, add_summaries, close, connect, summarised
from tui_lab.results.sql.errors import FILE_TYPES, QueryError, translate
from tui_lab.results.sql.nan import affected, nan_counts
from tui_lab.results.sql.text import Rewritten, Token, mentioned, replace, tokens
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.statistics.settings import numeric_metrics, settings
from tui_lab.results.tables import Results, refresh
from tui_lab.store import layout
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab

__all__ = ["Database", "QueryError", "node_samples", "query"]

SUFFIXES: Final = ("_tasks", "_steps", "_rows")
_STAGES: Final = "_stages"  # of a table that only experiments with stages have


def query(
    lab: Lab,
    sql: str,
    current: str | None = None,
    warn: Callable[[str], None] | None = None,
    live: bool = True,
) -> pl.DataFrame:
    """Return the answer to one query. Raises QueryError; `warn` is called with warnings about the answer."""
    with Database(lab, current, live) as database:
        return database.query(sql, warn)


class Database:
    """The tables of a lab for any number of queries. Each query sees the lab as it is then.

    `current` is the experiment that `results` means, by default the one with the newest submission; `live`
    includes what running tasks have printed so far (in `NAME_tasks` and `NAME_steps`); `memory` is the most
    that a query may take (`4GB`, or `50%` of the machine's).
    """

    def __init__(self, lab: Lab, current: str | None = None, live: bool = True, memory: str = MEMORY) -> None:
        self.lab = lab
        self.current = current
        self.live = live
        self.memory = memory
        self._connection = connect(lab.path, memory)
        self._loaded: dict[tuple[str, bool], tuple[_Stamp, Results]] = {}
        self._looked: dict[tuple[str, bool], Results] = {}

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        close(self._connection)

    def interrupt(self) -> None:
        """Stop the query that runs in another thread; it raises QueryError."""
        self._connection.interrupt()

    def tables(self) -> dict[str, str]:
        """Every table that a query may name, and the experiment it belongs to (empty for `nodes`)."""
        names = self.lab.experiments()
        found = {f"{name}{suffix}": name for name in names for suffix in ("", *SUFFIXES)}
        found |= {f"{name}{_STAGES}": name for name in names if (self.lab.path / name / layout.STAGES).is_dir()}
        if names:
            found["results"] = self._current(names)
        return {**found, "nodes": ""}

    def query(
        self,
        sql: str,
        warn: Callable[[str], None] | None = None,
        parameters: Mapping[str, Value] | None = None,
        limit: int = 0,
    ) -> pl.DataFrame:
        """The answer to one query, whose `$NAME` are `parameters`; with a `limit` only so many rows of it,
        which is passed to `warn`. Raises QueryError, and what reading the lab raises."""
        self._looked.clear()
        frames: dict[str, pl.DataFrame] = {}
        rewritten = self._with_files(sql, frames)
        known = self.tables()
        given = dict(parameters or {})
        try:
            self._check(sql, rewritten, given)
            names = mentioned(rewritten.text)
            frames.update(self._load(known, names))
            resolutions = self._resolutions(rewritten.text, known, frames)
            add_summaries(self._connection, names & SUMMARIES, known=resolutions)
            for name, frame in frames.items():
                register(self._connection, name, frame)
            try:
                with_knowledge = connection.with_knowledge(rewritten.text, resolutions).text
                answer = self._answer(with_knowledge, rewritten.text, given, limit)
            finally:
                for name in frames:
                    unregister(self._connection, name)
        except duckdb.InterruptException:
            raise QueryError("the query was interrupted") from None
        except duckdb.OutOfMemoryException:
            hint = "ask for fewer rows or columns, or allow more"
            raise QueryError(f"the query needs more memory than it may have ({self.memory})", hint=hint) from None
        except duckdb.Error as error:
            columns = {name: frame.columns for name, frame in frames.items()}
            columns = columns or self._named(known, mentioned(sql))
            raise translate(error, sql, rewritten, known, columns, self._keywords()) from None
        if warn is not None:
            for line in _left_out(self._looked.values(), frames):
                warn(line)
            self._warn_of_nan(rewritten.text, frames, warn)
        if limit and answer.height > limit:
            if warn is not None:
                warn(f"these are the first {limit:,} rows, there are more")
            answer = answer.head(limit)
        return answer

    def check(self, sql: str) -> None:
        """Raises QueryError where a text is no query; names are not checked."""
        try:
            self._check(sql, Rewritten(sql, ()), None)
        except duckdb.Error as error:
            raise translate(error, sql, Rewritten(sql, ()), (), {}, self._keywords()) from None

    def _resolutions(
        self, sql: str, known: Mapping[str, str], frames: Mapping[str, pl.DataFrame]
    ) -> dict[str, Resolution]:
        """What the settings of an experiment tell of the columns whose `ci95` a query asks, where it is plain which
        column that is: by its name in lower case."""
        found = {}
        for column in summarised(sql):
            holders = [name for name, frame in frames.items() if column in map(str.lower, frame.columns)]
            experiment = known.get(holders[0]) if len(holders) == 1 else None
            if not experiment or holders[0] in _other_rows(experiment):
                continue
            results = next(one for (name, _), one in self._looked.items() if name == experiment)
            metrics = (*numeric_metrics(results).values(), *results.measured)
            for name in metrics:
                if name.lower() == column:
                    samples = settings(results).samples(name)
                    found[column] = resolution(
                        (sample.values for sample in samples), samples[0].offset if samples else 0
                    )
        return found

    def _answer(self, text: str, plain: str, parameters: Mapping[str, Value], limit: int) -> pl.DataFrame:
        """The answer to a query; `plain` is the text of which errors name the place."""
        try:
            relation = self._connection.sql(text, params=parameters or None)
            answer = to_frame(relation.limit(limit + 1) if limit else relation)
            return answer.rename(connection.without_knowledge)
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error:
            # A relation's errors have no place; those of the plain way have.
            self._connection.execute(plain, parameters or None).fetchall()
            raise

    def _named(self, known: Mapping[str, str], names: Collection[str]) -> dict[str, list[str]]:
        """What can be known of the columns of a query's tables before anything is loaded."""
        columns = {"nodes": list(COLUMNS)} if "nodes" in names else {}
        for name in {experiment for table, experiment in known.items() if table.lower() in names and experiment}:
            with suppress(LabError, SpecError):
                spec = self.lab.experiment(name).spec()
                columns[name] = [parameter for sweep in spec.parameters for parameter in sweep] + list(spec.metrics)
        return columns

    def _keywords(self) -> set[str]:
        """Words that are no names, or not everywhere."""
        query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        return {str(row[0]).lower() for row in self._connection.execute(query).fetchall()}

    # --- What may run

    def _check(self, sql: str, rewritten: Rewritten, parameters: Mapping[str, Value] | None) -> None:
        statements = self._connection.extract_statements(rewritten.text)
        if not statements:
            raise QueryError("there is no query", hint="for example: SELECT * FROM results")
        if len(statements) > 1:
            second = len(statements[0].query.rstrip())
            raise QueryError("one query at a time", sql, rewritten.origin(second))
        words = list(tokens(rewritten.text))
        statement = statements[0]
        kind = statement.type
        if kind == duckdb.StatementType.EXPLAIN:
            self._check_explained(sql, rewritten, words)
        elif kind != duckdb.StatementType.SELECT and not (
            kind == duckdb.StatementType.MULTI and any(word.text.lower() == "pivot" for word in words)
        ):
            what = str(kind).rpartition(".")[2].replace("_", " ")
            message = f"only SELECT is possible: a query reads and changes nothing, and this is {what}"
            raise QueryError(message, sql, rewritten.origin(words[0].start) if words else None)
        if parameters is not None:
            _check_parameters(set(statement.named_parameters), parameters)

    def _check_explained(self, sql: str, rewritten: Rewritten, words: list[Token]) -> None:
        at = 1
        if at < len(words) and words[at].text.lower() in ("analyze", "analyse", "verbose"):
            at += 1
        if at < len(words) and words[at].text == "(" and words[at].kind == "other":
            while at < len(words) and words[at].text != ")":
                at += 1
            at += 1
        rest = rewritten.text[words[at].start :] if at < len(words) else ""
        inner = self._connection.extract_statements(rest)
        if len(inner) != 1 or inner[0].type != duckdb.StatementType.SELECT:
            raise QueryError("only a SELECT can be explained", sql, rewritten.origin(words[0].start))

    # --- Files and tables

    def _with_files(self, sql: str, frames: dict[str, pl.DataFrame]) -> Rewritten:
        """The query with paths from the lab made absolute, where a table or a reading function takes a
        path, and with macros written out; those that are tables are put into `frames`."""
        words = list(tokens(sql))
        called = list(macros.calls(words))
        pieces = [(call.start, call.end, self._written(call, sql, frames)) for call in called]
        before: list[str] = []
        calls: list[_Call] = []
        for token in words:
            if any(call.start <= token.start < call.end for call in called):
                continue
            if token.text == "(" and token.kind == "other":
                calls.append(_Call(before[-1] if before else ""))
            elif token.text == ")" and token.kind == "other" and calls:
                if (closed := calls.pop()).partitioned and not closed.explicit:
                    pieces.append((token.start, token.start, f", {_AS_IT_IS}"))
            elif token.kind in ("string", "quoted"):
                inside = calls[-1] if calls and calls[-1].reads else None
                named = bool(before) and before[-1] in ("from", "join", ",") and inside is None
                wanted = named or (token.kind == "string" and inside is not None)
                if wanted and (path := self._file(token.text)):
                    written = "'" + path.replace("'", "''") + "'"
                    reader = _reader(path) if "=" in path else ""
                    if inside is not None:
                        inside.partitioned |= "=" in path and inside.name.startswith("read_")
                    elif reader and before[-1] != ",":
                        written = f"(FROM {reader}({written}, {_AS_IT_IS}))"
                    pieces.append((token.start, token.end, written))
            elif calls and token.text.lower() == "hive_partitioning":
                calls[-1].explicit = True
            before = [*before[-1:], token.text.lower()]
        return replace(sql, sorted(pieces))

    def _written(self, call: macros.Call, sql: str, frames: dict[str, pl.DataFrame]) -> str:
        try:
            meant = macros.meant(call, self._experiment)
        except QueryError as error:
            raise QueryError(error.message, sql, call.start, error.hint) from None
        if isinstance(meant, str):
            return f"({meant})"
        name = f"{call.name}({', '.join(call.arguments)})"
        frames[name] = meant
        return f"(FROM {in_quotes(name)})"

    def _experiment(self, name: str | None) -> Results:
        names = self.lab.experiments()
        if not names or (name is not None and name not in names):
            hint = suggest(name or "", names) or (f"there are {', '.join(names)}" if names else "")
            raise QueryError(f'there is no experiment "{name}"' if name else "the lab is empty", hint=hint)
        return self._results(name or self._current(names), False)

    def _results(self, name: str, live: bool) -> Results:
        """The results as they are now; within one query always the same."""
        if (name, live) not in self._looked:
            folder = self.lab.experiment(name)
            stamp = _stamp(folder)
            before = self._loaded.pop((name, live), None)
            if before is not None and before[0] == stamp and before[1].stays:
                results = before[1]
            else:
                results = refresh(folder, live=live)
            self._loaded[name, live] = stamp, results
            self._looked[name, live] = results
        return self._looked[name, live]

    def _file(self, text: str) -> str | None:
        """The absolute path of a file of the lab (or of files, for a glob), if `text` names one; DuckDB takes it for
        a glob, so the signs of one are written out in what is a name."""
        if "\0" in text or text.rsplit(".", 1)[-1].lower() not in FILE_TYPES:
            return None
        path = self.lab.path / text
        try:
            if path.is_file():
                return escape(str(path))
        except OSError:
            return None
        if text.startswith("/") or not any(mark in text for mark in "*?["):
            return None
        return f"{escape(str(self.lab.path))}/{text}"

    def _load(self, known: dict[str, str], names: set[str]) -> dict[str, pl.DataFrame]:
        frames: dict[str, pl.DataFrame] = {}
        for table, experiment in known.items():
            if table.lower() not in names:
                continue
            if table == "nodes":
                frames[table] = node_samples(self.lab.path / layout.NODES_FILE)
                continue
            if table.endswith(_STAGES):
                frames[table] = self._results(experiment, False).stage_runs
                continue
            unfinished = any(f"{experiment}{suffix}".lower() in names for suffix in SUFFIXES)
            ending = "" if table == "results" else table[len(experiment) :]
            results = self._results(experiment, self.live and unfinished)
            frames[table] = with_patas_names(_table(results, ending), results, names)
        return frames

    def _current(self, names: list[str]) -> str:
        if self.current is None:
            return names[-1]
        if self.current not in names:
            hint = suggest(self.current, names) or f"it has {', '.join(names)}"
            raise QueryError(f'there is no experiment "{self.current}" in {self.lab.path}', hint=hint)
        return self.current

    # --- NaN

    def _warn_of_nan(self, sql: str, frames: dict[str, pl.DataFrame], warn: Callable[[str], None]) -> None:
        counts = nan_counts(frames, mentioned(sql))
        if not counts:
            return
        try:
            row = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0]
        except duckdb.Error:
            return
        found = affected(str(row[0]), counts)
        if found:
            listed = ", ".join(f"{name} ({counts[name]})" for name in found)
            warn(
                f"NaN in {listed}: it sorts above every number, and means and sums with it are NaN; "
                f"leave it out with WHERE NOT isnan({_identifier(found[0])})"
            )


_AS_IT_IS: Final = "hive_partitioning=false"  # a folder such as `lr=0.1` makes no column


@dataclass
class _Call:
    """A pair of parentheses in a query, behind the name of a function."""

    name: str
    partitioned: bool = False  # it reads a file below a folder such as `lr=0.1`
    explicit: bool = False  # it says itself whether folders make columns

    @property
    def reads(self) -> bool:
        return bool(re.match(r"read_|sniff_csv|glob$|parquet_|json_", self.name))


def _reader(path: str) -> str:
    """The function that reads a file of this type; empty where DuckDB can tell by more than the name."""
    name = re.sub(r"\.(gz|zst)$", "", path.lower())
    readers = {"csv": "read_csv", "tsv": "read_csv", "parquet": "read_parquet"}
    readers |= dict.fromkeys(("json", "jsonl", "ndjson"), "read_json")
    return readers.get(name.rsplit(".", 1)[-1], "")


def _check_parameters(wanted: set[str], given: Mapping[str, Value]) -> None:
    for name in given:
        if name not in wanted:
            hint = suggest(name, wanted) or (f"it has ${', $'.join(sorted(wanted))}" if wanted else "it has none")
            raise QueryError(f"the query has no parameter ${name}", hint=hint)
    missing = sorted(wanted - set(given))
    if missing:
        raise QueryError(f"the query's parameter ${missing[0]} has no value", hint=f"--param {missing[0]}=VALUE")


_Stamp = tuple[tuple[int, int, int] | None, ...]


def _stamp(folder: ExperimentFolder) -> _Stamp:
    """What changes when an experiment does: of its journal and of metrics set since, identity, size and time."""
    found: list[tuple[int, int, int] | None] = []
    for path in (folder.journal, folder.metrics_file):
        try:
            facts = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def _left_out(results: Iterable[Results], frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """Return the warnings about outputs that could not be read for the tables of a query."""
    lines: dict[str, None] = {}
    for one in results:
        if frames.keys() - {f"{one.name}_steps", f"{one.name}_rows"}:
            lines |= dict.fromkeys(one.left_out())
        for kind in _LONG:
            if f"{one.name}_{kind}" in frames:
                lines |= dict.fromkeys(one.left_out(kind))
    return list(lines)


def _other_rows(experiment: str) -> tuple[str, ...]:
    """Return the tables of an experiment whose rows are no tasks."""
    return (f"{experiment}_steps", f"{experiment}_rows", f"{experiment}{_STAGES}")


_LONG: Final[tuple[Literal["steps", "rows"], ...]] = ("steps", "rows")


def _identifier(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f'"{name}"'


def _table(results: Results, ending: str) -> pl.DataFrame:
    if ending == "_tasks":
        return results.tasks
    if ending == "_steps":
        return results.steps
    return results.rows if ending == "_rows" else results.grid
