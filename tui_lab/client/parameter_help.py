"""The parameters of an experiment as a table: their values, and what the function says of them."""

from __future__ import annotations

from collections.abc import Sequence

from tui_lab.experiment.model import Experiment
from tui_lab.experiment.schema import flow
from tui_lab.experiment.signature import Argument
from tui_lab.experiment.yaml.reader import shortened

_LONGEST = 50  # characters of a cell


def parameter_help(experiment: Experiment) -> list[str]:
    """Return lines: each parameter with its values, type, default and help; then arguments that no parameter gives."""
    calls = [one for one in experiment.per_stage if one.function is not None]
    staged = bool(experiment.stages)
    program = experiment.name if staged or experiment.function is None else experiment.function.text
    lines = [f"{experiment.file}: {program}"]
    for one in calls:
        if one.signature is not None and one.signature.help:
            lines.append(f"  {one.stage}: {one.signature.help}" if staged else f"  {one.signature.help}")
    values = _values(experiment)
    rows = []
    for name in experiment.parameter_names:
        argument, whole = next(filter(None, (_argument(one, name) for one in calls)), (None, False))
        rows.append(
            [name, values.get(name, ""), _type(argument) if whole else "", "" if argument is None else argument.help]
        )
    if rows:
        lines += ["", "parameters, which name=value replaces:", *_table(["name", "values", "type", "help"], rows)]
    rows = [
        [*([one.stage or ""] if staged else []), argument.name, _type(argument), argument.help]
        for one in calls
        for argument in _not_given(one)
    ]
    if rows:
        head = [*(["stage"] if staged else []), "name", "type", "help"]
        lines += ["", "arguments that the file does not give:", *_table(head, rows)]
    return lines


def _argument(call: Experiment, name: str) -> tuple[Argument, bool] | None:
    """Return the argument that a parameter is for, and whether it is all of it."""
    if call.signature is None or name not in call.passed_names:
        return None
    first, *rest = call.args.get(name, name).split(".")
    argument = call.signature.argument(first)
    return None if argument is None else (argument, not rest)


def _not_given(call: Experiment) -> list[Argument]:
    """Return the arguments that neither a parameter nor anything else gives."""
    given = {call.args.get(name, name).split(".")[0] for name in call.passed_names}
    given |= {call.seed_argument, *call.args.values(), *call.values_before.values()}
    return [] if call.signature is None else [one for one in call.signature.arguments if one.name not in given]


def _values(experiment: Experiment) -> dict[str, str]:
    found = {name: flow(value) for name, value in experiment.defaults.items()}
    found |= {name: f"SQL: {text}" for name, text in experiment.derive.items()}
    swept: dict[str, list[str]] = {}
    for sweep in experiment.parameters:
        for name, domain in sweep.items():
            text = flow(domain.in_file())
            if text not in swept.setdefault(name, []):
                swept[name].append(text)
            for inner in domain.inner_names:
                swept.setdefault(inner, [f"by {name}"])
    return found | {name: "; ".join(texts) for name, texts in swept.items()}


def _type(argument: Argument | None) -> str:
    if argument is None:
        return ""
    default = "" if argument.default is None else f"= {argument.default}"
    return " ".join(part for part in (argument.annotation, default) if part)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows below a heading, without columns that are empty."""
    cells = [
        [shortened(cell, _LONGEST) if place < len(row) - 1 else cell for place, cell in enumerate(row)] for row in rows
    ]
    columns = [column for column in zip(head, *cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
