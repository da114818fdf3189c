"""The last lines of a run: how it ended, why tasks failed, the best settings, what to type next."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Final, TypedDict

from rich.cells import cell_len
from rich.text import Text

from tui_lab.cli.options import print_json
from tui_lab.client.failures import FailureGroup, failure_groups
from tui_lab.client.formatting import STATE_MARKS, STATE_STYLES, plural, printable, runs, shortened, shown_value
from tui_lab.experiment.domains.model import Value
from tui_lab.results.sql.text import quoted
from tui_lab.results.statistics.report import Options, make
from tui_lab.results.statistics.settings import leading_metric
from tui_lab.results.statistics.table import NOTHING_SCATTERS, incomplete_leaders, mean_texts
from tui_lab.results.tables import Results, refresh
from tui_lab.results.terminal.guard import console as new_console
from tui_lab.store import code_snapshot, fold
from tui_lab.store.errors import LabError
from tui_lab.store.events import Paused
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.spare import counts_without_spare

BEST: Final = 3
GROUPS: Final = 5
NOTES: Final = 3


class BestSetting(TypedDict):
    """A setting with one metric's summary over its repeats, as `--json` has it."""

    text: str
    parameters: Mapping[str, Value]
    n: int
    asked: int
    n_nan: int
    n_infinite: int
    n_null: int
    n_failed: int
    standing: str | None
    mean: float | None
    half: float | None
    low: float | None
    high: float | None


class BestSettings(TypedDict):
    """The best settings by one metric, as `--json` has them."""

    metric: str
    goal: str
    unit: str | None
    best: bool
    tied: int
    untested: int
    deterministic: bool
    why_not: str
    settings: list[BestSetting]


def summarize(folder: ExperimentFolder, args: argparse.Namespace, interrupted: bool) -> bool:
    """Print the summary on standard error, or with --json as one object; whether some planned task failed."""
    state = folder.state()
    counts, spare = counts_without_spare(state)
    failures = failure_groups(folder, state)
    results, trouble = _results(folder, quiet=args.json)
    best = best_settings(results) if results is not None else None
    missed = _missed(folder, results)
    lab = f" --lab {args.lab}" if args.lab else ""
    measured = results is None or bool(results.spec.metrics) or results.spec.rows is not None
    following = next_commands(folder.name, state, counts, lab, measured)
    notes = {task: note for task, note in sorted(state.notes.items()) if state.columns["planned"][task]}
    warnings = [str(warning) for warning in results.all_warnings] if results is not None else [trouble]
    warnings += _beside_the_program(folder, state)
    if args.json:
        print_json(
            {
                "event": "ended",
                "experiment": folder.name,
                "counts": counts,
                "spare": spare,
                "interrupted": interrupted,
                "paused": state.paused,
                "failures": failures,
                "best": best,
                "until": missed,
                "notes": [{"task": task, "note": note} for task, note in notes.items()],
                "warnings": warnings,
                "next": following,
            }
        )
    else:
        _print(folder.name, state, counts, spare, failures, best, warnings, notes, missed, following, lab)
    return counts["failed"] + counts["lost"] > 0 or bool(failures) or state.paused is not None


def _results(folder: ExperimentFolder, quiet: bool) -> tuple[Results | None, str]:
    """The tables, or why there are none: a run that went well does not end in an error of its metrics."""
    from tui_lab.client.reading import reading

    try:
        with reading(folder.name, quiet) as progress:
            return refresh(folder, progress), ""
    except (LabError, OSError) as error:
        return None, f"the results could not be read: {error}"


def _beside_the_program(folder: ExperimentFolder, state: fold.State) -> list[str]:
    """A line on what tasks have written into the copy of the program, where all of them work."""
    code = state.submissions[-1].code if state.submissions else None
    found = code_snapshot.left_behind(folder.path, code) if code is not None else []
    if code is None or not found:
        return []
    first = ", ".join(map(printable, found[:3])) + (", ..." if len(found) > 3 else "")
    what = f"tasks wrote {plural(len(found), 'file')} beside the program ({first}), where all other tasks see them"
    place = printable(str(code_snapshot.snapshot(folder.path, code)))
    return [f"{what}; {{output}} is the task's own folder: {place}"]


