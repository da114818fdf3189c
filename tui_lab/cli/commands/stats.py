"""`tui-lab stats`: which setting is best, and how sure that is."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.cli.options import FORMATS, Parser, add_common, add_json, examples, lab_to_read, print_json, read_goals
from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE
from tui_lab.results.terminal.guard import console as new_console

if TYPE_CHECKING:
    from rich.text import Text

    from tui_lab.results.charts.model import Goal
    from tui_lab.results.statistics.importance import Importance
    from tui_lab.results.statistics.report import MetricReport, Options, Report
    from tui_lab.results.statistics.sides import Side
    from tui_lab.results.tables import Results

ROWS: Final = 15
_EPILOG: Final = examples(
    ("tui-lab stats", "the newest experiment, best setting first"),
    ("tui-lab stats --by activation", "averaged over everything else"),
    ("tui-lab stats --per dataset", "the best setting for each data set"),
    ("tui-lab stats --baseline 'lr=0.1 opt=sgd'", "differences from one setting, with tests"),
    ("tui-lab stats grid@2 --against grid@1", "two versions, experiments or CSV files"),
    ("tui-lab stats --metric loss@last --goal min", "the last of the values by step"),
    ("tui-lab stats --pareto test_acc duration", "settings that no other beats in both"),
    ("tui-lab stats --importance", "which parameter matters most"),
)


def _parser() -> Parser:
    parser = Parser("stats", description="Show which setting is best, and how sure that is.", epilog=_EPILOG)
    parser.add_argument(
        "experiment",
        nargs="?",
        metavar="EXPERIMENT",
        help="default: the newest; with --against also EXPERIMENT@VERSION or a CSV file",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--by", metavar="P,...", help="parameters that make a setting (default: all that vary but `seed`)"
    )
    what.add_argument("--per", metavar="P", help="the best setting for each value of a parameter, judged separately")
    what.add_argument(
        "--where", metavar="SQL", help="only tasks for which this is true, as in `lr < 0.1 AND opt = 'sgd'`"
    )
    what.add_argument(
        "--metric",
        metavar="M,...",
        help="metrics, facts such as duration, or NAME@last, NAME@best, NAME@10 of values by step",
    )
    what.add_argument(
        "--goal", metavar="[M=]min|max", help="what is better, if the file does not say (M=min,M=max,...)"
    )
    what.add_argument("--baseline", metavar="SETTING", help="compare with this: `lr=0.1 opt=sgd`, or a SQL condition")
    what.add_argument(
        "--against",
        metavar="B",
        help="compare equal settings with another experiment, a version (grid@1) or a CSV file",
    )
    what.add_argument("--pareto", nargs=2, metavar=("M1", "M2"), help="the Pareto front of two metrics")
    what.add_argument(
        "--importance", action="store_true", help="the share of the variance that each parameter explains"
    )
    what.add_argument(
        "--allow-incomplete",
        action="store_true",
        help="let a setting be best even if some of its repeats are NaN, null, failed or unfinished",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--ci", type=_level, default=0.95, metavar="LEVEL", help="confidence (default: 0.95)")
    how.add_argument(
        "--bootstrap",
        nargs="?",
        type=_resamples,
        const=10_000,
        metavar="N",
        help="intervals by N (10000) bootstrap resamples instead of Student's t, of 8 values or more; reproducible",
    )
    how.add_argument("--percentile", action="store_true", help="the bootstrap's plain percentiles (default: BCa)")
    pairing = how.add_mutually_exclusive_group()
    pairing.add_argument(
        "--paired",
        dest="pairing",
        action="store_const",
        const="paired",
        default="auto",
        help="compare within pairs of equal repeats (default: if they share a seed)",
    )
    pairing.add_argument("--unpaired", dest="pairing", action="store_const", const="unpaired", help="never pair")
    how.add_argument(
        "--correction",
        choices=("holm", "bh", "bonferroni", "none"),
        default="holm",
        help="correction of p-values for their number (default: holm)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format", choices=FORMATS, help="default: by the ending of -o; a table on a terminal; else CSV"
    )
    output.add_argument("-o", "--output", metavar="FILE", help="write there")
    output.add_argument(
        "--limit", type=int, metavar="N", help=f"settings in a table (default: {ROWS}) or in Markdown (all); 0: all"
    )
    add_json(parser)
    add_common(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run `tui-lab stats`; return the exit status."""
    args = _parser().parse_args(_with_count(arguments))

    from tui_lab.client.address import newest
    from tui_lab.client.reading import reading
    from tui_lab.results.export.output import OutputError, choose_format
    from tui_lab.results.statistics.errors import StatisticsError
    from tui_lab.results.tables import refresh

    if args.output and not args.format:
        try:
            choose_format(Path(args.output), False)
        except OutputError as error:
            raise UsageError(str(error)) from None
    if args.against is not None:
        try:
            return _against(args)
        except (StatisticsError, OutputError) as error:
            raise UsageError(str(error)) from None
    if args.experiment is not None and (versions := re.fullmatch(r"(.+)@[0-9]+", args.experiment)):
        raise UsageError(f"versions are compared, as in {args.experiment} --against {versions[1]}@1")
    lab = lab_to_read(args)
    folder = lab.experiment(args.experiment) if args.experiment else newest(lab)
    with reading(folder.name, quiet=args.json) as progress:
        results = refresh(folder, progress)
    try:
        return _answer(results, args)
    except (StatisticsError, OutputError) as error:
        raise UsageError(str(error)) from None


