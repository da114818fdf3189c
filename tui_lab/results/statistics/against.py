"""Two experiments, two versions of one, or two files, compared where their settings are equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final

import polars as pl

from tui_lab.experiment.data_types import JsonObject, Row
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.facts import is_fact, of_steps
from tui_lab.results.numeric.exact import Moments, moments
from tui_lab.results.numeric.whole_numbers import TOO_FAR_APART, beyond_floats, is_rounded, joined
from tui_lab.results.plain import plain_column, shown
from tui_lab.results.statistics.comparison import Comparison, ComparisonMethod, Goal, against, ranked, within_pairs
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.report import MOSTLY, Options, chosen_rows
from tui_lab.results.statistics.resolution import Resolution, resolution, root_mean_square
from tui_lab.results.statistics.sample import Sample, Summary, describe
from tui_lab.results.statistics.settings import Settings
from tui_lab.results.statistics.sides import Side, is_number, joined_runs
from tui_lab.results.statistics.tests import TTest, adjusted, paired_t, t_test, welch
from tui_lab.results.statistics.values import goal_of, unit_of
from tui_lab.store.naming import SEED, parameter_columns

_SIDE: Final = "a side"  # no parameter has a blank in its name
_REPEAT: Final = ("repeat", "repeat_id")


@dataclass(frozen=True)
class MetricComparison:
    """One metric of both sides. Lists are by setting; differences are the first side minus the second."""

    name: str
    unit: str | None
    goal: Goal | None
    keys: pl.DataFrame = field(repr=False)
    """Parameters of the settings that both sides have values of, a row each; no columns where nothing varies."""
    samples: tuple[list[Sample], list[Sample]] = field(repr=False)
    summaries: tuple[list[Summary], list[Summary]] = field(repr=False)
    """Of the values in `samples`, without the offset."""
    comparisons: list[Comparison]
    overall: Comparison | None
    """Over all settings, each counting the same; None for a single one, which says it itself."""
    method: str
    """How `overall` was tested."""
    paired: bool
    known: Resolution
    level: float
    offset: int = 0
    """What is subtracted from the values in `samples`; see there."""

    @cached_property
    def order(self) -> list[int]:
        """Settings, the best of the first side first."""
        return ranked(self.summaries[0], self.goal)

    def verdict(self, found: Comparison) -> str | None:
        """Return `better`, `worse` or `can't tell`, None without a goal or a test."""
        return found.verdict(self.goal, self.level)


@dataclass(frozen=True)
class Against:
    """Two tables of results, compared metric by metric."""

    first: Side
    second: Side
    metrics: list[MetricComparison]
    notes: tuple[str, ...]
    options: Options


def compare(first: Side, second: Side, options: Options) -> Against:
    """Raises StatisticsError where nothing can be compared, with the reason."""
    if options.where is not None:
        first, second = (_where(side, options.where) for side in (first, second))
    _check_apart(first, second)
    names, first, second = _metrics(first, second, options)
    for name in options.goals:
        if name not in names and not (options.metrics is None and is_fact(name)):
            raise StatisticsError(f"--goal {name}: it is not compared; {suggest(name, names) or ', '.join(names)} is")
    by, others, notes = _parameters(first, second, options)
    rows = [_rows(side, place, by, others) for place, side in enumerate((first, second))]
    table = pl.concat(_alike(*rows), how="vertical")
    found = [_versus(first, second, table, by, others, name, options) for name in names]
    for side in (first, second):
        if side.lacking:
            notes.append(f"{side.label} lacks {side.lacking:,} of its tasks: the missing ones may be the worst")
    left_out = {note: None for one, said in found for note in said}
    return Against(first, second, [one for one, _ in found], (*notes, *left_out), options)


# --- What is compared


def _check_apart(first: Side, second: Side) -> None:
    """Raises StatisticsError where both sides have the same tasks."""
    if first.results is None or second.results is None or first.results.folder.path != second.results.folder.path:
        return
    shared = first.table["task_id"].is_in(second.table["task_id"].implode()).sum()
    if shared:
        whole = "the same tasks" if shared == first.table.height == second.table.height else f"{shared:,} equal tasks"
        raise StatisticsError(
            f"{first.label} and {second.label} have {whole}; compare versions by number, as in {first.results.name}@2 "
            f"--against {first.results.name}@1"
        )


def _where(side: Side, where: str) -> Side:
    table = side.table.filter(chosen_rows(side.table, where))
    if not table.height:
        raise StatisticsError(f"--where: no finished task of {side.label} fulfils {where}")
    return replace(side, table=table, lacking=0)


def _metrics(first: Side, second: Side, options: Options) -> tuple[tuple[str, ...], Side, Side]:
    """The metrics to compare, and both sides with their parameters and metrics identified."""
    sides = [first, second]
    for place, other in ((0, second), (1, first)):
        side = sides[place]
        if side.metrics is None:
            numbers = {name: name for name in side.table.columns if is_number(side.table[name])}
            wanted = [*(other.metrics or {}), *(options.metrics or ())]
            metrics = {name: name for name in wanted if name in numbers}
            apart = {*metrics, *wanted, *of_steps(side.table.columns)}
            known = other.parameters if other.parameters is not None else other.table.columns
            parameters = {
                name: name for name in known if name in side.table.columns and name not in apart and not is_fact(name)
            }
            sides[place] = replace(side, metrics=metrics, parameters=parameters)
    first, second = sides
    if options.metrics:
        return options.metrics, first, second
    shared = tuple(name for name in first.metrics or () if name in (second.metrics or ()))
    if not shared:
        has = [f"{side.label} has {', '.join(side.metrics or ()) or 'none that is known'}" for side in sides]
        raise StatisticsError(f"no metric is in both: {' and '.join(has)}; --metric NAME names a column of both")
    return shared, first, second


def _parameters(first: Side, second: Side, options: Options) -> tuple[list[str], list[str], list[str]]:
    """Parameters that make a setting, further ones that both have, and what to say of the rest."""
    sides = (first, second)
    shared = [name for name in first.parameters or () if name in (second.parameters or ()) and name != SEED]
    values = {name: [_values(side, name) for side in sides] for name in shared}
    notes = []
    for name in list(values):
        a, b = values[name]
        if options.by is None and len(a) == len(b) == 1 and a != b:
            notes.append(f"{name} is {a[0]} in {first.label} and {b[0]} in {second.label}")
            shared.remove(name)
    for name in options.by or ():
        if name not in values:
            hint = suggest(name, shared) or f"both have {', '.join(shared) or 'none'}"
            raise StatisticsError(f'--by: "{name}" is no parameter of both; {hint}')
    by = [name for name in shared if len(set(values[name][0] + values[name][1])) > 1]
    by = list(dict.fromkeys(options.by)) if options.by is not None else by
    others = [name for name in shared if name not in by]
    alone = [
        f"{name} of {side.label}"
        for side, other in (sides, sides[::-1])
        for name in side.parameters or ()
        if name not in (other.parameters or ()) and name != SEED and len(_values(side, name)) > 1
    ]
    averaged = [name for name in others if max(map(len, values[name])) > 1] + alone
    if averaged:
        notes.append(f"averaged over {', '.join(averaged)}: each interval includes their effect")
    return by, others, notes


def _values(side: Side, name: str) -> list[str]:
    """The distinct values of a parameter, as text."""
    values = side.table[(side.parameters or {})[name]].unique(maintain_order=True)
    return ["null" if value is None else shown(value) for value in plain_column(values)]


def _rows(side: Side, place: int, by: Sequence[str], others: Sequence[str]) -> pl.DataFrame:
    columns = side.parameters or {}
    ids = side.table["task_id"] if side.results is not None else pl.Series(range(side.table.height))
    return pl.DataFrame(
        [
            *(side.table[columns[name]].alias(name) for name in (*by, *others)),
            side.column(*_REPEAT).alias("its repeat"),
            side.column(SEED).alias("its seed"),
            pl.Series("task_id", ids.cast(pl.Int64)),
            pl.Series(_SIDE, [place] * side.table.height, dtype=pl.Int64),
        ]
    )


def _alike(first: pl.DataFrame, second: pl.DataFrame) -> list[pl.DataFrame]:
    """Both tables with equal types: integers as wide as it takes, else floats, else text."""
    casts: dict[str, pl.DataType] = {}
    for name in first.columns:
        a, b = first[name].dtype, second[name].dtype
        if a != b:
            whole = a.is_integer() and b.is_integer()
            casts[name] = pl.Int128() if whole else pl.Float64() if a.is_numeric() and b.is_numeric() else pl.String()
    found = []
    for table in (first, second):
        columns = []
        for column in table:
            target = casts.get(column.name, column.dtype)
            if target == pl.String and column.dtype != pl.String:
                texts = [None if value is None else shown(value) for value in plain_column(column)]
                columns.append(pl.Series(column.name, texts, dtype=pl.String))
            else:
                columns.append(column.cast(target))
        found.append(pl.DataFrame(columns))
    return found


# --- One metric

_Setting = tuple[Sample, Sample, Summary, Summary]


def _versus(
    first: Side, second: Side, table: pl.DataFrame, by: list[str], others: list[str], name: str, options: Options
) -> tuple[MetricComparison, list[str]]:
    measured = [side.values(name, options.goals) for side in (first, second)]
    values = joined(measured)
    seeds = [set(table.filter(pl.col(_SIDE) == place)["its seed"].drop_nulls()) for place in (0, 1)]
    shared = first.seeded and second.seeded and bool(seeds[0] & seeds[1])
    alike = shared and not (first.exported and second.exported)
    within = (*others, "its repeat", "its seed") if alike else (*others, "its repeat")
    found = Settings(table, (*by, _SIDE), (), within)
    samples = found.samples(values, joined_runs((first, second), name))
    places: dict[tuple[Any, ...], dict[int, int]] = {}
    for place, key in enumerate(found.keys.iter_rows()):
        places.setdefault(key[:-1], {})[key[-1]] = place
    both = [(key, (one[0], one[1])) for key, one in places.items() if len(one) == 2]
    matched = [(key, pair) for key, pair in both if all(samples[place].n for place in pair)]
    if not matched:
        raise StatisticsError(_nothing_in_common(first, second, by, name, bool(both)))
    one, two = ([samples[pair[side]] for _, pair in matched] for side in (0, 1))
    pair = _pairs(one, two, alike or any(table[other].n_unique() > 1 for other in others), options)
    offset = one[0].offset
    known = resolution((sample.values for sample in (*one, *two)), offset)
    summaries = [[describe(s, options.level, options.bootstrap, known) for s in side] for side in (one, two)]
    usual = root_mean_square([within_pairs(a, b) for a, b in zip(one, two, strict=True)]) if pair else 0.0
    how = ComparisonMethod(options.level, options.correction, pair, known, options.bootstrap, usual, offset)
    settings = list(zip(one, two, *summaries, strict=True))
    comparisons = [_compared(setting, how) for setting in settings]
    p_left = iter(adjusted([c.p for c in comparisons if c.p is not None], options.correction))
    rank_left = iter(adjusted([c.p_rank for c in comparisons if c.p_rank is not None], options.correction))
    comparisons = [
        replace(
            c,
            p_adjusted=None if c.p is None else next(p_left),
            p_rank_adjusted=None if c.p_rank is None else next(rank_left),
        )
        for c in comparisons
    ]
    overall, method = (None, "") if len(matched) == 1 else _overall(settings, how, alike, first.seeded, second.seeded)
    schema = {column: found.keys.schema[column] for column in by}
    keys = pl.DataFrame([key for key, _ in matched], schema=schema, orient="row") if by else pl.DataFrame()
    goal, unit = _goal_and_unit(first, second, name, options)
    notes = []
    if beyond_floats(values):
        notes.append(f"{name}: {TOO_FAR_APART}")
    elif any(map(is_rounded, measured)) and not offset:
        notes.append(f"{name}: one side has whole numbers beyond 2^53 and the other has fractions, so both are rounded")
    for place, side in enumerate((first, second)):
        if gone := sum(len(o) == 1 and place in o for o in places.values()):
            notes.append(f"{gone:,} {'settings are' if gone > 1 else 'setting is'} in {side.label} alone")
    if shared and not alike and not pair and options.pairing == "auto":
        notes.append(
            "both files have equal seeds, but do not say that the command takes them; --paired compares within repeats"
        )
    missing = sum(sample.n_nan + sample.n_null for sample in (*one, *two))
    if missing:
        notes.append(f"{name}: {missing:,} values are NaN, infinite or missing, and left out")
    whole = (one, two), (summaries[0], summaries[1])
    versus = MetricComparison(
        name, unit, goal, keys, *whole, comparisons, overall, method, pair, known, options.level, offset
    )
    return versus, notes


def _goal_and_unit(first: Side, second: Side, name: str, options: Options) -> tuple[Goal | None, str | None]:
    for side in (first, second):
        if side.results is not None:
            return goal_of(side.results, name, options.goals), unit_of(side.results, name)
    return options.goals.get(name), None


def _nothing_in_common(first: Side, second: Side, by: Sequence[str], name: str, settings: bool) -> str:
    if settings:
        return f"no setting has values of {name} in both {first.label} and {second.label}"
    apart = [one for one in by if not set(_values(first, one)) & set(_values(second, one))]
    said = "no setting is in both"
    for one in apart[:1]:
        lists = [", ".join(_values(side, one)[:4]) for side in (first, second)]
        said += f": {one} is {lists[0]} in {first.label} and {lists[1]} in {second.label}"
    rest = [one for one in by if one not in apart]
    return f"{said}; --by names the parameters to match" + (f", as in --by {','.join(rest)}" if rest else "")


def _pairs(one: Sequence[Sample], two: Sequence[Sample], alike: bool, options: Options) -> bool:
    """Return whether to compare within pairs: if requested, or if most tasks have a partner of equal seed."""
    if options.pairing == "unpaired":
        return False
    clear = all(len(set(sample.pairs)) == sample.n for sample in (*one, *two))
    partners = sum(len(within_pairs(a, b)) for a, b in zip(one, two, strict=True)) if clear else 0
    if options.pairing == "paired":
        if not clear:
            raise StatisticsError("--paired: some tasks of a setting have equal repeats, so it is unknown which pair")
        if not partners:
            raise StatisticsError("nothing pairs: no repeat is in both; leave --paired out")
        return True
    return alike and 2 * partners > MOSTLY * sum(sample.n for sample in (*one, *two))


def _compared(setting: _Setting, how: ComparisonMethod) -> Comparison:
    one, two, of_one, of_two = setting
    found = against([two, one], [of_two, of_one], 0, how)[1]
    assert found is not None, "both have values"
    return found


# --- All settings together


def _overall(
    settings: Sequence[_Setting], how: ComparisonMethod, alike: bool, *seeded: bool
) -> tuple[Comparison | None, str]:
    """The mean over settings of the difference, and how it was tested.

    Repeats that share their seed are alike in all settings, so their means over the settings are what is independent:
    paired where both sides have these seeds, else by Welch's test. Otherwise the errors of the settings add up. Where
    settings have single values, nothing is known of their scatter but from setting to setting.
    """
    differences = [of_one.mean - of_two.mean for _, _, of_one, of_two in settings
        if of_one.mean is not None and of_two.mean is not None]  # fmt: skip
    mean = math.fsum(differences) / len(differences)
    if how.known.deterministic:
        return Comparison(mean, sure=True), "nothing scatters"
    floor = how.known.floor / math.sqrt(len(settings))
    test: TTest | None = None
    if how.pair and alike:
        blocks = _blocks([list(zip(a.pairs, a.values, strict=True)) for a, _, _, _ in settings],
            [list(zip(b.pairs, b.values, strict=True)) for _, b, _, _ in settings])  # fmt: skip
        if len(blocks[0]) > 1:
            found = moments([a - b for a, b in zip(*blocks, strict=True)])
            spread = max(found.sd or 0.0, floor * math.sqrt(2))
            if spread > 0:
                test = paired_t(Moments(found.n, found.mean, spread), how.level)
                return _of(test, found.n), f"paired t, of the means of {found.n} pairs over all settings"
    elif any(seeded) and not how.pair:
        one = _blocks([list(zip(a.pairs, a.values, strict=True)) for a, _, _, _ in settings])[0]
        two = _blocks([list(zip(b.pairs, b.values, strict=True)) for _, b, _, _ in settings])[0]
        if min(len(one), len(two)) > 1:
            sides = [moments(means) for means in (one, two)]
            of_one, of_two = (Moments(side.n, side.mean, max(side.sd or 0.0, floor)) for side in sides)
            test = welch(of_one, of_two, how.level)
            return _of(test), "Welch's t, of the means of repeats over all settings"
    errors = [_error(setting, how) for setting in settings]
    known = [error for error in errors if error is not None]
    if len(known) == len(settings) and any(se for se, _ in known):
        total = math.sqrt(math.fsum(se * se for se, _ in known))
        df = total**4 / math.fsum(se**4 / df for se, df in known)
        test = t_test(mean, total / len(settings), df, how.level)
        return _of(test), "t of the mean difference, each setting counting the same"
    found = moments(differences)
    if len(differences) > 1 and found.sd:
        test = paired_t(found, how.level)
        return _of(test), "paired t over settings, as if these were drawn at random"
    return Comparison(mean), "not tested"


def _blocks(*sides: Sequence[Sequence[tuple[int, float]]]) -> list[list[float]]:
    """For each side the means over its settings of the pairs that all settings of all sides have."""
    tables = [[dict(setting) for setting in side] for side in sides]
    shared = set.intersection(*(set(table) for side in tables for table in side))
    return [[math.fsum(table[pair] for table in side) / len(side) for pair in sorted(shared)] for side in tables]


def _error(setting: _Setting, how: ComparisonMethod) -> tuple[float, float] | None:
    """Return standard error and degrees of freedom of the difference in one setting; None where they are unknown."""
    one, two, of_one, of_two = setting
    differences = within_pairs(one, two) if how.pair else []
    if len(differences) > 1:
        found = moments(differences)
        spread = how.known.spread_of_differences(found.sd, how.usual or 0.0, one.values, two.values)
        return None if spread is None else (spread / math.sqrt(found.n), found.n - 1.0)
    if of_one.moments is None or of_two.moments is None:
        return None
    test = welch(of_one.moments, of_two.moments, how.level)
    if test is None or of_one.moments.se is None or of_two.moments.se is None:
        return None
    return math.hypot(of_one.moments.se, of_two.moments.se), test.df


def _of(test: TTest | None, pairs: int | None = None) -> Comparison | None:
    if test is None:
        return None
    p = test.p
    return Comparison(test.difference, test.low, test.high, pairs=pairs, t=test.t, df=test.df, p=p, p_adjusted=p)


# --- For programs


_NUMBERS: Final = ("n", "mean", "sd", "low", "high")
_FLOATS: Final = {f"{name}_{side}": pl.Float64() for name in _NUMBERS[1:] for side in (1, 2)}
_ROW: Final = (
    *("scope", "metric", "unit", "goal", "verdict"),
    *(f"{name}_{side}" for name in _NUMBERS for side in (1, 2)),
    *(member.name for member in fields(Comparison)),
)


def frame(found: Against) -> pl.DataFrame:
    """A row for each metric and setting, and one for all settings together (`scope`); columns of the first side end
    with `_1`, of the second with `_2`, the rest are as in `stats --baseline`."""
    parts = []
    for metric in found.metrics:
        rows: list[Row] = []
        columns = parameter_columns(metric.keys.columns, _ROW)
        keys = metric.keys.rename(columns).to_dicts() if metric.keys.width else [{}] * len(metric.comparisons)
        everything = [*((place, metric.comparisons[place]) for place in metric.order), (None, metric.overall)]
        for place, compared in everything:
            if compared is None:
                continue
            row: Row = {"scope": "overall"} if place is None else {**keys[place], "scope": "setting"}
            row |= {"metric": metric.name, "unit": metric.unit, "goal": metric.goal}
            for side in (0, 1):
                summary = None if place is None else metric.summaries[side][place].moved(metric.offset)
                row |= {f"{name}_{side + 1}": _number(summary, name) for name in _NUMBERS}
            row |= {key: value for key, value in asdict(compared).items() if key != "sure"}
            row["verdict"] = metric.verdict(compared)
            rows.append(row)
        parts.append(pl.DataFrame(rows, schema_overrides=_FLOATS, infer_schema_length=None))
    return pl.concat(parts, how="diagonal_relaxed")


def _number(summary: Summary | None, name: str) -> float | None:
    """A number of a summary, as the float next to it."""
    value = None if summary is None else getattr(summary, name)
    return value if value is None or name == "n" else float(value)


def document(found: Against) -> JsonObject:
    """Return everything as JSON."""
    return {
        "first": found.first.label,
        "second": found.second.label,
        "level": found.options.level,
        "correction": found.options.correction,
        "where": found.options.where,
        "metrics": [
            {"metric": one.name, "paired": one.paired, "deterministic": one.known.deterministic, "overall": one.method}
            for one in found.metrics
        ],
        "rows": frame(found).to_dicts(),
        "warnings": list(found.notes),
    }