def _missed(folder: ExperimentFolder, results: Results | None) -> str:
    """Whether the condition of `until` is left without a hope, or without repeats."""
    if results is None or isinstance(results.spec.repeat, int):
        return ""
    from tui_lab.results.until import unreached

    return unreached(folder, results)


def best_settings(results: Results) -> BestSettings | None:
    """The best settings by the first metric that has a goal; None where none has. `tied` is how many others
    are tied with the best."""
    name = leading_metric(results)
    goal = None if name is None else results.spec.metrics[name].goal
    if name is None or goal is None or not results.grid.height:
        return None
    report = make(results, Options(metrics=(name,)))
    metric = report.metrics[0]
    places = [place for place in metric.order if metric.summaries[place].n][:BEST]
    texts = mean_texts(metric, places)
    return {
        "metric": name,
        "goal": goal,
        "unit": metric.unit,
        "best": metric.best is not None,
        "tied": metric.count("tied"),
        "untested": metric.count("untested"),
        "deterministic": metric.known.deterministic,
        "why_not": incomplete_leaders(report, metric),
        "settings": [
            {
                "text": text,
                "parameters": report.settings.label(place),
                "n": metric.summaries[place].n,
                "asked": metric.asked[place].asked,
                "n_nan": metric.summaries[place].n_nan,
                "n_infinite": metric.summaries[place].n_infinite,
                "n_null": metric.summaries[place].n_null,
                "n_failed": metric.asked[place].failed,
                "standing": metric.standing(place),
                "mean": metric.summaries[place].mean,
                "half": metric.summaries[place].half,
                "low": metric.summaries[place].low,
                "high": metric.summaries[place].high,
            }
            for place, text in zip(places, texts, strict=True)
        ],
    }


def _finished(setting: BestSetting) -> str:
    """`n = 6`, or `n = 1/6 (5 NaN)`."""
    if setting["n"] >= setting["asked"]:
        return f"n = {setting['n']}"
    infinite = setting["n_infinite"]
    counted = (
        (setting["n_nan"] - infinite, "NaN"),
        (infinite, "infinite"),
        (setting["n_null"], "without a value"),
        (setting["n_failed"], "failed"),
    )
    reasons = [f"{count} {word}" for count, word in counted if count]
    return f"n = {setting['n']}/{setting['asked']}" + (f" ({', '.join(reasons)})" if reasons else "")