def _answer(results: Results, args: argparse.Namespace) -> int:
    from tui_lab.results.export.output import choose_format
    from tui_lab.results.statistics.document import document, front_frame, importance_frame, method, pareto_front
    from tui_lab.results.statistics.report import make
    from tui_lab.results.statistics.warnings import warnings

    if args.per:
        return _per(results, args)
    report = make(results, _options(results, args))
    front = pareto_front(report) if args.pareto else None
    explained = _importance(report, args) if args.importance else None
    file = Path(args.output) if args.output else None
    format = args.format or choose_format(file, sys.stdout.isatty())
    texts = warnings(report, _shown_metrics(report, args) if format == "table" and not args.json else None)
    if args.json:
        print_json(document(report, front, explained, texts))
        return DONE
    if format == "table":
        _print(report, args, front, explained, texts, file)
        return DONE
    from tui_lab.results.export.described import describe_statistics, paper_table, write_described
    from tui_lab.results.statistics.frame import frame

    if front is not None and explained is not None:
        raise UsageError("--pareto and --importance are two tables: choose one of them, or --json")
    if explained is not None:
        found = importance_frame(explained)
    elif front is not None:
        found = front_frame(report, front)
    else:
        found = paper_table(report) if format == "markdown" else frame(report)
        if format == "markdown" and args.limit:
            found = found.head(args.limit)
    about = {"experiment": report.name, **method(report)}
    write_described(found, format, file, about, describe_statistics(report, found))
    for line in texts:
        print(f"note: {line}", file=sys.stderr)
    return DONE


def _per(results: Results, args: argparse.Namespace) -> int:
    """The best setting for each value of a parameter."""
    from tui_lab.results.export.described import describe_statistics, paper_table, write_described
    from tui_lab.results.export.output import choose_format
    from tui_lab.results.statistics.document import document_per, method
    from tui_lab.results.statistics.frame import frame, frame_per
    from tui_lab.results.statistics.per_table import per_lines
    from tui_lab.results.statistics.report import make_per
    from tui_lab.results.statistics.warnings import warnings, warnings_per

    if args.pareto or args.importance:
        raise UsageError(
            f"--per can't be combined with {'--pareto' if args.pareto else '--importance'}; use --where for one value"
        )
    reports = make_per(results, _options(results, args), args.per)
    file = Path(args.output) if args.output else None
    format = args.format or choose_format(file, sys.stdout.isatty())
    names = [metric.name for metric in _shown_metrics(reports[0], args)]
    shown = [[one for one in report.metrics if one.name in names] for report in reports]
    all_of_it = args.json or format != "table"
    texts = [warnings(report, None if all_of_it else one) for report, one in zip(reports, shown, strict=True)]
    if args.json:
        print_json(document_per(reports, texts))
        return DONE
    if format == "table":
        _write_table(file, lambda width: (line for name in names for line in per_lines(reports, name, width)))
        _tell(warnings_per(reports, texts))
        return DONE
    found = frame_per(reports, [paper_table(one) if format == "markdown" else frame(one) for one in reports])
    about = {"experiment": results.name, "per": args.per, **method(reports[0])}
    write_described(found, format, file, about, describe_statistics(reports[0], found))
    for line in warnings_per(reports, texts):
        print(f"note: {line}", file=sys.stderr)
    return DONE