def _cells(setting: BestSetting) -> tuple[str, str, str]:
    """A setting's value, its parameters, and how much of it there is."""
    where = " ".join(f"{key}={shown_value(value)}" for key, value in setting["parameters"].items()) or "all tasks"
    return setting["text"], where, _finished(setting)


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    """Rows as lines with their columns below each other; as long as they are, for a line that is cut tells nothing."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    padded = ((cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return ["  " + "  ".join(cells).rstrip() for cells in padded]


def next_commands(name: str, state: fold.State, counts: dict[str, int], lab: str, measured: bool = True) -> list[str]:
    """What the user may want to type next. measured: the experiment has metrics."""
    words, columns = [], state.columns
    asked = zip(columns["queued"], columns["state"], columns["stage"], strict=True)
    left = sum(queued and code == fold.PENDING and not stage for queued, code, stage in asked)
    if left and state.paused is None:
        words.append(f"the same command again: it continues with the {plural(left, 'task')} left")
    elif counts["pending"] and state.paused is None:  # this run chose by name=value, --only or a filter
        words.append(
            f"--run with the file alone: it continues with the {plural(counts['pending'], 'task')} not requested"
        )
    badly = [states.get(bad) for states in (counts, *state.stage_counts().values()) for bad in ("failed", "lost")]
    if any(badly):
        words.append(f"tui-lab retry{lab} {name}")
    if counts["done"] and not measured:
        words.append(f"tui-lab parse{lab} {name} -p loss 'Loss: (@float@)'   (the name and pattern of a metric)")
    if counts["done"]:
        words.append(f"tui-lab query{lab} {shlex.quote(f'SELECT * FROM {quoted(name)} LIMIT 5')}")
    return words


def _print(
    name: str,
    state: fold.State,
    counts: dict[str, int],
    spare: int,
    failures: list[FailureGroup],
    best: BestSettings | None,
    warnings: list[str],
    notes: dict[int, str],
    missed: str,
    following: list[str],
    lab: str,
) -> None:
    console = new_console(stderr=True, highlight=False, soft_wrap=True)
    ended = [
        Text(f"{STATE_MARKS[state_name]} {count:,} {state_name}", style=STATE_STYLES[state_name])
        for state_name, count in counts.items()
        if count
    ]
    if spare:
        ended.append(Text(f"({plural(spare, 'repeat')} not needed)", style="dim"))
    console.print(Text(f"{name}: ") + Text("  ").join(ended))
    if state.paused is not None:
        console.print(Text(paused_line(state.paused), style="bold yellow"))
    for group in failures[:GROUPS]:
        stage = state.stage(group["task"])
        count = plural(group["count"], "task") if stage is None else runs(group["count"], stage)
        text = f"  ✗ {count}: {group['reason']}"
        text += f" in step {group['step']}" if group["step"] else ""
        text += f": {shortened(group['line'], 160)}" if group["line"] else ""
        console.print(Text(text, style="red"))
        if group["reason"] == "dependency":
            continue
        if group["reason"] in fold.EXPLAINED:
            console.print(Text(f"    tui-lab show{lab} {group['address']}"))
        else:
            console.print(Text(f"    tui-lab logs{lab} {group['address']} --stderr"))
    if len(failures) > GROUPS:
        console.print(f"  and {plural(len(failures) - GROUPS, 'further kind')} of failure")
    if best is not None and best["settings"]:
        goal = {"max": "highest", "min": "lowest"}[best["goal"]]
        of = "mean" if best["deterministic"] else "mean and its own 95 % interval"
        console.print(Text(f"{goal} {best['metric']} ({of}):"))
        for line in _aligned([_cells(setting) for setting in best["settings"]]):
            console.print(Text(line))
        if best["tied"]:
            others = "1 other" if best["tied"] == 1 else f"{best['tied']:,} others"
            standing = "equal to the best" if best["deterministic"] else "tied with the best"
            console.print(Text(f"  {others} {standing}: tui-lab stats{lab} {name}"))
        if best["untested"]:
            console.print(Text(f"  ? {best['untested']:,} not tested: too few repeats"))
        if best["deterministic"]:
            console.print(Text(f"  {NOTHING_SCATTERS}"))
        if best["why_not"]:
            console.print(Text(f"! {best['why_not']}", style="yellow"))
    for task, note in list(notes.items())[:NOTES]:
        console.print(Text(f"! task {task}: {printable(note)}", style="yellow"))
    if len(notes) > NOTES:
        console.print(Text(f"! and {plural(len(notes) - NOTES, 'further task')} with a note; see tui-lab show"))
    if missed:
        console.print(Text(f"! {missed}", style="yellow"))
    for warning in warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    if following:
        console.print(Text("next: " + "\n      ".join(following)))


def paused_line(event: Paused) -> str:
    """Why a run paused, and what to do."""
    if event.reason == "asked":
        return "Paused by tui-lab pause. `tui-lab resume` continues."
    if event.reason in ("no_node", "error"):
        why = event.message or event.reason
        return f"Stopped: {why}{'' if why.endswith(('.', '?', '!')) else '.'} The same command continues."
    if event.reason == "max_failures":
        failed = plural(event.failed, "failed task")
        return f"Stopped after {failed} (max_failures). The same command continues with the rest."
    return (
        f"Paused: the first {event.failed} tasks all failed. Repair it and run the same command again. "
        "`tui-lab resume` goes on regardless; with --keep-going, a run does not pause for that."
    )