def _against(args: argparse.Namespace) -> int:
    """Two experiments, versions or files."""
    from tui_lab.results.export.output import choose_format, write
    from tui_lab.results.statistics.against import compare, document, frame
    from tui_lab.results.statistics.against_table import against_lines

    for option in ("per", "baseline", "pareto", "importance", "allow_incomplete"):
        if getattr(args, option):
            raise UsageError(f"--against can't be combined with --{option.replace('_', '-')}")
    sides = [_side(args, args.experiment), _side(args, args.against)]
    if sides[0].label == sides[1].label:
        raise UsageError(f"stats --against: both sides are {sides[0].label}; there is nothing to compare")
    first = next((side.results for side in sides if side.results is not None), None)
    found = compare(sides[0], sides[1], _options(first, args))
    file = Path(args.output) if args.output else None
    format = args.format or choose_format(file, sys.stdout.isatty())
    if args.json:
        print_json(document(found))
        return DONE
    if format != "table":
        write(frame(found), format, file)
        for note in found.notes:
            print(f"note: {note}", file=sys.stderr)
        return DONE
    limit = ROWS if args.limit is None else args.limit
    _write_table(file, lambda width: against_lines(found, width, limit))
    _tell(found.notes)
    return DONE


def _side(args: argparse.Namespace, word: str | None) -> Side:
    """`A`, `A@2`, `FILE.csv`, or the newest experiment. Raises UsageError, LabError, StatisticsError."""
    from tui_lab.client.address import newest
    from tui_lab.client.reading import reading
    from tui_lab.results.sql.table_file import TableFileError, read_table
    from tui_lab.results.statistics.sides import side_of, side_of_file
    from tui_lab.results.tables import refresh

    if word is not None and Path(word).suffix.lower() in (".csv", ".tsv", ".parquet", ".pq"):
        try:
            return side_of_file(Path(word), read_table(Path(word)))
        except TableFileError as error:
            raise UsageError(str(error)) from None
    name, _, version = (word or "").partition("@")
    if version and not version.isdigit():
        raise UsageError(f"{word}: a version is a number, as in {name}@1")
    lab = lab_to_read(args)
    folder = lab.experiment(name) if name else newest(lab)
    with reading(folder.name, quiet=args.json) as progress:
        return side_of(refresh(folder, progress), int(version) if version else None)


# --- What was asked


def _level(text: str) -> float:
    try:
        level = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        level = -1
    if not 0.5 <= level < 1:
        raise argparse.ArgumentTypeError(
            f"{text} is not a confidence level: it is at least 0.5 and below 1, usually 0.95"
        )
    return level


def _resamples(text: str) -> int:
    if not text.isdigit() or not 100 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text} resamples are not possible: 100 to 10000000 are")
    return int(text)


def _with_count(arguments: Sequence[str]) -> list[str]:
    """Let `--bootstrap grid` mean the experiment grid: only a number is its count."""
    words = list(arguments)
    for place, word in enumerate(arguments):
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        if word == "--bootstrap" and not following.isdigit():
            words[place] = "--bootstrap=10000"
    return words


def _options(results: Results | None, args: argparse.Namespace) -> Options:
    from tui_lab.results.statistics.intervals import Bootstrap
    from tui_lab.results.statistics.report import Options

    metrics = _listed(args.metric)
    if args.pareto:
        metrics = tuple(args.pareto)
    bootstrap = None
    if args.bootstrap or args.percentile:
        bootstrap = Bootstrap(args.bootstrap or 10_000, "percentile" if args.percentile else "BCa")
    return Options(
        by=_listed(args.by),
        metrics=metrics,
        goals=_goals(results, args.goal, metrics),
        baseline=args.baseline,
        level=args.ci,
        bootstrap=bootstrap,
        pairing=args.pairing,
        correction=args.correction,
        allow_incomplete=args.allow_incomplete,
        where=args.where,
    )


def _listed(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _goals(results: Results | None, text: str | None, metrics: tuple[str, ...] | None) -> dict[str, Goal]:
    from tui_lab.results.statistics.settings import leading_metric

    goals: dict[str, Goal] = {}
    leading = None if results is None else leading_metric(results)
    for name, goal in read_goals([text] if text else [], bare=True):
        names = [name] if name else (metrics or ((leading,) if leading else ()))
        goals.update(dict.fromkeys(names, goal))
    return goals


# --- Answers


def _shown_metrics(report: Report, args: argparse.Namespace) -> list[MetricReport]:
    """Return the metrics that get a table: the requested ones, else the leading one."""
    from tui_lab.results.statistics.settings import leading_metric

    if args.metric or args.pareto:
        return report.metrics
    leading = leading_metric(report.results)
    return [metric for metric in report.metrics if metric.name == leading] or report.metrics[:1]


def _importance(report: Report, args: argparse.Namespace) -> dict[str, Importance | None]:
    from tui_lab.results.statistics.errors import StatisticsError
    from tui_lab.results.statistics.importance import importance
    from tui_lab.results.statistics.values import done_values

    if not report.settings.by:
        raise UsageError(f"no parameter of {report.name} varies: there is nothing to explain")
    found = {}
    for metric in _shown_metrics(report, args):
        values = done_values(report.results, metric.name, report.options.goals)
        try:
            found[metric.name] = importance(report.settings.table, report.settings.by, values)
        except ValueError as error:
            raise StatisticsError(str(error)) from None
    return found


# --- Texts


def _print(
    report: Report,
    args: argparse.Namespace,
    front: list[bool] | None,
    explained: dict[str, Importance | None] | None,
    texts: list[str],
    file: Path | None,
) -> None:

    _write_table(file, lambda width: _lines(report, args, front, explained, width))
    _tell(texts)


def _write_table(file: Path | None, lines: Callable[[int], Iterator[Text]]) -> None:
    """Write lines for a width, to a file or the terminal."""
    if file is not None:
        with open(file, "w", encoding="utf-8") as stream:
            console = new_console(stream, highlight=False, soft_wrap=True, width=200)
            _show(console, lines(console.width))
    else:
        console = new_console(highlight=False, soft_wrap=True)
        _show(console, lines(console.width))


def _tell(texts: Sequence[str]) -> None:
    from tui_lab.results.statistics.columns import wrapped

    errors = new_console(stderr=True, highlight=False, soft_wrap=True)
    for line in texts:
        _show(errors, wrapped(f"! {line}".split(" "), errors.width, style="yellow"))


def _show(console: Any, lines: Iterator[Text]) -> None:
    for line in lines:
        console.print(line)


def _lines(
    report: Report,
    args: argparse.Namespace,
    front: list[bool] | None,
    explained: dict[str, Importance | None] | None,
    width: int,
) -> Iterator[Text]:
    from rich.text import Text

    from tui_lab.results.statistics import table as table

    shown = _shown_metrics(report, args)
    if front is not None:
        yield from table.pareto_lines(report, (report.metrics[0], report.metrics[1]), front, width)
    if front is not None and explained is not None:
        yield Text()
    for place, (name, found) in enumerate((explained or {}).items()):
        if place:
            yield Text()
        single = all(sample.n < 2 for metric in report.metrics for sample in metric.samples)
        yield from table.importance_lines(name, found, width, single)
    if front is not None or explained is not None:
        return
    for place, metric in enumerate(shown):
        if place:
            yield Text()
        yield from table.metric_lines(report, metric, width, ROWS if args.limit is None else args.limit)
    if len(report.metrics) > len(shown):
        yield Text()
        yield from table.best_lines(report, report.metrics, width)
